"""The worst cases with their pictures, and the controls."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema.results import ControlRow, ExhibitSelection, WorstCase
from reports.charts import pictures
from reports.document import (
    Block,
    Column,
    Exhibit,
    Figure,
    Gallery,
    Plane,
    Prose,
    Section,
    Table,
    Text,
)
from reports.view import View
from reports.wording import condition, count, heading, number, short, status_words


def worst(view: View) -> Section:
    """Show the worst evaluations, and pictures of the selected ones."""
    blocks: list[Block] = [_pictures(view)]
    if view.results.worst:
        blocks.append(_table(view))
    else:
        blocks.append(Prose("No evaluation can be ranked: none was measured.", "empty"))
    lead = (
        "Pictures are chosen by rule, before anybody looks: the worst values, the worst losses "
        "from the clean scan, and some at random, so that neither good nor bad ones are picked by "
        "hand."
    )
    return Section("worst", "Worst cases", lead, tuple(blocks))


def _pictures(view: View) -> Block:
    figures: list[Figure] = []
    for chosen in view.results.exhibits:
        exhibit = view.exhibits.get(chosen.id)
        if exhibit is not None:
            figures += [_figure(view, chosen, exhibit, plane) for plane in exhibit.planes]
    if not figures:
        why = "none was selected" if not view.results.exhibits else "no exhibit is stored"
        return Prose(f"No pictures: {why}.", "empty")
    legend = pictures.legend()
    if not view.images:
        legend += Markup('<span class="key">contours alone: pixels are left out</span>')
    return Gallery(tuple(figures), legend=legend)


def _figure(view: View, chosen: ExhibitSelection, exhibit: Exhibit, plane: Plane) -> Figure:
    metric = view.metric(chosen.metric)
    value: Text = (
        number(chosen.value, unit=metric.unit)
        if chosen.value is not None
        else status_words(chosen.status)
    )
    where = condition(chosen.perturbation, chosen.severity, chosen.level, chosen.unit)
    title = f"{chosen.id}, {plane.name}: {chosen.case}, {chosen.system}, {where.striptags()}"
    unit = view.results.audit.length_unit
    facts = [
        plane.name if plane.slice is None else f"{plane.name}, slice {plane.slice}",
        f"spacing {plane.spacing[0]:.3g} × {plane.spacing[1]:.3g} {unit}",
    ]
    if exhibit.window is not None:
        facts.append(f"window {exhibit.window[0]:.4g} to {exhibit.window[1]:.4g}")
    facts.append("reproduced" if exhibit.reproduced else "did not reproduce")
    if exhibit.note:
        facts.append(exhibit.note)
    caption = Markup(
        '<strong>{}</strong> {} · {} · {}: {} {}<br><span class="quiet">{}, chosen as {}; {}</span>'
    ).format(
        *(chosen.id, chosen.case, chosen.system, where, short(metric), value),
        *(chosen.label, chosen.rule, "; ".join(facts)),
    )
    return Figure(pictures.picture(plane, title=title, images=view.images), caption)


def _table(view: View) -> Table:
    columns = (
        *(Column("Case"), Column("System"), Column("Condition"), Column("Metric and label")),
        *(
            Column("Value", "number"),
            Column("Loss from clean", "number"),
            Column("Status", "wide", fold=True),
        ),
    )
    rows = tuple(_row(view, w) for w in view.results.worst)
    return Table("The worst single evaluations, failures first.", columns, rows)


def _row(view: View, w: WorstCase) -> tuple[Text, ...]:
    metric = view.metric(w.metric)
    clean = w.perturbation == "clean"
    return (
        w.case,
        w.system,
        condition(w.perturbation, w.severity, w.level, w.unit),
        f"{short(metric)}, {w.label}",
        number(w.value, unit=metric.unit) if w.value is not None else status_words(w.status),
        number(w.drop, unit=metric.unit)
        if w.drop is not None
        else ("reference point" if clean else "undefined"),
        status_words(w.status, w.reason),
    )


def controls(view: View) -> Section:
    """Show what systems with known answers gave."""
    lead = (
        "Systems whose answer is known run beside the audited ones. They show the ceiling and the "
        "floor of each scale, and that the audit itself behaves."
    )
    rows = view.results.controls
    if not rows:
        block = Prose("Not assessed: no control was run.", "empty")
        return Section("controls", "Controls", lead, (block,))
    failed = [row for row in rows if row.passed is False]
    clean = [row for row in rows if row.perturbation == "clean"]
    blocks: list[Block] = []
    if failed:
        names = ", ".join(dict.fromkeys(row.title for row in failed))
        words = f"Controls that did not show what they must: {names}. Read all numbers with doubt."
        blocks.append(Prose(words, "notice"))
    blocks.append(_control_table(clean, "Controls on clean scans.", ""))
    rest = [row for row in rows if row.perturbation != "clean"]
    if rest:
        blocks.append(_control_table(rest, "Controls under perturbations.", "Under perturbations"))
    return Section("controls", "Controls", lead, tuple(blocks))


def _control_table(rows: list[ControlRow], caption: str, summary: str) -> Table:
    outcome = {True: "as expected", False: "NOT AS EXPECTED", None: "for orientation"}
    columns = (
        *(Column("Control"), Column("Label"), Column("Perturbation")),
        *(Column("Severity", "number"), Column("Mean DSC", "number"), Column("n", "number")),
        *(Column("Expectation", "wide"), Column("Outcome")),
    )
    body = tuple(
        (
            row.title,
            row.label,
            heading(row.perturbation),
            number(row.severity, text=f"{row.severity:g}"),
            number(row.mean) if row.mean is not None else "undefined",
            count(row.n),
            row.expectation or "none",
            outcome[row.passed],
        )
        for row in rows
    )
    return Table(caption, columns, body, summary=summary, note="Descriptive means.")
