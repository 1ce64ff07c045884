"""A system whose label maps were made elsewhere: a folder with one file for each scan of the plan.

**Conventions.** A label map has the name of its scan, as `segaudit scans` wrote it, without a channel:
``scan_3f9a1c2e7b10d4e5.nii.gz``. The name is a digest of everything that the voxels of the scan depend
on, so that a map made for other voxels (another seed, level or image) is missing, never taken for
the right one, and says nothing of patients or conditions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from auditor.errors import CheckpointError, DataError
from auditor.schema import Geometry, Status, SystemSpec
from auditor.systems.closing import Closing
from auditor.systems.masks import read_answer
from auditor.systems.runners import RunningInfo
from auditor.systems.running import Asked, Failure, Prediction
from auditor.volumes.label_maps import ENDINGS, find_label_map

__all__ = ["PrecomputedSystem", "PredictionsIdentity", "identify_predictions"]

_NAME = re.compile(rf"scan_[0-9a-f]{{16}}({'|'.join(map(re.escape, ENDINGS))})")

_FINDING = (
    "predictions were made elsewhere: nothing shows by which program, on which machine, and whether "
    "somebody has changed them"
)


@dataclass(frozen=True, slots=True)
class PredictionsIdentity:
    """What lies in a folder of predictions."""

    sha256: str
    """Over names and contents of all label maps."""
    size_bytes: int
    """Of all of them."""


def identify_predictions(spec: SystemSpec) -> PredictionsIdentity:
    """Digest all label maps of a folder; other files in it do not count.

    Raises
    ------
    CheckpointError
        When it is no folder, holds no label map of an audit, or a file cannot be read.
    """
    folder = Path(str(spec.predictions))
    digest, size, count = hashlib.sha256(spec.version.encode() + b"\n"), 0, 0
    try:
        for path in sorted(folder.iterdir()):
            if _NAME.fullmatch(path.name) and path.is_file():
                with path.open("rb") as file:
                    own = hashlib.file_digest(file, "sha256").hexdigest()
                digest.update(f"{path.name} {own}\n".encode())
                size += path.stat().st_size
                count += 1
    except OSError as error:
        msg = (
            f"predictions must be a folder that can be read, {folder.name!r} is none "
            f"({error.strerror or error}); `segaudit scans` writes the scans to predict"
        )
        raise CheckpointError(msg) from error
    if not count:
        msg = (
            f"the folder {folder.name!r} must hold label maps with the names of the scans that `segaudit "
            "scans` writes (scan_3f9a1c2e7b10d4e5.nii.gz), there is none"
        )
        raise CheckpointError(msg)
    return PredictionsIdentity(digest.hexdigest(), size)


class PrecomputedSystem(Closing):
    """Predictions in a folder, ready to be read; a context manager that holds nothing.

    Raises
    ------
    CheckpointError
        When there is no such folder.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        """Contract and settings."""
        self._folder = Path(str(spec.predictions))
        if not self._folder.is_dir():
            msg = f"predictions must be a folder, {self._folder.name!r} is none"
            raise CheckpointError(msg)

    @property
    def info(self) -> RunningInfo:
        """Digest of all label maps; no sandbox, for nothing runs."""
        known = identify_predictions(self.spec)
        return RunningInfo("predictions", known.sha256, known.size_bytes, (), (_FINDING,))

    def under(self, spec: SystemSpec) -> PrecomputedSystem:
        """Read the same predictions with other labels.

        Parameters
        ----------
        spec : differs in output only; everything else was done elsewhere.
        """
        return PrecomputedSystem(replace(self.spec, output=spec.output))

    def predict(
        self, images: Sequence[Tensor], geometry: Geometry, *, asked: Sequence[Asked] = ()
    ) -> list[Prediction | Failure]:
        """Read the prediction of every image of one unit.

        Parameters
        ----------
        images : each (channel, *native) float32; only counted.
        geometry : of every one of them.
        asked : which scans they are.

        Returns
        -------
        One entry per image, in order; failed where there is no file.
        """
        known = asked if len(asked) == len(images) else [Asked("")] * len(images)
        return [self._answer(it.scan, geometry) for it in known]

    def _answer(self, name: str, geometry: Geometry) -> Prediction | Failure:
        if not name:
            reason = "predictions are made for the scans of the plan, and this is none of them"
            return Failure(Status.FAILED, reason)
        try:
            file = find_label_map(self._folder, name)
        except DataError as error:
            return Failure(Status.REJECTED, str(error))
        if file is None:
            reason = f"no prediction {name}.nii.gz in the folder of predictions"
            return Failure(Status.FAILED, reason)
        return read_answer(file, geometry, self.spec.output).outcome
