"""What is promised for a new case: conformal lower bounds, and how the promises were kept."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import ConformalBound
from reports.charts import promises
from reports.charts import response as curves
from reports.document import Block, Column, Figure, Gallery, Prose, Section, Table, Text
from reports.sections.carried import carried, complement, held_of
from reports.view import View
from reports.wording import bound, count, heading, level, number, percent, plain


def bounds(view: View) -> Section:
    """Show the bound of each system by severity, with promises held of promises counted."""
    rows = view.results.conformal
    lead: Text = (
        "A lower bound on the DSC of one new case that is exchangeable with the cases of this "
        "audit: same population, same scanners, same level of noise."
    )
    if not rows or view.single:
        why = "one patient" if view.single else "no bound was calibrated"
        block = Prose(f"Not certifiable: {why}.", "empty")
        return Section("bounds", "Conformal bounds", lead, (block,))
    first = rows[0]
    promise = Markup(
        "The marginal bound holds for {} of new cases on average over calibrations; the PAC bound "
        "holds for at least that share with {} confidence in the calibration."
    ).format(complement(first.alpha), complement(first.delta))
    blocks: list[Block] = [Prose(promise)]
    clean = [r for r in rows if not r.severity and r.label == view.results.headline.label]
    blocks += [Prose(luck(row)) for row in clean[:1] if row.coverage_low is not None]
    labels = sorted(view.results.labels, key=lambda name: name != view.results.headline.label)
    head = view.results.headline.label
    have = [label for label in labels if any(row.label == label for row in rows)]
    blocks += [_gallery(view, label, is_open=label == head) for label in have]
    blocks += _by_group(view)
    for label in have:
        blocks += carried(view, label, is_open=label == head)
    return Section("bounds", "Conformal bounds", lead, tuple(blocks))


def luck(row: ConformalBound) -> Markup:
    """Say in plain words how much the coverage hangs on the calibration set."""
    low, short = row.coverage_low or 0.0, row.shortfall or 0.0
    return Markup(
        "Which patients happened to calibrate a bound matters: a {} bound from {} patients has a 5\u00a0% "
        "chance to cover less than {} of new cases; that it covers less than {} has a chance of {}. Show "
        "the marginal bound, certify the PAC bound."
    ).format(
        complement(row.alpha), count(row.n), _rounded(low), complement(row.alpha), _rounded(short)
    )


def _rounded(share: float) -> Markup:
    """Write a chance without digits that tell nothing."""
    return number(share, text=f"{share * 100:.3g}") + "\u00a0%"


def _gallery(view: View, label: str, *, is_open: bool) -> Gallery:
    figures = tuple(
        Figure(
            promises.bounds(view, name, label),
            heading(name),
            _table(view, label, tuple(view.bounds(name, label)), heading(name)),
        )
        for name in view.perturbations
    )
    clean = tuple(r for r in view.results.conformal if r.label == label and not r.severity)
    title = f"Lower bound on the DSC of {label}"
    return Gallery(
        figures,
        legend=curves.legend(view),
        table=_table(view, label, clean, "Clean scans", folded=False) if clean else None,
        title=title if is_open else "",
        summary="" if is_open else title,
    )


def _table(
    view: View,
    label: str,
    rows: tuple[ConformalBound, ...],
    title: str,
    *,
    folded: bool = True,
) -> Table:
    columns = (
        *(Column("System"), Column("Level", "number"), Column("Bound", "number")),
        *(Column("PAC bound", "number"), Column("n", "number"), Column("Rank", "number")),
        Column("Promises held", "number"),
        Column("Nominal", "number", fold=True),
        Column("5 % chance to cover less than", "number", fold=True),
    )
    body = tuple(_row(row) for row in rows if row.system in view.systems)
    return Table(
        f"{title}: lower bound on the DSC of {label}, split conformal.",
        columns,
        body,
        summary="Numbers of this figure" if folded else "",
        note="Promises held: each patient in turn was left out of the calibration, and the bound "
        "from the others compared with its DSC.",
    )


def _row(row: ConformalBound) -> tuple[Text, ...]:
    return (
        row.system,
        level(row.level, row.unit) if row.severity else "clean",
        bound(row.bound, "lower") if row.bound is not None else _needs(row.needed),
        bound(row.pac_bound, "lower") if row.pac_bound is not None else _needs(row.needed_pac),
        count(row.n),
        count(row.rank),
        held_of(row.held, row.counted),
        complement(row.alpha),
        percent(row.coverage_low) if row.coverage_low is not None else "not certifiable",
    )


def _by_group(view: View) -> list[Block]:
    """List the bounds of groups on clean scans; one line for an axis whose groups are pooled."""
    label = view.results.headline.label
    found = [it for it in view.results.stratum_bounds if it.label == label]
    rows: list[tuple[Text, ...]] = []
    for it in found:
        apart = any(group.own for group in it.groups)
        for group in it.groups if apart else it.groups[:1]:
            own = bound(group.bound, "lower") if group.bound is not None else _needs(it.needed)
            pac = (
                bound(group.pac_bound, "lower")
                if group.pac_bound is not None
                else _needs(it.needed_pac)
            )
            name = plain(group.group) if apart else "all groups together"
            why = "of its own" if group.own else group.note
            rows.append((it.system, heading(it.axis), name, own, pac, count(group.n), why))
    if not rows:
        return []
    columns = (
        *(Column("System"), Column("Axis"), Column("Group"), Column("Bound", "number")),
        *(Column("PAC bound", "number"), Column("n", "number"), Column("Made of", "wide")),
    )
    note = Markup(
        "A bound of its own holds within its group. It needs {} patients in every group of the axis: beside "
        "a pooled bound for a small, hard group, bounds of their own for the others would break the promise "
        "for all patients together."
    ).format(count(found[0].least))
    return [
        Table(
            f"Clean scans: lower bound on the DSC of {label} by group of cases.",
            columns,
            tuple(rows),
            note=note,
            summary=f"Bounds for groups of cases: {label}",
        )
    ]


def _needs(needed: int) -> Markup:
    return Markup("not certifiable: needs n ≥ {}").format(count(needed))
