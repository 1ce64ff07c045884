"""The folder of a preview: what may be replaced, how its files are called, when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from auditor.cases.writing import suffix_of
from auditor.errors import ConfigError, StoreError
from auditor.schema import decode, encode
from auditor.schema.preview import Preview

__all__ = [
    "RECORD",
    "SHEET",
    "files_of_earlier",
    "filling",
    "finish",
    "refuse_folder",
    "volume_names",
]

RECORD = "preview.json"
SHEET = "contact_sheet.png"


def refuse_folder(out: Path, *, force: bool) -> None:
    """Refuse a folder that is in use.

    Raises
    ------
    ConfigError
        When it is no folder, cannot be looked into, or holds something and is not to be replaced.
    """
    try:
        used, file = out.is_dir() and any(out.iterdir()), out.exists() and not out.is_dir()
    except OSError as error:
        msg = f"-o must be a folder that can be used, {out} cannot: {error.strerror}"
        raise ConfigError(msg) from error
    if file:
        msg = f"-o must be a folder, {out} is a file"
        raise ConfigError(msg)
    if used and not force:
        msg = (
            f"{out} exists already; give another folder with -o, or add --force to replace the preview "
            "in it"
        )
        raise ConfigError(msg)


def files_of_earlier(out: Path) -> tuple[str, ...]:
    """Name the volumes that an earlier preview wrote; nothing else is ever removed."""
    try:
        earlier = decode((out / RECORD).read_text(encoding="utf-8"), Preview)
    except (OSError, ValueError):
        return ()
    return tuple(name for row in earlier.levels for name in row.files)


@contextmanager
def filling(out: Path) -> Iterator[list[str]]:
    """Make the folder, and take back what was written when it could not be filled.

    Yields
    ------
    list of str
        To be given the name of every file before it is written.

    Raises
    ------
    ConfigError
        When it cannot be made there.
    """
    new = [place for place in (out, *out.parents) if not place.exists()]
    names: list[str] = []
    try:
        _make(out)
        yield names
    except BaseException:  # also an interruption
        for name in names:
            if (out / name).is_file():
                (out / name).unlink()
        for place in new:
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        raise


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"-o must be a folder that can be made, {out} cannot: {error.strerror}"
        raise ConfigError(msg) from error
    if not os.access(out, os.W_OK):
        msg = f"-o must be a folder that can be written, {out} is not"
        raise ConfigError(msg)


def volume_names(scans: Sequence[Path], perturbation: str, at: str) -> tuple[str, ...]:
    """Name the files of one level.

    Examples
    --------
    >>> volume_names([Path("a/t1.nii.gz"), Path("b/t1.nii.gz")], "motion", "s2")
    ('t1_motion_s2.nii.gz', 't1_motion_s2_2.nii.gz')
    """
    names: list[str] = []
    for number, path in enumerate(scans, start=1):
        ending = path.name[-7:] if path.name.lower().endswith(".nii.gz") else path.suffix
        stem = f"{path.name.removesuffix(ending)}_{perturbation}_{at}"
        taken = f"{stem}{suffix_of(path)}" in names
        names.append(f"{stem}_{number}{suffix_of(path)}" if taken else f"{stem}{suffix_of(path)}")
    return tuple(names)


def finish(out: Path, found: Preview, sheet: bytes, earlier: Sequence[str]) -> None:
    """Write the picture, then the record, so that a folder with a record is complete.

    Raises
    ------
    StoreError
        When the disk is full, or the folder cannot be written.
    """
    written = {name for row in found.levels for name in row.files}
    try:
        (out / SHEET).write_bytes(sheet)
        (out / RECORD).write_text(encode(found), encoding="utf-8")
        for name in earlier:
            if name not in written and name == Path(name).name:
                (out / name).unlink(missing_ok=True)
    except OSError as error:
        msg = f"{out.name} could not be written: {error.strerror}"
        raise StoreError(msg) from error
