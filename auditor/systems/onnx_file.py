"""What the bytes of an ONNX file announce, read without onnx, onnxruntime or any of its weights.

ONNX has no signature: a file is one protobuf message (ModelProto of ``onnx.proto``), so only its fields
can tell it from anything else. Walking them also finds files that end too early, and the files beside
it that hold its weights.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Damaged", "External", "Outline", "metadata", "outline"]

_Bytes = bytes | mmap.mmap

_MODEL = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
"""Field numbers of ModelProto and their wire types (0 a number, 2 with a length)."""

_INSIDE: dict[str, dict[int, str]] = {
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Fields through which a tensor can be reached; all others are stepped over."""

_FIXED = {1: 8, 5: 4}
_DEEPEST = 100
_MOST_FIELDS = 4_000_000
"""Walked in some seconds; a network of ten thousand operators has a tenth of them."""
_MOST_EXTERNAL = 100_000

_ITEM_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64,
    15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4,
}  # fmt: skip
"""By the numbers of TensorProto.DataType: 1 is float."""


class Damaged(ValueError):
    """The fields of a message do not fit together, or are none of ONNX."""

    def __init__(self, message: str = "", *, missing: int = 0) -> None:
        self.missing = missing
        """Bytes that an announced field is short of; 0: not truncated, something else."""
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class External:
    """Where one tensor says that its values lie."""

    tensor: str
    """Its name; empty when it has none."""
    location: str
    """File, as the graph writes it."""
    offset: int
    """First byte; 0 when not announced."""
    length: int
    """Bytes; 0 when not announced."""
    needed: int
    """Bytes that its sizes and type need; 0 when they cannot be told."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What a file announces."""

    version: int
    """IR version."""
    producer: str
    """Name and version of the exporter; empty when it does not say."""
    pieces: tuple[External, ...] = ()
    """Weights outside the file, in the order in which they were found."""

    @property
    def external(self) -> tuple[str, ...]:
        """Locations of weights outside the file, as the file writes them; sorted, each once."""
        return tuple(sorted({piece.location for piece in self.pieces}))


def outline(path: Path) -> Outline:
    """Walk the fields of a file.

    Parameters
    ----------
    path : Path
        A regular file that is not empty.

    Raises
    ------
    Damaged
        When it is no ONNX model, or a truncated one.
    OSError
        When it cannot be read.
    """
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return _outline(data, len(data))


def _outline(data: _Bytes, size: int) -> Outline:
    version, graphs, operators = 0, 0, 0
    producer: dict[int, str] = {}
    pieces: list[External] = []
    left = _Left(_MOST_FIELDS)
    for number, wire, value, stop in _fields(data, 0, size, left, known=_MODEL):
        if number == 1:
            version = value
        elif number == 8:
            operators += 1
        elif number in (2, 3):
            producer[number] = data[value : min(stop, value + 80)].decode(errors="replace")
        elif number in (7, 25) and wire == 2:
            graphs += number == 7 and stop > value
            kind = "graph" if number == 7 else "function"
            pieces += _external(data, value, stop, kind, left)
    if not version or not graphs or not operators:
        msg = "no graph" if not graphs else "no version of its operators"
        raise Damaged(msg)
    made_by = " ".join(producer[key] for key in sorted(producer) if producer[key])
    return Outline(version, made_by, tuple(pieces))


def _external(data: _Bytes, start: int, stop: int, kind: str, left: _Left) -> list[External]:
    """Collect the tensors under one message that lie elsewhere, with a stack no deeper than it."""
    found: list[External] = []
    stack = [(kind, _fields(data, start, stop, left))]
    while stack:
        here, fields = stack[-1]
        field = next(fields, None)
        if field is None:
            stack.pop()
            continue
        number, wire, value, last = field
        inner = _INSIDE[here].get(number) if wire == 2 else None
        if inner == "tensor":
            found += _elsewhere(data, value, last, left)
        elif inner is not None:
            stack.append((inner, _fields(data, value, last, left)))
        if len(stack) > _DEEPEST or len(found) > _MOST_EXTERNAL:
            msg = "graphs nested too deep, or too many weights beside it"
            raise Damaged(msg)
    return found


def _elsewhere(data: _Bytes, start: int, stop: int, left: _Left) -> list[External]:
    """Read one TensorProto; a list of one when its values lie outside the file."""
    dims: list[int] = []
    kind, name, told = 0, "", dict[str, str]()
    for number, wire, value, last in _fields(data, start, stop, left):
        if number == 1 and len(dims) <= _DEEPEST:
            dims += [value] if wire == 0 else _packed(data, value, last)
        elif number == 2 and wire == 0:
            kind = value
        elif number == 8 and wire == 2:
            name = data[value : min(last, value + 80)].decode(errors="replace")
        elif number == 13 and wire == 2:
            key, text = _entry(data, value, last, left)
            if key in told:
                msg = f"weights with two entries {key!r}"
                raise Damaged(msg)
            told[key] = text
    if "location" not in told:
        return []
    count = math.prod(dims) if len(dims) <= _DEEPEST and all(dim < 1 << 63 for dim in dims) else 0
    needed = (count * _ITEM_BITS.get(kind, 0) + 7) // 8
    offset, length = _whole(told.get("offset", "0")), _whole(told.get("length", "0"))
    return [External(name, told["location"], offset, length, needed)]


def _packed(data: _Bytes, position: int, stop: int) -> list[int]:
    values: list[int] = []
    while position < stop and len(values) <= _DEEPEST:
        value, position = _varint(data, position, stop)
        values.append(value)
    return values


def _entry(data: _Bytes, start: int, stop: int, left: _Left) -> tuple[str, str]:
    """One StringStringEntryProto of external_data: key 1, value 2."""
    texts = {
        number: data[value:last].decode(errors="replace")
        for number, wire, value, last in _fields(data, start, stop, left)
        if wire == 2 and number in (1, 2) and last - value < 4096
    }
    return texts.get(1, ""), texts.get(2, "")


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,20}", text, re.ASCII):
        msg = "weights whose offset or length is no number"
        raise Damaged(msg)
    return int(text)


@dataclass(slots=True)
class _Left:
    """What may still be walked of one file, however its fields are nested."""

    fields: int
    """So many more."""


def _fields(
    data: _Bytes, start: int, stop: int, left: _Left, *, known: dict[int, int] | None = None
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (number, wire type, value or first byte, end) of each field between two bytes."""
    position = start
    while position < stop:
        left.fields -= 1
        if left.fields < 0:
            msg = f"too many fields: more than {_MOST_FIELDS}, which no network has"
            raise Damaged(msg)
        key, position = _varint(data, position, stop)
        number, wire = key >> 3, key & 7
        if known is not None and known.get(number) != wire:
            msg = f"no field {number} of wire type {wire}"
            raise Damaged(msg)
        if wire == 0:
            value, position = _varint(data, position, stop)
            yield number, wire, value, position
            continue
        if wire == 2:
            length, position = _varint(data, position, stop)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            msg = f"no wire type {wire}"
            raise Damaged(msg)
        if position + length > stop:
            msg = "a field is longer than its message"
            raise Damaged(msg, missing=position + length - stop)
        yield number, wire, position, position + length
        position += length


def _varint(data: _Bytes, position: int, stop: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= stop:
            msg = "a number is cut off"
            raise Damaged(msg, missing=1)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    msg = "a number has more than ten bytes"
    raise Damaged(msg)


def metadata(path: Path, *, wanted: Callable[[str], bool], most: int) -> dict[str, bytes]:
    """Read texts that an exporter or its user stored in a file (``metadata_props``).

    Parameters
    ----------
    path : Path
        A regular file.
    wanted : callable
        Tells whether a key is of interest.
    most : int
        Bytes; longer values are left out, and so is everything after so many bytes of them.

    Returns
    -------
    dict of str to bytes
        Values by key; empty when the file is no ONNX model.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    found: dict[str, bytes] = {}
    left, fields = most, _Left(_MOST_FIELDS)
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            for number, wire, value, stop in _fields(data, 0, len(data), fields, known=_MODEL):
                if number != 14 or wire != 2:
                    continue
                entry = {
                    n: (v, last) for n, w, v, last in _fields(data, value, stop, fields) if w == 2
                }
                if 1 not in entry or 2 not in entry or entry[1][1] - entry[1][0] > 200:
                    continue
                key = data[slice(*entry[1])].decode(errors="replace")
                size = entry[2][1] - entry[2][0]
                if wanted(key) and size <= left:
                    found[key] = data[slice(*entry[2])]
                    left -= size
    except ValueError:  # Damaged, or nothing to map
        return {}
    return found
