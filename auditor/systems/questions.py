"""What only the maker or the user knows, asked for by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["INTENSITIES", "Question", "is_settled", "still_open"]

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


def still_open(
    asked: Sequence[Question],
    sidecar: Mapping[str, Mapping[str, Any]],
    others: Sequence[Question] = (),
) -> list[Question]:
    """Leave out questions that a maker's files answer, or ask themselves.

    Parameters
    ----------
    asked : by a probe, which knows no files; its question about intensities has no field's name.
    sidecar : what the files tell: input, output, window.
    others : what they leave open.
    """
    known = {f"{part}.{key}" for part, values in sidecar.items() for key in values}
    known |= {question.name for question in others}
    spoken = bool(known & set(INTENSITIES)) or "input.intensities_on" in known
    return [
        question
        for question in asked
        if not is_settled(question, known) and not (question.name == "input intensities" and spoken)
    ]
