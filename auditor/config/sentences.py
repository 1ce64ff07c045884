"""Problems of shape in words, and what can still be read beside them.

A file with a wrong key shall not hide that a checkpoint is missing. Entries that do not fit are
taken out after their problems were written down, so that the rest can be resolved; what stands in
for a required part is never seen by anyone but the search for further problems.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from auditor.config.shape import Shape

__all__ = ["Shaped", "entry_problems", "read_shape"]

_SECTIONS = ("systems", "perturbations", "metrics", "strata", "criteria")
"""Parts whose entries stand for themselves: one may be wrong without the others."""

_STAND_INS: Mapping[str, Any] = {
    "audit": "unnamed",
    "purpose": "exploratory",
    "cases": {"folder": ".", "modality": "other"},
    "perturbations": {},
    "metrics": {},
}

_WORDS = {
    "missing": "is required",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must hold keys and values",
    "model_type": "must hold keys and values",
    "model_attributes_type": "must hold keys and values",
}

_LIMITS = {
    "greater_than": ("must be above", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be below", "lt"),
    "less_than_equal": ("must be at most", "le"),
}


@dataclass(frozen=True, slots=True)
class Shaped:
    """What could be read of a configuration."""

    shape: Shape
    """Without the entries that do not fit."""
    problems: tuple[str, ...]
    """One sentence each: path, what must be, what was."""
    damaged: frozenset[str]
    """Parts that were replaced as a whole."""
    names: Mapping[str, tuple[str, ...]]
    """Section -> names of all its entries, also of those that were taken out."""


def read_shape(data: Mapping[str, Any]) -> Shaped:
    """Check the shape of a configuration, and keep what fits.

    Parameters
    ----------
    data : mapping
        Content of audit.yaml. A section with nothing behind it counts as empty, and a text for
        the perturbations as the name of a preset.

    Returns
    -------
    Shaped
    """
    known = {str(key): value for key, value in data.items()}
    for section in ("systems", "strata", "criteria"):
        if section in known and known[section] is None:
            known[section] = {}
    if known.get("certificate", ()) is None:
        known["certificate"] = []
    if isinstance(known.get("perturbations"), str):
        known["perturbations"] = {"preset": known["perturbations"]}
    names = {section: _names(known.get(section)) for section in _SECTIONS}
    try:
        return Shaped(Shape.model_validate(known), (), frozenset(), names)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    damaged = _prune(known, [_path(it) for it in errors])
    sentences = tuple(sorted({_sentence(it) for it in errors}))
    if isinstance(data.get("certificate"), Mapping):
        sentences = tuple(it.replace("certificate.0", "certificate", 1) for it in sentences)
    return Shaped(Shape.model_validate(known), sentences, damaged, names)


def entry_problems(entry: Mapping[str, Any], name: str, *, without: Sequence[str]) -> list[str]:
    """Check some keys of one system's entry by themselves.

    Parameters
    ----------
    entry : mapping
        Keys and values, as in the file.
    name : str
        Of the system, for the path of the sentences.
    without : sequence of str
        Keys that may not stand there.

    Returns
    -------
    list of str
        One sentence per problem.
    """
    told = [f"systems.{name}.{key}: cannot be set" for key in entry if key in without]
    try:
        Shape.model_validate({**_STAND_INS, "systems": {"it": dict(entry)}})
    except ValidationError as error:
        found = sorted({_sentence(it) for it in error.errors(include_url=False)})
        told += [it.replace("systems.it", f"systems.{name}", 1) for it in found]
    return told


def _names(section: object) -> tuple[str, ...]:
    if isinstance(section, Mapping | list):
        return tuple(str(name) for name in section)
    return ()


def _prune(known: dict[str, Any], paths: Sequence[tuple[str | int, ...]]) -> frozenset[str]:
    """Take out what does not fit; return the parts that are replaced as a whole."""
    damaged = set()
    for path in paths:
        part = str(path[0])
        entries = known.get(part)
        whole = part == "perturbations" and isinstance(entries, Mapping) and "preset" in entries
        own_entry = part in _SECTIONS and not whole
        optional = part == "cases" and path[1:2] in (("reference",), ("state",))
        if (own_entry or optional) and len(path) > 1 and isinstance(entries, Mapping):
            known[part] = {key: it for key, it in entries.items() if str(key) != str(path[1])}
            continue
        damaged.add(part)
    for part in damaged:
        known.pop(part, None)
        if part in _STAND_INS:
            known[part] = _STAND_INS[part]
    return frozenset(damaged)


def _path(error: ErrorDetails) -> tuple[str | int, ...]:
    """Where in the file; pydantic adds marks for keys, and the chosen form of perturbations."""
    path = [part for part in error["loc"] if part != "[key]"]
    if path[0] == "perturbations" and len(path) > 1:
        del path[1]
    return tuple(path)


def _sentence(error: ErrorDetails) -> str:
    path = _path(error)
    where = ".".join(map(str, path))
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{where}: is not known{_nearest(path)}"
    if kind == "missing":
        return f"{where}: {_WORDS[kind]}"
    return f"{where}: {_must(error)}, was {_shown(error['input'])}"


def _must(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        return f"{words} {context[key]:g}"
    if kind == "literal_error":
        return f"must be one of {context['expected']}".replace("'", "")
    if kind == "value_error":
        return str(context["error"])
    if kind in ("too_short", "too_long"):
        count = context.get("min_length", context.get("max_length"))
        return f"must hold {'at least' if kind == 'too_short' else 'at most'} {count}"
    return str(error["msg"]).replace("Input should be", "must be")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _nearest(path: Sequence[str | int]) -> str:
    """Propose the nearest key that is known at the same place, else name those that are."""
    choices = _keys_at(path[:-1])
    near = difflib.get_close_matches(str(path[-1]), choices, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(choices)}" if choices else ""


def _keys_at(path: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] | None = Shape
    for part in path:
        if model is None:
            return []
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # the name of an entry: vendor-a, C-01
        model = _model_in(field.annotation)
    return [] if model is None else [it.alias or name for name, it in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Find the model that an annotation leads to: ``dict[Name, SystemShape]`` to SystemShape."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in reversed(typing.get_args(annotation)):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
