"""Raters: how much they agree, and how each system agrees with them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import Estimate, RaterLabel, RaterResults
from reports.document import Block, Column, Items, Prose, Section, Table, Text
from reports.sections.rater_systems import beside_raters
from reports.view import View
from reports.wording import (
    count,
    method_of,
    number,
    value_of,
)

MOST_CASES = 200
"""Cases of one table; results.json has the rest."""


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
    blocks += beside_raters(view, results)
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
        f"{it.label}: {it.cases} cases with {_range(it.fewest, it.most)} raters; marked by all of them on "
        f"{it.everybody}, by some on {it.disputed}, by none on {it.nobody}"
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
        stacked=True,
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
