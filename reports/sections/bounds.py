"""What is promised for a new case: conformal lower bounds, and how the promises were kept."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import ConformalBound
from reports.charts import promises
from reports.charts import response as curves
from reports.document import Block, Column, Figure, Gallery, Prose, Section, Table, Text
from reports.view import View
from reports.wording import count, heading, level, number


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
    ).format(_complement(first.alpha), _complement(first.delta))
    blocks: list[Block] = [Prose(promise)]
    labels = sorted(view.results.labels, key=lambda name: name != view.results.headline.label)
    head = view.results.headline.label
    have = [label for label in labels if any(row.label == label for row in rows)]
    blocks += [_gallery(view, label, is_open=label == head) for label in have]
    blocks += [_kept(view, label, is_open=label == head) for label in have if view.perturbations]
    return Section("bounds", "Conformal bounds", lead, tuple(blocks))


def _complement(share: float) -> Markup:
    """Say an error rate as the share that it leaves: .10 -> 90 %."""
    return Markup('<data value="{}">{}</data>\u00a0%').format(
        f"{share:.7g}", f"{100 - share * 100:.4g}"
    )


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


def _kept(view: View, label: str, *, is_open: bool) -> Gallery:
    """Show whether a promise made on clean scans still holds under each perturbation."""
    figures = tuple(
        Figure(promises.kept(view, name, label), heading(name)) for name in view.perturbations
    )
    rows: list[tuple[Text, ...]] = []
    for name in view.perturbations:
        for row in view.bounds(name, label):
            if row.severity and row.system in view.systems:
                where = level(row.level, row.unit)
                share = _held(row.clean_held, row.counted)
                nominal = _complement(row.alpha)
                words = row.clean_verdict
                rows.append((heading(name), where, row.system, share, nominal, words))
    columns = (
        *(Column("Perturbation"), Column("Level", "number"), Column("System")),
        *(Column("Clean bound held", "number"), Column("Nominal", "number", fold=True)),
        Column("Does it carry over?"),
    )
    caption = f"Patients whose DSC of {label} stayed above the bound calibrated on clean scans."
    title = f"Does the promise made on clean scans carry over? {label}"
    return Gallery(
        figures,
        legend=curves.legend(view),
        table=Table(caption, columns, tuple(rows), summary="Numbers of these figures"),
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
        Column("Nominal", "number"),
        Column("Clean bound held here", "number"),
        Column("Does the clean bound carry over?"),
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
        number(row.bound) if row.bound is not None else _needs(row.needed),
        number(row.pac_bound) if row.pac_bound is not None else _needs(row.needed_pac),
        count(row.n),
        count(row.rank),
        _held(row.held, row.counted),
        _complement(row.alpha),
        _held(row.clean_held, row.counted),
        row.clean_verdict,
    )


def _needs(needed: int) -> Markup:
    return Markup("not certifiable: needs n ≥ {}").format(count(needed))


def _held(held: int, counted: int) -> Text:
    if not counted:
        return "not counted"
    return Markup("{} of {}").format(count(held), count(counted))
