"""Which skip connections an ablation means: of the network at hand, in its words."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.systems.answers import Refusal
from auditor.systems.skips.rule import Skip, Skips

__all__ = ["selected"]

_MOST_NAMES = 12
"""Values that a refusal lists."""


def selected(skips: Skips, wanted: Sequence[int | str]) -> tuple[int, ...]:
    """Find the skips that are to be replaced.

    Parameters
    ----------
    skips : of the network at the size that is fed.
    wanted : levels (every skip of the level), or names of values that skip; empty: every skip.

    Returns
    -------
    Their places in `skips`, ascending, at least one.

    Raises
    ------
    Refusal
        When there is none that is meant; the message lists those that exist. Also when levels, or all, of
        a network are asked for of which not every skip could be found: only named values can be replaced
        there, because what "level 1" carries would be only a part of it.
    """
    if not skips.found:
        msg = (
            "the network has no skip connection at the size that it is fed, so there is nothing to ablate; "
            "leave ablate out"
            if skips.complete
            else "no skip connection of the network could be found, though a way leads around its coarsest "
            "resolution, as through an operator whose inside cannot be seen; it cannot be ablated"
        )
        raise Refusal(msg)
    levels = [it for it in wanted if isinstance(it, int)]
    if (levels or not wanted) and not skips.complete:
        msg = (
            "the skip connections of the network could not all be found: with those that were cut, a way "
            "still leads around its coarsest resolution, so no level can be ablated as a whole; name the "
            f"values that are to be replaced instead, of: {_names(skips.found)}"
        )
        raise Refusal(msg)
    found: set[int] = set() if wanted else set(range(len(skips.found)))
    for it in wanted:
        found.update(_of_level(skips, it) if isinstance(it, int) else _named(skips, it))
    return tuple(sorted(found))


def _of_level(skips: Skips, level: int) -> list[int]:
    places = [i for i, skip in enumerate(skips.found) if skip.level == level]
    if not places:
        there = ", ".join(str(it) for it in sorted({skip.level for skip in skips.found}))
        msg = f"level {level} has no skip connection; those that have one: {there}"
        raise Refusal(msg)
    return places


def _named(skips: Skips, name: str) -> list[int]:
    places = [
        i
        for i, skip in enumerate(skips.found)
        if name in {_shown(skip.source), *(_shown(edge.source) for edge in skip.edges)}
    ]
    if not places:
        msg = f"no value {name[:80]!r} skips; those that do: {_names(skips.found)}"
        raise Refusal(msg)
    return places


def _shown(name: str) -> str:
    """Write a name as a description of the network shows it."""
    return "".join(letter for letter in name[:200] if letter.isprintable())


def _names(found: Sequence[Skip]) -> str:
    names = list(dict.fromkeys(_shown(skip.source) for skip in found))
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
