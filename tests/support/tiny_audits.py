"""Audits of four phantom patients that take seconds: real files, a real checkpoint, real workers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from auditor import demo
from auditor.demo import write_cohort

SEED = 4242


def tiny_config(folder: Path, *, patients: int = 4, **changes: Any) -> Path:
    """Write cohort, checkpoint and audit.yaml into a folder; `changes` replace top-level keys."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "cases").exists():
        write_cohort(folder / "cases", patients=patients, seed=SEED)
    checkpoint = folder / "unet_skips.onnx"
    if not checkpoint.exists():
        shutil.copy(Path(demo.__file__).parent / "checkpoints" / "unet_skips.onnx", checkpoint)
    content: dict[str, Any] = {
        "audit": "tiny",
        "seed": 11,
        "purpose": "confirmatory",
        "cases": {
            "table": "cases/cases.csv",
            "modality": "mr",
            "reference": {"use": "majority", "tie": "above_half"},
        },
        "systems": {"unet": unet()},
        "perturbations": {
            "rician_noise": {"severities": [1, 4]},
            "rotation": {"severities": [2]},
        },
        "metrics": {"dsc": {"within": 0.8}, "hd95": {"within": 3}, "nsd": {"tolerance_mm": 2}},
        "strata": {"foreground_ratio": {"label": "organ", "edges": [0.01]}, "site": {}},
        "criteria": {
            "C-01": {
                "label": "organ",
                "metric": "dsc",
                "at": "clean",
                "mean_at_least": 0.3,
                "evidence": "assured",
            }
        },
        "keep": {"exhibits": 3},
        **changes,
    }
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def unet(**changes: Any) -> dict[str, Any]:
    """Declare the small U-Net completely, as its maker runs it."""
    return {
        "checkpoint": "unet_skips.onnx",
        "input": {
            "axes": "RAS", "zscore": "image", "divisor": [8, 8, 4],
            "channels": 1, "dims": 3, "layout": "channel_first",
        },
        "output": {"activation": "softmax", "labels": {"organ": 1}, "layout": "channel_first"},
        "batch": 2,
        # dozens of forward passes: tested where it is what is tested
        "contract_sensitivity": False,
        **changes,
    }  # fmt: skip


def callable_fields(folder: Path, **changes: Any) -> Mapping[str, Any]:
    """Fields of an audit of Python callables on the same phantoms."""
    if not (folder / "cases").exists():
        write_cohort(folder / "cases", patients=4, seed=SEED)
    return {
        "audit": "calls",
        "seed": 3,
        "purpose": "exploratory",
        "cases": {
            "table": str(folder / "cases" / "cases.csv"),
            "modality": "mr",
            "reference": {"use": "majority", "tie": "above_half"},
        },
        "labels": {"organ": 1},
        "perturbations": {"gaussian_noise": {"severities": [2, 5]}},
        "metrics": {"dsc": {}},
        "keep": {"exhibits": 2},
        **changes,
    }


def bright(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Call everything above the 97th percentile foreground: softmax scores of two classes."""
    inside = (image[0] > np.quantile(image[0], 0.97)).astype(np.float32)
    return np.stack([1 - inside, inside])


def broken(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fail like a model that was exported wrongly."""
    msg = f"expected 3 channels, got {len(image)}"
    raise RuntimeError(msg)


def undecided(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Answer with NaN."""
    return np.full((2, *image.shape[1:]), np.nan, dtype=np.float32)
