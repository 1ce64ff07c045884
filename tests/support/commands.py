"""Small Python programs that stand for somebody's command line, and the systems that run them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from volumes import ORIGIN_XYZ, SHAPE_ZYX, SPACING_ZYX, oblique, scan

from auditor.schema import Geometry, OutputSpec, Status, SystemSpec
from auditor.systems.running import Failure, Prediction

GEOMETRY = Geometry(
    shape=SHAPE_ZYX,
    spacing=SPACING_ZYX,
    direction=tuple(tuple(float(v) for v in oblique()[:, axis]) for axis in (2, 1, 0)),
    origin=ORIGIN_XYZ,
)
"""Of `volumes.scan`: anisotropic and oblique."""

_START = """\
import os, re, sys, time, subprocess
from pathlib import Path
import numpy as np
import SimpleITK as sitk

source, target = Path(sys.argv[1]), Path(sys.argv[2])
log = Path(os.environ["COMMAND_LOG"]) if "COMMAND_LOG" in os.environ else None
if log:
    with log.open("a") as file:
        file.write("start " + " ".join(sorted(path.name for path in source.iterdir())) + "\\n")

def scans():
    for path in sorted(source.glob("*.nii.gz")):
        if path.name.endswith("_0000.nii.gz"):
            yield path, path.name.replace("_0000.nii.gz", "")
        elif not re.search(r"_\\d{4}\\.nii", path.name):
            yield path, path.name.replace(".nii.gz", "")

def above(image, limit=500.0, number=1):
    mask = sitk.GetImageFromArray((sitk.GetArrayFromImage(image) > limit).astype(np.uint8) * number)
    mask.CopyInformation(image)
    return mask
"""

THRESHOLD = """\
for path, name in scans():
    sitk.WriteImage(above(sitk.ReadImage(str(path))), str(target / f"{name}.nii.gz"))
"""
"""Label 1 above 500."""


def write_command(folder: Path, body: str, *, name: str = "predict.py") -> Path:
    """Write a program: `scans()` gives (file, name), `above(image)` a label map on its grid."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(_START + body, encoding="utf-8")
    return path


def command_spec(program: Path, **changes: Any) -> SystemSpec:
    """Declare a program as a system with the label organ."""
    known: dict[str, Any] = {
        "command": (sys.executable, program.name, "{input}", "{output}"),
        "runs_in": str(program.parent),
        "output": OutputSpec(activation="labels", labels=(("organ", 1),)),
        "timeout_s": 60.0,
        **changes,
    }
    return SystemSpec("theirs", **known)


def images(count: int, channels: int = 1) -> list[Tensor]:
    """Different scans of so many channels, with values from 0 to 1000."""
    return [
        torch.from_numpy(np.stack([scan(seed + 10 * c) for c in range(channels)]))
        for seed in range(count)
    ]


def failures(outcomes: list[Prediction | Failure]) -> list[tuple[Status, str]]:
    """Status and reason of what failed."""
    return [(it.status, it.reason) for it in outcomes if isinstance(it, Failure)]
