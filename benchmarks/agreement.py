"""Compare perturbations with other implementations of the same definition, for the table of speeds.

Where definitions differ (levels, what is drawn, slice profiles) there is nothing to compare; the tests of
this project hold those lines against arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

import perturbations
from perturbations import Scan
from perturbations.blur import FWHM_OF_SIGMA
from perturbations.geometry import AffineWarp

__all__ = ["differences"]

Volume = NDArray[np.float64]


def differences(scan: Scan) -> Iterator[str]:
    """Write a table: the largest difference over the largest value.

    Parameters
    ----------
    scan : Scan
        Of one channel and three axes, without a masked background.
    """
    yield "| perturbation | level | against | largest relative difference |"
    yield "|---|---|---|---|"
    clean = scan.image[0].numpy().astype(np.float64)
    compared: list[tuple[str, float, str, Callable[[Scan, Volume, float], Volume]]] = [
        ("gaussian_blur", 4.0, "SciPy in float64, to 5 sigma", _scipy_blur),
        ("gaussian_blur", 4.0, "TorchIO", _torchio_blur),
        ("gibbs", 0.7, "NumPy's FFT in float64", _box),
        ("thick_slices", 2.0, "NumPy: means of pairs, interpolated", _pairs),
        ("gamma_up", 1.5, "NumPy: power on the robust range", _power),
        ("rotation", 10.0, "SciPy's affine_transform, order 1", _turned),
    ]
    for name, level, against, peer in compared:
        made = perturbations.realise(name, scan, seed=1).at(level=level).image[0].numpy()
        expected = peer(scan, clean, level)
        error = np.abs(made - expected).max() / np.abs(expected).max()
        yield f"| {name} | {level:g} | {against} | {error:.1e} |"


def _scipy_blur(scan: Scan, clean: Volume, level: float) -> Volume:
    from scipy import ndimage

    sigma = [level / FWHM_OF_SIGMA / step for step in scan.spacing]
    return np.asarray(ndimage.gaussian_filter(clean, sigma, mode="nearest", truncate=5.0))


def _torchio_blur(scan: Scan, clean: Volume, level: float) -> Volume:
    import torchio as tio

    blurred = tio.Blur(std=(level / FWHM_OF_SIGMA,) * 3)(tio.ScalarImage(tensor=scan.image))
    return np.asarray(blurred.data[0].numpy(), dtype=np.float64)


def _box(scan: Scan, clean: Volume, level: float) -> Volume:
    spectrum = np.fft.fftn(clean)
    for axis, size in enumerate(clean.shape):
        lines = np.abs(np.fft.fftfreq(size, 1.0 / size)) <= level * size / 2
        spectrum *= lines.reshape([-1 if a == axis else 1 for a in range(clean.ndim)])
    return np.asarray(np.abs(np.fft.ifftn(spectrum)))


def _pairs(scan: Scan, clean: Volume, level: float) -> Volume:
    thick = clean.reshape(-1, int(level), *clean.shape[1:]).mean(axis=1)
    place = np.clip((np.arange(len(clean)) + 0.5) / level - 0.5, 0, len(thick) - 1)
    low = np.minimum(place.astype(int), len(thick) - 2)
    share = (place - low)[:, None, None]
    return np.asarray((1 - share) * thick[low] + share * thick[low + 1])


def _power(scan: Scan, clean: Volume, level: float) -> Volume:
    ((low, high),) = scan.robust_ranges
    place = (clean - low) / (high - low)
    inside = (place > 0) & (place < 1)
    curved = low + (high - low) * np.where(inside, place, 0.5) ** level
    return np.asarray(np.where(inside, curved, clean))


def _turned(scan: Scan, clean: Volume, level: float) -> Volume:
    from scipy import ndimage

    warp = perturbations.realise("rotation", scan, seed=1).at(level=level).warp
    assert isinstance(warp, AffineWarp)
    inverse = np.linalg.inv(np.asarray(warp.matrix))
    step = np.asarray(scan.spacing)
    matrix = inverse * step[None] / step[:, None]
    middle = (np.asarray(clean.shape) - 1) / 2
    air = float(scan.image.min())
    turned = ndimage.affine_transform(
        clean - air, matrix, middle - matrix @ middle, order=1, mode="grid-constant", cval=0.0
    )
    return np.asarray(turned + air)
