"""Train the small system that the audit is about, on SIMULATED scans with radiologists' masks.

Run it from this folder after `cohort.py`::

    python train.py

A U-Net as in ``examples/train_demo_systems.py``, fed with patches of the training patients at 1.25 x 0.7 x
0.7 mm, and with how far each voxel is from the centre of the scan: it outlines what somebody has clicked
on, and searches for nothing. In every step a patch shows the mask of *one* reader, drawn: so the network
learns the share of readers that would include a voxel, and a half of it is their majority, without
anybody's tie rule. It is written to ``.cache/`` as ``nodule_unet.pt`` (TorchScript) with golden pairs: what
this script itself, without any auditor, makes of two validation scans.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import torch
from fetch import CACHE, FOLDER
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

sys.path.insert(0, str(FOLDER.parent))

from train_demo_systems import (  # lies one folder up
    WIDTHS,
    Block,
    UNet,
    fused,
    loss_of,
    save_torchscript,
)

SPACING_MM = (1.25, 0.7, 0.7)
"""Along (z, y, x), as audit.yaml declares it."""
CLIP_HU = (-1000.0, 400.0)
PATCH = (24, 48, 48)
DIVISOR = (4, 8, 8)
STEPS = 1600
BATCH = 2
SEED = 5
READERS = 4
GOLDEN = 2
REACH_MM = 20.0
"""Unit of the distance that the network is told, which ends at twice this length."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Case:
    """One scan with its readers' masks, as the files have them."""

    name: str
    image: NDArray[Any]
    """(z, y, x), HU."""
    masks: NDArray[np.uint8]
    """(reader, z, y, x)."""
    spacing: tuple[float, ...]
    """Along (z, y, x), mm."""


class Clicked(nn.Module):
    """The U-Net with a second channel: the distance from the centre of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.network = UNet(skips="plain", outputs=1)
        self.network.down[0] = Block(2, WIDTHS[0], kernel=(1, 3, 3), depth=1)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (n, 1, z, y, x) to logits of the same shape."""
        return self.network(torch.cat([image, distances(image)], dim=1))


def distances(image: Tensor) -> Tensor:
    """Distance of each voxel from the middle of an image (n, 1, z, y, x), in `REACH_MM`, at most 2."""
    squared = torch.zeros_like(image)
    for axis, step in enumerate(SPACING_MM, start=2):
        size = image.shape[axis]
        shape = [1, 1, 1, 1, 1]
        shape[axis] = -1
        place = torch.arange(size, device=image.device, dtype=image.dtype) - (size - 1) / 2
        squared = squared + ((place * (step / REACH_MM)) ** 2).reshape(shape)
    return squared.sqrt().clamp(max=2.0)


def read_cases(folder: Path, *, first: int | None = None) -> list[Case]:
    """Read the cases that `cohort.py` wrote, or the first of them."""
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as stream:
        return [_case(folder, row) for row in itertools.islice(csv.DictReader(stream), first)]


def _case(folder: Path, row: dict[str, str]) -> Case:
    image = SimpleITK.ReadImage(str(folder / row["image"]))
    masks = [
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / row[f"rater_{number}"])))
        for number in range(1, READERS + 1)
    ]
    values = SimpleITK.GetArrayFromImage(image)
    return Case(row["case"], values, np.stack(masks), tuple(image.GetSpacing()[::-1]))


def resampled(
    values: NDArray[Any],
    before: Sequence[float],
    after: Sequence[float],
    shape: Sequence[int] | None = None,
) -> Floats:
    """Resample linearly about the common centre of both grids; beyond the edge its value is repeated.

    Parameters
    ----------
    values : (z, y, x)
    before, after : spacings along (z, y, x), mm
    shape : of the new grid; without it that of the same extent, rounded
    """
    ratio = np.asarray(after) / np.asarray(before)
    size = shape or tuple(max(1, round(n / r)) for n, r in zip(values.shape, ratio, strict=True))
    first = (np.asarray(values.shape) - 1) / 2 - (np.asarray(size) - 1) / 2 * ratio
    return np.asarray(
        ndimage.affine_transform(
            values.astype(np.float32),
            ratio,
            offset=first,
            output_shape=size,
            order=1,
            mode="nearest",
        )
    )


def scaled(image: Floats) -> Floats:
    """Clip HU and map them to 0 .. 1."""
    low, high = CLIP_HU
    return np.asarray((np.clip(image, low, high) - low) / (high - low), dtype=np.float32)


def prepared(case: Case) -> tuple[Floats, Floats]:
    """Image with distances (2, z, y, x), and masks, on the grid of the network; no smaller than a patch."""
    image = scaled(resampled(case.image, case.spacing, SPACING_MM))
    masks = np.stack([resampled(it, case.spacing, SPACING_MM) >= 0.5 for it in case.masks])
    missing = [max(0, n - have) for n, have in zip(PATCH, image.shape, strict=True)]
    room = [(it // 2, it - it // 2) for it in missing]
    padded = np.pad(masks.astype(np.float32), [(0, 0), *room])
    whole = np.pad(image, room, mode="edge")
    away = distances(_tensor(whole)[None])[0, 0].numpy()
    return np.stack([whole, away]), padded


def patch_of(image: Floats, masks: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Cut a patch and one reader's mask; three of four patches hold the nodule, half are mirrored."""
    mask = masks[rng.integers(len(masks))]
    places = np.argwhere(masks.any(axis=0))
    if rng.random() < 0.75 and len(places):
        middle = places[rng.integers(len(places))] + rng.uniform(-0.35, 0.35, 3) * PATCH
    else:
        middle = rng.uniform(0, image.shape[1:])
    first = [
        int(np.clip(round(m - n / 2), 0, have - n))
        for m, n, have in zip(middle, PATCH, image.shape[1:], strict=True)
    ]
    window = tuple(slice(f, f + n) for f, n in zip(first, PATCH, strict=True))
    axes = tuple(axis for axis in range(3) if rng.random() < 0.5)
    beside = tuple(axis + 1 for axis in axes)  # the first axis is that of the channels
    return np.flip(image[(slice(None), *window)], beside), np.flip(mask[window], axes)[None]


def train(cases: Sequence[tuple[Floats, Floats]], *, steps: int) -> Clicked:
    """Train the network; every random choice follows from `SEED`."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    whole = Clicked().train()
    network = whole.network
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps)
    started, running = time.monotonic(), 0.0
    for step in range(steps):
        chosen = [patch_of(*cases[i], rng) for i in rng.integers(len(cases), size=BATCH)]
        image, target = (_stacked(them) for them in zip(*chosen, strict=True))
        optimiser.zero_grad()
        loss = loss_of(network(image), target)
        loss.backward()
        optimiser.step()
        schedule.step()
        running += (loss.item() - running) / min(step + 1, 50)
        if step % 50 == 49:
            seconds = time.monotonic() - started
            print(f"step {step + 1}, loss {running:.3f}, {seconds:.0f} s", flush=True)
    fused(network.eval())
    return whole.eval()


def _tensor(volume: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(volume, dtype=np.float32))[None]


def _stacked(volumes: Sequence[Floats]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(volumes)))


def predict(network: Clicked, case: Case) -> NDArray[np.uint8]:
    """Segment one scan as this script does it: the maker's own output, on the scan's grid."""
    image = scaled(resampled(case.image, case.spacing, SPACING_MM))
    room = [(0, -n % d) for n, d in zip(image.shape, DIVISOR, strict=True)]
    with torch.no_grad():
        whole = np.pad(image, room, constant_values=image.min())
        logits = network(_tensor(whole)[None])[0, 0]
    kept = torch.sigmoid(logits)[tuple(slice(n) for n in image.shape)].numpy()
    back = resampled(kept, SPACING_MM, case.spacing, case.image.shape)
    return (back >= 0.5).astype(np.uint8)


def dsc(one: NDArray[Any], other: NDArray[Any]) -> float:
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one.astype(bool) & other.astype(bool)).sum()) / total if total else 1.0


def write_golden(folder: Path, pairs: Sequence[tuple[Case, NDArray[np.uint8]]]) -> None:
    """Write golden.csv: scans of the validation, and what this script made of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "golden.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image", "prediction"])
        for case, mask in pairs:
            image = f"../validation/{case.name}_simulated_ct.nii.gz"
            prediction = f"{case.name}_prediction.nii.gz"
            written = SimpleITK.GetImageFromArray(mask)
            written.CopyInformation(SimpleITK.ReadImage(str(folder / image)))
            SimpleITK.WriteImage(written, str(folder / prediction), useCompression=True)
            writer.writerow([image, prediction])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=1, help="the same number, the same weights")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    if not (CACHE / "training" / "cases.csv").is_file():
        print("train.py: there are no cases to train on; run cohort.py first", file=sys.stderr)
        return 1

    training = [prepared(case) for case in read_cases(CACHE / "training")]
    network = train(training, steps=arguments.steps)
    save_torchscript(network, torch.zeros(1, 1, *PATCH), CACHE / "nodule_unet.pt")
    validation = read_cases(CACHE / "validation")
    masks = [predict(network, case) for case in validation]
    majority = [
        dsc(mask, case.masks.sum(axis=0) > READERS / 2)
        for mask, case in zip(masks, validation, strict=True)
    ]
    readers = [
        np.mean([dsc(mask, it) for it in case.masks])
        for mask, case in zip(masks, validation, strict=True)
    ]
    parameters = sum(it.numel() for it in network.parameters())
    print(
        f"{parameters} parameters; validation: DSC with the majority (above half) mean "
        f"{np.mean(majority):.3f}, least {np.min(majority):.3f}; with single readers mean "
        f"{np.mean(readers):.3f}; n = {len(validation)} patients"
    )
    write_golden(CACHE / "golden", list(zip(validation, masks, strict=True))[:GOLDEN])
    return 0


if __name__ == "__main__":
    sys.exit(main())
