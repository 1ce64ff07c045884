"""Every metric with its meaning, range, unit and direction, as a table.

**Conventions.** The table is light: it loads neither torch nor SciPy, and names the function of a
metric as ``module:function``. A metric function takes a `MaskPair` and the metric's `MetricSpec`, and
returns one float, or None where its line of `auditor.metrics.policy` says when; what empty masks mean
is decided there, too. Lengths are in mm, or in pixels for images without a spacing. Volumes are
in ml (3-D) or mm² (2-D), and in voxels or pixels for images without a spacing.

Adding a metric is one function in its family's file, one line in `lines` and one in `policy`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from auditor.errors import ConfigError
from auditor.metrics.lines import LINES, Metric
from auditor.metrics.lines import Parameter as ParameterName
from auditor.metrics.policy import policy_words, worst_words
from auditor.schema import MetricInfo, MetricSpec

__all__ = [
    "METRICS",
    "PARAMETERS",
    "Metric",
    "Parameter",
    "check_spec",
    "get",
    "metric_info",
    "unit_text",
    "volume_unit",
]

METRICS: Mapping[str, Metric] = MappingProxyType({line.name: line for line in LINES})
"""All metrics by name, in the order in which reports list them."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of `MetricSpec` that some metrics need, and all others refuse."""

    must_be: str
    """What its values are, in words."""
    advice: str
    """How to choose one."""
    fits: Callable[[float], bool]
    """Whether a number is such a value."""


PARAMETERS: Mapping[ParameterName, Parameter] = MappingProxyType(
    {
        "tolerance_mm": Parameter(
            "a positive number (pixels for images without a spacing)",
            "choose what is clinically negligible, for instance the disagreement between raters",
            lambda value: 0.0 < value < math.inf,
        ),
        "width_mm": Parameter(
            "a positive number (pixels for images without a spacing)",
            "choose how far inside the border a voxel still belongs to it, for instance twice the "
            "disagreement between raters: a wide band makes it the IoU of the masks",
            lambda value: 0.0 < value < math.inf,
        ),
        "overlap": Parameter(
            "a number above 0 and up to 1",
            "choose the IoU from which two lesions are one and the same: 0.5 where borders matter, "
            "0.1 where finding small lesions does",
            lambda value: 0.0 < value <= 1.0,
        ),
        "bins": Parameter(
            "a whole number from 2 to 1000",
            "choose as many as each can be filled: 10 to 20 are usual, and values of different bins "
            "cannot be compared",
            lambda value: value == int(value) and 2 <= value <= 1000,
        ),
    }
)
"""Field of `MetricSpec` -> what is checked of it, the same way for every metric."""


def get(name: str) -> Metric:
    """Look a metric up by its name.

    Raises
    ------
    ConfigError
        When there is none of that name; the message proposes the nearest.

    Examples
    --------
    >>> get("hd95").unit
    'mm'
    """
    if name in METRICS:
        return METRICS[name]
    asked = name.strip().lower()
    near = [
        *(it.name for it in METRICS.values() if len(asked) > 2 and asked in it.title.lower()),
        *difflib.get_close_matches(asked, METRICS, n=1, cutoff=0.6),
    ]
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(METRICS)}"
    msg = f"unknown metric {name!r}; {hint}"
    raise ConfigError(msg)


def check_spec(spec: MetricSpec) -> Metric:
    """Check one declared metric, and return its line of the catalogue.

    Raises
    ------
    ConfigError
        When the name is unknown, or a parameter is missing, out of place, or outside its range.
    """
    metric = get(spec.name)
    if spec.within is not None and not (
        metric.low <= spec.within <= (math.inf if metric.high is None else metric.high)
    ):
        msg = f"metric {spec.name!r} needs within in its own range, got {spec.within!r}"
        raise ConfigError(msg)
    for name, parameter in PARAMETERS.items():
        value: float | None = getattr(spec, name)
        if name not in metric.needs:
            if value is not None:
                msg = f"metric {spec.name!r} takes no {name}, got {value!r}; remove it"
                raise ConfigError(msg)
        elif value is None or not (math.isfinite(value) and parameter.fits(value)):
            msg = (
                f"metric {spec.name!r} needs {name}, {parameter.must_be}, got {value!r}; "
                f"{parameter.advice}"
            )
            raise ConfigError(msg)
    return metric


def unit_text(name: str, length_unit: str, *, ndim: int = 3) -> str:
    """Say in which unit a metric's values are.

    Parameters
    ----------
    name : name in the catalogue
    length_unit : ``mm``, or ``px`` for images without a spacing
    ndim : 2 or 3, spatial axes of the images

    Returns
    -------
    Empty for a ratio; mm or px for a length; ml, mm², voxels or px for a volume or an area; % or
    lesions.

    Examples
    --------
    >>> unit_text("hd95", "px"), unit_text("volume_difference", "mm"), unit_text("dsc", "mm")
    ('px', 'ml', '')
    """
    kind = get(name).unit
    if kind == "mm":
        return length_unit
    if kind == "ml":
        return volume_unit(length_unit, ndim=ndim)
    return kind


def volume_unit(length_unit: str, *, ndim: int) -> str:
    """Say in which unit volumes are: ml, mm² in 2-D; voxels, px in 2-D, without a spacing."""
    if length_unit == "px":
        return "px" if ndim == 2 else "voxels"
    return "mm²" if ndim == 2 else "ml"


def metric_info(spec: MetricSpec, length_unit: str, *, ndim: int = 3) -> MetricInfo:
    """Describe a declared metric for reports.

    Parameters
    ----------
    spec : the metric with its parameters
    length_unit : ``mm``, or ``px`` for images without a spacing
    ndim : 2 or 3, spatial axes of the images

    Raises
    ------
    ConfigError
        See `check_spec`.
    """
    metric = check_spec(spec)
    parameters: tuple[tuple[str, float], ...] = tuple(
        (name.replace("_mm", f"_{length_unit}"), getattr(spec, name)) for name in metric.needs
    )
    unit = unit_text(metric.name, length_unit, ndim=ndim)
    if spec.within is not None:
        parameters = (*parameters, (f"within_{unit}" if unit else "within", spec.within))
    return MetricInfo(
        name=metric.name,
        title=metric.title,
        unit=unit,
        low=metric.low,
        high=metric.high,
        higher_is_better=metric.higher_is_better,
        definition=metric.definition,
        reference=metric.reference,
        parameters=parameters,
        policy=policy_words(metric.name),
        worst=worst_words(metric.name),
        blind=metric.blind,
    )
