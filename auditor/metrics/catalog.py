"""Every metric with its meaning, range, unit and direction, as a table.

**Conventions.** The table is light: it loads neither torch nor SciPy, and names the function of a
metric as ``module:function``. A metric function takes a pair of masks that are both non-empty and
the metric's `MetricSpec`, and returns one float; empty masks are handled before, by
`auditor.metrics.policy`. Lengths are in mm, or in pixels for images without a spacing. Volumes are
in ml (3-D) or mm² (2-D), and in voxels or pixels for images without a spacing.

Adding a metric is one function in its family's file and one line here.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from auditor.errors import ConfigError
from auditor.schema import MetricInfo, MetricSpec

Worst = Literal["zero", "diagonal", "largest_volume_difference"]
"""How the named worst case of a metric is found; see `auditor.metrics.policy`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the catalogue."""

    name: str
    """Name in configurations and tables."""
    title: str
    """Name in reports."""
    unit: Literal["", "ml", "mm"]
    """Unit for 3-D images with a spacing in mm; empty for a ratio. See `unit_text`."""
    low: float
    """Smallest possible value."""
    high: float | None
    """Largest possible value; None: unbounded."""
    higher_is_better: bool
    """Direction."""
    definition: str
    """One sentence with the formula."""
    reference: str
    """Where the definition comes from."""
    function: str
    """``module:function`` that computes it from two non-empty masks."""
    worst: Worst
    """Rule of its named worst case."""
    needs_tolerance: bool = False
    """True when `MetricSpec.tolerance_mm` must be declared."""

    def resolve(self) -> Callable[[Any, MetricSpec], float]:
        """Load the function that computes the metric from a `MaskPair` and a `MetricSpec`."""
        module, _, function = self.function.partition(":")
        resolved: Callable[[Any, MetricSpec], float] = getattr(
            importlib.import_module(module), function
        )
        return resolved


_RELOADED = "Maier-Hein, Reinke et al., Metrics reloaded, Nature Methods 21, 195-212 (2024)"
_SURFELS = (
    "surface elements of 2x2x2 (2x2) voxel neighbourhoods, weighted by their area (length), as in "
    "google-deepmind/surface-distance"
)
_NSD_PAPER = (
    "Nikolov et al., Clinically applicable segmentation of head and neck anatomy, "
    "J Med Internet Res 23(7):e26151 (2021)"
)

_LINES = (
    Metric(
        name="dsc",
        title="Dice similarity coefficient (DSC)",
        unit="",
        low=0.0,
        high=1.0,
        higher_is_better=True,
        definition="2 |P ∩ R| / (|P| + |R|), voxels of prediction P and reference R.",
        reference=_RELOADED,
        function="auditor.metrics.overlap:dsc",
        worst="zero",
    ),
    Metric(
        name="iou",
        title="Intersection over union (IoU)",
        unit="",
        low=0.0,
        high=1.0,
        higher_is_better=True,
        definition="|P ∩ R| / |P ∪ R|, voxels of prediction P and reference R.",
        reference=_RELOADED,
        function="auditor.metrics.overlap:iou",
        worst="zero",
    ),
    Metric(
        name="precision",
        title="Precision",
        unit="",
        low=0.0,
        high=1.0,
        higher_is_better=True,
        definition="|P ∩ R| / |P|: the share of the predicted voxels that lie in the reference.",
        reference=_RELOADED,
        function="auditor.metrics.overlap:precision",
        worst="zero",
    ),
    Metric(
        name="sensitivity",
        title="Sensitivity",
        unit="",
        low=0.0,
        high=1.0,
        higher_is_better=True,
        definition="|P ∩ R| / |R|: the share of the reference's voxels that are predicted.",
        reference=_RELOADED,
        function="auditor.metrics.overlap:sensitivity",
        worst="zero",
    ),
    Metric(
        name="volume_difference",
        title="Absolute volume difference",
        unit="ml",
        low=0.0,
        high=None,
        higher_is_better=False,
        definition=(
            "| V(P) - V(R) |: absolute difference of the volumes (2-D: areas) of prediction and "
            "reference; it does not see where the voxels lie."
        ),
        reference=_RELOADED,
        function="auditor.metrics.volume:volume_difference",
        worst="largest_volume_difference",
    ),
    Metric(
        name="hd95",
        title="95 % Hausdorff distance (HD95)",
        unit="mm",
        low=0.0,
        high=None,
        higher_is_better=False,
        definition=(
            "The larger of the two directed 95th percentiles of the distances from one surface to "
            f"the other; {_SURFELS}."
        ),
        reference=f"{_RELOADED}; surface-distance, compute_robust_hausdorff",
        function="auditor.metrics.surface:hd95",
        worst="diagonal",
    ),
    Metric(
        name="assd",
        title="Average symmetric surface distance (ASSD)",
        unit="mm",
        low=0.0,
        high=None,
        higher_is_better=False,
        definition=(
            "Mean distance to the other surface over the elements of both surfaces pooled, so that "
            f"the larger surface counts more; {_SURFELS}."
        ),
        reference=f"{_RELOADED}; surface-distance, compute_average_surface_distance, pooled",
        function="auditor.metrics.surface:assd",
        worst="diagonal",
    ),
    Metric(
        name="nsd",
        title="Normalised surface distance (NSD)",
        unit="",
        low=0.0,
        high=1.0,
        higher_is_better=True,
        definition=(
            "Share of both surfaces together that lies within the declared tolerance of the other "
            f"surface; {_SURFELS}."
        ),
        reference=f"{_NSD_PAPER}; surface-distance, compute_surface_dice_at_tolerance",
        function="auditor.metrics.surface:nsd",
        worst="zero",
        needs_tolerance=True,
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({line.name: line for line in _LINES})
"""All metrics by name, in the order in which reports list them."""


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
    near = difflib.get_close_matches(name.lower(), METRICS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(METRICS)}"
    msg = f"unknown metric {name!r}; {hint}"
    raise ConfigError(msg)


def check_spec(spec: MetricSpec) -> Metric:
    """Check one declared metric, and return its line of the catalogue.

    Raises
    ------
    ConfigError
        When the name is unknown, or a tolerance is missing, out of place, or not positive.
    """
    metric = get(spec.name)
    tolerance = spec.tolerance_mm
    if spec.within is not None and not (
        metric.low <= spec.within <= (float("inf") if metric.high is None else metric.high)
    ):
        msg = f"metric {spec.name!r} needs within in its own range, got {spec.within!r}"
        raise ConfigError(msg)
    if not metric.needs_tolerance and tolerance is not None:
        msg = f"metric {spec.name!r} takes no tolerance_mm, got {tolerance!r}; remove it"
        raise ConfigError(msg)
    if metric.needs_tolerance and (tolerance is None or not 0.0 < tolerance < float("inf")):
        msg = (
            f"metric {spec.name!r} needs tolerance_mm, a positive number (pixels for images "
            f"without a spacing), got {tolerance!r}; choose what is clinically negligible, "
            "for instance the disagreement between raters"
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
    Empty for a ratio; mm or px for a length; ml, mm², voxels or px for a volume or an area.

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
    return ""


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
    parameters: tuple[tuple[str, float], ...] = (
        () if spec.tolerance_mm is None else ((f"tolerance_{length_unit}", spec.tolerance_mm),)
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
    )
