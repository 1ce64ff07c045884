"""How far perturbations move the activations of a network, along the network.

**Conventions.** A distance is averaged over the replicates of a case, over the cases of a patient, and then
over patients. Layers are those of the first case; a case that runs through other ones is left out, and
counted. Intervals hold for one layer and condition each.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import FEW, studentized_bounds, studentized_interval
from auditor.analysis.means import described, interval_estimate
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Rows, of_kind, over_patients
from auditor.schema import (
    CLEAN,
    Estimate,
    LayerCurve,
    LayerFacts,
    LayerSusceptibility,
    Record,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["floor_of", "layer_susceptibility"]

Floats = NDArray[np.float64]

_MOST_NAMED = 3
_ONE_VOXEL = "one activation a channel: two scans agree or differ, and nothing lies between"
_NO_OTHER = "there is no other patient to compare with"


def floor_of(voxels: int, bins: int) -> float:
    """Tell about how far two independent samples of one law are apart: sqrt((bins - 1) / (4 n)).

    The square root of the share of a bin in n draws has the variance (1 - p) / (4 n), whatever p, where n p is
    large; half the sum over bins of the squared difference of two of them is (bins - 1) / (4 n) on average.
    Bins that hold nothing lower it; neighbouring activations that are alike raise it.

    Parameters
    ----------
    voxels : n, at least 1
    bins : that hold something

    Examples
    --------
    >>> round(floor_of(1575, 64), 3), floor_of(2, 64)
    (0.1, 1.0)
    """
    return min(1.0, math.sqrt((bins - 1) / (4 * voxels)))


@dataclass(frozen=True, slots=True)
class _Layers:
    """The layers of one system, and where its rows belong."""

    told: tuple[Mapping[str, object], ...]
    """Facts of each, of the first case that has any."""
    place: NDArray[np.intp]
    """(words of the column facts,): place of the layer; -1 none, -2 one of another network."""


def layer_susceptibility(table: pa.Table, setup: AnalysisSetup) -> tuple[LayerSusceptibility, ...]:
    """Average the distances of every declared system, layer and condition.

    Parameters
    ----------
    table : pyarrow.Table
        All stored rows.
    setup : AnalysisSetup

    Returns
    -------
    tuple of LayerSusceptibility
        In the order of the configuration; none where nobody asked for them.
    """
    if setup.layers is None:
        return ()
    rows = of_kind(table, Record.LAYER)
    facts = rows.columns.coded["facts"]
    used = set(np.unique(facts.codes).tolist())  # rows of other kinds have facts of their own
    words = [
        json.loads(word) if code in used and word is not None else None
        for code, word in enumerate(facts.words)
    ]
    found = []
    for system in setup.layers.systems:
        own = Rows(rows.columns.at(rows.columns["system"] == system))
        found.append(_of_system(system, own, words, setup))
    return tuple(found)


def _of_system(
    system: str, rows: Rows, words: Sequence[Mapping[str, object] | None], setup: AnalysisSetup
) -> LayerSusceptibility:
    layers = _layers(rows, words, setup)
    if not layers.told:
        reasons = Counter(str(it) for it in rows.columns["reason"] if it)
        why = reasons.most_common(1)[0][0] if reasons else "no scan was compared"
        return LayerSusceptibility(system, (), (), note=f"no distances: {why}")
    clean = rows.columns["perturbation"] == CLEAN
    between, lost = _over_cases(Rows(rows.columns.at(clean)), layers, setup)
    merges = _merges_of_constants(system, layers, setup)
    curves = []
    for spec in setup.perturbations:
        for severity, level in zip(spec.severities, spec.levels, strict=True):
            inside = (rows.columns["perturbation"] == spec.name) & (
                np.abs(rows.columns["severity"] - severity) < 1e-9
            )
            part = Rows(rows.columns.at(inside))
            values, missing = _over_cases(part, layers, setup)
            curves.append(
                LayerCurve(
                    perturbation=spec.name,
                    severity=severity,
                    level=level,
                    unit=spec.unit,
                    distances=_means(values, layers, setup),
                    most=_most(values, layers, merges),
                    missing=missing,
                    below_from=(below := _below(values, between, layers, setup))[0],
                    below_how=below[1],
                )
            )
    usual = _means(between, layers, setup)
    facts = tuple(
        _facts(told, place, estimate, setup)
        for place, (told, estimate) in enumerate(zip(layers.told, usual, strict=True))
    )
    note = f"clean scans of other patients: {lost}" if lost else ""
    return LayerSusceptibility(system, facts, tuple(curves), note=note)


def _layers(
    rows: Rows, words: Sequence[Mapping[str, object] | None], setup: AnalysisSetup
) -> _Layers:
    """Take the layers of the first case, and find which of them each word of the facts is about."""
    codes = rows.columns.coded["facts"].codes
    cases = rows.columns["case"]
    told: dict[int, Mapping[str, object]] = {}
    for name in setup.names:
        for code in np.unique(codes[cases == name]):
            word = words[code]
            if word is not None:
                told.setdefault(_whole(word["place"]), word)
        if told:
            break
    known = {place: _identity(word) for place, word in told.items()}
    place = np.full(len(words), -1, dtype=np.intp)
    for code, word in enumerate(words):
        if word is not None:
            own = _whole(word["place"])
            place[code] = own if known.get(own) == _identity(word) else -2
    return _Layers(tuple(told[it] for it in sorted(told)), place)


def _identity(word: Mapping[str, object]) -> tuple[object, ...]:
    return word["name"], word["operator"], word["channels"]


def _over_cases(rows: Rows, layers: _Layers, setup: AnalysisSetup) -> tuple[Floats, str]:
    """Arrange one condition as (layer, patient), and say which scans have no distances."""
    columns = rows.columns
    place = layers.place[columns.coded["facts"].codes]
    number = {name: i for i, name in enumerate(setup.names)}
    case = np.array([number[name] for name in columns["case"]], dtype=np.intp)
    used = (place >= 0) & ~np.isnan(columns["value"])
    shape = (len(layers.told), len(setup.names))
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (place[used], case[used]), columns["value"][used])
    np.add.at(count, (place[used], case[used]), 1.0)
    values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return _by_patient(values, setup), _missing(rows, place, case)


def _by_patient(values: Floats, setup: AnalysisSetup) -> Floats:
    found = np.full((len(values), setup.patients), np.nan)
    everybody = np.ones(len(setup.names), dtype=bool)
    for layer, row in enumerate(values):
        kept = np.unique(setup.patient_numbers[~np.isnan(row)])
        if len(kept):
            found[layer, kept] = over_patients(row, setup.patient_numbers, everybody)
    return found


def _missing(rows: Rows, place: NDArray[np.intp], case: NDArray[np.intp]) -> str:
    """Count the scans without distances, by status; each scan once."""
    draws = rows.columns["replicate"].astype(np.intp)
    scans = set(zip(case.tolist(), draws.tolist(), strict=True))
    lost: dict[tuple[int, int], str] = {}
    for where, layer, status in zip(
        zip(case.tolist(), draws.tolist(), strict=True),
        place.tolist(),
        rows.columns["status"],
        strict=True,
    ):
        if layer == -1:
            lost[where] = status.replace("_", " ")
        elif layer == -2:
            lost[where] = "other layers than on the first case"
        elif status != "ok":
            lost.setdefault(where, "some activations not finite")
    if not lost:
        return ""
    counts = sorted(Counter(lost.values()).items())
    told = ", ".join(f"{n} {why}" for why, n in counts)
    return f"{len(lost)} of {len(scans)} scans are not, or not wholly, compared: {told}"


def _means(values: Floats, layers: _Layers, setup: AnalysisSetup) -> tuple[Estimate, ...]:
    """Average over patients; layers with the same patients are resampled together."""
    level = setup.audit.interval_level
    ends: dict[int, tuple[float, float]] = {}
    for places, block in _blocks(values, range(len(values))):
        weights = setup.weights(len(block))
        low, high = studentized_interval(block, weights, level=level, bounded=True)
        ends |= {i: (float(a), float(b)) for i, a, b in zip(places, low, high, strict=True)}
    found = []
    for place, row in enumerate(values):
        sample = row[~np.isnan(row)]
        if _voxels(layers.told[place]) == 1:
            n = len(sample)
            found.append(Estimate(None, n, "none", status="not_assessable", note=_ONE_VOXEL))
        elif place in ends:
            found.append(interval_estimate(sample, ends[place], 0.0, level))
        else:
            found.append(described(sample, level=level))
    return tuple(found)


def _blocks(values: Floats, places: Iterable[int]) -> Iterator[tuple[list[int], Floats]]:
    """Put layers with the same patients together, as (patient, layer); none with too few of them."""
    together: dict[bytes, list[int]] = {}
    for place in places:
        together.setdefault(np.isnan(values[place]).tobytes(), []).append(place)
    for same in together.values():
        some = np.flatnonzero(~np.isnan(values[same[0]]))
        if len(some) >= FEW:
            yield same, values[same][:, some].T


def _assessed(values: Floats, layers: _Layers) -> list[int]:
    """Places of the layers with more than one activation a channel and a value."""
    return [
        place
        for place, told in enumerate(layers.told)
        if _voxels(told) > 1 and not np.isnan(values[place]).all()
    ]


def _most(values: Floats, layers: _Layers, merges: frozenset[int]) -> tuple[int, ...]:
    means = {
        place: float(np.nanmean(values[place]))
        for place in _assessed(values, layers)
        if place not in merges
    }
    order = sorted(means, key=lambda place: (-means[place], place))
    return tuple(place for place in order[:_MOST_NAMED] if means[place] > 0)


def _merges_of_constants(system: str, layers: _Layers, setup: AnalysisSetup) -> frozenset[int]:
    """Find the concatenations that hold channels of one value, as an ablation put it there.

    Any other value is at distance 1 from it, so that they would always seem to move most. Records of skip
    connections name the operator and the resolution of a merge; what else is joined there is left out as well.
    """
    ablation = next((it.ablation for it in setup.systems if it.name == system), None)
    if ablation is None or not (
        ablation.by in {"zero", "mean"} or (ablation.by == "dose" and ablation.strength == 0)
    ):
        return frozenset()
    replaced = {
        (skip.operator, skip.resolution)
        for network in setup.networks
        if system in network.systems
        for skip in network.skips
        if not ablation.skips or skip.level in ablation.skips or skip.source in ablation.skips
        if skip.operator.casefold().startswith(("cat", "concat"))
    }
    return frozenset(
        place
        for place, told in enumerate(layers.told)
        if (told["operator"], _sizes(told["resolution"])) in replaced
    )


def _sizes(told: object) -> tuple[int, ...]:
    return tuple(told) if isinstance(told, list) else ()


def _below(
    values: Floats, between: Floats, layers: _Layers, setup: AnalysisSetup
) -> tuple[int | None, str]:
    """Find from where on the distance to the clean scan is below that between patients, to the end."""
    apart = values - between
    places = _assessed(apart, layers)
    if not places:
        return None, _NO_OTHER
    fewest = min(int((~np.isnan(apart[place])).sum()) for place in places)
    level = setup.audit.interval_level
    tops = {place: float(np.nanmean(apart[place])) for place in places}
    if fewest >= FEW:
        for same, block in _blocks(apart, places):
            _, high = studentized_bounds(block, setup.weights(len(block)), level=level)
            tops |= dict(zip(same, map(float, high), strict=True))
    first: int | None = None
    for place in reversed(places):
        if not tops[place] < 0:
            break
        first = place
    how = (
        f"of each layer the one-sided {level:.0%} upper bound of the mean difference, patients paired, n >= "
        f"{fewest}"
        if fewest >= FEW
        else f"by the means of {fewest} patient(s) alone: described, not inferred from"
    )
    return first, how


def _facts(
    told: Mapping[str, object], place: int, usual: Estimate, setup: AnalysisSetup
) -> LayerFacts:
    assert setup.layers is not None  # asked before
    voxels = _voxels(told)
    return LayerFacts(
        place=place,
        name=str(told["name"]),
        operator=str(told["operator"]),
        resolution=_sizes(told["resolution"]),
        channels=_whole(told["channels"]),
        voxels=voxels,
        floor=floor_of(voxels, setup.layers.bins) if voxels else 1.0,
        between=usual,
    )


def _voxels(told: Mapping[str, object]) -> int:
    return _whole(told["voxels"])


def _whole(value: object) -> int:
    assert isinstance(value, int)  # written by the execution
    return value
