"""Whether there is memory for one more child process; standard library only.

Read anew each time it matters: other workers and other programs take from the same memory. It decides what
is kept running, never what is computed.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["has_room"]

_KEPT_FREE = 0.25
"""Share of the memory that stays free."""

_LIMITS = (
    ("memory.max", "memory.current"),  # cgroup 2
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),  # cgroup 1
)


def has_room(*, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> bool:
    """Tell whether more than a quarter of the memory is free, of the machine and of a container's limit.

    Parameters
    ----------
    proc, groups : where Linux tells of memory

    Returns
    -------
    False also where it cannot be told (not Linux).
    """
    known: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                known[name] = float(value.split()[0])
    if len(known) < 2 or known["MemAvailable"] <= _KEPT_FREE * known["MemTotal"]:
        return False
    return all(_below(groups / most, groups / used) for most, used in _LIMITS)


def _below(most: Path, used: Path) -> bool:
    try:
        limit, taken = (float(it.read_text(encoding="ascii")) for it in (most, used))
    except (OSError, ValueError):
        return True  # no limit: the file is missing, or says max
    return taken < (1.0 - _KEPT_FREE) * limit
