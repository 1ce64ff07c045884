"""The texture task: objects that differ from what surrounds them by texture alone.

A picture is one texture with another one inside a closed blob. Both textures of a pair have the same mean and
the same variance, so that no network can tell them by brightness. Everything is drawn from (seed, number of
the case); nothing is read from files, and no picture is anybody's.

- `texture` draws one of `TEXTURES`: *bands* (noise of one wavelength and one direction), *grain* (noise of one
  wavelength in every direction), *cells* (distance to the nearest of scattered points) and *stripes* (waves
  with bent crests).
- `blob` draws the object: a closed cubic Bezier curve through four random points, as in the published task.
- `draw_case` puts both together, `write_cohort` writes pictures, masks and a table for an audit.

Blending, the published difficulty, is not drawn here: images for training go through the very lines of the
catalogue that an audit tests with, see `blended`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import polygon2mask

import perturbations

__all__ = [
    "DIRECTIONS",
    "PAIRS",
    "TEXTURES",
    "Case",
    "blended",
    "blob",
    "draw_case",
    "texture",
    "write_cohort",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WAVELENGTH = 7.0
"""Of every texture, in pixels."""
MEAN, SPREAD = 128.0, 34.0
"""Grey levels: mean and SD of every texture."""
LEAST, MOST = 0.03, 0.45
"""Share of foreground; blobs outside of it are drawn again."""

DIRECTIONS = {
    "background": "kamath_texture_blend",
    "foreground": "kamath_texture_blend_foreground",
}
"""Side of the reference that takes on the other's texture -> line of the catalogue."""

PAIRS = {"cells": ("cells", "stripes"), "bands": ("bands", "bands_across")}
"""Texture of the background and of the object. The published texture disparity counts patterns whichever way
they are turned: it sees the first pair, and not the second."""


@dataclass(frozen=True, slots=True)
class Case:
    """One picture with its reference."""

    name: str
    image: NDArray[np.uint8]
    """(y, x), grey levels."""
    mask: Bools
    """(y, x)."""

    @property
    def foreground_ratio(self) -> float:
        """Share of the picture that is object."""
        return float(self.mask.mean())


def draw_case(number: int, *, seed: int, size: int = 64, pair: str = "cells") -> Case:
    """Draw one picture; the same arguments, the same bits.

    Parameters
    ----------
    number : of the case
    seed : of the cohort; training, validation and test have one each
    size : pixels along both axes
    pair : one of `PAIRS`
    """
    rng = np.random.default_rng([seed, number])
    mask = blob(size, rng)
    outside, inside = (texture(name, size, rng) for name in PAIRS[pair])
    grey = MEAN + SPREAD * np.where(mask, inside, outside)
    return Case(f"t{seed}_{number:03d}", np.clip(np.rint(grey), 0, 255).astype(np.uint8), mask)


def blended(case: Case, direction: str, level: float) -> NDArray[np.float32]:
    """Return the picture as an audit would test it at this level of blending, (y, x).

    Parameters
    ----------
    case : Case
    direction : the side that changes, one of `DIRECTIONS`
    level : share of the other side's texture, 0 to 1; 0 leaves the picture as it is
    """
    image = case.image.astype(np.float32)
    if level == 0.0:
        return image
    seed = perturbations.derive_seed(0, case.name, direction)
    return np.asarray(
        perturbations.apply(
            DIRECTIONS[direction], image, level=level, seed=seed, region=case.mask, modality="other"
        )
    )


def blob(
    size: int, rng: np.random.Generator, *, points: int = 4, reach: float = 1.0, edge: float = 0.05
) -> Bools:
    """Draw a closed blob in the middle half of a picture, (size, size).

    The corners are random in the middle half, at least 0.7 / `points` of it apart, and joined in the order of
    their angle by cubic Bezier curves, whose handles are half of `reach` times as long as the chord. A tangent
    lies between those of its two chords, in the share 1/2 + arctan(`edge`) / pi. As published, the outline is
    thickened by 9 pixels in 256.

    Parameters
    ----------
    size : pixels along both axes
    rng : is used up by as many draws as it takes to get a share of foreground between `LEAST` and `MOST`
    points, reach, edge : the published "normal" shape by default
    """
    while True:
        mask = _outlined(size, _corners(points, rng), reach, edge)
        if LEAST <= mask.mean() <= MOST:
            return mask


def _corners(points: int, rng: np.random.Generator) -> Floats:
    while True:
        drawn = rng.random((points, 2))
        apart = np.linalg.norm(drawn[:, None] - drawn[None], axis=-1)[np.triu_indices(points, 1)]
        if apart.min() >= 0.7 / points:
            break
    around = drawn - drawn.mean(axis=0)
    return drawn[np.argsort(np.arctan2(around[:, 1], around[:, 0]))]


def _outlined(size: int, corners: Floats, reach: float, edge: float) -> Bools:
    chords = np.roll(corners, -1, axis=0) - corners
    onward = np.arctan2(chords[:, 1], chords[:, 0]) % (2 * math.pi)
    before = np.roll(onward, 1)
    share = math.atan(edge) / math.pi + 0.5
    tangent = share * onward + (1 - share) * before
    # of two directions half a turn apart the one that goes on, not back
    tangent = tangent + np.where(np.abs(onward - before) > math.pi, math.pi, 0.0)
    way = np.stack([np.cos(tangent), np.sin(tangent)], axis=1)
    length = 0.5 * reach * np.linalg.norm(chords, axis=1, keepdims=True)
    handles = (
        corners,
        corners + length * way,
        np.roll(corners, -1, axis=0) - length * np.roll(way, -1, axis=0),
        np.roll(corners, -1, axis=0),
    )
    t = np.linspace(0.0, 1.0, 40, endpoint=False)[None, :, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    curve = sum(w * h[:, None] for w, h in zip(weights, handles, strict=True)).reshape(-1, 2)
    filled = polygon2mask((size, size), (0.25 + 0.5 * curve) * size)
    thick = 2 * round(4 * size / 256) + 1
    return np.asarray(ndimage.binary_dilation(filled, np.ones((thick, thick))), dtype=np.bool_)


def texture(name: str, size: int, rng: np.random.Generator) -> Floats:
    """Draw one of `TEXTURES`, (size, size), with mean 0 and variance 1."""
    if name not in TEXTURES:
        msg = f"there is no texture {name!r}; choose one of {', '.join(TEXTURES)}"
        raise ValueError(msg)
    drawn = TEXTURES[name](size, rng)
    return np.asarray((drawn - drawn.mean()) / drawn.std())


def _noise(size: int, rng: np.random.Generator, direction: float | None) -> Floats:
    """Gaussian noise around one wavelength, and around one direction unless it is None."""
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    ring = np.exp(-0.5 * ((np.hypot(fy, fx) * WAVELENGTH - 1.0) / 0.25) ** 2)
    if direction is not None:
        angle = np.arctan2(fy, fx) - direction
        ring = ring * np.exp(-0.5 * (np.sin(angle) / 0.3) ** 2)
    return np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * ring).real


def _bands(size: int, rng: np.random.Generator) -> Floats:
    return _noise(size, rng, math.radians(30) + rng.normal(0, math.radians(8)))


def _bands_across(size: int, rng: np.random.Generator) -> Floats:
    return _noise(size, rng, math.radians(120) + rng.normal(0, math.radians(8)))


def _grain(size: int, rng: np.random.Generator) -> Floats:
    return _noise(size, rng, None)


def _cells(size: int, rng: np.random.Generator) -> Floats:
    count = max(4, round((size / WAVELENGTH) ** 2))
    tree = cKDTree(rng.random((count, 2)) * size, boxsize=size)
    places = np.stack(np.meshgrid(*(np.arange(size) + 0.5,) * 2, indexing="ij"), axis=-1)
    return np.asarray(tree.query(places)[0])


def _stripes(size: int, rng: np.random.Generator) -> Floats:
    y, x = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    angle = rng.uniform(0, math.pi)
    bent = ndimage.gaussian_filter(rng.standard_normal((size, size)), WAVELENGTH, mode="wrap")
    phase = (x * math.cos(angle) + y * math.sin(angle)) / WAVELENGTH + bent / bent.std() * 0.25
    return np.sin(2 * math.pi * (phase + rng.random()))


TEXTURES: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "bands": _bands,
    "bands_across": _bands_across,
    "grain": _grain,
    "cells": _cells,
    "stripes": _stripes,
}


def write_cohort(folder: Path, cases: Sequence[Case]) -> Path:
    """Write pictures and masks as PNG, and the table that names them; every case is a patient.

    Returns
    -------
    Path of ``cases.csv``
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    table = folder / "cases.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["case", "patient", "image", "reference"])
        for case in cases:
            image, mask = f"images/{case.name}.png", f"masks/{case.name}.png"
            Image.fromarray(case.image).save(folder / image)
            Image.fromarray(case.mask.astype(np.uint8)).save(folder / mask)
            writer.writerow([case.name, case.name, image, mask])
    return table
