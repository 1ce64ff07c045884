"""Time the analysis of an audit: BCa intervals beside SciPy's, and all numbers of a large run.

Usage: python benchmarks/analysis_speed.py [--bca] [--run] [--strata] [--patients N] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import pstats
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

# a script's folder comes first on the path, where perturbations.py would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from auditor.analysis import AnalysisSetup, summarise, summary
from auditor.analysis.intervals import bca_interval, bootstrap_weights
from auditor.schema import ROW_COLUMNS, MetricInfo, PerturbationSpec, encode
from auditor.strata.assign import FrozenStratum

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from rows_tables import DSC, HD95, Cohort, setup_of

GROUPS, TURNS = 100, 5
LABELS = ("organ", "vessel", "lesion")
NSD = MetricInfo(*("nsd", "NSD", "", 0.0, 1.0, True), "surface", "Nikolov 2018", ())
VOLUME = MetricInfo(*("volume_difference", "Volume", "ml", None, None, True), "ml", "none", ())
METRICS = (DSC, NSD, HD95, VOLUME)
CONTROLS = ("reference", "empty", "other_patient", "otsu")

_TEXT = ("record", "system", "case", "patient", "perturbation", "unit", "status", "reason", "label",
         "metric", "region", "reference", "mask_digest", "facts")  # fmt: skip


def bca() -> Iterator[str]:
    """Work for intervals of 100 groups, the weights made anew, beside SciPy over all and one by one."""
    yield "| patients | draws | ours | of it weights | SciPy, all at once | SciPy, one by one | slower by |"
    yield "|---|---|---|---|---|---|---|"
    for n, draws in ((30, 4000), (100, 4000), (100, 9999), (200, 4000)):
        values = np.random.default_rng(n).beta(18, 2, (n, GROUPS))
        ways: dict[str, Callable[[], object]] = {
            "weights": lambda n=n, draws=draws: _fresh(n, draws),
            "ours": lambda v=values, n=n, draws=draws: bca_interval(
                v, _fresh(n, draws), level=0.95
            ),
            "together": lambda v=values, draws=draws: _scipy(v, draws),
            "apart": lambda v=values, draws=draws: [_scipy(it, draws) for it in v.T],
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(TURNS):
            for name, way in ways.items():
                start = time.process_time()
                way()
                times[name].append(time.process_time() - start)
        took = {name: statistics.median(found) for name, found in times.items()}
        nearest = min(took["together"], took["apart"]) / took["ours"]
        yield (
            f"| {n} | {draws} | {1e3 * took['ours']:.1f} ms | {1e3 * took['weights']:.1f} ms "
            f"| {1e3 * took['together']:.0f} ms | {1e3 * took['apart']:.0f} ms | {nearest:.0f}x |"
        )


def _fresh(n: int, draws: int) -> NDArray[np.float64]:
    bootstrap_weights.cache_clear()
    return bootstrap_weights(n, 1, draws)


def _scipy(values: NDArray[np.float64], draws: int) -> object:
    return stats.bootstrap(
        (values,), np.mean, n_resamples=draws, axis=0, method="BCa", rng=np.random.default_rng(1)
    )


def cohort_of(patients: int) -> Cohort:
    """40 perturbations at six severities, three systems."""
    severities = tuple(float(s) for s in range(1, 7))
    specs = tuple(
        PerturbationSpec(f"noise_{k:02d}", severities, severities, "%") for k in range(40)
    )
    return Cohort(patients=patients, systems=("a", "b", "c"), perturbations=specs)


def setup_for(cohort: Cohort, *, strata: bool) -> AnalysisSetup:
    """Say what the analysis must know of it, with three groups of cases where asked for."""
    names = [it.case for it in cohort.cases]
    axis = FrozenStratum(
        "size", "", (), ("small", "medium", "large"),
        {name: ("small", "medium", "large")[k % 3] for k, name in enumerate(names)}, "", "inferential",
    )  # fmt: skip
    return replace(
        setup_of(cohort), labels=LABELS, metrics=METRICS, families={}, strata=(axis,) * strata
    )


def table_of(cohort: Cohort) -> pa.Table:
    """All rows that such a run stores: of scans, evaluations, measurements and controls."""
    conditions = [
        ("clean", 0.0),
        *((it.name, s) for it in cohort.perturbations for s in it.severities),
    ]
    parts = [_rows(cohort, conditions, "scan", ("controls",), ("",))]
    parts.append(_rows(cohort, conditions, "evaluation", cohort.systems, ("",)))
    parts.append(
        _rows(cohort, conditions, "measurement", cohort.systems, tuple(it.name for it in METRICS))
    )
    controls = tuple(f"control:{name}" for name in CONTROLS)
    parts.append(
        _rows(cohort, conditions[:1], "measurement", controls, tuple(it.name for it in METRICS))
    )
    return pa.concat_tables(parts)


def _rows(
    cohort: Cohort,
    conditions: list[tuple[str, float]],
    record: str,
    systems: tuple[str, ...],
    metrics: tuple[str, ...],
) -> pa.Table:
    """Rows of one kind, over cases, conditions, systems, labels and metrics; drawn, not measured."""
    cases = cohort.cases
    sizes = (len(cases), len(conditions), len(systems), len(LABELS), len(metrics))
    place = [it.ravel() for it in np.indices(sizes, dtype=np.int32)]
    n = len(place[0])
    rng = np.random.default_rng([cohort.seed, n])
    severity = np.array([s for _, s in conditions])[place[1]]
    ease = rng.beta(18, 2, sizes[0])[place[0]]
    dsc = np.clip(ease - 0.03 * severity - 0.02 * place[2] + rng.normal(0, 0.02, n), 0, 1)
    dsc[rng.uniform(size=n) < 0.005 * severity] = 0.0
    value = np.select(
        [np.array([it in ("dsc", "nsd") for it in metrics])[place[4]], True],  # type: ignore[list-item]
        [dsc, 2 + 60 * (1 - dsc)],
    )
    made: dict[str, tuple[NDArray[np.int32] | None, list[str]]] = {
        "record": (None, [record]),
        "system": (place[2], list(systems)),
        "case": (place[0], [it.case for it in cases]),
        "patient": (place[0], [it.patient for it in cases]),
        "perturbation": (place[1], [name for name, _ in conditions]),
        "unit": (None, ["%"]),
        "status": (None, ["ok"]),
        "reason": (None, [""]),
        "label": (place[3], list(LABELS)),
    }
    if record == "measurement":
        made |= {
            "metric": (place[4], list(metrics)),
            "region": (None, ["whole"]),
            "reference": (None, ["reference"]),
        }
    numbers = {"severity": severity, "level": np.where(severity > 0, severity, np.nan)}
    if record == "measurement":
        numbers |= {"value": value, "worst": np.where(value > 1, 250.0, 0.0)}
    if record == "scan":
        numbers |= dict.fromkeys(
            ("nrmse", "ssim", "psnr", "estimated_level", "native_level"), severity
        )
    arrays = []
    for name in ROW_COLUMNS:
        if name in _TEXT:
            codes, words = made.get(name, (None, None))
            arrays.append(_texts(n, codes, words))
        elif name == "replicate":
            arrays.append(pa.array(np.zeros(n, dtype=np.int32)))
        else:
            known = numbers.get(name)
            arrays.append(
                pa.nulls(n, pa.float64()) if known is None else pa.array(known, from_pandas=True)
            )
    return pa.Table.from_arrays(arrays, names=list(ROW_COLUMNS))


def _texts(n: int, codes: NDArray[np.int32] | None, words: list[str] | None) -> pa.Array:
    if words is None:
        return pa.DictionaryArray.from_arrays(pa.nulls(n, pa.int32()), pa.array([], pa.string()))
    known = sorted(set(words))
    each = np.array([known.index(word) for word in words], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(each[codes] if codes is not None else np.zeros(n, dtype=np.int32)), pa.array(known)
    )


STAGES = (
    "of_kind",
    "measurements",
    "summaries",
    "conformal_bounds",
    "comparisons",
    "case_rows",
    "conditions",
)


def large_run(patients: int, *, strata: bool, profile: bool) -> Iterator[str]:
    """Time of every stage of one large analysis, and what it made."""
    cohort = cohort_of(patients)
    setup, table = setup_for(cohort, strata=strata), table_of(cohort)
    measured = sum(1 for it in table["record"].to_pylist() if it == "measurement")
    took: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    for name in STAGES:
        setattr(summary, name, _timed(getattr(summary, name), name, took))
    watch = cProfile.Profile(time.process_time) if profile else cProfile.Profile()
    start, work = time.perf_counter(), time.process_time()
    if profile:
        watch.enable()
    results = summarise(table, setup=setup)
    watch.disable()
    wall, work = time.perf_counter() - start, time.process_time() - work
    if profile:
        pstats.Stats(watch).sort_stats("tottime").print_stats(25)
    digest = hashlib.sha256(encode(results).encode()).hexdigest()[:16]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield (
        f"{patients} patients, {len(table):,} rows ({measured:,} measurements), {len(results.summaries):,} "
        f"summaries, {len(results.conformal):,} conformal bounds, {len(results.comparisons):,} comparisons: "
        f"{wall:.1f} s ({work:.1f} s of work), peak {peak:.0f} MB, results {digest}"
    )
    took["the rest"] = work - sum(took.values())
    yield "| stage | s of work |"
    yield "|---|---|"
    for name, seconds in took.items():
        yield f"| {name} | {seconds:.1f} |"


def _timed(
    stage: Callable[..., object], name: str, took: dict[str, float]
) -> Callable[..., object]:
    def run(*given: object, **named: object) -> object:
        start = time.process_time()
        try:
            return stage(*given, **named)
        finally:
            took[name] += time.process_time() - start

    return run


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--bca", action="store_true", help="only the intervals beside SciPy's")
    asked.add_argument("--run", action="store_true", help="only the large run")
    asked.add_argument("--strata", action="store_true", help="with three groups of cases")
    asked.add_argument("--profile", action="store_true", help="where the time of the run goes")
    asked.add_argument("--patients", type=int, default=200)
    options = asked.parse_args()
    if options.bca or not options.run:
        for line in bca():
            print(line, flush=True)
    if options.run or not options.bca:
        print(
            *large_run(options.patients, strata=options.strata, profile=options.profile), sep="\n"
        )


if __name__ == "__main__":
    main()
