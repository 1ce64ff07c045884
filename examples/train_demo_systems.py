"""Train the three small systems that ``segaudit demo`` audits.

Run from the root of the repository; it takes about ten minutes on one quiet core::

    PYTHONPATH=. python examples/train_demo_systems.py --out auditor/demo/checkpoints

(``--only unet_skips`` trains one of them, so that they can be trained side by side.)

Three networks learn the same organ on the same 160 phantoms, in three ways that differ on purpose:

============== ============================ ==================== ================= =============
system         architecture                 trained on           fed               gives
============== ============================ ==================== ================= =============
unet_skips     U-Net                        scans as they are    RAS, z-score      softmax
unet_no_skips  the same without skips       noise and blur added native, 0 to 1    sigmoid
unet_attention U-Net with attention gates   gamma and bias added native, z-score   logits
============== ============================ ==================== ================= =============

So a difference between two of them is one of *systems* (architecture and training together), never
of architectures. The script also writes what each network makes of two phantoms, through its own
code and without any auditor: the golden pairs of the demo.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from auditor.demo.audit import CHECKPOINTS, GOLDEN_PATIENTS, GOLDEN_SEED
from auditor.demo.phantoms import Phantom, phantom

TRAINING_SEED = 4001
HELD_OUT_SEED = 4002
"""Cohorts of different seeds share no patient; the audited cohort has another one again."""
TRAINING_PATIENTS = 160
HELD_OUT_PATIENTS = 30
WIDTHS = (8, 16, 24, 32)
STEPS = 1300
BATCH = 2
THREADS = 1
"""One thread, so that the same processor gives the same weights."""


class Block(nn.Sequential):
    """Convolutions with batch normalisation, each as (convolution, normalisation, ReLU)."""

    def __init__(
        self, channels_in: int, channels_out: int, *, kernel: tuple[int, int, int], depth: int
    ) -> None:
        padding = tuple(k // 2 for k in kernel)
        layers: list[nn.Module] = []
        for number in range(depth):
            first = channels_in if number == 0 else channels_out
            layers += [
                nn.Conv3d(first, channels_out, kernel, padding=padding, bias=False),
                nn.BatchNorm3d(channels_out),
                nn.ReLU(),
            ]
        super().__init__(*layers)


class Gate(nn.Module):
    """Additive attention of a skip connection (Oktay et al. 2018, arXiv 1804.03999, eq. 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.skip = nn.Conv3d(channels, channels // 2, 1)
        self.signal = nn.Conv3d(channels, channels // 2, 1)
        self.weight = nn.Conv3d(channels // 2, 1, 1)

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Weigh the skip (n, c, z, y, x) by what the level below makes of it."""
        both = torch.relu(self.skip(skip) + self.signal(signal))
        return skip * torch.sigmoid(self.weight(both))


class UNet(nn.Module):
    """Four levels, anisotropic; `skips` is none, plain or attention."""

    def __init__(self, *, skips: str, outputs: int) -> None:
        super().__init__()
        flat, full = (1, 3, 3), (3, 3, 3)  # slices are far apart: the first level stays in them
        kernels = (flat, full, full, full)
        depths = (1, 2, 2, 2)
        strides = ((1, 2, 2), (2, 2, 2), (2, 2, 2))
        self.plain = skips == "plain"
        self.gated = skips == "attention"
        factor = 1 if skips == "none" else 2
        sizes = (1, *WIDTHS)
        lower = range(len(strides))
        self.down = nn.ModuleList(
            Block(sizes[i], sizes[i + 1], kernel=kernels[i], depth=depths[i])
            for i in range(len(WIDTHS))
        )
        self.pool = nn.ModuleList(nn.MaxPool3d(stride) for stride in strides)
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(WIDTHS[i + 1], WIDTHS[i], strides[i], strides[i]) for i in lower
        )
        self.gate = nn.ModuleList(Gate(WIDTHS[i]) if self.gated else nn.Identity() for i in lower)
        self.join = nn.ModuleList(
            Block(factor * WIDTHS[i], WIDTHS[i], kernel=kernels[i], depth=depths[i]) for i in lower
        )
        self.last = nn.Conv3d(WIDTHS[0], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 1, z, y, x) to logits (n, outputs, z, y, x)."""
        features = []
        for level, block in enumerate(self.down):
            x = block(x)
            if level < len(self.pool):
                features.append(x)
                x = self.pool[level](x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](x)
            if self.gated:
                x = torch.cat([self.gate[level](features[level], x), x], dim=1)
            elif self.plain:
                x = torch.cat([features[level], x], dim=1)
            x = self.join[level](x)
        return self.last(x)


class Shipped(nn.Module):
    """What is shipped: the network between the axes and the activation that its contract names."""

    def __init__(self, network: UNet, *, activation: nn.Module, fed: str) -> None:
        super().__init__()
        self.network = network
        self.activation = activation
        self.order = (0, 1, 4, 3, 2) if fed == "RAS" else (0, 1, 2, 3, 4)

    def forward(self, image: Tensor) -> Tensor:
        """Map an image in the system's axes to what its contract says it gives."""
        given = self.activation(self.network(image.permute(self.order)))
        return given.permute(self.order)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one system is made."""

    name: str
    skips: str
    outputs: int
    activation: nn.Module
    fed: Literal["RAS", "native"]
    normalise: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    augment: Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]
    seed: int


def zscore(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return ((image - image.mean()) / image.std()).astype(np.float32)


def unit_range(image: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.quantile(image, (0.01, 0.99))
    return ((np.clip(image, low, high) - low) / (high - low)).astype(np.float32)


def as_they_are(image: NDArray[np.float32], _: np.random.Generator) -> NDArray[np.float32]:
    return image


def noisy_or_blurred(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Add Rician noise of up to 18 % of the organ's signal, or blur by up to 3.5 mm, or neither."""
    from scipy.ndimage import gaussian_filter

    kind = rng.random()
    if kind < 0.5:
        real, imaginary = rng.uniform(0, 110) * rng.standard_normal((2, *image.shape))
        return np.hypot(image + real, imaginary).astype(np.float32)
    if kind < 0.7:
        sigma = rng.uniform(0.2, 3.5) / 2.355
        return gaussian_filter(image, (sigma / 3.0, sigma / 1.2, sigma / 1.2))
    return image


def recoloured(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change gamma (0.6 to 2.0) and multiply by a linear field of up to 70 % end to end."""
    top = np.quantile(image, 0.995)
    bent = top * (image / top) ** np.exp(rng.uniform(-0.5, 0.7))
    ramps = [np.linspace(-0.5, 0.5, n) for n in image.shape]
    grid = np.meshgrid(*ramps, indexing="ij", sparse=True)
    weights = rng.uniform(-1, 1, size=3) * rng.uniform(0, 0.7)
    field = np.exp(sum(w * g for w, g in zip(weights, grid, strict=True)))
    return (bent * field).astype(np.float32)


RECIPES = {
    "unet_skips": Recipe(
        "unet_skips", "plain", 2, nn.Softmax(dim=1), "RAS", zscore, as_they_are, 11
    ),
    "unet_no_skips": Recipe(
        "unet_no_skips", "none", 1, nn.Sigmoid(), "native", unit_range, noisy_or_blurred, 12
    ),
    "unet_attention": Recipe(
        "unet_attention", "attention", 1, nn.Identity(), "native", zscore, recoloured, 13
    ),
}


def oriented(volume: NDArray[np.generic], recipe: Recipe) -> NDArray[np.generic]:
    """(z, y, x) towards superior, posterior, left -> S, A, R for the system that is fed RAS."""
    return volume[:, ::-1, ::-1] if recipe.fed == "RAS" else volume


def foreground_logit(outputs: Tensor) -> Tensor:
    return outputs[:, 1:] - outputs[:, :1] if outputs.shape[1] == 2 else outputs


def loss_of(logit: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus 1 - soft DSC (+1 in both terms: small organs must not divide by zero)."""
    probability = torch.sigmoid(logit)
    axes = (1, 2, 3, 4)
    both = (probability * target).sum(axes)
    total = probability.sum(axes) + target.sum(axes)
    dsc = (2 * both + 1) / (total + 1)
    return functional.binary_cross_entropy_with_logits(logit, target) + (1 - dsc).mean()


def train(recipe: Recipe, patients: list[Phantom], *, steps: int) -> UNet:
    """Train one network; every random choice follows from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    network = UNet(skips=recipe.skips, outputs=recipe.outputs).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps)
    order = np.concatenate(
        [rng.permutation(len(patients)) for _ in range(steps * BATCH // len(patients) + 1)]
    )
    started, running = time.monotonic(), 0.0
    for step in range(steps):
        chosen = [patients[i] for i in order[step * BATCH : (step + 1) * BATCH]]
        images = [recipe.normalise(recipe.augment(p.image, rng)) for p in chosen]
        image = torch.stack([_tensor(oriented(i, recipe)) for i in images])
        target = torch.stack([_tensor(oriented(p.reference, recipe)) for p in chosen])
        optimiser.zero_grad()
        loss = loss_of(foreground_logit(network(image)), target)
        loss.backward()
        optimiser.step()
        schedule.step()
        running += (loss.item() - running) / min(step + 1, 50)
        if step % 50 == 49:
            seconds = time.monotonic() - started
            print(
                f"{recipe.name}: step {step + 1}, loss {running:.3f}, {seconds:.0f} s", flush=True
            )
    return network.eval()


def _tensor(volume: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(volume, dtype=np.float32))[None]


def predict(network: UNet, recipe: Recipe, image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Segment one scan (z, y, x) as this script does it: the maker's own output."""
    with torch.no_grad():
        outputs = network(_tensor(oriented(recipe.normalise(image), recipe))[None])
    mask = (foreground_logit(outputs)[0, 0] >= 0).numpy().astype(np.uint8)
    return np.ascontiguousarray(oriented(mask, recipe))


def dsc(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else 1.0


def fused(network: UNet) -> UNet:
    """Fold every batch normalisation into its convolution: the same function, fewer steps."""
    for block in (*network.down, *network.join):
        for i in range(0, len(block), 3):
            block[i] = fuse_conv_bn_eval(block[i], block[i + 1])
            block[i + 1] = nn.Identity()
    return network


def save(network: UNet, recipe: Recipe, folder: Path) -> Path:
    """Write the checkpoint without anything that names this machine."""
    module = Shipped(network, activation=recipe.activation, fed=recipe.fed).eval()
    example = (
        torch.zeros(1, 1, 64, 64, 24) if recipe.fed == "RAS" else torch.zeros(1, 1, 24, 64, 64)
    )
    path = folder / CHECKPOINTS[recipe.name]
    write = save_onnx if path.suffix == ".onnx" else save_torchscript
    write(module, example, path)
    return path


def save_onnx(
    module: nn.Module,
    example: Tensor,
    path: Path,
    *,
    axes: Sequence[str] = ("right", "anterior", "superior"),
    output: str = "probability",
) -> None:
    """Write a graph whose batch and spatial axes, named so, are free."""
    import onnx

    buffer = io.BytesIO()
    spatial = {0: "batch", **dict(enumerate(axes, start=2))}
    torch.onnx.export(
        module,
        (example,),
        buffer,
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=[output],
        dynamic_axes={"image": spatial, output: spatial},
    )
    model = onnx.load_model_from_string(buffer.getvalue())
    del model.metadata_props[:]
    model.graph.name = path.stem
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("name")
        del node.metadata_props[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def save_torchscript(module: nn.Module, example: Tensor, path: Path) -> None:
    buffer = io.BytesIO()
    with torch.no_grad():
        torch.jit.save(torch.jit.freeze(torch.jit.trace(module, example)), buffer)
    # debug records repeat the paths of this machine, and dates would make each build differ
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if not name.endswith(".debug_pkl"):
                inner = f"{path.stem}/{name.split('/', 1)[1]}"
                target.writestr(zipfile.ZipInfo(inner, (1980, 1, 1, 0, 0, 0)), source.read(name))


def write_golden(system: str, masks: list[NDArray[np.uint8]], path: Path) -> None:
    """Pack the masks of the golden phantoms: one array (patient, packed bits)."""
    packed = np.stack([np.packbits(mask.ravel()) for mask in masks])
    np.savez_compressed(path, allow_pickle=False, **{system: packed})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--only", choices=sorted(RECIPES), action="append", help="these alone")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch's own signature
    arguments.out.mkdir(parents=True, exist_ok=True)

    patients = [phantom(i, seed=TRAINING_SEED) for i in range(TRAINING_PATIENTS)]
    held_out = [phantom(i, seed=HELD_OUT_SEED) for i in range(HELD_OUT_PATIENTS)]
    golden = [phantom(i, seed=GOLDEN_SEED) for i in GOLDEN_PATIENTS]
    for name in arguments.only or RECIPES:
        recipe = RECIPES[name]
        network = fused(train(recipe, patients, steps=arguments.steps))
        path = save(network, recipe, arguments.out)
        scores = [dsc(predict(network, recipe, p.image), p.reference) for p in held_out]
        record = {
            "parameters": sum(p.numel() for p in network.parameters()),
            "steps": arguments.steps,
            "bytes": path.stat().st_size,
            "held_out_dsc_mean": round(float(np.mean(scores)), 4),
            "held_out_dsc_min": round(float(np.min(scores)), 4),
        }
        print(json.dumps({name: record}), flush=True)
        masks = [predict(network, recipe, p.image) for p in golden]
        write_golden(name, masks, arguments.out / f"{name}.golden.npz")


if __name__ == "__main__":
    main()
