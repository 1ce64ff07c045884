"""Estimate noise: sigma of a scan as it is.

The finest diagonal detail of the foreground holds noise and little anatomy; the background of an MR
magnitude image holds noise alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from perturbations.blur import kernel, smoothed
from perturbations.planes import finest, sampled
from perturbations.scan import Scan

__all__ = [
    "FEW",
    "MAD",
    "Noise",
    "background_air",
    "chi_sigma",
    "koay",
    "noise_sigma",
    "residual_sigma",
]

MAD = 0.6744897501960817
"""Median absolute deviation of a standard normal."""

FEW = 200
"""Fewer voxels give no estimate."""

_DETAILS = 1 << 21
"""So many details at most are looked at."""


_SMOOTHED = 4.0
"""Voxels that are smoothed per unit of sigma over S_ref, before a percentile is taken."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of a scan, and the signal that it is related to."""

    sigma: float
    """In the scan's own units."""
    signal: float
    """S_ref without what the noise adds to it, in the scan's own units."""


def noise_sigma(scan: Scan, *, coils: float = 1.0) -> Noise | None:
    """Estimate sigma and S_ref together; None when too few voxels can be seen.

    MR with its own background: from the background at the border of the field of view, `chi_sigma`.
    Otherwise from the residual in the foreground, `residual_sigma`; on MR magnitudes that is divided by
    what the magnitude leaves of sigma (`koay`).

    Parameters
    ----------
    scan : Scan
        Its first channel counts.
    coils : float
        Of an MR magnitude, where its background does not tell.
    """
    part = sampled(scan)
    first = part.image[0].numpy()
    magnitude = scan.modality == "mr" and float(first.min()) >= 0
    quiet, inside = quieted(part)
    residual = residual_sigma(first, inside, scan.spacing)
    if residual is None:
        return None
    sigma = residual
    if magnitude:
        sigma = koay(residual, float(np.median(quiet[inside].astype(np.float64))))
        air = None if part.masked_background else background_air(part, inside)
        found = None if air is None else chi_sigma(air)
        sigma, coils = found or (sigma, coils)
    if scan.modality == "ct":
        return Noise(sigma, scan.s_ref)
    lifted = (2.0 * coils - 1.0) * sigma**2 if magnitude else 0.0
    rough = float(np.quantile(quiet[inside], 0.95))
    width = min(1.0, _SMOOTHED * sigma / rough) if rough > 0 else 0.0
    calm, left = _calmed(part, width)
    signal = _signal(calm[inside], left * sigma, lifted)
    if scan.state == "normalised":
        signal -= float(np.quantile(quiet[part.support.numpy()], 0.01))
    signal = abs(signal)
    return Noise(sigma, signal) if signal > max(1e-12, 1e-3 * sigma) else None


def residual_sigma(
    image: NDArray[np.float32], foreground: NDArray[np.bool_], spacing: tuple[float, ...]
) -> float | None:
    """Noise from the finest diagonal detail (Haar) in the plane of the two finest axes.

    The median absolute deviation of (a - b - c + d) / 2 over .6745 (Donoho & Johnstone 1994, doi
    10.1093/biomet/81.3.425); None when fewer than 200 voxels count.
    """
    fine = finest(spacing)
    if min(image.shape[axis] for axis in fine) < 2:
        return None
    values = np.moveaxis(image, fine, (-2, -1)).reshape(-1, *(image.shape[a] for a in fine))
    inside = np.moveaxis(foreground, fine, (-2, -1)).reshape(values.shape)
    step = max(1, -(-values.size // _DETAILS))
    values, inside = values[step // 2 :: step].astype(np.float64), inside[step // 2 :: step]
    across = values[:, :, 1:] - values[:, :, :-1]
    detail = across[:, 1:] - across[:, :-1]
    whole = inside[:, 1:, 1:] & inside[:, 1:, :-1] & inside[:, :-1, 1:] & inside[:, :-1, :-1]
    chosen = np.abs(detail[whole])
    return float(np.median(chosen)) / 2.0 / MAD if chosen.size >= FEW else None


def koay(deviation: float, mean: float) -> float:
    """Sigma of Rician noise from the mean and the standard deviation of a magnitude.

    deviation^2 = xi(A / sigma) sigma^2 with the signal A^2 = mean^2 + deviation^2 - 2 sigma^2, solved by
    iteration. Without signal xi is (4 - pi) / 2, with much signal 1.

    Examples
    --------
    >>> round(koay(1.0, 100.0), 3), round(koay(0.9132, 2.2725), 2)
    (1.0, 1.0)
    """
    from scipy.special import ive

    sigma = deviation
    for _ in range(50):
        power = max(mean**2 + deviation**2 - 2.0 * sigma**2, 0.0)
        theta = power / sigma**2 if sigma > 0 else math.inf
        if theta > 400.0:
            return sigma
        bent = (2.0 + theta) * ive(0, theta / 4.0) + theta * ive(1, theta / 4.0)
        sigma = deviation / math.sqrt(2.0 + theta - math.pi / 8.0 * bent**2)
    return float(sigma)


def background_air(scan: Scan, inside: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Values of the background at the border of the field of view; None where there is none.

    Also where more than a fifth of them are exact zeros: a background that was cut out or rounded away
    holds no noise to measure.
    """
    first = scan.image[0].numpy()
    border = np.ones(first.shape, dtype=bool)
    inner = tuple(
        slice(max(1, size // 12), size - max(1, size // 12)) if size >= 8 else slice(None)
        for size in first.shape
    )
    border[inner] = False
    values = first[border & ~inside].astype(np.float64)
    return None if values.size < FEW or (values == 0).mean() > 0.2 else values


def chi_sigma(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Sigma and effective number of coils of noise without signal.

    The magnitude of L coils follows a chi distribution of 2 L degrees of freedom (Constantinides et al.
    1997, doi 10.1002/mrm.1910380524). Median over median absolute deviation gives L, 2.63 for one coil
    (Rayleigh) and 8.34 for eight; the median then gives sigma. None when there is no spread.
    """
    middle = float(np.median(values))
    spread = float(np.median(np.abs(values - middle)))
    if middle <= 0 or spread <= 0:
        return None
    coils, medians, ratios = _chi_table()
    found = float(np.interp(math.log(middle / spread), np.log(ratios), np.log(coils)))
    return middle / float(np.interp(found, np.log(coils), medians)), math.exp(found)


@lru_cache(maxsize=1)
def _chi_table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return coils, 1 to 64, the median of each chi distribution, and its median over its MAD."""
    from scipy.stats import chi

    coils = np.geomspace(1.0, 64.0, 49)
    medians = chi.median(2 * coils)
    low, high = np.zeros_like(coils), medians.copy()
    for _ in range(50):
        reach = (low + high) / 2
        short = chi.cdf(medians + reach, 2 * coils) - chi.cdf(medians - reach, 2 * coils) < 0.5
        low, high = np.where(short, reach, low), np.where(short, high, reach)
    return coils, medians, medians / low


def quieted(scan: Scan) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Smooth by a voxel in the finest plane, and find the foreground there, for noise hides its edge.

    Negative values of noise around 0 are no sign of a standardised scan, see `Scan.foreground`.
    """
    values, _ = _calmed(scan, 1.0)
    image = torch.from_numpy(values)[None]
    support = scan.support.numpy()
    if scan.modality == "mr" and support.any() and float(np.quantile(values[support], 0.1)) >= 0:
        image = image.clamp(min=0.0)
    return values, replace(scan, image=image).foreground.numpy() & support


def _calmed(scan: Scan, width: float) -> tuple[NDArray[np.float32], float]:
    """Smooth by `width` voxels in the finest plane; also return what that leaves of white noise."""
    widths = [0.0] * scan.ndim
    for axis in finest(scan.spacing):
        widths[axis] = width
    left = float((kernel(width) ** 2).sum()) if width > 0 else 1.0
    return smoothed(scan.image, widths)[0].numpy(), left


def _signal(values: NDArray[np.float32], sigma: float, lifted: float) -> float:
    """95th percentile of the foreground without the noise in it.

    Noise adds sigma^2 to the second cumulant of the values and nothing to the third. What that does to
    a percentile is told by its expansion in cumulants (Cornish & Fisher 1938, doi 10.2307/1400905).
    `lifted` is what a magnitude has gained in squares.
    """
    exact = values.astype(np.float64)
    signal = float(np.quantile(exact, 0.95))
    centred = exact - exact.mean()
    spread, lean = float((centred**2).mean()), float((centred**3).mean())
    clean = max(spread - sigma**2, 0.1 * spread)
    signal += _expanded(clean, lean) - _expanded(spread, lean)
    return math.sqrt(max(signal**2 - lifted, 0.0)) if lifted > 0 else signal


def _expanded(variance: float, third: float) -> float:
    """Distance of the 95th percentile from the mean, from the second and third cumulant."""
    if variance <= 0:
        return 0.0
    z = 1.6448536269514722
    # beyond a skewness of 1 the expansion is no longer monotone in the variance
    skew = min(1.0, max(-1.0, third / variance**1.5))
    return math.sqrt(variance) * float(
        z + (z * z - 1) * skew / 6 - (2 * z**3 - 5 * z) * skew * skew / 36
    )
