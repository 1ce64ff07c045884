"""The worst cases with their pictures, and the controls."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import ControlRow, ExhibitSelection, WorstCase
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
from reports.wording import compact, condition, count, heading, number, short, status_words


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
    stored = [(c, view.exhibits[c.id]) for c in view.results.exhibits if c.id in view.exhibits]
    figures = tuple(_figure(view, chosen, exhibit) for chosen, exhibit in stored)
    if not figures:
        why = "none was selected" if not view.results.exhibits else "no exhibit is stored"
        return Prose(f"No pictures: {why}.", "empty")
    legend = pictures.legend()
    if not view.images:
        legend += Markup('<span class="key">contours alone: pixels are left out</span>')
    many = any(len(exhibit.planes) > 1 for _, exhibit in stored)
    return Gallery(figures, legend=legend, width="whole" if many else "half")


def _figure(view: View, chosen: ExhibitSelection, exhibit: Exhibit) -> Figure:
    metric = view.metric(chosen.metric)
    value: Text = (
        number(chosen.value, unit=metric.unit)
        if chosen.value is not None
        else status_words(chosen.status)
    )
    where = condition(chosen.perturbation, chosen.severity, chosen.level, chosen.unit)
    about = f"{chosen.id}, {chosen.case}, {chosen.system}, {where.striptags()}"
    flat = any(len(case.shape) == 2 for case in view.results.cases if case.case == chosen.case)
    planes = [_plane_words(view, plane, flat=flat) for plane in exhibit.planes]
    drawn = [
        pictures.picture(plane, title=f"{about}, {plane.name}", images=view.images)
        for plane in exhibit.planes
    ]
    facts = [f"chosen as {chosen.rule}", *planes]
    if exhibit.window is not None:
        low, high = (compact(v) for v in exhibit.window)
        facts.append(f"window {low} to {high}")
    facts.append("reproduced" if exhibit.reproduced else "did not reproduce")
    if exhibit.note:
        facts.append(exhibit.note)
    caption = Markup(
        '<strong>{}</strong> {} · {} · {} · {} of {}: {}<br><span class="quiet">{}</span>'
    ).format(
        *(chosen.id, chosen.case, chosen.system, where, short(metric), chosen.label, value),
        "; ".join(facts),
    )
    svg = Markup('<div class="planes">{}</div>').format(Markup("").join(drawn))
    return Figure(svg, caption)


def _plane_words(view: View, plane: Plane, *, flat: bool) -> str:
    place = "" if flat or plane.slice is None else f", slice {plane.slice}"
    rows, columns = plane.spacing
    unit = view.results.audit.length_unit
    return f"{plane.name}{place}, {rows:.3g} × {columns:.3g} {unit}"


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
