"""Do two grids agree? Compared with printed tolerances, never repaired silently."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.schema import Geometry

__all__ = [
    "DIRECTION_TOLERANCE",
    "ORIGIN_TOLERANCE",
    "SPACING_SHARE",
    "SPACING_TOLERANCE",
    "VOXEL_SIDES_MM",
    "difference",
    "is_credible",
]

SPACING_TOLERANCE = 1e-3
"""mm: what float32 headers and rounding tools leave."""

SPACING_SHARE = 0.01
"""Of the smallest voxel side: what counts where voxels are so small that 1e-3 mm is much of one."""

VOXEL_SIDES_MM = (1e-7, 1e5)
"""Smallest and largest side of a voxel that is believed, from atoms to buildings: squares of others
leave the range of numbers, and distances would be infinite or 0."""

DIRECTION_TOLERANCE = 1e-3
"""Of each direction cosine: .06 degrees."""

ORIGIN_TOLERANCE = 0.1
"""Of the smallest voxel side."""


def is_credible(spacing: Sequence[float]) -> bool:
    """Say whether every side of a voxel, in mm, lies in `VOXEL_SIDES_MM`; NaN does not."""
    smallest, largest = VOXEL_SIDES_MM
    return all(smallest <= side <= largest for side in spacing)


def difference(first: Geometry, second: Geometry) -> str:
    """Say how two grids differ; empty when they agree.

    Parameters
    ----------
    first, second : Geometry
        Both values are named in this order. Direction and origin are compared for physical images
        only.
    """
    if first.shape != second.shape:
        return f"shape {first.shape} against {second.shape}"
    if first.unit == "px" or second.unit == "px":
        # a PNG mask of a physical image carries no position; equal shape is all that can be asked
        return ""
    near = min(SPACING_TOLERANCE, SPACING_SHARE * min(*first.spacing, *second.spacing))
    if _apart(first.spacing, second.spacing) > near:
        return (
            f"spacing {_text(first.spacing)} against {_text(second.spacing)} mm "
            f"(tolerance {near:g} mm)"
        )
    turned = max(
        (_apart(a, b) for a, b in zip(first.direction, second.direction, strict=True)), default=0.0
    )
    if turned > DIRECTION_TOLERANCE:
        axes = [" ".join(map(_text, it.direction)) for it in (first, second)]
        return f"direction {axes[0]} against {axes[1]} (tolerance {DIRECTION_TOLERANCE:g})"
    allowed = ORIGIN_TOLERANCE * min(first.spacing)
    if _apart(first.origin, second.origin) > allowed:
        return (
            f"origin {_text(first.origin)} against {_text(second.origin)} mm "
            f"(tolerance {allowed:g} mm, {ORIGIN_TOLERANCE:g} of a voxel)"
        )
    return ""


def _apart(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    return max((abs(a - b) for a, b in zip(first, second, strict=True)), default=0.0)


def _text(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"
