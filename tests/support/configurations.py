"""A small valid configuration, to be changed in one place per test."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

_VALID: dict[str, Any] = {
    "audit": "spleen-ct",
    "seed": 20261123,
    "purpose": "confirmatory",
    "cases": {"table": "cases.csv", "modality": "ct", "state": "raw"},
    "systems": {
        "vendor-a": {
            "checkpoint": "vendor_a.onnx",
            "input": {"axes": "RAS", "spacing_mm": [1.5, 1.5, 2.0], "clip": [-57, 164]},
            "window": {"size": [96, 96, 96], "overlap": 0.5, "blend": "gaussian"},
            "output": {"activation": "softmax", "labels": {"spleen": 1}},
            "golden": "golden.csv",
            "claimed": {"dsc": 0.94, "source": "instructions for use, p. 12"},
            "family": "unet",
        }
    },
    "perturbations": {
        "gaussian_noise": {"severities": [1, 2, 3]},
        "gaussian_blur": {"levels": [2.5, 1.5]},
    },
    "metrics": {"dsc": {}, "nsd": {"tolerance_mm": 2}, "hd95": {}},
    "strata": {"foreground_ratio": {"label": "spleen", "edges": [0.002, 0.01]}, "site": {}},
    "criteria": {
        "C-01": {
            "system": "vendor-a", "label": "spleen", "metric": "dsc", "at": "clean",
            "mean_at_least": 0.9, "evidence": "conditional",
        },
        "C-02": {
            "label": "spleen", "metric": "dsc", "at": {"gaussian_noise": 20},
            "mean_drop_at_most": 0.1, "evidence": "assured", "hazard": "H-12",
        },
        "C-03": {
            "label": "spleen", "metric": "hd95",
            "at": {"perturbation": "gaussian_blur", "severity": 2},
            "share_of_patients_at_least": 0.8, "with": {"at_most": 5}, "evidence": "assured",
            "stratum": {"site": "north"}, "required": False,
        },
    },
}  # fmt: skip


def valid_data() -> dict[str, Any]:
    """The content of a valid audit.yaml, free to be changed."""
    return copy.deepcopy(_VALID)


def changed(path: str, value: object) -> dict[str, Any]:
    """Valid content with one value set; the path's parts are separated by slashes."""
    data = valid_data()
    *parts, last = path.split("/")
    inner = data
    for part in parts:
        inner = inner.setdefault(part, {})
    inner[last] = value
    return data


def without(path: str) -> dict[str, Any]:
    """Valid content with one key taken out; the path's parts are separated by slashes."""
    data = valid_data()
    *parts, last = path.split("/")
    inner = data
    for part in parts:
        inner = inner[part]
    del inner[last]
    return data


def write_named_files(folder: Path) -> Path:
    """Create the files that the configuration names; their content is not looked at here."""
    for name in ("cases.csv", "vendor_a.onnx", "golden.csv"):
        (folder / name).write_bytes(b"")
    return folder


def write_yaml(folder: Path, data: dict[str, Any]) -> Path:
    """Write ``audit.yaml`` and return its path."""
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path
