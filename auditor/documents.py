"""Text files that others wrote, as plain data: YAML and JSON, bounded in size, and CSV; nothing executed.

A key that stands twice is refused, because every reader would silently keep the last one; YAML tags
that make objects are unknown here. What comes back holds mappings, lists, texts, numbers, booleans and
None only (YAML also dates).
"""

from __future__ import annotations

import csv
import io
import json
import re
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from auditor.errors import ConfigError

if TYPE_CHECKING:
    from _csv import Reader as _Reader  # csv.reader is a function

__all__ = ["LARGEST_TEXT", "csv_reader", "json_content", "read_text", "yaml_content"]

LARGEST_TEXT = 1 << 24
"""Bytes; a dataset.json that lists a hundred thousand cases is smaller."""

_LARGEST_YAML = 1 << 20
"""Letters; YAML is read thirty times as slowly as JSON, and people write it by hand."""

_MOST_NODES = 1 << 20
"""Values of one text, each as often as it is referred to: a few lines of anchors can stand for billions."""

_MOST_DIGITS = 40
"""Of a whole number: more fit no number type, and could not even be printed."""


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys (the last one would silently win), and with 1e-3 as a number."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:  # before merge keys (<<) are resolved: those may be overridden
        if not isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            msg = f"line {line}: a key must be a text, was a list or mapping"
            raise ConfigError(msg)
        if key.value in seen:
            line = key.start_mark.line + 1
            msg = f"line {line}: the key {key.value!r} stands twice; keep one of them"
            raise ConfigError(msg)
        seen.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


def _whole(loader: _Loader, node: yaml.ScalarNode) -> Any:  # noqa: ANN401  # as in the base class
    if len(node.value) > _MOST_DIGITS:
        msg = f"line {node.start_mark.line + 1}: a whole number has more than {_MOST_DIGITS} digits"
        raise ConfigError(msg)
    return loader.construct_yaml_int(node)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def csv_reader(text: str) -> _Reader:
    r"""Read the rows of a table, separated by what stands most often in its header.

    Parameters
    ----------
    text : str
        Comma, semicolon or tab between the cells.

    Examples
    --------
    >>> list(csv_reader("case; patient\na;b"))
    [['case', 'patient'], ['a', 'b']]
    """
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)


def read_text(path: Path, *, what: str) -> str:
    """Read a text file whose size is judged first.

    Parameters
    ----------
    path : Path
        A regular file, or a link to one.
    what : str
        How it is called in messages: "the configuration audit.yaml".

    Raises
    ------
    ConfigError
        When it is no regular file, too large, unreadable, or not UTF-8.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            msg = f"{what} must be a readable file: it is a folder, device or pipe"
            raise ConfigError(msg)
        with path.open("rb") as file:
            content = file.read(LARGEST_TEXT + 1)
    except OSError as error:
        msg = f"{what} must be a readable file: {error.strerror or error}"
        raise ConfigError(msg) from error
    if len(content) > LARGEST_TEXT:
        msg = f"{what} must be at most {LARGEST_TEXT >> 20} MB of text, it is larger"
        raise ConfigError(msg)
    return _decoded(content, what)


def _decoded(content: bytes, what: str) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        msg = f"{what} must be UTF-8 text, was not at byte {error.start}"
        raise ConfigError(msg) from error


def yaml_content(text: str, *, what: str) -> Any:  # noqa: ANN401  # any YAML value
    """Read YAML.

    Parameters
    ----------
    text : str
        Of the file.
    what : str
        How it is called in messages: "audit.yaml".

    Raises
    ------
    ConfigError
        When it is no YAML, is longer than a million letters, stands for more than a million values, or a
        key stands twice.
    """
    if len(text) > _LARGEST_YAML:
        msg = f"{what} must be at most {_LARGEST_YAML} letters of YAML, it has {len(text)}"
        raise ConfigError(msg)
    try:
        loader = _Loader(text)  # derived from SafeLoader
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_multiplied(node)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        msg = f"{what} must be YAML: {line}{error.problem or error}"
        raise ConfigError(msg) from error
    except RecursionError as error:
        msg = f"{what} must be YAML: it is nested too deep"
        raise ConfigError(msg) from error
    except (yaml.YAMLError, ValueError) as error:
        msg = f"{what} must be YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    except ConfigError as error:
        msg = f"{what}: {error}"
        raise ConfigError(msg) from error


def _refuse_multiplied(node: yaml.Node) -> None:
    if _expanded(node, {}) > _MOST_NODES:
        msg = f"it must stand for at most {_MOST_NODES} values, its anchors multiply to more"
        raise ConfigError(msg)


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values under a node, each as often as it is referred to; one inside itself counts once."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = 1  # while it is being counted
        parts = node.value
        mapping = isinstance(node, yaml.MappingNode)
        inner = [it for pair in parts for it in pair] if mapping else parts
        known[id(node)] = 1 + sum(_expanded(it, known) for it in inner)
    return known[id(node)]


def json_content(text: str | bytes, *, what: str, finite: bool = True) -> Any:  # noqa: ANN401  # any JSON value
    """Read JSON.

    Parameters
    ----------
    text : str or bytes
        Of the file; bytes must be UTF-8.
    what : str
        How it is called in messages: "plans.json".
    finite : bool
        False: NaN and Infinity, which are no JSON but which Python writes, are read as numbers.

    Raises
    ------
    ConfigError
        When it is no JSON, a key stands twice, or a number is NaN or infinite.
    """
    try:
        return json.loads(
            _decoded(text, what) if isinstance(text, bytes) else text,
            object_pairs_hook=_once,
            parse_constant=_not_a_number if finite else float,
            parse_float=_finite if finite else float,
            parse_int=_short_whole,
        )
    except RecursionError as error:
        msg = f"{what} must be JSON: it is nested too deep"
        raise ConfigError(msg) from error
    except json.JSONDecodeError as error:
        msg = f"{what} must be JSON: line {error.lineno}: {error.msg}"
        raise ConfigError(msg) from error
    except ValueError as error:
        msg = f"{what} must be JSON: {error}"
        raise ConfigError(msg) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        msg = f"the key {twice[:80]!r} stands twice; keep one of them"
        raise ValueError(msg)
    return found


def _short_whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        msg = f"a whole number must have at most {_MOST_DIGITS} digits, one has {len(text)}"
        raise ValueError(msg)
    return int(text)


def _not_a_number(text: str) -> NoReturn:
    msg = f"numbers must be finite, got {text}"
    raise ValueError(msg)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        msg = f"numbers must be finite, got {text[:80]}"
        raise ValueError(msg)
    return number
