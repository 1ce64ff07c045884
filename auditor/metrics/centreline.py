"""Centreline DSC: whether the course of a tubular structure is found, whatever its thickness.

**Conventions.** A skeleton is a thin set of voxels of a mask with its topology. Thinning counts
voxels: the spacing plays no part, and neither do axes: turned or mirrored masks have slightly other
skeletons, which is the algorithm's nature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from auditor.metrics.boxes import BoolArray, Part, cut_out

if TYPE_CHECKING:
    from auditor.metrics.pair import MaskPair
    from auditor.schema import MetricSpec

__all__ = ["centreline_dsc", "skeleton_of"]


def skeleton_of(mask: BoolArray) -> Part[np.bool_]:
    """Thin a mask to its skeleton.

    Parameters
    ----------
    mask : (z, y, x) or (y, x)

    Returns
    -------
    scikit-image's skeleton: Zhang and Suen (1984) in 2-D, Lee, Kashyap and Chu (1994) in 3-D. The
    latter erases some components altogether (a solid box of 2x2x2 or 4x4x4 voxels, in scikit-image
    0.26): of such a component (full connectivity) the voxels that lie deepest in it are kept, so that
    no component is without a skeleton.
    """
    from skimage.morphology import skeletonize  # it takes long to import

    whole = cut_out(mask)
    padded = np.pad(whole.values, 1)
    thin: BoolArray = skeletonize(padded).astype(bool)  # type: ignore[no-untyped-call]  # scikit-image has no types
    labels, count = ndimage.label(padded, structure=np.ones((3,) * mask.ndim))
    kept = np.zeros(count + 1, dtype=bool)
    kept[labels[thin]] = True
    if not kept[1:].all():
        boxes = ndimage.find_objects(labels)
        for number in np.flatnonzero(~kept[1:]) + 1:
            box = boxes[number - 1]
            alone = np.pad(labels[box] == number, 1)
            depth = ndimage.distance_transform_edt(alone)
            deepest = depth >= depth.max() * (1.0 - 1e-9)
            thin[box] |= deepest[(slice(1, -1),) * mask.ndim]
    return Part(whole.box, thin[(slice(1, -1),) * mask.ndim])


def centreline_dsc(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute 2 p s / (p + s) of p = |S(P) ∩ R| / |S(P)| and s = |S(R) ∩ P| / |S(R)|; 0 if both are 0."""
    del spec
    precision = _share_inside(pair.skeleton, pair.reference.mask)
    sensitivity = _share_inside(pair.reference.skeleton, pair.prediction)
    if precision == sensitivity == 0.0:
        return 0.0
    return 2.0 * precision * sensitivity / (precision + sensitivity)


def _share_inside(skeleton: Part[np.bool_], mask: BoolArray) -> float:
    inside = int(np.count_nonzero(skeleton.values & mask[skeleton.box]))
    return inside / int(np.count_nonzero(skeleton.values))
