"""What is told of the limits of the operating envelope before any long work."""

from __future__ import annotations

from auditor.analysis.breakpoint import least_margin, patients_for
from auditor.config import AuditConfig
from auditor.metrics.catalog import METRICS

__all__ = ["limits_of_envelope"]


def limits_of_envelope(config: AuditConfig, patients: int) -> tuple[str, ...]:
    """Tell which declared limits decide nothing, and which no data of so many patients could meet.

    Parameters
    ----------
    config : AuditConfig
    patients : int
        Of the audit.

    Returns
    -------
    tuple of str
        One sentence for each such limit.
    """
    limits = {"margin": config.response_margin, "floor": config.response_floor}
    declared = {name: value for name, value in limits.items() if value is not None}
    fits = [METRICS[spec.name] for spec in config.metrics]
    if declared and not any((it.low, it.high) == (0.0, 1.0) and it.higher_is_better for it in fits):
        return ("response: decides nothing, as no metric in [0, 1] is declared; add dsc",)
    level = config.criteria_level
    told = []
    for name, value in declared.items():
        margin = value if name == "margin" else 1 - value
        least = least_margin(patients, level=level)
        if least <= margin:
            continue
        needed = patients_for(margin, level=level)
        best = f"drop below {least:.3g}" if name == "margin" else f"mean above {1 - least:.3g}"
        told.append(
            f"response.{name}: {value:g} is NOT ATTAINABLE: with {patients} patient(s) no {best} can be "
            f"assured; at least {needed} are needed"
        )
    return tuple(told)
