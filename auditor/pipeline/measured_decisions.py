"""The table of decisions of an analysed table: every choice behind its numbers, and who made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditor.pipeline.measured_options import TableOptions
from auditor.schema import CriterionSpec, Decision

__all__ = ["table_decisions"]


def table_decisions(
    options: TableOptions, clean: str, criteria: Sequence[CriterionSpec]
) -> tuple[Decision, ...]:
    """List every choice; what stands on the command line, or in Python, was chosen by its user.

    Parameters
    ----------
    options : what the user says
    clean : the clean condition, as the table calls it; empty: severity 0, or there is no other
    criteria : claims
    """
    plain = TableOptions()
    patients = (
        "every case is a patient of its own" if options.patients_are_cases else "by the table"
    )
    found = [
        _chosen("--patients-are-cases", patients, given=options.patients_are_cases),
        _chosen("--clean", clean or "severity 0, or no other condition", given=bool(options.clean)),
        *_of_metrics(options),
        *(
            _chosen(f"--condition {name}", f"{perturbation} at severity {severity:g}", given=True)
            for name, (perturbation, severity) in options.conditions.items()
        ),
        *(_chosen(f"--strata {axis}", _cut(options, axis), given=True) for axis in options.strata),
        *(
            _chosen(f"--criteria {spec.id}", f"{spec.form} {spec.threshold:g}", given=True)
            for spec in criteria
        ),
    ]
    found += [
        _chosen(f"--{key}", f"{value:g}", given=True)
        for key, value in (("margin", options.margin), ("floor", options.floor))
        if value is not None
    ]
    levels = {
        "interval_level": f"intervals {options.interval_level:g}",
        "criteria_level": f"bounds and verdicts {options.criteria_level:g}",
        "alpha": f"{options.alpha:g} of new patients may fall below a conformal bound",
        "delta": f"{options.delta:g}, probability of a bad calibration",
    }
    found += [
        _chosen(name, told, given=getattr(options, name) != getattr(plain, name))
        for name, told in levels.items()
    ]
    seed = Decision(
        "--seed", str(options.seed), "command line" if options.seed else "default", "engineering"
    )
    return (*found, seed)


def _chosen(where: str, value: str, *, given: bool) -> Decision:
    return Decision(where, value, "command line" if given else "default", "scientific")


def _of_metrics(options: TableOptions) -> Iterator[Decision]:
    for name, value in options.scale.items():
        yield _chosen(f"--scale {name}", f"{value:g}", given=True)
    for name, value in options.cap.items():
        order = f", {options.cap_order} replicates are averaged" if options.cap_order else ""
        yield _chosen(f"--cap {name}", f"{value:g} also in means{order}", given=True)
    for name, value in options.worst.items():
        yield _chosen(f"--worst {name}", f"{value:g} where failures count", given=True)
    for name, it in options.metric_info.items():
        better = "higher" if it.higher_is_better else "lower"
        yield _chosen(f"--metric-info {name}", f"{better} is better", given=True)
    empty = options.nan == "both_empty"
    told = "two empty masks" if empty else "a failure, where no status says otherwise"
    yield _chosen("--nan", told, given=empty)


def _cut(options: TableOptions, axis: str) -> str:
    edges = options.edges.get(axis)
    if edges is None:
        return "values of the column"
    return edges if isinstance(edges, str) else f"edges {', '.join(f'{it:g}' for it in edges)}"
