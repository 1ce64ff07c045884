"""What the command line says of systems: ``--set vendor-a.input.axes=LPS``, over the configuration.

**Conventions.** A setting is a dotted path and a value as YAML has it. The path begins with the name of
a system, of an entry with `expand` (all of its systems), or ``*`` (every system), and goes on as the
entry of a system does. A name wins over ``*``, and a derived name over its entry. Fields of the
contract get the source *command line*; all others replace what stands in the entry.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from auditor.config.problems import Problems
from auditor.config.sentences import entry_problems

__all__ = ["ALL", "Settings"]

ALL = "*"
"""Every system."""

_STRUCTURE = ("like", "expand", "contract")
"""They decide which systems there are, or stand for a weaker source."""


class Settings:
    """Settings by system, ready to be laid over entries."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = dict(given)
        self._used: set[str] = set()

    def of(
        self, entry: str, system: str, names: Collection[str], problems: Problems
    ) -> dict[str, Any]:
        """Collect what is set for one system.

        Parameters
        ----------
        entry : str
            Name of its entry in the file.
        system : str
            Its own name, which is another one under `expand`.
        names : collection of str
            Of all entries and systems: the longest that a path begins with is meant, as names may hold
            dots.
        problems : list of str
            Sentences are added for fields that no system has, and for values that do not fit.

        Returns
        -------
        dict
            As the entry of a system: ``{"input": {"axes": "LPS"}, "batch": 4}``.
        """
        collected: dict[str, Any] = {}
        for name in dict.fromkeys((ALL, entry, system)):
            for path, value in self._given.items():
                if self._owner(path, names) != name:
                    continue
                self._used.add(path)
                own = _nested(path.removeprefix(f"{name}.").split("."), value)
                told = entry_problems(own, name, without=_STRUCTURE)
                problems += [f"{it} (on the command line)" for it in told]
                if not told:
                    _lay_over(collected, own)
        return collected

    @staticmethod
    def _owner(path: str, names: Collection[str]) -> str:
        """Return the name that a path begins with; empty when it is none."""
        begun = [name for name in (ALL, *names) if path.startswith(f"{name}.")]
        return max(begun, key=len, default="")

    def unused(self, names: Sequence[str]) -> list[str]:
        """Say which settings belong to none of the systems and entries."""
        told = []
        for path in sorted(self._given.keys() - self._used):
            if any(path.startswith(f"{it}.") for it in (ALL, *names)):
                continue  # the entry could not be read, which is told already
            name = path.partition(".")[0]
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
            told.append(f"--set {path}: no system is called {name!r}; {hint}")
        return told


def _nested(keys: Sequence[str], value: Any) -> dict[str, Any]:  # noqa: ANN401  # any YAML value
    for key in reversed(keys):
        value = {key: value}
    assert isinstance(value, dict)  # there is at least one key
    return value


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        both = isinstance(below.get(key), dict) and isinstance(value, Mapping)
        below[key] = {**below[key], **value} if both else value
