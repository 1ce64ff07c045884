"""A sweep of windows: one checkpoint, read against the share of foreground in its windows."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import WindowSweep
from reports.charts import windows as chart
from reports.document import Block, Column, Figure, Gallery, Items, Prose, Table, Text
from reports.view import View
from reports.wording import count, heading, method_of, number, value_of

SAYS = (
    "This sweeps the inference window of one trained model. It is not the published experiment, which "
    "trained one model per patch size (Kamath et al., 2022): a window of another size than the patches of "
    "the training shows the model what it has not learned from."
)


def window_blocks(view: View, labels: Sequence[str]) -> list[Block]:
    """Show every sweep of windows; nothing when no checkpoint has several windows."""
    blocks: list[Block] = []
    found = [it for label in labels for it in view.results.sweeps if it.label == label]
    shown = [it for it in found if all(use.system in view.marks for use in it.uses)]
    for place, sweep in enumerate(shown):
        if place == 0:
            blocks.append(Prose(SAYS, "notice"))
        if sweep.missing:
            blocks.append(Items(sweep.missing))
        blocks.append(_gallery(view, sweep, is_open=sweep.label == view.results.headline.label))
        blocks.append(_differences(sweep))
    return blocks


def _gallery(view: View, sweep: WindowSweep, *, is_open: bool) -> Gallery:
    title = f"DSC of {sweep.label} by inference window: {', '.join(u.window for u in sweep.uses)}"
    sizes = ("all", *sweep.sizes)
    figures = tuple(
        Figure(chart.group(sweep, size, view.marks, _size(sweep, size)), _size(sweep, size))
        for size in sizes
    )
    return Gallery(
        figures,
        legend=_legend(sweep),
        table=_cells(sweep),
        title=title if is_open else "",
        summary="" if is_open else title,
        width="third",
    )


def _legend(sweep: WindowSweep) -> Text:
    if sweep.training is None:
        return Markup("<span>Marks: mean of all cases with its interval.</span>")
    low, high = (number(it, text=f"{it:.4g}") for it in sweep.training)
    return Markup(
        "<span>Filled: share of foreground in the windows inside the declared training range ({} to {}); "
        "hollow: outside; bar: all cases.</span>"
    ).format(low, high)


def _size(sweep: WindowSweep, size: str) -> str:
    if size == "all":
        return "All sizes"
    names = ("Small", "Middle", "Large") if len(sweep.sizes) == 3 else ("Small", "Large")
    return f"{names[sweep.sizes.index(size)]} objects ({size.replace('<=', '≤')})"


def _cells(sweep: WindowSweep) -> Table:
    words = {use.system: use.window for use in sweep.uses}
    rows = tuple(
        (
            words[it.system],
            it.system,
            {"all": "all cases"}.get(it.side, f"{it.side} the training range"),
            _size(sweep, it.size),
            value_of(it.mean),
            count(it.mean.n),
            method_of(it.mean),
        )
        for it in sweep.cells
    )
    columns = (
        *(Column("Window"), Column("System"), Column("Share of foreground in windows")),
        *(Column("Object size"), Column("Mean DSC [interval]", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
    )
    caption = f"Clean DSC of {sweep.label} by window, training range and object size."
    return Table(caption, columns, rows)


def _differences(sweep: WindowSweep) -> Block:
    words = {use.system: use.window for use in sweep.uses}
    rows = tuple(
        (
            f"{words[it.first]} less {words[it.second]}"
            if it.group != "changes side"
            else f"{words[it.first]} and {words[it.second]}",
            "cases inside under one, outside under the other: inside less outside"
            if it.group == "changes side"
            else _size(sweep, it.group),
            value_of(it.difference),
            count(it.difference.n),
            method_of(it.difference),
        )
        for it in sweep.differences
    )
    columns = (
        *(Column("Windows"), Column("Cases"), Column("Difference of mean DSC", "number")),
        *(Column("n", "number"), Column("Level and method", fold=True)),
    )
    caption = (
        f"{heading('paired_differences')} between windows on the same patients, {sweep.label}."
    )
    return Table(caption, columns, rows)
