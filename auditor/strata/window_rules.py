"""Which windows the share of foreground is measured in, and what the property is called.

**Conventions.** A rule is a window with the grid that it slides over: the native grid of the scan for a
window that an axis of strata declares, the grid that a system is fed with for a system's own window.
Rules that cut alike are one rule, whatever the systems are called. A system without windows sees the
whole fed image, which is then its one window.

Loads neither torch nor NumPy: the plan reads the rules, as the rows of a clean unit depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from auditor.schema import InputSpec, StratumSpec, SystemSpec, WindowSpec

__all__ = [
    "WINDOW_AXIS",
    "WindowRule",
    "property_names",
    "rule_of_stratum",
    "rule_of_system",
    "window_rules",
]

WINDOW_AXIS = "window_foreground_ratio"
"""Axis and stem of the properties; their full name says the window."""

OF_EVERY_LABEL = ("object_volume", "components", "texture_disparity", "texture_disparity_compat")
"""Properties that are stored for every case and label, whatever is declared."""


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Windows of one size and placement, on one grid."""

    size: tuple[int, ...] | None
    """Voxels of a window in the order of the fed axes; None: the whole fed image."""
    overlap: float = 0.5
    """Share of a window that neighbours share at least."""
    placement: Literal["even", "monai"] = "even"
    """As `auditor.schema.WindowSpec.placement`."""
    grid: InputSpec = field(default_factory=InputSpec)
    """What of an input contract moves voxels; everything else is left at its default."""

    @property
    def window(self) -> WindowSpec | None:
        """What cuts the windows."""
        if self.size is None:
            return None
        return WindowSpec(self.size, self.overlap, placement=self.placement)

    @property
    def name(self) -> str:
        """Name of the property: the axis, and in brackets the window with all that is not a default.

        Examples
        --------
        >>> WindowRule((64, 64, 32)).name
        'window_foreground_ratio[64x64x32]'
        >>> WindowRule(
        ...     (96, 96, 96), 0.25, grid=InputSpec(axes="RAS", spacing_mm=(1.5, 1.5, 2.0))
        ... ).name
        'window_foreground_ratio[96x96x96; overlap 0.25; axes RAS; spacing_mm 1.5x1.5x2]'
        """
        return f"{WINDOW_AXIS}[{self.text}]"

    @property
    def text(self) -> str:
        """The window in words."""
        parts = ["whole image" if self.size is None else _text(self.size)]
        if self.size is not None and self.overlap != 0.5:
            parts.append(f"overlap {self.overlap:g}")
        if self.size is not None and self.placement != "even":
            parts.append(f"placement {self.placement}")
        plain = asdict(InputSpec())
        parts += [
            f"{key} {_text(value)}"
            for key, value in asdict(self.grid).items()
            if value != plain[key]
        ]
        return "; ".join(parts)

    def ends(self) -> tuple[str, str]:
        """Names of the properties that hold the smallest and the largest share of any window."""
        return f"{WINDOW_AXIS}_low[{self.text}]", f"{WINDOW_AXIS}_high[{self.text}]"


def rule_of_system(spec: SystemSpec) -> WindowRule | None:
    """Return the windows that a system is fed with; None for what runs outside, in its own way."""
    if spec.command or spec.predictions is not None:
        return None
    given = spec.input
    grid = InputSpec(
        axes=given.axes,
        transpose=given.transpose,
        crop=given.crop,
        spacing_mm=given.spacing_mm,
        # where voxels lie matters only where they are moved
        grid=given.grid if given.spacing_mm is not None else "centre",
        size=given.size,
        fit=given.fit if given.size is not None else "pad",
        divisor=given.divisor,
        dims=given.dims if given.dims == 2 else None,
    )
    if spec.window is None:
        return WindowRule(None, grid=grid)
    return WindowRule(spec.window.size, spec.window.overlap, spec.window.placement, grid)


def rule_of_stratum(spec: StratumSpec, systems: Sequence[SystemSpec]) -> WindowRule | None:
    """Return the windows that an axis of strata is measured in; None for every other axis."""
    if spec.axis != WINDOW_AXIS:
        return None
    if spec.window is not None:
        return WindowRule(spec.window)
    return next((rule_of_system(it) for it in systems if it.name == spec.system), None)


def window_rules(
    systems: Sequence[SystemSpec], strata: Sequence[StratumSpec]
) -> tuple[WindowRule, ...]:
    """List every different window of an audit, sorted by its name."""
    found = [
        *(rule_of_system(spec) for spec in systems),
        *(rule_of_stratum(spec, systems) for spec in strata),
    ]
    known = {rule.name: rule for rule in found if rule is not None}
    return tuple(rule for _, rule in sorted(known.items()))


def property_names(rules: Sequence[WindowRule]) -> tuple[str, ...]:
    """Name every property that is stored for each label of a case."""
    return (*OF_EVERY_LABEL, *(name for rule in rules for name in (rule.name, *rule.ends())))


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return "x".join(f"{it:g}" for it in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
