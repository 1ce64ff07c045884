"""Make ``compare.html`` from the record of ``compare.json``: one release after another."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from auditor.schema import Estimate
from auditor.schema.release import (
    Flip,
    ReleaseChange,
    ReleaseComparison,
    ReleasePair,
    ReleaseVerdict,
)
from reports import html
from reports.build import write_page
from reports.charts.release import loss_chart, name_of
from reports.document import (
    Block,
    Column,
    Figure,
    Gallery,
    Items,
    ScreenPage,
    Section,
    Table,
    Text,
)
from reports.wording import (
    badge,
    count,
    digest,
    heading,
    in_words,
    lines,
    method_of,
    number,
    percent,
    plain,
    status_words,
    value_of,
)

__all__ = ["build_release", "render_release"]

_MEANING = {
    ReleaseVerdict.NON_INFERIOR: "every loss lies within the margin, assured",
    ReleaseVerdict.CONDITIONAL: "every loss lies within the margin, given no unseen collapse",
    ReleaseVerdict.INFERIOR: "a loss beyond the margin is shown",
    ReleaseVerdict.UNDECIDED: "the patients do not decide it",
}


def build_release(folder: Path, found: ReleaseComparison) -> Path:
    """Write the page of a comparison.

    Parameters
    ----------
    folder
        Where it is written.
    found
        The content of compare.json.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    target = folder / "compare.html"
    write_page(target, render_release(found))
    return target


def render_release(found: ReleaseComparison) -> str:
    """Print the page; the same record gives the same bytes."""
    verdicts = {pair.verdict for pair in found.pairs}
    stamp = next(iter(verdicts)).value if len(verdicts) == 1 else "SEVERAL VERDICTS"
    meaning = _MEANING[next(iter(verdicts))] if len(verdicts) == 1 else "one for each system"
    sections = [
        section
        for number_, pair in enumerate(found.pairs, start=1)
        for section in _of_pair(pair, found, number_)
    ]
    left_out = tuple(in_words(it) for it in found.not_compared)
    return html.write(
        ScreenPage(
            name=f"{found.before.name} → {found.after.name}",
            stamp=stamp,
            stamp_meaning=meaning,
            overall="",
            identities=(
                ("plan before", digest(found.before.plan_digest)),
                ("plan after", digest(found.after.plan_digest)),
                ("tool", f"segaudit {found.after.tool_version}"),
            ),
            banners=(("info", "No pixel of a scan is embedded."),),
            facts=(
                (count(found.patients), "patients of both runs"),
                (count(len(found.pairs)), "systems compared"),
                (number(found.margin), "margin: largest loss that counts as none"),
                (number(found.threshold), "threshold at which a case changes sides"),
            ),
            sentences=tuple(in_words(it) for it in found.sentences),
            sections=(
                *sections,
                *(
                    [Section("left-out", "Not compared", "", (Items(left_out),))]
                    if left_out
                    else []
                ),
                Section("limits", "What this says, and what not", "", (Items(found.limits),)),
            ),
            kind="compare: one release after another",
            source=(
                "Every number on this page comes from compare.json of this folder. Simulated perturbations – "
                "not clinical validation."
            ),
        )
    )


def _of_pair(pair: ReleasePair, found: ReleaseComparison, place: int) -> list[Section]:
    name = pair.after if pair.before == pair.after else f"{pair.before} → {pair.after}"
    same = Markup("{} of {} predictions have the same mask in both runs.").format(
        count(pair.same_predictions), count(pair.compared_predictions)
    )
    sections = [
        Section(
            f"changes-{place}",
            f"{name}: every condition",
            Markup("{} Losses are positive where the later release is worse.").format(same),
            _changes(pair, found),
        )
    ]
    if pair.strata:
        sections.append(
            Section(f"strata-{place}", f"{name}: groups of cases", "", (_strata(pair),))
        )
    if pair.flips:
        sections.append(
            Section(f"flips-{place}", f"{name}: cases that flipped", "", (_flips(pair, found),))
        )
    return sections


def _changes(pair: ReleasePair, found: ReleaseComparison) -> tuple[Block, ...]:
    labels = list(dict.fromkeys(it.label for it in pair.changes))
    metric = found.metric.upper() if len(found.metric) <= 4 else plain(found.metric)
    figures = tuple(
        Figure(
            loss_chart(
                [it for it in pair.changes if it.label == label],
                found.margin,
                f"loss of mean {metric}, {label}",
            ),
            f"{label}: mean loss with simultaneous {100 * found.level:g} % intervals",
        )
        for label in labels
    )
    rows = tuple(_change_row(it) for it in pair.changes)
    columns = (
        *(Column("Condition"), Column("Label"), Column("Before", "number")),
        *(Column("After", "number"), Column("Loss [interval]", "number"), Column("n", "number")),
        *(Column("Assured: at most", "number"), Column("Conditional: at most", "number")),
        *(Column("Verdict"), Column("Methods", fold=True)),
    )
    table = Table(
        Markup("Mean {} before and after, failures at their worst value. {} level.").format(
            metric, percent(found.level)
        ),
        columns,
        rows,
        note=(
            "NON-INFERIOR: the assured bound lies within the margin. Conditional: the resampled bound does, "
            "given no unseen collapse. INFERIOR: the interval, which holds for all conditions of a label, lies "
            "beyond the margin. In the figure filled circles are non-inferior, filled squares inferior, hollow "
            "circles undecided; lines are the intervals, dashed is the margin. Patients without a number in "
            "one of the runs are left out and counted."
        ),
    )
    return (Gallery(figures, table=table, width="whole" if len(figures) == 1 else "half"),)


def _change_row(it: ReleaseChange) -> tuple[Text, ...]:
    left_out = f"{it.left_out} left out" if it.left_out else ""
    return (
        _first_upper(name_of(it)),
        it.label,
        "none" if it.before is None else number(it.before),
        "none" if it.after is None else number(it.after),
        value_of(it.loss),
        lines([count(it.loss.n), left_out]),
        value_of(it.assured),
        value_of(it.conditional),
        _badge(it.verdict),
        lines(
            [
                _how(it.loss),
                in_words(it.conditional.note),
                in_words(it.assured.note),
            ]
        ),
    )


def _how(loss: Estimate) -> Markup:
    """Write method and note; the method of what is only described says the note itself."""
    return lines([method_of(loss), in_words(loss.note) if loss.status == "ok" else ""])


def _first_upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def _badge(verdict: ReleaseVerdict) -> Markup:
    kinds = {
        ReleaseVerdict.NON_INFERIOR: "PASS",
        ReleaseVerdict.CONDITIONAL: "PASS (conditional)",
        ReleaseVerdict.INFERIOR: "FAIL",
        ReleaseVerdict.UNDECIDED: "INSUFFICIENT EVIDENCE",
    }
    return Markup(badge(kinds[verdict]).replace(kinds[verdict], verdict.value))


def _strata(pair: ReleasePair) -> Table:
    rows: tuple[tuple[Text, ...], ...] = tuple(
        (
            f"{heading(it.axis)}: {it.stratum}",
            it.label,
            value_of(it.loss),
            count(it.loss.n),
            "regression" if it.regression else "none shown",
            _how(it.loss),
        )
        for it in pair.strata
    )
    columns = (
        *(Column("Group"), Column("Label"), Column("Loss [interval]", "number")),
        *(Column("n", "number"), Column("Regression"), Column("Method", fold=True)),
    )
    return Table(
        "Mean loss of every group on clean scans; intervals hold for all groups of a label together.",
        columns,
        rows,
    )


def _flips(pair: ReleasePair, found: ReleaseComparison) -> Table:
    rows = tuple(_flip_row(it) for it in pair.flips)
    columns = (
        *(Column("Case"), Column("Patient"), Column("Condition"), Column("Label")),
        *(Column("Before", "number"), Column("After", "number"), Column("Way")),
    )
    more = pair.lost + pair.gained - len(pair.flips)
    return Table(
        Markup("Evaluations that changed sides at {}: {} lost, {} gained.").format(
            number(found.threshold), count(pair.lost), count(pair.gained)
        ),
        columns,
        rows,
        note=f"{more} more are counted and not listed." if more > 0 else "",
    )


def _flip_row(it: Flip) -> tuple[Text, ...]:
    where = (
        "clean scans"
        if it.perturbation == "clean"
        else (f"{heading(it.perturbation)}, severity {it.severity:g}")
    )

    def told(value: float | None, status: str) -> Text:
        return status_words(status) if value is None else number(value)

    return (
        it.case,
        it.patient,
        where,
        it.label,
        told(it.before, it.status_before),
        told(it.after, it.status_after),
        it.way,
    )
