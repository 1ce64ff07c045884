"""What only the maker or the user knows, asked for by name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["ALL_INTENSITIES", "INTENSITIES", "Question", "is_settled"]

INTENSITIES = (
    "input.clip",
    "input.clip_quantiles",
    "input.scale_to",
    "input.zscore",
    "input.affine",
)
"""Fields that together say how intensities are treated."""

ALL_INTENSITIES = "input intensities"
"""What a question is about that no single field answers; it has no field's name."""


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
    question : about a field, or about the intensities as a whole; any field of intensities settles a
        question about one of them.
    declared : dotted names of the fields that somebody declared, also as null.

    Examples
    --------
    >>> is_settled(Question("input.clip", "", ""), {"input.zscore"})
    True
    >>> is_settled(Question(ALL_INTENSITIES, "", ""), {"input.intensities_on"})
    True
    """
    if question.name == ALL_INTENSITIES:
        return any(name in declared for name in (*INTENSITIES, "input.intensities_on"))
    names = INTENSITIES if question.name in INTENSITIES else (question.name,)
    return any(name in declared for name in names)
