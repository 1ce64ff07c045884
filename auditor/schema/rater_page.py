"""What `segaudit raters` finds: raters.json, the raters alone, without any system.

**Conventions.** Those of `auditor.schema.raters`. Cases and patients appear under display ids, no path, no NaN,
no date. Pictures are kept as polygons in pixels of a crop and, unless they were refused, its pixels as PNG.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema.raters import RaterResults

__all__ = ["RATERS_VERSION", "RaterContours", "RaterPage", "RaterPicture", "UsedLabels"]

RATERS_VERSION = 1
"""Of raters.json."""


@dataclass(frozen=True, slots=True)
class RaterContours:
    """What one rater drew on the slice that is shown."""

    rater: str
    polygons: tuple[tuple[tuple[float, float], ...], ...]
    """(x, y) in pixels of the picture; the centre of the first pixel is (0.5, 0.5)."""


@dataclass(frozen=True, slots=True)
class RaterPicture:
    """The slice of one case on which its raters differ most."""

    case: str
    """Display id."""
    label: str
    plane: str
    """Words: rows y, columns x."""
    slice: int | None
    """Index along the axis that is not shown; None: a 2-D image."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    spacing: tuple[float, float]
    """(row, column), in the unit of length."""
    contours: tuple[RaterContours, ...]
    png: str
    """Base64 of the grey picture; empty: without pixels."""


@dataclass(frozen=True, slots=True)
class UsedLabels:
    """Which labels one rater used, over all cases."""

    rater: str
    cases: int
    """That this rater drew."""
    numbers: tuple[tuple[int, int], ...]
    """(label number, cases on which it occurs)."""


@dataclass(frozen=True, slots=True)
class RaterPage:
    """The whole of raters.json."""

    version: int
    tool: str
    name: str
    """Of the table."""
    manifest_digest: str
    """SHA-256 over the digests of every file."""
    length_unit: Literal["mm", "px"]
    level: float
    """Of intervals."""
    seed: int
    labels: tuple[tuple[str, int], ...]
    """(name, number)."""
    used: tuple[UsedLabels, ...]
    """By rater."""
    cases: int
    """In the table."""
    patients: int
    alone: int
    """Cases with one rater only, which enter nothing."""
    results: RaterResults
    pictures: tuple[RaterPicture, ...]
    warnings: tuple[str, ...]
    """Worth knowing, in words."""
