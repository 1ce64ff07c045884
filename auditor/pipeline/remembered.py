"""What was found by trying systems, kept in the folder of a run so that a resumed run need not try again.

**Conventions.** One JSON file, ``examinations.json``: key -> content. A key is the digest of all that
the content depends on, so that nothing can be taken for the answer to another question; a file that is
damaged counts as empty. It is written whole or not at all, and not before the lock stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.execution.store import write_bytes
from auditor.plan import digest_of

__all__ = ["Remembered"]

_FILE = "examinations.json"


class Remembered:
    """Answers by question; in memory until `keep_in` names a folder."""

    def __init__(self, run: Path | None = None) -> None:
        self._known: dict[str, Any] = {} if run is None else _read(run / _FILE)
        self._path: Path | None = None

    def get(self, question: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
        """Return the answer to a question, or None when it is not known."""
        return self._known.get(digest_of(question))

    def put(self, question: Mapping[str, Any], answer: Any) -> None:  # noqa: ANN401  # JSON
        """Keep an answer.

        Raises
        ------
        StoreError
            When the disk is full or the folder cannot be written.
        """
        self._known[digest_of(question)] = answer
        self._write()

    def keep_in(self, run: Path) -> None:
        """Write to this folder from now on.

        Raises
        ------
        StoreError
            When the disk is full or the folder cannot be written.
        """
        self._path = run / _FILE
        if self._known:
            self._write()

    def _write(self) -> None:
        if self._path is not None:
            text = json.dumps(self._known, indent=1, sort_keys=True, allow_nan=False)
            write_bytes(self._path, text.encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
