"""What is promised for one new scan under the mix of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.promises import main_columns
from auditor.analysis.table import Column, Key, worst_of_cases
from auditor.analysis.weighted_conformal import site_mix_lower
from auditor.confidence.recipe_scores import Condition
from auditor.schema import Estimate

__all__ = ["mix_promises"]

Floats = NDArray[np.float64]


def mix_promises(
    columns: Mapping[Key, Column],
    patients: NDArray[np.intp],
    *,
    systems: Sequence[str],
    label: str,
    metric: str,
    mix: Mapping[Condition, float],
    alpha: float,
    scans: int | None = None,
) -> tuple[tuple[str, Estimate], ...]:
    """Bound the score of one new scan of each system, drawn from the mix.

    Parameters
    ----------
    columns : Key -> Column
        Over the cases of the run; every system under every condition of the mix.
    patients : (cases,)
        Number of each case's patient; the worst of a patient's cases enters.
    systems, label, metric : what is bounded
        A metric of which more is better.
    mix : condition -> share
        Shares with sum 1.
    alpha : share of new scans for which the bound may fail
    scans : scans of a site from which the shares were found; None: they were stated

    Returns
    -------
    tuple of (system, Estimate)
        See `site_mix_lower`.
    """
    count = int(patients.max(initial=-1)) + 1
    found: dict[str, dict[Condition, Floats]] = {name: {} for name in systems}
    for key, column in main_columns(columns, metric).items():
        condition = (key.perturbation, key.severity)
        if key.label == label and key.system in found and condition in mix:
            found[key.system][condition] = worst_of_cases(column.judged, patients, count)
    told = "" if scans is None else f"the shares of the mix were found on {scans} scans"
    made = []
    for name in systems:
        bound = site_mix_lower(found[name], mix, alpha)
        note = "; ".join(it for it in (bound.note, told) if it)
        made.append((name, replace(bound, note=note)))
    return tuple(made)
