"""Which cases belong to the group that a number is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import FEW
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
    minimum: int = FEW
    """Fewest patients that are inferred from."""
    inferential: bool = True
    """False: the groups were chosen after a prediction had been seen."""


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
                yield Group(
                    stratum.axis,
                    name,
                    stratum.label,
                    inside,
                    minimum=max(FEW, stratum.minimum),
                    inferential=stratum.kind == "inferential",
                )


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
            rule=stratum.rule,
            unit=stratum.unit,
            minimum=max(FEW, stratum.minimum),
            shared=_shared(stratum.membership, patient),
            window=stratum.window,
            system=stratum.system,
            cross=stratum.cross,
        )
        for stratum in setup.strata
    )


def _shared(membership: Mapping[str, str], patient: Mapping[str, str]) -> int:
    """Count patients with cases in several groups; they count in each of them."""
    found: dict[str, set[str]] = {}
    for case, group in membership.items():
        found.setdefault(patient[case], set()).add(group)
    return sum(len(groups) > 1 for groups in found.values())
