"""What only the maker or the user knows, asked for by name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["INTENSITIES", "Question", "is_settled"]

INTENSITIES = (
    "input.clip",
    "input.clip_quantiles",
    "input.scale_to",
    "input.zscore",
    "input.affine",
)
"""Fields that together say how intensities are treated."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that only the maker or the user knows."""

    name: str
    """The field: input.axes."""
    why: str
    """One sentence: why it matters, or what was seen."""
    line: str
    """What to write, to be adapted."""


def is_settled(question: Question, declared: Collection[str]) -> bool:
    """Tell whether a question needs no answer any more.

    Parameters
    ----------
    question : about a field; one about intensities is settled by any field of intensities.
    declared : dotted names of the fields that somebody declared, also as null.

    Examples
    --------
    >>> is_settled(Question("input.clip", "", ""), {"input.zscore"})
    True
    """
    names = INTENSITIES if question.name in INTENSITIES else (question.name,)
    return any(name in declared for name in names)
