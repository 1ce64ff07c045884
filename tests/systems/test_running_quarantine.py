"""Two crashes or time-outs on one unit quarantine what is left of it; refusals count nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkpoints import Moody, save_script
from torch import Tensor

from auditor.schema import Geometry, OutputSpec, SystemSpec
from auditor.systems.process import ModelProcess
from auditor.systems.running import Failure, Prediction, System, open_system

GEOMETRY = Geometry(
    shape=(4, 5, 3),
    spacing=(3.0, 0.8, 1.2),
    direction=((0.17, 0.0, 0.985), (0.0, 1.0, 0.0), (0.985, 0.0, -0.17)),
)
GOOD, CRASH, HANG, REFUSED = 0.5, 14.0, 15.0, 17.0
OUTPUT = OutputSpec(activation="logits_sigmoid", labels=(("organ", 1),))


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the process ids of the children that were really started."""
    pids: list[int] = []
    start = ModelProcess.start

    def counted(process: ModelProcess) -> None:
        start(process)
        pids.append(process.pid or 0)

    monkeypatch.setattr(ModelProcess, "start", counted)
    return pids


@pytest.fixture
def moody(tmp_path: Path, starts: list[int]) -> Iterator[System]:
    module = Moody(secret=tmp_path / "secret", target=tmp_path / "written")
    path = save_script(module, tmp_path / "net.pt")
    spec = SystemSpec("net", str(path), output=OUTPUT, timeout_s=2.0, memory_gb=6.0)
    with open_system(spec) as system:
        assert len(starts) == 1
        yield system


def unit(*moods: float) -> list[Tensor]:
    """Images of one unit: their largest value is the mood."""
    images = [torch.full((1, *GEOMETRY.shape), GOOD) for _ in moods]
    for image, mood in zip(images, moods, strict=True):
        image[0, 0, 0, 0] = mood
    return images


def told(answers: list[Prediction | Failure]) -> list[str]:
    return [it.status.value if isinstance(it, Failure) else "ok" for it in answers]


def test_after_a_second_crash_nothing_of_the_unit_is_tried_any_more(
    moody: System, starts: list[int]
) -> None:
    answers = moody.predict(unit(GOOD, CRASH, GOOD, CRASH, GOOD), GEOMETRY)
    assert told(answers) == ["ok", "crashed", "quarantined", "quarantined", "quarantined"]
    # the first child died of all five together, the second of the second image; no third was started
    assert len(set(starts)) == len(starts) == 2
    last = answers[-1]
    assert isinstance(last, Failure)
    assert last.reason.startswith("not tried after two crashes or time-outs on this unit (crashed:")
    assert last.reason.count("more memory than it may have") == 2
    # the next unit starts afresh
    assert told(moody.predict(unit(GOOD, GOOD), GEOMETRY)) == ["ok", "ok"]
    assert len(starts) == 3


def test_refusals_are_no_crashes(moody: System, starts: list[int]) -> None:
    answers = moody.predict(unit(REFUSED, GOOD, REFUSED, REFUSED, GOOD), GEOMETRY)
    assert told(answers) == ["rejected", "ok", "rejected", "rejected", "ok"]
    assert len(starts) == 1
    # all together the first is refused; alone, the second and the fourth end the child
    answers = moody.predict(unit(REFUSED, CRASH, GOOD, CRASH, GOOD), GEOMETRY)
    assert told(answers) == ["rejected", "crashed", "ok", "crashed", "quarantined"]
    assert len(starts) == 2


def test_a_single_image_is_tried_once(moody: System, starts: list[int]) -> None:
    assert told(moody.predict(unit(CRASH), GEOMETRY)) == ["crashed"]
    assert len(starts) == 1


def test_time_outs_and_crashes_count_together(moody: System, starts: list[int]) -> None:
    answers = moody.predict(unit(HANG, CRASH, GOOD), GEOMETRY)
    assert told(answers) == ["timed_out", "quarantined", "quarantined"]
    assert len(starts) == 2
    last = answers[-1]
    assert isinstance(last, Failure)
    assert last.reason.count("timed_out: no answer within 2 s") == 2
