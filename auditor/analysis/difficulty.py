"""How the clean DSC depends on what may make a case difficult.

**Conventions.** A meaning of difficulty is a property of the case with a declared harder end; values are
turned so that more is harder, which makes one reading serve all: a negative rank correlation says that
harder cases score lower. Correlations are over patients (means of their cases); what failed counts at
DSC 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.difficulty_lines import (
    case_weights,
    percentiles,
    running_band,
    window_patients,
)
from auditor.analysis.difficulty_ranks import drawn, partial, spearman
from auditor.analysis.intervals import DRAWS, FEW, order_statistic
from auditor.analysis.promises import main_columns
from auditor.analysis.properties import Properties, Property
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key, over_patients
from auditor.schema import CLEAN, DifficultyAxis, Estimate
from auditor.strata.axes import unit_of

__all__ = ["MEANINGS", "Meaning", "Values", "difficulty", "values_of"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_DRAWS = DRAWS // 4
_CLOSE = 0.9
"""From this rank correlation with size on, a reader is told how little is left."""
_FEW_PARTIAL = 20
"""Fewer patients give no interval with size held fixed: at 10 its coverage fell to 0.86 in simulation."""
METHOD = "Spearman, percentile bootstrap over patients"
PARTIAL_METHOD = "Spearman partialled for size, percentile bootstrap over patients"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One meaning of difficulty."""

    name: str
    """Of the property."""
    harder: Literal["high", "low"]
    """Which end is meant to be harder."""
    of_label: bool = True
    """False: a property of the scan as a whole."""


SIZE = "object_volume"

MEANINGS = (
    Meaning("rater_disagreement", "high"),
    Meaning("foreground_ratio", "low"),
    Meaning(SIZE, "low"),
    # a larger disparity is a clearer difference between inside and outside
    Meaning("texture_disparity", "low"),
    Meaning("native_noise", "high", of_label=False),
)
"""In the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Values:
    """One property over the cases."""

    numbers: Floats
    """(cases,), NaN where there is none."""
    note: str
    """Why some, or all, have none."""


def values_of(found: Properties, name: str, label: str, setup: AnalysisSetup) -> Values:
    """Read one property of every case, and say what is missing.

    Parameters
    ----------
    found : all properties
    name, label : which; an empty label for one of the whole scan
    """
    known = found.get((name, label), {})
    given = [
        known.get(case, Property(None, "", "not measured in this run")) for case in setup.names
    ]
    numbers = np.array(
        [it.value if isinstance(it.value, float) else np.nan for it in given], dtype=np.float64
    )
    why = Counter(_why(name, it) for it in given if not isinstance(it.value, float))
    if len(why) == 1 and np.isnan(numbers).all():
        return Values(numbers, next(iter(why)))
    told = [f"{n} case(s) without a value: {reason}" for reason, n in sorted(why.items())]
    return Values(numbers, "; ".join(told))


def _why(name: str, it: Property) -> str:
    if isinstance(it.value, str):
        return it.value
    if it.reason:
        return it.reason.rstrip(".")
    if name.startswith("rater"):
        return "fewer than two raters"
    return "not estimable" if it.status in {"ok", ""} else it.status.replace("_", " ")


def difficulty(
    columns: Mapping[Key, Column], found: Properties, setup: AnalysisSetup
) -> tuple[DifficultyAxis, ...]:
    """Relate the clean DSC to every meaning of difficulty.

    Parameters
    ----------
    columns : measurements
    found : properties of the cases
    setup : the audit

    Returns
    -------
    tuple
        For every system and label one entry a meaning, in the order of `MEANINGS`; those without values
        say why.
    """
    clean = [
        (key, it) for key, it in main_columns(columns, "dsc").items() if key.perturbation == CLEAN
    ]
    rows = []
    for key, column in sorted(clean, key=lambda it: (it[0].system, it[0].label)):
        size = values_of(found, SIZE, key.label, setup)
        for meaning in MEANINGS:
            label = key.label if meaning.of_label else ""
            values = values_of(found, meaning.name, label, setup)
            rows.append(_axis(key, meaning, values, size, column.judged, setup))
    return tuple(rows)


def _axis(
    key: Key, meaning: Meaning, values: Values, size: Values, scores: Floats, setup: AnalysisSetup
) -> DifficultyAxis:
    turned = values.numbers * (-1.0 if meaning.harder == "low" else 1.0)
    known = ~np.isnan(turned) & ~np.isnan(scores)
    places = np.flatnonzero(known)
    _, patients = np.unique(setup.patient_numbers[known], return_inverse=True)
    n = len(set(patients.tolist()))
    line: tuple[tuple[float, float, float, float], ...] = ()
    note = values.note
    if n >= FEW and np.ptp(turned[known]) > 0:
        times = setup.weights(n)[:_DRAWS]
        level = setup.audit.interval_level
        line = running_band(turned[known], scores[known], patients, times, level=level)
    elif 0 < n < FEW:
        note = "; ".join(filter(None, (note, f"{n} patient(s) are too few for a line")))
    where = percentiles(turned[known], case_weights(patients)) if n else np.empty(0)
    return DifficultyAxis(
        system=key.system,
        label=key.label,
        axis=meaning.name,
        unit=_unit(meaning.name, setup),
        harder=meaning.harder,
        rho=_rho(turned, scores, known, meaning, values.note, setup),
        partial=_partial(turned, scores, known, meaning, size, setup),
        points=tuple(
            (
                setup.cases[i].display_case,
                float(values.numbers[i]),
                float(scores[i]),
                float(where[at]),
            )
            for at, i in enumerate(places)
        ),
        window=window_patients(n) if line else 0,
        line=line,
        note=note,
    )


def _unit(name: str, setup: AnalysisSetup) -> str:
    if name == "native_noise":
        return "HU" if setup.audit.modality == "ct" else "% of the reference signal"
    ndim = max((len(it.shape) for it in setup.geometries.values()), default=3)
    return unit_of(name, setup.audit.length_unit, ndim=ndim)


def _rho(
    turned: Floats,
    scores: Floats,
    known: Flags,
    meaning: Meaning,
    why: str,
    setup: AnalysisSetup,
) -> Estimate:
    x, y = (over_patients(it, setup.patient_numbers, known) for it in (turned, scores))
    n = len(x)
    if n == 0:
        return Estimate(None, 0, "none", status="not_assessable", note=why or "no DSC")
    rho = spearman(x, y)
    if rho is None:
        note = f"no variation in {meaning.name.replace('_', ' ')} or DSC"
        note = note if n >= 3 else f"{n} patient(s)"
        return Estimate(None, n, "Spearman", status="not_assessable", note=note)
    return _interval(rho, METHOD, (x, y, None), setup)


def _partial(
    turned: Floats,
    scores: Floats,
    known: Flags,
    meaning: Meaning,
    size: Values,
    setup: AnalysisSetup,
) -> Estimate:
    if meaning.name == SIZE:
        note = "this is object size itself"
        return Estimate(None, 0, "none", status="not_applicable", note=note)
    inside = known & ~np.isnan(size.numbers)
    x, y, z = (
        over_patients(it, setup.patient_numbers, inside) for it in (turned, scores, size.numbers)
    )
    n = len(x)
    if n == 0:
        note = f"object size: {size.note}" if known.any() and size.note else "no values"
        return Estimate(None, 0, "none", status="not_assessable", note=note)
    rho = partial(x, y, z)
    if rho is None:
        note = _nothing_left(x, y, z, meaning) if n >= 4 else f"{n} patient(s)"
        return Estimate(None, n, "Spearman partialled for size", status="not_assessable", note=note)
    close = spearman(x, z) or 0.0
    note = f"rank correlation with object size {close:.2f}: little is left once it is held fixed"
    return _interval(rho, PARTIAL_METHOD, (x, y, z), setup, note if abs(close) > _CLOSE else "")


def _nothing_left(x: Floats, y: Floats, size: Floats, meaning: Meaning) -> str:
    """Say why no correlation is left once size is held fixed."""
    name = meaning.name.replace("_", " ")
    for what, values in ((name, x), ("DSC", y)):
        if np.ptp(values) == 0:
            return f"no variation in {what}"
        of_size = spearman(values, size)
        if of_size is not None and abs(of_size) > 1 - 1e-9:
            return f"{what} puts the patients in the order of their object size"
    return "no variation in object size"


def _interval(
    rho: float,
    method: str,
    sample: tuple[Floats, Floats, Floats | None],
    setup: AnalysisSetup,
    note: str = "",
) -> Estimate:
    """Percentile interval of a rank correlation over patients; described only where they are few."""
    n = len(sample[0])
    name = method.split(",", maxsplit=1)[0]
    needed = FEW if sample[2] is None else _FEW_PARTIAL
    if n < needed:
        return Estimate(rho, n, name, status="too_few", note=f"needs n >= {needed}")
    if abs(rho) == 1:
        words = "a perfect order; resampling says nothing of others"
        return Estimate(rho, n, name, status="degenerate", note=words)
    # the same draws for every meaning: what ranks the patients alike has the same interval
    rng = np.random.default_rng(setup.seed("difficulty"))
    draws = drawn(rng.integers(0, n, (_DRAWS, n)), *sample)
    tail = (1 - setup.audit.interval_level) / 2
    low, high = (float(order_statistic(draws[:, None], p)[0]) for p in (tail, 1 - tail))
    level = setup.audit.interval_level
    return Estimate(rho, n, method, "two-sided", level, low, high, note=note)
