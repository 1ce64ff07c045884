"""Pictures of a recipe: differences of pairs, ranks over draws, maps of mixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from markupsafe import Markup

from auditor.schema.recipe import MixMap, RecipePair, RecipeSystem
from reports import svg
from reports.charts.axes import Scale, horizontal_axis, nice_step
from reports.charts.points import shorten
from reports.svg import Mark
from reports.wording import digits, joined, plain, status_words

__all__ = ["map_legend", "mix_map", "pair_chart", "rank_chart"]

_CELL = 14.0
_LEFT, _TOP = 62.0, 34.0


def pair_chart(pairs: Sequence[RecipePair], unit: str) -> Markup:
    """Draw the difference of every pair with its interval; right of zero the first is better."""
    left, right, top = 210.0, 440.0, 30.0
    ends = [
        abs(it)
        for pair in pairs
        for it in (pair.difference.value, pair.difference.low, pair.difference.high)
        if it is not None
    ]
    reach = max([*ends, 0.01])
    step = nice_step(2 * reach)
    reach = step * (int(reach / step) + 1)
    across = Scale(-reach, reach, left, right)
    bottom = top + 26.0 * len(pairs) + 8
    parts = [
        horizontal_axis(across, top, bottom),
        svg.line(across(0.0), top, across(0.0), bottom, class_="nominal"),
        svg.text(left, 16, "second better", class_="tick"),
        svg.text(right, 16, "first better", class_="tick", text_anchor="end"),
    ]
    for place, pair in enumerate(pairs):
        y = top + 26.0 * place + 16
        name = shorten(f"{pair.first} − {pair.second}", 36)
        parts.append(svg.text(12, y + 4, name, class_="tick"))
        value, low, high = pair.difference.value, pair.difference.low, pair.difference.high
        if low is not None and high is not None:
            parts.append(svg.line(across(low), y, across(high), y, class_="whisker s5"))
        if value is not None:
            kind = "mark f5" if pair.verdict in (pair.first, pair.second) else "hollow s5"
            parts.append(svg.marker("circle", across(value), y, size=4.2, class_=kind))
    parts.append(svg.text(right, bottom + 30, unit, class_="tick", text_anchor="end"))
    return svg.drawing(
        460, bottom + 38, *parts,
        title="Paired differences under the mix",
        description="; ".join(_pair_words(pair) for pair in pairs) + ".",
    )  # fmt: skip


def _pair_words(pair: RecipePair) -> str:
    it = pair.difference
    if it.value is None:
        return f"{pair.first} minus {pair.second}: {status_words(it.status)}"
    ends = "" if it.low is None or it.high is None else f" [{digits(it.low)}, {digits(it.high)}]"
    return f"{pair.first} minus {pair.second}: {digits(it.value)}{ends}, {pair.verdict}"


def rank_chart(systems: Sequence[RecipeSystem], marks: Mapping[str, Mark]) -> Markup:
    """Draw the share of draws at each rank as one bar a system, the best rank darkest."""
    left, right, top = 150.0, 440.0, 30.0
    across = Scale(0.0, 1.0, left, right)
    count = len(systems)
    bottom = top + 30.0 * count + 4
    parts = [horizontal_axis(across, top, bottom)]
    for place, system in enumerate(systems):
        y = top + 30.0 * place + 5
        parts.append(svg.text(12, y + 14, shorten(system.name, 24), class_="tick"))
        start = 0.0
        for rank, share in enumerate(system.ranks):
            if share <= 0:
                continue
            x, width = across(start), across(start + share) - across(start)
            # two decimals are not enough for a shade: the attribute is a text
            opacity = f"{0.55 * (1 - rank / max(1, count)) + 0.08:.3f}"
            kind = f"f{marks[system.name].index}"
            parts.append(svg.rectangle(x, y, width, 20, class_=kind, fill_opacity=opacity))
            if share >= 0.08:
                words = f"{rank + 1}: {share:.0%}"
                parts.append(
                    svg.text(
                        x + width / 2, y + 14, words, class_="tick strong", text_anchor="middle"
                    )
                )
            start += share
    parts.append(svg.text(12, 16, "rank: share of bootstrap draws", class_="panel-title"))
    return svg.drawing(
        460, bottom + 22, *parts,
        title="Ranks over bootstrap draws",
        description="; ".join(
            f"{it.name}: " + ", ".join(f"rank {k} {share:.0%}" for k, share in enumerate(it.ranks, 1))
            for it in systems
        ) + ".",
    )  # fmt: skip


def mix_map(found: MixMap, marks: Mapping[str, Mark]) -> Markup:
    """Draw which system is better than all others under every mix of a map; empty: undecided."""
    width, height = _CELL * len(found.across), _CELL * len(found.upward)
    bottom = _TOP + height
    parts = [svg.text(12, 16, map_title(found), class_="panel-title")]
    spots: dict[str, list[tuple[float, float]]] = {}
    for row, cells in enumerate(found.cells):
        y = bottom - _CELL * (row + 1)
        column = 0
        for value, run in groupby(cells):
            length = len(list(run))
            if value >= 0:
                box = (_LEFT + _CELL * column, y, _CELL * length, _CELL)
                kept = found.sets[value]
                parts.append(_area(kept, box, marks))
                if len(kept) == 1:
                    spots.setdefault(kept[0], []).extend(
                        (box[0] + _CELL * (k + 0.5), y + _CELL / 2) for k in range(length)
                    )
            column += length
    for name, places in spots.items():
        mark = marks[name]
        parts.append(svg.markers(mark.shape, places, size=2.4, class_=f"f{mark.index}"))
    edges = [(_LEFT, _TOP), (_LEFT, bottom), (_LEFT + width, bottom)]
    parts.append(svg.element("path", d=svg.path(edges), class_="axis", fill="none"))
    parts += _map_axes(found, bottom)
    return svg.drawing(
        _LEFT + width + 20, bottom + 48, *parts,
        title=f"Map of mixes: {map_title(found)}",
        description=_map_words(found),
    )  # fmt: skip


def _area(
    kept: tuple[str, ...], box: tuple[float, float, float, float], marks: Mapping[str, Mark]
) -> Markup:
    if len(kept) == 1:
        return svg.rectangle(*box, class_=f"f{marks[kept[0]].index}", fill_opacity="0.28")
    return svg.rectangle(*box, fill="#f6f7f9" if len(kept) == len(marks) else "#d5dae0")


def map_title(found: MixMap) -> str:
    """Name a map by what varies on it."""
    if found.kind == "severity":
        return plain(found.perturbations[0])
    severity = 0.0 if found.severity is None else found.severity
    return f"{plain(found.perturbations[0])} and {plain(found.perturbations[1])}, severity {severity:g}"


def _map_axes(found: MixMap, bottom: float) -> list[Markup]:
    parts = []
    for k, share in enumerate(found.across):
        if k % 5 == 0:
            x = _LEFT + _CELL * (k + 0.5)
            parts.append(
                svg.text(x, bottom + 14, f"{share:.0%}", class_="tick", text_anchor="middle")
            )
    every = 5 if found.kind == "axes" else max(1, round(1 / (found.upward[0] or 1.0)))
    for k, value in enumerate(found.upward):
        if k % every == (0 if found.kind == "axes" else every - 1):
            y = bottom - _CELL * (k + 0.5) + 4
            words = f"{value:.0%}" if found.kind == "axes" else f"{value:g}"
            parts.append(svg.text(_LEFT - 6, y, words, class_="tick", text_anchor="end"))
    right = _LEFT + _CELL * len(found.across)
    across = (
        "of the scans"
        if found.kind == "severity"
        else f"of the scans: {plain(found.perturbations[0])}"
    )
    upward = (
        "severity" if found.kind == "severity" else f"of the scans: {plain(found.perturbations[1])}"
    )
    parts.append(svg.text(right, bottom + 32, across, class_="tick", text_anchor="end"))
    parts.append(svg.text(12, _TOP - 5, upward, class_="tick"))
    return parts


def _map_words(found: MixMap) -> str:
    counts: dict[int, int] = {}
    for row in found.cells:
        for value in row:
            counts[value] = counts.get(value, 0) + 1
    total = sum(count for value, count in counts.items() if value >= 0)
    return (
        "; ".join(
            f"{share_words(kept)} in {counts.get(place, 0) / total:.0%} of the mixes shown"
            for place, kept in enumerate(found.sets)
        )
        + "."
    )


def share_words(kept: Sequence[str]) -> str:
    """Name the systems that are not beaten, as one preferred or as undecided."""
    return f"{kept[0]} preferred" if len(kept) == 1 else f"undecided between {joined(kept)}"


def map_legend(marks: Mapping[str, Mark]) -> Markup:
    """Say what the areas of a map mean."""
    keys = [
        _key(
            svg.rectangle(0, 0, 40, 15, class_=f"f{mark.index}", fill_opacity="0.28")
            + svg.marker(mark.shape, 20, 7.5, size=2.8, class_=f"f{mark.index}"),
            f"{name} preferred",
        )
        for name, mark in marks.items()
    ]
    if len(marks) > 2:
        keys.append(_key(svg.rectangle(0, 0, 40, 15, fill="#d5dae0"), "undecided, some are beaten"))
    keys.append(
        _key(
            svg.rectangle(0.5, 0.5, 39, 14, class_="grid", fill="#f6f7f9"), "undecided between all"
        )
    )
    return Markup("").join(keys)


def _key(picture: Markup, words: str) -> Markup:
    sample = svg.element("svg", picture, viewBox="0 0 40 15", class_="sample", aria_hidden="true")
    return Markup('<span class="key">{}{}</span>').format(sample, words)
