"""One checkpoint under several windows, read against the share of foreground in them.

A sweep changes the window of *one trained model*. The published experiment (Kamath et al., "How do 3D
image segmentation networks behave across the context versus foreground ratio trade-off?", 2022) trained
one model per patch size: its results cannot be read off a sweep, and a sweep not off them.

**Conventions.** Systems belong to one sweep when checkpoint and contract agree in everything but the
window. *Inside* is strictly between the declared ends of the training range, as in that study. Groups are
groups of cases; a patient's cases are averaged within the group first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.comparison import paired
from auditor.analysis.difficulty import SIZE, Values, values_of
from auditor.analysis.intervals import FEW, studentized_interval
from auditor.analysis.promises import main_columns
from auditor.analysis.properties import Properties
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key, over_patients
from auditor.schema import (
    CLEAN,
    Estimate,
    StratumSpec,
    SystemRecord,
    WindowCell,
    WindowDifference,
    WindowSweep,
    WindowUse,
)
from auditor.strata.assign import MISSING, freeze

__all__ = ["CHANGES_SIDE", "swept", "window_sweeps", "window_words"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

CHANGES_SIDE = "changes side"
"""Group of cases that one window puts inside the training range and the other outside."""
_TUNED = ("flips", "precision")
"""Settings beside the contract that change predictions on purpose."""


def swept(setup: AnalysisSetup) -> tuple[tuple[SystemRecord, ...], ...]:
    """Find the systems that differ in nothing but their window.

    Returns
    -------
    tuple
        Groups of at least two different windows, each from the smallest window to the largest.
    """
    alike: dict[object, list[SystemRecord]] = {}
    for record in setup.systems:
        if record.sha256 and record.name in setup.windows:
            fields = record.contract.fields
            contract = tuple(
                (it.name, it.value) for it in fields if not it.name.startswith("window")
            )
            tuned = tuple(it for it in record.settings if it[0] in _TUNED)
            alike.setdefault((record.sha256, contract, tuned, record.ablation), []).append(record)
    return tuple(
        tuple(sorted(members, key=lambda it: _extent(setup.windows[it.name])))
        for members in alike.values()
        if len({setup.windows[it.name] for it in members}) > 1
    )


def _parts(window: str) -> list[str]:
    """Read what the name of a property says of its windows: size, overlap, placement, grid."""
    return window.partition("[")[2].removesuffix("]").split("; ")


def _extent(window: str) -> tuple[float, str]:
    """Voxels of a window; the whole image is larger than all of them."""
    sides = _parts(window)[0].split("x")
    known = all(it.isdigit() for it in sides)
    return math.prod(int(it) for it in sides) if known else math.inf, window


def window_words(names: Sequence[str]) -> dict[str, str]:
    """Name windows by their size, and by whatever else is not the same in all of them.

    Parameters
    ----------
    names : of the properties

    Examples
    --------
    >>> list(
    ...     window_words(["w[64x64x32; axes RAS]", "w[64x64x32; overlap 0.25; axes RAS]"]).values()
    ... )
    ['64x64x32', '64x64x32, overlap 0.25']
    """
    shared = set.intersection(*(set(_parts(name)[1:]) for name in names))
    return {
        name: ", ".join(
            it for place, it in enumerate(_parts(name)) if not place or it not in shared
        )
        for name in names
    }


def window_sweeps(
    columns: Mapping[Key, Column], found: Properties, setup: AnalysisSetup
) -> tuple[WindowSweep, ...]:
    """Read every sweep, for every label."""
    clean = {
        (key.system, key.label): column
        for key, column in main_columns(columns, "dsc").items()
        if key.perturbation == CLEAN
    }
    return tuple(
        _sweep(members, label, clean, found, setup)
        for members in swept(setup)
        for label in setup.labels
        if all((it.name, label) in clean for it in members)
    )


def _sweep(
    members: Sequence[SystemRecord],
    label: str,
    clean: Mapping[tuple[str, str], Column],
    found: Properties,
    setup: AnalysisSetup,
) -> WindowSweep:
    words = window_words([setup.windows[it.name] for it in members])
    scores = {it.name: clean[it.name, label].judged for it in members}
    shares = {it.name: _shares(it, label, found, setup) for it in members}
    missing = [
        f"The share of foreground in windows of {words[setup.windows[name]]}: {values.note}."
        for name, values in shares.items()
        if values.note
    ]
    training, told = _training(members)
    missing += told
    sizes, told = _sizes(values_of(found, SIZE, label, setup), label, setup)
    missing += told
    sides = _sides(shares, training)
    everywhere = np.ones(len(setup.names), dtype=bool)
    cells = [
        WindowCell(name, side, size, _mean(scores[name], where & inside, setup))  # type: ignore[arg-type]
        for name in scores
        for side, where in (("all", everywhere), *sides[name].items())
        for size, inside in {"all": everywhere, **sizes}.items()
    ]
    return WindowSweep(
        label=label,
        uses=tuple(_use(it, words, shares[it.name], scores[it.name], setup) for it in members),
        training=training,
        sizes=tuple(sizes),
        cells=tuple(cells),
        differences=_differences(scores, sides, sizes, setup),
        missing=tuple(missing),
    )


def _shares(record: SystemRecord, label: str, found: Properties, setup: AnalysisSetup) -> Values:
    return values_of(found, setup.windows[record.name], label, setup)


def _training(members: Sequence[SystemRecord]) -> tuple[tuple[float, float] | None, list[str]]:
    ranges = {None if it.training is None else it.training.foreground_ratio for it in members}
    if len(ranges) > 1:
        return None, [
            "Inside and outside of the training range: the systems of this sweep declare different ranges."
        ]
    (found,) = ranges
    if found is None:
        return None, [
            "Inside and outside of the training range: training.foreground_ratio is not declared."
        ]
    return found, []


def _sizes(size: Values, label: str, setup: AnalysisSetup) -> tuple[dict[str, Flags], list[str]]:
    """Thirds of object size, as groups of cases."""
    numbers = {
        case: None if np.isnan(it) else float(it)
        for case, it in zip(setup.names, size.numbers, strict=True)
    }
    if not np.isfinite(size.numbers).any():
        return {}, [f"Object size: {size.note or 'no case has a value'}."]
    thirds = freeze(numbers, StratumSpec(SIZE, label, "tertiles"))
    if thirds.kind == "not assessable":
        return {}, [f"Object size: {thirds.note}."]
    groups = {
        name: np.array([thirds.membership[case] == name for case in setup.names])
        for name in thirds.names
        if name != MISSING
    }
    return groups, [f"Object size: {size.note}."] if size.note else []


def _sides(
    shares: Mapping[str, Values], training: tuple[float, float] | None
) -> dict[str, dict[str, Flags]]:
    """System -> inside, outside -> cases; nothing where they cannot be told apart."""
    if training is None:
        return {name: {} for name in shares}
    low, high = training
    sides: dict[str, dict[str, Flags]] = {}
    for name, values in shares.items():
        known = ~np.isnan(values.numbers)
        if not known.any():
            sides[name] = {}
            continue
        inside = known & (values.numbers > low) & (values.numbers < high)
        sides[name] = {"inside": inside, "outside": known & ~inside}
    return sides


def _use(
    record: SystemRecord,
    words: Mapping[str, str],
    shares: Values,
    scores: Floats,
    setup: AnalysisSetup,
) -> WindowUse:
    window = setup.windows[record.name]
    return WindowUse(
        system=record.name,
        window=words[window],
        property=window,
        points=tuple(
            (case.display_case, float(shares.numbers[i]), float(scores[i]))
            for i, case in enumerate(setup.cases)
            if not np.isnan(shares.numbers[i]) and not np.isnan(scores[i])
        ),
    )


def _mean(scores: Floats, inside: Flags, setup: AnalysisSetup) -> Estimate:
    """Mean over the patients of a group, with its interval where they are enough."""
    sample = over_patients(scores, setup.patient_numbers, inside)
    n, level = len(sample), setup.audit.interval_level
    if n == 0:
        return Estimate(None, 0, "none", status="not_assessable", note="no patient")
    mean = float(sample.mean())
    if n < FEW:
        return Estimate(mean, n, "descriptive", status="too_few", note=f"needs n >= {FEW}")
    low, high = (
        float(it[0])
        for it in studentized_interval(sample[:, None], setup.weights(n), level=level, bounded=True)
    )
    if low == high:
        note = "all patients have the same value; the interval says nothing of others"
        return Estimate(mean, n, "descriptive", status="degenerate", note=note)
    return Estimate(mean, n, "studentized bootstrap", "two-sided", level, low, high)


def _differences(
    scores: Mapping[str, Floats],
    sides: Mapping[str, Mapping[str, Flags]],
    sizes: Mapping[str, Flags],
    setup: AnalysisSetup,
) -> tuple[WindowDifference, ...]:
    known = np.logical_and.reduce([~np.isnan(it) for it in scores.values()])
    rows = []
    for group, inside in {"all": known, **sizes}.items():
        values = {
            name: over_patients(it, setup.patient_numbers, known & inside)
            for name, it in scores.items()
        }
        rows += _pairs(values, group, setup)
    for first, second in itertools.combinations(scores, 2):
        if not sides[first] or not sides[second]:
            continue
        leaves = sides[first]["inside"] & sides[second]["outside"]
        enters = sides[first]["outside"] & sides[second]["inside"]
        moved = known & (leaves | enters)
        within = np.where(leaves, scores[first], scores[second])
        beyond = np.where(leaves, scores[second], scores[first])
        values = {
            name: over_patients(it, setup.patient_numbers, moved)
            for name, it in ((first, within), (second, beyond))
        }
        rows += _pairs(values, CHANGES_SIDE, setup)
    return tuple(rows)


def _pairs(
    values: Mapping[str, Floats], group: str, setup: AnalysisSetup
) -> list[WindowDifference]:
    n = len(next(iter(values.values())))
    if n == 0:
        none = Estimate(None, 0, "none", status="not_assessable", note="no patient")
        return [WindowDifference(a, b, group, none) for a, b in itertools.combinations(values, 2)]
    level = setup.audit.interval_level
    found = paired(values, setup.weights(n), level=level, higher_is_better=True, reach=1.0)
    return [WindowDifference(it.first, it.second, group, it.difference) for it in found]
