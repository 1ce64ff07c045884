"""Messages between parent and child: a JSON header, and arrays in shared memory.

**Conventions.** A message is the length of its header (8 bytes, little endian), the header as JSON, and,
when it carries arrays, the descriptor of one anonymous memory file that holds them one after the
other. Nothing has a name, so nothing is left behind by a killed process. Where descriptors cannot travel
(Windows) the arrays follow the header in the stream. A sender of questions and answers may keep its memory
file (`SharedMemory`): making its pages anew for every message costs five times as much as the copy.

The child may be hostile. The receiver believes no number of the header; it reads the memory like a file,
because a mapping of it would end this process if the sender made it shorter meanwhile; and it waits until
one moment for the whole message, however slowly it comes.
"""

from __future__ import annotations

import json
import math
import os
import socket
import stat
import struct
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SharedMemory", "TransportError", "receive", "send"]

_MOST_HEADER = 1 << 20
_SHARED = hasattr(socket, "send_fds")
_MOST_DIMENSIONS = 8
_DTYPES = frozenset(
    np.dtype(kind).str
    for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
)


_MOST_KEPT = 64 << 20
"""Bytes of the largest memory file that is kept from message to message."""


class TransportError(Exception):
    """The other side is gone, or sent what is no message."""


class SharedMemory:
    """The memory file of one sender, written anew for each message.

    For talks of question and answer only: the other side has read a message before the next is sent.
    """

    def __init__(self) -> None:
        self._handle: int | None = None

    def close(self) -> None:
        """Give the memory back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def filled(self, views: Sequence[memoryview]) -> int:
        """Put bytes into it; the descriptor stays its own."""
        if self._handle is None:
            self._handle = _memory(views)
        else:
            _refill(self._handle, views)
        return self._handle


def send(
    channel: socket.socket,
    header: dict[str, Any],
    arrays: Sequence[NDArray[Any]] = (),
    *,
    deadline: float = math.inf,
    shared: bool = _SHARED,
    memory: SharedMemory | None = None,
) -> None:
    """Send one message.

    Parameters
    ----------
    channel : socket of a pair.
    header : what JSON can hold.
    arrays : of numbers.
    deadline : moment of `time.monotonic` by which everything must be sent.
    shared : through shared memory, where descriptors can travel; else in the stream.
    memory : of this sender, to be used again; a new one for this message when there is none, or when the
        arrays are larger than what is worth keeping.

    Raises
    ------
    TransportError
        When the other side is gone.
    TimeoutError
        When it does not take the message by the deadline.
    MemoryError
        When there is no memory for the arrays; nothing was sent.
    """
    described = [{"shape": list(array.shape), "dtype": array.dtype.str} for array in arrays]
    text = json.dumps({**header, "arrays": described}).encode()
    length = struct.pack("<Q", len(text))
    views = [_bytes_of(np.ascontiguousarray(array)) for array in arrays]
    handle, kept = None, memory is not None and sum(view.nbytes for view in views) <= _MOST_KEPT
    if arrays and shared:
        handle = memory.filled(views) if memory is not None and kept else _memory(views)
    try:
        channel.settimeout(_left(deadline))
        if handle is not None:
            socket.send_fds(channel, [length], [handle])
            views = []
        else:
            channel.sendall(length)
        channel.sendall(text)
        for view in views:
            channel.settimeout(_left(deadline))
            channel.sendall(view)
    except TimeoutError:
        raise
    except OSError as error:
        msg = f"the other process is gone ({error.strerror or error})"
        raise TransportError(msg) from error
    finally:
        if handle is not None and not kept:
            os.close(handle)


def receive(
    channel: socket.socket, *, deadline: float = math.inf, most_bytes: float = math.inf
) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Receive one message; the arrays are copies of this process.

    Parameters
    ----------
    channel : socket of a pair.
    deadline : moment of `time.monotonic` by which everything must have come.
    most_bytes : more bytes of arrays than this are refused.

    Raises
    ------
    TransportError
        When the other side is gone, or sent what is no message.
    TimeoutError
        When the message did not come by the deadline.
    """
    handles: list[int] = []
    try:
        first, handles = _first(channel, deadline)
        (length,) = struct.unpack("<Q", first)
        if length > _MOST_HEADER:
            msg = f"a header of {length} bytes is no header"
            raise TransportError(msg)
        text = bytearray(length)
        _fill(channel, memoryview(text), deadline)
        header = json.loads(text)
        if not isinstance(header, dict):
            msg = "the header of a message is no record"
            raise TransportError(msg)
        arrays = _empty_arrays(header.pop("arrays", []), most_bytes)
        views = [_bytes_of(array) for array in arrays]
        if handles:
            _read_memory(handles[0], views)
        else:
            for view in views:
                _fill(channel, view, deadline)
    except TimeoutError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        msg = f"the other process is gone, or sent no message ({error})"
        raise TransportError(msg) from error
    finally:
        for handle in handles:
            os.close(handle)
    return header, arrays


def _left(deadline: float) -> float | None:
    if math.isinf(deadline):
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _first(channel: socket.socket, deadline: float) -> tuple[bytes, list[int]]:
    """Receive the 8 bytes of the length, and the descriptor that may come with them."""
    channel.settimeout(_left(deadline))
    if _SHARED:
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        first, handles, _, _ = socket.recv_fds(channel, 8, 1, flags)
    else:
        first, handles = channel.recv(8), []
    if not first:
        msg = "the other process is gone"
        raise TransportError(msg)
    rest = bytearray(8 - len(first))
    try:
        _fill(channel, memoryview(rest), deadline)
    except BaseException:
        for handle in handles:
            os.close(handle)
        raise
    return first + rest, handles


def _fill(channel: socket.socket, view: memoryview, deadline: float) -> None:
    while view:
        channel.settimeout(_left(deadline))
        count = channel.recv_into(view)
        if not count:
            msg = "the other process is gone"
            raise TransportError(msg)
        view = view[count:]


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """View a contiguous array as bytes; a cast of the array itself refuses empty ones."""
    return array.reshape(-1).view(np.uint8).data


def _memory(views: Sequence[memoryview]) -> int:
    """Put bytes into an anonymous memory file."""
    try:
        if hasattr(os, "memfd_create"):
            handle = os.memfd_create("segaudit", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:  # has no name from the beginning
                handle = os.dup(file.fileno())
    except OSError as error:
        msg = f"no shared memory ({error.strerror})"
        raise MemoryError(msg) from error
    try:
        _refill(handle, views)
    except MemoryError:
        os.close(handle)
        raise
    return handle


def _refill(handle: int, views: Sequence[memoryview]) -> None:
    place = 0
    try:
        for whole in views:
            view = whole
            while view:
                count = os.pwrite(handle, view, place)
                view, place = view[count:], place + count
    except OSError as error:
        msg = f"no shared memory for {sum(view.nbytes for view in views)} bytes ({error.strerror})"
        raise MemoryError(msg) from error


def _empty_arrays(described: object, most_bytes: float) -> list[NDArray[Any]]:
    """Make room for the arrays that a header describes."""
    if not isinstance(described, list):
        msg = "the arrays of a message must be a list"
        raise TransportError(msg)
    kinds = [_kind(entry) for entry in described]
    needed = sum(math.prod(shape) * dtype.itemsize for shape, dtype in kinds)
    if needed > most_bytes:
        msg = f"the arrays of a message need {needed} bytes, more than the {most_bytes:.0f} allowed"
        raise TransportError(msg)
    return [np.empty(shape, dtype) for shape, dtype in kinds]


def _kind(entry: object) -> tuple[tuple[int, ...], np.dtype[Any]]:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    name = entry.get("dtype") if isinstance(entry, dict) else None
    if (
        not isinstance(shape, list)
        or len(shape) > _MOST_DIMENSIONS
        or not all(type(size) is int and size >= 0 for size in shape)
        or not isinstance(name, str)
        or name not in _DTYPES
    ):
        msg = "the arrays of a message are not described as arrays of numbers"
        raise TransportError(msg)
    return tuple(shape), np.dtype(name)


def _read_memory(handle: int, views: Sequence[memoryview]) -> None:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size < sum(view.nbytes for view in views):
        msg = "the arrays of a message do not fit its memory"
        raise TransportError(msg)
    with os.fdopen(os.dup(handle), "rb", buffering=0) as file:
        file.seek(0)
        for whole in views:
            view = whole
            while view:
                count = file.readinto(view)
                if not count:
                    msg = "the memory of a message became shorter"
                    raise TransportError(msg)
                view = view[count:]
