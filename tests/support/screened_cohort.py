"""Patients with one bright organ, and a threshold that gives up when it sees noise: its one weakness."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from checkpoints import save_graph
from onnx import TensorProto, helper
from volumes import write_volume

SHAPE = (24, 56, 64)
SPACING = (3.0, 1.6, 1.4)
"""mm: 72 x 90 x 90 mm, turned by 20 degrees."""
ORGAN, GROUND = 1000.0, 20.0
THRESHOLD = 720.0
"""Above the ground at the lowest contrast (1000 - .3 x 980 = 706), and far below the organ."""
NOISY = 50.0
"""Mean distance from the mean of the 27 neighbours: edges alone give less than 20, noise of 9 % about 70."""


def write_patients(folder: Path, *, patients: int, scans: int = 1, more: str = "") -> Path:
    """Write cases.csv with `scans` cases a patient; `more` is a constant column, NAME=VALUE."""
    name, _, value = more.partition("=")
    rows = []
    for number in range(patients):
        for scan in range(scans):
            mask = np.zeros(SHAPE, dtype=np.uint8)
            first = 6 + number % 3
            mask[first : first + 10, 15:41, 18:47] = 1
            image = np.where(mask > 0, np.float32(ORGAN), np.float32(GROUND))
            case = f"scan-{number}-{scan}"
            write_volume(folder / f"{case}.nii.gz", image, spacing=SPACING)
            write_volume(folder / f"{case}_ref.nii.gz", mask, spacing=SPACING)
            row = {
                "case": case,
                "patient": f"person {number}",
                "image": f"{case}.nii.gz",
                "reference": f"{case}_ref.nii.gz",
            }
            rows.append(row | ({name: value} if name else {}))
    table = folder / "cases.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return table


def write_threshold(path: Path) -> Path:
    """Write a graph that answers 1 above the threshold, but 0 everywhere on a noisy scan."""
    scalar = (1, 1, 1, 1, 1)
    free = ("n", 1, "z", "y", "x")
    return save_graph(
        path,
        [
            helper.make_node(
                "AveragePool", ["image"], ["smooth"], kernel_shape=[3, 3, 3], pads=[1] * 6
            ),
            helper.make_node("Sub", ["image", "smooth"], ["rest"]),
            helper.make_node("Abs", ["rest"], ["size"]),
            helper.make_node("ReduceMean", ["size"], ["noise"], axes=[2, 3, 4], keepdims=1),
            helper.make_node("Less", ["noise", "noisy"], ["quiet"]),
            helper.make_node("Greater", ["image", "limit"], ["above"]),
            helper.make_node("And", ["above", "quiet"], ["both"]),
            helper.make_node("Cast", ["both"], ["out"], to=TensorProto.INT64),
        ],
        sizes=free,
        outputs=[("out", TensorProto.INT64, free)],
        weights=[
            ("limit", np.full(scalar, THRESHOLD, np.float32)),
            ("noisy", np.full(scalar, NOISY, np.float32)),
        ],
    )


def write_channels(path: Path, *, channels: int) -> Path:
    """Write a graph with `channels` logits: the image less the threshold, again and again."""
    limit = ("limit", np.full((1, 1, 1, 1, 1), THRESHOLD, np.float32))
    nodes = [helper.make_node("Sub", ["image", "limit"], ["above"])]
    nodes += [helper.make_node("Concat", ["above"] * channels, ["out"], axis=1)]
    return save_graph(
        path,
        nodes,
        sizes=("n", 1, "z", "y", "x"),
        outputs=[("out", TensorProto.FLOAT, ("n", channels, "z", "y", "x"))],
        weights=[limit],
    )
