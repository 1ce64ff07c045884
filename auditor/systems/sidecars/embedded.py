"""Metadata that a checkpoint carries inside: read as bytes and JSON, nothing of it is run.

* ONNX: ``metadata_props`` with the key ``segaudit.contract`` (JSON with the keys input, output, window of
  a contract), or ``nnunet.plans``, ``nnunet.dataset`` and ``nnunet.configuration``;
* TorchScript: ``extra/metadata.json`` and ``extra/inference.json``, which a MONAI bundle puts there when
  it exports its network.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.documents import LARGEST_TEXT, json_content
from auditor.errors import CheckpointError, ConfigError
from auditor.systems.archive_listing import require_short_listing
from auditor.systems.onnx_file import metadata
from auditor.systems.reasons import one_line
from auditor.systems.sidecars.monai_bundle import read_bundle
from auditor.systems.sidecars.nnunet import pick_configuration, read_training
from auditor.systems.sidecars.records import Findings, shown

__all__ = ["read_embedded"]

_CONTRACT = "segaudit.contract"
_LONGEST_CONTRACT = 1 << 16
_PARTS = ("input", "output", "window")
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, NotImplementedError,
)  # fmt: skip


def read_embedded(path: Path) -> tuple[Findings, tuple[str, ...]]:
    """Read what a file carries about itself.

    Parameters
    ----------
    path : a regular file, of any kind.

    Returns
    -------
    What was found (nothing for most files; damaged metadata becomes a note), and the names of what was
    read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if head.startswith(b"PK"):
            return _from_archive(path)
        return _from_graph(path)
    except OSError:
        return Findings(), ()  # whoever opens the file says why


def _from_graph(path: Path) -> tuple[Findings, tuple[str, ...]]:
    told = metadata(path, wanted=_is_ours, most=LARGEST_TEXT)
    if not told:
        return Findings(), ()
    try:
        if _CONTRACT in told:
            return _contract(told[_CONTRACT]), (_CONTRACT,)
        known = {key.lower().replace("_", "."): value for key, value in told.items()}
        plans, dataset = known.get("nnunet.plans"), known.get("nnunet.dataset")
        dataset = dataset or known.get("nnunet.dataset.json")
        if plans is None or dataset is None:
            return Findings(), ()
        content = _object(json_content(plans, what="nnunet.plans"), "nnunet.plans")
        name = known.get("nnunet.configuration", b"").decode(errors="replace").strip(' "')
        described = _object(json_content(dataset, what="nnunet.dataset"), "nnunet.dataset")
        found = read_training(content, described, pick_configuration(content, name))
    except (ConfigError, CheckpointError, RecursionError) as error:
        return _unread(path, error), ()
    return found, ("nnunet.plans", "nnunet.dataset")


def _is_ours(key: str) -> bool:
    return key == _CONTRACT or key.lower().startswith("nnunet")


def _contract(text: bytes) -> Findings:
    if len(text) > _LONGEST_CONTRACT:
        msg = f"{_CONTRACT} must be at most {_LONGEST_CONTRACT >> 10} kB, it is longer"
        raise ConfigError(msg)
    content = json_content(text, what=_CONTRACT)
    if not _is_printable(content):
        msg = f"{_CONTRACT} must hold printable text only"
        raise ConfigError(msg)
    found = Findings()
    if not isinstance(content, Mapping) or not all(
        key in _PARTS and isinstance(value, Mapping) for key, value in content.items()
    ):
        msg = f"{_CONTRACT} must hold input, output and window, got {shown(content)}"
        raise ConfigError(msg)
    for part, values in content.items():
        getattr(found, part).update(values)
    return found


def _is_printable(content: object) -> bool:
    """Tell whether no text of a file would move the cursor of a terminal."""
    if isinstance(content, str):
        return content.isprintable()
    if isinstance(content, Mapping):
        return all(_is_printable(key) and _is_printable(value) for key, value in content.items())
    return not isinstance(content, list) or all(map(_is_printable, content))


def _from_archive(path: Path) -> tuple[Findings, tuple[str, ...]]:
    texts: dict[str, bytes] = {}
    named = False
    try:
        require_short_listing(path)
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                tail = entry.filename.partition("/")[2]
                if tail in ("extra/metadata.json", "extra/inference.json"):
                    named = True
                    texts[tail.removeprefix("extra/")] = _bounded(archive, entry)
        if "metadata.json" not in texts:
            return Findings(), ()
        content = {
            name: _object(json_content(text, what=name), name) for name, text in texts.items()
        }
    except (*_DAMAGED, ConfigError) as error:
        return (_unread(path, error) if named else Findings()), ()
    found = read_bundle(content["metadata.json"], content.get("inference.json"))
    return found, tuple(sorted(texts))


def _bounded(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:
        content = file.read(LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        msg = f"{entry.filename.rpartition('/')[2]} must be at most {LARGEST_TEXT >> 20} MB of text"
        raise ConfigError(msg)
    return content


def _object(content: object, name: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        msg = f"{name} must hold keys and values, got {shown(content)}"
        raise ConfigError(msg)
    return content


def _unread(path: Path, error: Exception) -> Findings:
    found = Findings()
    found.note(
        f"metadata inside {path.name} could not be read and counts for nothing: {one_line(error, 300)}"
    )
    return found
