"""Named lists of perturbations.

A preset holds what happens to scans of its kind in practice. Oracles, which read the reference, and chains,
whose parts are there already, are left out; published protocols have presets of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from perturbations.catalog.lines import CATALOG

__all__ = ["PRESETS"]

_GEOMETRY = ("rotation", "translation", "scaling", "elastic", "crop")


def _protocol(name: str) -> tuple[str, ...]:
    return tuple(line.name for line in CATALOG.values() if line.protocol == name)


PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mri": (
            "rician_noise", "gaussian_blur", "thick_slices", "low_resolution", "bias_field", "gamma_up",
            "gamma_down", "contrast_loss", "motion", "ghosting", "spike", "gibbs", "zipper", "wraparound",
            *_GEOMETRY, "missing_slices",
        ),
        "ct": (
            "gaussian_noise", "ct_dose", "gaussian_blur", "thick_slices", "low_resolution", "intensity_shift",
            "intensity_scale", "beam_hardening", "ring_artefact", "metal_streaks", *_GEOMETRY, "missing_slices",
        ),
        "ultrasound": (
            "ultrasound_speckle", "gaussian_blur", "motion_blur", "gamma_up", "gamma_down", "contrast_loss",
            "quantisation", "jpeg", "shadow", "depth_attenuation", *_GEOMETRY, "occlusion",
        ),
        "xray": (
            "poisson_noise", "salt_and_pepper", "gaussian_blur", "motion_blur", "low_resolution", "gamma_up",
            "gamma_down", "contrast_loss", "intensity_shift", "intensity_scale", "quantisation", "jpeg",
            *_GEOMETRY, "occlusion",
        ),
        "microscopy": (
            "gaussian_noise", "poisson_noise", "gaussian_blur", "defocus", "low_resolution", "gamma_up",
            "gamma_down", "contrast_loss", "intensity_shift", "quantisation", "jpeg", *_GEOMETRY,
        ),
        "generic": (
            "gaussian_noise", "gaussian_blur", "low_resolution", "gamma_up", "gamma_down", "contrast_loss",
            "intensity_shift", "intensity_scale", *_GEOMETRY,
        ),
        "rood-mri": _protocol("rood-mri"),
        "imagenet-c": _protocol("imagenet-c"),
        "kamath2023": _protocol("kamath2023"),
    }
)  # fmt: skip
"""Named lists of perturbations."""
