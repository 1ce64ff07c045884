"""Write the demo: a cohort, three checkpoints with their golden pairs, and two audits of them.

**Conventions.** The folder is self-contained: every path in its tables and audits is relative to
the file that names it, so it can be moved, and nothing in it names the machine that wrote it.

::

    cases/        the audited cohort, with cases.csv
    two-cases/    its own two patients for the audit with the wrong contract
    checkpoints/  unet_skips.onnx, unet_no_skips.pt, unet_attention.pt, README.md
    golden/       two more phantoms; <system>.csv pairs them with the maker's own masks
    audit.yaml    the audit; wrong-axes.yaml the one that its golden pairs must catch
"""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.demo.phantoms import SHAPE, Mask, phantom, write_cohort, write_volume

COHORT_SEED = 20261123
"""The audited patients; the systems were trained on cohorts of other seeds."""
TWO_CASES_SEED = 20261124
GOLDEN_SEED = 4003
"""Cohort of the golden phantoms, as in ``examples/train_demo_systems.py``."""
GOLDEN_PATIENTS = (1, 2)
"""Their indices in that cohort."""
CHECKPOINTS = {
    "unet_skips": "unet_skips.onnx",
    "unet_no_skips": "unet_no_skips.pt",
    "unet_attention": "unet_attention.pt",
}
"""File of each system."""

_PACKAGE = files("auditor.demo")


def write_demo(folder: Path, *, patients: int = 60) -> Path:
    """Write everything that the demo audits.

    Parameters
    ----------
    folder : is made if missing; files of the same names are replaced by the same content.
    patients : number of audited patients, at least 2 (a case needs another patient's mask as a
        control).

    Returns
    -------
    Path
        ``audit.yaml``; ``wrong-axes.yaml`` lies beside it.

    Raises
    ------
    ValueError
        If `patients` is below 2.
    """
    if patients < 2:
        msg = f"patients must be at least 2, got {patients!r}"
        raise ValueError(msg)
    write_cohort(folder / "cases", patients=patients, seed=COHORT_SEED)
    write_cohort(folder / "two-cases", patients=2, seed=TWO_CASES_SEED)
    _copy("checkpoints", (*CHECKPOINTS.values(), "README.md"), folder / "checkpoints")
    write_golden(folder / "golden")
    _copy("audits", ("audit.yaml", "wrong-axes.yaml"), folder)
    return folder / "audit.yaml"


def write_golden(folder: Path) -> tuple[Path, ...]:
    """Write the golden phantoms, the masks that the training code made of them, and their tables.

    Parameters
    ----------
    folder : is made if missing.

    Returns
    -------
    tuple of Path
        One ``<system>.csv`` per system, columns image and prediction.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [phantom(index, seed=GOLDEN_SEED) for index in GOLDEN_PATIENTS]
    names = [f"golden-{number}" for number in range(1, len(drawn) + 1)]
    for name, patient in zip(names, drawn, strict=True):
        write_volume(folder / f"{name}_mr.nii.gz", patient.image, like=patient)
    tables = []
    for system in CHECKPOINTS:
        rows = []
        for name, patient, mask in zip(names, drawn, golden_masks(system), strict=True):
            row = {"image": f"{name}_mr.nii.gz", "prediction": f"{name}_{system}.nii.gz"}
            write_volume(folder / row["prediction"], mask, like=patient)
            rows.append(row)
        tables.append(_write_table(folder / f"{system}.csv", rows))
    return tuple(tables)


def golden_masks(system: str) -> tuple[Mask, ...]:
    """Read what the training code itself made of the golden phantoms.

    Parameters
    ----------
    system : a key of `CHECKPOINTS`.

    Returns
    -------
    tuple of (z, y, x) masks
        One per entry of `GOLDEN_PATIENTS`.

    Raises
    ------
    ValueError
        If the demo has no such system.
    """
    if system not in CHECKPOINTS:
        msg = f"the demo's systems are {', '.join(CHECKPOINTS)}, got {system!r}"
        raise ValueError(msg)
    with (
        (_PACKAGE / "checkpoints" / f"{system}.golden.npz").open("rb") as stream,
        np.load(stream, allow_pickle=False) as packed,
    ):
        rows: NDArray[np.uint8] = packed[system]
    return tuple(np.unpackbits(row).reshape(SHAPE) for row in rows)


def _copy(source: str, names: tuple[str, ...], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes((_PACKAGE / source / name).read_bytes())


def _write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
