"""Which cases belong to the group that a number is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.setup import AnalysisSetup
from auditor.schema import StratumInfo

__all__ = ["Group", "groups", "stratum_infos"]


@dataclass(frozen=True, slots=True)
class Group:
    """A group of cases."""

    axis: str
    """``all``, or the axis of strata."""
    name: str
    """``all``, or the name of the stratum."""
    label: str
    """Label that the axis is measured on; empty: any."""
    inside: NDArray[np.bool_]
    """(cases,)."""


def groups(setup: AnalysisSetup) -> Iterator[Group]:
    """Give all cases first, then every stratum that has a case."""
    names = setup.names
    yield Group("all", "all", "", np.ones(len(names), dtype=bool))
    for stratum in setup.strata:
        if stratum.kind == "not assessable":
            continue
        for name in stratum.names:
            inside = np.array([stratum.membership.get(case) == name for case in names])
            if inside.any():
                yield Group(stratum.axis, name, stratum.label, inside)


def stratum_infos(setup: AnalysisSetup) -> tuple[StratumInfo, ...]:
    """Describe every declared axis, with the patients of each group."""
    patient = {record.case: record.patient for record in setup.cases}
    return tuple(
        StratumInfo(
            axis=stratum.axis,
            label=stratum.label,
            kind=stratum.kind,
            edges=stratum.edges,
            names=stratum.names,
            patients=tuple(
                len({patient[case] for case, group in stratum.membership.items() if group == name})
                for name in stratum.names
            ),
            note=stratum.note,
        )
        for stratum in setup.strata
    )
