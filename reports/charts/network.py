"""A network as its levels: the way down on the left, the way up on the right, skip connections between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from auditor.schema import NetworkFacts, NetworkLevel, NetworkSkip
from auditor.schema.network_words import by_sign, certificate_words
from reports import svg
from reports.charts.points import shorten

WIDTH = 720.0
_LEFT, _RIGHT, _TOP = 118.0, 704.0, 82.0
"""Where the boxes begin and end, beside the column of resolutions and below the words."""
_BOX, _LOW, _GAP, _LINE = 104.0, 38.0, 20.0, 21.0
"""Width and least height of a box, room between rows, height of one skip connection."""
_INDENT = 120.0
"""How far the last level stands further in than the first, at most."""
_MIDDLE = (_LEFT + _RIGHT) / 2


@dataclass(frozen=True, slots=True)
class _Row:
    level: int
    about: NetworkLevel
    skips: tuple[tuple[int, NetworkSkip], ...]
    top: float
    height: float
    indent: float
    bottleneck: bool

    @property
    def middle(self) -> float:
        return self.top + self.height / 2

    @property
    def left(self) -> float:
        """Middle of the box on the way down."""
        return _MIDDLE if self.bottleneck else _LEFT + self.indent + _BOX / 2

    @property
    def right(self) -> float:
        """Middle of the box on the way up."""
        return _MIDDLE if self.bottleneck else _RIGHT - self.indent - _BOX / 2

    @property
    def goes_down(self) -> bool:
        return bool(self.about.down) or self.bottleneck

    @property
    def goes_up(self) -> bool:
        return bool(self.about.up) or self.bottleneck


def network(facts: NetworkFacts, title: str) -> Markup:
    """Draw the levels of a network with its skip connections, numbered as in their table.

    Parameters
    ----------
    facts
        Of the network.
    title
        Of the picture, for those who cannot see it as well.
    """
    rows = list(_rows(facts))
    if not rows:
        words = "no resolution was seen at which a convolution or a merge works"
        nothing = svg.text(12, 26, words, class_="net-text")
        return svg.drawing(WIDTH, 44, nothing, title=title, description=words, class_="net")
    parts = [
        *_head(facts, rows),
        *(part for row in rows for part in _row(row)),
        *_ways(rows),
    ]
    height = rows[-1].top + rows[-1].height + 14
    if any(it.nested for it in facts.skips):
        parts += _legend(height + 6)
        height += 18
    ground = svg.rectangle(0, 0, WIDTH, height, class_="net-ground")
    described = [f"Fed {by_sign(facts.fed)}.", *(_words(row) for row in rows)]
    complete, minimal = certificate_words(facts)
    described += [f"Complete: {complete}.", f"Minimal: {minimal}."]
    return svg.drawing(
        WIDTH, height, ground, *parts, title=title, description=" ".join(described), class_="net"
    )


def _rows(facts: NetworkFacts) -> Iterator[_Row]:
    """Lay out one row a level, the bottleneck last."""
    levels = list(facts.levels)
    if facts.coarsest and facts.coarsest not in [it.resolution for it in levels]:
        levels.append(NetworkLevel(facts.coarsest, 0, 0))
    step = min(30.0, _INDENT / max(1, len(levels) - 1))
    top = _TOP
    for level, about in enumerate(levels):
        here = tuple((i, it) for i, it in enumerate(facts.skips, 1) if it.level == level)
        height = max(_LOW, _LINE * len(here) + 8)
        last = level == len(levels) - 1
        bottleneck = about.resolution == facts.coarsest or (last and not facts.coarsest)
        yield _Row(level, about, here, top, height, step * level, bottleneck)
        top += height + _GAP


def _head(facts: NetworkFacts, rows: Sequence[_Row]) -> Iterator[Markup]:
    """Write the title of the columns, and where the image goes in and the answer comes out."""
    yield svg.text(12, 22, shorten(", ".join(facts.systems) or "network", 80), class_="net-title")
    yield svg.text(12, 50, "level, resolution", class_="net-small")
    first = next(row for row in rows if row.goes_down)
    last = next(row for row in rows if row.goes_up)
    fed = f"image, {by_sign(facts.fed[1:])}"
    if first is last and first.bottleneck:
        yield from _in_and_out(fed, first.left - 30, first.left + 30, first.top, first.top)
    else:
        yield from _in_and_out(fed, first.left, last.right, first.top, last.top)


def _legend(y: float) -> Iterator[Markup]:
    words = "dashed, from a ring: nested, the value was at a lower resolution before"
    yield svg.text(_MIDDLE, y, words, class_="net-small", text_anchor="middle")


def _in_and_out(
    fed: str, entry: float, leave: float, into: float, out_of: float
) -> Iterator[Markup]:
    yield svg.text(entry, 50, fed, class_="net-small", text_anchor="middle")
    yield from _arrow([(entry, 57), (entry, into)], "net-way")
    yield svg.text(leave, 50, "answer", class_="net-small", text_anchor="middle")
    yield from _arrow([(leave, out_of), (leave, 57)], "net-way")


def _row(row: _Row) -> Iterator[Markup]:
    yield svg.text(12, row.middle - 2, f"level {row.level}", class_="net-strong")
    yield svg.text(12, row.middle + 13, by_sign(row.about.resolution), class_="net-small")
    if row.bottleneck:
        channels = row.about.down or row.about.up
        words = f"bottleneck, {channels} channels" if channels else "bottleneck"
        yield from _box(row, row.left, words, width=1.6 * _BOX)
        return
    if row.about.down:
        yield from _box(row, row.left, _channels(row.about.down))
    if row.about.up:
        yield from _box(row, row.right, _channels(row.about.up))
    if not row.skips and row.about.down and row.about.up:
        yield svg.text(
            _MIDDLE, row.middle + 4, "no skip connection", class_="net-small",
            text_anchor="middle",
        )  # fmt: skip
    for place, (number, skip) in enumerate(row.skips):
        y = row.middle + _LINE * (place - (len(row.skips) - 1) / 2)
        yield from _skip(row, y, number, skip)


def _box(row: _Row, x: float, words: str, *, width: float = _BOX) -> Iterator[Markup]:
    yield svg.rectangle(x - width / 2, row.top, width, row.height, rx=4, class_="net-box")
    yield svg.text(x, row.middle + 4, words, class_="net-text", text_anchor="middle")


def _skip(row: _Row, y: float, number: int, skip: NetworkSkip) -> Iterator[Markup]:
    """Draw one skip connection; a nested one begins where the way up has already been."""
    start, end = row.left + _BOX / 2, row.right - _BOX / 2
    kind = "net-skip"
    if skip.nested:
        start += 0.16 * (end - start)
        kind = "net-skip net-nested"
        yield svg.marker("circle", start, y, size=3.4, class_="net-start")
        start += 3.4
    yield from _arrow([(start, y), (end, y)], kind)
    words = [shorten(skip.operator, 18)]
    if skip.places > 1:
        words.append(f"{skip.places} places")
    if skip.nested:
        words.append("nested")
    label = f"{number}  {', '.join(words)}"
    wide = 6.3 * len(label) + 12
    middle = (row.left + row.right) / 2 + (14 if skip.nested else 0)
    yield svg.rectangle(middle - wide / 2, y - 8, wide, 16, class_="net-ground")
    yield svg.text(middle, y + 4, label, class_="net-text", text_anchor="middle")


def _ways(rows: Sequence[_Row]) -> Iterator[Markup]:
    """Draw the way down from level to level, and the way up."""
    down = [row for row in rows if row.goes_down]
    up = [row for row in rows if row.goes_up]
    for above, below in pairwise(down):
        yield from _arrow(_bent(above.left, above, below, below.left, side=-1), "net-way")
    for above, below in pairwise(up):
        points = _bent(above.right, above, below, below.right, side=1)
        yield from _arrow(points[::-1], "net-way")


def _bent(
    x: float, above: _Row, below: _Row, under: float, *, side: int
) -> list[tuple[float, float]]:
    """Lead from the foot of a box to the top of the one below, or to the side of the bottleneck."""
    foot = above.top + above.height
    if below.bottleneck:
        return [(x, foot), (x, below.middle), (under + side * 0.8 * _BOX, below.middle)]
    shared = x - side * min(abs(under - x), 0.4 * _BOX) / 2
    return [(shared, foot), (shared, below.top)]


def _arrow(points: Sequence[tuple[float, float]], class_: str) -> Iterator[Markup]:
    """Draw a way with its head at the last point."""
    (x0, y0), (x, y) = points[-2:]
    across, along = (x > x0) - (x < x0), (y > y0) - (y < y0)
    short = (x - 6 * across, y - 6 * along)
    yield svg.element("path", d=svg.path([*points[:-1], short]), class_=class_)
    head = [
        (x, y),
        (x - 7 * across - 4 * along, y - 7 * along - 4 * across),
        (x - 7 * across + 4 * along, y - 7 * along + 4 * across),
    ]
    yield svg.element("path", d=svg.path(head, closed=True), class_=f"{class_} net-head")


def _channels(number: int) -> str:
    return f"{number} channel{'' if number == 1 else 's'}" if number else "channels unknown"


def _words(row: _Row) -> str:
    """Tell one level in a sentence."""
    about = row.about
    where = f"Level {row.level}, {by_sign(about.resolution)}"
    if row.bottleneck:
        return f"{where}: the bottleneck, {_channels(about.down or about.up)}."
    ways = [
        f"{_channels(channels)} on the way {way}"
        for way, channels in (("down", about.down), ("up", about.up))
        if channels
    ]
    told = [
        f"{number} by {it.operator}{', nested' if it.nested else ''}" for number, it in row.skips
    ]
    many = "s" if len(told) > 1 else ""
    kept = f"skip connection{many} {'; '.join(told)}" if told else "no skip connection"
    return f"{where}: {', '.join(ways) or 'nothing'}; {kept}."
