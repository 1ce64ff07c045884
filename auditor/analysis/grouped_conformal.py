"""Lower bounds by groups of patients, as strata of the foreground ratio: Mondrian, or pooled and flagged.

A bound over all patients holds for all of them together; small objects may miss it more often than large
ones. Where every group has enough patients each gets a bound of its own (Mondrian conformal prediction,
Vovk et al. 2003), which holds within the group. Otherwise *all* groups get the pooled bound: with own bounds
for the large groups and the pooled one for a small, hard group, the promise for all patients together would
be broken, since the pooled bound holds for the hard group less often and no easy group makes up for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.conformal import check_alpha, lower_bound, marginal_rank, pac_rank
from auditor.schema import GroupBound

__all__ = ["ENOUGH", "group_lowers"]

Floats = NDArray[np.float64]

ENOUGH = 30
"""Patients that each group needs, unless something else is declared."""


def group_lowers(
    scores: Floats,
    groups: Sequence[str],
    *,
    alpha: float,
    delta: float,
    least: int = ENOUGH,
    whole: Floats | None = None,
) -> Mapping[str, GroupBound]:
    """Bound the score of a new patient of each group.

    Parameters
    ----------
    scores : (patients,), without NaN
    groups : group of each patient
    alpha : in (0, .5]
    delta : in (0, 1)
    least : patients that every group must have for bounds of their own
    whole : (all patients,)
        One score each, where some patients have scans in several groups, and so several scores above; None:
        the scores are those of all patients.

    Returns
    -------
    Mapping
        Group -> bound, in the order in which the groups are first named.

    Raises
    ------
    ValueError
        When scores and groups do not fit.
    """
    check_alpha(alpha, delta)
    member = np.asarray(groups, dtype=object)
    if scores.shape != member.shape:
        msg = f"every patient needs one score and one group, got {scores.shape} and {member.shape}"
        raise ValueError(msg)
    names = list(dict.fromkeys(groups))
    counts = {name: int((member == name).sum()) for name in names}
    small = [name for name in names if counts[name] < least]
    note = ""
    if small:
        told = ", ".join(f"{name} has {counts[name]}" for name in small)
        note = f"pooled over all groups: each needs {least} patients, {told}"
    pooled, together = bool(small), scores if whole is None else whole
    found = {}
    for name in names:
        used = together if pooled else scores[member == name]
        n = len(used)
        rank, strict = marginal_rank(n, alpha), pac_rank(n, alpha, delta)
        found[name] = GroupBound(
            group=name,
            patients=counts[name],
            own=not pooled,
            n=n,
            rank=rank,
            bound=lower_bound(used, rank),
            pac_rank=strict,
            pac_bound=lower_bound(used, strict),
            note=note,
        )
    return found
