"""How values change from clean to the highest severity."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import Condition, MetricInfo
from reports.charts import response as chart
from reports.document import Block, Column, Figure, Gallery, Prose, Section, Table, Text
from reports.sections.envelope import envelope
from reports.sections.robustness import literature, repeatability
from reports.view import View
from reports.wording import (
    count,
    heading,
    level,
    lines,
    mean_of,
    method_of,
    metric_title,
    number,
    short,
    statuses,
    value_of,
)

MOST_PANELS = 60
"""With more panels than this, only the metric of the front page is drawn; tables have the rest."""


def response(view: View) -> Section:
    """One gallery a label and metric; the metric of the front page first and open."""
    head = view.results.headline
    metrics = sorted(view.results.metrics, key=lambda m: m.name != head.metric)
    labels = sorted(view.results.labels, key=lambda name: name != head.label)
    many = len(metrics) * len(labels) * len(view.perturbations) > MOST_PANELS
    blocks: list[Block] = []
    drawn = [m for m in metrics if m.name == head.metric or not many]
    if view.perturbations:
        blocks += [_gallery(view, label, metric) for metric in drawn for label in labels]
    if not view.perturbations:
        blocks.append(Prose("Not assessed: no perturbation was declared.", "empty"))
    if many:
        words = (
            f"Curves are drawn for {short(view.metric(head.metric))}; results.json has the rest."
        )
        blocks.append(Prose(words))
    if view.perturbations:
        effects = [] if view.results.measured else [_effects(view)]
        blocks += [*envelope(view), *_invariant(view), *effects]
        blocks += [*repeatability(view), *literature(view)]
    bands = "Values of one patient." if view.single else "Dark bands are pointwise intervals."
    lead = (
        "Each panel adds one simulated change of known size to the clean scans; severity grows to "
        f"the right. {bands} Beneath each severity stand its level in physical units and its "
        "measured effect on the image (NRMSE and SSIM, medians over scans). Grey lines are "
        "controls."
    )
    if view.results.measured is not None:
        lead = (
            "Each panel shows one kind of condition of the table, from the clean one to its highest severity; "
            f"what it does to a scan is not known here. {bands}"
        )
    return Section("response", "Severity-response curves", lead, tuple(blocks))


def _gallery(view: View, label: str, metric: MetricInfo) -> Gallery:
    head = view.results.headline
    first = (metric.name, label) == (head.metric, head.label)
    title = f"{metric_title(metric)} of {label}"
    figures = tuple(
        Figure(
            chart.panel(view, name, label, metric),
            heading(name),
            _table(view, name, label, metric),
        )
        for name in view.perturbations
    )
    return Gallery(
        figures=figures,
        legend=chart.legend(view) + chart.missing_key(view) + _limits_key(view, label, metric),
        title=title if first else "",
        summary="" if first else title,
    )


def _limits_key(view: View, label: str, metric: MetricInfo) -> Markup:
    known = {(it.label, it.metric) for it in view.results.responses}
    return chart.limits_key(view) if (label, metric.name) in known else Markup("")


def _table(view: View, perturbation: str, label: str, metric: MetricInfo) -> Table:
    rows: list[tuple[Text, ...]] = []
    banded = any((it.metric, it.label) == (metric.name, label) for it in view.results.responses)
    for system in view.systems:
        bands = _bands(view, system, perturbation, label) if banded else {}
        for severity, row in view.curve(system, perturbation, label, metric.name):
            rows.append(
                (
                    system,
                    number(severity, text=f"{severity:g}"),
                    level(row.level, row.unit),
                    mean_of(row, unit=metric.unit),
                    *((bands.get(severity, "none"),) if banded else ()),
                    value_of(row.drop, unit=metric.unit) if severity else "reference point",
                    count(row.mean.n),
                    lines([method_of(row.mean)]),
                    statuses(row.statuses),
                )
            )
    columns = (
        *(Column("System"), Column("Severity", "number"), Column("Level", "number")),
        Column("Value" if view.single else "Mean [interval]", "number"),
        *((Column("All severities at once", "number"),) if banded else ()),
        Column("Loss from clean (paired)", "number"),
        *(
            Column("n", "number"),
            Column("Level and method", fold=True),
            Column("Measurements", fold=True),
        ),
    )
    caption = f"{heading(perturbation)}: {metric_title(metric)} of {label} by severity."
    return Table(caption, columns, tuple(rows), summary="Numbers of this figure")


def _bands(view: View, system: str, perturbation: str, label: str) -> dict[float, Text]:
    """Mean with what failed at its worst value, and its interval that holds at all severities at once."""
    found = view.response(system, perturbation, label)
    return {} if found is None else {it.severity: value_of(it.band) for it in found.points}


def _invariant(view: View) -> list[Block]:
    """Say of which changes a curve can tell nothing, because the system takes them away itself."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name in view.perturbations:
        first = view.grid[name, view.severities(name)[0]]
        if first.invariant:
            names.setdefault(first.invariant, []).append(heading(name))
    return [
        Prose(
            f"Invariant by its own normalisation: {', '.join(systems)}, to {', '.join(changes)}. A flat "
            "curve there says nothing about the network."
        )
        for systems, changes in names.items()
    ]


def _effects(view: View) -> Table:
    rows: list[tuple[Text, ...]] = []
    for name in view.perturbations:
        for severity in view.severities(name):
            c = view.grid[name, severity]
            rows.append(
                (
                    heading(name),
                    number(severity, text=f"{severity:g}"),
                    level(c.level, c.unit),
                    *(_effect(v) for v in (c.nrmse, c.ssim)),
                    number(c.psnr, unit="dB") if c.psnr is not None else "identical image",
                    _effect(c.contrast_to_noise),
                    level(c.estimated_level, c.axis_unit or c.unit)
                    if c.estimated_level is not None
                    else "not estimable",
                    count(c.n_scans),
                    count(c.n_no_effect),
                    count(c.n_not_applicable),
                    count(c.n_masked),
                    _facts(c),
                    "beyond usual practice" if c.stress else "usual practice",
                )
            )
    columns = (
        *(Column("Perturbation"), Column("Severity", "number"), Column("Level", "number")),
        *(Column("NRMSE", "number"), Column("SSIM", "number"), Column("PSNR", "number")),
        *(Column("Contrast to noise", "number"), Column("Estimated level", "number")),
        *(Column("Scans", "number"), Column("Without effect", "number")),
        Column("Not applicable", "number"),
        *(Column("Background masked", "number"), Column("Recorded", fold=True), Column("Range")),
    )
    return Table(
        caption="Measured effect of each perturbation on the images, medians over scans.",
        columns=columns,
        rows=tuple(rows),
        summary="Measured effect of every level",
        note="Without effect: scans that this level does not change; they are not counted as "
        "evidence of stability. Not applicable: scans that refuse it, or on which no level has the "
        "effect; they are no evidence at all. Estimated level: total found in the perturbed scan, own level "
        "included. Background masked: scans whose background had been removed; no noise is invented "
        "there.",
    )


def _facts(condition: Condition) -> Text:
    """Write what else was recorded: the median of the scans, and the range where they differ."""
    told = []
    for name, low, median, high in condition.facts:
        spread = "" if low == high else f" ({low:.4g} to {high:.4g})"
        told.append(f"{name.replace('_', ' ')} {median:.4g}{spread}")
    return lines(told) if told else "nothing"


def _effect(value: float | None) -> Text:
    return number(value) if value is not None else "not measured"
