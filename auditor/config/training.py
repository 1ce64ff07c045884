"""What a system was trained on: facts that its maker states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from auditor.config.inference import TrainingShape
from auditor.config.problems import Problems
from auditor.schema import CLEAN, PerturbationSpec, SystemSpec, TrainingFacts
from perturbations.catalog import admit, get, level_at, levels_for

__all__ = ["read_training", "trainings_beside"]


def read_training(
    where: str,
    given: TrainingShape | None,
    modality: str | None,
    problems: Problems,
    *,
    axes: int | None = None,
) -> TrainingFacts | None:
    """Read the declared facts of a training.

    Parameters
    ----------
    where : str
        Path of the system, for the sentences.
    given : TrainingShape or None
        As in the file.
    modality : str or None
        Of the cases: it decides the unit of a level; None: not known.
    problems : Problems
        Sentences are added to it.
    axes : int or None
        How many spatial axes the system is fed with; None: each scan decides.

    Returns
    -------
    TrainingFacts or None
        None where nothing is stated.
    """
    if given is None:
        return None
    patch, ratio, at = given.patch, given.foreground_ratio, given.condition
    if patch is not None and axes is not None and len(patch) != axes:
        problems.append(
            f"{where}.training.patch: must have {axes} sizes, in the order of the axes that the system is fed "
            f"with, was {list(patch)}"
        )
    condition = None
    if at is not None and modality is not None:
        read = partial(_condition, at, modality)
        condition = problems.attempt(f"{where}.training.condition", read)
    return TrainingFacts(
        patch=None if patch is None else tuple(patch),
        foreground_ratio=None if ratio is None else (ratio[0], ratio[1]),
        condition=condition,
    )


def trainings_beside(
    systems: Sequence[SystemSpec], planned: Sequence[PerturbationSpec]
) -> list[str]:
    """Warn of declared trainings and groups that nothing of this audit will be read against.

    Returns
    -------
    One sentence for each perturbation that images were trained under and none is tested under, and for each
    system with an architecture group and no family.
    """
    tested = {it.name for it in planned}
    first: dict[str, str] = {}
    for spec in systems:
        if spec.training is not None and spec.training.condition is not None:
            first.setdefault(spec.training.condition[0], spec.name)
    return [
        *(
            f"systems.{system}.training.condition: {name} is not among the perturbations of this audit; what "
            "was trained under it is shown on clean scans alone"
            for name, system in first.items()
            if name not in {CLEAN, *tested}
        ),
        *(
            f"systems.{spec.name}.architecture_group: groups hold families, and this system declares none; "
            "it is in no group"
            for spec in systems
            if spec.architecture_group and not spec.family
        ),
    ]


def _condition(at: str | Mapping[str, float | str], modality: str) -> tuple[str, float]:
    """Return the perturbation of the training images with its level; clean has the level 0."""
    if isinstance(at, str):
        return CLEAN, 0.0
    by_severity = set(at) == {"perturbation", "severity"}
    name = str(at["perturbation"]) if by_severity else next(iter(at))
    _, unit = levels_for(name, modality)
    if by_severity:
        level = level_at(name, float(at["severity"]), modality)
    else:
        level = float(at[name])
        admit(name, level, modality)
    if level == get(name).neutral:
        msg = f"must not be {level:g} {unit} of {name}, which changes nothing; write clean"
        raise ValueError(msg)
    return name, level
