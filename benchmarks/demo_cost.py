"""What does the demo cost: wall time, and peak memory of the whole process tree.

Memory is the proportional set size (PSS), so that pages shared by several processes count once. Run as
``python benchmarks/demo_cost.py FOLDER``; Linux only.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path


def tree(root: int) -> list[int]:
    """Return the process and all its descendants."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def pss_mb(pids: list[int]) -> float:
    """Sum the proportional set sizes."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def main() -> None:
    """Run the demo and print what it cost."""
    command = [sys.executable, "-m", "auditor", "demo", "-o", sys.argv[1], *sys.argv[2:]]
    started = time.perf_counter()
    process = subprocess.Popen(command)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, pss_mb(tree(process.pid)))
        time.sleep(0.5)
    print(f"wall time    {time.perf_counter() - started:6.1f} s (goal: below 300 s)")
    print(f"peak memory  {peak:6.0f} MB PSS of the process tree (goal: below 3072 MB)")


if __name__ == "__main__":
    main()
