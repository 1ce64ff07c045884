"""How much the raters of one case disagree on one label.

**Conventions.** Masks are bool tensors (z, y, x) or (y, x) on one grid, one per rater; lengths are
mm, or px for images without a spacing. All pairs of raters count alike.

Two measures, because they answer different questions: the mean pairwise DSC falls for small objects
even when raters always differ by the same width, so it largely repeats the foreground ratio; the
mean pairwise ASSD is the width itself, and hardly depends on size. Neither depends on the field of
view, as kappa does.

**Empty masks.** Whether there is an object at all is another question than where its border runs.
A pair of which one is empty has DSC 0, a pair of empty masks DSC 1. The ASSD has no value as soon
as one rater marked nothing; such cases form strata of their own (``DETECTION``
and ``NOTHING`` of `auditor.strata.assign`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from auditor.metrics.pair import MaskPair
from auditor.metrics.reference import check_mask, check_spacing, prepare_reference
from auditor.metrics.surface import assd
from auditor.proxies import agreement
from auditor.schema import MetricSpec
from auditor.strata.assign import disagreement_value


@dataclass(frozen=True, slots=True)
class RaterDisagreement:
    """Disagreement of the raters of one case on one label."""

    assd: float | None
    """Mean pairwise ASSD, mm or px; None: see `note`."""
    dsc: float | None
    """Mean pairwise DSC; None with fewer than two raters."""
    raters: int
    """How many there are."""
    empty: int
    """How many of them marked nothing."""
    note: str = ""
    """Why a value is missing; empty when none is."""

    @property
    def stratum_value(self) -> float | str | None:
        """What `auditor.strata.assign.freeze` takes for the axis ``rater_disagreement``."""
        return disagreement_value(self.assd, self.dsc)


def rater_disagreement(
    masks: Sequence[torch.Tensor], spacing: tuple[float, ...], unit: Literal["mm", "px"] = "mm"
) -> RaterDisagreement:
    """Measure how much raters disagree.

    Parameters
    ----------
    masks : one per rater, bool, (z, y, x) or (y, x), of one shape
    spacing : distance of voxel centres along each axis, in `unit`
    unit : ``mm``, or ``px`` for images without a spacing

    Returns
    -------
    Means over all pairs of raters; with fewer than two raters not assessable.

    Raises
    ------
    TypeError, ValueError
        When a mask is not bool, the shapes differ, or the spacing is not positive.
    """
    for number, mask in enumerate(masks, start=1):
        check_mask(f"rater_{number}", mask, shape=tuple(masks[0].shape))
        check_spacing(spacing, mask.ndim)
    empty = sum(not bool(mask.any()) for mask in masks)
    if len(masks) < 2:
        note = f"not assessable: {len(masks)} rater, two are needed"
        return RaterDisagreement(None, None, len(masks), empty, note)
    overlaps = [agreement(a, b) for a, b in itertools.combinations(masks, 2)]
    dsc = sum(overlaps) / len(overlaps)
    if empty:
        note = f"no ASSD: {empty} of {len(masks)} raters marked nothing"
        return RaterDisagreement(None, dsc, len(masks), empty, note)
    references = [prepare_reference(mask, spacing, unit) for mask in masks]
    widths = [
        assd(MaskPair(prediction=a.mask, reference=b), MetricSpec("assd"))
        for a, b in itertools.combinations(references, 2)
    ]
    return RaterDisagreement(sum(widths) / len(widths), dsc, len(masks), empty)
