"""One perturbation at several levels on one sheet: planes, and below each what became of it.

Every panel of a row has one window and one scale of length, every difference one symmetric scale, so that
what looks different is different.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

__all__ = ["SheetColumn", "SheetRow", "contact_sheet", "shared_difference", "shared_window"]

_DPI = 110
_LONGEST = 2.2
"""The longest extent of any plane, inches."""
_NARROWEST, _FLATTEST, _SMALLEST = 1.6, 0.2, 6.4
"""Least width of a column, height of a row, width of a sheet: captions must fit."""
_GAP = 0.05
_LEFT = 0.12
_TOP, _TITLE, _NAME = 0.9, 0.44, 0.22
"""Heights of the heading, of the titles of columns, of the names of rows."""
_INK, _SOFT = "#1b1b1b", "#5a5a5a"
_DIVERGING = "RdBu_r"
"""Red is brighter than before, blue darker."""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One plane, shown at every level."""

    name: str
    """'axial, z = 12'."""
    spacing: tuple[float, float]
    """Distance of rows, of columns."""
    hung: bool = False
    """True: turned as radiologists hang it."""


@dataclass(frozen=True, slots=True)
class SheetColumn:
    """One level."""

    title: str
    """Severity, level and unit."""
    effect: str
    """What was measured; one line."""
    planes: tuple[NDArray[np.float32], ...]
    """(rows, columns), or (rows, columns, 3) for colours, one per `SheetRow`; units of the scan."""


def shared_window(
    image: NDArray[np.float32], foreground: NDArray[np.bool_], *, modality: str, state: str
) -> tuple[float, float]:
    """Choose the intensities that are shown as black and white.

    Raw CT is shown as soft tissue, -160 to 240 HU; anything else from the 1st percentile of all voxels to
    the 99.5th of the foreground, so that a large background does not hide a small bright object.
    """
    if modality == "ct" and state == "raw":
        return -160.0, 240.0
    low = float(np.quantile(image, 0.01))
    inside = image[:, foreground] if foreground.any() else image
    high = float(np.quantile(inside, 0.995))
    return low, high if high > low else low + 1.0


def shared_difference(columns: Sequence[SheetColumn]) -> float:
    """Return the largest difference that is shown: the 99.5th percentile at the strongest level.

    0 when no plane changes.
    """
    largest = 0.0
    for column in columns[1:]:
        changes = [np.abs(_change(*pair)).ravel() for pair in _pairs(columns[0], column)]
        largest = max(largest, float(np.quantile(np.concatenate(changes), 0.995)))
    if largest == 0.0:  # a change of less than 0.5 % of the voxels
        changes = [
            np.abs(_change(*pair)).max() for col in columns[1:] for pair in _pairs(columns[0], col)
        ]
        largest = float(max(changes, default=0.0))
    return largest


def contact_sheet(
    columns: Sequence[SheetColumn],
    rows: Sequence[SheetRow],
    *,
    heading: tuple[str, str],
    window: tuple[float, float],
    difference: float,
    unit: str,
) -> bytes:
    """Draw the sheet.

    Parameters
    ----------
    columns : sequence of SheetColumn
        The clean scan first.
    rows : sequence of SheetRow
        The planes of every column.
    heading : (title, line below)
        Of the sheet.
    window : (low, high)
        Intensities shown as black and white.
    difference : float
        Of `shared_difference`; 0: nothing changed.
    unit : str
        Of the intensities: HU, or empty.

    Returns
    -------
    bytes
        PNG; the same for the same numbers.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wall = _hang(columns, rows)
    figure = Figure(figsize=(wall.width, wall.height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    shown = f"{_plain(window[0], 4)} to {_plain(window[1], 4)} {unit}".rstrip()
    _write(figure, (_LEFT, wall.height - 0.3), heading[0], size=13, bold=True)
    _write(figure, (_LEFT, wall.height - 0.55), heading[1])
    told = f"Columns: severity: level. Every panel is windowed to {shown}."
    if any(row.hung for row in rows):
        told += " The patient's left is on the right."
    _write(figure, (_LEFT, wall.height - 0.75), told, colour=_SOFT)
    for number, column in enumerate(columns):
        left = _LEFT + number * (wall.panel + _GAP)
        head = wall.height - _TOP
        _write(figure, (left, head - 0.18), column.title, bold=True, size=8.5)
        _write(figure, (left, head - 0.36), column.effect, colour=_SOFT, size=7.5)
        for place, (row, slot) in enumerate(zip(rows, wall.slots, strict=True)):
            clean, plane = columns[0].planes[place], column.planes[place]
            size = _size(clean, row, wall.scale)
            x = left + (wall.panel - size[0]) / 2
            _panel(figure, (x, slot.image - size[1] / 2, *size), plane, limits=window)
            if number:
                box = (x, slot.change - size[1] / 2, *size)
                limits = (-difference, difference) if difference else (-1.0, 1.0)
                _panel(figure, box, _change(clean, plane), limits=limits, diverging=True)
    for row, slot in zip(rows, wall.slots, strict=True):
        _write(figure, (_LEFT, slot.name), row.name)
        if slot is not wall.slots[0]:
            right = (_LEFT + wall.panel - 0.1, slot.change)
            _write(figure, right, "difference", colour=_SOFT, at="right")
    _scale(figure, wall, difference, unit)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return content.getvalue()


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a plane and its difference hang: heights of their middles, inches from below."""

    name: float
    image: float
    change: float


@dataclass(frozen=True, slots=True)
class _Wall:
    """Lengths of the sheet, inches."""

    width: float
    height: float
    panel: float
    """Width of a column."""
    scale: float
    """Inches per unit of length, for all panels."""
    slots: tuple[_Slot, ...]


def _hang(columns: Sequence[SheetColumn], rows: Sequence[SheetRow]) -> _Wall:
    planes = columns[0].planes
    scale = _LONGEST / max(
        max(_size(plane, row, 1.0)) for plane, row in zip(planes, rows, strict=True)
    )
    sizes = [_size(plane, row, scale) for plane, row in zip(planes, rows, strict=True)]
    panel = max(_NARROWEST, *(size[0] for size in sizes))
    tall = [max(_FLATTEST, size[1]) for size in sizes]
    height = _TOP + _TITLE + sum(_NAME + 2 * (it + _GAP) for it in tall) + 2 * _GAP
    slots = []
    top = height - _TOP - _TITLE
    for it in tall:
        top -= _NAME
        slots.append(_Slot(top + 0.08, top - it / 2, top - it - _GAP - it / 2))
        top -= 2 * (it + _GAP)
    wide = _LEFT + len(columns) * (panel + _GAP) + 2 * _GAP
    return _Wall(max(wide, _SMALLEST), height, panel, scale, tuple(slots))


def _size(plane: NDArray[np.float32], row: SheetRow, scale: float) -> tuple[float, float]:
    """Width and height of a plane, inches: its physical extents."""
    return plane.shape[1] * row.spacing[1] * scale, plane.shape[0] * row.spacing[0] * scale


def _pairs(
    clean: SheetColumn, column: SheetColumn
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    return list(zip(clean.planes, column.planes, strict=True))


def _change(clean: NDArray[np.float32], plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Perturbed minus clean; the mean over colours."""
    change = plane - clean
    return change.mean(axis=2) if change.ndim == 3 else change


def _panel(
    figure: Figure,
    box: tuple[float, float, float, float],
    plane: NDArray[np.float32],
    *,
    limits: tuple[float, float],
    diverging: bool = False,
) -> None:
    axes = _axes(figure, box)
    low, high = limits
    if plane.ndim == 3:
        plane = np.clip((plane - low) / (high - low), 0.0, 1.0)
    axes.imshow(
        plane, vmin=low, vmax=high, cmap=_DIVERGING if diverging else "gray", aspect="auto",
    )  # fmt: skip
    axes.set_axis_off()
    if diverging:  # white on white needs a frame
        axes.add_patch(_frame(axes))


def _frame(axes: Axes) -> Patch:
    from matplotlib.patches import Rectangle

    frame: Patch = Rectangle(
        (0, 0),
        1,
        1,
        transform=axes.transAxes,
        fill=False,
        edgecolor="#c4c4c4",
        linewidth=0.8,
        clip_on=False,
    )
    return frame


def _scale(figure: Figure, wall: _Wall, difference: float, unit: str) -> None:
    """Explain the colours where the clean scan would have its difference."""
    middle = wall.slots[0].change
    if difference == 0.0:
        _write(figure, (_LEFT, middle), "no difference", colour=_SOFT)
        return
    box = (_LEFT, middle - 0.02, wall.panel - 0.1, 0.12)
    axes = _axes(figure, box)
    axes.imshow(np.linspace(-1, 1, 256)[None], cmap=_DIVERGING, aspect="auto")
    axes.set_axis_off()
    axes.add_patch(_frame(axes))
    _write(figure, (_LEFT, middle + 0.22), f"perturbed - clean, {unit}".rstrip(", "), colour=_SOFT)
    for place, value in ((0.0, -difference), (0.5, 0.0), (1.0, difference)):
        at = ("left", "center", "right")[int(2 * place)]
        text = f"{'+' if value > 0 else ''}{_plain(value, 3)}"
        _write(figure, (box[0] + place * box[2], middle - 0.13), text, colour=_SOFT, at=at)


def _plain(value: float, digits: int) -> str:
    """Write a number without an exponent as long as that is short: 1170, 0.0012."""
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits}g}"
    return np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")


def _axes(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    wide, tall = figure.get_size_inches()
    return figure.add_axes((box[0] / wide, box[1] / tall, box[2] / wide, box[3] / tall))


def _write(
    figure: Figure,
    place: tuple[float, float],
    text: str,
    *,
    size: float = 8.0,
    bold: bool = False,
    colour: str = _INK,
    at: str = "left",
) -> None:
    wide, tall = figure.get_size_inches()
    figure.text(
        place[0] / wide, place[1] / tall, text, fontsize=size, color=colour,
        fontweight="bold" if bold else "normal",
        ha=at, va="center",
    )  # fmt: skip
