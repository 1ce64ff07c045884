"""The largest memory that a process had; standard library only."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

__all__ = ["peak_mb"]


def peak_mb(process: int | None = None) -> float:
    """Return the largest resident memory so far, in MB (2^20 bytes); 0 where it cannot be told.

    Parameters
    ----------
    process : number of another process, which Linux alone tells of; None: this one.

    Notes
    -----
    Linux keeps ``ru_maxrss`` over the start of another program, so a child would count the memory of
    the process that started it; the high-water mark of ``/proc`` is its own.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (
            Path(f"/proc/{process or 'self'}/status").read_text(encoding="ascii").splitlines()
        ):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    if process is not None:
        return 0.0
    try:
        import resource
    except ImportError:  # not on Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit / 2**20
