"""Every hostile file ends in a clean error or a stored failure; nothing gets out, nothing is left."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
import torch
from hostile_exported import EXPORTED
from hostile_files import FILES, SECRET, Hostile, Yard
from hostile_graphs import GRAPHS
from hostile_scripts import SCRIPTS

from auditor.errors import CheckpointError
from auditor.schema import Geometry, OutputSpec, SystemSpec
from auditor.systems.process import ModelProcess
from auditor.systems.running import Failure, Prediction, open_system

GEOMETRY = Geometry(shape=(8, 12), spacing=(0.8, 1.2), direction=((0.96, 0.28), (-0.28, 0.96)))
OUTPUT = OutputSpec(activation="logits_sigmoid", labels=(("organ", 1),))
CATALOGUE = (*FILES, *SCRIPTS, *EXPORTED, *GRAPHS)

LONGEST_S, HANGING_S = 20.0, 2.0
"""Wall clock that one call, or loading, may take; short for those that never end."""
MOST_PARENT_MB = 150.0
"""By which the parent may grow, for a moment, while it looks at a file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one file ended."""

    ends: str
    told: str
    sandbox: tuple[str, ...] = ()


def judge(path: Path, starts: list[int], limit_s: float) -> Verdict:
    """Open a file as an audit does, and predict one scan of a unit with it."""
    spec = SystemSpec("net", str(path), output=OUTPUT, timeout_s=limit_s, memory_gb=6.0)
    try:
        with open_system(spec) as system:
            outcome = system.predict([torch.full((1, *GEOMETRY.shape), 0.25)], GEOMETRY)[0]
            sandbox, findings = system.info.sandbox, system.info.findings
    except CheckpointError as error:
        return Verdict("unstarted" if starts else "refused", str(error))
    if isinstance(outcome, Failure):
        return Verdict(outcome.status.value, outcome.reason, sandbox)
    assert isinstance(outcome, Prediction)
    assert float(outcome.scores.max()) < 1  # sigmoid(42), the secret, is 1
    return Verdict("answered", " ".join(findings), sandbox)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the children that are launched."""
    launched: list[int] = []
    launch = ModelProcess._launch

    def counted(process: ModelProcess) -> object:
        launched.append(1)
        return launch(process)

    monkeypatch.setattr(ModelProcess, "_launch", counted)
    return launched


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    made = Yard(tmp_path / "folder of a maker")
    made.folder.mkdir()
    made.secret.parent.mkdir()
    made.secret.write_bytes(bytes([SECRET]) * 64)
    return made


class _Peak:
    """The largest resident memory of this process since a moment, where Linux tells it."""

    def __enter__(self) -> Self:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        self._before = self._megabytes()
        return self

    def __exit__(self, *given: object) -> None:
        self.grown = self._megabytes() - self._before

    @staticmethod
    def _megabytes() -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


CASES = [
    pytest.param(it, id=it.name, marks=[pytest.mark.slow] if it.slow else []) for it in CATALOGUE
]


@pytest.mark.parametrize("hostile", CASES)
def test_a_hostile_file_ends_as_an_error_or_a_row(
    hostile: Hostile, yard: Yard, starts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, limit_s = hostile.make(yard), HANGING_S if hostile.ends == "timed_out" else LONGEST_S
    scratch = yard.folder.parent / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    begun = time.monotonic()
    with _Peak() as peak:
        verdict = judge(path, starts, limit_s)
    assert (verdict.ends, hostile.told in verdict.told) == (hostile.ends, True), verdict
    # two calls at most, loading and running, and the imports of one child on a busy machine
    assert time.monotonic() - begun < 2 * limit_s + 30
    assert len(starts) <= 1
    assert str(yard.folder) not in verdict.told
    assert "Traceback" not in verdict.told
    assert len(verdict.told) < 1000
    assert peak.grown < MOST_PARENT_MB
    # nothing got out: where Landlock holds no file is written, and never by this process
    if not verdict.sandbox or any("Landlock" in layer for layer in verdict.sandbox):
        assert not yard.written.exists()
    assert yard.secret.read_bytes() == bytes([SECRET]) * 64
    assert list(scratch.iterdir()) == []


def test_the_catalogue_is_large_enough_and_names_each_file_once() -> None:
    names = [hostile.name for hostile in CATALOGUE]
    assert len(names) == len(set(names)) >= 60
