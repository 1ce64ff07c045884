"""How far the inner and the outer mask of a rated scan lie from its prediction.

The margins are those of the bin that gives the bound, at the marginal rank and joint: both masks keep
their promise together for the declared share of scans. Margins never shrink with noise.
"""

from __future__ import annotations

import functools
from typing import Literal

from torch import Tensor

from auditor.confidence.calibration import Calibration, Family, NoiseBin
from auditor.confidence.mask_sets import (
    MaskScores,
    MaskSets,
    OuterInner,
    SetStatus,
    binned_sets,
    masks_by_distance,
    masks_by_probability,
    scores_of_patients,
)
from auditor.schema import Certificate, Status
from auditor.schema.ratings import MaskMargins, Rating

__all__ = ["MaskFamily", "margins_at", "masks_of", "no_margins", "sets_at", "sets_of"]

MaskFamily = Literal["distance", "probability"]
"""By which masks are nested around the prediction."""


@functools.lru_cache(maxsize=256)
def sets_at(calibration: Calibration, family: Family, number: int, masks: MaskFamily) -> MaskSets:
    """Calibrate the margins of one bin."""
    scores = [_scores(it, masks) for it in family.bins[: number + 1]]
    return binned_sets(scores, alpha=calibration.certificate.declared.alpha)[number]


def margins_at(
    calibration: Calibration, family: Family, number: int, masks: MaskFamily
) -> MaskMargins:
    """Write the margins of one bin as they stand in a rating."""
    sets = sets_at(calibration, family, number, masks)
    spec = calibration.certificate.declared
    note = sets.reason
    if sets.n_vacuous:
        note = f"{note}; " if note else ""
        note += f"{sets.n_vacuous} patients without {spec.label} are counted apart"
    return MaskMargins(
        family=masks,
        unit=calibration.certificate.length_unit if masks == "distance" else "",
        outer=sets.outer.value,
        inner=sets.inner.value,
        outer_share=spec.outer_share,
        inner_share=spec.inner_share,
        level=1 - spec.alpha,
        n=sets.outer.n,
        status=sets.status.value,
        note=note,
    )


def sets_of(calibration: Calibration, rating: Rating) -> MaskSets | None:
    """Find the margins that a rating tells of; None: there are none."""
    if rating.margins.status != SetStatus.OK.value:
        return None
    family = next(it for it in calibration.families if it.name == rating.calibrated_by)
    number = [it.name for it in family.bins].index(rating.bin)
    masks: MaskFamily = "probability" if rating.margins.family == "probability" else "distance"
    return sets_at(calibration, family, number, masks)


def no_margins(certificate: Certificate, masks: MaskFamily) -> MaskMargins:
    """Write that a scan which is not rated has no margins."""
    spec = certificate.declared
    return MaskMargins(
        family=masks,
        unit=certificate.length_unit if masks == "distance" else "",
        outer=None,
        inner=None,
        outer_share=spec.outer_share,
        inner_share=spec.inner_share,
        level=1 - spec.alpha,
        n=0,
        status="not_rated",
    )


def masks_of(
    prediction: Tensor,
    spacing: tuple[float, ...],
    sets: MaskSets,
    *,
    probability: Tensor | None = None,
) -> OuterInner:
    """Draw both masks of a rated scan: by probability where one is given, else by distance."""
    if probability is None:
        return masks_by_distance(prediction, spacing, sets)
    return masks_by_probability(prediction, probability, sets)


def _scores(found: NoiseBin, masks: MaskFamily) -> MaskScores:
    scans = [it.source for it in found.scans]
    return scores_of_patients(
        [it.patient for it in scans],
        [getattr(it, f"outer_{masks}") for it in scans],
        [getattr(it, f"inner_{masks}") for it in scans],
        [it.status == Status.REFERENCE_EMPTY.value for it in scans],
    )
