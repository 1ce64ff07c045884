"""Small patients with one bright ball, and callables that outline it more or less well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from volumes import write_table, write_volume

SHAPE = (10, 28, 32)
SPACING = (3.0, 1.5, 1.2)
GRADES = [0.9, 0.8]


def write_cohort(folder: Path, *, patients: int) -> Path:
    """Write cases.csv with one scan a patient: a ball of 60 on 20, with noise that differs by patient."""
    rows = []
    for number in range(patients):
        rng = np.random.default_rng(number)
        at = [(i - n / 2) * s for i, n, s in zip(np.indices(SHAPE), SHAPE, SPACING, strict=True)]
        radius = 8.0 + 3.0 * rng.random()
        mask = (sum(it**2 for it in at) < radius**2).astype(np.uint8)
        clean = np.where(mask > 0, 60.0, 20.0)
        sigma = 3.0 + 3.0 * rng.random()
        noisy = np.hypot(clean + sigma * rng.normal(size=SHAPE), sigma * rng.normal(size=SHAPE))
        write_volume(folder / f"{number}.nii.gz", noisy.astype(np.float32), spacing=SPACING)
        write_volume(folder / f"{number}_ref.nii.gz", mask, spacing=SPACING)
        rows.append(
            {
                "case": f"scan {number}",
                "patient": f"person {number}",
                "image": f"{number}.nii.gz",
                "reference": f"{number}_ref.nii.gz",
            }
        )
    return write_table(folder / "cases.csv", rows)


def soft(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Answer with the probability of being bright; noise makes holes and speckles."""
    bright = 1.0 / (1.0 + np.exp(-(image[0] - 40.0) / 5.0))
    return np.stack([1 - bright, bright]).astype(np.float32)


def hard(image: NDArray[np.float32]) -> NDArray[np.int64]:
    """Answer with labels only."""
    return np.where(image[0] > 40.0, 1, 0)


def fields(folder: Path, *, patients: int = 12, **changes: Any) -> Mapping[str, Any]:
    """Fields of an audit of callables on such patients, with a certificate."""
    if not (folder / "cases.csv").exists():
        write_cohort(folder, patients=patients)
    plain = {"output": {"labels": {"ball": 1}}, "contract_sensitivity": False}
    return {
        "audit": "certified",
        "seed": 5,
        "purpose": "exploratory",
        "cases": {"table": str(folder / "cases.csv"), "modality": "mr"},
        "labels": {"ball": 1},
        "systems": {"soft": plain},
        "perturbations": {
            "rician_noise": {"severities": [1, 4]},
            "rotation": {"severities": [1]},
            "gaussian_blur": {"severities": [1]},
        },
        "metrics": {"dsc": {}},
        "certificate": {"grades": GRADES, "perturbations": ["rician_noise"]},
        "keep": {"exhibits": 0},
        **changes,
    }
