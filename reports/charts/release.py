"""Pictures of a comparison of releases: the loss at every condition, with the declared margin."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema.release import ReleaseChange, ReleaseVerdict
from reports import svg
from reports.charts.axes import Scale, horizontal_axis, nice_step
from reports.charts.points import shorten
from reports.wording import digits, plain, status_words

__all__ = ["loss_chart", "name_of"]

_BAD = ReleaseVerdict.INFERIOR
_GOOD = (ReleaseVerdict.NON_INFERIOR, ReleaseVerdict.CONDITIONAL)


def name_of(change: ReleaseChange) -> str:
    """Name a condition in words: rician noise 9 % of S_ref."""
    if change.level is None:
        return "clean scans"
    return f"{plain(change.perturbation)} {change.level:.4g} {change.unit}".strip()


def loss_chart(changes: Sequence[ReleaseChange], margin: float, what: str) -> Markup:
    """Draw the mean loss at every condition with its interval; right of zero the later release is worse.

    Parameters
    ----------
    changes
        Of one label, in the order in which they are drawn.
    margin
        Largest loss that counts as none: a dashed line.
    what
        The metric and the label, in words.
    """
    left, right, top = 262.0, 600.0, 34.0
    ends = [
        abs(it)
        for change in changes
        for it in (change.loss.value, change.loss.low, change.loss.high)
        if it is not None
    ]
    reach = max([*ends, 1.5 * margin])
    step = nice_step(2 * reach)
    reach = step * (int(reach / step) + 1)
    across = Scale(-reach, reach, left, right)
    bottom = top + 18.0 * len(changes) + 8
    parts = [
        horizontal_axis(across, top, bottom),
        svg.line(across(0.0), top, across(0.0), bottom, class_="axis"),
        svg.line(across(margin), top - 4, across(margin), bottom, class_="nominal"),
        svg.text(left, 14, "improved", class_="tick"),
        svg.text(right, 14, "got worse", class_="tick", text_anchor="end"),
        svg.text(
            across(margin), 28, f"margin {digits(margin)}", class_="tick", text_anchor="middle"
        ),
    ]
    for place, change in enumerate(changes):
        y = top + 18.0 * place + 12
        parts.append(svg.text(8, y + 4, shorten(name_of(change), 46), class_="tick"))
        value, low, high = change.loss.value, change.loss.low, change.loss.high
        tone = 1 if change.verdict is _BAD else 5
        if low is not None and high is not None:
            parts.append(svg.line(across(low), y, across(high), y, class_=f"whisker s{tone}"))
        if value is not None:
            full = change.verdict is _BAD or change.verdict in _GOOD
            kind = f"mark f{tone}" if full else f"hollow s{tone}"
            shape = "square" if change.verdict is _BAD else "circle"
            parts.append(svg.marker(shape, across(value), y, size=3.8, class_=kind))
    parts.append(svg.text(right, bottom + 30, what, class_="tick", text_anchor="end"))
    return svg.drawing(
        620, bottom + 38, *parts,
        title=f"Loss at every condition: {what}",
        description="; ".join(map(_words, changes)) + ".",
    )  # fmt: skip


def _words(change: ReleaseChange) -> str:
    it = change.loss
    if it.value is None:
        return f"{name_of(change)}: {status_words(it.status)}"
    ends = "" if it.low is None or it.high is None else f" [{digits(it.low)}, {digits(it.high)}]"
    return f"{name_of(change)}: {digits(it.value)}{ends}, {change.verdict.value}"
