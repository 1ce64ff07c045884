"""Hostile files on the command line: exit code 4 and one message, or a look from inside the sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import double_graph
from hostile_exported import EXPORTED
from hostile_files import FILES, SECRET, Hostile, Yard
from hostile_graphs import GRAPHS
from hostile_scripts import SCRIPTS

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {it.name: it for it in (*FILES, *SCRIPTS, *EXPORTED, *GRAPHS)}


def inspected(hostile: Hostile, folder: Path) -> tuple[subprocess.CompletedProcess[str], Yard]:
    """Run `segaudit inspect` on a hostile file, with a home and a scratch folder of its own."""
    yard = Yard(folder / "folder of a maker")
    for place in (yard.folder, yard.secret.parent, folder / "home", folder / "scratch"):
        place.mkdir()
    yard.secret.write_bytes(bytes([SECRET]) * 64)
    path = hostile.make(yard)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "scratch")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-m", "auditor", "inspect", path.name],
        cwd=yard.folder,
        env={**environment, "HOME": str(folder / "home")},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert not yard.written.exists()
    assert yard.secret.read_bytes() == bytes([SECRET]) * 64
    assert list((folder / "scratch").iterdir()) == []
    # onnxruntime would keep the id of this device in .cache/Microsoft/DeveloperTools
    assert not list((folder / "home").rglob("*nnxruntime*"))
    return done, yard


@pytest.mark.parametrize(
    "name",
    [
        "random_bytes",
        "pickle_with_payload",
        "unpacks_to_gigabytes",
        "pipe",
        "pickled_weight",
        "weights_by_hard_link",
        pytest.param("size_that_is_evaluated", marks=pytest.mark.slow),
        pytest.param("deep_parentheses", marks=pytest.mark.slow),
        pytest.param("short_weights", marks=pytest.mark.slow),
        pytest.param("foreign_domain", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_cannot_be_run_ends_with_exit_code_4_and_one_message(
    tmp_path: Path, name: str
) -> None:
    hostile = BY_NAME[name]
    done, _ = inspected(hostile, tmp_path)
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert hostile.told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pickle_in_samples", "contract input.channels 1 [probed]"),
        ("writes_when_loaded", "its code runs while it is loaded"),
        ("reads_a_file", "its code reads files"),
        ("counts_its_calls", "the same input gives another answer the second time"),
        ("drawn_answer", "the same input gives another answer the second time"),
    ],
)
def test_a_file_that_runs_is_described_and_its_payload_reaches_nothing(
    tmp_path: Path, name: str, told: str
) -> None:
    done, _ = inspected(BY_NAME[name], tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]  # columns are aligned
    assert any(told in line for line in lines)
    layers = next(line for line in lines if line.startswith("sandbox "))
    assert "files by Landlock" in layers or "nothing kept the checkpoint" in done.stdout


BY_AUDITOR = """
import sys
from pathlib import Path
import numpy as np
from auditor.systems.onnx import OnnxModel
from auditor.schema import InputSpec, OutputSpec

OnnxModel.import_runtime()
model = OnnxModel(Path(sys.argv[1]), device="cpu", threads=1)
print(model(np.ones((1, 1, 2, 3), np.float32), InputSpec(), OutputSpec()).sum())
"""
BY_TESTS = """
import runpy, sys
runpy.run_path("tests/conftest.py")
import numpy as np
import onnxruntime

model = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(model.run(None, {"image": np.ones((1, 1, 2, 3), np.float32)})[0].sum())
"""


@pytest.mark.parametrize("program", [BY_AUDITOR, BY_TESTS], ids=["auditor", "tests"])
def test_a_session_in_one_process_leaves_no_id_of_the_device_either(
    tmp_path: Path, program: str
) -> None:
    (tmp_path / "home").mkdir()
    path = double_graph(tmp_path / "net.onnx")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "home")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    environment.pop("XDG_CACHE_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "12.0\n"  # six ones, doubled
    assert list((tmp_path / "home").rglob("*")) == []
