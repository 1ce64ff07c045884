"""The other scan of an ablation by image: prepared like every scan, and fed beside it.

**Conventions.** The network sees both scans on one grid: what is sent has the channels of the scan first,
then those of the other scan. Windows, slices and flips are cut from both alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.errors import AuditError, CheckpointError, DataError, IntegrityError
from auditor.schema import AblationSpec, Geometry, SystemSpec
from auditor.systems.preparation import Prepared, fed_sizes, prepare

__all__ = ["OtherScan", "other_scan", "unlike"]


class OtherScan:
    """Another scan under the contract of a system."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    def check(self, prepared: Prepared) -> None:
        """Compare the grids on which both are fed.

        Parameters
        ----------
        prepared : a scan, under the same contract.

        Raises
        ------
        DataError
            The other scan has another fed size.
        """
        own, other = prepared.array.shape, self._prepared.array.shape
        if own[1:] != other[1:]:
            msg = (
                f"the other image must have the fed size {_sizes(own)} of this scan, has "
                f"{_sizes(other)}; ablate by image needs scans of one size, or input.size"
            )
            raise DataError(msg)

    def beside(self, prepared: Prepared) -> tuple[NDArray[np.float32], ...]:
        """Stack the channels of the other scan behind those of a scan of the same fed size.

        Parameters
        ----------
        prepared : a scan, under the same contract.

        Returns
        -------
        Its pieces, each (2 x channel, *fed sizes).
        """
        return tuple(
            np.concatenate(both)
            for both in zip(prepared.pieces, self._prepared.pieces, strict=True)
        )


def other_scan(spec: SystemSpec) -> OtherScan | None:
    """Read and prepare the other scan that a system's ablation names.

    Parameters
    ----------
    spec : with its ablation.

    Returns
    -------
    None when nothing is taken from another scan.

    Raises
    ------
    IntegrityError
        A file is not what it was when the audit was declared.
    CheckpointError
        The scan cannot be read, or does not fit the contract.
    """
    if spec.ablation is None or spec.ablation.by != "image":
        return None
    # only an ablation reads images here; what runs networks does not
    from auditor.volumes.digests import image_digest
    from auditor.volumes.images import read_volume

    name = ", ".join(Path(it).name for it in spec.ablation.images)
    try:
        found = tuple(map(image_digest, spec.ablation.images))
        image, geometry = read_volume(spec.ablation.images)
    except AuditError as error:
        msg = f"the other image of system {spec.name!r} cannot be read: {error}"
        raise CheckpointError(msg) from error
    if found != spec.ablation.images_sha256:
        raise _changed(spec.name, spec.ablation, found)
    try:
        return OtherScan(prepare(image, geometry, spec.input, spec.window))
    except AuditError as error:
        msg = f"the other image {name} of system {spec.name!r} does not fit its contract: {error}"
        raise CheckpointError(msg) from error


def unlike(spec: SystemSpec, geometries: Sequence[Geometry]) -> int:
    """Count the scans whose fed size is not that of the other scan, which will be rejected.

    Parameters
    ----------
    spec : with its ablation; those that take nothing from another scan reject none for it.
    geometries : of the scans.

    Returns
    -------
    0 also with ``crop: nonzero``, where only the voxels tell.
    """
    if spec.ablation is None or spec.ablation.by != "image" or spec.input.crop != "none":
        return 0
    from auditor.volumes.images import read_volume

    _, own = read_volume(spec.ablation.images)
    size = fed_sizes(own, spec.input, fitted=True)
    return sum(fed_sizes(it, spec.input, fitted=True) != size for it in geometries)


def _changed(system: str, ablation: AblationSpec, found: Sequence[str]) -> IntegrityError:
    pairs = zip(ablation.images, ablation.images_sha256, found, strict=True)
    names = ", ".join(Path(path).name for path, before, now in pairs if before != now)
    msg = (
        f"the other image of system {system!r} must stay what it was when the audit was declared, {names} "
        "was changed since; put it back, or start another audit in a folder of its own"
    )
    return IntegrityError(msg)


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[1:]))
