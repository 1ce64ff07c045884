"""How predictions fail: nothing found, too little, too much, or something else.

A low mean says that predictions fail, not how. In the study that asked (Kamath et al., MICCAI 2023) objects
that look like their surroundings vanish, and surroundings that look like the object are taken for it; the
two call for different care.

**Conventions.** A prediction with a DSC of at least .5 is good. Below, its volume V beside the reference's R
tells the type: *empty* V = 0, *under* V < R / 2, *over* V > 2 R, *misplaced* in between. A DSC of at least
.5 needs R / 3 <= V <= 3 R. Cases count, not patients: nothing is inferred. Where voxels move, the scored
region and the volumes are not of one frame, and no type is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.promises import main_columns
from auditor.analysis.properties import Properties, Property
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key, Rows, first_draws
from auditor.analysis.trained_systems import named_runs
from auditor.metrics.policy import NOT_ASKED
from auditor.schema import FailureTypes, Geometry, Region, Status

__all__ = ["GOOD", "failure_types"]

Floats = NDArray[np.float64]

GOOD = 0.5
"""DSC from which a prediction is no failure."""
_COUNTS = ("n", "good", "failures", "empty", "under", "over", "misplaced", "unknown")
_TWICE = 2.0
"""Volumes that differ by more are too little, or too much."""
_NOT_COUNTED = frozenset({"", *NOT_ASKED, Status.REFERENCE_EMPTY, Status.BOTH_EMPTY})
"""There is no such scan, or nothing on it to be found."""


def failure_types(
    columns: Mapping[Key, Column], evaluations: Rows, known: Properties, setup: AnalysisSetup
) -> tuple[FailureTypes, ...]:
    """Count the types for every audited system, label and condition; controls are not among them.

    Parameters
    ----------
    columns : Key -> Column
        Those of the DSC are read.
    evaluations : evaluation rows
        Volumes of the predictions.
    known : properties of the cases
        The foreground ratio gives the volume of the reference.
    setup : AnalysisSetup

    Returns
    -------
    tuple of FailureTypes
        Sorted by system, label and condition, then the same of families with several training runs; empty
        where no prediction has a volume, as in tables of measurements that were made elsewhere.
    """
    volumes = first_draws(evaluations, setup.names, "predicted_volume_ml")
    if not any(np.isfinite(it).any() for it in volumes.values()):
        return ()
    voxel = np.array([_voxel_ml(setup.geometries[case]) for case in setup.names])
    references = {label: _reference_voxels(label, known, setup) for label in setup.labels}
    rows = []
    for key, column in main_columns(columns, "dsc").items():
        if key.region == Region.RETAINED.value or key[:4] not in volumes:
            continue
        # whole voxels: a volume that is exactly twice another must not become more by rounding
        predicted = np.rint(volumes[key[:4]] / voxel)
        rows.append(_counted(key, column, predicted, references[key.label]))
    rows.sort(key=_order)
    return (*rows, *_of_families(rows, setup))


def _order(it: FailureTypes) -> tuple[str, str, str, float]:
    return it.system, it.label, it.perturbation, it.severity


def _of_families(rows: Sequence[FailureTypes], setup: AnalysisSetup) -> list[FailureTypes]:
    """Add the counts of training runs of a family, condition by condition."""
    found = []
    for family, runs in named_runs(setup.systems).items():
        if len(runs) < 2:
            continue
        names = {it.name for it in runs}
        places: dict[tuple[str, str, float], list[FailureTypes]] = {}
        for it in rows:
            if it.system in names:
                places.setdefault((it.label, it.perturbation, it.severity), []).append(it)
        for own in places.values():
            added = {name: sum(getattr(it, name) for it in own) for name in _COUNTS}
            found.append(replace(own[0], scope="family", system=family, **added))
    return sorted(found, key=_order)


def _counted(key: Key, column: Column, predicted: Floats, reference: Floats) -> FailureTypes:
    status = column.statuses[:, 0]
    asked = ~np.isin(status.astype(str), [str(it) for it in _NOT_COUNTED]) & (reference != 0)
    scored = asked & ~np.isnan(column.first)
    low = scored & (column.first < GOOD)
    empty = low & (predicted == 0)
    sized = low & (predicted > 0) & ~np.isnan(reference)
    under = sized & (predicted * _TWICE < reference)
    over = sized & (predicted > _TWICE * reference)
    n, good = int(asked.sum()), int((scored & ~low).sum())
    told = int(empty.sum()) + int(sized.sum())
    return FailureTypes(
        scope="system",
        system=key.system,
        label=key.label,
        perturbation=key.perturbation,
        severity=key.severity,
        level=column.level,
        unit=column.unit,
        n=n,
        good=good,
        failures=n - good,
        empty=int(empty.sum()),
        under=int(under.sum()),
        over=int(over.sum()),
        misplaced=int((sized & ~under & ~over).sum()),
        unknown=n - good - told,
    )


def _voxel_ml(geometry: Geometry) -> float:
    """Volume of a voxel as the execution stores volumes: ml, or the unit of a scan without a spacing in mm."""
    volume = float(np.prod(geometry.spacing))
    return volume / 1000.0 if geometry.unit == "mm" else volume


def _reference_voxels(label: str, known: Properties, setup: AnalysisSetup) -> Floats:
    """Voxels of the reference of each case; NaN where its share of the scan is not known."""
    shares: Mapping[str, Property] = known.get(("foreground_ratio", label), {})
    found = np.full(len(setup.names), np.nan)
    for place, case in enumerate(setup.names):
        it = shares.get(case)
        if it is not None and isinstance(it.value, float):
            found[place] = np.rint(it.value * np.prod(setup.geometries[case].shape))
    return found
