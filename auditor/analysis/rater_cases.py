"""From the measured properties of one case to its record: the same for an audit and for raters alone."""

from __future__ import annotations

from collections.abc import Mapping

from auditor.schema import RaterCase

__all__ = ["rater_case"]


def rater_case(
    measured: Mapping[str, float | None], *, label: str, case: str, patient: str
) -> RaterCase:
    """Put the properties of one case and label together.

    Parameters
    ----------
    measured : mapping of name to value
        ``raters``, ``raters_empty``, ``rater_dsc``, ``rater_assd``, ``rater_volume``, ``rater_volume_range``,
        ``rater_volume_cv``, ``rater_ged``, ``rater_kappa``; those that are missing have no value.
    label : str
    case, patient : str
        Display ids.
    """
    return RaterCase(
        label=label,
        case=case,
        patient=patient,
        raters=round(measured.get("raters") or 0.0),
        empty=round(measured.get("raters_empty") or 0.0),
        dsc=measured.get("rater_dsc"),
        assd=measured.get("rater_assd"),
        volume=measured.get("rater_volume"),
        volume_range=measured.get("rater_volume_range"),
        volume_cv=measured.get("rater_volume_cv"),
        ged=measured.get("rater_ged"),
        kappa=measured.get("rater_kappa"),
    )
