"""The folder that a command writes into: made before any result is lost for want of it."""

from __future__ import annotations

from pathlib import Path

from auditor.errors import ConfigError

__all__ = ["make_folder"]


def make_folder(out: Path) -> None:
    """Make the folder of an output, or say why it cannot be one.

    Parameters
    ----------
    out
        As given with ``-o``.

    Raises
    ------
    ConfigError
        When it is a file, or cannot be made.
    """
    if out.exists() and not out.is_dir():
        msg = f"-o must be a folder, {out} is a file"
        raise ConfigError(msg)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or error
        msg = f"-o must be a folder that can be written, {out} cannot: {why}; give another"
        raise ConfigError(msg) from error
