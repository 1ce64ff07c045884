"""What the user of a table of measurements says about it; nothing here is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from auditor.errors import ConfigError

__all__ = ["ROLES", "DeclaredMetric", "TableOptions", "check_options", "declared_metric"]

ROLES = (
    "system", "family", "training_seed", "case", "patient", "condition", "perturbation", "severity",
    "level", "unit", "replicate", "label", "metric", "value", "status", "reason",
)  # fmt: skip
"""What a column can be read as, beside a metric, a system or a group of cases."""


@dataclass(frozen=True, slots=True)
class DeclaredMetric:
    """Direction and range of a metric that the catalogue does not know."""

    higher_is_better: bool
    low: float | None = None
    """Smallest possible value; None: none."""
    high: float | None = None
    """Largest possible value; None: none. Means are bounded only for metrics in [0, 1]."""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a table is to be read, and what is done with what is no finite number."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Role -> column, over what is recognised: ``{"system": "arch"}``."""
    metrics: tuple[str, ...] = ()
    """Columns of a wide table that are metrics; with `systems` the one metric of all of them."""
    systems: tuple[str, ...] = ()
    """Columns that hold one system each."""
    system: str = ""
    """The system of a table without such a column."""
    label: str = ""
    """The label of a table without such a column; empty: ``foreground``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Label in the table -> its name: ``{"1": "spleen"}``."""
    name_pattern: str = ""
    """What the end of a file's path says: ``{system}_{condition}.csv``, ``{system}/summary.json``."""
    clean: str = ""
    """The condition that all others are paired with, as the table calls it."""
    conditions: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """Condition in the table -> (perturbation, severity): ``{"low": ("speckle", 1.0)}``."""
    patients_are_cases: bool = False
    """True: there is no column of patients, because no patient has two cases."""
    metric_info: Mapping[str, DeclaredMetric] = field(default_factory=dict)
    """Metrics that the catalogue does not know."""
    scale: Mapping[str, float] = field(default_factory=dict)
    """Metric -> factor on its values: ``{"dsc": 0.01}`` for per cent."""
    cap: Mapping[str, float] = field(default_factory=dict)
    """Metric -> value that stands in for what is infinite or no number, also in means."""
    cap_order: Literal["", "before", "after"] = ""
    """Whether a cap comes before replicates are averaged, or after."""
    worst: Mapping[str, float] = field(default_factory=dict)
    """Metric -> value that what is infinite, no number or failed counts as where failures count; means
    leave it out."""
    nan: Literal["not_finite", "both_empty"] = "not_finite"
    """What "nan" means where no column of statuses says it: a failure, or two empty masks."""
    length_unit: Literal["", "mm", "px"] = ""
    """Of distances; required where a metric is one."""
    strata: tuple[str, ...] = ()
    """Columns that group cases."""
    edges: Mapping[str, tuple[float, ...] | Literal["tertiles"]] = field(default_factory=dict)
    """Column of numbers -> where it is cut."""
    metadata: tuple[str, ...] = ()
    """Further columns that are shown with each case."""
    criteria: str | Path | Mapping[str, Any] | None = None
    """Claims, in the grammar of audit.yaml: a file or its content."""
    margin: float | None = None
    """Largest mean drop of the DSC from clean that counts as none; None: no breakpoint is assessed."""
    floor: float | None = None
    """Smallest mean DSC that is enough; None: none is declared."""
    modality: str = "not stated"
    """Of the scans, in words."""
    name: str = ""
    """Of the analysis; empty: that of the table."""
    seed: int = 0
    """Of the resampling."""
    interval_level: float = 0.95
    """Two-sided."""
    criteria_level: float = 0.95
    """One-sided, of bounds and verdicts."""
    alpha: float = 0.10
    """Share of new patients for which a conformal bound may fail."""
    delta: float = 0.10
    """Probability that the calibration is a bad one."""


def declared_metric(text: str) -> tuple[str, DeclaredMetric]:
    """Read a metric as it is typed: NAME=higher or NAME=lower, then LOW, HIGH and UNIT, each optional.

    Raises
    ------
    ConfigError
        When it has another form.

    Examples
    --------
    >>> declared_metric("mcc=higher,-1,1")
    ('mcc', DeclaredMetric(higher_is_better=True, low=-1.0, high=1.0, unit=''))
    """
    name, _, rest = text.partition("=")
    direction, *more = (part.strip() for part in rest.split(","))
    low, high, unit = [*more, "", "", ""][:3]
    try:
        if not name.strip() or direction not in {"higher", "lower"} or len(more) > 3:
            raise ValueError  # noqa: TRY301  # told with the others, below
        ends = [float(end) if end else None for end in (low, high)]
    except ValueError as error:
        msg = (
            "a metric must be declared as NAME=higher or NAME=lower, with LOW,HIGH,UNIT behind it where "
            f"there are any, as mcc=higher,-1,1; was {text!r}"
        )
        raise ConfigError(msg) from error
    return name.strip(), DeclaredMetric(direction == "higher", ends[0], ends[1], unit)


def check_options(options: TableOptions) -> list[str]:
    """Say what of the options contradicts itself; needs no table."""
    problems = [
        f"--map {role}={column}: must be one of {', '.join(ROLES)}"
        for role, column in options.columns.items()
        if role not in ROLES
    ]
    problems += [
        f"--cap {name} and --worst {name} exclude each other: a cap counts in means, a worst value does not"
        for name in options.cap
        if name in options.worst
    ]
    problems += [
        f"--edges {name}: must be among the groups, write --strata {name}, too"
        for name in options.edges
        if name not in options.strata
    ]
    problems += [
        f"--{key.replace('_', '-')}: must lie from 0.5 to below 1, was {value!r}"
        for key in ("interval_level", "criteria_level")
        if not 0.5 <= (value := getattr(options, key)) < 1.0
    ]
    if not 0.0 < options.alpha <= 0.5:
        problems.append(f"--alpha: must lie above 0 and up to 0.5, was {options.alpha!r}")
    if not 0.0 < options.delta < 1.0:
        problems.append(f"--delta: must lie between 0 and 1, was {options.delta!r}")
    problems += [
        f"--{key}: must lie between 0 and 1, was {value:g}"
        for key, value in (("margin", options.margin), ("floor", options.floor))
        if value is not None and not 0.0 < value < 1.0
    ]
    if options.systems and len(options.metrics) != 1:
        problems.append(
            "--systems: a table with one column per system holds one metric; name it, as --metrics dsc"
        )
    return problems
