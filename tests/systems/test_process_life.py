from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import conv_graph, double_graph
from numpy.typing import NDArray

import auditor.systems.process
from auditor.schema import InputSpec, OutputSpec, Status
from auditor.systems.process import ModelFailure, ModelProcess
from auditor.systems.reasons import how_it_ended, plain
from auditor.systems.transport import receive

IMAGE = np.random.default_rng(5).normal(size=(1, 12, 9)).astype(np.float32)


def ask(process: ModelProcess) -> NDArray[np.float32]:
    return process.run([IMAGE], None, OutputSpec(), InputSpec())[0]


def wait_until_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_killed_child_is_a_crash_and_the_next_one_answers_alike(tmp_path: Path) -> None:
    with ModelProcess(conv_graph(tmp_path / "net.onnx", dims=2), "onnx") as process:
        before = ask(process)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ModelFailure) as caught:
            ask(process)
        assert caught.value.status == Status.CRASHED
        assert "SIGKILL" in caught.value.reason
        process.start()
        assert np.array_equal(ask(process), before)


def test_a_child_that_is_stopped_while_it_answers_times_out(tmp_path: Path) -> None:
    path = double_graph(tmp_path / "net.onnx")
    with ModelProcess(path, "onnx", timeout_s=1.0) as process:
        ask(process)
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(ModelFailure) as caught:
            ask(process)
        assert caught.value.status == Status.TIMED_OUT
        assert time.monotonic() - started < 4
    assert wait_until_gone(pid)


def test_nothing_is_left_behind_by_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", None)  # forget what earlier tests found
    (tmp_path / "scratch").mkdir()
    path = double_graph(tmp_path / "net.onnx")
    pids, handles = [], []
    process = ModelProcess(path, "onnx")
    for _ in range(3):
        with process:
            ask(process)
            pids.append(process.pid or 0)
        handles.append(len(list(Path("/dev/fd").iterdir())))
    assert handles[0] == handles[-1]
    assert all(wait_until_gone(pid) for pid in pids)
    assert list((tmp_path / "scratch").iterdir()) == []
    process.close()  # a second time does nothing


def test_nothing_is_reported_to_the_maker_of_the_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    with ModelProcess(double_graph(tmp_path / "net.onnx"), "onnx") as process:
        ask(process)
        written = [*home.rglob("*"), *Path(process._scratch).rglob("*")]
    assert written == []  # onnxruntime would write .cache/Microsoft/DeveloperTools


def test_secrets_of_the_environment_stay_with_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSPITAL_TOKEN", "hush")
    with ModelProcess(double_graph(tmp_path / "net.onnx"), "onnx") as process:
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"OMP_NUM_THREADS=1" in environment
    assert b"hush" not in environment


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    process = ModelProcess(double_graph(tmp_path / "net.onnx"), "onnx")
    starter = threading.Thread(target=process.start)
    starter.start()
    starter.join()
    time.sleep(0.3)  # a signal tied to the thread would have come by now
    try:
        assert np.array_equal(ask(process), IMAGE * 2)
    finally:
        process.close()


UNGUARDED = """
import sys, time
from pathlib import Path
from typing import Any
import numpy as np
from auditor.schema import InputSpec, OutputSpec
from auditor.systems.process import ModelProcess

process = ModelProcess(Path(sys.argv[1]), "onnx")
process.start()
print(process.run([np.ones((1, 2, 2), np.float32)], None, OutputSpec(), InputSpec())[0].sum())
print(process.pid, process._scratch, flush=True)
time.sleep(60)
"""


def test_a_script_without_a_guard_works_and_its_child_ends_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder of a user"
    folder.mkdir()
    (folder / "script.py").write_text(UNGUARDED)
    # a file of the working folder must not take the place of a library in the child
    (folder / "zipfile.py").write_text("raise SystemExit('the wrong zipfile')")
    path = double_graph(folder / "net.onnx")
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-P", "script.py", path.name],
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        text=True,
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "8.0\n"  # four ones, doubled
        pid, scratch = script.stdout.readline().split(maxsplit=1)
        script.kill()  # no chance to tidy up
    assert wait_until_gone(int(pid))
    left = Path(scratch.strip())
    assert list(left.iterdir()) == []
    left.rmdir()


WATCHED = """
import sys, threading, time
from pathlib import Path
from typing import Any
from auditor.systems.child import _watch

threading.Thread(target=_watch, args=(Path(sys.argv[1]), 0.25, 8.0), daemon=True).start()
held = b"1" * (1 << 29)
time.sleep(20)
"""


def test_memory_is_watched_where_the_system_cannot_limit_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("scratch")
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # it ends its whole group
    ) as process:
        assert process.wait(timeout=15) == -signal.SIGKILL
        assert process.stderr is not None
        printed = process.stderr.read()
    assert how_it_ended(-9, printed).startswith("it asked for more memory than it may have")
    assert list(tmp_path.iterdir()) == []


FILLS = """
import sys, threading, time
from pathlib import Path
from typing import Any
from auditor.systems.child import _watch

threading.Thread(target=_watch, args=(Path(sys.argv[1]), None, 0.01), daemon=True).start()
for number in range(100):
    folder = Path(sys.argv[1]) / f"folder {number}"
    folder.mkdir()
    (folder / "file").write_bytes(bytes(1 << 18))
time.sleep(20)
"""


def test_a_scratch_folder_that_fills_ends_the_child(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FILLS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # it ends its whole group
    ) as process:
        assert process.wait(timeout=15) == -signal.SIGKILL
        assert process.stderr is not None
        printed = process.stderr.read()
    # 100 files of 256 kB are 25 MB; 0.01 GB are 10.7 MB
    assert how_it_ended(-9, printed) == "it wrote more than 0.01 GB into its folder"
    assert list(tmp_path.iterdir()) == []


PARENT_OF_GRANDCHILDREN = """
import os, sys, time
from pathlib import Path
from typing import Any
from auditor.systems import process

class Started(process.ModelProcess):
    def _launch(self):
        real = process.subprocess.Popen
        def popen(command, **keep):
            code = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '100']);" \\
                   "open(sys.argv[1], 'w').write(str(p.pid)); time.sleep(100)"
            return real([sys.executable, "-c", code, sys.argv[1]], **keep)
        process.subprocess.Popen = popen
        return super()._launch()

process._IMPORTS_S = 2.0
try:
    Started(Path(sys.argv[2]), "onnx", timeout_s=1.0).start()
except process.ModelFailure as failure:
    print(failure)
"""


def test_a_time_out_ends_the_grandchildren_too(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    path = double_graph(tmp_path / "net.onnx")
    done = subprocess.run(
        [sys.executable, "-c", PARENT_OF_GRANDCHILDREN, str(tmp_path / "pid"), str(path)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        text=True,
    )
    assert done.stdout.startswith("timed_out: no answer within 2 s")
    assert wait_until_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(("name", "kind"), [("net.pt", "torchscript"), ("net.onnx", "onnx")])
def test_a_file_that_vanished_is_refused_in_words(tmp_path: Path, name: str, kind: str) -> None:
    process = ModelProcess(tmp_path / name, kind)
    with pytest.raises(ModelFailure) as caught:
        process.start()
    assert caught.value.status == Status.REJECTED
    assert name in caught.value.reason
    assert str(tmp_path) not in caught.value.reason


@pytest.mark.parametrize(
    ("code", "printed", "told"),
    [
        (-9, b"", "ended by SIGKILL, perhaps because the machine ran out of memory"),
        (-11, b"before\n\xff\n\n", "ended by SIGSEGV; it last printed: \ufffd"),
        (3, b"Traceback\nImportError: no torch\n", "(exit status 3); it last printed: ImportError"),
        (-6, b"terminate\n  what():  std::bad_alloc\n", "more memory than it may have"),
        (None, b"", "closed its channel"),
    ],
)
def test_the_end_of_a_process_is_told_in_one_sentence(
    code: int | None, printed: bytes, told: str
) -> None:
    assert told in how_it_ended(code, printed)


def test_reasons_name_no_folder_and_no_control_characters() -> None:
    text = "\x1b[31mfile '/home/jo/a b/net.pt' at /opt/x/y.cpp:3, see https://pytorch.org/docs/x"
    assert plain(text, folders=("/home/jo/a b",)) == (
        "[31mfile 'net.pt' at y.cpp:3, see https://pytorch.org/docs/x"
    )
    assert len(plain("long " * 1000)) == 500


def test_the_layers_are_those_told_before_the_checkpoint_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = "files by Landlock (ABI 99)"
    answers = 0

    def lying(*given: Any, **settings: Any) -> Any:
        nonlocal answers
        header, arrays = receive(*given, **settings)
        answers += 1
        return ({**header, "sandbox": [claimed]} if answers > 1 else header), arrays

    monkeypatch.setattr(auditor.systems.process, "receive", lying)
    with ModelProcess(double_graph(tmp_path / "net.onnx"), "onnx") as process:
        assert claimed not in process.info.sandbox
        assert process.info.sandbox[0] == "own process"
        assert process.info.sandbox[-1] == "ends with its parent"
    assert answers == 2
