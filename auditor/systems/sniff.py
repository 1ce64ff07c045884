"""What is this file? Told by its bytes, never by its name, and without running anything of it.

Naming a format is no verdict on its safety: a TorchScript archive is a program. Standard library only.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

from auditor.errors import CheckpointError

__all__ = ["Sniffed", "sniff"]

_EXPORT = (
    "export the model itself, with torch.jit.trace(model, example).save('model.pt') or "
    "torch.onnx.export(model, example, 'model.onnx')"
)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """A file that can be run."""

    format: str
    """torchscript or onnx."""
    detail: str
    """What else the bytes tell."""
    sha256: str
    """Of the whole file."""
    size_bytes: int
    """Of the file."""


def sniff(path: Path) -> Sniffed:
    """Recognise a checkpoint.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Sniffed
        Of a TorchScript archive or an ONNX graph.

    Raises
    ------
    CheckpointError
        For everything else: what the file is instead, and what to do.
    """
    name = path.name
    try:
        mode = path.stat().st_mode
    except OSError as error:
        msg = f"the checkpoint must be a readable file: {name}: {error.strerror or error}"
        raise CheckpointError(msg) from error
    if stat.S_ISDIR(mode):
        msg = f"the checkpoint must be one file, {name} is a folder; name the file inside it"
        raise CheckpointError(msg)
    if not stat.S_ISREG(mode):
        msg = f"the checkpoint must be a regular file, {name} is a device, pipe or socket"
        raise CheckpointError(msg)
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
            size = path.stat().st_size
            digest = _digest(path)
    except OSError as error:
        msg = f"the checkpoint must be a readable file: {name}: {error.strerror or error}"
        raise CheckpointError(msg) from error
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        detail = _inside_zip(path)
        return Sniffed("torchscript", detail, digest, size)
    told = _not_a_model(head)
    if told:
        msg = f"{name} cannot be audited: {told}"
        raise CheckpointError(msg)
    return Sniffed("onnx", _walk_onnx(name, head, size), digest, size)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _not_a_model(head: bytes) -> str:
    """Say what a file without zip signature is, when it is surely no ONNX graph."""
    lower = head[:512].lstrip().lower()
    signatures = (
        (not head, "it is empty; was the copy or download interrupted?"),
        (head.startswith(b"version https://git-lfs"),
         "it is a Git LFS pointer, not the file; run `git lfs pull`"),
        (lower.startswith((b"<!doctype html", b"<html", b"<?xml")),
         "it is a web page, not the file; the download failed or needs a login"),
        (head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")),
         f"it is a Python pickle, which runs code when it is read; {_EXPORT}"),
        (head.startswith(b"\x89HDF"), "it is HDF5 (Keras); convert it with tf2onnx"),
        (head[4:8] == b"ORTM", "it is in ORT format; give the ONNX file it was made from"),
        (head[4:8] == b"TFL3", "it is TensorFlow Lite; convert it with tf2onnx"),
        (head[4:8] in (b"ET12", b"ET11"), f"it is an ExecuTorch program; {_EXPORT}"),
        (head.startswith((b"ptrt", b"ftrt")),
         "it is a TensorRT engine, bound to one GPU; give the ONNX file it was built from"),
        (head.startswith(b"GGUF"), "it is GGUF, a format for language models"),
        (head.startswith(b"\x1f\x8b"), "it is gzip; unpack it first"),
        (head[257:262] == b"ustar", "it is a tar archive; unpack it first"),
        (_is_safetensors(head), f"it is safetensors: weights without a network; {_EXPORT}"),
    )  # fmt: skip
    return next((told for hit, told in signatures if hit), "")


def _is_safetensors(head: bytes) -> bool:
    if len(head) < 9:
        return False
    (length,) = struct.unpack("<Q", head[:8])
    return 2 <= length < 1 << 30 and head[8:9] == b"{"


def _inside_zip(path: Path) -> str:
    """Tell TorchScript from the other archives; the content is listed, never loaded."""
    name = path.name
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        msg = (
            f"{name} cannot be audited: it begins as an archive (TorchScript or a weights file) but its "
            "end is missing or damaged; was the copy or download interrupted?"
        )
        raise CheckpointError(msg) from error
    tails = {entry.partition("/")[2] for entry in names}
    if any(entry.endswith("archive_format") for entry in names) or any(
        tail.startswith("models/") and tail.endswith(".json") for tail in tails
    ):
        told = f"it is a torch.export archive (.pt2), which this version does not run; {_EXPORT}"
    elif "constants.pkl" in tails and any(tail.startswith("code/") for tail in tails):
        return "mobile" if "bytecode.pkl" in tails else ""
    elif "data.pkl" in tails:
        told = f"it is a state_dict or pickled module of torch.save, weights without a program; {_EXPORT}"
    elif names and all(entry.endswith(".npy") for entry in names):
        told = f"it is a numpy archive (npz); {_EXPORT}"
    elif "config.json" in names and any(entry.endswith(".h5") for entry in names):
        told = "it is a Keras archive; convert it with tf2onnx"
    else:
        told = f"it is a zip archive without a TorchScript program; {_EXPORT}"
    msg = f"{name} cannot be audited: {told}"
    raise CheckpointError(msg)


_MODEL_FIELDS = {
    1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2,
}  # fmt: skip
"""Field numbers and wire types of ONNX ModelProto (onnx.proto)."""


def _walk_onnx(name: str, head: bytes, size: int) -> str:
    """Walk the top-level fields of a protobuf; ONNX has no signature of its own.

    Only fields of ModelProto with their wire types may occur, and a graph (7) whose announced
    length fits the file.
    """
    msg = f"{name} cannot be audited: it is neither TorchScript nor ONNX; {_EXPORT}"
    position, version = 0, 0
    while position < min(len(head), size):
        key, position = _varint(head, position)
        number, wire = key >> 3, key & 7
        if _MODEL_FIELDS.get(number) != wire:
            raise CheckpointError(msg)
        if wire == 0:
            value, position = _varint(head, position)
            version = value if number == 1 else version
            continue
        length, position = _varint(head, position)
        if number == 7:
            if position + length > size:
                short = (
                    f"{name} cannot be audited: it is an ONNX file of which {position + length - size} "
                    "bytes are missing; was the copy or download interrupted?"
                )
                raise CheckpointError(short)
            if length == 0 or version == 0:
                raise CheckpointError(msg)
            return f"IR version {version}"
        position += length
    raise CheckpointError(msg)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a protobuf varint; beyond the data counts as 0 at the end."""
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, position
    return 0, len(data)
