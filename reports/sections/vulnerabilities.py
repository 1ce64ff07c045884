"""What hurts most in a screen: the ranking as picture and table, and what has no place in it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import Estimate
from auditor.schema.screen import Drop, Screen, Vulnerability
from reports.charts.vulnerabilities import vulnerabilities
from reports.document import Block, Column, Figure, Prose, Section, Table, Text
from reports.wording import (
    count,
    heading,
    interval,
    level,
    lines,
    number,
    percent,
    status_words,
    statuses,
)


def hurts(screen: Screen) -> Section:
    """Rank what was reached."""
    ranked = [row for row in screen.vulnerabilities if row.rank is not None]
    lead = (
        "Mean drop of the DSC from the same patients' clean scans; positive is worse. The order is that of "
        "the mean over the severities; what prints alike shares a place."
    )
    if not ranked:
        words = "No perturbation was reached before the end, or none could be compared."
        return Section("vulnerabilities", "What hurts most", lead, (Prose(words, "empty"),))
    severities = sorted({drop.severity for row in ranked for drop in row.drops})
    columns = (
        Column("Perturbation"),
        Column("Place", "number"),
        Column("Mean drop", "bound"),
        *(Column(f"Severity {severity:g}", "number") for severity in severities),
        Column("n", "number"),
        Column("Failed", "number", fold=True),
        Column("Remarks", "wide", fold=True),
    )
    rows = tuple(_ranked_row(row, severities, ranked) for row in ranked)
    table = Table(
        caption="Ranked perturbations: mean drop, and from the smallest to the largest of a patient.",
        columns=columns,
        rows=rows,
        note=_interval_note(ranked),
    )
    blocks: list[Block] = [
        Figure(vulnerabilities(ranked), "Mean drop by severity, in the order of the table."),
        table,
        _levels(ranked, screen),
    ]
    if len(screen.labels) > 1:
        blocks.append(_labels(ranked, screen))
    return Section("vulnerabilities", "What hurts most", lead, tuple(blocks))


def _interval_note(ranked: Sequence[Vulnerability]) -> str:
    few = next((row.area.note for row in ranked if row.area.status == "too_few"), "")
    some = any(row.area.low is not None for row in ranked)
    told = (
        "Intervals: two-sided, studentized bootstrap over patients, each on its own. "
        if some
        else ""
    )
    return told + (f"No interval stands where it {few}." if few else "")


def _ranked_row(
    row: Vulnerability, severities: Sequence[float], ranked: Sequence[Vulnerability]
) -> tuple[Text, ...]:
    at = {drop.severity: drop for drop in row.drops}
    tied = sum(other.rank == row.rank for other in ranked) > 1
    failed = sum(drop.failures for drop in row.drops)
    reasons = dict.fromkeys(reason for drop in row.drops for reason in drop.reasons)
    place = Markup("{}{}").format(count(row.rank or 0), " =" if tied else "")
    return (
        heading(row.perturbation),
        place,
        _area(row.area),
        *(_at(at.get(severity)) for severity in severities),
        count(row.area.n),
        count(failed),
        lines([row.note, *list(reasons)[:3]]) or "none",
    )


def _area(area: Estimate) -> Text:
    if area.value is None:
        return status_words(area.status, area.note)
    shown = number(area.value) + interval(area)
    if area.low is not None and area.level is not None:
        return shown + Markup('<br><span class="quiet">{} interval</span>').format(
            percent(area.level)
        )
    return shown


def _at(drop: Drop | None) -> Text:
    if drop is None:
        return "not planned"
    if drop.mean is None or drop.smallest is None or drop.largest is None:
        return statuses(drop.statuses) if drop.statuses else "not reached"
    return Markup('{}<br><span class="quiet">{}\u00a0to\u00a0{}<br>n\u00a0=\u00a0{}</span>').format(
        number(drop.mean), number(drop.smallest), number(drop.largest), count(drop.n)
    )


def _levels(ranked: Sequence[Vulnerability], screen: Screen) -> Table:
    far = screen.metrics[1]
    rows: list[tuple[Text, ...]] = []
    for row in ranked:
        for drop in row.drops:
            rise: Text = "no pair of values"
            if drop.distance_rise is not None:
                rise = Markup("{} (n = {})").format(
                    number(drop.distance_rise, unit=far.unit), count(drop.distance_n)
                )
            rows.append(
                (
                    heading(row.perturbation),
                    number(drop.severity, text=f"{drop.severity:g}"),
                    level(drop.level, drop.unit),
                    number(drop.mean) if drop.mean is not None else "none",
                    count(drop.n),
                    rise,
                    statuses(drop.statuses),
                )
            )
    return Table(
        caption=f"Every severity with its level, and the median rise of the {far.name.upper()}.",
        columns=(
            Column("Perturbation"),
            Column("Severity", "number"),
            Column("Level"),
            Column("Mean drop", "number"),
            Column("n", "number"),
            Column(f"{far.name.upper()} rises by", "number"),
            Column("Ended as"),
        ),
        rows=tuple(rows),
        summary="Levels, distances and statuses",
    )


def _labels(ranked: Sequence[Vulnerability], screen: Screen) -> Table:
    rows: list[tuple[Text, ...]] = []
    for row in ranked:
        for drop in row.drops:
            cells: list[Text] = [
                Markup("{} (n = {})").format(number(it.mean), count(it.n))
                if it.mean is not None
                else "none"
                for it in drop.labels
            ]
            severity = number(drop.severity, text=f"{drop.severity:g}")
            rows.append((heading(row.perturbation), severity, *cells))
    return Table(
        caption="Mean drop of each label.",
        columns=(
            Column("Perturbation"),
            Column("Severity", "number"),
            *(Column(label, "number") for label in screen.labels),
        ),
        rows=tuple(rows),
        summary="Labels",
    )


def not_reached(screen: Screen) -> Section:
    """Name what has no place, and what did not meet every patient; no blocks when there is nothing."""
    others = [row for row in screen.vulnerabilities if row.rank is None]
    drawn = len(screen.drawn)
    short = [row for row in screen.vulnerabilities if row.rank is not None and row.reached < drawn]
    rows = tuple(
        (
            heading(row.perturbation),
            Markup("{} of {} patients").format(count(row.reached), count(drawn)),
            lines(
                [
                    row.note if row.rank is None else "",
                    *dict.fromkeys(reason for drop in row.drops for reason in drop.reasons),
                ][:4]
            )
            or "the end came first",
        )
        for row in (*others, *short)
    )
    if not rows:
        return Section("open", "Not reached", "", ())
    table = Table(
        caption="Perturbations without a place, and those that did not meet every drawn patient.",
        columns=(Column("Perturbation"), Column("Reached"), Column("Why", "wide")),
        rows=rows,
        summary="Not reached" if not others else "",
    )
    lead = "Nothing is known of these, or less than was planned: absence from the ranking is no strength."
    return Section("open", "Not reached, not ranked", lead, (table,))
