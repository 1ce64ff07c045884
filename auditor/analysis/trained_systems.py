"""Who was trained how: the systems that are training runs of the same architecture, trained alike.

**Conventions.** Systems are runs of one *training* when they declare the same family, the same training patch
and the same condition of the training images. An ablated system is no training run, and neither is a
checkpoint that stands among the runs already (under another window, or with the same training seed).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from auditor.schema import CLEAN, SystemRecord

__all__ = [
    "Training",
    "distinct",
    "families_trained_alike",
    "named_runs",
    "repeated",
    "runs_by_training",
    "training_words",
]


class Training(NamedTuple):
    """How systems of one family were trained, as far as it is declared."""

    family: str
    patch: tuple[int, ...] | None
    """Voxels of a training patch; None: not stated."""
    condition: tuple[str, float] | None
    """(perturbation, level) of the training images, (clean, 0) for none; None: not stated."""


def runs_by_training(
    systems: Sequence[SystemRecord],
) -> dict[Training, tuple[SystemRecord, ...]]:
    """Group the systems that declare a family, in the order of the configuration."""
    found: dict[Training, list[SystemRecord]] = {}
    for record in systems:
        if not record.family or record.ablation is not None:
            continue
        facts = record.training
        patch, condition = (None, None) if facts is None else (facts.patch, facts.condition)
        found.setdefault(Training(record.family, patch, condition), []).append(record)
    return {training: tuple(runs) for training, runs in found.items()}


def training_words(trainings: Collection[Training]) -> dict[Training, str]:
    """Name each training by its family, and by what tells it from others of the family.

    Examples
    --------
    >>> easy, hard = (Training("unet", None, ("texture_blend", it)) for it in (0.1, 0.9))
    >>> list(training_words([easy, hard]).values())
    ['unet (texture_blend 0.1)', 'unet (texture_blend 0.9)']
    >>> list(training_words([easy]).values())
    ['unet']
    """
    named = {}
    for training in trainings:
        own = [it for it in trainings if it.family == training.family]
        told = []
        if len({it.patch for it in own}) > 1:
            told.append(_patch(training))
        if len({it.condition for it in own}) > 1:
            told.append(_condition(training))
        named[training] = f"{training.family} ({', '.join(told)})" if told else training.family
    return named


def _patch(training: Training) -> str:
    if training.patch is None:
        return "patch not stated"
    return f"patch {'x'.join(map(str, training.patch))}"


def _condition(training: Training) -> str:
    if training.condition is None:
        return "training images not stated"
    name, level = training.condition
    return "clean images" if name == CLEAN else f"{name} {level:g}"


def distinct(
    runs: Sequence[SystemRecord],
) -> tuple[tuple[SystemRecord, ...], tuple[SystemRecord, ...]]:
    """Part runs that are repetitions of a training from those that repeat another run.

    Returns
    -------
    kept : of each checkpoint and training seed the first
    left_out : the others
    """
    kept: list[SystemRecord] = []
    left_out: list[SystemRecord] = []
    for record in runs:
        twin = any(_same(record, it) for it in kept)
        (left_out if twin else kept).append(record)
    return tuple(kept), tuple(left_out)


def named_runs(systems: Sequence[SystemRecord]) -> dict[str, tuple[SystemRecord, ...]]:
    """Name every training with the systems that are its repetitions, in the order of the configuration."""
    found = runs_by_training(systems)
    words = training_words(found)
    return {words[it]: distinct(runs)[0] for it, runs in found.items()}


def families_trained_alike(
    systems: Sequence[SystemRecord],
) -> dict[str, dict[str, tuple[SystemRecord, ...]]]:
    """Set families side by side that were trained alike.

    Returns
    -------
    dict
        Words of a training -> family -> its repetitions. Patches and conditions part the families only
        where some family has several of them; where none has, there is one entry, without words.
    """
    found = runs_by_training(systems)
    words = training_words(found)
    several = {it.family for it in found if words[it] != it.family}
    own = [it for it in found if it.family in several]
    by_patch = any(len({it.patch for it in own if it.family == name}) > 1 for name in several)
    by_condition = any(
        len({it.condition for it in own if it.family == name}) > 1 for name in several
    )
    alike: dict[str, dict[str, tuple[SystemRecord, ...]]] = {}
    for training, runs in found.items():
        told = [_patch(training)] if by_patch else []
        told += [_condition(training)] if by_condition else []
        alike.setdefault(", ".join(told), {})[training.family] = distinct(runs)[0]
    return alike


def repeated(runs: Sequence[SystemRecord]) -> bool:
    """Tell whether a checkpoint or a training seed stands twice."""
    return bool(distinct(runs)[1])


def _same(first: SystemRecord, second: SystemRecord) -> bool:
    seeds = {first.training_seed, second.training_seed}
    return (first.sha256 == second.sha256 and bool(first.sha256)) or (
        len(seeds) == 1 and None not in seeds
    )
