"""How often every interval and bound of a mean holds, on seven laws: the table of docs/statistics.md.

    python benchmarks/coverage.py [--cohorts 2000] [--json coverage.json]

Nothing is timed; the counts depend on the seed alone. `segaudit qualify --oq` repeats a small part of it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from auditor.analysis.laws import LAWS
from auditor.analysis.simulations import (
    INTERVALS,
    LOWER_BOUNDS,
    band_held,
    breakpoint_refused,
    interval_held,
    lower_bound_held,
    median_held,
)

SIZES = (10, 30, 50, 100)


def means(cohorts: int) -> list[dict[str, object]]:
    """Coverage of every statement about a mean or a median, by law and n."""
    rows: list[dict[str, object]] = []
    for n in SIZES:
        for name in ("median", *INTERVALS, *LOWER_BOUNDS):
            row: dict[str, object] = {"n": n, "statement": name}
            for key, law in LAWS.items():
                rng = np.random.default_rng([n, ord(key), len(name)])
                if name == "median":
                    held = median_held(law, n, cohorts=cohorts, rng=rng)
                elif name in INTERVALS:
                    held = interval_held(law, n, method=name, cohorts=cohorts, rng=rng)
                else:
                    held = lower_bound_held(law, n, method=name, cohorts=cohorts, rng=rng)
                row[key] = round(float(held.mean()), 3)
            rows.append(row)
            print("| " + " | ".join(f"{value}" for value in row.values()) + " |", flush=True)
    return rows


def others(cohorts: int) -> list[dict[str, object]]:
    """Joint coverage of the band, and how often a false breakpoint is certified."""
    rows: list[dict[str, object]] = []
    for n in (20, 30, 50, 100, 200):
        for harsh in (False, True):
            held = band_held(n, cohorts=cohorts, rng=np.random.default_rng([n, 1]), harsh=harsh)
            rows.append({"n": n, "band": "harsh" if harsh else "usual", "held": float(held.mean())})
            print(rows[-1], flush=True)
    # a true drop of .1002: smooth (1 - c) + .9 c with c = .0215
    for n in (20, 60, 120, 300):
        refused = breakpoint_refused(
            n, margin=0.1, smooth=0.0826, collapse=0.0215, cohorts=cohorts,
            rng=np.random.default_rng([n, 2]),
        )  # fmt: skip
        rows.append({"n": n, "false breakpoint": 1 - float(refused.mean())})
        print(rows[-1], flush=True)
    for n in (120, 300):
        refused = breakpoint_refused(
            n, margin=0.1, smooth=0.04, collapse=0.01, cohorts=cohorts,
            rng=np.random.default_rng([n, 3]),
        )  # fmt: skip
        rows.append({"n": n, "power": 1 - float(refused.mean())})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print("| n | statement | " + " | ".join(LAWS) + " |")
    found = [*means(given.cohorts), *others(given.cohorts)]
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
