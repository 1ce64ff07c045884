"""Every line of the catalogue, family by family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from perturbations.catalog import (
    acquisition,
    blur,
    ct,
    field_of_view,
    geometry,
    imagenet_c,
    intensity,
    kamath2023,
    kspace,
    noise,
    resolution,
    rood_mri,
    texture,
    ultrasound,
)
from perturbations.catalog.entry import Perturbation

__all__ = ["CATALOG", "ESTIMATED"]

_FAMILIES = (
    noise,
    blur,
    resolution,
    intensity,
    kspace,
    ct,
    geometry,
    field_of_view,
    ultrasound,
    texture,
    acquisition,
    rood_mri,
    imagenet_c,
    kamath2023,
)

CATALOG: Mapping[str, Perturbation] = MappingProxyType(
    {line.name: line for family in _FAMILIES for line in family.LINES}
)
"""Every perturbation by name."""

ESTIMATED = (
    "gaussian_noise", "rician_noise", "noncentral_chi_noise", "gaussian_blur", "bias_field",
    "thick_slices", "ghosting",
)  # fmt: skip
"""Lines whose level can be estimated on a scan, by `perturbations.estimate.LEVELS`."""
