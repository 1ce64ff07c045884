"""What an analysed table of measurements cannot tell, and its conditions: no scan was seen here."""

from __future__ import annotations

from auditor.analysis.setup import AnalysisSetup
from auditor.schema import CLEAN, Condition, MeasuredElsewhere
from auditor.strata.axes import AXES

__all__ = ["limits_elsewhere", "not_assessed_elsewhere", "planned_conditions"]

_STRESS_FROM = 4


def planned_conditions(setup: AnalysisSetup) -> tuple[Condition, ...]:
    """List the conditions of a table, without a measured effect; of an audit none: it has its scans."""
    if setup.measured is None:
        return ()
    places = [(CLEAN, 0.0, None, "")] + [
        (spec.name, severity, level, spec.unit)
        for spec in setup.perturbations
        for severity, level in zip(spec.severities, spec.levels, strict=True)
    ]
    return tuple(
        Condition(
            perturbation=name,
            family=setup.families.get(name, ""),
            severity=severity,
            level=level,
            unit=unit,
            n_scans=0,
            n_no_effect=0,
            nrmse=None,
            psnr=None,
            ssim=None,
            contrast_to_noise=None,
            native_level=None,
            native_low=None,
            native_high=None,
            estimated_level=None,
            stress=severity >= setup.stress_from.get(name, _STRESS_FROM)
            and name in setup.stress_from,
            axis_unit=unit,
        )
        for name, severity, level, unit in sorted(places, key=lambda it: (it[0], it[1]))
    )


def not_assessed_elsewhere(setup: AnalysisSetup) -> tuple[str, ...]:
    """List what cannot be said of measurements that were made elsewhere."""
    told = [
        "How the measurements were made: no scan, no reference, no prediction and no system was seen here.",
        "Whether the systems were run as their makers run them, and whether they are what their names say.",
        "Definitions and settings of the metrics, and what they said of empty masks.",
        "The measured effect of the conditions on the scans, controls, exhibits and the raters.",
    ]
    told += [
        f"{stratum.axis.replace('_', ' ').capitalize()}: {stratum.note}"
        for stratum in setup.strata
        if stratum.kind == "not assessable"
    ]
    if not setup.strata:
        told.append("Groups of cases: no column was named that groups them.")
    if not {it.axis for it in setup.strata} & AXES.keys():
        told.append("What makes a case difficult: no group is a measured property of the cases.")
    if setup.patients < 10:
        told.append(
            f"Anything beyond these {setup.patients} patient(s): they are too few to infer from."
        )
    families = {it.family for it in setup.systems if it.family}
    if len(setup.systems) > 1 and len(families) == 0:
        told.append(
            "Which architecture is preferable: this compares systems, one training run each as far as is known."
        )
    told.append("Use by people, clinical benefit, adversarial inputs, and drift after deployment.")
    return tuple(told)


def limits_elsewhere(measured: MeasuredElsewhere, setup: AnalysisSetup) -> tuple[str, ...]:
    """List what a reader must not conclude from a table."""
    told = [
        "Everything rests on a table that was made elsewhere; nothing of it could be checked or run again.",
        (
            "The measurements existed before groups and criteria were named here, so that nothing is "
            "pre-declared: groups are descriptive, and every verdict is exploratory."
        ),
    ]
    if measured.patients_are_cases:
        told.append(
            "The table names no patients: its user says that no patient has two cases. If one has, every "
            "interval and bound here is too narrow."
        )
    if measured.gaps:
        told.append(
            "The table is not whole: a number of one system rests on the cases that it has, and comparisons on "
            "the cases that all systems have. What is missing is no failure known here; if it was left out "
            "because it failed, every number is too good."
        )
    if setup.perturbations:
        told.append(
            "Whether a condition is a simulated change, another scanner or another population is not known "
            "here; its name is the table's."
        )
    return tuple(told)
