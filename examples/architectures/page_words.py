"""Estimates in words, and what an interval says of a claim.

**Conventions.** A claim is put so that a positive difference speaks for it. It is *supported* where the whole
interval lies above 0, *contradicted* where it lies below, *open* where it holds 0, and *described only* where
there is no interval; nothing else decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["apart", "counted", "listed", "method", "table", "title", "told", "turned", "verdict"]

Numbers = Mapping[str, Any]
"""One estimate, as in results.json."""

VERDICTS = ("supported", "contradicted", "open", "described only", "not assessable")


def told(value: Numbers, *, signed: bool = True) -> str:
    """Write an estimate with its interval, or why it has none."""
    if value["value"] is None:
        return str(value["note"] or value["status"]).replace("_", " ")
    form = "+.3f" if signed else ".3f"
    text = f"{value['value']:{form}}"
    if value["low"] is None:
        return f"{text} (no interval)"
    return f"{text} [{value['low']:{form}}, {value['high']:{form}}]"


def method(value: Numbers) -> str:
    """Write how an estimate was made, with its level."""
    level = f", {value['level']:.0%}" if value["level"] else ""
    return f"{value['method']}{level}"


def turned(value: Numbers) -> dict[str, Any]:
    """Turn a difference round."""

    def negative(number: float | None) -> float | None:
        return None if number is None else -number

    return {
        **value,
        "value": negative(value["value"]),
        "low": negative(value["high"]),
        "high": negative(value["low"]),
    }


def verdict(value: Numbers, *, beyond: float = 0.0) -> str:
    """Say what an interval says of the claim that a number is larger than `beyond`."""
    if value["value"] is None:
        return "not assessable"
    if value["low"] is None:
        return "described only"
    if value["low"] > beyond:
        return "supported"
    return "contradicted" if value["high"] < beyond else "open"


def title(summary: Mapping[str, Any], name: str) -> str:
    """Name a network as the page does."""
    return next((it["title"] for it in summary["networks"] if it["name"] == name), name)


def apart(summary: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    """Name a difference by its two networks."""
    return f"{title(summary, pair['first'])} less {title(summary, pair['second'])}"


def counted(verdicts: Iterable[str], what: str = "") -> str:
    """Sum verdicts up: one word where all agree, else how many of each, and of what."""
    found = Counter(verdicts)
    if not found:
        return "not assessable"
    if len(found) == 1:
        return next(iter(found))
    total = sum(found.values())
    parts = [f"{it} in {found[it]} of {total}" for it in VERDICTS if found[it]]
    return ", ".join(parts) + (f" ({what})" if what else "")


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(it) for it in row) + " |" for row in lines)
