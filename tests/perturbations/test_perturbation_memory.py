"""A realisation holds at most three volumes, and a level allocates at most one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MEASURE = """
import gc, json, sys
from pathlib import Path
import torch
import perturbations
from perturbations.catalog import get
from perturbations.chunks import forget
from large_scans import large

torch.set_num_threads(2)
SHAPE = (96, 256, 256)
VOLUME = 96 * 256 * 256 * 4


def now(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024


def measured(name):
    scan = large((get(name).modalities or ("other",))[0], SHAPE)
    # facts of the scan and modules are there once, whatever is realised
    for fact in ("signals", "foreground", "support", "masked_background", "cut_out"):
        getattr(scan, fact)
    small = large((get(name).modalities or ("other",))[0], (8, 40, 44))
    perturbations.realise(name, small, seed=1).at(severity=2)
    perturbations.realise("gaussian_noise", large("mr", (8, 40, 44)), seed=1).at(severity=2)
    gc.collect()
    forget()
    before = now("VmRSS")
    drawn = perturbations.realise(name, scan, seed=1)
    gc.collect()
    held = now("VmRSS") - before
    forget()
    Path("/proc/self/clear_refs").write_text("5")
    start = now("VmRSS")
    kept = drawn.at(severity=2)
    return held / VOLUME, (now("VmHWM") - start) / VOLUME


print(json.dumps({name: measured(name) for name in sys.argv[1:]}))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_realisations_and_levels_stay_within_their_volumes() -> None:
    from perturbations import CATALOG

    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT, Path(__file__).parents[1] / "support"])),
        # what is freed returns to the system at once, so that what is held can be seen
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
    }
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *(name for name in CATALOG if name != "joint")],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    volumes = json.loads(done.stdout)
    # 15 MB, whatever the size of the scan, for the pieces of two threads, operators and the interpreter
    too_much = {
        name: (round(held, 2), round(peak, 2))
        for name, (held, peak) in volumes.items()
        # a chain draws its parts at each level: what the largest holds, what came before it, and in CT the
        # rays of the scan, which are projected at the first one
        if held > 3.5 or peak > (8.0 if CATALOG[name].family == "acquisition" else 1.6)
    }
    assert not too_much, f"volumes held by a realisation, and allocated by a level: {too_much}"
