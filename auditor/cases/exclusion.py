"""Patients that are left out of an audit, by a list: those of a screen, before the confirmatory audit.

**Conventions.** Display ids are given before anybody is left out, so that P007 is the same patient with
and without a list.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor.errors import DataError
from auditor.schema import CaseRecord

__all__ = ["left_out"]

_NAMED = 5
"""So many strange names are told; a list of the wrong data set has hundreds."""


def left_out(cases: Sequence[CaseRecord], excluded: Sequence[str]) -> tuple[CaseRecord, ...]:
    """Leave patients out.

    Parameters
    ----------
    cases : sequence of CaseRecord
        All cases, with their display ids.
    excluded : sequence of str
        The user's names of patients.

    Returns
    -------
    tuple of CaseRecord
        In the same order.

    Raises
    ------
    DataError
        When a name is no patient of the cases (each is told), or nobody is left.
    """
    known = {case.patient for case in cases}
    strange = [name for name in excluded if name not in known]
    if strange:
        told = ", ".join(map(repr, strange[:_NAMED]))
        more = f" and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
        msg = (
            f"cases.exclude: must name patients of the cases, {told}{more} "
            f"{'is none' if len(strange) == 1 else 'are none'}; the list belongs to other data, or a "
            "patient was renamed"
        )
        raise DataError(msg)
    kept = tuple(case for case in cases if case.patient not in set(excluded))
    if not kept:
        msg = (
            f"cases.exclude: must leave a patient, it names all {len(known)}; add patients, or shorten "
            "the list"
        )
        raise DataError(msg)
    return kept
