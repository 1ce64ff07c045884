"""Where one scan lies on an axis, drawn as small as a cell of a table."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema.ratings import AxisPosition
from reports import svg
from reports.charts.axes import Scale
from reports.wording import compact, plain

_WIDTH, _HEIGHT = 230.0, 30.0


def axis_strip(position: AxisPosition) -> Markup:
    """Draw an axis: where the calibration scans lie, up to where scans are rated, and this one.

    Returns
    -------
    Markup
        Empty where the scan has no estimate, or the axis places none.
    """
    axis, estimate = position.axis, position.placement.estimate
    if estimate is None or not axis.usable:
        return Markup("")
    limit = axis.high[0] if position.limit is None else position.limit
    low = min(axis.low[0], estimate)
    high = max(axis.high[-1] if position.calibrated else limit, limit, estimate)
    room = 0.05 * (high - low) or 1.0
    across = Scale(low - room, high + room, 6.0, _WIDTH - 6.0)
    parts = [
        svg.rectangle(
            across(axis.low[0]), 6, across(limit) - across(axis.low[0]), 12, class_="rated-range"
        ),
        svg.rectangle(
            across(axis.low[0]), 6, across(axis.high[0]) - across(axis.low[0]), 12,
            class_="clean-range",
        ),
    ]  # fmt: skip
    if position.calibrated:
        parts += [_severity(across, *it) for it in zip(axis.severities, axis.median, strict=True)]
    parts.append(svg.line(across(limit), 3, across(limit), 21, class_="nominal"))
    parts.append(
        svg.marker(
            "circle" if position.inside else "diamond", across(estimate), 12, size=4.4,
            class_="f0" if position.inside else "f1",
        )
    )  # fmt: skip
    where = "inside" if position.inside else "outside"
    return svg.drawing(
        _WIDTH,
        _HEIGHT,
        *parts,
        title=f"The scan on {plain(axis.perturbation)}",
        description=(
            f"Estimate {compact(estimate)} {axis.unit}, {where}: scans are rated up to {compact(limit)}; "
            f"calibration scans as they are have {compact(axis.low[0])} to {compact(axis.high[0])}."
        ),
        class_="strip-axis",
    )


def _severity(across: Scale, severity: float, median: float) -> Markup:
    x = across(median)
    return svg.line(x, 18, x, 21, class_="axis") + svg.text(
        x, 29.5, f"{severity:g}", class_="small", text_anchor="middle"
    )
