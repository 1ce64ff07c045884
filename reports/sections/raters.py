"""Raters: how much they agree, and how each system agrees with them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import Estimate, RaterLabel, RaterResults, RaterSystem
from reports.charts import raters as charts
from reports.document import Block, Column, Figure, Gallery, Items, Prose, Section, Table, Text
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

MOST_CASES = 200
"""Cases of one table; results.json has the rest."""

_SCORES = {
    "qubiq_dice": "QUBIQ score (mean DSC over nine thresholds of the raters' mean)",
    "consensus_dsc": "DSC where all raters agree",
    "volume_crps": "CRPS of the volume",
    "rater_ece": "Calibration error against the raters",
    "ged": "Squared energy distance to the raters (GED²)",
}
"""Rater-aware metrics in words."""


def raters(view: View) -> Section:
    """Show the raters among each other and each system beside them; says so where there are none."""
    results = view.results.raters
    lead = (
        "Raters saw the clean scans only. How far they agree with each other is what the agreement of a "
        "system with them is held against."
    )
    if results is None or not results.labels:
        words = "Not assessable: no case has two raters."
        return Section("raters", "Raters", lead, (Prose(words, "empty"),))
    unit = view.results.audit.length_unit
    blocks: list[Block] = [agreement_table(results, unit)]
    blocks += _systems(view, results)
    blocks += [case_table(results, unit, _scores_of_cases(results))]
    blocks.append(Items(results.notes))
    return Section("raters", "Raters", lead, tuple(blocks))


def agreement_table(results: RaterResults, unit: str) -> Table:
    """List, label by label, how much the raters agree; one row a measure."""
    rows = [row for label in results.labels for row in _measures(label, unit, results.volume_unit)]
    columns = (
        *(Column("Label"), Column("Measure")),
        *(Column("Mean [interval]", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
    )
    groups = "; ".join(
        f"{it.label}: {it.cases} cases with {_range(it.fewest, it.most)} raters, on {it.everybody} all "
        f"marked something, on {it.disputed} only some did, on {it.nobody} nobody"
        for it in results.labels
    )
    return Table(
        caption="Agreement of the raters, means over patients.",
        columns=columns,
        rows=tuple(rows),
        note=(
            f"{groups}. Two empty masks agree (DSC 1); a surface distance is only there where every rater "
            "marked something. Fleiss' kappa counts the whole image and so depends on the field of view."
        ),
    )


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _measures(label: RaterLabel, unit: str, volume_unit: str) -> list[tuple[Text, ...]]:
    shown: tuple[tuple[str, Estimate, str], ...] = (
        ("DSC of pairs", label.dsc, ""),
        ("ASSD of pairs", label.assd, unit),
        ("Range of the volumes", label.volume_range, volume_unit),
        ("Volume: standard deviation over mean", label.volume_cv, ""),
        ("GED² of each rater to the others", label.ged, ""),
        ("Fleiss' kappa", label.kappa, ""),
        ("Rank correlation of size with 1 − DSC", label.size_and_dsc, ""),
        ("Rank correlation of size with ASSD", label.size_and_assd, ""),
    )
    return [
        (label.label, words, value_of(it, unit=own), count(it.n), method_of(it))
        for words, it, own in shown
    ]


def case_table(
    results: RaterResults,
    unit: str,
    scores: Sequence[tuple[str, dict[tuple[str, str], float]]] = (),
) -> Table:
    """List the cases, the largest disagreement first, with the DSC of each system where there is one.

    Parameters
    ----------
    results
        With the cases in their order.
    unit
        Of lengths.
    scores
        (system, (label, case) -> its mean DSC with the raters).
    """
    shown = results.cases[:MOST_CASES]
    rows = tuple(
        (
            case.case,
            case.label,
            Markup("{} of {}").format(count(case.raters - case.empty), count(case.raters)),
            _maybe(case.assd, "not defined: an empty mask", unit=unit),
            _maybe(case.dsc, "none"),
            _maybe(case.volume, "none", unit=results.volume_unit),
            _maybe(case.volume_range, "none", unit=results.volume_unit),
            *(_maybe(own.get((case.label, case.case)), "no value") for _, own in scores),
        )
        for case in shown
    )
    columns = (
        *(Column("Case"), Column("Label", fold=len(results.labels) == 1)),
        *(Column("Raters that marked it"), Column(f"ASSD of pairs, {unit}", "number")),
        *(Column("DSC of pairs", "number"), Column("Mean volume", "number")),
        Column("Range of volumes", "number"),
        *(Column(f"{name} with raters, DSC", "number") for name, _ in scores),
    )
    more = len(results.cases) - len(shown)
    return Table(
        caption=(
            "Cases by disagreement of their raters: first those where only some marked anything, then by "
            "surface distance."
        ),
        columns=columns,
        rows=rows,
        note="The stored results hold the rest." if more else "",
        summary="Cases by disagreement",
    )


def _maybe(value: float | None, words: str, *, unit: str = "") -> Text:
    return words if value is None else number(value, unit=unit)


def _scores_of_cases(
    results: RaterResults,
) -> list[tuple[str, dict[tuple[str, str], float]]]:
    names = dict.fromkeys(row.system for row in results.systems)
    return [
        (
            name,
            {
                (row.label, case): own
                for row in results.systems
                if row.system == name
                for case, _, own in row.points
            },
        )
        for name in names
    ]


def _systems(view: View, results: RaterResults) -> list[Block]:
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
    whom = Markup("{}, {}: mean difference {}").format(
        row.system, row.label, value_of(row.difference)
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
            Column("Fewest patients for a verdict", "number"),
        ),
    )
    return Table(
        caption="Within the range of the raters, by the declared margin.",
        columns=columns,
        rows=tuple(shown),
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
            number(it.p_value)
            if it.p_value is not None
            else "by the bound"
            if test.pooled
            else "none",
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
