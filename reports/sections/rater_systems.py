"""Systems beside the raters of the clean scans: what the difference is, and what it shows."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import AnnotatorPosition, Estimate, RaterResults, RaterSystem
from reports.charts import raters as charts
from reports.document import Block, Column, Figure, Gallery, Items, Prose, Table, Text
from reports.view import View
from reports.wording import (
    count,
    heading,
    method_of,
    number,
    patients,
    percent,
    value_of,
)

_SCORES = {
    "qubiq_dice": "QUBIQ score (mean DSC over nine thresholds of the raters' mean)",
    "consensus_dsc": "DSC where all raters agree",
    "volume_crps": "CRPS of the volume",
    "rater_ece": "Calibration error against the raters",
    "ged": "Squared energy distance to the raters (GED²)",
}
"""Rater-aware metrics in words."""


def beside_raters(view: View, results: RaterResults) -> list[Block]:
    """Show every system beside the raters: sentences, pictures, tables; nothing without a system."""
    rows = [row for row in results.systems if row.system in view.marks]
    if not rows:
        return []
    blocks: list[Block] = [Items(tuple(_sentence(row) for row in rows))]
    drawn = [row for row in rows if row.points]
    for label in dict.fromkeys(row.label for row in drawn):
        own = [row for row in drawn if row.label == label]
        figures = tuple(
            Figure(charts.paired(row, view.marks[row.system]), f"{row.system}, {label}")
            for row in own
        )
        blocks.append(Gallery(figures, title=f"DSC with the raters of {label}, case by case"))
    tests = [row for row in rows if row.test is not None]
    return [
        *blocks,
        _comparison(rows),
        *([_tests(tests)] if tests else []),
        _alternative(rows),
        _scores(rows, results.volume_unit),
    ]


_VERDICTS = {
    "within": "within the range of the raters by a margin of {}",
    "outside": "outside the range of the raters by a margin of {}",
    "undetermined": "neither shown to be within the range of the raters nor outside it, margin {}",
}
"""Verdict of a test in words, before what it depends on."""


def _sentence(row: RaterSystem) -> Markup:
    """Say in one careful sentence where a system lies beside the raters."""
    whom = Markup("{}, {}: mean difference {} ({}, n = {})").format(
        row.system,
        row.label,
        value_of(row.difference),
        method_of(row.difference),
        count(row.difference.n),
    )
    test = row.test
    if test is None:
        ends = _bounds(row.lower, row.upper)
        words = "{}{}. No margin was declared (raters.margin), so nothing is concluded."
        return Markup(words).format(whom, ends)
    if test.verdict == "too few patients":
        words = "{}. No verdict: {} is too few; {} could at best be enough."
        needed = "no number" if test.needed is None else count(test.needed)
        return Markup(words).format(whom, patients(test.difference.n), needed)
    kind, _, condition = test.verdict.partition(" (")
    told = Markup(_VERDICTS[kind]).format(number(test.margin))
    if condition:
        told += ", given no unseen patient unlike these"
        ends = _bounds(test.conditional_lower, test.conditional_upper)
    else:
        ends = _bounds(test.lower, test.upper)
    return Markup("{}; {}{}.").format(whom, told, ends)


def _bounds(lower: Estimate, upper: Estimate) -> Markup:
    """Write both one-sided bounds with their level, n and method; nothing where there are none."""
    if lower.value is None or upper.value is None or lower.level is None:
        return Markup("")
    return Markup(" (lower bound {}, upper bound {}, each {}, n = {}, {})").format(
        number(lower.value),
        number(upper.value),
        percent(lower.level),
        count(lower.n),
        lower.method,
    )


def _comparison(rows: Sequence[RaterSystem]) -> Table:
    shown: list[tuple[Text, ...]] = []
    for row in rows:
        measures: tuple[tuple[str, Estimate], ...] = (
            ("DSC with each rater", row.dsc),
            ("DSC of the raters with each other", row.between),
            ("Difference of the two", row.difference),
            ("... its lower bound", row.lower),
            ("... its upper bound", row.upper),
            ("Williams index", row.williams),
            ("DSC with the consensus of all but one", row.system_consensus),
            ("DSC of the one left out with it", row.rater_consensus),
            ("Difference of these two", row.consensus_difference),
        )
        shown += [
            (f"{row.system}, {row.label}", words, value_of(it), count(it.n), method_of(it))
            for words, it in measures
            if it.value is not None or not words.startswith("...")
        ]
    columns = (
        *(Column("System and label"), Column("Measure")),
        *(Column("Value [interval]", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
    )
    return Table(
        caption="Systems beside the raters, clean scans.",
        columns=columns,
        rows=tuple(shown),
        summary="Numbers of these comparisons",
        stacked=True,
        note=(
            "Williams index: mean DSC with the raters over mean DSC of the raters with each other; 1 where a "
            "system is like one more rater. A consensus that contains the rater favours the rater, so both "
            "sides are held against the consensus of the others. A smooth system may agree with each rater "
            "better than they agree with each other; that is no proof that it is right."
        ),
    )


def _tests(rows: Sequence[RaterSystem]) -> Table:
    """List what the declared margin decides, test by test."""
    shown: list[tuple[Text, ...]] = []
    for row in rows:
        whom = f"{row.system}, {row.label}"
        for words, test in (
            ("Raters with each other", row.test),
            ("Consensus of the others", row.consensus_test),
        ):
            if test is None:
                continue
            needed = "no number" if test.needed is None else count(test.needed)
            shown.append((whom, words, number(test.margin), test.verdict, test.equivalence, needed))
        index = row.williams_test
        if index is not None:
            shown.append(
                (
                    whom,
                    "Williams index",
                    number(index.margin),
                    index.verdict,
                    "not asked",
                    "not told",
                )
            )
    columns = (
        *(Column("System and label"), Column("Held against"), Column("Margin", "number")),
        *(
            Column("Verdict"),
            Column("Equivalent"),
            Column("Fewest patients without a condition", "number"),
        ),
    )
    return Table(
        caption="Within the range of the raters, by the declared margin.",
        columns=columns,
        rows=tuple(shown),
        stacked=True,
        note=(
            "within: the lower bound lies above minus the margin; outside: the upper bound lies below it. "
            "conditional: by resampling, given that no unseen patient is unlike these; otherwise by a bound "
            "that counts one patient more, of the worst possible difference. The margin of the Williams index "
            "is a share of the raters' agreement."
        ),
    )


def _alternative(rows: Sequence[RaterSystem]) -> Block:
    shown: tuple[tuple[Text, ...], ...] = tuple(
        (
            f"{row.system}, {row.label}",
            "any of them, pooled" if test.pooled else heading(it.rater),
            value_of(it.share),
            _p_value(it, pooled=test.pooled),
            "shown" if it.passed else "not shown",
            count(it.share.n),
            method_of(it.share),
        )
        for row in rows
        for test in row.annotators
        for it in test.positions
    )
    if not shown:
        return Prose("In the place of a rater: not assessable, no case has two raters.", "empty")
    columns = (
        *(Column("System and label"), Column("In the place of")),
        *(Column("Share of patients [interval]", "number"), Column("p (Holm)", "number")),
        *(
            Column("More often than not"),
            Column("n", "number"),
            Column("Level and method", fold=True),
        ),
    )
    least = next(test.least for row in rows for test in row.annotators)
    return Table(
        caption=(
            "Patients on whom a system agrees with the other raters at least as well as the one in whose place "
            "it is put."
        ),
        columns=columns,
        rows=shown,
        note=Markup(
            "Tested against a share of {}. Pooled: the mean over the raters of a patient. Rater by rater "
            "(adjusted by Holm) the columns rater_1 and on are taken for the same persons on every case; "
            "where they are not, only the pooled line holds."
        ).format(number(least)),
        summary="Alternative annotator",
    )


def _p_value(position: AnnotatorPosition, *, pooled: bool) -> Text:
    if position.p_value is not None:
        return number(position.p_value)
    return "by the bound" if pooled and position.share.status == "ok" else "none"


def _scores(rows: Sequence[RaterSystem], volume_unit: str) -> Table:
    shown = tuple(
        (
            f"{row.system}, {row.label}",
            _SCORES.get(name, heading(name)),
            value_of(it, unit=volume_unit if name == "volume_crps" else ""),
            count(it.n),
            method_of(it),
        )
        for row in rows
        for name, it in row.scores
    )
    columns = (
        *(Column("System and label"), Column("Metric")),
        *(Column("Mean [interval]", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
    )
    return Table(
        caption="Metrics that read all raters at once, clean scans.",
        columns=columns,
        rows=shown,
        note=(
            "QUBIQ and DSC where all agree: higher is better. CRPS, calibration error and GED²: lower is "
            "better. Systems with probabilities are measured on them, others on their masks."
        ),
        summary="Metrics that read all raters at once",
    )
