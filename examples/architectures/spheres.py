"""The sphere task: how much of a patch is foreground, in training and in the test.

The published design (Kamath et al., "How do 3D image segmentation networks behave across the context versus
foreground ratio trade-off?", Medical Imaging meets NeurIPS 2022), scaled down: one bright sphere on uniform
noise, radii of the test wider than those of the training; one network per architecture, patch size and
training run; windows of the size of the training patch. The share of foreground in every training patch is
logged, and its ends are what audit.yaml declares as the training range.

- `draw_sphere` draws a volume, `crops` cuts training patches, half of them around a voxel of the sphere.
- `train_all` trains what is not trained yet, two processes side by side, one thread each.
- `write_audit` writes cases and audit.yaml, `audit_spheres` runs them.
- `sphere_summary` takes the numbers of the page from the results, `sphere_section` makes its words of them.

    python examples/architectures/spheres.py --out work/spheres              # two cores, minutes
    python examples/architectures/spheres.py --out work/spheres --tiny       # does it work at all?
    python examples/architectures/spheres.py --out work/spheres --full --device cuda

What differs from the published runs: one logit with a sigmoid instead of two channels with a softmax, seeds
that are stated, every run's own training range; and in the small version volumes of a third of the size, fewer
channels and steps, and a faster learning rate.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import torch
import yaml
from jobs import train_jobs, write_facts
from monai.inferers import sliding_window_inference
from monai.losses import DiceLoss
from networks import NETWORKS, build
from numpy.typing import NDArray
from spheres_page import sphere_section, sphere_summary
from torch import nn
from training import write_checkpoint

__all__ = [
    "FULL",
    "SMALL",
    "TINY",
    "Recipe",
    "Sphere",
    "audit_spheres",
    "crops",
    "draw_sphere",
    "sphere_jobs",
    "sphere_section",
    "sphere_summary",
    "train_one",
    "train_spheres",
    "write_audit",
]

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

TRAINING, VALIDATION, TEST = 1, 2, 3
"""Volumes of each kind are drawn apart."""
TRANSFORMER = "unetr"
"""Its image is cut into tokens of 16 voxels, so that it has no other patch than multiples of that."""
ARCHITECTURES = ("unet", "attention_unet", TRANSFORMER)
NOISE = 0.8
"""Largest value of the background; the sphere is 1."""
CROPS = 4
"""Patches of each volume and step."""
OVERLAP = 0.25


@dataclass(frozen=True, slots=True)
class Recipe:
    """How large everything is, and how it is trained."""

    size: int
    """Voxels along each axis of a volume."""
    radii: tuple[int, int]
    """Smallest and largest radius in training, voxels."""
    tested: tuple[int, int]
    """The same in the test."""
    patches: tuple[int, ...]
    """Voxels along each axis of a training patch, and of the windows of its networks."""
    volumes: tuple[int, int, int]
    """For training, validation and test."""
    seeds: tuple[int, ...]
    """Training runs."""
    epochs: int
    rate: float
    """Of Adam, falling to 0 by a cosine."""
    widths: tuple[int, ...]
    """Channels of the U-Nets' levels."""
    feature: int
    """Feature size of UNETR."""
    batch: int = 2
    """Volumes a step, of which each gives `CROPS` patches."""
    validate_every: int = 5
    """Epochs."""
    device: str = "cpu"


SMALL = Recipe(
    32, (8, 11), (2, 15), (16, 24, 32), (40, 6, 72), (1, 2, 3), 20, 4e-3, (8, 16, 32, 64), 4
)
"""Two cores, minutes."""
TINY = Recipe(16, (4, 5), (1, 7), (8, 16), (4, 2, 4), (1,), 1, 1e-2, (2, 4), 1, validate_every=1)
"""Seconds: whether it works at all."""
FULL = Recipe(
    96, (25, 35), (5, 48), (32, 48, 64, 80, 96), (70, 30, 100), (1, 2, 3), 50, 1e-4,
    (16, 32, 64, 128, 256), 16,
)  # fmt: skip
"""As published; for a GPU."""


@dataclass(frozen=True, slots=True)
class Job:
    """One network to be trained."""

    network: str
    """One of `networks.NETWORKS`."""
    patch: int
    """Voxels along each axis of its training patches."""
    seed: int
    """Of weights, order and crops."""

    @property
    def name(self) -> str:
        """As files and systems are called."""
        return f"{self.network}-patch{self.patch}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Sphere:
    """One volume."""

    name: str
    radius: int
    """Voxels."""
    image: Floats
    """(z, y, x), in [0, 1]."""
    mask: Bools
    """(z, y, x)."""


def draw_sphere(index: int, kind: int, recipe: Recipe) -> Sphere:
    """Draw one volume from its kind and number alone.

    Parameters
    ----------
    index : number of the volume
    kind : `TRAINING`, `VALIDATION` or `TEST`
    recipe : sizes and radii
    """
    rng = np.random.default_rng([kind, index, recipe.size])
    low, high = recipe.tested if kind == TEST else recipe.radii
    radius = int(rng.integers(low, high + 1))
    # wholly inside where it fits, in the middle where it does not
    first, last = radius, max(radius, recipe.size - 1 - radius)
    centre = rng.uniform(first, last, 3) if last > first else np.full(3, (recipe.size - 1) / 2)
    distance = np.zeros((recipe.size,) * 3)
    for axis, middle in enumerate(centre):
        shape = [1, 1, 1]
        shape[axis] = recipe.size
        distance = distance + (np.arange(recipe.size) - middle).reshape(shape) ** 2
    mask = distance <= radius**2
    noise = rng.uniform(0.0, NOISE, mask.shape)
    image = np.where(mask, 1.0, noise).astype(np.float32)
    return Sphere(f"sphere_{index:03d}", radius, image, mask)


def crops(sphere: Sphere, patch: int, rng: np.random.Generator) -> list[tuple[Floats, Bools]]:
    """Cut `CROPS` patches: every second around a voxel of the sphere, the others around one beside it.

    A patch that would leave the volume is moved back into it, as MONAI's ``RandCropByPosNegLabel`` does. Of a
    patch as large as the volume one is returned: copies of it would change neither the mean of the loss nor the
    statistics of a batch.

    Returns
    -------
    Images and masks, each (z, y, x) of the patch.
    """
    size = sphere.mask.shape[0]
    if patch == size:
        return [(sphere.image, sphere.mask)]
    inside, outside = np.argwhere(sphere.mask), np.argwhere(~sphere.mask)
    cut = []
    for place in range(CROPS):
        around = inside if place % 2 == 0 else outside
        centre = around[rng.integers(len(around))]
        start = np.clip(centre - patch // 2, 0, size - patch)
        where = tuple(slice(int(it), int(it) + patch) for it in start)
        cut.append((sphere.image[where], sphere.mask[where]))
    return cut


def sphere_jobs(recipe: Recipe) -> list[Job]:
    """List every network, one training run of all before the next.

    A transformer has no patches but multiples of its tokens.
    """
    return [
        Job(network, patch, seed)
        for seed in recipe.seeds
        for patch in sorted(recipe.patches, reverse=True)
        for network in ARCHITECTURES
        if network != TRANSFORMER or patch % 16 == 0
    ]


def train_spheres(recipe: Recipe, folder: Path, *, processes: int = 2) -> list[dict[str, Any]]:
    """Train what is not finished yet, and return what is known of all networks."""
    return train_jobs(sphere_jobs(recipe), train_one, recipe, folder, processes=processes)


def train_one(job: Job, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Train one network, write it with its facts, and return these."""
    if recipe.device == "cpu":
        torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    training, validation = (
        [draw_sphere(i, kind, recipe) for i in range(count)]
        for kind, count in zip((TRAINING, VALIDATION), recipe.volumes, strict=False)
    )
    torch.manual_seed(job.seed)
    network = _network(job, recipe)
    shares: list[float] = []
    best, epoch = _fit(network, job, training, validation, recipe, shares)
    free = job.network != TRANSFORMER
    shape = (1, *(job.patch,) * 3)
    facts = {
        "name": job.name,
        "network": job.network,
        "patch": job.patch,
        "seed": job.seed,
        "group": NETWORKS[job.network].group,
        "parameters": sum(it.numel() for it in network.parameters()),
        "best_epoch": epoch,
        "validation_dsc": round(best, 4),
        "training_patches": len(shares),
        "foreground_ratio": [min(shares), max(shares)],
        "onnx_differs_by": write_checkpoint(network, shape, folder / job.name, free=free),
    }
    return write_facts(job, recipe, facts, folder)


def _network(job: Job, recipe: Recipe) -> nn.Module:
    if job.network == TRANSFORMER:
        return build(job.network, 3, job.patch, widths=(recipe.feature, 2 * recipe.feature))
    units = 2 if job.network == "unet" else 0
    return build(job.network, 3, widths=recipe.widths, residual_units=units)


def _fit(
    network: nn.Module,
    job: Job,
    training: Sequence[Sphere],
    validation: Sequence[Sphere],
    recipe: Recipe,
    shares: list[float],
) -> tuple[float, int]:
    """Train in place, keep the epoch of the best validation DSC, and log the share of every patch."""
    rng = np.random.default_rng([job.seed, job.patch])
    network.to(recipe.device)
    loss_of = DiceLoss(sigmoid=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs, eta_min=1e-9)
    best, at, kept = -1.0, 0, {}
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        order = rng.permutation(len(training))
        for start in range(0, len(order), recipe.batch):
            cut = [
                it
                for i in order[start : start + recipe.batch]
                for it in crops(training[i], job.patch, rng)
            ]
            shares += [float(mask.mean()) for _, mask in cut]
            image, mask = (
                torch.from_numpy(np.stack(them).astype(np.float32)[:, None]).to(recipe.device)
                for them in zip(*cut, strict=True)
            )
            optimiser.zero_grad()
            loss_of(network(image), mask).backward()
            optimiser.step()
        falling.step()
        if epoch % recipe.validate_every == 0 or epoch == recipe.epochs:
            reached = float(
                np.mean([_dsc(network, it, job.patch, recipe.device) for it in validation])
            )
            if reached > best:
                best, at = reached, epoch
                kept = {k: v.detach().clone() for k, v in network.state_dict().items()}
    network.load_state_dict(kept)
    network.to("cpu").eval()
    return best, at


def _dsc(network: nn.Module, sphere: Sphere, patch: int, device: str) -> float:
    found = predicted(network.eval(), sphere, patch, device)
    return 2.0 * float((found & sphere.mask).sum()) / float(found.sum() + sphere.mask.sum())


def predicted(network: nn.Module, sphere: Sphere, patch: int, device: str = "cpu") -> Bools:
    """Predict a volume by MONAI's own sliding window, as the networks' maker would: (z, y, x)."""
    image = torch.from_numpy(sphere.image)[None, None].to(device)
    with torch.no_grad():
        logits = sliding_window_inference(image, (patch,) * 3, 4, network, overlap=OVERLAP)
    found: Bools = (torch.sigmoid(logits)[0, 0] >= 0.5).cpu().numpy()
    return found


def write_audit(recipe: Recipe, folder: Path, facts: Sequence[Mapping[str, Any]]) -> Path:
    """Write the test volumes and audit.yaml, with the training range of every network as it was logged.

    Parameters
    ----------
    recipe : Recipe
    folder : in which the checkpoints lie under ``networks/``
    facts : of every network, as `train_spheres` returns them

    Returns
    -------
    Path of audit.yaml.
    """
    cases = folder / "cases"
    cases.mkdir(parents=True, exist_ok=True)
    lines = [("case", "patient", "image", "reference", "radius")]
    for index in range(recipe.volumes[2]):
        sphere = draw_sphere(index, TEST, recipe)
        image, mask = f"{sphere.name}.nii.gz", f"{sphere.name}_mask.nii.gz"
        _write_volume(sphere.image, cases / image)
        _write_volume(sphere.mask.astype(np.uint8), cases / mask)
        lines.append((sphere.name, sphere.name, image, mask, str(sphere.radius)))
    with (cases / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    systems: dict[str, Any] = {it["name"]: _system(it) for it in facts}
    swept = next(
        (it for it in facts if it["network"] == "unet" and it["patch"] == max(recipe.patches)), None
    )
    others = [[it] * 3 for it in sorted(recipe.patches)[:-1]]
    if swept is not None and others:
        # one model under several windows: another question, which the report keeps apart
        systems[f"{swept['name']}-window"] = {
            "like": swept["name"],
            "expand": {"window.size": others},
        }
    content = {
        "audit": "spheres",
        "seed": 20221202,
        "purpose": "exploratory",
        "cases": {"table": "cases/cases.csv", "modality": "other", "state": "normalised"},
        "systems": systems,
        "perturbations": {},
        "metrics": {"dsc": {}},
        "strata": {"object_volume": {"label": "sphere", "edges": "tertiles"}},
        "keep": {"exhibits": 4},
    }
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _system(facts: Mapping[str, Any]) -> dict[str, Any]:
    patch = [facts["patch"]] * 3
    low, high = facts["foreground_ratio"]
    # rounded away from what was seen, so that no seen share lies outside
    seen = [math.floor(low * 1e6) / 1e6, math.ceil(high * 1e6) / 1e6]
    return {
        "checkpoint": f"networks/{facts['name']}.onnx",
        "input": {"channels": 1, "dims": 3, "layout": "channel_first"},
        "window": {
            "size": patch, "overlap": OVERLAP, "blend": "constant", "placement": "monai", "padding": "zero",
        },
        "output": {"activation": "logits_sigmoid", "labels": {"sphere": 1}, "layout": "channel_first"},
        "family": facts["network"],
        "training_seed": facts["seed"],
        "architecture_group": facts["group"],
        "training": {"patch": patch, "foreground_ratio": seen},
        "contract_sensitivity": False,
    }  # fmt: skip


def _write_volume(array: NDArray[Any], path: Path) -> None:
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.0, 1.0))
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def audit_spheres(recipe: Recipe, folder: Path, *, processes: int = 2) -> Path:
    """Train what is not trained, audit all of it, write the report, and return the folder of the run."""
    import auditor
    from reports.build import build as build_report

    facts = train_spheres(recipe, folder / "networks", processes=processes)
    path = write_audit(recipe, folder, facts)
    run = auditor.audit(path, out=folder / "run", workers=processes)
    build_report(run.folder)
    return run.folder


def main() -> None:
    """Run the sphere task from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("work/spheres"))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--tiny", action="store_true", help="seconds: whether it works at all")
    size.add_argument("--full", action="store_true", help="sizes of the published task; for a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    chosen = FULL if given.full else TINY if given.tiny else SMALL
    from dataclasses import replace

    run = audit_spheres(replace(chosen, device=given.device), given.out, processes=given.processes)
    summary = sphere_summary(run)
    (given.out / "spheres.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (given.out / "spheres.md").write_text(sphere_section(summary), encoding="utf-8")
    print(f"report: {run / 'report.html'}; page: {given.out / 'spheres.md'}")


if __name__ == "__main__":
    main()
