"""Claims that no data of an audit's patients could meet, found before any prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.analysis import attainable
from auditor.config import AuditConfig
from auditor.schema import CriterionSpec
from auditor.strata.proposals import AxisProposals

__all__ = ["Unattainable", "unattainable_claims"]


@dataclass(frozen=True, slots=True)
class Unattainable:
    """A claim that no data of so many patients could meet."""

    id: str
    """Of the criterion."""
    patients: int
    """Of the audit, or of the group that the claim is about."""
    group: str
    """The group in words; empty: all patients."""


def unattainable_claims(
    config: AuditConfig, patients: int, strata: Sequence[AxisProposals]
) -> tuple[Unattainable, ...]:
    """Find the claims that cannot be met, each by the patients that it is about.

    Parameters
    ----------
    config : of the audit
    patients : all of them
    strata : declared axes with the patients of their groups
    """
    found = []
    for spec in config.criteria:
        groups = _groups(spec, strata)
        least, n, group = 0, patients, ""
        if spec.stratum is not None and spec.stratum[1] in groups:
            n, group = groups[spec.stratum[1]], " ".join(spec.stratum)
            least = _minimum(spec, strata)
        if n < least or not attainable(spec, n, level=config.criteria_level):
            found.append(Unattainable(spec.id, n, group))
    return tuple(found)


def _axis(spec: CriterionSpec, strata: Sequence[AxisProposals]) -> AxisProposals | None:
    """Find the declared axis that a claim is about."""
    axis = None if spec.stratum is None else spec.stratum[0]
    return next(
        (it for it in strata if it.declared and it.axis == axis and it.label in ("", spec.label)),
        None,
    )


def _groups(spec: CriterionSpec, strata: Sequence[AxisProposals]) -> dict[str, int]:
    """Patients of every group of that axis; none where it could not be measured."""
    axis = _axis(spec, strata)
    return {} if axis is None or not axis.proposals else dict(axis.proposals[0].groups)


def _minimum(spec: CriterionSpec, strata: Sequence[AxisProposals]) -> int:
    axis = _axis(spec, strata)
    return 0 if axis is None else axis.minimum
