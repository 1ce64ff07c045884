"""What a comparison of two releases says, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from auditor.schema import CLEAN, Estimate
from auditor.schema.release import (
    ReleaseChange,
    ReleaseComparison,
    ReleasePair,
    ReleaseVerdict,
)

__all__ = ["limits", "sentences"]


def sentences(found: ReleaseComparison) -> ReleaseComparison:
    """Add the answer in words, one block of sentences a system."""
    told = [line for pair in found.pairs for line in _of_pair(pair, found)]
    return replace(found, sentences=tuple(told))


def limits(*, same_seed: bool, level: float) -> tuple[str, ...]:
    """List what a reader must not conclude."""
    told = [
        (
            "Non-inferior means within the declared margin, on patients like these, under the simulated "
            "changes alone; it does not mean better."
        ),
        (
            f"Each condition is judged at {100 * level:g} %; non-inferior as a whole needs every one of them, "
            "and the interval that calls a condition inferior holds for all conditions of a label together."
        ),
        "Flipped cases are counted, not tested: near the threshold a small change flips a case either way.",
    ]
    if not same_seed:
        told.append(
            "The runs drew their perturbations from different seeds, so that a perturbed scan is not the same "
            "scan in both; differences under perturbations hold the spread of the draws as well."
        )
    return tuple(told)


def _of_pair(pair: ReleasePair, found: ReleaseComparison) -> Iterator[str]:
    name = pair.after if pair.before == pair.after else f"{pair.after} after {pair.before}"
    if _identical(pair):
        yield (
            f"{name}: identical predictions in all {pair.compared_predictions} evaluations that both runs "
            "have; there is nothing to compare."
        )
        return
    margin = f"{found.margin:g}"
    conditions = len(pair.changes)
    inferior = sum(it.verdict is ReleaseVerdict.INFERIOR for it in pair.changes)
    metric = found.metric.upper() if len(found.metric) <= 4 else found.metric.replace("_", " ")
    what = {
        ReleaseVerdict.NON_INFERIOR: f"is non-inferior within {margin} at all",
        ReleaseVerdict.CONDITIONAL: (
            f"is non-inferior within {margin}, given no unseen collapse, at all"
        ),
        ReleaseVerdict.INFERIOR: f"loses more than {margin} at {inferior} of",
        ReleaseVerdict.UNDECIDED: f"is not shown to be non-inferior within {margin} at all",
    }[pair.verdict]
    yield (
        f"{name}: {pair.verdict.value}. It {what} {_several(conditions, 'condition')}, "
        f"n = {_several(found.patients, 'patient')} of both runs."
    )
    clean = [it for it in pair.changes if it.perturbation == CLEAN]
    for it in clean:
        yield f"On clean scans the mean {metric} of {it.label} {_moved(it)}."
    worst = _worst(pair)
    if worst is not None:
        at = f"{worst.perturbation} {worst.level:g} {worst.unit}" if worst.level is not None else ""
        mean = f"the mean {metric} of {worst.label}"
        yield f"The largest loss is under {at.strip()}: {mean} {_moved(worst)}."
    losing = [it for it in pair.strata if it.regression]
    if losing:
        listed = ", ".join(f"{it.axis} {it.stratum} ({it.label})" for it in losing)
        yield f"On clean scans it loses in {listed}, intervals of all groups together."
    if pair.lost or pair.gained:
        yield (
            f"{_several(pair.lost, 'evaluation')} fell below {found.threshold:g} that had reached it, "
            f"{pair.gained} reached it that had not."
        )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "\u2212")


def _several(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _identical(pair: ReleasePair) -> bool:
    """Tell whether nothing differs; what failed in one run has no prediction to be compared with."""
    same = pair.compared_predictions > 0 and pair.same_predictions == pair.compared_predictions
    moved = any(it.loss.value not in (None, 0.0) for it in pair.changes)
    return same and not moved and not pair.lost and not pair.gained


def _worst(pair: ReleasePair) -> ReleaseChange | None:
    """Find the perturbed condition with the largest mean loss; None when nothing is lost."""
    lost = [
        it
        for it in pair.changes
        if it.perturbation != CLEAN and it.loss.value is not None and it.loss.value > 0
    ]
    return max(lost, key=lambda it: it.loss.value or 0.0) if lost else None


def _moved(it: ReleaseChange) -> str:
    """Say by how much a mean got worse or better, with its interval."""
    loss = it.loss
    if loss.value is None or it.before is None or it.after is None:
        return f"is not comparable: {loss.note}"
    way = "got worse by" if loss.value > 0 else "improved by" if loss.value < 0 else "changed by"
    return (
        f"{way} {abs(loss.value):.3f}, from {it.before:.3f} to {it.after:.3f} ({_interval(loss)})"
    )


def _interval(loss: Estimate) -> str:
    if loss.low is None or loss.high is None or loss.level is None:
        return f"n = {loss.n}; {loss.note}"
    return (
        f"change for the worse {_signed(loss.low)} to {_signed(loss.high)}, {100 * loss.level:g} % together, "
        f"n = {loss.n}"
    )
