"""The text of a command: what may stand in it, which files it names, how it is shown and identified.

Standard library only; nothing is started here. Placeholders are replaced in the arguments as they
stand, without a shell: no quoting, no globbing, no variables.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.errors import CheckpointError
from auditor.schema import SystemSpec

__all__ = [
    "UNVERSIONED",
    "CommandIdentity",
    "executable_of",
    "filled",
    "identify_command",
    "placeholders_of",
    "read_command",
    "shown_command",
]

UNVERSIONED = (
    "the program behind the command may change without being noticed: declare version (of a "
    "container its image digest)"
)
"""Finding of a command without a declared version."""

_REQUIRED = ("input", "output")
_KNOWN = (*_REQUIRED, "device", "threads")

_ABSOLUTE = re.compile(r"(?:file://|(?<![\w./}]))/(?:[^\s/:'\"()=,]+/)+")
"""Absolute folders inside an argument, also behind ``=`` or ``:``."""


def read_command(value: object) -> list[str]:
    """Read a command as YAML gives it.

    Parameters
    ----------
    value : object
        A list of texts and numbers, or one text that is split as a shell would.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        What must be: neither of them, no program, an unknown brace, or no {input} or {output}.
    """
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError as error:
            msg = f"must be a command whose quotes are closed ({error})"
            raise ValueError(msg) from error
    elif isinstance(value, list) and all(_is_word(word) for word in value):
        words = [str(word) for word in value]
    else:
        msg = (
            'must be one text, or a list of texts; write placeholders in quotes: "{input}", for YAML '
            "takes braces without quotes for keys and values"
        )
        raise ValueError(msg)
    if not words or not words[0].strip():
        msg = "must begin with a program"
        raise ValueError(msg)
    _check_braces(words)
    return words


def _is_word(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _check_braces(words: Sequence[str]) -> None:
    allowed = ", ".join(f"{{{name}}}" for name in _KNOWN)
    for word in words:
        rest = re.sub("|".join(rf"\{{{name}\}}" for name in _KNOWN), "", word)
        if "{" in rest or "}" in rest:
            msg = f"may hold the placeholders {allowed} and no other brace, got {word!r}"
            raise ValueError(msg)
        if "\0" in word:
            msg = "must hold no NUL character"
            raise ValueError(msg)
    missing = [f"{{{name}}}" for name in _REQUIRED if not any(f"{{{name}}}" in w for w in words)]
    if missing:
        msg = (
            f"must hold {' and '.join(missing)}: {{input}} is the folder of the scans, {{output}} that "
            "of the label maps"
        )
        raise ValueError(msg)


def placeholders_of(command: Sequence[str]) -> frozenset[str]:
    """Return the placeholders that a command uses: input, output, device, threads."""
    return frozenset(name for name in _KNOWN if any(f"{{{name}}}" in word for word in command))


def filled(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Put values in the place of their placeholders.

    Examples
    --------
    >>> filled(["net", "--in={input}"], {"input": "/tmp/x"})
    ['net', '--in=/tmp/x']
    """
    pattern = re.compile("|".join(rf"\{{{name}\}}" for name in _KNOWN))
    return [pattern.sub(lambda found: values[found.group()[1:-1]], word) for word in command]


def executable_of(spec: SystemSpec) -> Path:
    """Find the program of a command.

    Parameters
    ----------
    spec : SystemSpec
        Names without a folder are looked up as a shell does, others from the folder in which the
        command runs.

    Raises
    ------
    CheckpointError
        When there is none, or it may not be executed.
    """
    program, folder = spec.command[0], _folder(spec)
    if os.sep not in program and "/" not in program:
        found = shutil.which(program)
        if found is not None:
            return Path(found).absolute()
        hint = (
            f"; there is a file of that name beside the configuration: write ./{program}"
            if (folder / program).is_file()
            else "; install it, or write its path"
        )
        msg = f"the command must be a program on the PATH, {program!r} is none{hint}"
        raise CheckpointError(msg)
    path = (folder / program).absolute()
    if not path.is_file():
        msg = f"the command must be a program, {Path(program).name!r} is no file there"
        raise CheckpointError(msg)
    if not os.access(path, os.X_OK):
        msg = (
            f"the command must be executable, {path.name} is not: chmod +x it, or name its interpreter "
            "first"
        )
        raise CheckpointError(msg)
    return path


def shown_command(spec: SystemSpec) -> list[str]:
    """Return the arguments without the folders of this machine: paths keep their last part."""
    folder = _folder(spec)
    return [_shown(word, folder) for word in spec.command]


def _shown(word: str, folder: Path) -> str:
    head, equals, tail = word.partition("=")
    if "/" in word and _exists(folder / word):
        return Path(word).name or word
    if equals and "/" in tail and _exists(folder / tail):
        return f"{head}={Path(tail).name or tail}"
    return _ABSOLUTE.sub("", word)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a path
        return False


@dataclass(frozen=True, slots=True)
class CommandIdentity:
    """What is known of the program behind a command."""

    sha256: str
    """Over the text, the declared version, and every file that the text names."""
    size_bytes: int
    """Of those files."""


def identify_command(spec: SystemSpec) -> CommandIdentity:
    """Digest a command: its text without folders, its version, its program and the files it names.

    Parameters
    ----------
    spec : SystemSpec
        Folders are not looked into, and nothing is known of what the files use in turn.

    Raises
    ------
    CheckpointError
        When the program cannot be found, or a file cannot be read.
    """
    folder, size = _folder(spec), 0
    digests = []
    for path in (executable_of(spec), *_named_files(spec.command[1:], folder)):
        try:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
            size += path.stat().st_size
        except OSError as error:
            msg = f"the files of a command must be readable: {path.name}: {error.strerror or error}"
            raise CheckpointError(msg) from error
    known = {
        "command": shown_command(spec),
        "digests": digests,
        "files": spec.files,
        "version": spec.version,
    }
    text = json.dumps(known, sort_keys=True)
    return CommandIdentity(hashlib.sha256(text.encode()).hexdigest(), size)


def _named_files(words: Sequence[str], folder: Path) -> list[Path]:
    found = []
    for word in words:
        for text in (word, word.partition("=")[2]):
            path = folder / text
            if text and _exists(path) and path.is_file():
                found.append(path)
                break
    return found


def _folder(spec: SystemSpec) -> Path:
    return Path(spec.runs_in) if spec.runs_in is not None else Path.cwd()
