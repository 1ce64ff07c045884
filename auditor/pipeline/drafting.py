"""A first audit.yaml, from what can be recognised and probed.

What was found stands there as a value with its source; what would be a scientific choice, or what only
the maker knows, stands there as a line to fill in, so that `segaudit check` asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from auditor.cases import label_names, read_manifest, read_mask
from auditor.errors import DataError
from auditor.schema import CaseRecord, ReferenceRule
from auditor.systems.contract import canonical_text
from auditor.systems.probe import ProbeReport, probe
from auditor.systems.questions import Question, still_open
from auditor.systems.sidecars import Located, locate

__all__ = ["draft"]

_PRESETS = {
    "mr": "mri", "ct": "ct", "us": "ultrasound", "xray": "xray", "microscopy": "microscopy",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the cases of the draft are."""

    table: Path | None = None
    folder: Path | None = None
    images: Path | None = None
    references: Path | None = None
    modality: str = "other"
    state: str = "raw"
    reference: ReferenceRule = field(default_factory=ReferenceRule)


def draft(
    checkpoint: Path, data: Path, *, modality: str | None, folder: Path
) -> tuple[str, tuple[str, ...]]:
    """Write a first configuration.

    Parameters
    ----------
    checkpoint : Path
        The file to audit, or the folder of a MONAI bundle or an nnU-Net training; it is probed in its
        sandbox.
    data : Path
        CSV table of cases, or a folder in a layout that is recognised.
    modality : str or None
        None: left to fill in.
    folder : Path
        Of the file to be written; paths in it are relative to this.

    Returns
    -------
    text : str
        audit.yaml.
    notes : tuple of str
        What was recognised, and what is left to fill in.

    Raises
    ------
    CheckpointError
        When the file is no checkpoint that can be run.
    DataError
        When no case is recognised.
    """
    if not data.exists():
        msg = f"the cases must be a CSV table or a folder, {data} does not exist"
        raise DataError(msg)
    source = _Source(folder=data) if data.is_dir() else _Source(table=data)
    cases = read_manifest(source)
    located = locate(checkpoint)
    report = probe(located.checkpoint)
    numbers = _labels(cases)
    named = dict(label_names(data)) if data.is_dir() else {}
    shipped = {number: name for name, number in _shipped_labels(located).items()}
    named = named or {shipped.get(number, f"label_{number}"): number for number in numbers}
    name = (checkpoint.name if checkpoint.is_dir() else checkpoint.stem).replace(" ", "-")
    open_questions = [
        *located.questions,
        *still_open(report.questions, located.sidecar, located.questions),
    ]
    patients = len({case.patient for case in cases})
    raters = max(len(case.raters) for case in cases)
    notes = [
        (
            f"recognised {len(cases)} cases of {patients} patients, {raters} rater(s) each, labels "
            f"{', '.join(f'{label} ({number})' for label, number in named.items())}"
        ),
        *located.notes,
        *(f"fill in: {question.name}: {question.why}" for question in open_questions),
    ]
    lines = [
        f"audit: {name}",
        "seed: 1",
        "purpose: exploratory          # confirmatory: declare criteria before the first run",
        "",
        "cases:",
        f"  {'folder' if data.is_dir() else 'table'}: {_relative(data, folder)}",
        f"  modality: {modality or '   # fill in: ct, mr, us, xray, microscopy, other'}",
        "  state: raw                  # or windowed, normalised, skull_stripped",
    ]
    if raters > 1 and any(case.reference is None for case in cases):
        lines.append("  reference: {use: majority, tie: above_half}")
    lines += ["", "systems:", f"  {name}:", f"    checkpoint: {_relative(checkpoint, folder)}"]
    lines += _contract(report, located, open_questions, named)
    preset = _PRESETS.get(modality or "", "generic")
    label = _quoted(next(iter(named)))
    lines += [
        "",
        f"perturbations: {{preset: {preset}, severities: [1, 2, 3, 4, 5]}}",
        "metrics: {dsc: {}, hd95: {}, volume_difference: {}}     # nsd: {tolerance_mm: ..}",
        "strata:",
        f"  foreground_ratio: {{label: {label}, edges: tertiles}}",
        "",
        "# criteria:                    # for purpose: confirmatory",
        f"#   C-01: {{label: {label}, metric: dsc, at: clean, mean_at_least: .., evidence: assured}}",
        "",
    ]
    return "\n".join(lines), tuple(notes)


def _shipped_labels(located: Located) -> Mapping[str, int]:
    labels = located.sidecar.get("output", {}).get("labels", {})
    return labels if isinstance(labels, Mapping) else {}


def _contract(
    report: ProbeReport,
    located: Located,
    questions: Sequence[Question],
    named: Mapping[str, int],
) -> list[str]:
    """Lines of input, window and output: found values, then questions."""
    known = {
        f"{part}.{key}": value
        for part, own in located.sidecar.items()
        for key, value in own.items()
    }
    lines = []
    if known:
        lines.append(
            f"    # read from {' and '.join(located.read)}; a line of your own wins over it:"
        )
        lines += [f"    #   {name}: {canonical_text(value)}" for name, value in known.items()]
    parts: dict[str, list[str]] = {"input": [], "output": []}
    for found in report.fields:
        part, _, key = found.name.partition(".")
        if part in parts and key != "labels" and found.name not in known:
            parts[part].append(f"      {key}: {found.value}     # {found.source.value}")
    if "output.labels" not in known:
        labels = ", ".join(f"{_quoted(label)}: {number}" for label, number in named.items())
        parts["output"].append(
            f"      labels: {{{labels}}}     # channel of each label, by its name"
        )
    for part, own in parts.items():
        lines += [f"    {part}:", *own] if own else []
    for question in questions:
        if question.name != "output.labels":
            lines.append(f"      # {question.name}: {question.why}")
            lines.append(f"      # {question.line}")
    return lines


def _labels(cases: Sequence[CaseRecord]) -> list[int]:
    """Label numbers in the references of the first cases."""
    import torch

    found: set[int] = set()
    for case in cases[:5]:
        path = case.reference or case.raters[0]
        found |= {int(number) for number in torch.unique(read_mask(path)[0])}
    found -= {0}
    if not found:
        msg = "the references of the first five cases must hold a label, they are all empty"
        raise DataError(msg)
    return sorted(found)


def _quoted(name: str) -> str:
    """Write a name as YAML within braces."""
    return yaml.safe_dump([name], default_flow_style=True, allow_unicode=True, width=10_000)[1:-2]


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder)).as_posix()
