"""How many systems a worker keeps running: memory decides, and nothing else depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_audits import bright, callable_fields

from auditor.config import parse_config
from auditor.execution import open_systems
from auditor.execution.job import Job
from auditor.execution.open_systems import OpenSystems
from auditor.execution.room import has_room
from auditor.plan import make_plan
from auditor.systems.running import open_system

NAMES = tuple("abcdefg")


def job(folder: Path) -> Job:
    fields = {**callable_fields(folder), "systems": {name: {} for name in NAMES}}
    config = parse_config(fields, folder=folder, callables=NAMES)
    names = {name: name for name in NAMES}
    return Job(folder, config, (), make_plan(config, (), names), names)


@pytest.mark.parametrize(("free", "starts"), [("nothing", 2 * len(NAMES)), ("all", len(NAMES))])
def test_systems_stay_as_long_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: str, starts: int
) -> None:
    """In turn: without room whoever is next has just left."""
    monkeypatch.setattr(open_systems, "has_room", lambda: free == "all")
    started: list[str] = []

    def opened(spec: Any, **more: Any) -> Any:
        started.append(spec.name)
        return open_system(spec, **more)

    monkeypatch.setattr(open_systems, "open_system", opened)
    with OpenSystems(job(tmp_path), dict.fromkeys(NAMES, bright)) as systems:
        for _ in range(2):
            for name in NAMES:
                assert systems.get(name).spec.name == name
    assert len(started) == starts


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_quarter_of_the_memory_stays_free(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    groups.mkdir()
    write(proc, meminfo="MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 251 kB\n")
    assert has_room(proc=proc, groups=groups)
    write(proc, meminfo="MemTotal: 1000 kB\nMemAvailable: 250 kB\n")
    assert not has_room(proc=proc, groups=groups)
    assert not has_room(proc=tmp_path / "none", groups=groups)


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    write(proc, meminfo="MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
    for number, (used, room) in enumerate((("700", True), ("750", False))):
        first, second = tmp_path / f"one{number}", tmp_path / f"two{number}"
        write(first, **{"memory.max": "1000", "memory.current": used})
        write(
            second,
            **{
                "memory__memory.limit_in_bytes": "1000",
                "memory__memory.usage_in_bytes": used,
            },
        )
        assert has_room(proc=proc, groups=first) is room
        assert has_room(proc=proc, groups=second) is room
    unlimited = tmp_path / "unlimited"
    write(unlimited, **{"memory.max": "max", "memory.current": "700"})
    assert has_room(proc=proc, groups=unlimited)
