"""What a child tells, checked before it is believed.

The child may be hostile: every type, length and number of its answer passes one of these, and words of a
file are cut and cleaned before they reach a report. Each raises ValueError for what is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from auditor.systems.reasons import plain

__all__ = [
    "count_of",
    "counts_of",
    "list_of",
    "name_of",
    "pair_of",
    "real_of",
    "record_of",
    "text_of",
    "truth_of",
]

_MOST_NUMBER = 1 << 62
_T = TypeVar("_T")


def record_of(given: object) -> Mapping[str, object]:
    """Read keys with values."""
    if not isinstance(given, dict):
        msg = "a part of an answer must be a record"
        raise ValueError(msg)  # noqa: TRY004  # of a message, not of a caller
    return given


def pair_of(given: object) -> Sequence[Any]:
    """Read a list of two."""
    if not isinstance(given, list) or len(given) != 2:
        msg = "a part of an answer must be a pair"
        raise ValueError(msg)
    return given


def list_of(given: object, most: int, read: Callable[[object], _T]) -> tuple[_T, ...]:
    """Read a list of at most so many, each by a function of its own."""
    if not isinstance(given, list) or len(given) > most:
        msg = f"a part of an answer must be a list of at most {most}"
        raise ValueError(msg)
    return tuple(read(it) for it in given)


def text_of(given: object, most: int) -> str:
    """Read words, without folders of this machine and cut to so many letters."""
    if not isinstance(given, str):
        msg = "a part of an answer must be a text"
        raise ValueError(msg)  # noqa: TRY004  # of a message, not of a caller
    return plain(given[: 4 * most])[:most]


def name_of(given: object, most: int = 200) -> str:
    """Read the name of a value or operator; exporters write them like paths, so nothing is cut at a slash."""
    if not isinstance(given, str):
        msg = "a name must be a text"
        raise ValueError(msg)  # noqa: TRY004  # of a message, not of a caller
    return "".join(letter for letter in given[:most] if letter.isprintable())


def truth_of(given: object) -> bool:
    """Read true or false."""
    if not isinstance(given, bool):
        msg = "a part of an answer must be true or false"
        raise ValueError(msg)  # noqa: TRY004  # of a message, not of a caller
    return given


def count_of(given: object) -> int:
    """Read a whole number that is not negative."""
    if type(given) is not int or not 0 <= given < _MOST_NUMBER:
        msg = "a part of an answer must be a count"
        raise ValueError(msg)
    return given


def counts_of(given: object, most: int) -> tuple[int, ...]:
    """Read at most so many of them."""
    return list_of(given, most, count_of)


def real_of(given: object) -> float:
    """Read a finite number that is not negative."""
    if type(given) not in {int, float} or not math.isfinite(float(given)) or float(given) < 0:  # type: ignore[arg-type]  # just checked
        msg = "a part of an answer must be a number that is not negative"
        raise ValueError(msg)
    return float(given)  # type: ignore[arg-type]  # just checked
