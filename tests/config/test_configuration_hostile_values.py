"""Any value anywhere: a configuration is read, or refused with sentences; nothing else escapes."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from configurations import valid_data, write_named_files

from auditor.config import parse_config
from auditor.errors import ConfigError

JUNK: list[Any] = [
    None,
    "",
    "x\ny",
    -1,
    0,
    1,
    2**70,
    float("nan"),
    float("inf"),
    [],
    [None],
    [[1], {}],
    {},
    {"a": None},
    {3: 4},
    dt.date(2026, 1, 1),
]


def paths(inner: Any, start: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = inner.items() if isinstance(inner, dict) else enumerate(inner)
    for key, value in items:
        yield (*start, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*start, key))


def problems_of(data: dict[str, Any], folder: Path) -> tuple[str, ...]:
    try:
        parse_config(data, folder=folder)
    except ConfigError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("path", list(paths(valid_data())), ids=lambda it: ".".join(map(str, it)))
def test_junk_in_any_place_is_refused_in_words_or_read(
    tmp_path: Path, path: tuple[Any, ...]
) -> None:
    folder = write_named_files(tmp_path)
    for junk in JUNK:
        for key in (path[-1], 7):  # in place of the value, and under a key that is no text
            data = valid_data()
            inner: Any = data
            for part in path[:-1]:
                inner = inner[part]
            if isinstance(inner, list) and key == 7:
                continue
            inner[key] = junk
            told = problems_of(data, folder)
            assert all(re.match(r"[\w.+\- ]+: ", it) for it in told), told
