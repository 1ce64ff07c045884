"""Make ``raters.html`` from the record of ``raters.json``: the raters alone, on one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from markupsafe import Markup

from auditor.schema.rater_page import RaterPage, RaterPicture
from reports import html
from reports.build import write_page
from reports.charts import raters as charts
from reports.charts.pictures import raters_legend, raters_picture
from reports.document import (
    Block,
    Column,
    Figure,
    Gallery,
    Items,
    Prose,
    ScreenPage,
    Section,
    Table,
    Text,
)
from reports.sections.raters import agreement_table, case_table
from reports.wording import count, digest, heading, lines, percent, value_of

__all__ = ["build_raters", "render_raters"]


def build_raters(folder: Path, page: RaterPage) -> Path:
    """Write the page of the raters.

    Parameters
    ----------
    folder
        Where it is written.
    page
        The content of raters.json.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    target = folder / "raters.html"
    write_page(target, render_raters(page))
    return target


def render_raters(page: RaterPage) -> str:
    """Print the page; the same record gives the same bytes."""
    sections = (
        Section(
            "agreement",
            "Agreement",
            Markup("Means over patients with {} intervals; pairs of raters count alike.").format(
                percent(page.level)
            ),
            (agreement_table(page.results, page.length_unit), *_figures(page)),
        ),
        Section(
            "cases",
            "Cases by disagreement",
            "Where raters differ most, a closer look pays most: at the case, and at the instructions.",
            (replace(case_table(page.results, page.length_unit), summary=""), *_pictures(page)),
        ),
        Section("labels", "Who drew what", "", (_used(page),)),
        Section("limits", "What this says, and what not", "", (Items(page.results.notes),)),
    )
    return html.write(
        ScreenPage(
            name=page.name,
            stamp="DESCRIPTIVE",
            stamp_meaning="raters among themselves: no system, no criteria, no verdict",
            overall="",
            identities=(
                ("files", digest(page.manifest_digest)),
                ("tool", page.tool),
                ("seed", str(page.seed)),
            ),
            banners=_banners(page),
            facts=(
                (count(page.cases), "cases"),
                (count(page.patients), "patients"),
                (count(len(page.used)), "raters"),
                (count(page.alone), "cases with fewer than two raters, left out"),
            ),
            sentences=_sentences(page),
            sections=sections,
            kind="raters: how much they agree",
            source="Every number on this page comes from raters.json of this folder.",
        )
    )


def _banners(page: RaterPage) -> tuple[tuple[str, Text], ...]:
    pixels = any(it.png for it in page.pictures)
    words = "Pixels of scans are embedded." if pixels else "No pixel of a scan is embedded."
    return (("info", words), *(("warning", it) for it in page.warnings[:_SHOWN]))


_SHOWN = 6
"""Warnings above the page; all of them stand in its last table."""


def _sentences(page: RaterPage) -> tuple[Text, ...]:
    told: list[Text] = []
    for label in page.results.labels:
        words = Markup("{}: DSC {} between pairs of raters, n = {}").format(
            label.label, value_of(label.dsc), count(label.dsc.n)
        )
        if label.assd.value is not None:
            words += Markup("; their surfaces lie {} apart, n = {}").format(
                value_of(label.assd, unit=page.length_unit), count(label.assd.n)
            )
        if label.disputed:
            words += Markup("; on {} of {} cases they disagree whether there is any").format(
                count(label.disputed), count(label.cases)
            )
        told.append(words + Markup("."))
    return tuple(told)


def _figures(page: RaterPage) -> list[Block]:
    figures = []
    for label in page.results.labels:
        own = [case for case in page.results.cases if case.label == label.label]
        svg = charts.agreement(
            label, own, unit=page.length_unit, volume_unit=page.results.volume_unit
        )
        if svg:
            figures.append(Figure(svg, f"Disagreement on {label.label} against size"))
    if not figures:
        return [
            Prose("No case has an object that every rater marked, so nothing is drawn.", "empty")
        ]
    words = (
        "Raters who differ by the same width everywhere have a lower DSC on small objects: the upper plot "
        "would then follow size, and the lower one would not. The rank correlations say what is so here."
    )
    return [Gallery(tuple(figures), title="Disagreement and size", legend=words)]


def _pictures(page: RaterPage) -> list[Block]:
    if not page.pictures:
        return [Prose("No two raters differ on any case, so no picture is shown.", "empty")]
    names = [it.rater for it in page.used]
    figures = tuple(
        Figure(raters_picture(it, title=_title(it)), _title(it)) for it in page.pictures
    )
    return [
        Gallery(
            figures,
            legend=raters_legend(names),
            title="The slice of largest disagreement of the first cases of each label",
            width="third",
        )
    ]


def _title(picture: RaterPicture) -> Text:
    where = "" if picture.slice is None else f", slice {picture.slice}"
    return f"{picture.case}, {picture.label}{where} ({picture.plane})"


def _used(page: RaterPage) -> Table:
    names = {number: name for name, number in page.labels}
    rows: tuple[tuple[Text, ...], ...] = tuple(
        (
            heading(own.rater),
            count(own.cases),
            lines(
                [
                    Markup("{}: {}").format(
                        names.get(number, f"label {number}, not asked for"), count(n)
                    )
                    for number, n in own.numbers
                ]
            )
            or "none",
        )
        for own in page.used
    )
    columns = (
        *(Column("Rater"), Column("Cases drawn", "number")),
        Column("Cases on which each label occurs"),
    )
    return Table(
        "Cases and labels of each rater.",
        columns,
        rows,
        note=" ".join(f"{it}." for it in page.warnings),
    )
