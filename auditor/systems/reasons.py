"""What a process left behind when it ended, as one sentence that can be printed in a report."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

__all__ = ["how_it_ended", "one_line", "plain"]

_MOST = 500
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/'\"()]+/)+")


def plain(text: str, *, folders: Sequence[str] = ()) -> str:
    r"""Make somebody else's text fit for a report.

    Parameters
    ----------
    text : str
        What a checkpoint or a library said.
    folders : sequence of str
        Folders that must not be named; other absolute paths are cut to their last part, too.

    Returns
    -------
    str
        One line of at most 500 characters without control characters.

    Examples
    --------
    >>> plain("Load model from /home/jo/net.onnx failed:\nbad")
    'Load model from net.onnx failed: bad'
    """
    for folder in folders:
        if len(folder) > 1:
            text = text.replace(f"{folder}/", "/./").replace(folder, "")
    words = " ".join(_FOLDERS.sub("", text).split())
    return "".join(letter for letter in words if letter.isprintable())[:_MOST]


def one_line(error: BaseException, most: int = 500) -> str:
    """Return what an error of this program says, as one line."""
    return " ".join(str(error).split())[:most]


def how_it_ended(code: int | None, printed: bytes) -> str:
    """Say how a child process ended.

    Parameters
    ----------
    code : int or None
        Exit status, negative for a signal; None: it lives and has closed its channel.
    printed : bytes
        The end of what it printed.
    """
    text = printed.decode(errors="replace")
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    said = f"; it last printed: {last[:200]}" if last else ""
    if "bad_alloc" in text or "MemoryError" in text or "of memory" in last:
        return f"it asked for more memory than it may have{said}"
    if last.endswith("GB into its folder"):
        return last[:200]
    if code is None:
        return f"its process closed its channel{said}"
    if code >= 0:
        return f"its process ended by itself (exit status {code}){said}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    perhaps = ", perhaps because the machine ran out of memory" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{perhaps}{said}"
