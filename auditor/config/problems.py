"""Sentences that stop an audit: collected, sorted, raised once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from auditor.errors import ConfigError

__all__ = ["Problems", "must_be_one_of"]

Found = TypeVar("Found")


class Problems(list[str]):
    """Sentences, each beginning with the path of what is wrong: ``systems.a.batch: must be ..``."""

    def attempt(self, where: str, read: Callable[[], Found]) -> Found | None:
        """Run a reader; its error becomes a sentence, and None its result."""
        try:
            return read()
        except (ConfigError, ValueError) as error:
            self.append(f"{where}: {error}")
            return None

    def touch(self, part: str) -> bool:
        """Tell whether a part of the file has a problem."""
        return any(it.startswith((f"{part}.", f"{part}:")) for it in self)


def must_be_one_of(value: str | None, choices: Sequence[str], *, broken: Iterable[str] = ()) -> str:
    """Say that a name must be among those declared; empty when it is.

    Parameters
    ----------
    value : str or None
        What was declared.
    choices : sequence of str
        What can be named.
    broken : iterable of str
        Names that were declared but could not be read: their own problem is told already. Systems
        made by `expand` begin with the name of their entry and a dash.
    """
    if value in choices:
        return ""
    if value and any(value == name or value.startswith(f"{name}-") for name in broken):
        return ""
    known = ", ".join(choices) or "none, as nothing is declared"
    if not value:
        return f"is required, one of {known}"
    near = difflib.get_close_matches(value, choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"must be one of {known}, was {value!r}{hint}"
