"""What a maker ships with a checkpoint, as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor.systems.questions import Question

__all__ = ["Findings", "Located", "number", "shown"]


@dataclass(frozen=True, slots=True)
class Located:
    """The checkpoint that a path stands for, and what lies beside or inside it."""

    checkpoint: Path
    """The file that runs."""
    kind: str
    """file, MONAI bundle or nnU-Net folder."""
    sidecar: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Its contract as the maker's files tell it: input, output, window, as `parse_contract` reads
    them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings beside the contract with which the maker predicts (flips, batch); never switched on by
    themselves."""
    read: tuple[str, ...] = ()
    """Names of the files that were read, without folders."""
    notes: tuple[str, ...] = ()
    """Sentences: what could not be followed, and what was assumed."""
    questions: tuple[Question, ...] = ()
    """What the files do not tell, or not in a way that can be read as data."""


@dataclass(slots=True)
class Findings:
    """What is being read; grows while files are followed."""

    input: dict[str, Any] = field(default_factory=dict)
    """Of the contract."""
    output: dict[str, Any] = field(default_factory=dict)
    """Of the contract."""
    window: dict[str, Any] = field(default_factory=dict)
    """Of the contract; empty: nothing was said."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Beside the contract."""
    notes: list[str] = field(default_factory=list)
    """Sentences."""
    questions: list[Question] = field(default_factory=list)
    """In the order in which they arose; one per field."""

    def ask(self, name: str, why: str, line: str) -> None:
        """Ask for a field, once."""
        if all(question.name != name for question in self.questions):
            self.questions.append(Question(name, why, line))

    def note(self, sentence: str) -> None:
        """Say something, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    @property
    def sidecar(self) -> dict[str, dict[str, Any]]:
        """The parts of the contract that something is known of."""
        parts = {"input": self.input, "output": self.output, "window": self.window}
        return {part: values for part, values in parts.items() if values}

    def located(self, checkpoint: Path, kind: str, read: tuple[str, ...]) -> Located:
        """Close the reading."""
        asked = tuple(self.questions)
        return Located(
            checkpoint, kind, self.sidecar, dict(self.settings), read, tuple(self.notes), asked
        )


def shown(value: object) -> str:
    """Write a value of a foreign file for a message: one line of at most 80 printable letters.

    Examples
    --------
    >>> shown({"a": "x" * 200})[:20]
    "{'a': 'xxxxxxxxxxxxx"
    """
    text = _short(value, 3)
    return "".join(letter for letter in text[:80] if letter.isprintable())


def _short(value: object, depth: int) -> str:
    if isinstance(value, list | tuple | dict) and not depth:
        return "..."
    if isinstance(value, dict):
        inner = [f"{_short(k, 0)}: {_short(v, depth - 1)}" for k, v in list(value.items())[:4]]
        return "{" + ", ".join(inner) + ", ..." * (len(value) > 4) + "}"
    if isinstance(value, list | tuple):
        inner = [_short(item, depth - 1) for item in value[:6]]
        return "[" + ", ".join(inner) + ", ..." * (len(value) > 6) + "]"
    if isinstance(value, int) and abs(value) > 1 << 64:
        return "a very large number"
    return repr(value[:90] if isinstance(value, str) else value)


def number(value: object) -> float | None:
    """Return a finite number as float; None for anything else, also for booleans."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e30:
        return None
    return float(value) if value == value else None  # noqa: PLR0124  # NaN differs from itself
