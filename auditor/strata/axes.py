"""The axes along which cases can be grouped: what each is measured on, its unit, and its range.

Every name that is not here is a column of the table of cases. Loads neither torch nor SciPy, so that a
configuration can be read with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from auditor.metrics.catalog import volume_unit

__all__ = ["AXES", "MEASURED_AXES", "Axis", "unit_of"]

Quantity = Literal["share", "number", "count", "length", "volume", "percent", "noise"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One measured axis."""

    name: str
    """As it stands under ``strata:``."""
    definition: str
    """What is measured, in words."""
    quantity: Quantity
    """share: in [0, 1], printed in %; length: mm, px without a spacing; volume: see
    `auditor.metrics.catalog.volume_unit`; percent: in % already; noise: see `unit_of`; number, count:
    no unit."""
    of_label: bool = True
    """Measured on one label; False: on the scan as a whole."""
    needs_image: bool = False
    """False: the references are enough."""
    low: float = 0.0
    """Edges lie above it."""
    high: float | None = None
    """Edges lie below it; None: no end."""


_ALL = (
    Axis(
        "foreground_ratio",
        "voxels of the label over voxels of the scan",
        "share",
        high=1.0,
    ),
    Axis(
        "window_foreground_ratio",
        "share of the label in the windows that hold any of it, mean over those windows",
        "share",
        high=1.0,
    ),
    Axis("object_volume", "volume of the label", "volume"),
    Axis("components", "connected parts of the label, neighbours by corner counted", "count"),
    Axis("rater_disagreement", "mean pairwise ASSD of the raters", "length"),
    Axis("rater_dsc", "mean pairwise DSC of the raters", "number", high=1.0),
    Axis(
        "texture_disparity",
        "Jensen-Shannon divergence of local binary patterns inside and outside",
        "number",
        needs_image=True,
        high=1.0,
    ),
    Axis(
        "texture_disparity_compat",
        "Kullback-Leibler divergence of local binary patterns inside and outside, as published",
        "number",
        needs_image=True,
        low=float("-inf"),
    ),
    Axis(
        "native_noise",
        "estimated noise of the clean scan, % of its reference signal (CT: HU)",
        "noise",
        of_label=False,
        needs_image=True,
    ),
    Axis(
        "native_blur",
        "estimated blur of the clean scan, FWHM",
        "length",
        of_label=False,
        needs_image=True,
    ),
    Axis(
        "native_bias",
        "estimated intensity non-uniformity of the clean scan",
        "percent",
        of_label=False,
        needs_image=True,
    ),
)

AXES: Mapping[str, Axis] = MappingProxyType({axis.name: axis for axis in _ALL})
"""Name -> axis, in the order in which they are listed."""

MEASURED_AXES: tuple[str, ...] = tuple(AXES)
"""Axes that are measured on references or scans; every other axis is a column of metadata."""


def unit_of(axis: str, length_unit: str = "mm", *, ndim: int = 3, modality: str = "") -> str:
    """Say in which unit the values of an axis are.

    Parameters
    ----------
    axis : name of the axis; a column of metadata has no unit
    length_unit : ``mm``, or ``px`` for images without a spacing
    ndim : 2 or 3, spatial axes of the scans
    modality : of the scans; noise of ``ct`` is in HU, of all others in % of the reference signal

    Returns
    -------
    Empty for shares (which are printed in %), numbers, counts and metadata.

    Examples
    --------
    >>> unit_of("object_volume"), unit_of("object_volume", ndim=2), unit_of("native_blur", "px")
    ('ml', 'mm²', 'px')
    """
    known = AXES.get(axis)
    quantity = known.quantity if known is not None else "number"
    if quantity == "volume":
        return volume_unit(length_unit, ndim=ndim)
    noise = "HU" if modality == "ct" else "%"
    return {"length": length_unit, "percent": "%", "noise": noise}.get(quantity, "")
