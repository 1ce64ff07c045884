"""How a screen runs its system: what is declared, what is found by trying, and what must be asked for.

A screen is an ordinary exploratory audit of one system, so its configuration is read by the ordinary
reader, from a mapping. What nobody declares is then filled in as for any audit, with the source *probed*;
what cannot be found is asked for by name, all at once, with the words to add to the command.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from auditor.cases import Gathered, gather, read_volume
from auditor.config import AuditConfig, parse_config
from auditor.config.records import canonical
from auditor.errors import CheckpointError, ConfigError, DataError
from auditor.pipeline.audit_text import PRESET_OF, system_name
from auditor.pipeline.examination import Looked, completed
from auditor.pipeline.identities import identities
from auditor.pipeline.remembered import Remembered
from auditor.schema import CaseRecord, SystemSpec
from auditor.systems.probe import ProbeReport, probe_system
from auditor.systems.sidecars import locate
from auditor.systems.sniff import sniff
from perturbations.catalog import PRESETS

__all__ = [
    "Configured",
    "Wanted",
    "configured",
    "screen_name",
]

SEVERITIES = (1, 3, 5)
"""Of every perturbation."""

METRICS = ("dsc", "hd95")
"""The score, and the distance."""

_MODALITIES = {"mri": "mr", "mr": "mr", "ct": "ct", "us": "us", "xray": "xray",
               "microscopy": "microscopy", "other": "other"}  # fmt: skip
"""As a table of cases may write it."""

_FIELD = re.compile(r"add (input|window|output): \{(\w+): ([^{}]+)\}$")
"""How a line to add is written where a file is asked for it."""

_UNKNOWN = {
    "input.axes": "input.axes: nobody says towards where the axes run; scans are fed as they are stored",
    "input.spacing_mm": "input.spacing_mm: nobody says the voxel size of the training; scans keep theirs",
}
_NO_MODALITY = (
    "modality: is required, as it decides the units and levels of every perturbation; add --modality mr "
    "(or ct, us, xray, microscopy, other)"
)
_INTENSITIES = ("clip", "clip_quantiles", "scale_to", "zscore", "affine")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be screened, as it was asked for."""

    checkpoint: Path
    """File or folder."""
    data: Path
    """CSV table of cases, or a folder in a layout that is recognised."""
    modality: str | None = None
    """None: the data must say it."""
    state: str = "raw"
    """What was done to the scans before."""
    contract: Path | None = None
    """Contract file; None: one beside the checkpoint, if there is one."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Dotted field of the system -> value, over everything else: {"input.axes": "RAS"}."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Name -> number in the references."""
    preset: str | None = None
    """None: that of the modality."""
    seed: int = 0
    """Of the draw of the patients, and of the perturbations."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A screen, ready to be planned."""

    config: AuditConfig
    """Exploratory, of one system."""
    whole: AuditConfig
    """The same with every severity: what the drafted audit runs."""
    preset: str
    said: tuple[str, ...]
    """What was taken for granted, in sentences."""
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """System -> what speaks against its declared fields."""


def screen_name(checkpoint: Path) -> str:
    """Name a screen, and its folder, by its checkpoint."""
    return f"{system_name(checkpoint)}-screen"


def configured(
    wanted: Wanted,
    cases: Sequence[CaseRecord],
    drawn: Sequence[CaseRecord],
    numbers: Sequence[int],
    remembered: Remembered,
) -> Configured:
    """Put the configuration of a screen together.

    Parameters
    ----------
    wanted : Wanted
    cases : sequence of CaseRecord
        All of them.
    drawn : sequence of CaseRecord
        Those that are screened.
    numbers : sequence of int
        Label numbers in the references of the drawn cases.
    remembered : Remembered
        What was found by an earlier start of the same screen.

    Returns
    -------
    Configured

    Raises
    ------
    ConfigError
        With everything that must be declared or does not fit, at once.
    CheckpointError
        When the file is no checkpoint that can be run.
    """
    _recognised(wanted.checkpoint)
    gathered = gather(wanted.data) if wanted.data.is_dir() else None
    modality, said = _modality(wanted, cases, gathered)
    preset = wanted.preset or PRESET_OF[modality or "other"]
    # without the modality nothing fits which scans, but there still is a preset of that name or none
    known = "generic" if modality is None and preset in PRESETS else preset
    content = _content(wanted, cases, modality or "other", known)
    required = f"systems.{next(iter(content['systems']))}.output.labels: is required"
    config, problems = _parsed(content, wanted)
    guess = any(problem.startswith(required) for problem in problems)
    if guess:
        problems = [problem for problem in problems if not problem.startswith(required)]
        # whatever the labels are: the rest of the contract is wanted now
        config, _ = _parsed({**content, "labels": {"label_1": 1}}, wanted)
    if modality is None:
        problems.append(_NO_MODALITY)
    if config is None:
        raise _asked(problems)
    config, findings, more = _completed(config, drawn, remembered)
    problems += more
    if guess:
        (spec,) = config.systems
        report = probe_system(spec, declared=frozenset(name for name, _ in spec.sources))
        labels = _guessed(spec, report, numbers, gathered)
        if not labels:
            problems.append(_which(report, numbers))
        content["labels"] = labels
    if problems:
        raise _asked(problems)
    if guess:
        config = _with_labels(config, content, wanted)
        said.append(_from_references(content["labels"]))
    if "reference" in content["cases"]:
        said.append("cases.reference: there are several raters a case; their majority counts")
    whole, _ = _parsed({**content, "perturbations": {"preset": preset}}, wanted)
    assert whole is not None  # it differs in its severities only
    whole = replace(config, perturbations=whole.perturbations)
    said = [*said, *config.warnings, *_assumed(config, drawn)]
    return Configured(config, whole, preset, tuple(said), findings)


def _recognised(checkpoint: Path) -> None:
    """Refuse what is no checkpoint: what it is comes before what it needs."""
    if not checkpoint.exists():
        msg = f"MODEL must be a checkpoint, {checkpoint} does not exist"
        raise CheckpointError(msg)
    sniff(locate(checkpoint).checkpoint)


def _with_labels(config: AuditConfig, content: Mapping[str, Any], wanted: Wanted) -> AuditConfig:
    """Give a completed configuration the labels of another one that is otherwise the same."""
    known, _ = _parsed(content, wanted)
    assert known is not None  # it was read with other labels
    (spec,) = config.systems
    output = replace(spec.output, labels=known.systems[0].output.labels)
    changed = replace(config, labels=known.labels, systems=(replace(spec, output=output),))
    return replace(changed, canonical=canonical(changed))


def _from_references(labels: Mapping[str, int]) -> str:
    told = ", ".join(f"{label} ({number})" for label, number in labels.items())
    return (
        f"output.labels: nobody says which channel holds what; taken from the references: {told}. Give "
        "them their names with --label NAME=NUMBER"
    )


def _content(
    wanted: Wanted, cases: Sequence[CaseRecord], modality: str, preset: str
) -> dict[str, Any]:
    name = system_name(wanted.checkpoint)
    entry: dict[str, Any] = {"checkpoint": str(wanted.checkpoint.resolve())}
    if wanted.contract is not None:
        entry["contract"] = str(wanted.contract.resolve())
    kind = "folder" if wanted.data.is_dir() else "table"
    where: dict[str, Any] = {
        kind: str(wanted.data.resolve()), "modality": modality, "state": wanted.state,
    }  # fmt: skip
    if any(case.reference is None and len(case.raters) > 1 for case in cases):
        where["reference"] = {"use": "majority", "tie": "above_half"}
    content: dict[str, Any] = {
        "audit": screen_name(wanted.checkpoint),
        "seed": wanted.seed,
        "purpose": "exploratory",
        "cases": where,
        "systems": {name: entry},
        "perturbations": {"preset": preset, "severities": list(SEVERITIES)},
        "metrics": {metric: {} for metric in METRICS},
    }
    if wanted.labels:
        content["labels"] = dict(wanted.labels)
    return content


def _parsed(content: Mapping[str, Any], wanted: Wanted) -> tuple[AuditConfig | None, list[str]]:
    settings = {f"*.{path}": value for path, value in wanted.settings.items()}
    try:
        return (
            parse_config(content, folder=Path.cwd(), name="the command", settings=settings),
            [],
        )
    except ConfigError as error:
        return None, list(error.problems)


def _asked(problems: Sequence[str]) -> ConfigError:
    msg = (
        f"{len(problems)} thing(s) must be said before this can be screened; fields of input, window and "
        "output are said with --set, as --set input.axes=RAS, or in contract.yaml beside the checkpoint:"
    )
    return ConfigError(msg, sorted(_FIELD.sub(_as_option, problem) for problem in problems))


def _as_option(found: re.Match[str]) -> str:
    part, key, value = found.groups()
    quote = "" if re.fullmatch(r"[\w.-]+", value) else "'"
    return f"add --set {part}.{key}={quote}{value}{quote}"


def _modality(
    wanted: Wanted, cases: Sequence[CaseRecord], gathered: Gathered | None
) -> tuple[str | None, list[str]]:
    """Return the modality, and the sentence to say when the cases say it themselves."""
    if wanted.modality is not None:
        return wanted.modality, []
    if gathered is not None and gathered.modality:
        return gathered.modality, [f"cases.modality: {gathered.modality}, by the {gathered.text}"]
    told = {dict(case.metadata).get("modality", "").lower() for case in cases}
    known = {_MODALITIES.get(text) for text in told}
    if len(known) == 1 and None not in known:
        found = str(known.pop())
        return found, [f"cases.modality: {found}, by the column modality of the cases"]
    return None, []


def _completed(
    config: AuditConfig, drawn: Sequence[CaseRecord], remembered: Remembered
) -> tuple[AuditConfig, Mapping[str, tuple[str, ...]], list[str]]:
    """Fill in what nobody declared of the one system, by trying it.

    Returns
    -------
    config : AuditConfig
        Complete, with the sources of its fields.
    findings : mapping
        What speaks against declared fields.
    problems : list of str
        What could not be found, and how to say it.
    """
    grids = []
    for case in drawn:
        with contextlib.suppress(DataError):  # told with the other problems of the cases
            grids.append(read_volume(case.images)[1])
    known = identities(config, {})
    looked = Looked(config, tuple(drawn), tuple(grids), known, remembered=remembered)
    try:
        looked = completed(looked)
    except ConfigError as error:
        return config, {}, list(error.problems)
    return looked.config, looked.findings, []


def _guessed(
    spec: SystemSpec, report: ProbeReport, numbers: Sequence[int], gathered: Gathered | None
) -> dict[str, int]:
    """Return labels where references and channels leave one reading; else nothing.

    Softmax of n + 1 channels, or sigmoid of n, and references that hold 1 .. n: channel i is label i,
    as every toolkit writes it. A system that answers with label numbers says them itself. Names are
    those that the layout of the cases gives.
    """
    called = {number: name for name, number in (gathered.labels if gathered else ())}
    names = {called.get(number, f"label_{number}"): number for number in numbers}
    counted = tuple(numbers) == tuple(range(1, len(numbers) + 1))
    activation = spec.output.activation
    if "output.activation" not in dict(spec.sources) or not numbers:
        return {}
    if activation == "labels":
        return names
    background = 1 if "softmax" in activation else 0
    return names if counted and report.classes == len(numbers) + background else {}


def _which(report: ProbeReport, numbers: Sequence[int]) -> str:
    held = ", ".join(map(str, numbers)) or "no label"
    channels = "an unknown number of" if report.classes is None else str(report.classes)
    return (
        f"output.labels: is required, as the output has {channels} channels and the drawn references hold "
        f"{held}; add --label NAME=NUMBER for each label, where the number is its value in the references and "
        "its channel; another channel is said beside it: --set 'output.channels={NAME: 1}'"
    )


def _assumed(config: AuditConfig, drawn: Sequence[CaseRecord]) -> list[str]:
    """Say which fields nobody knows, though they decide how well a system does."""
    (spec,) = config.systems
    known = dict(spec.sources)
    flat = False
    with contextlib.suppress(DataError):  # told with the other problems of the cases
        flat = read_volume(drawn[0].images)[1].unit == "px"
    # a picture has neither directions nor a size of its pixels
    told = [words for name, words in _UNKNOWN.items() if name not in known and not flat]
    if not any(f"input.{name}" in known for name in _INTENSITIES):
        told.append(
            "input intensities: nobody says how they are scaled; the system is fed with the values of the "
            "files"
        )
    return told
