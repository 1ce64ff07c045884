"""Contract sensitivity: whether another contract fits the references better than the declared one.

**Conventions.** Golden pairs prove a contract; without them a few cases can still contradict it. On
three cases the declared contract and contracts that are one change away (`alternatives`) are scored
by the DSC with the reference, the mean over the declared labels that the reference holds. A failure
scores 0. Windows and layouts are left out: a larger overlap that scores better is a setting to be
tuned, no misunderstanding, and a wrong layout does not run.

**When an alternative is better.** It must score higher on *every* case, and on average by at least a
margin: .05 on three cases (.10 on two, .20 on one), and at least a quarter of what the declared
contract lacks to a DSC of 1. Symmetric anatomy makes a flipped scan nearly as good as the right one,
and dozens of alternatives are looked at, so without a margin chance alone would raise doubts. A
system that works badly also varies more, hence the quarter; the right contract gains more than that.
With seven alternatives exchangeable with the declared contract (all flips of a volume), independent,
and differences of standard deviation s per case, the probability of a false doubt is, by simulation,
below .001 at a mean DSC of .9 and s = .02, .01 at .85 and .03, .03 at .7 and .05, .02 at .5 and .08.

**Cost.** Bounded by counts, never by a clock, so that the outcome is the same everywhere. An
alternative is left out where the declared contract leaves no room for it, or where it would need more
than `MOST_GROWTH` times the voxels; only the best of those that are better on the first case are
tried on the others; three crashes or time-outs end the search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import Tensor

from auditor.errors import AuditError
from auditor.proxies import agreement
from auditor.schema import Geometry, OutputSpec, Sensitivity, Status, SystemSpec
from auditor.systems.alternatives import Alternative, alternatives, rereadings
from auditor.systems.golden import Pair, answer_under
from auditor.systems.preparation import fed_sizes
from auditor.systems.running import Asked, Failure, Prediction, System

__all__ = ["MARGINS", "Witness", "better", "contract_sensitivity", "unasked"]

MARGINS: Mapping[int, float] = {1: 0.20, 2: 0.10, 3: 0.05}
"""Number of cases -> by how much the mean DSC must be higher at least."""

LACKING = 0.25
"""And at least by this share of what the declared contract lacks to a mean DSC of 1."""

MOST_ALTERNATIVES = 100
"""More contracts than these are never run."""

MOST_AGAIN = 8
"""So many of them are run on the second and third case."""

MOST_GROWTH = 4.0
"""An alternative may feed so many times the voxels of the declared contract."""

MOST_LOST = 3
"""So many crashes or time-outs end the search."""

_LOST = frozenset({Status.CRASHED, Status.TIMED_OUT})

_PROBABILITIES = {"softmax", "sigmoid"}
"""Read as the other one, the same numbers are only cut elsewhere."""

_SETTINGS = frozenset({"window", "layout"})
"""Alternatives that are no misunderstanding of the contract."""

AS_GOOD = 0.01
"""Mean DSC within which two contracts are equally good."""

_Scored = tuple[Alternative, tuple[float, ...]]
"""Another contract with its DSC per case."""

Told = Callable[[int, int], None]
"""Is told how many of how many alternatives were run on the first case."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A case on which contracts are compared."""

    case: str
    """The user's name for it."""
    load: Callable[[], Pair]
    """Reads image, geometry and reference, whose numbers are those of the declared labels."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """What the declared contract, and other readings of its answers, score on the cases."""

    scores: tuple[float, ...]
    readings: tuple[_Scored, ...]
    failure: str
    """Why it could not be run on a case; empty when it could."""
    lost: int
    """Crashes and time-outs."""


def unasked(why: str) -> Sensitivity:
    """Record that no other contract was tried, with the reason."""
    return Sensitivity(note=f"other contracts were not tried: {why}")


def better(declared: Sequence[float], other: Sequence[float]) -> bool:
    """Tell whether a contract is better than the declared one; the rule stands above.

    Parameters
    ----------
    declared, other : DSC per case, of one to three cases.

    Returns
    -------
    True when it is higher on every case and on average by at least the margin.

    Examples
    --------
    >>> better([0.60, 0.62, 0.61], [0.72, 0.69, 0.75])  # .11 of the .39 that are lacking
    True
    >>> better([0.60, 0.62, 0.61], [0.95, 0.61, 0.95])  # lower on one case
    False
    >>> better([0.90, 0.92, 0.91], [0.93, 0.94, 0.95])  # by less than .05
    False
    """
    gains = [b - a for a, b in zip(declared, other, strict=True)]
    # 1e-9: .65 - .60 is not .05 in binary
    return min(gains) > 0 and math.fsum(gains) / len(gains) >= margin_of(declared) - 1e-9


def margin_of(declared: Sequence[float]) -> float:
    """Tell by how much the mean DSC of another contract must be higher.

    Examples
    --------
    >>> margin_of([0.9, 0.9, 0.9]), margin_of([0.6, 0.6, 0.6]), margin_of([0.6])
    (0.05, 0.1, 0.2)
    """
    lacking = 1.0 - math.fsum(declared) / len(declared)
    return max(MARGINS[len(declared)], round(LACKING * lacking, 12))


def contract_sensitivity(
    system: System, witnesses: Sequence[Witness], *, told: Told = lambda _, __: None
) -> Sensitivity:
    """Score the declared contract and others on up to three cases.

    Parameters
    ----------
    system : open, under its declared contract.
    witnesses : one to three cases whose references hold a declared label.
    told : is told of the progress.

    Returns
    -------
    The best of the contracts that are better, or that none is.
    """
    if not witnesses:
        return unasked("no case has a reference that holds a declared label")
    declared = _score_declared(system, witnesses)
    count = len(declared.readings)
    found: list[_Scored] = []
    if _reachable(declared.scores, (), len(witnesses)):
        first, run = _first_case(system, witnesses[0], declared, told)
        count += run
        found += _other_cases(system, witnesses[1:], declared.scores, first)
    found += [(a, scores) for a, scores in declared.readings if better(declared.scores, scores)]
    return _outcome(declared, count, found)


def _score_declared(system: System, witnesses: Sequence[Witness]) -> _Declared:
    readings = list(rereadings(system.spec))
    own: list[float] = []
    others: list[list[float]] = [[] for _ in readings]
    failure, lost = "", 0
    for witness in witnesses:
        image, geometry, reference = witness.load()
        answer = system.predict([image], geometry, asked=[Asked(witness.case)])[0]
        if isinstance(answer, Failure):
            failure = failure or f"{answer.status.value.replace('_', ' ')}: {answer.reason}"
            lost += answer.status in _LOST
        output = system.spec.output
        own.append(_score(answer, reference, output, output))
        for scores, reading in zip(others, readings, strict=True):
            read = answer_under(system, reading, image, geometry, answer)
            scores.append(_score(read, reference, output, reading.spec.output))
    scored = zip(readings, map(tuple, others), strict=True)
    return _Declared(tuple(own), tuple(scored), failure, lost)


def _score(
    answer: Prediction | Failure, reference: Tensor, declared: OutputSpec, used: OutputSpec
) -> float:
    """Mean DSC over the declared labels that the reference holds."""
    if isinstance(answer, Failure):
        return 0.0
    numbers = dict(used.labels)
    values = [
        agreement(answer.labels == numbers[name], theirs)
        for name, number in declared.labels
        if bool((theirs := reference == number).any())
    ]
    return math.fsum(values) / len(values) if values else 0.0


def _reachable(declared: Sequence[float], scored: Sequence[float], cases: int) -> bool:
    """Tell whether a contract could still be better, were it perfect on the cases to come."""
    best = [*scored, *[1.0] * (cases - len(scored))]
    return better(declared, best)


def _first_case(
    system: System, witness: Witness, declared: _Declared, told: Told
) -> tuple[list[tuple[Alternative, float]], int]:
    """Run every alternative on one case; return those that could be better, and how many ran."""
    image, geometry, reference = witness.load()
    runs = list(islice(_worth_running(system.spec, geometry), MOST_ALTERNATIVES))
    own, lost, done = declared.scores, declared.lost, 0
    kept: list[tuple[Alternative, float]] = []
    for alternative in runs:
        if lost >= MOST_LOST:
            break
        told(done, len(runs))
        done += 1
        answer = system.under(alternative.spec).predict([alternative.fed(image)], geometry)[0]
        if isinstance(answer, Failure):
            lost += answer.status in _LOST
            continue
        score = _score(answer, reference, system.spec.output, alternative.spec.output)
        if score > own[0] and _reachable(own, [score], len(own)):
            kept.append((alternative, score))
    told(len(runs), len(runs))
    least = sorted((score for _, score in kept), reverse=True)[:MOST_AGAIN]
    return [pair for pair in kept if pair[1] >= least[-1]][:MOST_AGAIN], done


def _worth_running(spec: SystemSpec, geometry: Geometry) -> Iterator[Alternative]:
    most = MOST_GROWTH * _voxels(spec, geometry)
    for alternative in alternatives(spec, geometry):
        if alternative.rereads or alternative.name in _SETTINGS:
            continue
        if {alternative.declared, alternative.tried} == _PROBABILITIES:
            continue  # of probabilities this is another threshold, which suits a weak network by chance
        if _voxels(alternative.spec, geometry) <= most:
            yield alternative


def _voxels(spec: SystemSpec, geometry: Geometry) -> float:
    try:
        return math.prod(fed_sizes(geometry, spec.input))
    except AuditError:
        return 0.0  # it is refused before it costs anything


def _other_cases(
    system: System,
    witnesses: Sequence[Witness],
    declared: Sequence[float],
    first: Sequence[tuple[Alternative, float]],
) -> list[_Scored]:
    """Run the survivors of the first case on the others, one case in memory at a time."""
    alive: list[_Scored] = [(a, (score,)) for a, score in first]
    for place, witness in enumerate(witnesses, start=1):
        if not alive:
            break
        image, geometry, reference = witness.load()
        further = []
        for alternative, scores in alive:
            under = system.under(alternative.spec)
            answer = under.predict([alternative.fed(image)], geometry)[0]
            score = _score(answer, reference, system.spec.output, alternative.spec.output)
            scored = (*scores, score)
            if score > declared[place] and _reachable(declared, scored, len(declared)):
                further.append((alternative, scored))
        alive = further
    return [(a, scores) for a, scores in alive if better(declared, scores)]


def _outcome(declared: _Declared, tried: int, found: Sequence[_Scored]) -> Sensitivity:
    cases = len(declared.scores)
    mean = math.fsum(declared.scores) / cases
    on = f"{cases} {'case' if cases == 1 else 'cases'}"
    margin = f"{margin_of(declared.scores):.2f}".removeprefix("0")
    others = f"{tried} other {'contract' if tried == 1 else 'contracts'}"
    facts: dict[str, Any] = {"cases": cases, "alternatives": tried, "declared": mean}
    failed = f" (a case is {declared.failure})" if declared.failure else ""
    if found:
        alternative, scores = _likeliest(found)
        gained = math.fsum(scores) / cases
        more = f"; {len(found) - 1} of the others also better" if len(found) > 1 else ""
        note = (
            f"{alternative.text} has a mean DSC of {gained:.3f} with the references, {mean:.3f} as "
            f"declared (n = {on}, {others} tried{more}){failed}"
        )
        return Sensitivity(
            note, **facts, better=alternative.text, better_dsc=gained, line=alternative.line
        )
    if not _reachable(declared.scores, (), cases):
        note = (
            f"{on}: the mean DSC is {mean:.3f} as declared, so that no contract could be better by "
            f"{margin}"
        )
        return Sensitivity(note, **facts)
    note = (
        f"{on}, {others}: none is better on every case and by {margin} on average "
        f"(mean DSC {mean:.3f} as declared){failed}"
    )
    return Sensitivity(note, **facts)


def _likeliest(found: Sequence[_Scored]) -> _Scored:
    """Of contracts that are as good as the best, take the likeliest mistake: they are in that order."""
    best = max(math.fsum(scores) for _, scores in found)
    return next(it for it in found if math.fsum(it[1]) >= best - len(it[1]) * AS_GOOD)
