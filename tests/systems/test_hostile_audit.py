"""An audit of a checkpoint that crashes: every planned evaluation is a row, and the run ends well."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from checkpoints import save_script
from tiny_audits import tiny_config, unet
from torch import Tensor, nn
from typing_extensions import override

ROOT = Path(__file__).resolve().parents[2]


class OncePerLife(nn.Module):
    """Answers once after it was loaded; then asks for 4 TB."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.calls: Tensor

    @override
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if bool(self.calls > 1):
            x = x + torch.zeros([1 << 40]).sum()
        return torch.cat([x * 0, x], dim=1)


@pytest.mark.slow
def test_crashes_and_what_is_left_of_their_unit_are_rows_of_an_audit_that_ends(
    tmp_path: Path,
) -> None:
    save_script(OncePerLife(), tmp_path / "hostile.pt")
    hostile = unet(checkpoint="hostile.pt", batch=1, memory_gb=6, timeout_s=60)
    hostile["output"] = {"activation": "logits_softmax", "labels": {"organ": 1}}
    config = tiny_config(
        tmp_path,
        patients=2,
        purpose="exploratory",
        systems={"hostile": hostile},
        perturbations={"rician_noise": {"severities": [1, 2, 3, 4]}},
        metrics={"dsc": {}},
        strata={},
        criteria={},
        keep={"exhibits": 1},
    )
    done = subprocess.run(
        [sys.executable, "-m", "auditor", "run", config.name, "-o", "run", "--workers", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run" / "measurements.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["system"] == "hostile"]
    noisy = [
        row for row in rows if row["perturbation"] == "rician_noise" and row["metric"] == "dsc"
    ]
    # of four severities one is answered by a fresh child, the next ends it, two are not tried
    assert Counter(row["status"] for row in noisy) == {"ok": 2, "crashed": 2, "quarantined": 4}
    reasons = {row["reason"] for row in noisy if row["status"] == "quarantined"}
    assert all(
        it.startswith("not tried after two crashes or time-outs on this unit") for it in reasons
    )
