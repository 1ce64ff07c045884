"""Read the files of exhibits; their form is written in `reports.document`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from auditor.errors import DataError
from reports.document import Exhibit, Plane, Point, Polygon

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_exhibits(folder: Path, ids: Sequence[str]) -> dict[str, Exhibit]:
    """Read the exhibits of these ids that are stored.

    Parameters
    ----------
    folder
        ``exhibits`` of a run; may be missing.
    ids
        As in results.json; an id without a file is left out.

    Raises
    ------
    DataError
        A file is there and is not what it must be.
    """
    found = {}
    for name in ids:
        # The id comes from a file: it must stay inside the folder.
        if Path(name).name != name:
            msg = f"the id of an exhibit must be a plain name such as 'E-01', got {name!r}"
            raise DataError(msg)
        path = folder / f"{name}.json"
        if path.is_file():
            found[name] = _read(path)
    return found


def _read(path: Path) -> Exhibit:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        planes = tuple(_plane(plane, path.parent) for plane in data["planes"])
        window = data.get("window")
        return Exhibit(
            id=str(data["id"]),
            planes=planes,
            window=None if window is None else _pair(window),
            reproduced=data["reproduced"] is True,
            note=str(data.get("note") or ""),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        msg = (
            f"exhibits/{path.name} must hold id, planes, window and reproduced as written by the "
            f"run: {reason}; run 'segaudit report' after the exhibits were made again"
        )
        raise DataError(msg) from error


def _plane(data: dict[str, object], folder: Path) -> Plane:
    name = str(data["png"])
    if Path(name).name != name:
        msg = f"png must be a name in the same folder, got {name!r}"
        raise ValueError(msg)
    png = (folder / name).read_bytes()
    if not png.startswith(_SIGNATURE):
        msg = f"{name!r} is no PNG file"
        raise ValueError(msg)
    width, height = _whole(data["width"]), _whole(data["height"])
    spacing = _pair(data["spacing"])
    if min(width, height) < 1 or min(spacing) <= 0:
        msg = f"width, height and spacing of {name!r} must be positive"
        raise ValueError(msg)
    contours = data.get("contours") or {}
    if not isinstance(contours, dict):
        msg = f"contours of {name!r} must be an object"
        raise TypeError(msg)
    place = data.get("slice")
    return Plane(
        name=str(data["name"]),
        png=png,
        width=width,
        height=height,
        spacing=spacing,
        slice=None if place is None else _whole(place),
        reference=_polygons(contours.get("reference")),
        prediction=_polygons(contours.get("prediction")),
        clean=_polygons(contours.get("clean")),
    )


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"must be a whole number, got {value!r}"
        raise TypeError(msg)
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        msg = f"must be a finite number, got {value!r}"
        raise TypeError(msg)
    return float(value)


def _pair(value: object) -> Point:
    if not isinstance(value, list) or len(value) != 2:
        msg = f"must be two numbers, got {value!r}"
        raise ValueError(msg)
    return _number(value[0]), _number(value[1])


def _polygons(value: object) -> tuple[Polygon, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        msg = f"contours must be lists of polygons, got {type(value).__name__}"
        raise TypeError(msg)
    return tuple(tuple(_pair(point) for point in polygon) for polygon in value)
