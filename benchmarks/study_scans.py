"""Scans that the recovery study injects known levels into: three kinds, with little of their own.

* the ICBM 152 head of ``fetch_scans.py``, brain-extracted; also put into air with 1 % of Rician noise,
  because noise and ghosts of MR are read from a background; Colin27 where it was fetched
* an abdomen made here, in HU: air, skin, fat, muscle, liver with vessels, kidneys, spine, bowel gas, with
  texture and noise of a reconstruction
* two micrographs that ship inside scikit-image
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from perturbations import Scan

CACHE = Path(__file__).resolve().parent / ".cache"


def available() -> dict[str, Callable[[], Scan]]:
    """Return the scans by name; those that were not fetched are left out."""
    found: dict[str, Callable[[], Scan]] = {}
    if (CACHE / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz").is_file():
        found["head, brain-extracted"] = template
        found["head in air"] = template_in_air
    if (CACHE / "ch2.nii.gz").is_file():
        found["Colin27"] = lambda: _read("ch2.nii.gz")
    found["CT abdomen"] = abdomen
    found["cell"] = cell
    found["stained tissue"] = tissue
    return found


def template() -> Scan:
    """Read ICBM 152, brain only."""
    scan = _read("mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
    return replace(scan, state="skull_stripped")


def template_in_air(noise: float = 1.0, seed: int = 0) -> Scan:
    """Read ICBM 152 as if it had been scanned alone, with Rician noise of 1 % of S_ref everywhere."""
    scan = replace(template(), state="raw")
    clean = scan.image.numpy()
    sigma = np.float32(noise / 100.0 * scan.s_ref)
    rng = np.random.default_rng(seed)
    first, second = (sigma * rng.standard_normal(clean.shape, dtype=np.float32) for _ in range(2))
    return replace(scan, image=torch.from_numpy(np.hypot(clean + first, second)))


def _read(name: str) -> Scan:
    import SimpleITK

    image = SimpleITK.ReadImage(str(CACHE / name))
    values = SimpleITK.GetArrayFromImage(image).astype(np.float32)
    spacing = tuple(float(step) for step in image.GetSpacing()[::-1])
    return Scan(image=torch.from_numpy(values)[None], spacing=spacing, modality="mr")


def abdomen(seed: int = 0) -> Scan:
    """Make an abdomen in HU, 256 x 256 x 24 voxels of 1.4 x 1.4 x 5 mm."""
    shape, spacing = (24, 256, 256), (5.0, 1.4, 1.4)
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)),
        indexing="ij",
    )
    wobble = 1.0 + 0.03 * np.sin(3 * np.arctan2(y, x)) + 0.02 * np.sin(z / 25)
    image = np.full(shape, -1000.0)

    def fill(inside: NDArray[np.bool_], hu: float) -> None:
        image[inside] = hu

    body = (x / 160) ** 2 + (y / 115) ** 2
    fill(body < wobble, 20.0)  # skin
    fill(body < 0.96 * wobble, -100.0)  # fat
    fill((x / 140) ** 2 + (y / 98) ** 2 < wobble, 55.0)  # muscle
    fill((x / 125) ** 2 + (y / 84) ** 2 < wobble, -95.0)  # fat inside
    fill(((x + 60) / 62) ** 2 + ((y + 8) / 60) ** 2 + (z / 75) ** 2 < wobble, 105.0)  # liver
    fill(((x - 85) / 28) ** 2 + ((y - 5) / 40) ** 2 + (z / 50) ** 2 < 1, 120.0)  # spleen
    for side in (-1, 1):
        fill(((x - side * 55) / 22) ** 2 + ((y - 50) / 24) ** 2 + (z / 45) ** 2 < 1, 180.0)
    for cz, cy, cx in rng.uniform(
        (-50, -45, -100), (50, 25, -30), (25, 3)
    ):  # vessels, small lesions
        radius = rng.uniform(2.0, 7.0)
        fill((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < radius**2, rng.uniform(60, 170))
    fill((x / 21) ** 2 + ((y - 62) / 19) ** 2 < 1, 700.0)  # spine, cortex
    fill((x / 18) ** 2 + ((y - 62) / 16) ** 2 < 1, 220.0)  # spine, marrow
    fill((x + 3) ** 2 + (y - 32) ** 2 < 11**2, 170.0)  # aorta
    for cx in rng.uniform(0, 80, 4):  # bowel gas
        fill(((x - cx) / 9) ** 2 + ((y + 50) / 7) ** 2 + (z / 40) ** 2 < 1, -900.0)
    return Scan(image=_reconstructed(image, rng), spacing=spacing, modality="ct")


def _reconstructed(image: NDArray[np.float64], rng: np.random.Generator) -> torch.Tensor:
    """Add texture of tissue, the blur of a reconstruction and 5 HU of its grain."""
    texture = ndimage.gaussian_filter(rng.standard_normal(image.shape), (0.6, 2.0, 2.0))
    image = image + np.where(image > -200, 6.0 * texture / texture.std(), 0.0)
    image = ndimage.gaussian_filter(image, (0.3, 0.6, 0.6))
    grain = ndimage.gaussian_filter(rng.standard_normal(image.shape), (0.0, 0.5, 0.5))
    image += 5.0 * grain / grain.std()
    return torch.from_numpy(np.maximum(image, -1024.0).astype(np.float32))[None]


def cell() -> Scan:
    """Load one cell, quantitative phase (scikit-image, CC0)."""
    from skimage import data

    return _micrograph(data.cell())


def tissue() -> Scan:
    """Load stained colonic glands (scikit-image): what the stains take from green light."""
    from skimage import data

    return _micrograph(255.0 - data.immunohistochemistry()[..., 1])


def _micrograph(values: NDArray[np.float64]) -> Scan:
    image = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[None]
    return Scan(image=image, spacing=(1.0, 1.0), unit="px", modality="microscopy")
