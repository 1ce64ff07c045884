"""A picture of where the scans of a site lie: one line of panels, one panel an axis."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.confidence import BINS, hidden_up_to, severity_bin
from auditor.schema.site import Measured, Placement, SeverityAxis, Side, SiteProfile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_profile"]

_INK, _BAR, _MARK = "#1f2933", "#4c78a8", "#d1495b"
_SHOWN = BINS[:-1]
_DPI = 130


def draw_profile(profile: SiteProfile) -> bytes:
    """Draw the distribution of a site's scans on every axis.

    With the table of a run: the share of scans at each severity. Without: the estimates, one panel a
    property and unit.

    Returns
    -------
    bytes
        A PNG without dates, so that equal profiles give equal pictures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: Sequence[Any] = [axis for axis in profile.axes if axis.usable]
    if not panels:
        panels = _by_unit(profile)
    columns = min(3, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = Figure(figsize=(4.4 * columns, 3.4 * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{len(profile.scans)} scans ({profile.modality}, {profile.state})"
        + ("" if profile.axes else ", estimated totals; no run to place them by"),
        fontsize=11, color=_INK,
    )  # fmt: skip
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        if isinstance(panel, SeverityAxis):
            found = [it for scan in profile.scans for it in scan.placements]
            _placed(axes, panel, [it for it in found if it.perturbation == panel.perturbation])
        else:
            _measured(axes, panel)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return content.getvalue()


def _by_unit(profile: SiteProfile) -> list[list[Measured]]:
    """Collect what was measured by property and unit, for mm and pixels have no common axis."""
    every = [it for scan in profile.scans for it in scan.measured]
    found: dict[tuple[str, str], list[Measured]] = {}
    for it in every:
        if it.value is not None:
            found.setdefault((it.name, it.unit), []).append(it)
    order = list(dict.fromkeys(it.name for it in every))
    return sorted(found.values(), key=lambda values: order.index(values[0].name))


def _placed(axes: Axes, axis: SeverityAxis, placements: Sequence[Placement]) -> None:
    """Draw the share of the scans in every bin of severity."""
    counts = dict.fromkeys(_SHOWN, 0)
    known = [it for it in placements if it.side is not Side.UNDEFINED]
    for it in known:
        counts[severity_bin(it)] += 1
    total = max(1, len(known))
    shares = [counts[name] / total for name in _SHOWN]
    axes.bar(range(len(_SHOWN)), shares, color=_BAR, width=0.8)
    for place, share in enumerate(shares):
        if share:
            axes.text(place, share + 0.015, f"{share:.0%}", ha="center", fontsize=8, color=_INK)
    axes.set_xticks(range(len(_SHOWN)), _SHOWN, fontsize=8)
    axes.set_ylim(0, 1.12)
    axes.set_yticks([0, 0.5, 1.0], ["0", "50 %", "100 %"], fontsize=8)
    own = f"test set: median {axis.median[0]:.3g}, up to {axis.high[0]:.3g} {axis.unit}"
    axes.set_title(f"{axis.perturbation}\n{own} (n = {axis.n})", fontsize=9, color=_INK)
    told = f"severity added to the test set (n = {len(known)} scans)"
    if hidden := hidden_up_to(axis):
        told += f"\nup to {hidden:.2g} is not told from its own spread"
    axes.set_xlabel(told, fontsize=8)


def _measured(axes: Axes, found: Sequence[Measured]) -> None:
    """Draw the histogram of one property, with its median."""
    values = [it.value for it in found if it.value is not None]
    axes.hist(values, bins=min(20, max(5, len(values) // 2)), color=_BAR)
    middle = float(np.median(values))
    axes.axvline(middle, color=_MARK, linewidth=1.5)
    axes.set_title(f"{found[0].name}\nmedian {middle:.3g} {found[0].unit}", fontsize=9, color=_INK)
    axes.set_xlabel(f"{found[0].unit} (n = {len(values)} scans)", fontsize=8)
    axes.set_ylabel("scans", fontsize=8)
    axes.tick_params(labelsize=8)
