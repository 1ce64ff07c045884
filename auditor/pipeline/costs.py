"""What every system cost in time and memory: facts of this machine, for provenance.json alone."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from auditor.pipeline.examination import Examined
from auditor.schema import CLEAN, Record

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["costs"]


def costs(table: pa.Table, examined: Sequence[Examined]) -> dict[str, dict[str, Any]]:
    """Take the time of each clean prediction from the rows, and the memory from the first look.

    Parameters
    ----------
    table : pyarrow.Table
        All stored rows.
    examined : sequence of Examined

    Returns
    -------
    System -> ``seconds_per_case`` (median over cases whose prediction ended), ``cases``,
    ``peak_memory_mb`` (of its process, after two runs of the first case); None where nothing is known.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = {"record": Record.EVALUATION.value, "perturbation": CLEAN}
    known = table.filter(
        functools.reduce(
            pc.and_, (pc.equal(table[name].cast(pa.string()), it) for name, it in wanted.items())
        )
    )
    seconds: dict[str, dict[str, float]] = {}
    columns = (known[name].to_pylist() for name in ("system", "case", "seconds"))
    for system, case, spent in zip(*columns, strict=True):
        if spent is not None:  # one row a label, all of one prediction
            seconds.setdefault(system, {})[case] = spent
    return {
        it.record.name: {
            "seconds_per_case": _median(list(seconds.get(it.record.name, {}).values())),
            "cases": len(seconds.get(it.record.name, {})),
            "peak_memory_mb": None if it.peak_mb is None else round(it.peak_mb, 1),
        }
        for it in examined
    }


def _median(values: Sequence[float]) -> float | None:
    return float(f"{statistics.median(values):.4g}") if values else None
