"""Distances between the surfaces of two masks that are both non-empty.

**Conventions.** A surface is a set of elements between voxels, each with a place and an area (2-D:
contours and lengths); see `auditor.metrics.distances`. Lengths are in the unit of the spacing, mm
or px. The areas make the result independent of how finely a surface is sampled in each direction,
and so of anisotropic voxels. Where a mask touches the border of the image, the border is surface.
"""

from __future__ import annotations

import numpy as np

from auditor.metrics.distances import FloatArray
from auditor.metrics.pair import MaskPair
from auditor.schema import MetricSpec

_ROUNDING = 1e-9
"""Relative slack of comparisons: a distance computed in two orders of addition differs in its last
bit, and must not thereby leave a tolerance that it meets exactly."""


def weighted_quantile(values: FloatArray, weights: FloatArray, *, share: float) -> float:
    """Find the smallest value up to which the weights hold at least a share of their sum.

    Parameters
    ----------
    values : (n,), n >= 1
    weights : (n,), positive
    share : in (0, 1]
    """
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    needed = share * cumulated[-1] * (1.0 - _ROUNDING)
    place = int(np.searchsorted(cumulated, needed))
    return float(values[order[min(place, len(order) - 1)]])


def hd95(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the larger of the two directed, area-weighted 95th percentiles of the distances."""
    del spec
    return max(
        weighted_quantile(directed.distances, directed.areas, share=0.95)
        for directed in pair.surface_distances
    )


def assd(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute (sum_P a d + sum_R a d) / (sum_P a + sum_R a), areas a and distances d.

    Notes
    -----
    Pooled over both surfaces. With the two directed averages m_P and m_R of surface-distance and
    the areas A_P and A_R it is (A_P m_P + A_R m_R) / (A_P + A_R), not (m_P + m_R) / 2, which goes
    by the name of MASD.
    """
    del spec
    # Not the dot product: its last bits depend on the number of threads.
    moment = sum(float((d.distances * d.areas).sum()) for d in pair.surface_distances)
    return moment / sum(float(d.areas.sum()) for d in pair.surface_distances)


def nsd(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute the share of both surfaces that lies within the tolerance of the other.

    Raises
    ------
    ValueError
        When the spec declares no tolerance.
    """
    if spec.tolerance_mm is None:
        msg = f"metric {spec.name!r} needs tolerance_mm, got None"
        raise ValueError(msg)
    tolerance = spec.tolerance_mm * (1.0 + _ROUNDING)
    within = sum(float(d.areas[d.distances <= tolerance].sum()) for d in pair.surface_distances)
    return within / sum(float(d.areas.sum()) for d in pair.surface_distances)
