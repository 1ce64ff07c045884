"""How much the raters of one case disagree on one label.

**Conventions.** Masks are bool tensors (z, y, x) or (y, x) on one grid, one per rater; lengths are
mm, or px for images without a spacing; volumes as in `auditor.metrics.volume`. All pairs of raters
count alike.

Two measures make strata, because they answer different questions: the mean pairwise DSC falls for
small objects even when raters always differ by the same width, so it largely repeats the foreground
ratio; the mean pairwise ASSD is the width itself, and hardly depends on size. Neither depends on the
field of view. The others are reported beside them: the spread of the volumes shrinks with size as
the DSC does, and kappa also changes with the field of view.

**Empty masks.** Whether there is an object at all is another question than where its border runs.
A pair of which one is empty has DSC 0, a pair of empty masks DSC 1. The mean ASSD has no value as soon
as one rater marked nothing; such cases form strata of their own (``DETECTION``
and ``NOTHING`` of `auditor.strata.assign`).
"""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch

from auditor.metrics.boxes import bounding_box
from auditor.metrics.pair import MaskPair
from auditor.metrics.reference import Reference, check_mask, check_spacing, prepare_reference
from auditor.metrics.surface import assd
from auditor.proxies import agreement
from auditor.schema import MetricSpec
from auditor.strata.assign import disagreement_value
from auditor.strata.rater_sets import voxel_kappa

__all__ = ["Detection", "RaterDisagreement", "VolumeSpread", "rater_disagreement", "volume_spread"]

Detection = Literal["all", "some", "none"]
"""Which of the raters marked anything."""

Matrix = tuple[tuple[float | None, ...], ...]

_Mask = TypeVar("_Mask", torch.Tensor, Reference)


@dataclass(frozen=True, slots=True)
class VolumeSpread:
    """How far the volumes of the raters of one case lie apart."""

    volumes: tuple[float, ...]
    """One per rater, ml (3-D) or mm² (2-D), voxels or px without a spacing."""
    mean: float
    """Mean volume, in the same unit."""
    sd: float
    """Standard deviation with the divisor k - 1, in the same unit."""
    range: float
    """Largest minus smallest, in the same unit."""
    cv: float | None
    """sd / mean; None when all raters marked nothing."""


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
    pairwise_dsc: Matrix = ()
    """(raters, raters), symmetric, 1 on the diagonal; empty with fewer than two raters."""
    pairwise_assd: Matrix = ()
    """(raters, raters), symmetric, mm or px, 0 on the diagonal; None beside an empty mask."""
    volume: VolumeSpread | None = None
    """None with fewer than two raters."""
    kappa: float | None = None
    """Fleiss' kappa over all voxels of the image; reported, never a stratum: it changes with the
    field of view. None: fewer than two raters, or all ratings alike."""

    @property
    def stratum_value(self) -> float | str | None:
        """What `auditor.strata.assign.freeze` takes for the axis ``rater_disagreement``."""
        return disagreement_value(self.assd, self.dsc)

    @property
    def detection(self) -> Detection:
        """Whether all, some or none of the raters marked anything; none without a rater."""
        if self.empty == self.raters:
            return "none"
        return "some" if self.empty else "all"


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
    Matrices and means over all pairs of raters; with fewer than two raters not assessable.

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
    near, far = _cut(masks)
    overlaps = _pairwise(near, agreement, own=lambda _: 1.0)
    references = [prepare_reference(mask, spacing, unit, reused=False) for mask in near]
    widths = _pairwise(references, _width, own=lambda it: None if it.is_empty else 0.0)
    note = f"no ASSD: {empty} of {len(masks)} raters marked nothing" if empty else ""
    return RaterDisagreement(
        assd=None if empty else _mean_of_pairs(widths),
        dsc=_mean_of_pairs(overlaps),
        raters=len(masks),
        empty=empty,
        note=note,
        pairwise_dsc=overlaps,
        pairwise_assd=widths,
        volume=volume_spread([reference.volume for reference in references]),
        kappa=voxel_kappa(near, background=far),
    )


def _cut(masks: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], int]:
    """Cut masks to the box of what anybody marked, and count the voxels outside.

    No measure but kappa sees the background, and most of a scan is background.
    """
    marked = functools.reduce(torch.logical_or, masks)
    box = bounding_box(marked.cpu().numpy())
    near = [mask[box] for mask in masks]
    return near, marked.numel() - near[0].numel()


def volume_spread(volumes: Sequence[float]) -> VolumeSpread:
    """Describe how far volumes lie apart.

    Parameters
    ----------
    volumes : one per rater, at least two, >= 0, in any one unit

    Raises
    ------
    ValueError
        When there are fewer than two.

    Examples
    --------
    >>> spread = volume_spread([8.0, 10.0, 12.0])
    >>> spread.mean, spread.sd, spread.range, spread.cv
    (10.0, 2.0, 4.0, 0.2)
    """
    if len(volumes) < 2:
        msg = f"a spread needs the volumes of two raters or more, got {len(volumes)}"
        raise ValueError(msg)
    mean, sd = statistics.fmean(volumes), statistics.stdev(volumes)
    apart = max(volumes) - min(volumes)
    return VolumeSpread(tuple(volumes), mean, sd, apart, sd / mean if mean > 0 else None)


def _width(a: Reference, b: Reference) -> float | None:
    """ASSD of two masks; None when one is empty."""
    if a.is_empty or b.is_empty:
        return None
    return assd(MaskPair(prediction=a.mask, reference=b), MetricSpec("assd"))


def _pairwise(
    items: Sequence[_Mask],
    measure: Callable[[_Mask, _Mask], float | None],
    *,
    own: Callable[[_Mask], float | None],
) -> Matrix:
    """Measure every pair once and write it on both sides of the diagonal."""
    found = {(i, i): own(item) for i, item in enumerate(items)}
    for (i, a), (j, b) in itertools.combinations(enumerate(items), 2):
        found[i, j] = found[j, i] = measure(a, b)
    places = range(len(items))
    return tuple(tuple(found[i, j] for j in places) for i in places)


def _mean_of_pairs(matrix: Matrix) -> float:
    """Mean over the pairs above the diagonal, all of which have a value."""
    values = [value for i, row in enumerate(matrix) for value in row[i + 1 :] if value is not None]
    return sum(values) / len(values)
