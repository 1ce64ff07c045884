"""What `segaudit perturb` tells of the scans it made: preview.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["PREVIEW_VERSION", "Preview", "PreviewedLevel", "ShownPlane"]

PREVIEW_VERSION = 1
"""Of preview.json."""


@dataclass(frozen=True, slots=True)
class ShownPlane:
    """One cut of the contact sheet."""

    name: str
    """axial, coronal, sagittal, or the two array axes shown."""
    axis: int
    """Array axis that was cut; 0 in 2-D."""
    slice: int
    """Index along it; 0 in 2-D."""


@dataclass(frozen=True, slots=True)
class PreviewedLevel:
    """The scan at one level."""

    severity: float | None
    """Place among the listed levels; None beyond them."""
    level: float
    """In the unit of the preview."""
    status: str
    """ok, or no_effect: the level changes nothing on this scan."""
    reason: str
    """Why, when it has no effect."""
    nrmse: float
    """Root mean square of the difference over the reference signal."""
    psnr: float | None
    """dB; None without change."""
    ssim: float | None
    """Mean structural similarity; None where an axis is shorter than 3."""
    contrast_to_noise: float | None
    """Of the region; None without one."""
    retained: float | None
    """Share of the original frame that is still shown; None when no voxel moves."""
    displacement: float | None
    """Mean over the original frame, in `length`; None when no voxel moves."""
    files: tuple[str, ...]
    """Names of the volumes in the folder; none with --no-volumes."""
    dtype: str
    """Number type in the files; empty without files."""
    clipped: float
    """Share of the values beyond the range of that type; 0 for float32."""
    record: Mapping[str, Any]
    """What `perturbations.replay` does again to the same bits."""


@dataclass(frozen=True, slots=True)
class Preview:
    """One perturbation of one scan at several levels."""

    version: int
    tool: str
    perturbation: str
    family: str
    unit: str
    """Of the levels."""
    modality: str
    state: str
    seed: int
    options: Mapping[str, Any]
    """Complete: with the defaults of the catalogue."""
    scan: tuple[str, ...]
    """File names; no folder."""
    sha256: tuple[str, ...]
    """Of those files."""
    region: str
    """Name of the mask file; empty without one."""
    shape: tuple[int, ...]
    """Along the array axes."""
    spacing: tuple[float, ...]
    """Along the array axes, in `length`."""
    length: str
    """mm or px."""
    signals: tuple[float, ...]
    """Reference signal of each channel, in units of the scan."""
    window: tuple[float, float]
    """Intensities shown as black and white."""
    difference: float
    """Largest difference of the shared scale, in units of the scan."""
    planes: tuple[ShownPlane, ...]
    levels: tuple[PreviewedLevel, ...]
    sheet: str
    """Name of the picture."""
