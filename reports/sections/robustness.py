"""Repeatability, and the descriptive measures of robustness of the literature, as compact tables."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import Estimate, RepeatabilityRow, RobustnessMeasure
from auditor.schema.response import Measure
from reports.document import Block, Column, Prose, Table, Text
from reports.view import View
from reports.wording import (
    count,
    heading,
    interval,
    joined,
    level,
    method_of,
    number,
    plain,
    short,
    status_words,
)

_OF_SYSTEM: tuple[tuple[Measure, str], ...] = (
    ("mean_change", ""),
    ("mean_degradation", ""),
    ("share_best", "clean"),
    ("share_best", ""),
    ("corruption_error", ""),
    ("relative_corruption_error", ""),
)
"""(measure, perturbation) of the columns of a system."""


def repeatability(view: View) -> list[Block]:
    """How much independent draws of a condition differ, apart from patients."""
    found = view.results.repeatability
    blocks: list[Block] = []
    if found.rows:
        blocks.append(_draws(view, found.rows))
    if found.not_assessed:
        names = joined([plain(name) for name in found.not_assessed])
        words = f"Repeatability: not assessed for {names}, drawn once a case (replicates: 1)."
        blocks.append(Prose(words, "empty"))
    return blocks


def _draws(view: View, rows: Sequence[RepeatabilityRow]) -> Table:
    units = {metric.name: metric.unit for metric in view.results.metrics}
    cells = tuple(
        (
            row.system,
            row.label,
            heading(row.perturbation),
            number(row.severity, text=f"{row.severity:g}"),
            level(row.level, row.unit),
            short(view.metric(row.metric)),
            _value(row.within, units.get(row.metric, "")),
            _value(row.coefficient, "%"),
            _value(row.limit, units.get(row.metric, "")),
            "none" if row.between is None else number(row.between, unit=units.get(row.metric, "")),
            count(row.replicates),
            count(row.within.n),
            count(row.left_out),
            count(row.failed),
            method_of(row.within),
        )
        for row in rows
    )
    return Table(
        caption="Repeatability: independent draws of the same condition on the same scan.",
        columns=(
            *(Column("System"), Column("Label", fold=True), Column("Perturbation")),
            *(Column("Severity", "number"), Column("Level", "number"), Column("Metric")),
            *(Column("SD within patients", "number"), Column("of the mean", "number")),
            *(
                Column("Repeatability coefficient", "number"),
                Column("SD between patients", "number"),
            ),
            *(Column("Draws", "number", fold=True), Column("n", "number", fold=True)),
            *(Column("Left out", "number", fold=True), Column("Failed", "number", fold=True)),
            Column("Level and method", fold=True),
        ),
        rows=cells,
        note="Two draws differ by more than the repeatability coefficient in about 1 of 20 pairs. SD between "
        "patients has the share of the draws taken off. Left out: patients with fewer than two draws.",
    )


def _value(estimate: Estimate, unit: str) -> Text:
    if estimate.value is None:
        return status_words(estimate.status, estimate.note)
    return number(estimate.value, unit=unit) + interval(estimate, unit=unit)


def literature(view: View) -> list[Block]:
    """Build the measures of the literature, folded: a row a system and metric, then a row a perturbation."""
    results = view.results
    if not results.coefficient_of_variation:
        return []
    blocks: list[Block] = [_of_systems(view)]
    single = [
        it
        for it in results.robustness
        if it.perturbation not in {"", "clean"} and it.metric == results.headline.metric
    ]
    if single:
        blocks.append(_of_perturbations(view, single))
    spreads = [it for it in results.robustness if it.measure == "seed_spread"]
    if spreads:
        blocks.append(_of_families(view, spreads))
    return blocks


def _of_systems(view: View) -> Table:
    results = view.results
    index = {
        (it.measure, it.perturbation, it.system, it.label, it.metric): it
        for it in results.robustness
    }
    rows = []
    order = {name: at for at, name in enumerate(view.systems)}
    for it in sorted(results.coefficient_of_variation, key=lambda row: order.get(row.system, 0)):
        unit = view.metric(it.metric).unit
        place = (it.system, it.label, it.metric)
        found = [index.get((*measure, *place)) for measure in _OF_SYSTEM]
        rows.append(
            (
                it.system,
                it.label,
                short(view.metric(it.metric)),
                status_words(it.status, it.note) if it.value is None else number(it.value),
                *(_measure(m, unit if at < 2 else "") for at, m in enumerate(found)),
                count(it.n_conditions),
                count(it.n_cases),
            )
        )
    reference = next((it.reference for it in results.robustness if it.reference), "")
    against = f" against {reference}" if reference else ""
    return Table(
        caption="Measures of robustness of the literature: descriptive, without intervals.",
        columns=(
            *(Column("System"), Column("Label", fold=True), Column("Metric")),
            *(Column("Coefficient of variation", "number"), Column("Mean change", "number")),
            *(Column("Mean degradation", "number"), Column("Best on clean, share", "number")),
            *(Column("Best everywhere, share", "number"), Column("Corruption error", "number")),
            *(Column("Relative corruption error", "number"), Column("Conditions", "number")),
            Column("Cases, at least", "number"),
        ),
        rows=tuple(rows),
        summary="Measures of robustness of the literature (descriptive)",
        note="Coefficient of variation: population SD over mean of the condition means, clean among them. Mean "
        "change: value under the conditions less that on clean. Mean degradation: loss from clean, weights "
        "(2/3) to the power of the severity (ROOD-MRI). Best: ties share a case alike. Corruption errors"
        f"{against}: sums of errors over severities, relative ones less the clean error (Hendrycks & "
        "Dietterich). What failed counts at its worst value.",
    )


def _measure(it: RobustnessMeasure | None, unit: str) -> Text:
    if it is None:
        return "not assessed"
    return status_words(it.status, it.note) if it.value is None else number(it.value, unit=unit)


def _of_perturbations(view: View, rows: Sequence[RobustnessMeasure]) -> Table:
    index = {(it.measure, it.system, it.label, it.perturbation): it for it in rows}
    order = {name: at for at, name in enumerate(view.systems)}
    places = sorted(
        {(it.system, it.label, it.perturbation) for it in rows},
        key=lambda place: (order.get(place[0], 0), *place[1:]),
    )
    metric = view.metric(view.results.headline.metric)
    names: tuple[Measure, ...] = (
        "mean_degradation",
        "corruption_error",
        "relative_corruption_error",
    )
    cells = tuple(
        (
            system,
            label,
            heading(perturbation),
            *(
                _measure(
                    index.get((name, system, label, perturbation)), metric.unit if not at else ""
                )
                for at, name in enumerate(names)
            ),
        )
        for system, label, perturbation in places
    )
    return Table(
        caption=f"The same of {short(metric)}, perturbation by perturbation (descriptive).",
        columns=(
            *(Column("System"), Column("Label", fold=True), Column("Perturbation")),
            *(Column("Mean degradation", "number"), Column("Corruption error", "number")),
            Column("Relative corruption error", "number"),
        ),
        rows=cells,
        summary="Measures of the literature by perturbation",
    )


def _of_families(view: View, rows: Sequence[RobustnessMeasure]) -> Table:
    cells = tuple(
        (
            it.system,
            it.label,
            short(view.metric(it.metric)),
            "clean scans" if it.perturbation == "clean" else "mean over all conditions",
            _measure(it, view.metric(it.metric).unit),
            count(it.n_cases),
        )
        for it in rows
    )
    return Table(
        caption=Markup("Spread over training runs: SD of the means of a family (descriptive)."),
        columns=(
            *(Column("Family"), Column("Label", fold=True), Column("Metric"), Column("Of")),
            *(Column("SD", "number"), Column("Training runs", "number")),
        ),
        rows=cells,
        summary="Spread over training runs",
    )
