"""Estimate, the inverse: at which level of an axis a scan lies.

The severity axis is *added* degradation; these estimators see the *total*. Anatomy looks like noise, edges
and non-uniformity, so clean scans are never estimated at 0. What the estimators recover of injected levels
is measured by ``benchmarks/estimators.py``. Undefined is a status: where something cannot be estimated
there is a reason, never a NaN.

**Conventions.** The first channel counts. Units are those of the catalogue: % of S_ref (HU for CT), FWHM in
mm (px), % INU, % of the parent's amplitude.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from perturbations.blur import FWHM_OF_SIGMA
from perturbations.catalog import CATALOG
from perturbations.estimate_bias import field_span
from perturbations.estimate_ghosting import ghost_ratio
from perturbations.estimate_noise import noise_sigma, residual_sigma
from perturbations.estimate_resolution import plane_sigma, slice_sigma
from perturbations.scan import Scan

__all__ = [
    "LEVELS", "Estimated", "Estimates", "estimate_all", "estimate_bias", "estimate_blur",
    "estimate_ghosting", "estimate_level", "estimate_noise", "estimate_slice_thickness",
    "estimate_thick_slices", "residual_sigma",
]  # fmt: skip

_COILS = 8.0
"""Of the noise that `noncentral_chi_noise` adds."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """One property of a scan."""

    name: str
    """As the field of `Estimates` that holds it."""
    value: float | None
    """In `unit`; None where it is not defined."""
    unit: str
    """As printed."""
    reason: str = ""
    """Why there is no value."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """What can be estimated on one scan without a label; iterates over its fields."""

    noise: Estimated
    """Sigma, % of S_ref (HU for CT)."""
    blur: Estimated
    """FWHM of the sharpest edges in the plane, mm (px)."""
    bias: Estimated
    """% INU over the foreground."""
    ghosting: Estimated
    """Amplitude of a ghost, % of its parent's."""
    slice_thickness: Estimated
    """As the file tells, mm (px)."""
    intensity_low: Estimated
    """1st percentile inside the support."""
    intensity_high: Estimated
    """99th percentile inside the support."""
    s_ref: Estimated
    """Reference signal."""

    def __iter__(self) -> Iterator[Estimated]:
        """Go through the estimates in the order of the fields."""
        return (getattr(self, field.name) for field in fields(self))


def estimate_all(scan: Scan) -> Estimates:
    """Estimate every property of a scan that has an estimator.

    Examples
    --------
    >>> import torch
    >>> flat = Scan(image=torch.ones(1, 8, 8, 8), spacing=(2.0, 1.0, 1.0), modality="other")
    >>> found = estimate_all(flat)
    >>> found.slice_thickness.value, found.blur.value, found.blur.reason
    (2.0, None, 'no edge, or planes thinner than 8 voxels')
    """
    low, high, signal = _intensities(scan)
    return Estimates(
        noise=_noise(scan),
        blur=_blur(scan),
        bias=_bias(scan),
        ghosting=_ghosting(scan),
        slice_thickness=_slice_thickness(scan),
        intensity_low=low,
        intensity_high=high,
        s_ref=signal,
    )


def estimate_level(name: str, scan: Scan) -> float | None:
    """Estimate a scan's level on the axis of a perturbation.

    Parameters
    ----------
    name : str
        Of the perturbation; `LEVELS` has those with an estimator.
    scan : Scan
        As it is, with what it has of its own.

    Returns
    -------
    float or None
        In the unit of the axis. None where no estimator exists, the perturbation is not for scans of that
        modality, or the scan does not tell.
    """
    entry = CATALOG.get(name)
    if entry is not None and entry.modalities and scan.modality not in entry.modalities:
        return None
    return LEVELS[name](scan) if name in LEVELS else None


def estimate_noise(scan: Scan) -> float | None:
    """Estimate the noise sigma, in % of S_ref (HU for CT); see `noise_sigma`.

    Noise that was smoothed by interpolation is underestimated. S_ref is estimated with it, for noise
    raises the percentile that it is.
    """
    return _noise(scan).value


def estimate_blur(scan: Scan) -> float | None:
    """Estimate the FWHM of the sharpest edges in the plane of the finest axes, mm (px).

    See `edge_sigma`; what the anatomy's own edges measure adds in squares.
    """
    return _blur(scan).value


def estimate_bias(scan: Scan) -> float | None:
    """Estimate the intensity non-uniformity over the foreground, % INU; None for CT; see `field_span`."""
    return _bias(scan).value


def estimate_ghosting(scan: Scan) -> float | None:
    """Estimate the amplitude of a ghost in % of its parent's, for MR with its own background.

    See `ghost_ratio`: a ghost that falls upon the object is not seen.
    """
    return _ghosting(scan).value


def estimate_slice_thickness(scan: Scan) -> float | None:
    """Return the slice thickness that the file tells, else the distance of the slices, mm (px)."""
    return _slice_thickness(scan).value


def estimate_thick_slices(scan: Scan) -> float | None:
    """Estimate how thick the slices are in the image, as a multiple of what the file tells.

    Contiguous slices of T native ones, interpolated linearly, have a profile of variance T^2 / 12 + T^2 /
    6 = (T / 2)^2; so T is twice the width of the sharpest edges across the slices. The anatomy's own
    edges count as well, so that thin slices have 1.5 to 4.
    """
    sigma = slice_sigma(scan)
    if sigma is None:
        return None
    step = scan.spacing[scan.slice_axis]
    return 2.0 * sigma * step / (scan.slice_thickness or step)


LEVELS: dict[str, Callable[[Scan], float | None]] = {
    "gaussian_noise": estimate_noise,
    "rician_noise": estimate_noise,
    "noncentral_chi_noise": lambda scan: _noise(scan, coils=_COILS).value,
    "gaussian_blur": estimate_blur,
    "bias_field": estimate_bias,
    "thick_slices": estimate_thick_slices,
    "ghosting": estimate_ghosting,
}
"""The axes that have an estimator."""


def _noise(scan: Scan, *, coils: float = 1.0) -> Estimated:
    ct = scan.modality == "ct"
    unit = "HU" if ct else "% of S_ref"
    found = noise_sigma(scan, coils=coils)
    if found is None:
        why = "fewer than 200 voxels of foreground in its finest planes, or no signal"
        return Estimated("noise", None, unit, why)
    return Estimated("noise", found.sigma if ct else 100.0 * found.sigma / found.signal, unit)


def _blur(scan: Scan) -> Estimated:
    unit = "mm" if scan.modality_class == "body" and scan.unit == "mm" else "px"
    sigma = plane_sigma(scan)
    if sigma is None:
        return Estimated("blur", None, unit, "no edge, or planes thinner than 8 voxels")
    return Estimated("blur", FWHM_OF_SIGMA * sigma, unit)


def _bias(scan: Scan) -> Estimated:
    if scan.modality == "ct":
        return Estimated("bias", None, "% INU", "HU have no coil to be uneven by")
    span = field_span(scan)
    reason = "fewer than 200 voxels of foreground above 0" if span is None else ""
    return Estimated("bias", span, "% INU", reason)


def _ghosting(scan: Scan) -> Estimated:
    ratio = ghost_ratio(scan)
    if isinstance(ratio, str):
        return Estimated("ghosting", None, "%", ratio)
    return Estimated("ghosting", 100.0 * ratio, "%")


def _slice_thickness(scan: Scan) -> Estimated:
    if scan.ndim == 2:
        return Estimated("slice_thickness", None, scan.unit, "an image of one plane has no slices")
    value = scan.slice_thickness or scan.spacing[scan.slice_axis]
    return Estimated("slice_thickness", float(value), scan.unit)


def _intensities(scan: Scan) -> tuple[Estimated, Estimated, Estimated]:
    """Robust range and S_ref; both are quantiles of what was imaged, not of what was padded."""
    unit = "HU" if scan.modality == "ct" else "intensity"
    values = scan.image[0].cpu().numpy()
    if scan.masked_background and bool(scan.support.any()):
        values = values[scan.support.numpy()]
    low, high = (float(q) for q in np.quantile(values, [0.01, 0.99]))
    reason = "all voxels have one value" if float(values.min()) == float(values.max()) else ""
    return (
        Estimated("intensity_low", low, unit),
        Estimated("intensity_high", high, unit),
        Estimated("s_ref", None if reason else scan.s_ref, unit, reason),
    )
