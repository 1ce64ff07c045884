"""How predictions fail, as stacked bars with their counts."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import FailureTypes
from reports import svg
from reports.wording import plain

TYPES = ("empty", "under", "misplaced", "over", "unknown")
"""From nothing found to too much, then what is not known; good comes first."""
WORDS = {
    "good": "DSC at least .5",
    "empty": "empty",
    "under": "less than half the volume",
    "misplaced": "misplaced",
    "over": "more than twice the volume",
    "unknown": "unknown",
}
"""Type -> words."""
_LOOKS = {
    "good": "part good",
    "empty": "part f1 s1",
    "under": "part f4 s4",
    "misplaced": "part f5 s5",
    "over": "part f0 s0",
    "unknown": "part f3 s3",
}
_LEFT, _WIDTH, _TOP, _ROW = 74.0, 330.0, 42.0, 22.0
_FITS = 13.0
"""A narrower part has no room for its count."""


def bars(rows: Sequence[FailureTypes], title: str, name: str) -> Markup:
    """Draw the conditions of one system, from clean to the highest severity.

    Parameters
    ----------
    rows : sequence of FailureTypes
        Of one system, label and perturbation; at least one.
    title : str
        Of all pictures that stand side by side.
    name : str
        Of this one.
    """
    unit = next((it.unit for it in rows if it.unit), "")
    parts = [
        svg.text(4, 16, name, class_="panel-title"),
        svg.text(_LEFT - 8, 36, unit or "level", class_="tick", text_anchor="end"),
        svg.text(_LEFT + _WIDTH + 44, 36, "n", class_="tick", text_anchor="end"),
    ]
    for place, it in enumerate(rows):
        parts += _bar(it, _TOP + _ROW * place)
    return svg.drawing(
        _LEFT + _WIDTH + 52,
        _TOP + _ROW * len(rows) + 4,
        *parts,
        title=f"{title}, {name}",
        description="; ".join(_told(it) for it in rows) + ".",
    )


def legend() -> Markup:
    """Name the types beside their looks."""
    keys = []
    for kind, words in WORDS.items():
        sample = svg.element(
            "svg",
            svg.rectangle(1, 1, 32, 12, class_=_LOOKS[kind]),
            viewBox="0 0 34 14",
            class_="sample",
            aria_hidden="true",
        )
        keys.append(Markup('<span class="key">{}{}</span>').format(sample, words))
    return Markup(" ").join(keys)


def _bar(it: FailureTypes, y: float) -> list[Markup]:
    name = "clean" if it.level is None else f"{it.level:.4g}"
    parts = [
        svg.text(_LEFT - 8, y + 14, name, class_="tick", text_anchor="end"),
        svg.text(_LEFT + _WIDTH + 44, y + 14, str(it.n), class_="tick", text_anchor="end"),
    ]
    x = _LEFT
    for kind in ("good", *TYPES):
        found: int = getattr(it, kind)
        wide = _WIDTH * found / it.n if it.n else 0.0
        if not found:
            continue
        parts.append(svg.rectangle(x, y, wide, _ROW - 4, class_=_LOOKS[kind]))
        if wide >= _FITS:
            parts.append(
                svg.text(
                    x + wide / 2, y + 13, str(found), class_="tick strong", text_anchor="middle"
                )
            )
        x += wide
    return parts


def _told(it: FailureTypes) -> str:
    place = "clean" if it.level is None else f"{plain(it.perturbation)} {it.level:.4g}"
    counts = ", ".join(f"{WORDS[kind]} {getattr(it, kind)}" for kind in WORDS)
    return f"{place}, n {it.n}: {counts}"
