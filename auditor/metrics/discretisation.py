"""When a declared length is finer than the voxels that it is measured on.

**Conventions.** Lengths are in mm, or in px for images without a spacing. Masks are drawn in whole
voxels, so that surfaces of two masks lie whole steps apart along each axis: a tolerance below the step
asks whether they are the same voxels.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor.schema import MetricSpec

__all__ = ["below_voxel_size"]

_LENGTHS = {"tolerance_mm": "tolerance", "width_mm": "width"}
"""Fields of `MetricSpec` that are lengths -> their name in words."""


def below_voxel_size(
    metrics: Sequence[MetricSpec], spacing: Sequence[float], unit: str
) -> tuple[str, ...]:
    """Name each metric whose tolerance, or width, is smaller than the largest voxel side.

    Parameters
    ----------
    metrics : with their parameters
    spacing : along each axis, in `unit`
    unit : ``mm`` or ``px``

    Returns
    -------
    One sentence for each.

    Examples
    --------
    >>> below_voxel_size([MetricSpec("nsd", tolerance_mm=2.0)], (5.0, 1.0, 1.0), "mm")
    ('nsd: a tolerance of 2 mm is below the voxel size of 5 mm, so that along that axis it measures ...',)
    """
    side = max(spacing)
    return tuple(
        f"{spec.name}: a {word} of {length:g} {unit} is below the voxel size of {side:g} {unit}, so that "
        "along that axis it measures how the masks are cut into voxels, not how far apart they are"
        for spec in metrics
        for field, word in _LENGTHS.items()
        if (length := getattr(spec, field)) is not None and length < side
    )
