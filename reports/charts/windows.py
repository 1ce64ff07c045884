"""Windows of several sizes: mean scores inside and outside of the training range, by object size."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from auditor.schema import WindowCell, WindowStudy, WindowUse
from reports import svg
from reports.charts.axes import Scale, vertical_axis
from reports.charts.points import shorten
from reports.svg import Mark
from reports.wording import digits, status_words

LEFT, RIGHT, TOP, BOTTOM = 34.0, 292.0, 34.0, 168.0
SHIFT = {"inside": -9.0, "all": 0.0, "outside": 9.0}
"""Where a mark stands beside the middle of its window."""


def group(study: WindowStudy, size: str, marks: Mapping[str, Mark], title: str) -> Markup:
    """Draw the mean of every window for one group of object size.

    Filled: inside the training range; hollow: outside; a bar without a mark: all of them.

    Parameters
    ----------
    study
        One label.
    size
        ``all``, or one of its groups.
    marks
        How systems are drawn.
    title
        Of the panel.
    """
    cells = [it for it in study.cells if it.size == size and it.side in SHIFT]
    # one scale for every group, so that panels can be compared
    ends = [v for it in study.cells for v in (it.mean.value, it.mean.low) if v is not None]
    floor = max(0.0, int(min([*ends, 0.9]) * 10) / 10)
    up = Scale(floor, 1.0, BOTTOM, TOP)
    step = (RIGHT - LEFT) / max(1, len(study.uses))
    foot = BOTTOM + 19 + 12 * max((len(_lines(it)) for it in study.uses), default=1)
    parts = [vertical_axis(up, LEFT, RIGHT), svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, class_="axis")]
    for place, use in enumerate(study.uses):
        x = LEFT + step * (place + 0.5)
        parts += [
            svg.text(
                x, BOTTOM + 15 + 12 * line, shorten(words, int(step / 6)), class_="tick",
                text_anchor="middle",
            )
            for line, words in enumerate(_lines(use))
        ]  # fmt: skip
        mine = [it for it in cells if it.use == use.name]
        split = any(it.side == "inside" for it in mine)
        parts += [_cell(it, x, up, marks[_drawn_as(study, use)], split=split) for it in mine]
    parts.append(svg.text(6, 16, title, class_="panel-title"))
    below = "training patch" if study.family else "window"
    parts.append(svg.text(RIGHT, foot, below, class_="tick", text_anchor="end"))
    parts.append(svg.text(RIGHT, 29, "mean DSC", class_="tick", text_anchor="end"))
    return svg.drawing(
        300,
        foot + 5,
        *parts,
        title=f"Mean DSC of {study.label} by {below}: {title}",
        description="; ".join(_words(it) for it in cells) + ".",
    )


def _lines(use: WindowUse) -> list[str]:
    """Write what a window is called word by word, so that what comes after its size can be read."""
    return use.window.replace(",", "").split()


def _drawn_as(study: WindowStudy, use: WindowUse) -> str:
    """Name the system whose mark stands for a use; a family keeps one over all of its patches."""
    return (study.uses[0] if study.family else use).systems[0]


def _cell(cell: WindowCell, x: float, up: Scale, mark: Mark, *, split: bool) -> Markup:
    mean = cell.mean
    if mean.value is None:
        return Markup("")
    x += SHIFT[cell.side]
    parts = []
    if mean.low is not None and mean.high is not None:
        ends = up(mean.low), up(mean.high)
        parts.append(svg.line(x, ends[0], x, ends[1], class_=f"whisker s{mark.index}"))
    if cell.side == "all" and split:
        y = up(mean.value)
        parts.append(svg.line(x - 5, y, x + 5, y, class_=f"whisker s{mark.index}"))
    else:
        kind = f"hollow s{mark.index}" if cell.side == "outside" else f"mark f{mark.index}"
        parts.append(svg.marker(mark.shape, x, up(mean.value), size=4.0, class_=kind))
    return Markup("").join(parts)


def _words(cell: WindowCell) -> str:
    mean = cell.mean
    value = status_words(mean.status) if mean.value is None else digits(mean.value)
    return f"{cell.use}, {cell.side}: {value}, n {mean.n}"
