"""What is estimated of scores under windows: means, differences, drops, and where the loss lies.

**Conventions.** Those of `window_groups`. With `ENOUGH_RUNS` training runs of a family an interval is about
other patients and other training runs (`training_runs`); with fewer, and in a sweep of one checkpoint, about
other patients of these very checkpoints, and its method says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.comparison import paired
from auditor.analysis.intervals import FEW
from auditor.analysis.means import mean_estimate
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import over_patients
from auditor.analysis.training_runs import (
    ENOUGH_RUNS,
    Part,
    difference_of_runs,
    mean_of_runs,
    part_of,
    t_interval,
)
from auditor.analysis.window_groups import ENDS, Member
from auditor.schema import Estimate, LossShare, RangeDrop, WindowCell, WindowDifference

__all__ = ["CHANGES_SIDE", "cells", "differences", "drop_between", "drops", "losses"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

CHANGES_SIDE = "changes side"
"""Group of cases that one window puts inside the training range and the other outside."""
_SHARE = (0.0, 1.0)
_DIFFERENCE = (-1.0, 1.0)
_NONE = Estimate(None, 0, "none", status="not_assessable", note="no patient")


def cells(
    members: Sequence[Member], sizes: Mapping[str, Flags], setup: AnalysisSetup
) -> tuple[WindowCell, ...]:
    """Mean DSC of every window, by side and by size."""
    everywhere = np.ones(len(setup.names), dtype=bool)
    found = []
    for member in members:
        crossed = {name: it for name, it in member.sides.items() if name not in ENDS}
        for side, where in {"all": everywhere, **crossed}.items():
            for size, inside in {"all": everywhere, **sizes}.items():
                found.append((member, side, size, where & inside))
        found += [(member, it, "all", member.sides[it]) for it in ENDS if it in member.sides]
    return tuple(
        WindowCell(it.name, side, size, _mean(it, where, setup))  # type: ignore[arg-type]
        for it, side, size, where in found
    )


def _of_whom(method: str, members: Sequence[Member]) -> str:
    """Say of which training runs an interval over patients speaks, where they stand for a family."""
    if not members[0].of_family:
        return method
    runs = max(len(it.scores) for it in members)
    these = "this training run" if runs == 1 else f"these {runs} training runs"
    return f"{method}, over patients of {these} alone"


def _mean(member: Member, where: Flags, setup: AnalysisSetup) -> Estimate:
    """Mean over the patients of a group, with its interval where they are enough."""
    values = member.over_patients(where, setup)
    if not values.shape[1]:
        return _NONE
    level, seed = setup.audit.interval_level, setup.seed("bootstrap")
    if not member.of_family:  # one checkpoint: nothing is said of training runs
        return mean_estimate(values[0], level=level, seed=seed, least=0.0)
    return mean_of_runs(values, level=level, seed=seed, reach=_SHARE)


def differences(
    members: Sequence[Member], sizes: Mapping[str, Flags], setup: AnalysisSetup
) -> tuple[WindowDifference, ...]:
    """Compare windows on the same patients: over all, by size, and where a case changes its side."""
    known = np.logical_and.reduce([it.known for it in members])
    rows = []
    for group, inside in {"all": known, **sizes}.items():
        values = {it.name: it.over_patients(known & inside, setup) for it in members}
        rows += [WindowDifference(*pair, group, it) for pair, it in _pairs(values, members, setup)]
    sided = [pair for pair in itertools.combinations(members, 2) if all(it.sides for it in pair)]
    rows += [
        WindowDifference(
            one.name, other.name, CHANGES_SIDE, _moved(one, other, known, setup, pairs=len(sided))
        )
        for one, other in sided
    ]
    return tuple(rows)


def _moved(
    first: Member, second: Member, known: Flags, setup: AnalysisSetup, *, pairs: int
) -> Estimate:
    """Inside less outside, of cases that one window puts inside the range and the other outside."""
    leaves = first.sides["inside"] & second.sides["outside"]
    enters = first.sides["outside"] & second.sides["inside"]
    one, other = first.scores, second.scores
    if len(one) != len(other):  # runs cannot be set side by side, their means can
        one, other = first.mean[None], second.mean[None]
    moved = known & (leaves | enters)
    apart = np.stack(
        [
            over_patients(it, setup.patient_numbers, moved)
            for it in np.where(leaves, one - other, other - one)
        ]
    )
    n, level = apart.shape[1], setup.audit.interval_level
    if n == 0:
        return _NONE
    each = 1.0 - (1.0 - level) / pairs
    adjusted = ", Bonferroni over pairs" if pairs > 1 else ""
    if len(apart) < ENOUGH_RUNS or n < FEW:
        means = {first.name: apart.mean(axis=0), second.name: np.zeros(n)}
        (pair,) = paired(means, setup.weights(n), level=each, higher_is_better=True, reach=1.0)
        if pair.difference.low is None:
            return pair.difference
        method = _of_whom(f"paired studentized bootstrap{adjusted}", [first, second])
        return replace(pair.difference, method=method, level=level)
    return t_interval(
        float(apart.mean()),
        [part_of(apart.mean(axis=0)), part_of(apart.mean(axis=1))],
        n=n,
        level=level,
        each=each,
        reach=_DIFFERENCE,
        method="t on patients and training runs ({freedom})" + adjusted,
    )


def _pairs(
    values: Mapping[str, Floats], members: Sequence[Member], setup: AnalysisSetup
) -> list[tuple[tuple[str, str], Estimate]]:
    """Compare (runs, patients) pair by pair, simultaneously.

    Parameters
    ----------
    values : name -> (runs, patients)
        The runs of one have nothing to do with those of another.
    members : behind them
    setup : the audit
    """
    n = next(iter(values.values())).shape[1]
    pairs = list(itertools.combinations(values, 2))
    if n == 0:
        return [(pair, _NONE) for pair in pairs]
    level = setup.audit.interval_level
    if min(len(it) for it in values.values()) < ENOUGH_RUNS or n < FEW:
        means = {name: it.mean(axis=0) for name, it in values.items()}
        found = paired(means, setup.weights(n), level=level, higher_is_better=True, reach=1.0)
        told = [it.difference for it in found]
        said = [replace(it, method=_of_whom(it.method, members)) for it in told]
        kept = [new if old.low is not None else old for old, new in zip(told, said, strict=True)]
        return list(zip(pairs, kept, strict=True))
    return [
        (
            (a, b),
            difference_of_runs(values[a], values[b], level=level, pairs=len(pairs), reach=1.0),
        )
        for a, b in pairs
    ]


def drops(
    members: Sequence[Member], sizes: Mapping[str, Flags], setup: AnalysisSetup
) -> tuple[RangeDrop, ...]:
    """Mean DSC inside of the training range less outside, for every window and size."""
    everywhere = np.ones(len(setup.names), dtype=bool)
    return tuple(
        RangeDrop(it.name, size, drop_between([it], it.sides, where, setup))
        for it in members
        if it.sides
        for size, where in {"all": everywhere, **sizes}.items()
    )


def drop_between(
    members: Sequence[Member],
    sides: Mapping[str, Flags],
    where: Flags,
    setup: AnalysisSetup,
    *,
    pairs: int = 1,
) -> Estimate:
    """Mean inside less mean outside: of one member, or of the first less the second.

    Parameters
    ----------
    members : one or two
    sides : inside and outside -> cases
    where : cases that count
    setup : the audit
    pairs : so many intervals hold together (Bonferroni)

    Returns
    -------
    Estimate
        Its n counts the patients of both sides. A patient with cases on both is taken for two, which
        errs on the wide side where its scores rise together.
    """
    known = np.logical_and.reduce([it.known for it in members])
    parted = [
        [it.over_patients(sides[side] & where & known, setup) for it in members]
        for side in ("inside", "outside")
    ]
    inside, outside = (_apart([it.mean(axis=0) for it in side]) for side in parted)
    n, level = len(inside) + len(outside), setup.audit.interval_level
    if not len(inside) or not len(outside):
        which = "inside" if not len(inside) else "outside"
        note = f"no patient {which} of the training range"
        return Estimate(None, n, "none", status="not_assessable", note=note)
    drop = float(inside.mean() - outside.mean())
    if min(len(inside), len(outside)) < FEW:
        note = f"{len(inside)} patients inside and {len(outside)} outside; needs >= {FEW} of each"
        return Estimate(drop, n, "descriptive", status="too_few", note=note)
    parts = [part_of(inside), part_of(outside)]
    fewest = min(len(it.scores) for it in members)
    if fewest >= ENOUGH_RUNS:
        parts += [_run_part(within, beyond) for within, beyond in zip(*parted, strict=True)]
        words = "t on patients inside and outside, and on training runs ({freedom})"
    else:
        words = _of_whom("t on patients inside and outside ({freedom})", members)
    return t_interval(
        drop,
        parts,
        n=n,
        level=level,
        each=1.0 - (1.0 - level) / pairs,
        reach=(-float(len(members)), float(len(members))),
        method=words + (", Bonferroni over pairs" if pairs > 1 else ""),
    )


def _apart(values: Sequence[Floats]) -> Floats:
    return values[0] if len(values) == 1 else values[0] - values[1]


def _run_part(inside: Floats, outside: Floats) -> Part:
    """Return what training runs add: the variance of the drop of a run."""
    return part_of(inside.mean(axis=1) - outside.mean(axis=1))


def losses(
    members: Sequence[Member], sizes: Mapping[str, Flags], setup: AnalysisSetup
) -> tuple[LossShare, ...]:
    """Find where all that is lost lies: the loss of each group over the loss of all cases."""
    return tuple(
        LossShare(it.name, name, *_loss(it, where, setup))
        for it in members
        for name, where in {
            **sizes,
            **{side: it.sides[side] for side in ("inside", *ENDS) if side in it.sides},
        }.items()
    )


def _loss(member: Member, where: Flags, setup: AnalysisSetup) -> tuple[Estimate, float]:
    """Share of the loss in a group, and the group's share of the cases.

    With a the mean loss in the group, b that of the others and w the group's share of the cases,
    R = w a / (w a + (1 - w) b), linearised in a and b: groups are compared with their size as it is.
    """
    known = member.known
    cases = float((where & known).sum() / known.sum()) if known.any() else 0.0
    inside, others = (1.0 - member.over_patients(it, setup) for it in (where, ~where))
    n, level = inside.shape[1] + others.shape[1], setup.audit.interval_level
    if not inside.shape[1] or not others.shape[1]:
        note = "no patient" if not inside.shape[1] else "every case is in this group"
        return Estimate(None, n, "none", status="not_assessable", note=note), cases
    of_group, of_others = cases * inside.mean(axis=1), (1.0 - cases) * others.mean(axis=1)
    total = of_group + of_others
    if not (total > 0).all():
        note = "a training run loses nothing" if len(total) > 1 else "nothing is lost"
        return Estimate(None, n, "none", status="not_assessable", note=note), cases
    share = float(of_group.mean() / total.mean())
    if min(inside.shape[1], others.shape[1]) < FEW:
        told = f"{inside.shape[1]} patients in the group and {others.shape[1]} others"
        note = f"{told}; needs >= {FEW} of each"
        return Estimate(share, n, "descriptive", status="too_few", note=note), cases
    parts = [
        part_of(cases * (1.0 - share) * inside.mean(axis=0) / total.mean()),
        part_of((1.0 - cases) * share * others.mean(axis=0) / total.mean()),
    ]
    if len(total) >= ENOUGH_RUNS:
        parts.append(part_of(of_group / total))
        method = "t of a ratio on patients and training runs ({freedom})"
    else:
        method = _of_whom("t of a ratio on patients ({freedom})", [member])
    found = t_interval(share, parts, n=n, level=level, reach=_SHARE, method=method)
    return found, cases
