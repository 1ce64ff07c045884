"""The audit.yaml that a screen drafts: the full audit of the same system, on the patients not drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.config import AuditConfig
from auditor.pipeline.audit_text import AuditText, flow, relative, write_audit
from auditor.schema import (
    Certainty,
    Contract,
    ContractStatus,
    InputSpec,
    OutputSpec,
    SystemSpec,
    WindowSpec,
)
from auditor.schema.screen import Vulnerability

__all__ = ["DRAWN", "DraftFacts", "draft_text"]

DRAWN = "drawn_patients.csv"
"""The drawn patients by name; it stays on this machine."""

_FOUND_AGAIN = frozenset(
    {Certainty.SIDECAR.value, Certainty.CONTRACT_FILE.value, Certainty.PROBED.value}
)
"""What the drafted audit finds by itself."""

_SUGGESTED = 2
"""Perturbations for which a criterion is suggested: the first ones."""


@dataclass(frozen=True, slots=True)
class DraftFacts:
    """What a draft is written from."""

    config: AuditConfig
    """Complete, with every severity."""
    preset: str
    checkpoint: Path
    """File or folder, as it was given."""
    contract: Path | None
    """Contract file that was named."""
    data: Path
    """As it was given."""
    settings: Mapping[str, Any]
    """Fields of the system from the command line."""
    drawn: int
    """Patients."""
    patients: int
    """Of the data."""
    contract_found: Contract
    """What the look at the contract showed."""
    ranked: Sequence[Vulnerability]
    """As found, most harmful first."""


def draft_text(facts: DraftFacts, folder: Path) -> str:
    """Write the draft.

    Parameters
    ----------
    facts : DraftFacts
    folder : Path
        Of the file; paths in it are relative to this.

    Returns
    -------
    str
        audit.yaml.
    """
    config = facts.config
    (spec,) = config.systems
    label = config.labels[0][0]
    cases = config.cases
    nobody = facts.drawn == facts.patients
    return write_audit(
        AuditText(
            name=spec.name,
            seed=config.seed,
            data=("folder" if facts.data.is_dir() else "table", relative(facts.data, folder)),
            modality=cases.modality,
            state=cases.state,
            reference=(
                ""
                if cases.reference.use == "given"
                else flow({"use": cases.reference.use, "tie": cases.reference.tie})
            ),
            exclude=(
                DRAWN,
                "# every patient was screened: nobody would be left; a confirmatory audit needs others"
                if nobody
                else "the screened patients: they were looked at before anything was declared",
            ),
            system=spec.name,
            checkpoint=relative(facts.checkpoint, folder),
            settings=_settings(facts, folder),
            contract=tuple(it for it in _contract(spec) if it[2] not in _FOUND_AGAIN),
            found=tuple(it for it in _contract(spec) if it[2] in _FOUND_AGAIN),
            doubts=_doubts(facts.contract_found),
            preset=facts.preset,
            label=label,
            criteria=_criteria(facts, label),
            remarks=(
                "Drafted by segaudit screen. Look it over, then: segaudit check audit.yaml",
                "Behind each field of the contract stands who says so; what is probed was found by trying.",
            ),
        )
    )


def _doubts(contract: Contract) -> tuple[str, ...]:
    if contract.status is not ContractStatus.IN_DOUBT:
        return ()
    other = contract.sensitivity
    mend = (f"if that is right, write {other.line}",) if other is not None and other.line else ()
    return (f"contract in doubt: {contract.note}", *mend)


def _settings(facts: DraftFacts, folder: Path) -> tuple[tuple[str, str, str], ...]:
    """Return what was set beside the contract; paths as seen from the folder of the draft."""
    who = Certainty.COMMAND_LINE.value
    file = facts.contract
    named = () if file is None else (("contract", flow(relative(file, folder)), who),)
    return named + tuple(
        (
            key,
            flow(relative(Path(str(value)), folder) if key == "golden" else value),
            who,
        )
        for key, value in facts.settings.items()
        if "." not in key and not isinstance(value, dict)
    )


def _contract(spec: SystemSpec) -> tuple[tuple[str, str, str], ...]:
    """Return every field that is no default, with its source."""
    sources = dict(spec.sources)
    parts: dict[str, InputSpec | OutputSpec | WindowSpec | None] = {
        "input": spec.input, "window": spec.window, "output": spec.output,
    }  # fmt: skip
    found = []
    for name, source in sorted({**sources, "output.labels": None}.items()):
        part, _, key = name.partition(".")
        record = parts[part]
        if record is None:
            continue
        value = getattr(record, key)
        who = source.value if source is not None else "from the references"
        found.append((name, flow(_plain(value)), who))
    return tuple(found)


def _plain(value: object) -> object:
    """Write lists for tuples, and a mapping for pairs that begin with a name, as YAML has them."""
    if not isinstance(value, tuple):
        return value
    if value and all(isinstance(it, tuple) and it and isinstance(it[0], str) for it in value):
        return {it[0]: _plain(it[1]) for it in value}
    return [_plain(it) for it in value]


def _criteria(facts: DraftFacts, label: str) -> tuple[str, ...]:
    """Suggest claims about the clean scans and about what hurt most, without thresholds."""
    about = f"label: {flow(label)}, metric: dsc"
    first = f"C-01: {{{about}, at: clean, mean_at_least: .., evidence: assured}}"
    worst = [it.perturbation for it in facts.ranked if it.rank is not None][:_SUGGESTED]
    return (
        first,
        *(
            f"C-{number:02d}: {{{about}, at: {{perturbation: {name}, severity: 3}}, mean_drop_at_most: .., "
            "evidence: assured}"
            for number, name in enumerate(worst, start=2)
        ),
    )
