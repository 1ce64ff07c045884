"""Time ``segaudit --help`` against ``python -c pass``.

Both sides interleaved in one run; medians. Run as ``python benchmarks/help_time.py``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15


def seconds(arguments: list[str]) -> float:
    """Wall time of one interpreter."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print both medians and their difference."""
    plain, helped = [], []
    for _ in range(RUNS):
        plain.append(seconds(["-c", "pass"]))
        helped.append(seconds(["-m", "auditor", "--help"]))
    first, second = statistics.median(plain), statistics.median(helped)
    print(f"python -c pass   {first * 1000:6.1f} ms (median of {RUNS})")
    print(f"segaudit --help  {second * 1000:6.1f} ms (median of {RUNS})")
    print(f"difference       {(second - first) * 1000:6.1f} ms; the goal is below 200 ms")


if __name__ == "__main__":
    main()
