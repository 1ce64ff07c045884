"""What is this file? Told by its bytes, never by its name, and without running anything of it.

Naming a format is no verdict on its safety: a TorchScript archive is a program. Standard library only.
"""

from __future__ import annotations

import hashlib
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from auditor.errors import CheckpointError
from auditor.systems.archive_listing import DamagedArchive, entries_of
from auditor.systems.exported_file import Unusable, examine_exported, is_exported
from auditor.systems.external_data import external_files, printable
from auditor.systems.onnx_file import Damaged, outline

__all__ = ["Sniffed", "files_beside", "sniff"]

_EXPORT = (
    "export the model itself, with torch.jit.trace(model, example).save('model.pt') or "
    "torch.onnx.export(model, example, 'model.onnx')"
)
_INTERRUPTED = "was the copy or download interrupted?"

_LEGACY_TORCH = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
"""The magic number that torch.save pickled first before it wrote zip archives (torch < 1.6)."""


@dataclass(frozen=True, slots=True)
class Sniffed:
    """A file that can be run."""

    format: str
    """torchscript, onnx or exported (torch.export)."""
    detail: str
    """What else the bytes tell."""
    sha256: str
    """Of the file; of an ONNX graph whose weights lie in files beside it, of the list of all
    digests, so that other weights are another system."""
    size_bytes: int
    """Of the file and the files beside it that belong to it."""


def sniff(path: Path) -> Sniffed:
    """Recognise a checkpoint.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Sniffed
        Of a TorchScript or torch.export archive, or an ONNX graph.

    Raises
    ------
    CheckpointError
        For everything else: what the file is instead, and what to do.
    """
    try:
        _require_file(path)
        with path.open("rb") as file:
            head = file.read(1 << 16)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            kind, detail = _inside_zip(path)
            return Sniffed(kind, detail, _digest(path), path.stat().st_size)
        told = _not_a_model(head)
        if told:
            msg = f"{path.name} cannot be audited: {told}"
            raise CheckpointError(msg)
        return _onnx(path)
    except OSError as error:
        msg = f"the checkpoint must be a readable file: {path.name}: {error.strerror or error}"
        raise CheckpointError(msg) from error


def files_beside(path: Path) -> tuple[Path, ...]:
    """List the files beside an ONNX graph that hold its weights.

    Parameters
    ----------
    path : Path
        An ONNX file.

    Raises
    ------
    CheckpointError
        When one is missing, or named outside the folder of the graph.
    """
    return external_files(path, outline(path).pieces)


def _require_file(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        msg = f"the checkpoint must be one file, {path.name} is a folder; name the file inside it"
        raise CheckpointError(msg)
    if not stat.S_ISREG(mode):
        msg = f"the checkpoint must be a regular file, {path.name} is a device, pipe or socket"
        raise CheckpointError(msg)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _not_a_model(head: bytes) -> str:
    """Say what a file without zip signature is, when it is surely no ONNX graph."""
    lower = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    signatures = (
        (not head, f"it is empty; {_INTERRUPTED}"),
        (head.startswith(b"version https://git-lfs"),
         "it is a Git LFS pointer, not the file; run `git lfs pull`"),
        (lower.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")),
         "it is a web page, not the file; the download failed or needs a login"),
        (_LEGACY_TORCH in head[:32],
         f"it is a pickle of torch.save before version 1.6, which runs code when it is read; {_EXPORT}"),
        (head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")),
         f"it is a Python pickle, which runs code when it is read; {_EXPORT}"),
        (head.startswith(b"\x89HDF"), "it is HDF5 (Keras); convert it with tf2onnx"),
        (head.startswith(b"\x93NUMPY"), f"it is a numpy array; {_EXPORT}"),
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


def _inside_zip(path: Path) -> tuple[str, str]:
    """Tell the kinds of archives apart; the content is listed, never loaded."""
    try:
        names = [entry.filename for entry in entries_of(path)]
        if is_exported(names):
            return "exported", f"program {printable(examine_exported(path).model)!r}"
    except DamagedArchive as damage:
        told = str(damage)
        if "its end is missing" in told:
            told = (
                "it begins as an archive (TorchScript or a weights file) but its end is missing or "
                f"damaged; {_INTERRUPTED}"
            )
        msg = f"{path.name} cannot be audited: {told}"
        raise CheckpointError(msg) from damage
    except Unusable as unusable:
        msg = f"{path.name} cannot be audited: {unusable}"
        raise CheckpointError(msg) from unusable
    tails = {entry.partition("/")[2] for entry in names}
    if "constants.pkl" in tails and any(tail.startswith("code/") for tail in tails):
        return "torchscript", "for mobile devices" if "bytecode.pkl" in tails else ""
    if "data.pkl" in tails:
        told = f"it is a state_dict or pickled module of torch.save, weights without a program; {_EXPORT}"
    elif names and all(entry.endswith(".npy") for entry in names):
        told = f"it is a numpy archive (npz); {_EXPORT}"
    elif "config.json" in names and any(entry.endswith(".h5") for entry in names):
        told = "it is a Keras archive; convert it with tf2onnx"
    elif any(entry.endswith((".pt", ".pth", ".onnx", ".ts")) for entry in names):
        told = "it is a zip archive that holds models; unpack it and name the file inside"
    else:
        told = f"it is a zip archive without a TorchScript program; {_EXPORT}"
    msg = f"{path.name} cannot be audited: {told}"
    raise CheckpointError(msg)


def _onnx(path: Path) -> Sniffed:
    try:
        found = outline(path)
    except Damaged as damage:
        raise CheckpointError(_why_no_onnx(path, damage)) from damage
    beside = external_files(path, found.pieces)
    detail = f"IR version {found.version}"
    detail += f", made by {printable(found.producer)}" if found.producer else ""
    digest, size = _digest(path), path.stat().st_size
    if beside:
        names = [part.relative_to(path.parent).as_posix() for part in beside]
        detail += f", weights in {', '.join(names)}"
        listed = [f"{_digest(part)} {name}" for part, name in zip(beside, names, strict=True)]
        digest = hashlib.sha256("\n".join([digest, *listed]).encode()).hexdigest()
        size += sum(part.stat().st_size for part in beside)
    return Sniffed("onnx", detail, digest, size)


def _why_no_onnx(path: Path, damage: Damaged) -> str:
    begins = _begins_as_onnx(path)
    if damage.missing and begins:
        short = f" at least {damage.missing} bytes of" if damage.missing > 1 else ""
        return (
            f"{path.name} cannot be audited: it begins as ONNX but{short} its end is missing; "
            f"{_INTERRUPTED}"
        )
    if begins:
        return f"{path.name} cannot be audited: it begins as ONNX but is damaged ({damage})"
    return f"{path.name} cannot be audited: it is neither TorchScript nor ONNX; {_EXPORT}"


def _begins_as_onnx(path: Path) -> bool:
    """Look for ir_version, field 1 and below 128, which every exporter writes first."""
    with path.open("rb") as file:
        head = file.read(3)
    return len(head) == 3 and head[0] == 0x08 and 1 <= head[1] < 0x80 and head[2] & 7 in (0, 2)
