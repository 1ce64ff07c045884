"""Overlap of two masks that are both non-empty, counted in voxels.

**Conventions.** P are the voxels of the prediction, R those of the reference. Each function gives a
number in [0, 1], 1 for identical masks. None depends on the spacing. DSC and IoU do not change when
the masks change places; precision and sensitivity become each other. All are made of four counts that
are taken once.
"""

from __future__ import annotations

from auditor.metrics.pair import MaskPair
from auditor.schema import MetricSpec


def dsc(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute 2 |P ∩ R| / (|P| + |R|)."""
    del spec
    return 2.0 * pair.n_common / (pair.n_prediction + pair.n_reference)


def iou(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute |P ∩ R| / |P ∪ R|."""
    del spec
    return pair.n_common / (pair.n_prediction + pair.n_reference - pair.n_common)


def precision(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute |P ∩ R| / |P|."""
    del spec
    return pair.n_common / pair.n_prediction


def sensitivity(pair: MaskPair, spec: MetricSpec) -> float:
    """Compute |P ∩ R| / |R|."""
    del spec
    return pair.n_common / pair.n_reference


def specificity(pair: MaskPair, spec: MetricSpec) -> float | None:
    """Compute (N - |P ∪ R|) / (N - |R|), N the voxels that are scored; None without any outside R.

    Also where a mask is empty.
    """
    del spec
    outside = pair.reference.n_image - pair.n_reference
    if not outside:
        return None
    return (outside - (pair.n_prediction - pair.n_common)) / outside
