"""Estimate, the inverse: at which level of an axis a scan lies.

The severity axis is *added* degradation; these estimators see the *total*. What they recover of
injected levels is stated with each; anatomy looks like noise, edges and non-uniformity, so clean
scans are never estimated at 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from perturbations.blur import FWHM_OF_SIGMA, smoothed
from perturbations.intensity import polynomials
from perturbations.noise import sigma_unit
from perturbations.scan import Scan

__all__ = [
    "estimate_bias",
    "estimate_blur",
    "estimate_level",
    "estimate_noise",
    "residual_sigma",
]

_MAD = 0.6744897501960817
"""Median absolute deviation of a standard normal."""

_FEW = 200
"""Fewer voxels give no estimate."""


def estimate_level(name: str, scan: Scan) -> float | None:
    """Estimate a scan's level on the axis of a perturbation; None where no estimator exists."""
    if name in ("gaussian_noise", "rician_noise"):
        return estimate_noise(scan)
    if name == "gaussian_blur":
        return estimate_blur(scan)
    return estimate_bias(scan) if name == "bias_field" else None


def estimate_noise(scan: Scan) -> float | None:
    """Estimate the noise sigma, in % of S_ref (HU for CT).

    MR with its own background: from the Rayleigh background at the border of the field of view,
    median = sigma sqrt(2 ln 2). Otherwise from the residual in the foreground, see `residual_sigma`.
    Noise that was smoothed by interpolation is underestimated.
    """
    first = scan.image[0].numpy()
    sigma = None
    if scan.modality == "mr" and not scan.masked_background and float(first.min()) >= 0:
        sigma = _rayleigh_sigma(scan)
    if sigma is None:
        sigma = residual_sigma(first, scan.foreground.numpy(), scan.spacing)
    return None if sigma is None else sigma / sigma_unit(scan)


def residual_sigma(
    image: NDArray[np.float32], foreground: NDArray[np.bool_], spacing: tuple[float, ...]
) -> float | None:
    """Noise from the finest diagonal detail (Haar) in the plane of the two finest axes.

    The median absolute deviation of (a - b - c + d) / 2 over .6745 (Donoho & Johnstone 1994, doi
    10.1093/biomet/81.3.425); None when fewer than 200 voxels count.
    """
    fine = sorted(np.argsort(spacing, kind="stable")[:2])
    moved = np.moveaxis(image, fine, (-2, -1)).astype(np.float64)
    inside = np.moveaxis(foreground, fine, (-2, -1))
    if moved.shape[-1] < 2 or moved.shape[-2] < 2:
        return None
    detail = (
        moved[..., :-1, :-1] - moved[..., 1:, :-1] - moved[..., :-1, 1:] + moved[..., 1:, 1:]
    ) / 2
    whole = (
        inside[..., :-1, :-1] & inside[..., 1:, :-1] & inside[..., :-1, 1:] & inside[..., 1:, 1:]
    )
    values = detail[whole]
    return float(np.median(np.abs(values))) / _MAD if values.size >= _FEW else None


def estimate_blur(scan: Scan) -> float | None:
    """Estimate the FWHM of the point-spread function at the sharpest edges, in mm (px).

    An edge of width sigma that is smoothed once more by s loses gradient by R = sqrt(1 + s^2 /
    sigma^2), so sigma = s / sqrt(R^2 - 1) (after Zhuo & Sim 2011, doi 10.1016/j.patcog.2011.03.009).
    Along the finest axis, at the 2 % steepest voxels of the smoothed image.
    """
    axis = int(np.argmin(scan.spacing))
    size = scan.spatial_shape[axis]
    if size < 8:
        return None
    widths = [0.0] * scan.ndim
    widths[axis] = 1.0
    once = smoothed(scan.image[:1], widths)[0].numpy().astype(np.float64)
    first = np.abs(np.gradient(scan.image[0].numpy().astype(np.float64), axis=axis))
    again = np.abs(np.gradient(once, axis=axis))
    threshold = float(np.quantile(again, 0.98))
    steep = (again >= threshold) & (again > 0)
    if int(steep.sum()) < _FEW // 4:
        return None
    ratio = float(np.median(first[steep] / again[steep]))
    if ratio <= 1.0:
        return None
    length = scan.spacing[axis] if scan.modality_class == "body" else 1.0
    return FWHM_OF_SIGMA * length / math.sqrt(ratio * ratio - 1.0)


def estimate_bias(scan: Scan) -> float | None:
    """Estimate the intensity non-uniformity over the foreground, % INU.

    Least squares fit of log-polynomials of order 3, with the residuals beyond 2.5 robust deviations
    left out once; the span of the fit is the estimate. Anatomy that varies smoothly counts as bias.
    """
    first = scan.image[0].numpy()
    inside = scan.foreground.numpy() & (first > 0)
    if int(inside.sum()) < _FEW:
        return None
    terms = [np.broadcast_to(term, first.shape)[inside] for term in polynomials(scan.spatial_shape)]
    design = np.stack([np.ones(terms[0].shape), *terms], axis=1)
    target = np.log(first[inside].astype(np.float64))
    step = max(1, len(target) // 20000)
    keep = np.arange(0, len(target), step)
    weights, *_ = np.linalg.lstsq(design[keep], target[keep], rcond=None)
    residual = target[keep] - design[keep] @ weights
    spread = float(np.median(np.abs(residual - np.median(residual)))) / _MAD
    if spread > 0:
        keep = keep[np.abs(residual) <= 2.5 * spread]
        weights, *_ = np.linalg.lstsq(design[keep], target[keep], rcond=None)
    fitted = design @ weights
    low, high = np.quantile(fitted, [0.005, 0.995])
    ratio = math.exp(float(high - low))
    return 200.0 * (ratio - 1.0) / (ratio + 1.0)


def _rayleigh_sigma(scan: Scan) -> float | None:
    """Noise from the background at the border of the field of view; None when there is none."""
    first = scan.image[0].numpy()
    border = np.ones(first.shape, dtype=bool)
    inner = tuple(
        slice(max(1, size // 12), size - max(1, size // 12)) if size >= 8 else slice(None)
        for size in first.shape
    )
    border[inner] = False
    air = border & ~scan.foreground.numpy()
    values = first[air].astype(np.float64)
    if values.size < _FEW or (values == 0).mean() > 0.2:
        return None
    return float(np.median(values)) / math.sqrt(2.0 * math.log(2.0))
