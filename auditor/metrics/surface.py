"""Distances between the borders of two masks that are both non-empty, in two definitions.

**Conventions.** Lengths are in the unit of the spacing, mm or px. Where a mask touches the border of
the image, it ends there. See `auditor.metrics.outlines`.

- *Surface elements* (`hd95`, `hd100`, `assd`, `masd`, `nsd`): they lie between voxels and weigh what
  their area is (2-D: their length), so that a result does not depend on how finely each direction is
  sampled, nor on anisotropic voxels.
- *Boundary voxels* (the names that end in ``_voxel``): all count the same. These are the numbers of
  MONAI 1.6, for comparison with published ones.
"""

from __future__ import annotations

import numpy as np

from auditor.metrics.distances import Directed
from auditor.metrics.outlines import FloatArray
from auditor.metrics.pair import MaskPair
from auditor.schema import MetricSpec

_ROUNDING = 1e-9
"""Relative slack of comparisons: a distance computed in two orders of addition differs in its last
bit, and must not thereby leave a tolerance that it meets exactly."""


def weighted_quantile(values: FloatArray, weights: FloatArray, *, share: float) -> float:
    """Find the smallest value up to which the weights hold at least a share of their sum.

    Parameters
    ----------
    values : (n,), n >= 1, none negative
    weights : (n,), positive
    share : in (0, 1]
    """
    needed = share * float(weights.sum()) * (1.0 - _ROUNDING)
    # Where the surfaces lie on each other the distance is 0, mostly so; only the rest is sorted.
    rest = np.flatnonzero(values > 0.0)
    needed -= float(weights.sum()) - float(weights[rest].sum())
    if needed <= 0.0 or rest.size == 0:
        return 0.0
    order = rest[np.argsort(values[rest])]
    place = int(np.searchsorted(np.cumsum(weights[order]), needed))
    return float(values[order[min(place, len(order) - 1)]])


def percentile(values: FloatArray, *, share: float) -> float:
    """Find a percentile by linear interpolation between the two values around its rank.

    Parameters
    ----------
    values : (n,), n >= 1
    share : in (0, 1)

    Notes
    -----
    The rank is share (n - 1), counted from 0, in single precision: torch.quantile rounds it so, and
    with it MONAI. Exact ranks (NumPy, medpy) give a value that differs by at most n 2^-24 of the gap
    between the two.
    """
    rank = float(np.float32(share) * np.float32(len(values) - 1))
    below = int(rank)
    above = min(below + 1, len(values) - 1)
    around = np.partition(values, (below, above))
    low, high = float(around[below]), float(around[above])
    return low + (high - low) * (rank - below)


def hd95(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the larger of the two directed, area-weighted 95th percentiles of the distances."""
    del spec
    return max(
        weighted_quantile(directed.distances, directed.areas, share=0.95)
        for directed in pair.surface_distances
    )


def hd100(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the largest distance from an element of either surface to the other surface."""
    del spec
    return _largest(pair.surface_distances)


def assd(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute (sum_P a d + sum_R a d) / (sum_P a + sum_R a), areas a and distances d.

    Notes
    -----
    Pooled over both surfaces. With the two directed averages m_P and m_R of surface-distance and
    the areas A_P and A_R it is (A_P m_P + A_R m_R) / (A_P + A_R), not (m_P + m_R) / 2, which goes
    by the name of MASD.
    """
    del spec
    return _pooled_mean(pair.surface_distances)


def masd(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute (m_P + m_R) / 2 of the two directed, area-weighted mean distances."""
    del spec
    return _mean_of_means(pair.surface_distances)


def nsd(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the share of both surfaces that lies within the tolerance of the other.

    Raises
    ------
    ValueError
        When the spec declares no tolerance.
    """
    tolerance = _tolerance(spec) * (1.0 + _ROUNDING)
    within = sum(float(d.areas[d.distances <= tolerance].sum()) for d in pair.surface_distances)
    return within / sum(float(d.areas.sum()) for d in pair.surface_distances)


def hd95_voxel(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the larger of the two directed 95th percentiles between boundary voxels."""
    del spec
    return max(percentile(d.distances, share=0.95) for d in pair.boundary_distances)


def hd100_voxel(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the largest distance from a boundary voxel of either mask to the other's nearest."""
    del spec
    return _largest(pair.boundary_distances)


def assd_voxel(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the mean over the boundary voxels of both masks together.

    Notes
    -----
    Pooled, as MONAI's symmetric surface distance and medpy's assd (0.5) are.
    """
    del spec
    return _pooled_mean(pair.boundary_distances)


def masd_voxel(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute (m_P + m_R) / 2 of the two directed mean distances between boundary voxels."""
    del spec
    return _mean_of_means(pair.boundary_distances)


def nsd_voxel(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the share of both masks' boundary voxels within the tolerance of the other's.

    Raises
    ------
    ValueError
        When the spec declares no tolerance.
    """
    # As MONAI: in single precision, where a distance that meets the tolerance exactly stays in it.
    tolerance = np.float32(min(_tolerance(spec), float(np.finfo(np.float32).max)))
    found = [d.distances.astype(np.float32) <= tolerance for d in pair.boundary_distances]
    return sum(int(np.count_nonzero(f)) for f in found) / sum(len(f) for f in found)


def _tolerance(spec: MetricSpec) -> float:
    if spec.tolerance_mm is None:
        msg = f"metric {spec.name!r} needs tolerance_mm, got None"
        raise ValueError(msg)
    return spec.tolerance_mm


def _largest(both: tuple[Directed, Directed]) -> float:
    return max(float(d.distances.max()) for d in both)


def _moment(directed: Directed) -> float:
    # Not the dot product: its last bits depend on the number of threads.
    return float((directed.distances * directed.areas).sum())


def _pooled_mean(both: tuple[Directed, Directed]) -> float:
    return sum(_moment(d) for d in both) / sum(float(d.areas.sum()) for d in both)


def _mean_of_means(both: tuple[Directed, Directed]) -> float:
    return sum(_moment(d) / float(d.areas.sum()) for d in both) / 2.0
