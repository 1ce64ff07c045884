"""Whether a promise made on clean scans carries over to other severities and to groups of cases."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import CLEAN, CoverageRow
from reports.charts import promises
from reports.charts import response as curves
from reports.document import Block, Column, Figure, Gallery, Prose, Table, Text
from reports.view import ALL, View
from reports.wording import count, heading, in_words, level, number, plain, value_of

MOST_ROWS = 600
"""With more counts of an axis than this, its table shows one severity of each perturbation."""

_MOST_NAMED = 6
"""Broken groups on clean scans that are named in the sentence; the tables have all."""


def carried(view: View, label: str, *, is_open: bool) -> list[Block]:
    """Show the counts of one label: by severity as pictures, by group of cases as tables.

    Parameters
    ----------
    is_open
        False: folded and without groups, as for every label that is not the one of the front page.
    """
    order = {name: place for place, name in enumerate(view.systems)}
    rows = sorted(
        (row for row in view.results.coverage if row.label == label and row.system in order),
        key=lambda row: (order[row.system], row.severity),
    )
    whole = [row for row in rows if row.axis == ALL]
    blocks: list[Block] = []
    if whole and view.perturbations:
        blocks.append(_by_severity(view, label, whole, is_open=is_open))
    grouped = [row for row in rows if row.axis != ALL]
    if grouped and is_open:
        blocks.append(_on_clean_scans(grouped))
        blocks += [
            _by_group(view, label, axis, [row for row in grouped if row.axis == axis])
            for axis in dict.fromkeys(row.axis for row in grouped)
        ]
    return blocks


def _by_severity(view: View, label: str, whole: Sequence[CoverageRow], *, is_open: bool) -> Gallery:
    figures = []
    for name in view.perturbations:
        here = [row for row in whole if row.perturbation in {name, CLEAN}]
        figures.append(Figure(promises.kept(view, here, name, label), heading(name)))
    place = {name: i for i, name in enumerate((CLEAN, *view.perturbations))}
    ordered = sorted(whole, key=lambda row: (place.get(row.perturbation, 0), row.severity))
    columns = (
        *(Column("Perturbation"), Column("Level", "number"), Column("System")),
        *(Column("Clean bound held", "number"), Column("Share [interval]", "number")),
        *(Column("By chance", "number", fold=True), Column("Mean bound", "number")),
        *(Column("Nominal", "number", fold=True), Column("Not counted", "number", fold=True)),
        Column("Does it carry over?"),
    )
    caption = f"Patients whose DSC of {label} stayed above the bound calibrated on clean scans."
    note = (
        "Each patient is judged by the bound of all others; intervals are approximate, for these bounds share "
        "their patients. By chance: what so many further patients would give, 95 times in 100, if the bound "
        "carried over. Not counted: patients without a score here or on clean scans."
    )
    title = f"Does the promise made on clean scans carry over? {label}"
    return Gallery(
        tuple(figures),
        legend=curves.legend(view) + Markup('<span class="key">{}</span>').format(_KEY),
        table=Table(
            caption,
            columns,
            tuple(_row(row) for row in ordered),
            note=note,
            summary="Numbers of these figures",
        ),
        title=title if is_open else "",
        summary="" if is_open else title,
    )


_KEY = "upright: 95 % interval, Clopper-Pearson; dashed: the share that was promised"


def _row(row: CoverageRow) -> tuple[Text, ...]:
    chance: Text = "none"
    if row.chance_low is not None and row.chance_high is not None:
        chance = Markup("{} to {}").format(count(row.chance_low), count(row.chance_high))
    return (
        heading(row.perturbation),
        level(row.level, row.unit),
        row.system,
        held_of(row.held, row.counted),
        value_of(row.share),
        chance,
        number(row.mean_bound) if row.mean_bound is not None else "none",
        complement(row.alpha),
        count(row.missing),
        verdict(row),
    )


def _on_clean_scans(rows: Sequence[CoverageRow]) -> Prose:
    """Say for which groups the promise is broken before anything is changed."""
    clean = [row for row in rows if row.perturbation == CLEAN]
    broken = [row for row in clean if row.verdict == "BROKEN"]
    judged = sum(row.share.high is not None for row in clean)
    lead = "A bound speaks of all patients together, not of each group of them."
    if not judged:
        return Prose(f"{lead} No group has enough patients to be judged.")
    if not broken:
        words = Markup("{} On clean scans none of {} counts by group shows it broken.")
        return Prose(words.format(lead, count(judged)))
    named = [
        Markup("{}, {} {} ({})").format(
            row.system, plain(row.axis), plain(row.stratum), held_of(row.held, row.counted)
        )
        for row in broken[:_MOST_NAMED]
    ]
    more = len(broken) - len(named)
    tail = Markup(", and {} more").format(count(more)) if more else ""
    words = Markup("{} On clean scans already it is BROKEN for {}{}.")
    return Prose(words.format(lead, Markup("; ").join(named), tail), "notice")


def _by_group(view: View, label: str, axis: str, rows: Sequence[CoverageRow]) -> Table:
    """List one axis: a line for each condition and system, a column for each group."""
    known = [it.names for it in view.results.strata if it.axis == axis and it.label in ("", label)]
    found = dict.fromkeys(row.stratum for row in rows)
    names = [name for name in dict.fromkeys((*sum(known, ()), *found)) if name in found]
    cells = {(row.perturbation, row.severity, row.system, row.stratum): row for row in rows}
    lines: list[tuple[Text, ...]] = []
    few = len(rows) > MOST_ROWS
    for perturbation in (CLEAN, *view.perturbations):
        for severity in _severities(view, perturbation, few=few):
            for system in view.systems:
                mine = [cells.get((perturbation, severity, system, name)) for name in names]
                first = next((row for row in mine if row is not None), None)
                if first is None:
                    continue
                where = level(first.level, first.unit)
                lines.append((heading(perturbation), where, system, *map(_cell, mine)))
    columns = (
        *(Column("Perturbation"), Column("Level", "number"), Column("System")),
        *(Column(plain(name), "number") for name in names),
    )
    caption = f"{heading(axis)}: patients whose DSC of {label} stayed above the clean bound of all"
    if few:
        caption += ", at severity 2 or the nearest planned; results.json has the others"
    return Table(
        f"{caption}.",
        columns,
        tuple(lines),
        note="A patient with cases in several groups counts in each. BROKEN: the upper end of the interval "
        "(Clopper-Pearson, approximate) lies below the nominal share. So many counts are descriptive: some "
        "are broken by chance.",
        summary=f"Does it carry over to groups by {plain(axis)}? {label}",
    )


def _severities(view: View, perturbation: str, *, few: bool) -> tuple[float, ...]:
    if perturbation == CLEAN:
        return (0.0,)
    planned = view.severities(perturbation)
    return (min(planned, key=lambda s: (abs(s - 2.0), s)),) if few and planned else planned


def _cell(row: CoverageRow | None) -> Text:
    if row is None:
        return "no case"
    if row.verdict == "BROKEN":
        return Markup("{} <strong>BROKEN</strong>").format(held_of(row.held, row.counted))
    return held_of(row.held, row.counted) if row.counted else verdict(row)


def verdict(row: CoverageRow) -> Text:
    """Say what a count means; with the lower limit where nothing speaks against the bound."""
    if row.share.status == "not_certifiable":
        return in_words(row.share.note)
    if row.verdict == "no evidence of breaking" and row.share.low is not None:
        return Markup("no evidence of breaking: at least {}").format(number(row.share.low))
    return row.verdict


def complement(share: float) -> Markup:
    """Say an error rate as the share that it leaves: .10 -> 90 %."""
    return Markup('<data value="{}">{}</data>\u00a0%').format(
        f"{share:.7g}", f"{100 - share * 100:.4g}"
    )


def held_of(held: int, counted: int) -> Text:
    """Write kept promises of counted ones."""
    if not counted:
        return "not counted"
    return Markup("{} of {}").format(count(held), count(counted))
