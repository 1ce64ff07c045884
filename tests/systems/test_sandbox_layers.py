from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from auditor.systems.sandbox import describe_sandbox, missing_layers

TRIES = """
import ctypes, json, os, socket, struct, subprocess, sys, sysconfig
from pathlib import Path
from auditor.systems.sandbox import confine

given = json.loads(sys.argv[1])
folder = Path(given["folder"])
roots = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), given["package"]}
layers = confine(
    readable=[*map(Path, roots), Path("/usr"), Path("/lib"), Path("/proc"), folder / "model"],
    writable=[folder / "scratch", Path("/dev/null"), folder / "does not exist"],
    memory_gb=given["memory_gb"],
    file_gb=1 / 1024,
    dies_with_thread=False,
)

def put(size):
    with (folder / "scratch" / "large").open("wb") as file:
        file.write(bytes(size))

def shared(size):
    handle = os.memfd_create("answer")
    while size:
        size -= os.write(handle, bytes(size))

def own():
    # nine bytes of x86-64 Linux that end with 0, and no library: only the file itself must be executable
    code = bytes.fromhex("31ffb83c0000000f05")
    head = bytes([0x7F, *b"ELF", 2, 1, 1]).ljust(16, bytes(1))
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = 120 + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 4096)
    program = folder / "scratch" / "program"
    program.write_bytes(head + segment + code)
    program.chmod(0o700)
    subprocess.run([program], check=True)

def change(path):
    with path.open("r+b") as file:  # without cutting it off first, which is a right of its own
        file.write(b"M")

def can(action):
    try:
        action()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "yes"

print(json.dumps({
    "layers": layers,
    "read model": can((folder / "model").read_bytes),
    "write model": can(lambda: (folder / "model").write_bytes(b"")),
    "change model": can(lambda: change(folder / "model")),
    "read secret": can((folder / "secret").read_bytes),
    "list folder": can(lambda: list(folder.iterdir())),
    "write folder": can(lambda: (folder / "new").write_bytes(b"1")),
    "write scratch": can(lambda: (folder / "scratch" / "new").write_bytes(b"1")),
    "truncate secret": can(lambda: os.truncate(folder / "secret", 0)),
    "remove secret": can((folder / "secret").unlink),
    "connect": can(lambda: socket.create_connection(("127.0.0.1", given["port"]), 2).close()),
    "signal parent": can(lambda: os.kill(os.getppid(), 0)),
    "environment of parent": can(Path(f"/proc/{os.getppid()}/environ").read_bytes),
    "3 GB": can(lambda: bytearray(3 << 30)),
    "1 MB": can(lambda: put(1 << 20)),
    "2 MB": can(lambda: put(2 << 20)),
    "answer of 2 MB": can(lambda: shared(2 << 20)),
    "start": can(lambda: subprocess.run(["/bin/true"], check=True)),
    "start its own": can(own) if os.uname().machine == "x86_64" else None,
    "owner": (folder / "model").stat().st_uid == os.getuid(),
}))
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("confined")
    (folder / "scratch").mkdir()
    (folder / "model").write_bytes(b"model")
    (folder / "secret").write_bytes(b"secret")
    root = Path(__file__).resolve().parents[2]
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = {
            "folder": str(folder),
            "package": str(root / "auditor"),
            "port": server.getsockname()[1],
            "memory_gb": 2.0,
        }
        done = subprocess.run(
            [sys.executable, "-c", TRIES, json.dumps(given)],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(root)},
            text=True,
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    found["secret after"] = (folder / "secret").exists() and (folder / "secret").read_bytes()
    return found


def test_what_a_model_needs_stays_allowed(tried: dict[str, Any]) -> None:
    assert tried["read model"] == "yes"
    assert tried["write scratch"] == "yes"
    assert tried["owner"] is True


def test_files_are_closed_where_landlock_holds(tried: dict[str, Any]) -> None:
    holds = any(layer.startswith("files by Landlock") for layer in tried["layers"])
    assert holds == ("Landlock ABI" in describe_sandbox())
    if holds:
        for what in (
            "read secret", "list folder", "write folder", "write model", "change model", "remove secret",
        ):  # fmt: skip
            assert tried[what] == "PermissionError", what
        assert tried["environment of parent"] == "PermissionError"
        assert tried["secret after"] == b"secret"


def test_the_network_is_closed_where_its_layer_holds(tried: dict[str, Any]) -> None:
    if "no network" in tried["layers"]:
        assert tried["connect"] != "yes"


def test_memory_is_limited(tried: dict[str, Any]) -> None:
    assert "at most 2 GB of address space" in tried["layers"]
    assert tried["3 GB"] == "MemoryError"


def test_files_are_limited_and_with_them_the_answers_in_shared_memory(
    tried: dict[str, Any],
) -> None:
    assert "files of at most 0.000976562 GB" in tried["layers"]
    assert tried["1 MB"] == "yes"
    assert tried["2 MB"] == "OSError"
    # a memory file is a file: the limit must not lie below the largest answer
    assert tried["answer of 2 MB"] == "OSError"


def test_no_program_is_started_where_landlock_holds(tried: dict[str, Any]) -> None:
    assert ("starts no programs" in tried["layers"]) == (tried["start"] == "PermissionError")
    if tried["start its own"] is not None:  # written into the only folder where it may write
        assert tried["start its own"] == ("yes" if tried["start"] == "yes" else "PermissionError")


FORKS = """
import json, os, sys
from pathlib import Path
from auditor.systems.sandbox import confine

layers = confine(readable=[Path("/")], writable=[], memory_gb=None, dies_with_thread=False)
pids = []
try:
    for _ in range(700):
        pids.append(os.fork())
        if not pids[-1]:
            os.pause() if hasattr(os, "pause") else __import__("signal").pause()
except OSError:
    pass
for pid in pids:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
print(json.dumps([layers, len(pids)]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become an ordinary user")
def test_processes_of_an_ordinary_user_are_limited_in_their_own_namespace(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", FORKS],
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "HOME": str(tmp_path)},
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        text=True,
    )
    if done.returncode:
        pytest.skip("an ordinary user cannot read this interpreter here")
    layers, forked = json.loads(done.stdout)
    assert (forked < 512) == ("at most 512 processes" in layers)


def test_what_no_layer_prevents_is_said() -> None:
    assert missing_layers(("files by Landlock (ABI 7)", "no network")) == ()
    files, network = missing_layers(("own process",))
    assert "the user's files; run unknown checkpoints in a container" in files
    assert "the network" in network
    assert missing_layers(("no network",)) == (files,)
