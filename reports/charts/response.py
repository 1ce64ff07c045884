"""Severity-response curves: one panel a perturbation, one line a system."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from auditor.schema import MetricInfo, Summary
from reports import svg
from reports.charts.axes import Scale, value_scale, vertical_axis
from reports.charts.envelope import floor_line, supported_bars, wide_band
from reports.svg import Mark
from reports.view import View
from reports.wording import digits, heading, is_complete, short, status_words

WIDTH, HEIGHT = 380.0, 310.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 362.0, 34.0, 218.0


@dataclass(frozen=True, slots=True)
class Curve:
    """What one system shows in one panel."""

    system: str
    steps: tuple[tuple[float, Summary], ...]


def panel(view: View, perturbation: str, label: str, metric: MetricInfo) -> Markup:
    """Draw how a metric changes from clean to the highest severity.

    Parameters
    ----------
    view
        Results.
    perturbation, label
        What is shown.
    metric
        With range and unit.
    """
    severities = (0.0, *view.severities(perturbation))
    across = Scale(0.0, max(severities[-1], 1.0), LEFT + 26, RIGHT - 16)
    curves = [
        Curve(name, view.curve(name, perturbation, label, metric.name)) for name in view.systems
    ]
    scale = value_scale(_values(curves), metric.low, metric.high, BOTTOM, TOP)
    parts = [
        _stress(view, perturbation, across),
        vertical_axis(scale, LEFT, RIGHT),
        _severity_axis(view, perturbation, across),
        _controls(view, perturbation, label, metric, (across, scale)),
        _raters(view, label, metric, (across, scale), curves),
        *_limits(view, perturbation, label, metric, (across, scale)),
        *(_band(curve, across, scale, view) for curve in curves),
        *(_worst_cases(curve, across, scale, view) for curve in curves),
        *(_line(curve, across, scale, view) for curve in curves),
        _title(perturbation, metric, "" if view.single else "mean "),
    ]
    title = f"{heading(perturbation)}: {short(metric)} of {label} by severity"
    return svg.drawing(WIDTH, HEIGHT, *parts, title=title, description=_describe(curves, metric))


def _limits(
    view: View, perturbation: str, label: str, metric: MetricInfo, scales: tuple[Scale, Scale]
) -> list[Markup]:
    """Simultaneous bands, and how far the declared limits are supported, of the metric that has them."""
    across, scale = scales
    found = [
        (view.marks[name].index, response)
        for name in view.systems
        if (response := view.response(name, perturbation, label)) is not None
        and response.metric == metric.name
    ]
    rows = [
        row
        for row in view.results.envelope
        if (row.perturbation, row.label, row.metric) == (perturbation, label, metric.name)
    ]
    bands = [wide_band(response.points, across, scale, index) for index, response in found]
    if not found:
        return bands
    return [*bands, floor_line(rows, scale, LEFT, RIGHT), supported_bars(view, rows, across)]


def _values(curves: list[Curve]) -> list[float]:
    values = [
        v
        for curve in curves
        for _, row in curve.steps
        for v in (row.mean.value, row.mean.low, row.mean.high)
        if v is not None
    ]
    return values or [0.0, 1.0]


def _title(perturbation: str, metric: MetricInfo, kind: str) -> Markup:
    unit = f", {metric.unit}" if metric.unit else ""
    better = "" if metric.higher_is_better else " (lower is better)"
    return svg.text(LEFT - 34, 14, heading(perturbation), class_="panel-title") + svg.text(
        RIGHT, 14, f"{kind}{short(metric)}{unit}{better}", class_="tick", text_anchor="end"
    )


def _stress(view: View, perturbation: str, across: Scale) -> Markup:
    stressed = [s for s in view.severities(perturbation) if view.grid[perturbation, s].stress]
    if not stressed:
        return Markup("")
    left = across(stressed[0]) - (across(1.0) - across(0.0)) / 2
    return svg.rectangle(left, TOP, RIGHT - left, BOTTOM - TOP, class_="stress") + svg.text(
        RIGHT - 4, BOTTOM - 6, "stress: beyond usual practice", class_="small", text_anchor="end"
    )


def _severity_axis(view: View, perturbation: str, across: Scale) -> Markup:
    severities = view.severities(perturbation)
    first = view.grid[perturbation, severities[0]] if severities else None
    unit = first.unit if first else ""
    rows = [svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, class_="axis")]
    rows += _axis_row(
        BOTTOM + 14, "", across, [(0.0, "clean"), *((s, f"{s:g}") for s in severities)]
    )
    cells = [(s, view.grid[perturbation, s]) for s in severities]
    # levels of equal effect differ from scan to scan: their median is shown, not the similarity
    solved = {s: {f[0]: f[2] for f in c.facts}.get("solved_level") for s, c in cells}
    shown = [(s, c.level if solved[s] is None else solved[s]) for s, c in cells]
    levels = [(s, f"{level:.4g}") for s, level in shown if level is not None]
    if not unit and all(level == s for s, level in shown):
        levels, unit = [], "severity"  # a table that knows severities alone
    if any(level is not None for level in solved.values()):
        unit = f"{first.axis_unit}, median of the scans" if first else ""
    nrmse = [(s, f"{c.nrmse:.2f}") for s, c in cells if c.nrmse is not None]
    ssim = [(s, f"{c.ssim:.2f}") for s, c in cells if c.ssim is not None]
    rows += _axis_row(BOTTOM + 28, "level", across, levels, class_="tick strong")
    rows += _axis_row(BOTTOM + 42, "NRMSE", across, nrmse, class_="small")
    rows += _axis_row(BOTTOM + 54, "SSIM", across, ssim, class_="small")
    words = "severity" if unit == "severity" else f"severity, level in {unit}".removesuffix(" in ")
    words = words.replace("level in of", "level as share of")
    rows.append(
        svg.text(
            RIGHT, BOTTOM + 71, f"{words} · worse to the right →", class_="tick", text_anchor="end"
        )
    )
    if view.results.measured is not None:
        return Markup("").join(rows)  # no scan was seen that could have a level of its own
    own = native_words(view, perturbation)
    rows.append(svg.text(RIGHT, BOTTOM + 86, own, class_="small", text_anchor="end"))
    return Markup("").join(rows)


def _axis_row(
    y: float,
    name: str,
    across: Scale,
    entries: list[tuple[float, str]],
    class_: str = "tick",
) -> list[Markup]:
    if not entries:
        return []
    row = [
        svg.text(across(s), y, words, class_=class_, text_anchor="middle") for s, words in entries
    ]
    return [svg.text(4, y, name, class_="small"), *row] if name else row


def native_words(view: View, perturbation: str) -> str:
    """Say where the scans of this audit lie on the axis before anything is added."""
    severities = view.severities(perturbation)
    here = view.grid.get((perturbation, severities[0])) if severities else None
    own = "own noise" if here is not None and here.family == "noise" else "own level"
    if here is None or here.native_level is None:
        return f"{own} of the clean scans: not estimable"
    words = f"{own} of the clean scans: {digits(here.native_level, unit='u')}"
    if here.native_low is not None and here.native_high is not None:
        words += f" ({digits(here.native_low, unit='u')} to {digits(here.native_high, unit='u')})"
    return f"{words} {here.axis_unit or here.unit}".rstrip()


def _runs(curve: Curve) -> list[list[tuple[float, Summary]]]:
    """Cut a curve where a value is missing: a gap must not be bridged by a line."""
    runs: list[list[tuple[float, Summary]]] = [[]]
    for severity, row in curve.steps:
        if row.mean.value is None:
            runs.append([])
        else:
            runs[-1].append((severity, row))
    return [run for run in runs if run]


def _band(curve: Curve, across: Scale, scale: Scale, view: View) -> Markup:
    mark = view.marks[curve.system]
    bands = []
    for run in _runs(curve):
        edge = [
            (s, r.mean.low, r.mean.high)
            for s, r in run
            if r.mean.low is not None and r.mean.high is not None and r.mean.n > 1
        ]
        if len(edge) < 2:
            continue
        upper = [(across(s), scale(high)) for s, _, high in edge]
        lower = [(across(s), scale(low)) for s, low, _ in reversed(edge)]
        outline = svg.path([*upper, *lower], closed=True)
        bands.append(svg.element("path", d=outline, class_=f"band f{mark.index}"))
    return Markup("").join(bands)


def _line(curve: Curve, across: Scale, scale: Scale, view: View) -> Markup:
    mark = view.marks[curve.system]
    parts = []
    for run in _runs(curve):
        points = [(across(s), scale(r.mean.value or 0.0)) for s, r in run]
        parts.append(
            svg.element(
                "path",
                d=svg.path(points),
                class_=f"line s{mark.index}",
                stroke_dasharray=mark.dash or None,
            )
        )
        parts += [svg.marker(mark.shape, x, y, class_=f"mark f{mark.index}") for x, y in points]
    return Markup("").join(parts)


def _lacks(row: Summary) -> bool:
    """Tell whether a mean leaves something out that would change it."""
    return row.worst_case_mean not in (None, row.mean.value) and not is_complete(row)


def _worst_cases(curve: Curve, across: Scale, scale: Scale, view: View) -> Markup:
    """Hollow marks where a mean leaves cases out: the mean with those at their worst value.

    A worst value beyond the scale is drawn on its edge.
    """
    mark = view.marks[curve.system]
    parts = []
    for severity, row in curve.steps:
        if not _lacks(row) or row.worst_case_mean is None:
            continue
        x, y = across(severity), scale(row.worst_case_mean)
        if row.mean.value is not None:
            parts.append(svg.line(x, scale(row.mean.value), x, y, class_="control"))
        parts.append(svg.marker(mark.shape, x, y, class_=f"hollow s{mark.index}"))
    return Markup("").join(parts)


def _controls(
    view: View, perturbation: str, label: str, metric: MetricInfo, scales: tuple[Scale, Scale]
) -> Markup:
    """Thin grey curves of the controls; they are stored for DSC alone."""
    if metric.name != "dsc":
        return Markup("")
    across, scale = scales
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in view.results.controls:
        here = row.perturbation in {perturbation, "clean"} and row.label == label
        if here and row.mean is not None:
            curves.setdefault(row.title, []).append((row.severity, row.mean))
    parts = []
    for name, values in curves.items():
        points = [(across(s), scale(v)) for s, v in sorted(values)]
        if len(points) < 2:
            continue
        parts.append(svg.element("path", d=svg.path(points), class_="control"))
        x, y = points[0]
        parts.append(svg.text(x + 4, y - 3, name, class_="small"))
    return Markup("").join(parts)


def _raters(
    view: View,
    label: str,
    metric: MetricInfo,
    scales: tuple[Scale, Scale],
    curves: list[Curve],
) -> Markup:
    """Mark the agreement of the raters with each other at severity 0: they saw no other scans.

    Its name stands on the side where fewer curves begin, so that they do not run through it.
    """
    known = () if view.results.raters is None else view.results.raters.labels
    own = next((it for it in known if it.label == label), None)
    found = None if own is None else {"dsc": own.dsc, "assd": own.assd}.get(metric.name)
    if found is None or found.value is None:
        return Markup("")
    across, scale = scales
    x, y = across(0.0) - 13, scale(found.value)
    whisker = Markup("")
    if found.low is not None and found.high is not None:
        whisker = svg.line(x, scale(found.low), x, scale(found.high), class_="guide axis")
    starts = [run[0][1].mean.value for curve in curves for run in _runs(curve)[:1]]
    above = sum(value > found.value for value in starts if value is not None)
    beside = y - 6 if 2 * above < len(starts) else y + 13
    return (
        whisker
        + svg.marker("diamond", x, y, size=3.2, class_="hollow axis")
        + svg.text(x + 6, beside, "raters with each other", class_="small")
    )


def _describe(curves: list[Curve], metric: MetricInfo) -> str:
    parts = []
    for curve in curves:
        if not curve.steps:
            parts.append(f"{curve.system}: no values")
            continue
        ends = (curve.steps[0][1].mean, curve.steps[-1][1].mean)
        first, last = (
            status_words(e.status, e.note) if e.value is None else digits(e.value, unit=metric.unit)
            for e in ends
        )
        parts.append(
            f"{curve.system} from {first} on clean scans to {last} at the highest severity"
        )
    return "; ".join(parts) + "."


def legend(view: View) -> Markup:
    """Say which line is which system, and what band, grey and shade mean."""
    return Markup("").join(key_of(view.marks[name], name) for name in view.systems)


def key_of(mark: Mark, name: str) -> Markup:
    """Write one entry of a legend: a piece of line with its mark, and what it stands for."""
    sample = svg.element(
        "svg",
        svg.element(
            "path", d="M1,7 33,7", class_=f"line s{mark.index}", stroke_dasharray=mark.dash or None
        ),
        svg.marker(mark.shape, 17, 7, class_=f"mark f{mark.index}"),
        viewBox="0 0 34 14",
        class_="sample",
        aria_hidden="true",
    )
    return Markup('<span class="key">{}{}</span>').format(sample, name)


def limits_key(view: View) -> Markup:
    """Explain the light bands, and the bars above a panel where limits were declared."""
    if not view.results.responses or view.single:
        return Markup("")
    words = ["light band: holds at all severities at once, what failed at its worst value"]
    if any(row.claims for row in view.results.envelope):
        words.append(
            "bars above, in this order: limits supported up to there; cross: broken from there"
        )
    return Markup("").join(Markup('<span class="key">{}</span>').format(it) for it in words)


def missing_key(view: View) -> Markup:
    """Explain the hollow marks of the curves, where there are any."""
    if not any(_lacks(row) for row in view.results.summaries):
        return Markup("")
    words = "hollow mark: mean with what is missing at its worst value"
    return Markup('<span class="key">{}</span>').format(words)
