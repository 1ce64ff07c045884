"""The networks of which systems are ablated: looked into once, before the plan is frozen.

**Conventions.** One description a checkpoint, at the size that its first ablated system feeds. What was
found is remembered in the folder of the run, so that a resumed run pays nothing again. What an ablation
names must exist there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from auditor.errors import AuditError, ConfigError
from auditor.pipeline.examination import Looked, loaded_pair
from auditor.schema import AblationSpec, NetworkFacts, SystemSpec
from auditor.schema.network_words import conclusion_words
from auditor.systems.ablation.selection import selected
from auditor.systems.answers import Refusal
from auditor.systems.description import Description, description_of
from auditor.systems.other_scan import unlike
from auditor.systems.preparation import prepare
from auditor.systems.runners import ProcessRunner, RunFailure
from auditor.systems.skips.facts import network_facts

__all__ = [
    "ablated_networks",
    "ablation_problems",
    "network_warnings",
    "own_other_scans",
    "require_ablations",
    "unlike_other_scans",
]


def ablated_networks(
    looked: Looked,
) -> tuple[tuple[NetworkFacts, ...], Mapping[str, tuple[str, ...]]]:
    """Look into the network of every checkpoint of which a system is ablated.

    Parameters
    ----------
    looked : Looked
        With completed contracts.

    Returns
    -------
    networks : tuple of NetworkFacts
        In the order of the configuration; not those that could not be looked into.
    problems : mapping of str to tuple of str
        System -> why it cannot be ablated as it is declared; nothing of those that can.
    """
    systems: dict[str, list[SystemSpec]] = {}
    for spec in looked.config.systems:
        if spec.checkpoint is not None:
            systems.setdefault(looked.identities[spec.name], []).append(spec)
    found: list[NetworkFacts] = []
    problems: dict[str, tuple[str, ...]] = {}
    for sha256, members in systems.items():
        ablated = {it.name: it.ablation for it in members if it.ablation is not None}
        if not ablated:
            continue
        first = next(it for it in members if it.ablation is not None)
        try:
            description = _described(looked, first, sha256)
        except (AuditError, RunFailure) as error:
            told = f"its network cannot be looked into: {error}"
            problems |= dict.fromkeys(ablated, (told,))
            continue
        found.append(network_facts(description, [it.name for it in members]))
        told_of = {name: tuple(_missing(description, spec)) for name, spec in ablated.items()}
        problems |= {name: told for name, told in told_of.items() if told}
    return tuple(found), problems


def require_ablations(looked: Looked) -> tuple[NetworkFacts, ...]:
    """Return `ablated_networks`.

    Raises
    ------
    ConfigError
        With everything that cannot be ablated as it is declared, at once.
    """
    found, problems = ablated_networks(looked)
    if problems:
        msg = "these systems cannot be ablated as they are declared:"
        raise ConfigError(msg, ablation_problems(problems))
    return found


def ablation_problems(problems: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Write the problems of systems with their paths."""
    return tuple(
        f"systems.{name}.ablate: {told}" for name, several in problems.items() for told in several
    )


def network_warnings(networks: Sequence[NetworkFacts]) -> tuple[str, ...]:
    """Say what ablations of these networks cannot tell; those without skips are problems already."""
    return tuple(
        f"systems.{facts.systems[0]}: {line}"
        for facts in networks
        if facts.skips
        for line in conclusion_words(facts)
    )


def unlike_other_scans(looked: Looked) -> tuple[str, ...]:
    """Warn of ablations by an image that has not the fed size of every scan."""
    told = []
    for spec in looked.config.systems:
        try:
            count = unlike(spec, looked.geometries)
        except AuditError:
            continue  # told by the dry case
        if count:
            told.append(
                f"systems.{spec.name}.ablate.image: has not the fed size of {count} of the "
                f"{len(looked.geometries)} scans, which will be rejected; input.size gives all scans one size"
            )
    return tuple(told)


def own_other_scans(looked: Looked) -> tuple[str, ...]:
    """Warn of ablations by an image that is the scan of an audited case."""
    told = []
    for spec in looked.config.systems:
        other = {it.split("[")[0] for it in spec.ablation.images_sha256} if spec.ablation else set()
        own = [
            case.case
            for case in looked.cases
            if any(role.startswith("image_") and it in other for role, it in case.digests)
        ]
        if own:
            told.append(
                f"systems.{spec.name}.ablate.image: is the scan of case {', '.join(own)}, which gets its own "
                "activations, or its clean ones, and draws reliance towards 0; name an image that is none of "
                "the cases, or exclude the case"
            )
    return tuple(told)


def _missing(description: Description, ablation: AblationSpec) -> Iterator[str]:
    """Say of everything that an ablation names why it is not there."""
    if description.skips is None:
        why = description.skips_note or "no forward pass could be recorded"
        yield f"the skip connections of its network could not be looked for: {why}"
        return
    told: dict[str, None] = {}
    for one in ablation.skips or (None,):
        try:
            selected(description.skips, () if one is None else (one,))
        except Refusal as refusal:
            told[str(refusal)] = None
    yield from told


def _described(looked: Looked, spec: SystemSpec, sha256: str) -> Description:
    shape, layout = _fed(looked, spec), spec.input.layout
    question = {
        "question": "skip connections",
        "sha256": sha256,
        "fed": list(shape),
        "layout": layout,
    }
    known = looked.remembered.get(question)
    if known is not None:
        try:
            return _read(known)
        except (TypeError, ValueError):
            pass  # not as it was written: looked into again
    runner = ProcessRunner(replace(spec, ablation=None), Path(str(spec.checkpoint)))
    try:
        found = runner.describe(shape, layout, limit_s=spec.timeout_s)
    finally:
        runner.close()
    looked.remembered.put(question, _written(found))
    return found


def _fed(looked: Looked, spec: SystemSpec) -> tuple[int, ...]:
    """Tell what one forward pass of a system is fed with: a window, or the first case."""
    if spec.window is not None:
        return (1, spec.input.channels, *spec.window.size)
    image, geometry, _ = loaded_pair(looked.config, looked.cases[0])
    piece = prepare(image, geometry, spec.input).pieces[0]
    return (1, *piece.shape)


_UNTOLD: Mapping[str, Any] = {
    "producer": "", "versions": [], "parameters": 0, "outputs": [], "live": [], "seconds": 0, "peak_mb": 0,
}  # fmt: skip
"""What of a description is neither remembered nor used here."""


def _written(description: Description) -> dict[str, Any]:
    skips = description.skips
    return {
        "fed": list(description.fed),
        "operators": [[it.name, it.count] for it in description.operators],
        "skips": None if skips is None else asdict(skips),
        "skips_note": description.skips_note,
    }


def _read(known: object) -> Description:
    if not isinstance(known, dict):
        msg = "what is remembered of a network must be a record"
        raise TypeError(msg)
    return description_of({**_UNTOLD, **known})
