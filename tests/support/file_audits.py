"""Audits of two phantom patients by a program, by its label maps, and what they need."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

from tiny_audits import tiny_config

LIMIT = 300.0
BRIGHT = f"""
for path, name in scans():
    sitk.WriteImage(above(sitk.ReadImage(str(path)), {LIMIT}), str(target / f"{{name}}.nii.gz"))
"""
CHANGES: dict[str, Any] = {
    "purpose": "exploratory",
    "criteria": {},
    "perturbations": {
        "rician_noise": {"severities": [1, 4], "replicates": 2},
        "rotation": {"severities": [2]},
    },
    "keep": {"exhibits": 0},
}
COMMAND = [sys.executable, "predict.py", "{input}", "{output}"]
LABELS = {"labels": {"organ": 1}}


def configured(folder: Path, system: dict[str, Any], **changes: Any) -> Path:
    """Write an audit of one system, called theirs, of two patients."""
    return tiny_config(folder, patients=2, systems={"theirs": system}, **{**CHANGES, **changes})


def predict(program: Path, scans: Path, out: Path) -> Path:
    """Run a program on a folder of scans, as somebody elsewhere would."""
    out.mkdir(exist_ok=True)
    subprocess.run([sys.executable, str(program), str(scans), str(out)], check=True)
    return out


def rows_of(scans: Path) -> list[dict[str, str]]:
    """Rows of the table beside written scans."""
    with (scans / "scans.csv").open(newline="") as file:
        return list(csv.DictReader(file))
