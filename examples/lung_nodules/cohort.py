"""Choose nodules, write the readers' masks, and simulate scans for the audit and the training.

Run it from this folder after `fetch.py`; it takes some minutes::

    python cohort.py

Written into ``.cache/``, one drawn nodule a patient:

* ``readers/outlined.csv``: every patient with a nodule that four readers outlined; real masks, no image;
* ``readers/marked.csv``: every patient with any nodule, whether one reader marked it or four;
* ``audit/cases.csv``, and ``training/`` and ``validation/`` with the same: masks with SIMULATED scans. Each
  patient is in at most one of these three.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from case_files import write_masks, write_scans
from contours import ContourError, read_scans
from fetch import CACHE, CONTOURS
from nodules import Nodule, fit_for_masks, nodules_of, outlined, readers_per_nodule
from rasterise import box_of, mask_of

SEED = 20261129
PATIENTS = {"audit": 70, "validation": 30, "training": 160}


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
        usable = [it for it in nodules if it.unambiguous]
        drawn_by_all = list(pool.map(outlined, usable, chunksize=64))
        seen = [nodule for nodule, is_drawn in zip(usable, drawn_by_all, strict=True) if is_drawn]
        fit = [nodule for nodule in seen if fit_for_masks(nodule)]
        print(summary(nodules, fit), flush=True)
        for name, those in (("outlined.csv", fit), ("marked.csv", seen)):
            chosen = one_a_patient(those, np.random.default_rng(SEED))
            write_masks(CACHE / "readers", name, chosen, seed=SEED)
        for part, chosen in drawn(fit, counts, seed=SEED).items():
            if chosen:
                started = time.monotonic()
                write_scans(CACHE / part, chosen, seed=SEED, each=pool.map)
                seconds = time.monotonic() - started
                print(f"{part}: {len(chosen)} patients, {seconds:.0f} s", flush=True)
    return 0


def one_a_patient(nodules: Sequence[Nodule], rng: np.random.Generator) -> list[Nodule]:
    """Draw one nodule of each patient; patients come in the order of their names."""
    by_patient: dict[str, list[Nodule]] = {}
    for nodule in nodules:
        by_patient.setdefault(nodule.scan.patient, []).append(nodule)
    return [by_patient[it][rng.integers(len(by_patient[it]))] for it in sorted(by_patient)]


def drawn(
    nodules: Sequence[Nodule], counts: dict[str, int], *, seed: int
) -> dict[str, list[Nodule]]:
    """Draw each patient with one nodule into at most one part, as many as are asked for and there."""
    rng = np.random.default_rng(seed)
    single = one_a_patient(nodules, rng)
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


if __name__ == "__main__":
    sys.exit(main())
