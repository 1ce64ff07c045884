from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from auditor.systems import transport
from auditor.systems.transport import SharedMemory, TransportError, receive, send

Pair = tuple[socket.socket, socket.socket]
ARRAYS: list[NDArray[Any]] = [
    np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    np.zeros((3, 0), np.int64),
    np.array([1.5, np.nan, np.inf], np.float16),
    np.arange(6, dtype=np.uint8).reshape(2, 3)[:, ::2],
]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def soon() -> float:
    return time.monotonic() + 0.3


def described(**changes: Any) -> bytes:
    entry = {"shape": [2], "dtype": "<f4", **changes}
    text = json.dumps({"arrays": [entry]}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize("shared", [True, False])
def test_messages_arrive_as_they_were_sent(pair: Pair, shared: Any) -> None:
    ours, theirs = pair
    send(ours, {"word": "Grüße"}, ARRAYS, shared=shared)
    send(ours, {"number": 2})
    header, arrays = receive(theirs, deadline=soon())
    assert header == {"word": "Grüße"}
    for sent, come in zip(ARRAYS, arrays, strict=True):
        assert (sent.dtype, sent.shape) == (come.dtype, come.shape)
        assert np.array_equal(sent, come, equal_nan=sent.dtype.kind == "f")
        assert come.flags.writeable
    assert receive(theirs, deadline=soon()) == ({"number": 2}, [])


def test_a_memory_file_that_is_used_again_carries_each_message_and_nothing_of_the_last(
    pair: Pair,
) -> None:
    ours, theirs = pair
    memory = SharedMemory()
    own = Path("/proc/self/fd")
    before = len(list(own.iterdir())) if own.is_dir() else 0
    for sizes in ((5, 3), (2,), (), (7, 1, 4)):  # larger, smaller, none at all, larger again
        arrays = [np.full(size, size, np.float32) for size in sizes]
        send(ours, {}, arrays, memory=memory)
        for sent, come in zip(arrays, receive(theirs, deadline=soon())[1], strict=True):
            assert np.array_equal(sent, come)
    if before:
        assert len(list(own.iterdir())) == before + 1  # one, however many messages
    memory.close()
    memory.close()
    send(ours, {}, [np.ones(3)], memory=memory)  # begins anew after it was closed
    assert receive(theirs, deadline=soon())[1][0].tolist() == [1, 1, 1]
    memory.close()


def test_a_memory_file_that_the_other_side_made_shorter_or_longer_is_written_in_full(
    pair: Pair,
) -> None:
    ours, theirs = pair
    memory = SharedMemory()
    send(ours, {}, [np.ones(1000)], memory=memory)
    length, (stolen,), _, _ = socket.recv_fds(theirs, 8, 1)
    theirs.recv(*struct.unpack("<Q", length))  # the header of that message
    for size in (0, 1 << 20):
        os.ftruncate(stolen, size)
        os.lseek(stolen, 17, os.SEEK_SET)  # the place of reading is shared, too
        send(ours, {}, [np.arange(1000.0)], memory=memory)
        assert np.array_equal(receive(theirs, deadline=soon())[1][0], np.arange(1000.0))
    os.close(stolen)
    memory.close()


def test_memory_that_is_too_large_to_be_kept_is_given_back(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_MOST_KEPT", 1000)
    ours, theirs = pair
    memory = SharedMemory()
    for count in (100, 400, 100):
        send(ours, {}, [np.arange(count, dtype=np.float32)], memory=memory)
        (_, (come,)) = receive(theirs, deadline=soon())
        assert np.array_equal(come, np.arange(count))
        assert memory._handle is not None
        assert os.fstat(memory._handle).st_size == 400  # of 100 numbers, never of 400
    memory.close()


def test_large_arrays_pass_in_the_stream(pair: Pair) -> None:
    ours, theirs = pair
    large = np.arange(1 << 20, dtype=np.float32)
    sender = threading.Thread(target=send, args=(ours, {}, [large]), kwargs={"shared": False})
    sender.start()
    _, (come,) = receive(theirs, deadline=time.monotonic() + 10)
    sender.join()
    assert np.array_equal(come, large)


@pytest.mark.parametrize(
    "message",
    [
        struct.pack("<Q", 1 << 40),
        struct.pack("<Q", 3) + b"{,}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 13) + b'{"arrays": 3}',
        described(shape=[-2, -3]),
        described(shape=["2"]),
        described(shape=[True]),
        described(shape=[1] * 40),
        described(shape=[1 << 60, 1 << 60]),
        described(dtype="|O"),
        described(dtype="<f4,<f4"),
        described(dtype=["<f4"]),
        described(dtype="<f9"),
        described(dtype=None),
    ],
)
def test_what_is_no_message_is_refused(pair: Pair, message: bytes) -> None:
    ours, theirs = pair
    ours.sendall(message)
    with pytest.raises(TransportError):
        receive(theirs, deadline=soon(), most_bytes=1 << 20)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(content)
        with pytest.raises(TransportError):
            receive(theirs, deadline=soon(), most_bytes=1 << 20)


def test_memory_that_is_shorter_than_announced_is_refused(pair: Pair) -> None:
    ours, theirs = pair
    handle = os.memfd_create("short")
    try:
        os.write(handle, b"1234567")  # two numbers need 8 bytes
        message = described()
        socket.send_fds(ours, [message[:8]], [handle])
        ours.sendall(message[8:])
    finally:
        os.close(handle)
    with pytest.raises(TransportError, match="do not fit its memory"):
        receive(theirs, deadline=soon())


def test_a_pipe_instead_of_memory_is_refused_without_reading_it(pair: Pair) -> None:
    ours, theirs = pair
    reading, writing = os.pipe()  # reading it would wait for ever
    try:
        message = described()
        socket.send_fds(ours, [message[:8]], [reading])
        ours.sendall(message[8:])
        before = len(os.listdir("/dev/fd"))  # noqa: PTH208  # names only
        with pytest.raises(TransportError, match="do not fit its memory"):
            receive(theirs, deadline=soon())
        assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208  # names only
    finally:
        os.close(reading)
        os.close(writing)


def test_a_message_that_comes_drop_by_drop_does_not_move_the_deadline(pair: Pair) -> None:
    ours, theirs = pair
    stop = threading.Event()

    def drip() -> None:
        for byte in struct.pack("<Q", 1000) + b"{" * 900:
            if stop.is_set():
                return
            ours.sendall(bytes([byte]))
            time.sleep(0.02)

    dripping = threading.Thread(target=drip)
    dripping.start()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        receive(theirs, deadline=soon())
    assert time.monotonic() - started < 2
    stop.set()
    dripping.join()


def test_sending_to_somebody_who_does_not_listen_ends_at_the_deadline(pair: Pair) -> None:
    ours, _ = pair
    with pytest.raises(TimeoutError):
        send(ours, {}, [np.zeros(1 << 22)], deadline=soon(), shared=False)


def test_sending_to_nobody_says_so(pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(TransportError, match="gone"):
        send(ours, {}, [np.zeros(3)])
    with pytest.raises(TransportError, match="gone"):
        receive(ours, deadline=soon())
