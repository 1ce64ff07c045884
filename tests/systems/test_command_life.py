"""However a command ends, nothing of it stays behind, and only the guilty scan fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from commands import GEOMETRY, THRESHOLD, command_spec, failures, images, write_command

from auditor.errors import CheckpointError, StoreError
from auditor.schema import Status
from auditor.systems.running import Prediction, open_system


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files go to a folder of the test, which must be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "log.txt"
    monkeypatch.setenv("COMMAND_LOG", str(path))
    return path


def alive(pid: int) -> bool:
    """A zombie that its new parent has not collected yet is dead."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_a_failure_of_all_is_tried_alone_so_that_only_the_guilty_one_fails(
    tmp_path: Path, log: Path, scratch: Path
) -> None:
    body = """
for path, name in scans():
    image = sitk.ReadImage(str(path))
    if sitk.GetArrayFromImage(image)[0, 0, 0] < 0:
        print("ValueError: negative intensity in", path)
        sys.exit(3)
    sitk.WriteImage(above(image), str(target / f"{name}.nii.gz"))
"""
    given = images(3)
    given[1] = given[1].clone()
    given[1][0, 0, 0, 0] = -5
    with open_system(command_spec(write_command(tmp_path / "theirs", body))) as system:
        outcomes = system.predict(given, GEOMETRY)
    assert [isinstance(it, Prediction) for it in outcomes] == [True, False, True]
    ((status, reason),) = failures(outcomes)
    assert status is Status.FAILED
    assert reason == (
        "the command ended by itself (exit status 3); it last printed: ValueError: negative intensity "
        "in scan_1_0000.nii.gz"
    )
    # once together, then each alone
    assert log.read_text().count("start") == 4
    assert not list(scratch.iterdir())


def test_a_crash_is_told_from_a_failure(tmp_path: Path) -> None:
    body = "os.kill(os.getpid(), 11)\n"
    with open_system(command_spec(write_command(tmp_path / "theirs", body))) as system:
        ((status, reason),) = failures(system.predict(images(1), GEOMETRY))
    assert status is Status.CRASHED
    assert "SIGSEGV" in reason


def test_two_crashes_on_one_unit_leave_the_rest_of_it_untried(tmp_path: Path, log: Path) -> None:
    body = "os.kill(os.getpid(), 11)\n"
    with open_system(command_spec(write_command(tmp_path / "theirs", body))) as system:
        told = failures(system.predict(images(4), GEOMETRY))
    # once together, once alone
    assert log.read_text().count("start") == 2
    assert [status.value for status, _ in told] == ["crashed", *["quarantined"] * 3]
    assert told[1][1].startswith("not tried after two crashes or time-outs on this unit (crashed: ")


GRANDCHILDREN = """
log = Path("pids.txt")
inner = "import time; time.sleep(600)"
with log.open("a") as file:
    same = subprocess.Popen([sys.executable, "-S", "-c", inner])
    away = subprocess.Popen([sys.executable, "-S", "-c", inner], start_new_session=True)
    file.write(f"{same.pid} {away.pid}\\n")
print("loading weights", flush=True)
"""


def pids(program: Path) -> list[int]:
    return [int(word) for word in (program.parent / "pids.txt").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_a_hanging_command_ends_with_all_its_descendants(tmp_path: Path, scratch: Path) -> None:
    program = write_command(tmp_path / "theirs", f"{GRANDCHILDREN}time.sleep(600)\n")
    with open_system(command_spec(program, timeout_s=2.0)) as system:
        started = time.monotonic()
        outcomes = system.predict(images(1), GEOMETRY)
        seconds = time.monotonic() - started
    assert failures(outcomes) == [
        (
            Status.TIMED_OUT,
            "the command did not end within 2 s and was stopped; it last printed: loading weights",
        )
    ]
    assert seconds < 20
    assert len(pids(program)) == 2
    assert not any(map(alive, pids(program)))
    assert not list(scratch.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_a_command_that_ends_leaves_nobody_behind(tmp_path: Path) -> None:
    program = write_command(tmp_path / "theirs", GRANDCHILDREN + THRESHOLD)
    with open_system(command_spec(program)) as system:
        (outcome,) = system.predict(images(1), GEOMETRY)
    assert isinstance(outcome, Prediction)
    assert not any(map(alive, pids(program)))


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_auditor_that_is_ended_takes_command_and_folder_with_it(
    tmp_path: Path, scratch: Path, how: signal.Signals
) -> None:
    program = write_command(tmp_path / "theirs", f"{GRANDCHILDREN}time.sleep(600)\n")
    script = f"""
import signal, sys, torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
sys.path[:0] = {sys.path!r}
from pathlib import Path
from commands import command_spec
from auditor.schema import Geometry
from auditor.systems.running import open_system
with open_system(command_spec(Path({str(program)!r}))) as system:
    system.predict([torch.zeros(1, 4, 5, 6)], Geometry((4, 5, 6), (3.0, 0.8, 0.7)))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(1200):
            if (program.parent / "pids.txt").exists() and len(pids(program)) == 2:
                break
            time.sleep(0.05)
        assert all(map(alive, pids(program)))
        assert list(scratch.iterdir())
        process.send_signal(how)
    finally:
        if not (program.parent / "pids.txt").exists():
            process.kill()
        process.wait(timeout=60)
    for _ in range(200):
        if not any(map(alive, pids(program))) and not list(scratch.iterdir()):
            break
        time.sleep(0.05)
    assert not any(map(alive, pids(program)))
    assert not list(scratch.iterdir())


def test_a_command_that_prints_without_end_and_without_lines_is_no_burden(tmp_path: Path) -> None:
    body = 'sys.stdout.write("x" * 3_000_000); sys.stdout.flush(); sys.exit(1)\n'
    with open_system(command_spec(write_command(tmp_path / "theirs", body))) as system:
        ((status, reason),) = failures(system.predict(images(1), GEOMETRY))
    assert status is Status.FAILED
    assert len(reason) <= 500


MISSING: list[tuple[str, str]] = [
    ("no-such-program-here", "on the PATH"),
    ("./absent.sh", "no file there"),
    ("./notes.txt", "chmod"),
    ("notes.txt", "write ./notes.txt"),
]


@pytest.mark.parametrize(("program", "told"), MISSING)
def test_a_program_that_is_not_there_is_said_when_it_is_opened(
    tmp_path: Path, program: str, told: str
) -> None:
    (tmp_path / "notes.txt").write_text("no program")
    spec = command_spec(tmp_path / "x.py", command=(program, "{input}", "{output}"))
    with pytest.raises(CheckpointError, match=told):
        open_system(spec)


def test_a_program_that_cannot_be_started_after_all_is_a_failure(tmp_path: Path) -> None:
    program = tmp_path / "run.sh"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with open_system(command_spec(program, command=("./run.sh", "{input}", "{output}"))) as system:
        told = failures(system.predict(images(1), GEOMETRY))
    assert told == [(Status.FAILED, "the command could not be started: No such file or directory")]


def test_a_full_disk_is_no_failure_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = write_command(tmp_path / "theirs", THRESHOLD)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with open_system(command_spec(program)) as system, pytest.raises(StoreError, match="TMPDIR"):
        system.predict(images(1), GEOMETRY)
