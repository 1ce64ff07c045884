"""One channel of a file of several: ``BRATS_001.nii.gz[2]`` in a table of cases."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["file_of", "split_channel"]

_SELECTED = re.compile(r"(?P<file>.+\.nii(?:\.gz)?)\[(?P<channel>\d{1,4})\]", re.IGNORECASE)


def split_channel(path: str) -> tuple[Path, int | None]:
    """Part a path of a table into its file and the channel that is asked of it.

    Parameters
    ----------
    path : str
        ``p.nii.gz`` (the whole file), or ``p.nii.gz[0]``: the first volume along the fourth axis of
        a NIfTI file. Channels count from 0, as in the names and lists of nnU-Net and MSD.

    Returns
    -------
    file : Path
    channel : int or None
        None for the whole file.

    Examples
    --------
    >>> split_channel("scans/p.nii.gz[2]")[1], split_channel("scans/p.nii.gz")[1]
    (2, None)
    """
    found = _SELECTED.fullmatch(path)
    if found is None:
        return Path(path), None
    return Path(found["file"]), int(found["channel"])


def file_of(path: str) -> Path:
    """Return the file of a path of a table, without its channel."""
    return split_channel(path)[0]
