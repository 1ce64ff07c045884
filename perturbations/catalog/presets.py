"""Named lists of perturbations."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["PRESETS"]

PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mri": (
            "rician_noise", "gaussian_blur", "thick_slices", "bias_field", "gamma_up",
            "gamma_down", "rotation",
        ),
        "ct": ("gaussian_noise", "gaussian_blur", "thick_slices", "rotation"),
        "ultrasound": ("gaussian_noise", "gaussian_blur", "gamma_up", "gamma_down", "rotation"),
        "xray": ("gaussian_noise", "gaussian_blur", "gamma_up", "gamma_down", "rotation"),
        "microscopy": ("gaussian_noise", "gaussian_blur", "gamma_up", "gamma_down", "rotation"),
        "generic": ("gaussian_noise", "gaussian_blur", "gamma_up", "gamma_down", "rotation"),
    }
)  # fmt: skip
"""Named lists of perturbations."""
