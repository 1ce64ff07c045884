"""Windows of several sizes, read against the share of foreground in them: sweeps, and training patches."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import RangeDropDifference, WindowStudy, WindowUse
from reports.charts import windows as chart
from reports.document import Block, Column, Figure, Gallery, Items, Prose, Table, Text
from reports.view import View
from reports.wording import count, heading, method_of, number, percent, value_of

SWEPT = (
    "This sweeps the inference window of one trained model. It is not the published experiment, which "
    "trained one model per patch size (Kamath et al., 2022): a window of another size than the patches of "
    "the training shows the model what it has not learned from."
)
TRAINED = (
    "These families hold checkpoints that were trained per patch size, each run under windows of its own "
    "patch: the published design (Kamath et al., 2022). Training and window change together, so that a "
    "difference between patches may come from either; one model under several windows is another question."
)
CONFOUNDED = (
    "Small objects fill a small share of a window, so that leaving the training range and being small go "
    "together: read the rows within one group of object size before the range is blamed."
)
TIMES = "What each window costs in time and memory stands under Provenance, for it depends on the machine."
SIDES = {
    "all": "all cases",
    "inside": "inside the training range",
    "outside": "outside the training range",
    "below": "below the training range",
    "above": "above the training range",
}


def window_blocks(view: View, labels: Sequence[str]) -> list[Block]:
    """Show every sweep of windows and every family by training patch; nothing where there is none."""
    blocks: list[Block] = []
    for found, says in (
        (view.results.sweeps, SWEPT),
        (view.results.trained_patches, TRAINED),
    ):
        shown = [it for label in labels for it in found if it.label == label and _drawn(view, it)]
        if shown:
            sided = any(it.drops for it in shown)
            blocks.append(Prose(says, "notice"))
            blocks.append(Prose(f"{CONFOUNDED} {TIMES}" if sided else TIMES))
        for study in shown:
            blocks += _study(view, study)
    return blocks + _between_families(view, labels)


def _drawn(view: View, study: WindowStudy) -> bool:
    return all(it in view.marks for use in study.uses for it in use.systems)


def _study(view: View, study: WindowStudy) -> list[Block]:
    runs = tuple(_runs(use) for use in study.uses) if study.family else ()
    blocks: list[Block] = [Items((*runs, *study.missing))] if runs or study.missing else []
    blocks.append(_gallery(view, study, is_open=study.label == view.results.headline.label))
    blocks.append(_differences(study))
    if study.drops:
        blocks.append(_drops(study))
    if study.losses:
        blocks.append(_losses(study))
    return blocks


def _of(study: WindowStudy) -> str:
    return f"{study.label}, {study.family}" if study.family else study.label


def _gallery(view: View, study: WindowStudy, *, is_open: bool) -> Gallery:
    by = "training patch" if study.family else "inference window"
    title = f"DSC of {_of(study)} by {by}: {', '.join(u.window for u in study.uses)}"
    figures = tuple(
        Figure(chart.group(study, size, view.marks, _size(study, size)), _size(study, size))
        for size in ("all", *study.sizes)
    )
    return Gallery(
        figures,
        legend=_legend(study),
        table=_cells(study),
        title=title if is_open else "",
        summary="" if is_open else title,
        width="third",
    )


def _legend(study: WindowStudy) -> Text:
    ranges = {it.training for it in study.uses if it.training is not None}
    if not any(cell.side == "inside" for cell in study.cells):
        return Markup("<span>Marks: mean of all cases with its interval.</span>")
    told = Markup("the declared training range of the patch")
    if len(ranges) == 1:
        low, high = (number(it, text=f"{it:.4g}") for it in ranges.pop())
        told = Markup("the declared training range ({} to {})").format(low, high)
    return Markup(
        "<span>Filled: share of foreground in the windows inside {}; hollow: outside; bar: all cases.</span>"
    ).format(told)


def _size(study: WindowStudy, size: str) -> str:
    return _size_words(size, study.sizes)


def _size_words(size: str, sizes: Sequence[str]) -> str:
    if size == "all":
        return "All sizes"
    names = ("Small", "Middle", "Large") if len(sizes) == 3 else ("Small", "Large")
    return f"{names[sizes.index(size)]} objects ({size.replace('<=', '≤')})"


def _words(study: WindowStudy) -> dict[str, str]:
    return {use.name: use.window for use in study.uses}


def _cells(study: WindowStudy) -> Table:
    words = _words(study)
    systems = {use.name: use.systems[0] for use in study.uses}
    rows = tuple(
        (
            words[it.use],
            *(() if study.family else (systems[it.use],)),
            SIDES[it.side],
            _size(study, it.size),
            value_of(it.mean),
            count(it.mean.n),
            method_of(it.mean),
        )
        for it in study.cells
    )
    columns = (
        Column("Patch" if study.family else "Window"),
        *(() if study.family else (Column("System"),)),
        *(Column("Share of foreground in windows"), Column("Object size")),
        *(Column("Mean DSC [interval]", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
    )
    caption = f"Clean DSC of {_of(study)} by window, training range and object size."
    return Table(caption, columns, rows)


def _runs(use: WindowUse) -> Text:
    """Name the training runs behind a patch, and what they have seen."""
    names = ", ".join(use.systems)
    if use.training is None:
        return f"Patches of {use.window}: {names}."
    low, high = (number(it, text=f"{it:.4g}") for it in use.training)
    return Markup("Patches of {}: {}; trained on shares of foreground from {} to {}.").format(
        use.window, names, low, high
    )


def _differences(study: WindowStudy) -> Block:
    words = _words(study)
    rows = tuple(
        (
            f"{words[it.first]} less {words[it.second]}"
            if it.group != "changes side"
            else f"{words[it.first]} and {words[it.second]}",
            "cases inside under one, outside under the other: inside less outside"
            if it.group == "changes side"
            else _size(study, it.group),
            value_of(it.difference),
            count(it.difference.n),
            method_of(it.difference),
        )
        for it in study.differences
    )
    columns = (
        *(Column("Patches" if study.family else "Windows"), Column("Cases")),
        *(Column("Difference of mean DSC", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
    )
    between = "training patches" if study.family else "windows"
    caption = (
        f"{heading('paired_differences')} between {between} on the same patients, {_of(study)}."
    )
    return Table(caption, columns, rows)


def _drops(study: WindowStudy) -> Block:
    words = _words(study)
    rows = tuple(
        (
            words[it.use],
            _size(study, it.size),
            value_of(it.drop),
            count(it.drop.n),
            method_of(it.drop),
        )
        for it in study.drops
    )
    columns = (
        *(Column("Patch" if study.family else "Window"), Column("Object size")),
        *(Column("Inside less outside, mean DSC", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
    )
    caption = f"Loss of mean DSC outside of the training range, other patients on either side, {_of(study)}."
    return Table(
        caption, columns, rows, summary=f"Inside less outside of the training range, {_of(study)}"
    )


def _losses(study: WindowStudy) -> Block:
    words = _words(study)
    rows = tuple(
        (
            words[it.use],
            SIDES[it.group] if it.group in SIDES else _size(study, it.group),
            percent(it.cases),
            value_of(it.share),
            count(it.share.n),
            method_of(it.share),
        )
        for it in study.losses
    )
    columns = (
        *(Column("Patch" if study.family else "Window"), Column("Cases")),
        *(Column("Share of cases", "number"), Column("Share of the loss", "number")),
        *(Column("n", "number"), Column("Level and method", fold=True)),
    )
    caption = (
        f"Where the loss lies (1 - DSC, summed over cases), {_of(study)}. Spread evenly, a group's share of "
        "the loss would be its share of the cases."
    )
    return Table(caption, columns, rows, summary=f"Where the loss of {_of(study)} lies")


def _between_families(view: View, labels: Sequence[str]) -> list[Block]:
    """Show what leaving the training range costs one family more than another."""
    rows = [it for label in labels for it in view.results.range_drops if it.label == label]
    if not rows:
        return []
    columns = (
        *(Column("Label"), Column("Patch"), Column("Families"), Column("Object size")),
        *(Column("Difference of the losses", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
    )
    caption = (
        "What leaving the training range costs one family more than another: (inside less outside) of the "
        "first less that of the second, on the same patients. Positive: the first loses more."
    )
    return [Table(caption, columns, tuple(_row(it, rows) for it in rows))]


def _row(it: RangeDropDifference, rows: Sequence[RangeDropDifference]) -> tuple[Text, ...]:
    sizes = tuple(dict.fromkeys(r.size for r in rows if r.label == it.label and r.size != "all"))
    return (
        it.label,
        it.patch,
        f"{it.first} less {it.second}",
        _size_words(it.size, sizes),
        value_of(it.difference),
        count(it.difference.n),
        method_of(it.difference),
    )
