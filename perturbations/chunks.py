"""Work on pieces of fixed size, on as many threads as torch may use.

Cutting by a fixed size, and never by the number of threads, keeps every bit: vectorised loops and
matrix products give other last bits for other shapes and for other numbers of threads inside one call.
So each piece is computed on one thread, in one order, and threads only decide which piece comes when.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "CHUNK",
    "drawn_field",
    "elementwise",
    "empty",
    "extremes",
    "finite",
    "forget",
    "magnitude",
    "same",
    "scratch",
    "spread",
    "unit_field",
]

CHUNK = 1 << 18
"""Values of one piece: 1 MB in float32, so that a few of them stay in a core's cache."""

_FIELD_CHUNK = 1 << 20
"""Values that one random generator draws; part of what a seed means, never to be changed."""

_FIELD_PIECE = 1 << 17
"""Values drawn at a time, few enough to stay in a core's cache; part of what a seed means as well."""

_inside = threading.local()

_SPARES = 2
"""Volumes whose memory is kept: the one before and the one that is replaced by the next."""

_SPARE_FROM = 1 << 18
"""Values of a volume whose memory is worth keeping."""

_spare: list[NDArray[np.float32]] = []
_lock = threading.RLock()


def _alone() -> None:
    """Work on one thread in a forked child: it would wait for ever for threads that it has not."""
    _lock.release()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    # held while the process forks, so that no other thread leaves it locked in the child
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_alone)


def spread(work: Callable[[int, int], None], count: int, size: int = CHUNK) -> None:
    """Run `work(start, stop)` on every piece of `range(count)`.

    Parameters
    ----------
    work : function of two int
        Must write its own piece only. Runs on one thread, and torch inside it on one as well.
    count : int
        Number of values, rows or slices.
    size : int
        Of one piece; a constant of the caller, for bits depend on it.
    """
    threads = min(torch.get_num_threads(), -(-count // size))
    starts = iter(range(0, count, size))
    if threads <= 1 or getattr(_inside, "pool", False):
        previous = torch.get_num_threads()
        if previous > 1 and not getattr(_inside, "pool", False):
            torch.set_num_threads(1)
        try:
            for start in starts:
                work(start, min(start + size, count))
        finally:
            if torch.get_num_threads() != previous:
                torch.set_num_threads(previous)
        return
    turn = threading.Lock()

    def share() -> None:
        # threads take the next piece when they are free: one that was held up delays nothing
        while True:
            with turn:
                start = next(starts, None)
            if start is None:
                return
            work(start, min(start + size, count))

    # the caller takes its share too: it is awake already, which a thread of the pool is some 50 us later
    own = torch.get_num_threads()
    others = [_pool(own, os.getpid()).submit(share) for _ in range(threads - 1)]
    torch.set_num_threads(1)
    _inside.pool = True
    try:
        share()
    finally:
        _inside.pool = False
        torch.set_num_threads(own)
        failed = [error for error in (other.exception() for other in others) if error is not None]
    for error in failed:
        raise error


def elementwise(
    function: Callable[..., None], out: Tensor, *volumes: Tensor, size: int = CHUNK
) -> Tensor:
    """Fill `out` piece by piece: `function(piece of out, pieces of the volumes ...)`.

    Parameters
    ----------
    function : function of 1-D tensors
        Writes the first; pieces are views, so that torch operations with `out=` allocate nothing.
    out : Tensor
        Contiguous; also one of the volumes, when it is to be changed in place.
    volumes : Tensor
        Contiguous, each with as many values as `out`.

    Returns
    -------
    out
    """
    target = out.view(-1)
    sources = [volume.reshape(-1) for volume in volumes]

    def piece(start: int, stop: int) -> None:
        function(target[start:stop], *(source[start:stop] for source in sources))

    spread(piece, target.numel(), size)
    return out


def empty(shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Allocate a float32 volume of any content, in memory that an earlier one has left if there is some.

    A new volume costs more in page faults than in arithmetic. Memory of a volume that nobody holds any more
    is therefore kept for the next one, of two volumes at most; see `forget`. New memory comes from numpy,
    which asks for huge pages where torch does not.
    """
    count = math.prod(shape)
    if count < _SPARE_FROM:
        return torch.from_numpy(np.empty(tuple(shape), dtype=np.float32))
    return torch.from_numpy(np.asarray(_Lease(count))).view(tuple(shape))


class _Lease:
    """Memory of one volume; whatever looks at it holds the lease, and when nothing does it is left over."""

    def __init__(self, count: int) -> None:
        self._memory = _left_over(count)
        self.__array_interface__ = {**self._memory.__array_interface__, "shape": (count,)}

    def __del__(
        self, lock: threading.RLock = _lock, spare: list[NDArray[np.float32]] = _spare
    ) -> None:
        # the names of a module may be gone when the interpreter ends, so they are arguments; a collector may
        # call this in the middle of `_left_over`, on the thread that holds the lock
        with lock:
            spare.append(self._memory)
            if len(spare) > _SPARES:
                spare.pop(0)


def _left_over(count: int) -> NDArray[np.float32]:
    """Take memory that is large enough and not much larger, or allocate some."""
    with _lock:
        for place, memory in enumerate(_spare):
            if count <= memory.size <= 1.25 * count:
                return _spare.pop(place)
    return np.empty(count, dtype=np.float32)


def forget() -> None:
    """Give the memory that is kept for the next volumes back to the system."""
    _spare.clear()


def scratch(shape: torch.Size | tuple[int, ...], slot: int = 0) -> Tensor:
    """Lend this thread's own buffer, for what a piece of work holds for a moment.

    Memory that is given back after each piece comes back as new pages, whose faults cost more than the
    work on them.

    Parameters
    ----------
    shape : tuple of int
        A few MB at most: the largest that was asked for is kept.
    slot : int
        Another slot is another buffer.

    Returns
    -------
    float32, contiguous, of any content; until the same thread asks for the same slot again.
    """
    count = math.prod(shape)
    # memory and no tensor is kept: one made in inference mode could not be written to outside it
    held: dict[int, NDArray[np.float32]] = _inside.__dict__.setdefault("held", {})
    if slot not in held or held[slot].size < count:
        held[slot] = np.empty(count, dtype=np.float32)
    return torch.from_numpy(held[slot][:count]).view(shape)


def extremes(values: Tensor) -> tuple[float, float]:
    """Return the smallest and the largest value of a contiguous volume; NaN when there is one.

    In pieces: the threads that torch starts for a whole volume wait for each other in a busy loop, which
    on cores in use takes longer than the work.
    """
    flat = values.reshape(-1)
    found = torch.empty(2, -(-flat.numel() // CHUNK))

    def piece(start: int, stop: int) -> None:
        low, high = torch.aminmax(flat[start:stop])
        found[0, start // CHUNK], found[1, start // CHUNK] = low, high

    spread(piece, flat.numel())
    return float(found[0].min()), float(found[1].max())


def finite(values: Tensor) -> bool:
    """Tell whether a contiguous volume holds neither NaN nor infinity.

    A sum of squares is not finite when one of its terms is not; one of finite terms that overflows is
    looked at twice. Of all reductions the product of a vector with itself is the fastest.
    """
    flat = values.reshape(-1)
    doubtful: list[int] = []

    def piece(start: int, stop: int) -> None:
        part = flat[start:stop]
        if not math.isfinite(float(torch.dot(part, part))):
            doubtful.append(start)

    spread(piece, flat.numel())
    return all(bool(torch.isfinite(flat[start : start + CHUNK]).all()) for start in doubtful)


def same(one: Tensor, other: Tensor, slack: float) -> bool:
    """Tell whether two contiguous volumes of a shape agree to a slack, up to the first that does not.

    By NumPy: torch would start threads of its own for each comparison.
    """
    first, second = one.reshape(-1).numpy(), other.reshape(-1).numpy()
    start, size = 0, 1 << 12
    while start < first.size:
        pair = first[start : start + size], second[start : start + size]
        if not np.array_equal(*pair):
            with np.errstate(over="ignore"):
                difference = float(np.abs(pair[0] - pair[1]).max())
            if difference > slack:
                return False
        start, size = start + size, CHUNK
    return True


def magnitude(out: Tensor, other: Tensor, unit: float) -> None:
    """Write sqrt(out^2 + other^2) into `out`; `other` may be changed.

    Three times as fast as `torch.hypot`, whose care for squares beyond float32 `unit` takes over.

    Parameters
    ----------
    out, other : of one shape
    unit : float
        Power of two that values are divided by before they are squared, see `Scan.square_unit`.
    """
    if unit != 1.0:
        out.div_(unit)
        other.div_(unit)
    out.mul_(out).addcmul_(other, other).sqrt_()
    if unit != 1.0:
        out.mul_(unit)


def unit_field(shape: torch.Size | tuple[int, ...], generator: np.random.Generator) -> Tensor:
    """Draw a standard normal field, float32.

    Chunks of fixed size have a bit generator each, so that any number of threads, and any order, gives
    the same field.

    Notes
    -----
    Box & Muller 1958 (doi 10.1214/aoms/1177706645): two uniform numbers u, v make the two normal
    numbers sqrt(-2 ln u) cos(2 pi v) and sqrt(-2 ln u) sin(2 pi v). NumPy has vector instructions for
    each step, so that this takes a quarter of the time of its own `standard_normal`. u has 32 bits:
    the largest value is sqrt(64 ln 2) = 6.66, beyond which lie 3e-11 of a normal distribution.
    """

    def draw(out: NDArray[np.float32], bits: np.random.SFC64) -> None:
        for first in range(0, out.size, _FIELD_PIECE):
            _box_muller(out[first : first + _FIELD_PIECE], bits)

    return drawn_field(shape, generator, draw)


def drawn_field(
    shape: torch.Size | tuple[int, ...],
    generator: np.random.Generator,
    draw: Callable[[NDArray[np.float32], np.random.SFC64], None],
) -> Tensor:
    """Draw a field, float32, in chunks of fixed size that have a bit generator each.

    Parameters
    ----------
    shape : tuple of int
    generator : numpy.random.Generator
        Seeds the bit generators.
    draw : function of a 1-D array and a bit generator
        Fills the array.
    """
    values = empty(shape).numpy().reshape(-1)
    chunks = -(-values.size // _FIELD_CHUNK)
    seeds = [int(generator.integers(2**63)) for _ in range(chunks)]

    def work(start: int, stop: int) -> None:
        for chunk in range(start, stop):
            part = values[chunk * _FIELD_CHUNK : (chunk + 1) * _FIELD_CHUNK]
            draw(part, np.random.SFC64(seeds[chunk]))

    spread(work, chunks, 1)
    return torch.from_numpy(values.reshape(tuple(shape)))


def _box_muller(out: NDArray[np.float32], bits: np.random.SFC64) -> None:
    """Fill with standard normal numbers, pairs of cosines and sines in its two halves."""
    pairs = -(-out.size // 2)
    # raw bits, but unlike `random_raw` without keeping other threads waiting
    raw = np.random.Generator(bits).integers(1 << 64, size=pairs, dtype=np.uint64)
    first, second = raw.view(np.uint32).reshape(2, pairs)
    np.bitwise_or(first, 1, out=first)  # u > 0
    radius, angle = scratch((2, pairs)).numpy()
    np.copyto(radius, first, casting="unsafe")
    radius *= np.float32(2.0**-32)
    np.log(radius, out=radius)
    radius *= np.float32(-2.0)
    np.sqrt(radius, out=radius)
    np.copyto(angle, second.view(np.int32), casting="unsafe")
    angle *= np.float32(2.0 * np.pi / 2.0**32)
    cosine, sine = out[:pairs], out[pairs:]
    np.cos(angle, out=cosine)
    cosine *= radius
    np.sin(angle[: sine.size], out=sine)
    sine *= radius[: sine.size]


@lru_cache(maxsize=8)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads beside the caller's that compute on one thread each; a forked process needs its own."""
    started = threading.Barrier(threads)

    def prepare() -> None:
        _inside.pool = True
        torch.get_num_threads()  # a thread takes the process's number at its first question, so ask first
        torch.set_num_threads(1)

    pool = ThreadPoolExecutor(
        threads - 1, thread_name_prefix=f"chunks-{process}", initializer=prepare
    )
    for _ in range(threads - 1):
        pool.submit(started.wait)
    started.wait()
    torch.set_num_threads(threads)  # what a thread sets is also the start value of later threads
    return pool
