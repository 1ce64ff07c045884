"""Choose nodules, simulate their scans, and write the cases of the audit and of the training.

Run it from this folder after `fetch.py`; it takes some minutes::

    python cohort.py

One nodule a patient, drawn; patients are drawn into the audit, the validation and the training, and none
is in two of them. Written into ``.cache/``: ``audit/`` with ``cases.csv`` and NIfTI files,
``training/`` and ``validation/`` with the same. The images are SIMULATED, and their names say so; the
masks are what radiologists drew.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contours import ContourError, read_scans
from fetch import CACHE, CONTOURS
from nodules import Nodule, fit_for_masks, nodules_of, readers_per_nodule
from numpy.typing import NDArray
from rasterise import Mask, box_of, mask_of
from simulate import Simulated, simulate

SEED = 20261129
PATIENTS = {"audit": 70, "validation": 30, "training": 160}
MEANS = ("subtlety", "sphericity", "texture", "malignancy")
"""Ratings of which the readers' mean stands in the table."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for part, patients in PATIENTS.items():
        parser.add_argument(f"--{part}", type=int, default=patients, help="patients in it")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    counts = vars(parser.parse_args())
    workers = counts.pop("workers")
    try:
        scans = read_scans(CONTOURS)
    except ContourError as error:
        print(f"cohort.py: {error}", file=sys.stderr)
        return 1
    with ProcessPoolExecutor(workers) as pool:
        grouped = pool.map(nodules_of, scans, chunksize=16)
        nodules = [nodule for them in grouped for nodule in them]
        fits = pool.map(fit_for_masks, nodules, chunksize=64)
        fit = [nodule for nodule, is_fit in zip(nodules, fits, strict=True) if is_fit]
        print(summary(nodules, fit), flush=True)
        for part, chosen in drawn(fit, counts, seed=SEED).items():
            if chosen:
                started = time.monotonic()
                write_part(CACHE / part, chosen, pool.map)
                seconds = time.monotonic() - started
                print(f"{part}: {len(chosen)} patients, {seconds:.0f} s", flush=True)
    return 0


def drawn(
    nodules: Sequence[Nodule], counts: dict[str, int], *, seed: int
) -> dict[str, list[Nodule]]:
    """Draw one nodule a patient, and each patient into at most one part.

    The order does not depend on the counts: a smaller part is the beginning of a larger one only for the
    first part.
    """
    rng = np.random.default_rng(seed)
    by_patient: dict[str, list[Nodule]] = {}
    for nodule in nodules:
        by_patient.setdefault(nodule.scan.patient, []).append(nodule)
    single = [by_patient[it][rng.integers(len(by_patient[it]))] for it in sorted(by_patient)]
    order = iter([single[i] for i in rng.permutation(len(single))])
    return {part: list(itertools.islice(order, count)) for part, count in counts.items()}


def summary(nodules: Sequence[Nodule], fit: Sequence[Nodule]) -> str:
    """Say what the file holds, and how much its readers agree."""
    counts = readers_per_nodule(nodules)
    pairs = np.array([value for nodule in fit for value in pairwise_dsc(nodule)])
    low, high = np.percentile(pairs, [5, 95])
    lines = [f"nodules with {n} annotation(s): {counts[n]}" for n in sorted(counts)]
    patients = len({it.scan.patient for it in fit})
    lines.append(f"with four masks that are not empty: {len(fit)} nodules, {patients} patients")
    lines.append(
        f"DSC of two readers of one nodule: mean {pairs.mean():.3f}, 5th to 95th percentile "
        f"{low:.2f} to {high:.2f}, n = {len(pairs)} pairs"
    )
    return "\n".join(lines)


def pairwise_dsc(nodule: Nodule) -> list[float]:
    """DSC of every pair of readers."""
    box = box_of(nodule.annotations)
    masks = [mask_of(it, box) for it in nodule.annotations]
    return [
        float(2 * (one & other).sum() / (one.sum() + other.sum()))
        for one, other in itertools.combinations(masks, 2)
    ]


def write_part(
    folder: Path, nodules: Sequence[Nodule], each: Callable[..., Iterable[dict[str, str]]] = map
) -> None:
    """Write images, masks and the table of cases; `each` maps a function over nodules, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(each(partial(write_case, folder), nodules))
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_case(folder: Path, nodule: Nodule) -> dict[str, str]:
    """Write one case and return its row."""
    made = simulate(nodule, seed=SEED)
    row = {
        "case": nodule.name,
        "patient": nodule.scan.patient,
        "image": f"{nodule.name}_simulated_ct.nii.gz",
    }
    write_volume(folder / row["image"], made.image.astype(np.int16), made)
    for number, mask in enumerate(made.masks, start=1):
        row[f"rater_{number}"] = f"{nodule.name}_rater_{number}.nii.gz"
        write_volume(folder / row[f"rater_{number}"], mask.astype(np.uint8), made)
    row["slice_thickness_mm"] = f"{nodule.scan.thickness_mm:g}"
    for name in MEANS:
        row[name] = f"{nodule.mean_rating(name):g}"
    row["appearance"] = appearance(nodule)
    row["suspicion"] = suspicion(nodule)
    row["surroundings"] = made.surroundings
    return row


def appearance(nodule: Nodule) -> str:
    """Solid, part-solid or ground glass, by the readers' mean texture (5 is solid)."""
    texture = nodule.mean_rating("texture")
    return "solid" if texture > 4.5 else "part_solid" if texture > 2.5 else "ground_glass"


def suspicion(nodule: Nodule) -> str:
    """Judge by the readers' mean malignancy (3 is indeterminate)."""
    malignancy = nodule.mean_rating("malignancy")
    return "low" if malignancy < 2.5 else "indeterminate" if malignancy <= 3.5 else "high"


def write_volume(path: Path, values: NDArray[Any] | Mask, made: Simulated) -> None:
    """Write a volume on the grid of a simulated scan."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(values)
    image.SetSpacing(made.spacing[::-1])
    image.SetOrigin(made.origin)
    SimpleITK.WriteImage(image, str(path), useCompression=True, compressionLevel=1)


if __name__ == "__main__":
    sys.exit(main())
