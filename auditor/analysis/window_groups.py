"""Scores under windows, by what the training has seen and by object size.

**Conventions.** A *member* is one window: a system of a sweep, or the training runs of a family that were
trained with the patch that is now their window. *Inside* is strictly between the declared ends of the
training range, as in Kamath et al. (Medical Imaging meets NeurIPS 2022); of several training runs a case is
inside, below or above only where it is so for every run. Groups are groups of cases; a patient's cases are
averaged within the group first, training runs within the patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.difficulty import SIZE, Values, values_of
from auditor.analysis.properties import Properties
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import over_patients
from auditor.schema import StratumSpec
from auditor.strata.assign import MISSING, freeze

__all__ = [
    "ENDS",
    "Member",
    "Range",
    "shared_range",
    "sides_of",
    "size_groups",
    "window_words",
]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Range = tuple[float, float]

ENDS = ("below", "above")
"""The two ways to be outside."""


@dataclass(frozen=True, slots=True)
class Member:
    """One window of a study."""

    name: str
    """Of the system, or the family with its patch."""
    systems: tuple[str, ...]
    """The system, or the training runs."""
    scores: Floats
    """(runs, cases), clean DSC, the worst value where it failed; NaN where even that is undefined."""
    shares: Floats
    """(cases,), share of foreground in the windows; NaN where there is none."""
    sides: Mapping[str, Flags]
    """inside, outside, below, above -> cases; empty: they cannot be told apart."""
    of_family: bool = False
    """Whether it stands for training runs of a family, not for one checkpoint."""

    @property
    def known(self) -> Flags:
        """Cases with a score of every run."""
        return np.asarray(~np.isnan(self.scores).any(axis=0))

    @property
    def mean(self) -> Floats:
        """(cases,), scores averaged over training runs."""
        averaged: Floats = self.scores.mean(axis=0)
        return averaged

    def over_patients(self, where: Flags, setup: AnalysisSetup) -> Floats:
        """Average cases within their patient, (runs, patients), where every run has a score."""
        kept = where & self.known
        return np.stack([over_patients(it, setup.patient_numbers, kept) for it in self.scores])


def window_words(names: Sequence[str]) -> dict[str, str]:
    """Name windows by their size, and by whatever else is not the same in all of them.

    Parameters
    ----------
    names : of the properties

    Examples
    --------
    >>> list(
    ...     window_words(["w[64x64x32; axes RAS]", "w[64x64x32; overlap 0.25; axes RAS]"]).values()
    ... )
    ['64x64x32', '64x64x32, overlap 0.25']
    """
    parts = {name: name.partition("[")[2].removesuffix("]").split("; ") for name in names}
    shared = set.intersection(*(set(it[1:]) for it in parts.values()))
    return {
        name: ", ".join(it for place, it in enumerate(told) if not place or it not in shared)
        for name, told in parts.items()
    }


def shared_range(ranges: Sequence[Range]) -> Range | None:
    """Return what every one of these ranges holds; None when they have nothing in common."""
    low, high = max(it[0] for it in ranges), min(it[1] for it in ranges)
    return (low, high) if low < high else None


def sides_of(shares: Floats, ranges: Sequence[Range]) -> dict[str, Flags]:
    """Tell which cases every run has seen the like of, and which none has.

    Parameters
    ----------
    shares : (cases,), NaN where there is none
    ranges : of the runs; none: nothing is declared

    Returns
    -------
    inside, outside, below, above -> cases; empty where no case can be told.
    """
    known = ~np.isnan(shares)
    if not ranges or not known.any():
        return {}
    # comparisons with NaN are False, so that a case without a share is on no side
    inside = np.logical_and.reduce([(shares > low) & (shares < high) for low, high in ranges])
    below = np.logical_and.reduce([shares <= low for low, _ in ranges])
    above = np.logical_and.reduce([shares >= high for _, high in ranges])
    return {"inside": inside, "outside": below | above, "below": below, "above": above}


def size_groups(
    found: Properties, label: str, setup: AnalysisSetup
) -> tuple[dict[str, Flags], list[str]]:
    """Cut cases into thirds of object size; say what keeps them from it."""
    size: Values = values_of(found, SIZE, label, setup)
    numbers = {
        case: None if np.isnan(it) else float(it)
        for case, it in zip(setup.names, size.numbers, strict=True)
    }
    if not np.isfinite(size.numbers).any():
        return {}, [f"Object size: {size.note or 'no case has a value'}."]
    thirds = freeze(numbers, StratumSpec(SIZE, label, "tertiles"))
    if thirds.kind == "not assessable":
        return {}, [f"Object size: {thirds.note}."]
    groups = {
        name: np.array([thirds.membership[case] == name for case in setup.names])
        for name in thirds.names
        if name != MISSING
    }
    return groups, [f"Object size: {size.note}."] if size.note else []
