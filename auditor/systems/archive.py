"""Look into a TorchScript archive before torch loads it; runs in the child, behind its limits.

torch fills weights whose record is shorter than announced with whatever memory holds, without a word,
so every announced size is compared with its record. The pickles are read with stand-ins for every
class: nothing is imported. The search of the code for calls that a network has no need of gives the
report something to say; it is no barrier, the sandbox is.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

from auditor.systems.answers import Refusal

__all__ = ["examine_archive"]

_ITEM_BYTES = {
    "BoolStorage": 1, "ByteStorage": 1, "CharStorage": 1, "QInt8Storage": 1, "QUInt8Storage": 1,
    "HalfStorage": 2, "BFloat16Storage": 2, "ShortStorage": 2,
    "FloatStorage": 4, "IntStorage": 4, "QInt32Storage": 4,
    "DoubleStorage": 8, "LongStorage": 8, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
    "UInt16Storage": 2, "UInt32Storage": 4, "UInt64Storage": 8, "ComplexHalfStorage": 4,
}  # fmt: skip

_CALLS = (
    (r"\b(torch\.from_file|aten\.from_file)\(", "its code reads files"),
    (r"\b(torch\.save|aten\.save)\(", "its code writes files"),
    (r"\bprim\.rpc_|\brpc_(sync|async|remote)\b", "its code calls other processes"),
    (r"\bdef __setstate__\(", "its code runs while it is loaded (__setstate__)"),
    (r"\b__torch__\.torch\.classes\.(?!quantized\b)", "its code needs classes of another library"),
)
_MOST_CODE = 1 << 24

_OPERATOR = re.compile(r"\bops\.(\w+)\.\w+\(")
_OWN = frozenset(
    {"aten", "prim", "prims", "quantized", "_quantized", "prepacked", "sparse", "mkldnn", "mkl",
     "mkldnn_prepacked", "onednn", "xnnpack", "profiler", "inductor", "static_runtime", "_caffe2"}
)  # fmt: skip
"""Libraries of operators that come with torch."""


def examine_archive(path: Path) -> tuple[str, ...]:
    """Compare announced weights with their records, and search the code.

    Parameters
    ----------
    path : Path
        A TorchScript archive.

    Returns
    -------
    tuple of str
        Findings for the report, sorted; none for an ordinary network.

    Raises
    ------
    Refusal
        When a record of weights is missing or shorter than announced, or an entry occurs twice.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        sizes = {entry.filename: entry.file_size for entry in entries}
        if len(sizes) < len(entries):
            msg = "the archive must hold every entry once, it holds one twice"
            raise Refusal(msg)
        prefix = entries[0].filename.partition("/")[0]
        findings = set()
        for part in ("data", "constants"):
            content = (
                archive.read(f"{prefix}/{part}.pkl") if f"{prefix}/{part}.pkl" in sizes else b""
            )
            findings |= _compare(content, sizes, f"{prefix}/{part}")
        findings |= _search(archive, [it for it in entries if it.filename.endswith(".py")])
    return tuple(sorted(findings))


def _compare(content: bytes, sizes: dict[str, int], folder: str) -> set[str]:
    if not content:
        return set()
    reader = _Inert(content)
    try:
        reader.load()
    except Refusal:
        raise
    except Exception:  # noqa: BLE001  # torch judges the pickle itself; this only looks beside it
        return {"the announced sizes of its weights could not be compared with their records"}
    for key, kind, count in reader.storages:
        # types that are not listed have one byte at least
        announced = count * _ITEM_BYTES.get(kind, 1)
        found = sizes.get(f"{folder}/{key}")
        if found is None or found < announced:
            held = "is missing" if found is None else f"holds {found}"
            msg = (
                f"the weights {key!r} must hold {announced} bytes as announced, their record {held}; "
                "the file is damaged"
            )
            raise Refusal(msg)
    return set()


def _search(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> set[str]:
    found, left = set(), _MOST_CODE
    for entry in entries:
        left -= entry.file_size
        if left < 0:
            found.add("its code is too long to be searched")
            break
        text = archive.read(entry).decode(errors="replace")
        found |= {told for pattern, told in _CALLS if re.search(pattern, text)}
        foreign = sorted(set(_OPERATOR.findall(text)) - _OWN)[:5]
        found |= {f"its code calls operators of another library ({name[:40]})" for name in foreign}
    return found


class _StandIn:
    """Takes the place of every class and function that a pickle names; does nothing."""

    def __init__(self, *given: object) -> None:
        del given

    def __call__(self, *given: object) -> _StandIn:
        return _StandIn(*given)

    def __setstate__(self, state: object) -> None:
        """Take no state."""

    def __setitem__(self, key: object, value: object) -> None:
        """Hold no item."""

    def append(self, value: object) -> None:
        """Hold no value."""

    def extend(self, values: list[object]) -> None:
        """Hold no values."""


class _Inert(pickle.Unpickler):
    """Reads a pickle and imports nothing; collects the weights that it announces."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.storages: list[tuple[str, str, int]] = []

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  # as in the base class
        return type(name, (_StandIn,), {"__module__": module})

    def persistent_load(self, pid: Any) -> _StandIn:  # noqa: ANN401  # as in the base class
        if isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage":
            kind = getattr(pid[1], "__name__", "")
            if isinstance(pid[4], int):
                self.storages.append((str(pid[2]), kind, pid[4]))
        return _StandIn()
