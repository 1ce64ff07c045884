"""Files that are no checkpoints, or containers made to harm; every payload is harmless.

A maker writes one file into a folder and returns its path. Beside that folder lies another with a
secret that nothing may read and where nothing may be written.
"""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import ConvNet, Threshold, conv_graph, save_script
from torch import nn

SECRET = 42
"""The byte that the file outside is full of."""


@dataclass(frozen=True, slots=True)
class Yard:
    """Where one hostile file is made."""

    folder: Path
    """Of the file."""

    @property
    def secret(self) -> Path:
        """A file of the user, which nothing may read."""
        return self.folder.parent / "outside" / "secret"

    @property
    def written(self) -> Path:
        """A file that a payload tries to write."""
        return self.folder.parent / "outside" / "written"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One hostile file, and how it must end."""

    name: str
    """Of the attack."""
    make: Callable[[Yard], Path]
    """Writes it."""
    ends: str
    """refused (before a child is started), unstarted (by the child), answered, or the status of the
    stored failure."""
    told: str = ""
    """Words of the message."""
    slow: bool = False
    """Takes more than five seconds."""


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.target, "w")


def from_bytes(content: bytes, name: str = "net.onnx") -> Callable[[Yard], Path]:
    """Make a file of these bytes."""

    def make(yard: Yard) -> Path:
        path = yard.folder / name
        path.write_bytes(content)
        return path

    return make


def zipped(*names: str, **entries: bytes) -> Callable[[Yard], Path]:
    """Make an archive of small entries."""

    def make(yard: Yard) -> Path:
        path = yard.folder / "net.pt"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, entries.get(name, b"{}"))
        return path

    return make


def _cut(source: Callable[[Yard], Path], share: float) -> Callable[[Yard], Path]:
    def make(yard: Yard) -> Path:
        path = source(yard)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        return path

    return make


def _script(yard: Yard) -> Path:
    return save_script(Threshold(), yard.folder / "net.pt")


def _graph(yard: Yard) -> Path:
    return conv_graph(yard.folder / "net.onnx", dims=2)


def _state_dict(yard: Yard) -> Path:
    torch.save(ConvNet(dims=2).state_dict(), yard.folder / "net.pt")
    return yard.folder / "net.pt"


def _module(yard: Yard) -> Path:
    torch.save(nn.Conv2d(1, 1, 1), yard.folder / "net.pt")
    return yard.folder / "net.pt"


def _legacy(yard: Yard) -> Path:
    torch.save(nn.Conv2d(1, 1, 1), yard.folder / "net.pt", _use_new_zipfile_serialization=False)
    return yard.folder / "net.pt"


def _pickle(yard: Yard) -> Path:
    path = yard.folder / "net.pt"
    path.write_bytes(pickle.dumps(Payload(yard.written), protocol=4))
    return path


def _torch_payload(yard: Yard) -> Path:
    path = yard.folder / "net.pt"
    torch.save({"weight": Payload(yard.written)}, path)
    return path


def _npz(yard: Yard) -> Path:
    held = np.array([Payload(yard.written)], dtype=object)
    np.savez(yard.folder / "net.npz", weight=held)
    return yard.folder / "net.npz"


def _folder(yard: Yard) -> Path:
    (yard.folder / "net.onnx").mkdir()
    return yard.folder / "net.onnx"


def _pipe(yard: Yard) -> Path:
    os.mkfifo(yard.folder / "net.onnx")
    return yard.folder / "net.onnx"


def link_to(target: str) -> Callable[[Yard], Path]:
    """Make a symbolic link."""

    def make(yard: Yard) -> Path:
        path = yard.folder / "net.onnx"
        path.symlink_to(target)
        return path

    return make


def _bomb(yard: Yard) -> Path:
    """64 MB of zeros in 64 kB."""
    path = _script(yard)

    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/data/bomb", bytes(64 << 20))
    return path


def _announced_bomb(yard: Yard) -> Path:
    """Announce 4 GB in the listing, behind a few bytes."""
    path = _script(yard)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 20 : at + 28] = struct.pack("<LL", 0xFFFFFFF0, 0xFFFFFFF0)
    path.write_bytes(content)
    return path


def _long_listing(yard: Yard) -> Path:
    """Sixty thousand entries of nothing."""
    name = b"net/" + b"x" * 60
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *[0] * 9, len(name), *[0] * 6) + name
    count = 60_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, count * len(entry), 4, 0)
    return from_bytes(b"PK\x03\x04" + entry * count + end, "net.pt")(yard)


def _slip(yard: Yard) -> Path:
    path = _script(yard)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/../../outside/written", b"slipped")
    return path


def _twice(yard: Yard) -> Path:
    """Name the same bytes twice in the listing."""
    path = yard.folder / "twice.pt"
    with zipfile.ZipFile(_script(yard)) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.filelist.append(new.filelist[0])
    return path


FILES = (
    Hostile("empty", from_bytes(b""), "refused", "empty"),
    Hostile(
        "random_bytes",
        from_bytes(np.random.default_rng(3).integers(0, 256, 4096, np.uint8).tobytes()),
        "refused",
        "neither TorchScript nor ONNX",
    ),
    Hostile("truncated_archive", _cut(_script, 0.7), "refused", "its end is missing"),
    Hostile("truncated_graph", _cut(_graph, 0.7), "refused", "its end is missing"),
    Hostile("only_a_beginning", from_bytes(b"PK\x03\x04"), "refused", "its end is missing"),
    Hostile("state_dict", _state_dict, "refused", "weights without a program"),
    Hostile("pickled_module", _module, "refused", "pickled module"),
    Hostile("legacy_pickle", _legacy, "refused", "before version 1.6"),
    Hostile("pickle_with_payload", _pickle, "refused", "runs code when it is read"),
    Hostile("torch_save_with_payload", _torch_payload, "refused", "weights without a program"),
    Hostile("npz_with_payload", _npz, "refused", "npz"),
    Hostile("git_lfs", from_bytes(b"version https://git-lfs\n"), "refused", "git lfs pull"),
    Hostile("web_page", from_bytes(b"<!DOCTYPE html><html>"), "refused", "web page"),
    Hostile(
        "safetensors", from_bytes(struct.pack("<Q", 9) + b'{"w":{}}'), "refused", "safetensors"
    ),
    Hostile("ort", from_bytes(b"\x20\x00\x00\x00ORTM" + bytes(99)), "refused", "ORT format"),
    Hostile("keras", zipped("config.json", "model.weights.h5"), "refused", "Keras"),
    Hostile("hdf5", from_bytes(b"\x89HDF\r\n\x1a\n"), "refused", "HDF5"),
    Hostile("archive_of_models", zipped("a/model.onnx", "b/x.txt"), "refused", "unpack it"),
    Hostile("folder", _folder, "refused", "is a folder"),
    Hostile("pipe", _pipe, "refused", "pipe"),
    Hostile("device", link_to("/dev/zero"), "refused", "device"),
    Hostile("loop_of_links", link_to("net.onnx"), "refused", "readable file"),
    Hostile("unreadable", link_to("/proc/self/mem"), "refused", "readable file"),
    Hostile("unpacks_to_gigabytes", _bomb, "refused", "which no weights do"),
    Hostile("announces_gigabytes", _announced_bomb, "refused", "which no weights do"),
    Hostile("endless_listing", _long_listing, "refused", "listing of its entries"),
    Hostile("entry_outside", _slip, "refused", "outside its folder"),
    Hostile("entry_twice", _twice, "refused", "every entry once"),
)
"""Nothing of these is ever loaded."""
