"""Write cases as files: NIfTI volumes on the scan's own grid, and tables of cases.

Which reader became ``rater_1`` is drawn for each nodule anew: readers of LIDC-IDRI are anonymous and change
from scan to scan, so that a number is no person.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nodules import READERS, Nodule
from numpy.typing import NDArray
from rasterise import Box, box_of, mask_of
from simulate import simulate

MEANS = ("subtlety", "sphericity", "texture", "malignancy")
"""Ratings of which the readers' mean stands in the tables."""

MARGIN = 2
"""Voxels around all masks, where there is no scan."""

Row = dict[str, str]
Each = Callable[..., Iterable[Row]]
"""`map`, or that of a pool of processes: results come in order."""


def write_scans(folder: Path, nodules: Sequence[Nodule], *, seed: int, each: Each = map) -> None:
    """Write simulated scans with their masks, and ``cases.csv``; the same bytes each time.

    Parameters
    ----------
    folder : is made if missing; files of the same names are replaced.
    nodules : each with four masks that are not empty.
    seed : of the simulation.
    each : maps a function over the nodules.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = each(partial(_write_scan, folder, seed), nodules)
    _write_table(folder / "cases.csv", list(rows))


def write_masks(folder: Path, name: str, nodules: Sequence[Nodule], *, seed: int) -> None:
    """Write masks alone, no scan, and a table of that name.

    A nodule of fewer than four annotations has empty masks for the readers who did not mark it: they
    reported nothing of 3 mm or more there.

    Parameters
    ----------
    folder : is made if missing; files of the same names are replaced.
    name : of the table, with its suffix.
    nodules : each of at most four annotations.
    seed : of the order of the readers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_table(folder / name, [_write_readers(folder, it, seed) for it in nodules])


def _write_scan(folder: Path, seed: int, nodule: Nodule) -> Row:
    made = simulate(nodule, seed=seed)
    row = _names(nodule) | {"image": f"{nodule.name}_simulated_ct.nii.gz"}
    _write_volume(folder / row["image"], made.image.astype(np.int16), made.spacing, made.origin)
    row |= _write_raters(folder, nodule, made.masks, made.spacing, made.origin)
    return row | _facts(nodule) | {"surroundings": made.surroundings}


def _write_readers(folder: Path, nodule: Nodule, seed: int) -> Row:
    tight = box_of(nodule.annotations)
    first, shape = tight.first, tight.shape
    box = Box(
        (first[0] - MARGIN, first[1] - MARGIN, first[2] - MARGIN),
        (shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN, shape[2] + 2 * MARGIN),
    )
    masks = [mask_of(it, box) for it in nodule.annotations]
    masks += [np.zeros(box.shape, dtype=bool)] * (READERS - len(masks))
    rng = np.random.default_rng([seed, nodule.annotations[0].number])
    shuffled = [masks[i] for i in rng.permutation(READERS)]
    spacing = nodule.scan.spacing
    origin = nodule.scan.position(box.first)
    row = _names(nodule) | _write_raters(folder, nodule, shuffled, spacing, origin)
    return row | {"marked_by": str(len(nodule.annotations))} | _facts(nodule)


def _names(nodule: Nodule) -> Row:
    return {"case": nodule.name, "patient": nodule.scan.patient}


def _write_raters(
    folder: Path,
    nodule: Nodule,
    masks: Sequence[NDArray[np.bool_]],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
) -> Row:
    row = {}
    for number, mask in enumerate(masks, start=1):
        row[f"rater_{number}"] = f"{nodule.name}_rater_{number}.nii.gz"
        path = folder / row[f"rater_{number}"]
        _write_volume(path, mask.astype(np.uint8), spacing, origin)
    return row


def _facts(nodule: Nodule) -> Row:
    row = {"slice_thickness_mm": f"{nodule.scan.thickness_mm:g}"}
    row |= {name: f"{nodule.mean_rating(name):g}" for name in MEANS}
    return row | {"appearance": appearance(nodule)}


def appearance(nodule: Nodule) -> str:
    """Solid, part-solid or ground glass, by the readers' mean texture (5 is solid)."""
    texture = nodule.mean_rating("texture")
    return "solid" if texture > 4.5 else "part_solid" if texture > 2.5 else "ground_glass"


def _write_volume(
    path: Path,
    values: NDArray[Any],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
) -> None:
    import SimpleITK

    image: Any = SimpleITK.GetImageFromArray(values)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin(origin)
    SimpleITK.WriteImage(image, str(path), useCompression=True, compressionLevel=1)


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
