"""Bounds on clean scans for each group of cases: its own, or pooled and flagged where groups are small."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from auditor.analysis.conformal import needed_marginal, needed_pac
from auditor.analysis.grouped_conformal import ENOUGH, group_lowers
from auditor.analysis.groups import Group, groups
from auditor.analysis.promises import main_columns, worst_per_patient
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key
from auditor.schema import CLEAN, StratumBounds

__all__ = ["stratum_bounds"]


def stratum_bounds(
    columns: Mapping[Key, Column], setup: AnalysisSetup
) -> tuple[StratumBounds, ...]:
    """Bound the DSC of a new patient of each group, for every system, label and axis of strata.

    Axes are those frozen before the first prediction: groups that are chosen by what a system did there would
    break the promise. A patient with cases in several groups counts in each of them, with the worst case
    there.
    """
    axes: dict[tuple[str, str], list[Group]] = {}
    for group in groups(setup):
        if group.axis != "all" and group.inferential:
            axes.setdefault((group.axis, group.label), []).append(group)
    rows = [
        _bounds(key, column, members, setup)
        for key, column in main_columns(columns, "dsc").items()
        if key.perturbation == CLEAN
        for (_, label), members in axes.items()
        if label in ("", key.label)
    ]
    return tuple(sorted(rows, key=lambda it: (it.system, it.label, it.axis)))


def _bounds(key: Key, column: Column, members: list[Group], setup: AnalysisSetup) -> StratumBounds:
    alpha, delta = setup.alpha, setup.delta
    least = max(ENOUGH, *(it.minimum for it in members))
    found = [worst_per_patient(np.where(it.inside, column.judged, np.nan), setup) for it in members]
    known = [it[~np.isnan(it)] for it in found]
    whole = worst_per_patient(column.judged, setup)
    made = group_lowers(
        np.concatenate(known),
        [it.name for it, scores in zip(members, known, strict=True) for _ in scores],
        alpha=alpha,
        delta=delta,
        least=least,
        whole=whole[~np.isnan(whole)],
    )
    return StratumBounds(
        system=key.system,
        label=key.label,
        axis=members[0].axis,
        alpha=alpha,
        delta=delta,
        least=least,
        needed=needed_marginal(alpha),
        needed_pac=needed_pac(alpha, delta),
        groups=tuple(made[it.name] for it in members if it.name in made),
    )
