"""Which bytes a scan is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from auditor.errors import DataError
from auditor.volumes.detached import detached_file
from auditor.volumes.selectors import split_channel

__all__ = ["file_digest", "image_digest"]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, with the file of its voxels behind it where that is another one.

    Raises
    ------
    DataError
        When one of them cannot be read.
    """
    try:
        digest = hashlib.sha256()
        voxels = detached_file(path)
        for part in (path,) if voxels is None else (path, voxels):
            with part.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        return digest.hexdigest()
    except OSError as error:
        msg = f"{path.name} must be readable with its voxels: {error.strerror or error}"
        raise DataError(msg) from error


def image_digest(path: str) -> str:
    """SHA-256 of the file of a path that may ask for one channel, which then stands behind it.

    Parameters
    ----------
    path : str
        ``p.nii.gz``, or ``p.nii.gz[2]`` for the third volume of the file.

    Raises
    ------
    DataError
        When the file cannot be read.
    """
    file, channel = split_channel(path)
    digest = file_digest(file)
    return digest if channel is None else f"{digest}[{channel}]"
