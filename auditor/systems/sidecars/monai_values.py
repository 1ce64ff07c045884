"""Values of a MONAI bundle's configuration, read as data.

A bundle configuration is a language: ``$...`` is a Python expression, ``@...`` a reference, ``%...`` a
text replacement, ``_target_`` a class to be made. Nothing of it is run here. A reference to a plain
value of the same file is looked up; everything else is *unresolved*, and is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditor.systems.sidecars.records import shown

__all__ = ["Bundle", "Unresolved", "divisor_of", "flat_steps"]

_DEEPEST = 16
_MOST = 4096
_MOST_STEPS = 200


class Unresolved(ValueError):
    """A value that only running the bundle could tell; its text says which."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of one configuration file."""

    content: Mapping[str, Any]
    """Its keys."""

    def resolve(self, value: object, depth: int = 0) -> Any:  # noqa: ANN401  # any plain value
        """Return a value with its references looked up.

        Parameters
        ----------
        value : as it stands in the file.
        depth : of the references and lists that were followed already.

        Raises
        ------
        Unresolved
            For an expression, a reference to something that is no plain value or is missing, or too
            many references.
        """
        if depth > _DEEPEST:
            raise Unresolved("references that never end")  # noqa: EM101
        if isinstance(value, str) and value[:1] in {"$", "@", "%"}:
            if value[0] == "$":
                raise Unresolved(f"the expression {shown(value)}")  # noqa: EM102
            return self.resolve(self._follow(value), depth + 1)
        if isinstance(value, list):
            if len(value) > _MOST:
                raise Unresolved("a very long list")  # noqa: EM101
            return [self.resolve(item, depth + 1) for item in value]
        if isinstance(value, Mapping) and "_target_" in value:
            raise Unresolved(f"the object {shown(value.get('_target_'))}")  # noqa: EM102
        return value

    def item(self, value: object, depth: int = 0) -> Any:  # noqa: ANN401  # any value
        """Return a value after its references, without looking into it: objects stay mappings.

        Raises
        ------
        Unresolved
            As `resolve`.
        """
        if depth > _DEEPEST:
            raise Unresolved("references that never end")  # noqa: EM101
        if isinstance(value, str) and value[:1] in {"$", "@", "%"}:
            if value[0] == "$":
                raise Unresolved(f"the expression {shown(value)}")  # noqa: EM102
            return self.item(self._follow(value), depth + 1)
        return value

    def _follow(self, reference: str) -> object:
        here: object = self.content
        for part in re.split(r"::|#", reference[1:]):
            if isinstance(here, Mapping) and part in here:
                here = here[part]
            elif (
                isinstance(here, list) and re.fullmatch(r"\d{1,4}", part) and int(part) < len(here)
            ):
                here = here[int(part)]
            else:
                raise Unresolved(f"the reference {shown(reference)}")  # noqa: EM102
        return here


def flat_steps(bundle: Bundle, value: object, depth: int = 0) -> list[Mapping[str, Any]]:
    """List the steps of nested Compose objects in their order.

    Parameters
    ----------
    bundle : where references lead.
    value : a Compose object, a list of steps, or one step; None: no step.
    depth : of the lists that were followed already.

    Raises
    ------
    Unresolved
        When the list itself, or whether a step is switched on, is computed.
    """
    content = bundle.item(value)
    if content is None:
        return []
    if depth > 8:
        msg = "lists nested too deep"
        raise Unresolved(msg)
    if isinstance(content, Mapping) and _is_compose(content):
        content = bundle.item(content.get("transforms"))
    elif isinstance(content, Mapping):
        return [] if bundle.resolve(content.get("_disabled_", False)) is True else [content]
    if not isinstance(content, list) or len(content) > _MOST_STEPS:
        msg = f"a list of steps must stand there, got {shown(content)}"
        raise Unresolved(msg)
    steps: list[Mapping[str, Any]] = []
    for item in content:
        steps += flat_steps(bundle, item, depth + 1)
        if len(steps) > _MOST_STEPS:
            msg = f"more than {_MOST_STEPS} steps"
            raise Unresolved(msg)
    return steps


def _is_compose(content: Mapping[str, Any]) -> bool:
    target = content.get("_target_")
    return isinstance(target, str) and target.removeprefix("monai.transforms.") == "Compose"


def divisor_of(size: object) -> int | None:
    """Read one entry of ``spatial_shape``: what the size must be a multiple of.

    Parameters
    ----------
    size : a number, or a text: ``*`` (any size), ``8*n``, ``2**5*n``; names stand for any whole
        number of at least 1.

    Returns
    -------
    int or None
        0 for a fixed size (a number), 1 for any size; None when it cannot be read, or has a name as
        exponent (``2**p*n``), which leaves the divisor open.

    Examples
    --------
    >>> [divisor_of(size) for size in (96, "*", "8*n", "2**4*n", "2**p*n", "n+1")]
    [0, 1, 8, 16, None, None]
    """
    if isinstance(size, int) and not isinstance(size, bool):
        return 0
    if not isinstance(size, str) or len(size) > 40:
        return None
    text = size.replace(" ", "")
    if text == "*":
        return 1
    factors, names = 1, 0
    for term in text.replace("**", "^").split("*"):
        if re.fullmatch(r"[A-Za-z]\w*", term):
            names += 1
        elif re.fullmatch(r"\d{1,4}", term):
            factors *= int(term)
        elif match := re.fullmatch(r"(\d{1,2})\^(\d)", term):
            factors *= int(match[1]) ** int(match[2])
        else:
            return None
    return factors if names and 0 < factors <= 4096 else None
