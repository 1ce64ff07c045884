"""Lesions: the components of a mask, and which of them two masks have in common.

**Conventions.** Components are taken under full connectivity: voxels that share a corner are of one
lesion (26 neighbours in 3-D, 8 in 2-D). Two lesions match when their IoU reaches the declared
overlap. A lesion matches at most one: with an overlap above 0.5 no lesion can reach it with two, up
to 0.5 as many pairs as possible are matched (maximum bipartite matching), so that the counts do not
depend on any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from auditor.metrics.boxes import BoolArray, Part, cut_out, shared

if TYPE_CHECKING:
    from auditor.metrics.pair import MaskPair
    from auditor.schema import MetricSpec

__all__ = [
    "Components",
    "Overlaps",
    "components_of",
    "lesion_f1",
    "lesion_false_positives",
    "lesion_sensitivity",
    "overlaps_of",
]

_ROUNDING = 1e-9
"""Relative slack: an overlap that is met exactly counts as met."""


@dataclass(frozen=True, slots=True)
class Components:
    """The lesions of one mask."""

    part: Part[np.int32]
    """Number of the lesion of each voxel, from 1; 0 outside."""
    sizes: NDArray[np.int64]
    """(lesions,), voxels of each."""

    @property
    def count(self) -> int:
        """How many lesions there are."""
        return len(self.sizes)


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pairs of a lesion of the prediction and one of the reference with common voxels."""

    prediction: NDArray[np.int64]
    """(pairs,), index of the prediction's lesion, from 0."""
    reference: NDArray[np.int64]
    """(pairs,), index of the reference's."""
    iou: NDArray[np.float64]
    """(pairs,), in (0, 1]."""
    n_prediction: int
    """Lesions of the prediction."""
    n_reference: int
    """Lesions of the reference."""

    def matched(self, overlap: float) -> int:
        """Count the pairs that match one to one.

        Parameters
        ----------
        overlap : in (0, 1], smallest IoU of a match
        """
        enough = self.iou >= overlap * (1.0 - _ROUNDING)
        rows, columns = self.prediction[enough], self.reference[enough]
        if len(np.unique(rows)) == len(rows) and len(np.unique(columns)) == len(columns):
            return len(rows)
        graph = sparse.csr_matrix(
            (np.ones(len(rows), dtype=np.int8), (rows, columns)),
            shape=(self.n_prediction, self.n_reference),
        )
        return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def components_of(mask: BoolArray) -> Components:
    """Part a mask into its lesions; an empty mask has none."""
    whole = cut_out(mask)
    labels, count = ndimage.label(whole.values, structure=np.ones((3,) * mask.ndim))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return Components(Part(whole.box, labels), sizes.astype(np.int64))


def overlaps_of(prediction: Components, reference: Components) -> Overlaps:
    """Find the lesions of two masks that have voxels in common, and their IoU."""
    one, other = shared(prediction.part, reference.part)
    both = (one > 0) & (other > 0)
    width = reference.count + 1
    codes, common = np.unique(one[both].astype(np.int64) * width + other[both], return_counts=True)
    first, second = codes // width - 1, codes % width - 1
    union = prediction.sizes[first] + reference.sizes[second] - common
    return Overlaps(first, second, common / union, prediction.count, reference.count)


def lesion_f1(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute 2 TP / (lesions of P + lesions of R)."""
    found = pair.lesions
    return 2.0 * found.matched(_overlap(spec)) / (found.n_prediction + found.n_reference)


def lesion_sensitivity(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute TP / lesions of R."""
    return pair.lesions.matched(_overlap(spec)) / pair.lesions.n_reference


def lesion_false_positives(pair: MaskPair, spec: MetricSpec) -> float:
    """Count the lesions of P without a match; also where a mask is empty."""
    return float(pair.lesions.n_prediction - pair.lesions.matched(_overlap(spec)))


def _overlap(spec: MetricSpec) -> float:
    if spec.overlap is None:
        msg = f"metric {spec.name!r} needs overlap, got None"
        raise ValueError(msg)
    return spec.overlap
