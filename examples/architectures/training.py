"""Train the networks of the texture task, seeded, and write them as TorchScript and ONNX.

Adam on the Dice loss of the sigmoid, rotations by quarter turns and nothing else, the epoch with the best
validation DSC kept: as published. Every process has one thread, so that the same processor gives the same
weights. `jobs` runs several side by side.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jobs import write_facts
from monai.losses import DiceLoss
from networks import FULL_LAST, FULL_WIDTHS, NETWORKS, build
from numpy.typing import NDArray
from PIL import Image
from textures import Case, blended, draw_case
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from train_demo_systems import save_onnx, save_torchscript  # lies one folder up

__all__ = [
    "FULL",
    "TINY",
    "Job",
    "Recipe",
    "fit",
    "pair_of",
    "scaled",
    "train_one",
    "write_checkpoint",
]

Floats = NDArray[np.float32]
Pair = tuple[Floats, Floats]
"""Image and mask, both (1, *sizes)."""

GOLDEN = 2
"""Validation images of which the maker's own answer is kept."""
TRAINING_SEED, VALIDATION_SEED, TEST_SEED = 1, 2, 3
"""Of the cohorts of pictures: drawn apart."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How all networks are trained."""

    size: int = 64
    """Pixels along both axes."""
    pair: str = "cells"
    """Of textures."""
    cases: tuple[int, int] = (70, 10)
    """Training and validation images, as published."""
    epochs: int = 30
    batch: int = 8
    rate: float = 1e-2
    """Of Adam, constant. Published are 1e-3 for this task, with 100 epochs, and 1e-2 for the medical ones."""
    validate_every: int = 2
    """Epochs."""
    widths: tuple[int, ...] | None = None
    """Channels of each level; None: `networks.Network.small`."""
    last: int | None = None
    """See `networks.Shape`."""
    device: str = "cpu"


FULL = Recipe(size=256, epochs=100, rate=1e-3, widths=FULL_WIDTHS, last=FULL_LAST, device="cuda")
"""Sizes as published."""
TINY = Recipe(size=32, cases=(4, 2), epochs=1, widths=(2, 2, 4, 4, 8))
"""To see that everything runs."""


@dataclass(frozen=True, slots=True)
class Job:
    """One network to be trained."""

    network: str
    """One of `networks.NETWORKS`."""
    seed: int
    """Of weights, order and rotations."""
    direction: str
    """Side of the training images that was blended."""
    level: float
    """Share of the other side's texture."""

    @property
    def name(self) -> str:
        """As files and systems are called."""
        return f"{self.network}-{self.direction}-{self.level:g}-{self.seed}"


def train_one(job: Job, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Train one network, write it with its golden pairs and facts, and return these."""
    if recipe.device == "cpu":
        torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    training, validation = (
        [draw_case(i, seed=seed, size=recipe.size, pair=recipe.pair) for i in range(count)]
        for seed, count in zip((TRAINING_SEED, VALIDATION_SEED), recipe.cases, strict=True)
    )
    pairs, held_out = (
        [pair_of(case, job.direction, job.level) for case in cases]
        for cases in (training, validation)
    )
    torch.manual_seed(job.seed)
    widths = recipe.widths or NETWORKS[job.network].small
    network = build(job.network, 2, recipe.size, widths=widths, last=recipe.last)
    best, epoch = fit(network, pairs, held_out, recipe, seed=job.seed)
    ratios = [case.foreground_ratio for case in training]
    differs = write_checkpoint(network, (1, recipe.size, recipe.size), folder / job.name)
    write_golden(network, validation[:GOLDEN], folder, job.name)
    facts = {
        **asdict(job),
        "name": job.name,
        "group": NETWORKS[job.network].group,
        "parameters": sum(it.numel() for it in network.parameters()),
        "best_epoch": epoch,
        "validation_dsc": round(best, 4),
        "foreground_ratio": [round(min(ratios), 4), round(max(ratios), 4)],
        "onnx_differs_by": differs,
    }
    return write_facts(job, recipe, facts, folder)


def fit(
    network: nn.Module,
    training: Sequence[Pair],
    validation: Sequence[Pair],
    recipe: Recipe,
    *,
    seed: int,
) -> tuple[float, int]:
    """Train a network in place, and leave it with the weights of its best epoch, in evaluation mode.

    Parameters
    ----------
    network : maps (n, 1, *sizes) to logits of the same shape
    training, validation : images as the network is fed, and masks
    recipe : Recipe
    seed : of the order and the rotations; the weights are drawn already

    Returns
    -------
    Validation DSC of the best epoch, and which it was, counted from 1.
    """
    rng = np.random.default_rng(seed)
    network.to(recipe.device)
    loss_of = DiceLoss(sigmoid=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.rate)
    best, at, kept = -1.0, 0, {}
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        order = rng.permutation(len(training))
        for start in range(0, len(order), recipe.batch):
            chosen = [_turned(training[i], rng) for i in order[start : start + recipe.batch]]
            if len(chosen) < 2:
                continue  # batch normalisation needs two
            image, mask = (_stacked(them, recipe.device) for them in zip(*chosen, strict=True))
            optimiser.zero_grad()
            loss = loss_of(network(image), mask)
            loss.backward()
            optimiser.step()
        if epoch % recipe.validate_every == 0 or epoch == recipe.epochs:
            reached = _validated(network.eval(), validation, recipe.device)
            if reached > best:
                best, at = reached, epoch
                kept = {k: v.detach().clone() for k, v in network.state_dict().items()}
    network.load_state_dict(kept)
    network.to("cpu").eval()
    return best, at


def pair_of(case: Case, direction: str, level: float) -> Pair:
    """Return a picture as it is fed, with its mask."""
    return scaled(blended(case, direction, level))[None], case.mask.astype(np.float32)[None]


def scaled(image: Floats) -> Floats:
    """Map an image's own minimum and maximum to 0 and 1."""
    low, high = float(image.min()), float(image.max())
    return np.asarray((image - low) / (high - low or 1.0), dtype=np.float32)


def write_checkpoint(
    network: nn.Module, shape: Sequence[int], path: Path, *, free: bool = True
) -> float:
    """Write `path`.pt and `path`.onnx, and check that both answer as the network does.

    Parameters
    ----------
    network : in evaluation mode, on the CPU
    shape : (channel, *sizes) that it is traced at
    path : without an ending
    free : whether the sizes may change in ONNX, where the batch always may

    Returns
    -------
    Largest difference of a logit between ONNX and the network.

    Raises
    ------
    RuntimeError
        When one of the files answers otherwise than the network.
    """
    import onnxruntime

    example = torch.zeros(1, *shape)
    image = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    names = path.with_name(path.name + ".tmp")
    script, graph = (path.with_name(path.name + ending) for ending in (".pt", ".onnx"))
    axes = ("z", "y", "x")[-(len(shape) - 1) :] if free else ()
    with warnings.catch_warnings():
        # what tracing warns of, and what both exporters are to be replaced by; the answers are compared below
        warnings.simplefilter("ignore")
        save_torchscript(network, example, names)
        names.replace(script)
        save_onnx(network, example, names, axes=axes, output="logit")
        names.replace(graph)
    with torch.no_grad():
        truth = network(image).numpy()
        loaded: Any = torch.jit.load(str(script))  # type: ignore[no-untyped-call]
        traced = loaded(image).numpy()
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    exported = session.run(None, {"image": image.numpy()})[0]
    allowed = 1e-4 * max(1.0, float(np.abs(truth).max()))
    for file, answer in ((script, traced), (graph, exported)):
        apart = float(np.abs(answer - truth).max())
        if not apart <= allowed:
            msg = f"{file.name} must answer as its network does, and differs by {apart:.3g}"
            raise RuntimeError(msg)
    return float(np.abs(exported - truth).max())


def write_golden(network: nn.Module, cases: Sequence[Case], folder: Path, name: str) -> None:
    """Write what the network itself, without any auditor, makes of pictures that are not blended."""
    (folder / "golden").mkdir(exist_ok=True)
    lines = ["image,prediction"]
    for case in cases:
        image, mask = f"{case.name}.png", f"{name}_{case.name}.png"
        with torch.no_grad():
            logits = network(torch.from_numpy(scaled(case.image.astype(np.float32)))[None, None])
        Image.fromarray(case.image).save(folder / "golden" / image)
        answer = (torch.sigmoid(logits)[0, 0] >= 0.5).numpy().astype(np.uint8)
        Image.fromarray(answer).save(folder / "golden" / mask)
        lines.append(f"{image},{mask}")
    (folder / "golden" / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _turned(pair: Pair, rng: np.random.Generator) -> Pair:
    """Turn an image by one to three quarters with a chance of one half."""
    quarters = int(rng.integers(1, 4)) if rng.random() < 0.5 else 0
    image, mask = (np.rot90(it, quarters, axes=(-2, -1)) for it in pair)
    return image, mask


def _validated(network: nn.Module, validation: Sequence[Pair], device: str) -> float:
    """Mean DSC of single images."""
    scores = []
    with torch.no_grad():
        for image, mask in validation:
            found = network(_stacked([image], device))[0].cpu().numpy() >= 0
            total = int(found.sum()) + int(mask.sum())
            scores.append(2.0 * float((found * mask).sum()) / total if total else 1.0)
    return float(np.mean(scores))


def _stacked(arrays: Sequence[Floats], device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(arrays))).to(device)
