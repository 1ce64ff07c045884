"""Output that only the reader's terminal may rule: words of files cannot move its cursor or colour it.

Names of cases and labels, messages of libraries and of checkpoints come from files that somebody else
made. Each is printed somewhere; so the streams themselves let no control character through.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

__all__ = ["harmless", "harmless_output", "own_stream"]

_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""All but tabulator, line feed and carriage return; with them what turns the direction of text."""


def harmless(text: str) -> str:
    """Show a question mark for each control character."""
    return _CONTROLS.sub("?", text)


def own_stream(stream: TextIO) -> TextIO:
    """Return what is behind a stream of `harmless_output`, for a bar that moves the cursor itself."""
    return stream._stream if isinstance(stream, _Harmless) else stream  # noqa: SLF001  # of this module


class _Harmless:
    """A stream that shows a question mark for each control character."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        self._stream.write(harmless(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the stream has
        return getattr(self._stream, name)


@contextlib.contextmanager
def harmless_output() -> Iterator[None]:
    """Keep control characters out of both streams while a command runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Harmless(before[0]), _Harmless(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
