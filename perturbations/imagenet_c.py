"""The corruptions of ImageNet-C that a medical picture can have, on grey pictures.

Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations";
the elastic rows as in the package imagecorruptions. Weather is left out: no scanner has fog, and frost needs
photographs. So is saturation, which is of colours.

**Conventions.** As in `perturbations.pictures`: grey levels from 0 to 1, lengths in pixels, every slice for
itself. Where the published code draws anew at every severity, or shifts or folds the picture, this is
mended; each function says how.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.averages import correlated
from perturbations.blur import gaussian_operators, smoothed_by
from perturbations.chunks import drawn_field, unit_field
from perturbations.elastic import ElasticWarp, deformation
from perturbations.geometry import movable_axes
from perturbations.pictures import field_shape, pictures
from perturbations.scan import Scan

__all__ = [
    "brightness", "contrast", "defocus_blur", "elastic_transform", "gaussian_blur", "gaussian_noise",
    "glass_blur", "impulse_noise", "motion_blur", "pixelate", "shot_noise", "speckle_noise", "zoom_blur",
]  # fmt: skip

At = Callable[[float], tuple[Tensor, None]]
Kernel = NDArray[np.float64]

_GLASS = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
"""Sigma of the blur before and after, largest step of a pixel, rounds."""

_STEPS = 16
"""Points per pixel of a line."""


def gaussian_noise(
    scan: Scan, generator: np.random.Generator, *, window: object = None, round_trip: bool = False
) -> At:
    """Add white normal noise of the standard deviation `level`; one field, scaled."""
    shown = pictures(scan, "imagenet_c_gaussian_noise", window=window, round_trip=round_trip)
    field = unit_field(torch.Size(field_shape(scan)), generator)
    return lambda level: (shown(lambda number, grey: grey + level * field[number]), None)


def speckle_noise(
    scan: Scan, generator: np.random.Generator, *, window: object = None, round_trip: bool = False
) -> At:
    """Multiply by 1 + n, n normal of the standard deviation `level`; one field, scaled."""
    shown = pictures(scan, "imagenet_c_speckle_noise", window=window, round_trip=round_trip)
    field = unit_field(torch.Size(field_shape(scan)), generator)
    return lambda level: (shown(lambda number, grey: grey + level * field[number] * grey), None)


def shot_noise(
    scan: Scan, generator: np.random.Generator, *, window: object = None, round_trip: bool = False
) -> At:
    """Count photons: Poisson(c z) / c, with c = 1 / level photons at white.

    Mended: every pixel has one rank u, uniform, and shows the u-quantile of its Poisson distribution, so
    that the levels share a draw.
    """
    from scipy import stats

    shown = pictures(scan, "imagenet_c_shot_noise", window=window, round_trip=round_trip)
    rank = drawn_field(torch.Size(field_shape(scan)), generator, _uniform)

    def at(level: float) -> tuple[Tensor, None]:
        photons = 1.0 / level

        def change(number: int, grey: Tensor) -> Tensor:
            counted = stats.poisson.ppf(
                np.maximum(rank[number].numpy(), 1e-12), grey.double().numpy() * photons
            )
            return torch.from_numpy(counted / photons).float()

        return shown(change), None

    return at


def impulse_noise(
    scan: Scan, generator: np.random.Generator, *, window: object = None, round_trip: bool = False
) -> At:
    """Turn a share of the pixels black or white, half each; who fails early fails at every level."""
    shown = pictures(scan, "imagenet_c_impulse_noise", window=window, round_trip=round_trip)
    rank = drawn_field(torch.Size(field_shape(scan)), generator, _uniform)

    def at(level: float) -> tuple[Tensor, None]:
        def change(number: int, grey: Tensor) -> Tensor:
            own = rank[number]
            black = torch.where(own < level / 2, torch.zeros_like(grey), grey)
            return torch.where(own >= 1 - level / 2, torch.ones_like(grey), black)

        return shown(change), None

    return at


def gaussian_blur(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    window: object = None,
    round_trip: bool = False,
) -> At:
    """Convolve with a Gaussian of the standard deviation `level`."""
    shown = pictures(scan, "imagenet_c_gaussian_blur", window=window, round_trip=round_trip)
    shape = field_shape(scan)[1:]

    def at(level: float) -> tuple[Tensor, None]:
        operators = gaussian_operators(shape, (level, level))
        return shown(lambda number, grey: smoothed_by(grey[None], operators)[0]), None

    return at


def defocus_blur(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    window: object = None,
    round_trip: bool = False,
) -> At:
    """Spread over a disk of the radius `level`, whose edge is softened by a small Gaussian."""
    shown = pictures(scan, "imagenet_c_defocus_blur", window=window, round_trip=round_trip)

    def at(level: float) -> tuple[Tensor, None]:
        weights = _soft_disk(level, float(np.interp(level, [3, 4], [0.1, 0.5])))
        return shown(lambda number, grey: correlated(grey, weights)), None

    return at


def glass_blur(
    scan: Scan, generator: np.random.Generator, *, window: object = None, round_trip: bool = False
) -> At:
    """Blur, let every pixel show one of its neighbours, some rounds, and blur again.

    Mended: the neighbours are taken all at once from -d to d, where the published loop swaps pixels one
    after the other, from -d to d - 1, which moves the picture.
    """
    shown = pictures(scan, "imagenet_c_glass_blur", window=window, round_trip=round_trip)
    seed, shape = int(generator.integers(2**62)), field_shape(scan)[1:]

    def at(level: float) -> tuple[Tensor, None]:
        sigma, reach, rounds = _GLASS[int(level) - 1]
        operators = gaussian_operators(shape, (sigma, sigma))

        def change(number: int, grey: Tensor) -> Tensor:
            drawn = np.random.Generator(np.random.SFC64(seed + number))
            grey = smoothed_by(grey[None], operators)[0]
            places = [torch.arange(size) for size in grey.shape]
            for _ in range(rounds):
                down, right = (
                    torch.from_numpy(np.rint(drawn.uniform(-1, 1, grey.shape) * reach)).long()
                    for _ in range(2)
                )
                rows = (places[0][:, None] + down).clamp_(0, grey.shape[0] - 1)
                columns = (places[1][None] + right).clamp_(0, grey.shape[1] - 1)
                grey = grey[rows, columns]
            return smoothed_by(grey[None], operators)[0]

        return shown(change), None

    return at


def motion_blur(
    scan: Scan, generator: np.random.Generator, *, window: object = None, round_trip: bool = False
) -> At:
    """Smear along a line at an angle between -45 and 45 degrees, drawn once.

    The published weights exp(-k^2 / (2 level^2)), k = 0 to 2 r, lie to one side and so shift the picture by
    up to 10 pixels. Mended: a Gaussian of the same variance along both directions of the line.
    """
    shown = pictures(scan, "imagenet_c_motion_blur", window=window, round_trip=round_trip)
    angle = math.radians(float(generator.uniform(-45.0, 45.0)))

    def at(level: float) -> tuple[Tensor, None]:
        radius = float(np.interp(level, [3, 5, 12, 15], [10, 15, 15, 20]))
        weights = _gaussian_line(_spread_of_half(level, radius), angle)
        return shown(lambda number, grey: correlated(grey, weights)), None

    return at


def zoom_blur(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    window: object = None,
    round_trip: bool = False,
) -> At:
    """Average the picture and zooms into its centre, up to 1 + `level`, read linearly."""
    shown = pictures(scan, "imagenet_c_zoom_blur", window=window, round_trip=round_trip)

    def at(level: float) -> tuple[Tensor, None]:
        step = float(np.interp(level, [0.15, 0.2, 0.24, 0.3], [0.01, 0.02, 0.02, 0.03]))
        factors = 1.0 + np.linspace(0.0, level, max(2, round(level / step) + 1))

        def change(number: int, grey: Tensor) -> Tensor:
            total = grey.clone()  # the published mean counts the picture and a zoom of 1
            for factor in factors:
                total += _zoomed(grey, float(factor))
            return total / (len(factors) + 1)

        return shown(change), None

    return at


def contrast(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    window: object = None,
    round_trip: bool = False,
) -> At:
    """Pull grey levels towards the mean of their picture: m + level (z - m)."""
    shown = pictures(scan, "imagenet_c_contrast", window=window, round_trip=round_trip)

    def at(level: float) -> tuple[Tensor, None]:
        def change(number: int, grey: Tensor) -> Tensor:
            mean = grey.mean(dtype=torch.float64).float()
            return mean + level * (grey - mean)

        return shown(change), None

    return at


def brightness(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    window: object = None,
    round_trip: bool = False,
) -> At:
    """Add the level; of a grey picture, the value of its hue, saturation and value is its grey level."""
    shown = pictures(scan, "imagenet_c_brightness", window=window, round_trip=round_trip)
    return lambda level: (shown(lambda number, grey: grey + level), None)


def pixelate(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
    *,
    window: object = None,
    round_trip: bool = False,
) -> At:
    """Average over boxes, `level` times as many as pixels along each side, and show the boxes."""
    from PIL import Image

    shown = pictures(scan, "imagenet_c_pixelate", window=window, round_trip=round_trip)

    def at(level: float) -> tuple[Tensor, None]:
        def change(number: int, grey: Tensor) -> Tensor:
            rows, columns = grey.shape
            small = (max(1, int(columns * level)), max(1, int(rows * level)))
            boxes = Image.fromarray(grey.numpy()).resize(small, Image.Resampling.BOX)
            seen = boxes.resize((columns, rows), Image.Resampling.BOX)
            return torch.from_numpy(np.array(seen, dtype=np.float32))

        return shown(change), None

    return at


def elastic_transform(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, ElasticWarp | None]]:
    """Deform by a smooth field, up to three standard deviations of the published one: 0.244 alpha pixels.

    Published are uniform displacements in +-0.005 of the side, smoothed by a Gaussian of 0.01 of it, times
    alpha: a standard deviation of 0.005 / sqrt(3) / (2 sqrt(pi) 0.01) = 0.0814 pixels per alpha along each
    axis, whatever the side, so rough that it folds. Mended: a field as smooth as `elastic` draws, in all
    axes of a volume.
    """
    movable = movable_axes(scan.spatial_shape)
    finest = min(np.asarray(scan.spacing)[movable].tolist(), default=1.0)
    sd = 0.005 / math.sqrt(3) / (2 * math.sqrt(math.pi) * 0.01)
    return deformation(scan, generator, unit=3 * sd * finest, last=30.0, name="imagenet_c_elastic")


def _uniform(out: NDArray[np.float32], bits: np.random.SFC64) -> None:
    np.random.Generator(bits).random(out=out, dtype=np.float32)


def _soft_disk(radius: float, sigma: float) -> Kernel:
    """Pixels within a radius, smoothed over 3 x 3 (5 x 5 beyond a radius of 8), as OpenCV does."""
    reach, aside = max(8, math.ceil(radius)), 1 if radius <= 8 else 2
    place = np.arange(-reach - aside, reach + aside + 1)
    solid = (place[:, None] ** 2 + place[None] ** 2 <= radius**2).astype(np.float64)
    taps = np.exp(-(np.arange(-aside, aside + 1) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    for axis in (0, 1):
        solid = np.apply_along_axis(np.convolve, axis, solid, taps, mode="same")
    return np.asarray(solid / solid.sum())


def _spread_of_half(sigma: float, radius: float) -> float:
    """Return the standard deviation of the weights exp(-k^2 / (2 sigma^2)), k = 0 to 2 radius."""
    place = np.arange(0, 2 * radius + 1)
    sigma = max(sigma, 1e-3)  # from there on nothing beyond its own pixel weighs anything
    weights = np.exp(-((place / sigma) ** 2) / 2)
    weights /= weights.sum()
    mean = float((weights * place).sum())
    return math.sqrt(float((weights * (place - mean) ** 2).sum()))


def _gaussian_line(sigma: float, angle: float) -> Kernel:
    """Gaussian weights along a line, each point shared linearly among its four pixels; symmetric."""
    reach = math.ceil(4 * sigma) + 1
    share = np.linspace(-4.0, 4.0, 2 * math.ceil(4 * sigma * _STEPS) + 65)
    weights = np.zeros((2 * reach + 1, 2 * reach + 1))
    along, amounts = sigma * share, np.exp(-(share**2) / 2)
    rows, columns = reach + along * math.sin(angle), reach + along * math.cos(angle)
    low = np.floor(rows).astype(int), np.floor(columns).astype(int)
    part = rows - low[0], columns - low[1]
    for down in (0, 1):
        for right in (0, 1):
            shares = np.abs(1 - down - part[0]) * np.abs(1 - right - part[1]) * amounts
            np.add.at(weights, (low[0] + down, low[1] + right), shares)
    weights += weights[::-1, ::-1]
    return np.asarray(weights / weights.sum())


def _zoomed(grey: Tensor, factor: float) -> Tensor:
    """Read a picture enlarged about its centre by a factor >= 1, linearly."""
    for axis in (0, 1):
        size = grey.shape[axis]
        middle = (size - 1) / 2
        place = middle + (torch.arange(size, dtype=torch.float64) - middle) / factor
        low = place.floor().clamp_(0, max(size - 2, 0)).long()
        share = (place - low).float()
        share = share[:, None] if axis == 0 else share[None]
        high = (low + 1).clamp_(max=size - 1)
        near, far = grey.index_select(axis, low), grey.index_select(axis, high)
        grey = near + share * (far - near)
    return grey
