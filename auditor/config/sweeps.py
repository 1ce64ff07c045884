"""`expand`: one entry of a system becomes several, one for each value of what is swept.

**Names.** Each swept field adds a dash and its value to the name of the entry, in the order of the file:
words as they are (`vendor-a-bfloat16`), the sizes of windows as one number when they are equal
(`vendor-a-64`, `vendor-a-64x64x32`), and everything else behind the last word of its field
(`vendor-a-overlap-0.25`, `vendor-a-flips-012`, `vendor-a-flips-none`). Of an ablation the levels stand alone
(`vendor-a-1`, `vendor-a-1x2`), and a whole one names its parts (`vendor-a-skip-1-noise-sd-0.5`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from auditor.config.ablations import AblateShape, laid_over, name_of_ablation
from auditor.config.inference import SETTINGS
from auditor.config.problems import Problems
from auditor.config.sentences import entry_problems
from auditor.config.shape import SystemShape
from auditor.config.values import valid_name
from auditor.systems.contract_values import INPUT_VALUES, OUTPUT_VALUES, WINDOW_VALUES, Value

__all__ = ["expanded"]

_PARTS: Mapping[str, Mapping[str, Value]] = {
    "input": INPUT_VALUES,
    "window": WINDOW_VALUES,
    "output": OUTPUT_VALUES,
}
_ABLATE = "ablate"
_ABLATED = (_ABLATE, *(f"{_ABLATE}.{key}" for key in AblateShape.model_fields if key != "image"))
"""A whole ablation, or one key of it."""
_FIELDS = (
    *(f"{part}.{key}" for part, known in _PARTS.items() for key in known),
    *SETTINGS,
    *_ABLATED,
)
"""What can be swept."""

Content = dict[str, Any]
"""What an entry says, its own words over those of the entry that it is like."""


def expanded(
    name: str, content: Content, shape: SystemShape, problems: Problems
) -> list[tuple[str, Content]]:
    """Make one variant per value of each swept field; several fields are crossed.

    Parameters
    ----------
    name : str
        Of the entry.
    content : dict
        What it says, without `like` and `expand`.
    shape : SystemShape
        With what it expands.
    problems : list of str
        Sentences are added to it; values that are told there make no variant.

    Returns
    -------
    list of (str, dict)
        What is added to the name, and what the variant says. One, with nothing added, without `expand`.
    """
    variants: list[tuple[str, Content]] = [("", content)]
    for field, values in (shape.expand or {}).items():
        where = f"systems.{name}.expand.{field}"
        read = _reader(field)
        if read is None and field not in _ABLATED:
            near = difflib.get_close_matches(field, _FIELDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(
                f"{where}: must name a field of input, window or output (window.size), or one of "
                f"{', '.join((*SETTINGS, *_ABLATED))}{hint}"
            )
            continue
        good = [value for value in values if _fits(field, read, value, problems, where=where)]
        variants = [
            (f"{suffix}-{_word(field, value)}", _with(known, field, value))
            for suffix, known in variants
            for value in good
        ]
    return [it for it in variants if _named(name, it[0], problems)]


def _reader(field: str) -> Callable[[object], object] | None:
    """Return what refuses a wrong value of a field, in words."""
    part, _, key = field.partition(".")
    if part in _PARTS and key in _PARTS[part]:
        known = _PARTS[part][key]

        def read(value: object) -> object:
            if value is None:
                return None  # nobody says anything
            try:
                return known.read(value)
            except (TypeError, ValueError):
                msg = f"must be {known.must_be}"
                raise ValueError(msg) from None

        return read
    return SETTINGS.get(field)


def _fits(
    field: str,
    read: Callable[[object], object] | None,
    value: object,
    problems: Problems,
    *,
    where: str,
) -> bool:
    if read is None:
        return _ablates(field, value, where, problems)
    try:
        read(value)
    except ValueError as error:
        problems.append(f"{where}: {error}, was {value!r}")
        return False
    return True


def _ablates(field: str, value: object, where: str, problems: Problems) -> bool:
    """Check what is swept of an ablation by the same shape as the entry itself."""
    _, _, key = field.partition(".")
    told = entry_problems({_ABLATE: {key: value} if key else value}, "it", without=())
    problems += [f"{where}{it.removeprefix(f'systems.it.{field}')}" for it in told]
    return not told


def _with(content: Content, field: str, value: object) -> Content:
    part, _, key = field.partition(".")
    if part == _ABLATE and value is not None:
        own = {key: value} if key else value
        assert isinstance(own, Mapping)  # `entry_problems` refuses everything else
        return {**content, part: laid_over(content.get(part), own)}
    if not key:
        return {**content, field: value}
    known = content.get(part) or {}
    before = known.get(key)
    if field == "window.size" and isinstance(value, int) and isinstance(before, Sequence):
        value = [value] * len(before)  # later nobody knows how many axes the entry had
    return {**content, part: {**known, key: value}}


def _word(field: str, value: object) -> str:
    """Write a value as the end of a name."""
    part, _, key = field.partition(".")
    if part == _ABLATE:
        return _ablation_word(key, value)
    if isinstance(value, str) and value != "all":
        return value
    if field == "window.size":
        return _short(value)
    last = field.rpartition(".")[2].replace("_", "-")
    if field == "flips":
        digits = "".join(map(str, value)) if isinstance(value, Sequence) else value
        return f"{last}-{value if value == 'all' else digits or 'none'}"
    return f"{last}-{_short(value)}"


def _ablation_word(key: str, value: object) -> str:
    """`1x2` for levels, `alpha-0.5` for a strength, `skip-1-noise-sd-0.5` for a whole ablation."""
    if value is None:
        return f"{key or _ABLATE}-none"
    if key:
        return name_of_ablation(key, value)
    assert isinstance(value, Mapping)  # `entry_problems` refuses everything else
    known = [it for it in AblateShape.model_fields if value.get(it) is not None]
    words = [name_of_ablation(it, value[it]) for it in known]
    return "-".join(["skip", *words] if "skip" in known else words)


def _short(value: object) -> str:
    """Write 64 for [64, 64, 64], and 64x64x32 for unequal sizes."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return "x".join(map(str, value))
    if isinstance(value, list):
        parts = [_short(inner) for inner in value]
        return parts[0] if len(set(parts)) == 1 else "x".join(parts)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _named(name: str, suffix: str, problems: Problems) -> bool:
    try:
        valid_name(f"{name}{suffix}")
    except ValueError as error:
        problems.append(
            f"systems.{name}.expand: the name {name}{suffix} {error}; give the entry a shorter name, or "
            "write the systems one by one"
        )
        return False
    return True
