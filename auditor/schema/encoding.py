"""Records as canonical JSON and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, TypeVar

import cattrs

__all__ = ["decode", "encode"]

Stored = TypeVar("Stored")


def encode(record: object) -> str:
    """Write a record as canonical JSON: sorted keys, no NaN, one final newline.

    Raises
    ------
    ValueError
        When a number is not finite.
    """
    text = json.dumps(
        asdict(record),  # type: ignore[call-overload]
        sort_keys=True,
        indent=1,
        allow_nan=False,
        ensure_ascii=False,
    )
    return f"{text}\n"


def decode(text: str, record: type[Stored]) -> Stored:
    """Read a record back; unknown fields are refused.

    Raises
    ------
    ValueError
        When the text is not JSON or does not fit the record.
    """
    converter = cattrs.Converter(forbid_extra_keys=True)
    # Numbers that happen to be whole were written by other tools without a point.
    converter.register_structure_hook(float, lambda value, _: float(value))
    converter.register_structure_hook(int | str, _whole_or_text)
    data: Any = json.loads(text)
    if not isinstance(data, dict):
        msg = f"this is no {record.__name__}: it must be a JSON object, was {type(data).__name__}"
        raise ValueError(msg)  # noqa: TRY004  # one error for all that does not fit
    try:
        return converter.structure(data, record)
    except (cattrs.BaseValidationError, KeyError, TypeError) as error:
        problems = "; ".join(cattrs.transform_error(error))
        msg = f"this is no {record.__name__} of this version: {problems}"
        raise ValueError(msg) from error


def _whole_or_text(value: object, _: object) -> int | str:
    """Read the level of a skip connection, or the name of a value."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        msg = f"must be a whole number or a text, was {value!r}"
        raise TypeError(msg)
    return value
