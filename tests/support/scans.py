"""Scans with known structure: anisotropic, 2-D and 3-D, one and several channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from perturbations import CATALOG, Scan

SPACING = (3.0, 1.2, 1.5)


def head(*, channels: int = 1, noise: float = 1.0, texture: float = 0.0, seed: int = 0) -> Scan:
    """MR-like head on an anisotropic grid, with its own Rician noise and smooth tissue texture."""
    values = np.stack([_anatomy((24, 48, 40), SPACING, seed + c) for c in range(channels)])
    rng = np.random.default_rng(seed + 100)
    if texture:
        field = ndimage.gaussian_filter(
            rng.standard_normal(values.shape), [0, *(6 / s for s in SPACING)]
        )
        values = values * np.exp(texture * field / field.std())
    real = values + noise * rng.standard_normal(values.shape)
    noisy = np.hypot(real, noise * rng.standard_normal(values.shape))
    return Scan(
        image=torch.from_numpy(noisy.astype(np.float32)),
        spacing=SPACING,
        modality="mr",
        region=torch.from_numpy(_ball((24, 48, 40), SPACING, 14.0)),
    )


def body() -> Scan:
    """CT-like body in HU: air, soft tissue, an organ."""
    shape, spacing = (20, 40, 40), (5.0, 1.0, 1.0)
    image = np.full(shape, -1000.0)
    image[_ball(shape, spacing, 18.0)] = 40.0
    image[_ball(shape, spacing, 8.0)] = 110.0
    image += np.random.default_rng(5).normal(0, 8, shape)
    return Scan(
        image=torch.from_numpy(image.astype(np.float32))[None],
        spacing=spacing,
        modality="ct",
        region=torch.from_numpy(_ball(shape, spacing, 8.0)),
    )


def abdomen(seed: int = 0) -> Scan:
    """Larger CT-like body with fat, soft tissue, an organ, bone, smooth texture and 2 HU of noise."""
    shape, spacing = (12, 96, 96), (5.0, 1.5, 1.5)
    rng = np.random.default_rng(seed)
    _, y, x = _positions(shape, spacing)
    image = np.full(shape, -1000.0)
    image[(y / 60) ** 2 + (x / 65) ** 2 < 1] = -90.0
    image[(y / 52) ** 2 + (x / 57) ** 2 < 1] = 45.0
    image[((x - 25) / 25) ** 2 + ((y - 5) / 20) ** 2 < 1] = 110.0
    image[((x + 20) / 8) ** 2 + ((y - 10) / 8) ** 2 < 1] = 600.0
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0)
    image += 6.0 * texture / texture.std()
    image = ndimage.gaussian_filter(image, [0.3, 0.6, 0.6]) + rng.normal(0, 2, shape)
    return Scan(image=_tensor(image[None]), spacing=spacing, modality="ct")


def flat(value: float, shape: tuple[int, ...] = (30, 60, 60)) -> Scan:
    """A constant scan with one brighter half, so that S_ref is known."""
    image = torch.full((1, *shape), value)
    image[0, :, : shape[1] // 2] = 100.0
    return Scan(image=image, spacing=(2.0, 1.0, 1.0), modality="mr")


def padded_ct() -> Scan:
    """Soft tissue of 40 HU in air, in a round field of view outside which lies -3024."""
    y, x = np.mgrid[:48, :48] - 23.5
    image = np.full((6, 48, 48), -1000.0, dtype=np.float32)
    image[:, y**2 + x**2 < 13**2] = 40.0
    image[:, y**2 + x**2 > 22**2] = -3024.0
    return Scan(image=torch.from_numpy(image)[None], spacing=(5.0, 1.0, 1.0), modality="ct")


def slice_of_a_head() -> Scan:
    """One slice of the head: two-dimensional, anisotropic."""
    whole = head()
    assert whole.region is not None  # a head is drawn with one
    region = whole.region[12].clone()
    return Scan(image=whole.image[:, 12].clone(), spacing=SPACING[1:], modality="mr", region=region)


def sonogram() -> Scan:
    """Ultrasound-like sector: speckle inside, exact zeros outside."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:60, 0:80]
    sector = np.abs(np.arctan2(x - 40.0, y + 10.0)) < 0.5
    bright = (y - 35) ** 2 + (x - 40) ** 2 < 80
    image = 90.0 * rng.rayleigh(1.0, sector.shape) + 40.0 * bright
    return Scan(
        image=_tensor((ndimage.gaussian_filter(image, 1.0) * sector)[None]),
        spacing=(1.0, 1.0),
        unit="px",
        modality="us",
        region=torch.from_numpy(bright),
    )


def cells() -> Scan:
    """Bright 2-D microscopy-like image in pixels, two channels."""
    rng = np.random.default_rng(9)
    y, x = np.mgrid[0:64, 0:72]
    image = np.full((2, 64, 72), 20.0)
    for _ in range(12):
        cy, cx, r = rng.uniform(8, 56), rng.uniform(8, 64), rng.uniform(3, 6)
        image[:, (y - cy) ** 2 + (x - cx) ** 2 < r * r] += 90.0
    bright = image[0] > 20.0
    image += rng.normal(0, 2, image.shape)
    return Scan(
        image=torch.from_numpy(image.astype(np.float32)),
        spacing=(1.0, 1.0),
        unit="px",
        modality="microscopy",
        region=torch.from_numpy(bright),
    )


def slice_of_a_body() -> Scan:
    """Two axes of HU, rows further apart than columns."""
    return _blobs((40, 44), (2.0, 1.5), "ct", greys=(-1000.0, 40.0, 110.0), noise=8.0)


def body_of_three_channels() -> Scan:
    """A small CT of three energies on slices of 5 mm."""
    greys = (-1000.0, 40.0, 110.0)
    return _blobs((5, 22, 26), (5.0, 2.0, 1.5), "ct", greys=greys, noise=8.0, channels=3)


def sonogram_in_three_axes() -> Scan:
    """A small ultrasound volume of three channels, not isotropic."""
    greys = (5.0, 90.0, 150.0)
    return _blobs((4, 24, 20), (1.5, 0.8, 1.0), "us", greys=greys, noise=12.0, channels=3)


def radiograph() -> Scan:
    """An X-ray image of three channels with a spacing in mm, rows closer than columns."""
    greys = (20.0, 120.0, 180.0)
    return _blobs((44, 32), (0.5, 1.0), "xray", greys=greys, noise=3.0, channels=3)


def uptake() -> Scan:
    """A small volume of no modality that has levels of its own, such as PET."""
    return _blobs((5, 24, 20), (4.0, 1.5, 2.0), "other", greys=(2.0, 60.0, 110.0), noise=1.5)


SCANS: dict[str, Callable[[], Scan]] = {
    "head": head,
    "head of three channels": lambda: head(channels=3),
    "slice of a head": slice_of_a_head,
    "body": body,
    "cells": cells,
    "sonogram": sonogram,
    "slice of a body": slice_of_a_body,
    "body of three channels": body_of_three_channels,
    "sonogram in three axes": sonogram_in_three_axes,
    "radiograph": radiograph,
    "uptake": uptake,
}
"""What the laws are held on: every modality in 2-D and 3-D, of one channel and of several."""


def suited(name: str) -> Scan:
    """A scan of the first modality that a line of the catalogue is for."""
    modality = (CATALOG[name].modalities or ("mr",))[0]
    made = {"mr": head, "ct": body, "us": sonogram, "microscopy": cells}
    return made[modality]() if modality in made else replace(sonogram(), modality=modality)


def _tensor(values: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _positions(shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[NDArray[np.float64]]:
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return list(np.meshgrid(*axes, indexing="ij"))


def _blobs(
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    modality: str,
    *,
    greys: tuple[float, float, float],
    noise: float,
    channels: int = 1,
) -> Scan:
    """Five bright balls, the region, in an ellipsoid; greys are of background, ellipsoid and balls."""
    rng = np.random.default_rng(13)
    axes = _positions(shape, spacing)
    reach = [(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
    values = np.full(shape, greys[0])
    values[sum((axis / (0.85 * r)) ** 2 for axis, r in zip(axes, reach, strict=True)) < 1] = greys[
        1
    ]
    region = np.zeros(shape, dtype=bool)
    least = min(n * s for n, s in zip(shape, spacing, strict=True)) / 2
    for _ in range(5):
        centre = [rng.uniform(-0.5, 0.5) * r for r in reach]
        away = sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True))
        region |= np.asarray(away < (rng.uniform(0.18, 0.45) * least) ** 2)
    values[region] = greys[2]
    image = np.stack([ndimage.gaussian_filter(values, 0.8)] * channels)
    image += rng.normal(0, noise, image.shape)
    return Scan(
        image=_tensor(image if modality == "ct" else np.abs(image)),
        spacing=spacing,
        modality=modality,
        region=torch.from_numpy(region),
    )


def _ball(shape: tuple[int, ...], spacing: tuple[float, ...], radius: float) -> NDArray[np.bool_]:
    inside = sum(axis**2 for axis in _positions(shape, spacing)) < radius**2
    return np.asarray(inside)


def _anatomy(shape: tuple[int, ...], spacing: tuple[float, ...], seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    z, y, x = _positions(shape, spacing)
    image = 60.0 * ((z / 32) ** 2 + (y / 25) ** 2 + (x / 26) ** 2 < 1)
    for _ in range(6):
        cz, cy, cx = rng.uniform(-12, 12, 3)
        image[(z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < rng.uniform(3, 7) ** 2] += 40.0
    return np.asarray(image)
