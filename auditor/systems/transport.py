"""Messages between parent and child: a JSON header, and arrays in shared memory.

**Conventions.** A message is the length of its header (8 bytes, little endian), the header as JSON, and,
when it carries arrays, the descriptor of one anonymous memory file that holds them one after the
other. Nothing has a name, so nothing is left behind by a killed process. The receiver believes no
number of the header: sizes are compared with the memory that came.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import socket
import struct
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TransportError", "receive", "send"]

_MOST_HEADER = 1 << 20


class TransportError(Exception):
    """The other side is gone, or sent what is no message."""


def send(
    channel: socket.socket, header: dict[str, Any], arrays: Sequence[NDArray[Any]] = ()
) -> None:
    """Send one message.

    Raises
    ------
    TransportError
        When the other side is gone.
    """
    described = [{"shape": list(array.shape), "dtype": array.dtype.str} for array in arrays]
    text = json.dumps({**header, "arrays": described}).encode()
    try:
        if not arrays:
            channel.sendall(struct.pack("<Q", len(text)) + text)
            return
        handle = _memory(sum(array.nbytes for array in arrays))
        try:
            with os.fdopen(os.dup(handle), "wb", buffering=0) as file:
                for array in arrays:
                    _write_all(file.fileno(), np.ascontiguousarray(array).data.cast("B"))
            socket.send_fds(channel, [struct.pack("<Q", len(text))], [handle])
            channel.sendall(text)
        finally:
            os.close(handle)
    except OSError as error:
        msg = f"the other process is gone ({error.strerror or error})"
        raise TransportError(msg) from error


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Receive one message; the arrays are copies of this process.

    Raises
    ------
    TransportError
        When the other side is gone, or sent what is no message.
    TimeoutError
        When nothing came within the timeout of the channel.
    """
    try:
        first, handles, _, _ = socket.recv_fds(channel, 8, 1)
        if not first:
            msg = "the other process is gone"
            raise TransportError(msg)
        first += _exactly(channel, 8 - len(first))
        (length,) = struct.unpack("<Q", first)
        if length > _MOST_HEADER:
            msg = f"a header of {length} bytes is no header"
            raise TransportError(msg)
        header = json.loads(_exactly(channel, length))
    except TimeoutError:
        raise
    except (OSError, ValueError) as error:
        msg = f"the other process is gone ({error})"
        raise TransportError(msg) from error
    try:
        return header, _arrays(header.pop("arrays", []), handles)
    finally:
        for handle in handles:
            os.close(handle)


def _memory(size: int) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("segaudit", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:  # unlinked at once
        file.truncate(max(1, size))
        file.seek(0)
        return os.dup(file.fileno())


def _write_all(handle: int, view: memoryview) -> None:
    while view:
        view = view[os.write(handle, view) :]


def _exactly(channel: socket.socket, count: int) -> bytes:
    parts = []
    while count > 0:
        part = channel.recv(min(count, 1 << 16))
        if not part:
            msg = "the other process is gone"
            raise TransportError(msg)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _arrays(described: list[dict[str, Any]], handles: Sequence[int]) -> list[NDArray[Any]]:
    if not described:
        return []
    try:
        kinds = [(tuple(map(int, it["shape"])), np.dtype(it["dtype"])) for it in described]
        needed = sum(math.prod(shape) * dtype.itemsize for shape, dtype in kinds)
    except (KeyError, TypeError, ValueError) as error:
        msg = "the arrays of a message are not described as arrays"
        raise TransportError(msg) from error
    plain = not any(dtype.hasobject for _, dtype in kinds)
    if not handles or not plain or not 0 < needed <= os.fstat(handles[0]).st_size:
        msg = "the arrays of a message do not fit its memory"
        raise TransportError(msg)
    arrays, offset = [], 0
    with mmap.mmap(handles[0], needed, access=mmap.ACCESS_READ) as memory:
        for shape, dtype in kinds:
            count = math.prod(shape)
            view = np.frombuffer(memory, dtype, count, offset)
            arrays.append(view.reshape(shape).copy())
            del view  # a memory map cannot be closed while it is looked at
            offset += count * dtype.itemsize
    return arrays
