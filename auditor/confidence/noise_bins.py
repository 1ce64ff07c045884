"""In which bin of noise a scan lies, and whether a promise reaches that far.

Calibration scans and a new scan are placed by the same estimator and the same table (`placement.place`), so
that within a bin they are comparable whatever was added to them. What is cleaner than the clean test scans
shares their bin; beyond the highest severity nothing was calibrated, and nothing is promised there.

A bin speaks of the calibrated kind of noise: another artefact with the same estimate is not covered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.proxy_scores import worst_of_patients
from auditor.confidence.placement import place, severity_bin
from auditor.schema.site import Placement, SeverityAxis, Side

__all__ = ["BEYOND", "UNDEFINED", "NoiseGate", "bin_names", "bins_of", "gate", "scores_by_bin"]

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

BEYOND = -1
"""In place of a bin: above the highest severity."""
UNDEFINED = -2
"""In place of a bin: no estimate, or an axis that places nothing."""


@dataclass(frozen=True, slots=True)
class NoiseGate:
    """Whether a scan lies where promises were calibrated."""

    state: Literal["inside", "beyond", "undefined"]
    """beyond, undefined: no promise."""
    bin: int | None
    """Number in `bin_names`; None unless inside."""
    name: str
    """Of the bin, or of the state."""
    placement: Placement
    """With estimate, compatible severities and reason."""


def bin_names(axis: SeverityAxis) -> tuple[str, ...]:
    """Name the bins of an axis, lowest noise first: ``0``, ``0-1`` and on to its highest severity."""
    highest = math.ceil(axis.severities[-1])
    return ("0", *(f"{upper - 1}-{upper}" for upper in range(1, highest + 1)))


def gate(axis: SeverityAxis, estimate: float | None, reason: str = "") -> NoiseGate:
    """Place a scan, and say whether it lies inside the calibrated envelope.

    Parameters
    ----------
    axis : SeverityAxis
        The run's own table from estimate to severity.
    estimate : float, optional
        Of the new scan, by the estimator of the axis; None where it is not defined.
    reason : str
        Why there is no estimate.
    """
    placed = place(axis, estimate, reason)
    if placed.side is Side.BEYOND:
        return NoiseGate("beyond", None, "beyond", placed)
    if placed.side is Side.UNDEFINED:
        return NoiseGate("undefined", None, "undefined", placed)
    name = "0" if placed.side is Side.CLEANER else severity_bin(placed)
    return NoiseGate("inside", bin_names(axis).index(name), name, placed)


def bins_of(axis: SeverityAxis, estimates: Floats) -> Integers:
    """Place every calibration scan in a bin.

    Parameters
    ----------
    axis : SeverityAxis
    estimates : any shape, as (patients, severities); NaN: not defined

    Returns
    -------
    Of the same shape: the number in `bin_names`, `BEYOND` or `UNDEFINED`.
    """
    numbers = [_number(axis, float(value)) for value in estimates.ravel()]
    return np.array(numbers, dtype=np.intp).reshape(estimates.shape)


def _number(axis: SeverityAxis, estimate: float) -> int:
    found = gate(axis, None if np.isnan(estimate) else estimate)
    if found.bin is not None:
        return found.bin
    return BEYOND if found.state == "beyond" else UNDEFINED


def scores_by_bin(
    axis: SeverityAxis, bins: Integers, scores: Floats, patients: Integers
) -> tuple[Floats, ...]:
    """Collect one score per patient and bin: the worst of the patient's scans there.

    Parameters
    ----------
    axis : SeverityAxis
    bins : of `bins_of`
    scores : of the same shape; NaN: no score
    patients : of the same shape, number of each scan's patient

    Returns
    -------
    tuple
        One array a bin, lowest noise first; patients without a scan in a bin are not part of it.
    """
    return tuple(
        worst_of_patients(scores[bins == number], patients[bins == number])
        for number in range(len(bin_names(axis)))
    )
