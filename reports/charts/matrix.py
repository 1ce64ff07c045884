"""What a family was trained on, by what it was tested on: a shaded grid with its numbers."""

from __future__ import annotations

import math

from markupsafe import Markup

from auditor.schema import TrainTestCell, TrainTestMatrix
from reports import svg
from reports.wording import digits

_LEFT, _TOP, _CELL, _ROW = 66.0, 62.0, 42.0, 28.0
_DARKEST = 0.55
"""Opacity of the best cell; the number on it must stay readable."""


def matrix(found: TrainTestMatrix, title: str, name: str, low: float, high: float) -> Markup:
    """Draw the means of one family.

    Parameters
    ----------
    found : TrainTestMatrix
    title : str
        Of all pictures that stand side by side.
    name : str
        Of this one.
    low, high : float
        Means that are drawn palest and darkest, the same for all families that stand side by side.
    """
    trained = list(dict.fromkeys(it.trained for it in found.cells))
    tested = list(dict.fromkeys((it.severity, it.tested) for it in found.cells))
    width = _LEFT + _CELL * len(tested) + 8
    parts = [
        svg.text(4, 16, name, class_="panel-title"),
        svg.text(_LEFT, 36, f"tested at, {found.unit or 'level'}", class_="tick"),
        svg.text(4, _TOP - 8, "trained at", class_="tick"),
    ]
    for column, (_, level) in enumerate(tested):
        x = _LEFT + _CELL * (column + 0.5)
        parts.append(svg.text(x, _TOP - 8, _level(level), class_="tick", text_anchor="middle"))
    for row, level in enumerate(trained):
        y = _TOP + _ROW * (row + 0.5) + 4
        parts.append(svg.text(_LEFT - 8, y, _level(level), class_="tick", text_anchor="end"))
    for it in found.cells:
        x = _LEFT + _CELL * tested.index((it.severity, it.tested))
        parts.append(_cell(it, x, _TOP + _ROW * trained.index(it.trained), low, high))
    return svg.drawing(
        max(width, 460),
        _TOP + _ROW * len(trained) + 6,
        *parts,
        title=f"{title}, {name}",
        description="; ".join(_words(it) for it in found.cells) + ".",
    )


def _level(level: float) -> str:
    return "clean" if level == 0 else f"{level:.3g}"


def _cell(it: TrainTestCell, x: float, y: float, low: float, high: float) -> Markup:
    value = it.mean.value
    matched = math.isclose(it.trained, it.tested, rel_tol=1e-9)
    frame = svg.rectangle(
        x + 1, y + 1, _CELL - 2, _ROW - 2, class_="cell matched" if matched else "cell"
    )
    if value is None:
        words = svg.text(x + _CELL / 2, y + 18, "none", class_="small", text_anchor="middle")
        return frame + words
    share = (value - low) / (high - low) if high > low else 1.0
    opacity = f"{_DARKEST * min(max(share, 0.0), 1.0):.2f}"
    return (
        svg.rectangle(x + 1, y + 1, _CELL - 2, _ROW - 2, class_="f0", fill_opacity=opacity)
        + frame
        + svg.text(x + _CELL / 2, y + 18, digits(value), class_="tick strong", text_anchor="middle")
    )


def _words(it: TrainTestCell) -> str:
    value = "no mean" if it.mean.value is None else digits(it.mean.value)
    return f"trained at {_level(it.trained)}, tested at {_level(it.tested)}: {value}"
