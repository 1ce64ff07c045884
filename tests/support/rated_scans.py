"""Bright balls as scans, a system that answers with their brightness, and a certificate of it by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from certificates_samples import calibration_scan, certificate
from checkpoints import FREE_3D, save_graph
from numpy.typing import NDArray
from onnx import TensorProto, helper

from auditor.cases import read_volume, write_mask
from auditor.confidence.certificate import certificate_text
from auditor.confidence.certified_system import system_entry
from auditor.execution.agreement import voxel_digest
from auditor.plan import system_identity
from auditor.schema import (
    CertificateSpec,
    Geometry,
    InputSpec,
    OutputSpec,
    PerturbationSpec,
    ReferenceRule,
    SystemSpec,
)
from auditor.systems.sniff import sniff
from auditor.volumes.images import write_image

GRID = Geometry(
    shape=(8, 24, 20),
    spacing=(3.0, 1.0, 1.2),
    direction=((0.0, 0.6, 0.8), (0.0, 0.8, -0.6), (1.0, 0.0, 0.0)),
    origin=(3.0, -20.0, 7.0),
    unit="mm",
)
SYSTEM = SystemSpec(
    "bright",
    input=InputSpec(channels=1, dims=3),
    output=OutputSpec(activation="sigmoid", labels=(("ball", 1),)),
)
COPIES = (
    PerturbationSpec("gaussian_noise", (1.0,), (3.0,), "% of S_ref"),
    PerturbationSpec("gamma_up", (1.0,), (1.1,), "exponent"),
)


def brightness(image: NDArray[np.float32]) -> NDArray[Any]:
    """Answer with the scan itself, as a probability."""
    return np.clip(image, 0.0, 1.0)


def ball(radius: float = 6.0) -> NDArray[np.bool_]:
    """A ball of a radius in mm about the middle of the grid."""
    sides = [
        (np.arange(n) - (n - 1) / 2) * s for n, s in zip(GRID.shape, GRID.spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*sides, indexing="ij")
    return np.asarray(z**2 + y**2 + x**2 < radius**2)


def write_scan(path: Path, *, seed: int = 0, bright: float = 0.9) -> Path:
    """Write a ball on a dark ground with a little noise; with `bright` below 0.5 nothing is found."""
    noise = np.random.default_rng(seed).normal(0, 0.02, GRID.shape)
    image = np.where(ball(), bright, 0.1) + noise
    write_image(path, torch.from_numpy(image.astype(np.float32)), GRID)
    return path


def write_reference(path: Path, radius: float = 6.0) -> Path:
    """Write the ball as a label map."""
    write_mask(path, torch.from_numpy(ball(radius).astype(np.int16)), GRID)
    return path


def write_checkpoint(path: Path) -> Path:
    """Write the system as an ONNX graph."""
    return save_graph(
        path,
        [helper.make_node("Clip", ["image", "low", "high"], ["out"])],
        sizes=FREE_3D,
        outputs=(("out", TensorProto.FLOAT, FREE_3D),),
        weights=(("low", np.array(0, np.float32)), ("high", np.array(1, np.float32))),
    )


def write_certificate(
    path: Path, *, checkpoint: Path | None = None, scans: tuple[Path, ...] = (), **changes: Any
) -> Path:
    """Write a certificate of thirty patients; of the callable, unless there is a checkpoint."""
    sha = "callable:brightness" if checkpoint is None else sniff(checkpoint).sha256
    spec = SYSTEM if checkpoint is None else replace(SYSTEM, checkpoint=str(checkpoint))
    rng = np.random.default_rng(5)
    drawn = np.sort(rng.uniform(0.7, 0.98, 30))
    made = certificate(
        declared=CertificateSpec("bright", "ball", (), grades=(0.8, 0.6), copies=2),
        system=system_entry(spec),
        identity=system_identity(spec, sha),
        sha256=sha,
        label_members=("ball",),
        label_numbers=(1,),
        reference_rule=ReferenceRule("given"),
        modality="other",
        state="normalised",
        spacing_low=GRID.spacing,
        spacing_high=GRID.spacing,
        copies=COPIES,
        axes=(),
        scans=tuple(
            calibration_scan(
                i, float(dsc), agreement=float(min(1.0, dsc + 0.05)), outer_distance=3.5,
                inner_distance=1.1, estimates=(),
            )
            for i, dsc in enumerate(drawn, start=1)
        ),
        voxel_digests=tuple(sorted(voxel_digest(read_volume([str(it)])[0]) for it in scans)),
        **changes,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(certificate_text(made), encoding="utf-8")
    return path
