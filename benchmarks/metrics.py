"""Time the surface metrics against MONAI and surface-distance, each in its own definition.

Both sides compute HD95, NSD and average surface distance of the same label maps, interleaved in one
run on one thread each; the ratio of the medians is what travels to other machines. What counts is the
time that the process was given by the processor, so that other work on the machine disturbs little.
Boundary voxels: MONAI's `compute_hausdorff_distance` (95), `compute_surface_dice` and
`compute_average_surface_distance` (symmetric). Surface elements: `compute_surface_distances` of
surface-distance with its robust Hausdorff distance, surface Dice and average distance. What is kept of
a reference for all its predictions is built before, and timed apart. The masks are made
from the label map before the time starts. The values of both sides are compared.
Needs the peers::

    pip install -c constraints.txt -e . surface-distance==0.1 monai==1.6.1
    python benchmarks/metrics.py                  # 128^3 and 256 x 256 x 160
    python benchmarks/metrics.py --quick          # 128^3 alone, fewer turns
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# a script's folder comes first on the path, where this file would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from auditor.metrics.measure import measure_label, prepare_reference
from auditor.metrics.reference import Reference
from auditor.schema import MetricSpec, Status

Labels = NDArray[np.int16]
Mask = NDArray[np.bool_]
Field = NDArray[np.float32]
Values = dict[tuple[int, str], float]
"""(label, metric) -> value; NaN or infinite where a peer gives that, absent where ours has none."""

SPACING = (2.5, 0.9, 0.8)
TOLERANCE_MM = 2.0
_ENOUGH_S = 2.0
"""Of a peer's time in all turns; slower ones get fewer turns."""
SIZES = {"128 x 128 x 128": (128, 128, 128), "256 x 256 x 160": (160, 256, 256)}
GOALS = {
    "easy": {"MONAI": 20.0, "surface-distance": 10.0},
    "other": {"MONAI": 5.0, "surface-distance": 3.0},
}
NAMES = {
    "MONAI": ("hd95_voxel", "nsd_voxel", "assd_voxel"),
    "surface-distance": ("hd95", "nsd", "assd"),
}


@dataclass(frozen=True)
class Case:
    """One prediction of a label map."""

    name: str
    reference: Labels
    prediction: Labels
    kind: str
    """easy, other, or empty."""


def smooth_field(shape: tuple[int, ...], rng: np.random.Generator) -> Field:
    """Draw a smooth random field with a standard deviation of 1."""
    coarse = rng.standard_normal([max(4, n // 10) for n in shape]).astype(np.float32)
    zoom = [n / c for n, c in zip(shape, coarse.shape, strict=True)]
    field = ndimage.zoom(coarse, zoom, order=1)
    return np.asarray(field / field.std(), dtype=np.float32)


def signed_distances(shape: tuple[int, ...], n_labels: int) -> list[Field]:
    """Give smooth functions that are positive inside organ-like shapes: one, or a row of many."""
    rng = np.random.default_rng(20261129)
    grid = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    bumps = 0.12 * smooth_field(shape, rng)
    if n_labels == 1:
        radius = np.sqrt((grid[0] / 0.6) ** 2 + (grid[1] / 0.55) ** 2 + (grid[2] / 0.5) ** 2)
        return [1 - radius + bumps]
    fields = []
    for label in range(n_labels):
        z, y = (-0.45, 0.45)[label % 2], -0.8 + 1.6 * (label // 2) / (n_labels // 2 - 1)
        x = -0.5 + 0.25 * (label % 5)
        radius = np.sqrt(
            ((grid[0] - z) / 0.4) ** 2 + ((grid[1] - y) / 0.18) ** 2 + ((grid[2] - x) / 0.4) ** 2
        )
        fields.append(1 - radius + bumps)
    return fields


def paint(fields: list[Field], wave: Field) -> Labels:
    """Turn the functions into a label map, with borders moved by a wave."""
    labels = np.zeros(wave.shape, dtype=np.int16)
    for number, field in enumerate(fields, start=1):
        labels[(field + wave > 0) & (labels == 0)] = number
    return labels


def dice(p: Mask, r: Mask) -> float:
    """DSC of two masks."""
    return 2 * float(np.count_nonzero(p & r)) / float(np.count_nonzero(p) + np.count_nonzero(r))


def amplitude_for(field: Field, wave: Field, wanted: float) -> float:
    """Find how high the wave must be for a DSC of the first label."""
    low, high = 0.0, 1.0
    for _ in range(8):
        middle = (low + high) / 2
        enough = dice(field + middle * wave > 0, field > 0) > wanted
        low, high = (middle, high) if enough else (low, middle)
    return low


def shift_for(moved: Mask, reference: Mask, wanted: float) -> int:
    """Find how many voxels along x the first label must be shifted for a DSC."""
    low, high = 0, reference.shape[-1] // 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = dice(np.roll(moved, middle, axis=-1), reference) > wanted
        low, high = (middle, high) if enough else (low, middle)
    return low


def cases(shape: tuple[int, ...], n_labels: int) -> list[Case]:
    """Make all predictions of one size."""
    rng = np.random.default_rng(7)
    fields = signed_distances(shape, n_labels)
    wave = 0.5 * smooth_field(shape, rng)
    reference = paint(fields, 0.0 * wave)
    near = paint(fields, amplitude_for(fields[0], wave, 0.98) * wave)

    def shifted(wanted: float) -> Labels:
        return np.roll(near, shift_for(near == 1, reference == 1, wanted), axis=-1)

    scattered = near.copy()
    specks = (rng.random(shape) < 0.003) & (near == 0)
    scattered[specks] = rng.integers(1, n_labels + 1, size=int(specks.sum()))
    full = np.ones(shape, dtype=np.int16)
    if n_labels > 1:  # every voxel is called something
        full = (1 + np.arange(shape[-1], dtype=np.int16) * n_labels // shape[-1]) * full
    made = [
        ("DSC .98", near, "easy"),
        ("DSC .7", shifted(0.7), "other"),
        ("DSC .3", shifted(0.3), "other"),
        ("scattered", scattered, "other"),
        ("full", full, "other"),
        ("empty", np.zeros(shape, dtype=np.int16), "empty"),
    ]
    return [Case(name, reference, prediction, kind) for name, prediction, kind in made]


def specs(peer: str) -> list[MetricSpec]:
    """List the metrics that correspond to a peer's."""
    return [
        MetricSpec(name, TOLERANCE_MM if name.startswith("nsd") else None) for name in NAMES[peer]
    ]


def prepare(labels: Labels, n_labels: int) -> dict[int, Reference]:
    """Prepare the references of all labels."""
    held = torch.from_numpy(labels)
    return {k: prepare_reference(held == k, SPACING) for k in range(1, n_labels + 1)}


def masks(labels: Labels, n_labels: int) -> list[Mask]:
    """Make the masks of all labels."""
    return [labels == k for k in range(1, n_labels + 1)]


def ours(predictions: list[Mask], references: dict[int, Reference], peer: str) -> Values:
    """Measure all labels, one mask (z, y, x) each."""
    found: Values = {}
    for prediction, (number, reference) in zip(predictions, references.items(), strict=True):
        held = torch.from_numpy(prediction)
        for measured in measure_label(held, reference, metrics=specs(peer)):
            if measured.value is not None:
                found[number, measured.metric] = measured.value
    return found


def monai(prediction: torch.Tensor, reference: torch.Tensor) -> Values:
    """Measure all channels, (1, label, z, y, x) each."""
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_dice import compute_surface_dice
    from monai.metrics.surface_distance import compute_average_surface_distance

    options: dict[str, Any] = {"include_background": True, "spacing": SPACING}
    n_labels = prediction.shape[1]
    columns = (
        compute_hausdorff_distance(prediction, reference, percentile=95, **options),
        compute_surface_dice(prediction, reference, [TOLERANCE_MM] * n_labels, **options),
        compute_average_surface_distance(prediction, reference, symmetric=True, **options),
    )
    return {
        (k + 1, name): float(column[0, k])
        for name, column in zip(NAMES["MONAI"], columns, strict=True)
        for k in range(n_labels)
    }


def surface_distance(predictions: list[Any], references: list[Any]) -> Values:
    """Measure all labels, one mask (z, y, x) each."""
    import surface_distance as package

    found: Values = {}
    for number, (prediction, reference) in enumerate(
        zip(predictions, references, strict=True), start=1
    ):
        distances = package.compute_surface_distances(reference, prediction, SPACING)
        of_reference, of_prediction = package.compute_average_surface_distance(distances)
        area_r, area_p = distances["surfel_areas_gt"].sum(), distances["surfel_areas_pred"].sum()
        values = (
            package.compute_robust_hausdorff(distances, 95),
            package.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM),
            (of_reference * area_r + of_prediction * area_p) / (area_r + area_p),
        )
        found |= {
            (number, name): float(v)
            for name, v in zip(NAMES["surface-distance"], values, strict=True)
        }
    return found


def peers(case: Case, n_labels: int) -> dict[str, Callable[[], Values]]:
    """Bind the peers to their masks."""
    p, r = masks(case.prediction, n_labels), masks(case.reference, n_labels)
    stacked = [torch.from_numpy(np.stack(masks))[None] for masks in (p, r)]
    return {"MONAI": lambda: monai(*stacked), "surface-distance": lambda: surface_distance(p, r)}


def difference(mine: Values, theirs: Values) -> float:
    """Find the largest difference of values that both sides have, relative above 1."""
    return max(
        (
            abs(value - theirs[key]) / max(1.0, abs(value))
            for key, value in mine.items()
            if key in theirs
        ),
        default=0.0,
    )


def timed(work: Callable[[], Values]) -> tuple[float, Values]:
    """Time a call by the processor; on an idle machine that is the time by the clock."""
    started = time.process_time()
    values = work()
    return time.process_time() - started, values


def build(reference: Labels, n_labels: int, peer: str) -> tuple[dict[int, Reference], str]:
    """Build what is kept of the references, and say what that takes."""
    references = prepare(reference, n_labels)
    outlooks = [r.boundary if peer == "MONAI" else r.surface for r in references.values()]
    started = time.process_time()
    for outlook in outlooks:
        outlook.near  # noqa: B018  made when first asked for
    near = time.process_time() - started
    outlooks[0].wide  # noqa: B018
    wide = time.process_time() - started - near
    return (
        references,
        f"{NAMES[peer][0]} near maps {near:.2f} s, wide map of one label {wide:.2f} s",
    )


def told(values: Values) -> str:
    """Say what kinds of numbers a peer gives."""
    kinds = {
        "inf" if math.isinf(v) else "nan" if math.isnan(v) else f"{v:g}" for v in values.values()
    }
    return ", ".join(sorted(kinds))


def verdict(case: Case, peer: str, ratio: float, values: Values) -> str:
    """Compare a ratio with its goal; for an empty prediction say what the peer gives."""
    if case.kind == "empty":
        return f"it gives {told(values)}; ours {Status.PREDICTION_EMPTY}"
    goal = GOALS[case.kind][peer]
    return f"{'meets' if ratio >= goal else 'MISSES'} {goal:g}x"


def compete(case: Case, peer: str, references: dict[int, Reference], turns: int) -> str:
    """Give one row: both times, their ratio, and the goal."""
    work = peers(case, len(references))[peer]
    predictions = masks(case.prediction, len(references))
    own = ours(predictions, references, peer)  # once unseen: the caches, the maps
    mine: list[float] = []
    theirs: list[float] = []
    values: Values = {}
    while len(theirs) < turns and sum(theirs) < _ENOUGH_S:
        mine.append(timed(lambda: ours(predictions, references, peer))[0])
        try:
            seconds, values = timed(work)
        except AttributeError as error:  # surface-distance with NumPy 2 and an empty mask
            kind = f"{type(error).__name__}: {str(error).split('.')[0]}"
            return f"| {case.name} | {peer} | {1000 * mine[0]:.1f} ms | fails, {kind} | – | – | – | – |"
        theirs.append(seconds)
    ratio = statistics.median(theirs) / statistics.median(mine)
    return (
        f"| {case.name} | {peer} | {1000 * statistics.median(mine):.1f} ms | "
        f"{1000 * statistics.median(theirs):.0f} ms | {ratio:.1f}x | "
        f"{verdict(case, peer, ratio, values)} | {difference(own, values):.0e} | {len(theirs)} |"
    )


def warm_up() -> None:
    """Let the peers import and compile what they need."""
    small = np.zeros((12, 12, 12), dtype=np.int16)
    small[3:8, 3:8, 3:8] = 1
    for work in peers(Case("small", small, np.roll(small, 1), "other"), 1).values():
        work()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="128^3 alone, fewer turns")
    parser.add_argument("--only", nargs="*", default=[], help="names of predictions")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    warm_up()
    sizes = list(SIZES.items())[: 1 if arguments.quick else None]
    turns = 1 if arguments.quick else arguments.turns
    print(f"spacing {SPACING} mm (z, y, x), tolerance {TOLERANCE_MM} mm, one thread")
    print(f"load on {os.cpu_count()} processors: {os.getloadavg()[0]:.1f} at the start")
    for name, shape in sizes:
        for n_labels in (1, 10):
            every = cases(shape, n_labels)
            built = {peer: build(every[0].reference, n_labels, peer) for peer in NAMES}
            print(
                f"\n{name}, {n_labels} label{'s' if n_labels > 1 else ''}; kept of the references:"
            )
            print("; ".join(note for _, note in built.values()), end="\n\n")
            print("| prediction | against | ours | theirs | ratio | goal | difference | turns |")
            print("|---|---|---|---|---|---|---|---|")
            for case in every:
                for peer, (references, _) in built.items():
                    if not arguments.only or case.name in arguments.only:
                        print(compete(case, peer, references, turns), flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
