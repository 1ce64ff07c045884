"""How well the mask of a scan agrees with those of its mildly perturbed copies.

**One way for all scans.** A certificate compares a new scan with calibration scans, so the number must
be made in the same way on both: this file makes it, in an audit and when a scan is rated. The copies
are the certificate's perturbations at severity 1, drawn on the scan as it is, without its reference.
Each draw depends on the certificate's seed, on the voxels of the scan and on the perturbation alone.

On the clean scans of an audit the planned evaluations at severity 1 are such copies, drawn from the
seeds of the plan: another draw of the same law, at no further cost.

A copy that the scan does not admit, or that changes nothing on it, is no copy and leaves the mean. A
copy whose prediction failed stays in it, with an agreement of 0.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from auditor.execution.perturbed import Scanned, perturb
from auditor.metrics.policy import FAILURES
from auditor.plan import Unit
from auditor.proxies import agreement
from auditor.schema import PerturbationSpec, ScoredLabel, Status
from auditor.systems.running import Failure, Prediction
from perturbations import Scan, derive_seed

__all__ = [
    "CopyAgreement",
    "MeanAgreement",
    "copy_agreements",
    "drawn_copies",
    "mean_agreement",
    "voxel_digest",
]


@dataclass(frozen=True, slots=True)
class CopyAgreement:
    """The mask of one copy beside that of its scan, for one label."""

    perturbation: str
    """Which copy."""
    status: str
    """ok; no_effect or not_applicable: there is no such copy; else how its prediction failed."""
    value: float | None
    """DSC of the two masks; None without a mask."""
    reason: str = ""
    """One sentence when the status is not ok."""


@dataclass(frozen=True, slots=True)
class MeanAgreement:
    """Mean agreement of one scan and label."""

    value: float | None
    """In [0, 1]; None when no copy could be made."""
    copies: int
    """That took part, failed ones among them."""
    failed: int
    """Of them, those whose prediction failed: they count with 0."""
    reason: str = ""
    """Why there is no value."""


def voxel_digest(image: Tensor) -> str:
    """Digest of the voxels of a scan as they are read, wherever its file lies and however it is packed.

    Parameters
    ----------
    image : (channel, z, y, x) or (channel, y, x), float32

    Returns
    -------
    str
        SHA-256 over the shape and the values (little-endian, C order), hexadecimal.
    """
    values = np.ascontiguousarray(image.cpu().numpy(), dtype="<f4")
    found = hashlib.sha256(repr(tuple(image.shape)).encode())
    found.update(values.data)
    return found.hexdigest()


def drawn_copies(
    scan: Scan, copies: Sequence[PerturbationSpec], *, seed: int
) -> Iterator[tuple[str, Scanned]]:
    """Draw the mild copies of a scan, one after the other.

    Parameters
    ----------
    scan : Scan
        As it is; its region is not looked at.
    copies : sequence of PerturbationSpec
        Each with one level, see `auditor.config.certificates.mild_copies`.
    seed : int
        Of the certificate.

    Yields
    ------
    (str, Scanned)
        Name of the perturbation, and the copy or why there is none.
    """
    bare = replace(scan, region=None)
    digest = voxel_digest(scan.image)
    for spec in copies:
        unit = Unit(0, "", "", spec, 0, derive_seed(seed, digest, spec.name), ())
        yield spec.name, perturb(unit, bare)[0]


def copy_agreements(
    scan: Scan,
    labels: Tensor,
    *,
    of: Sequence[ScoredLabel],
    copies: Sequence[PerturbationSpec],
    seed: int,
    predict: Callable[[Tensor], Prediction | Failure],
) -> Mapping[str, tuple[CopyAgreement, ...]]:
    """Predict the copies of a scan, and compare their masks with its own.

    Parameters
    ----------
    scan : Scan
        The scan as it is.
    labels : (z, y, x) or (y, x), whole numbers
        The system's label map of that scan.
    of : sequence of ScoredLabel
        What is compared; copies are predicted once for all of them.
    copies, seed
        See `drawn_copies`.
    predict : callable
        Image (channel, z, y, x) to the system's answer; called once a copy, which then may go.

    Returns
    -------
    mapping of label to tuple of CopyAgreement
        In the order of the copies.
    """
    found: dict[str, list[CopyAgreement]] = {label.name: [] for label in of}
    for name, copy in drawn_copies(scan, copies, seed=seed):
        answer = (
            predict(copy.scan.image)
            if copy.status is Status.OK
            else Failure(copy.status, copy.reason)
        )
        for label in of:
            if isinstance(answer, Failure):
                one = CopyAgreement(name, answer.status.value, None, answer.reason)
            else:
                value = agreement(label.mask(answer.labels), label.mask(labels))
                one = CopyAgreement(name, Status.OK.value, value)
            found[label.name].append(one)
    return {name: tuple(values) for name, values in found.items()}


def mean_agreement(found: Sequence[CopyAgreement]) -> MeanAgreement:
    """Average what the copies of one scan say.

    Examples
    --------
    >>> ok, lost = CopyAgreement("blur", "ok", 0.9), CopyAgreement("noise", "crashed", None)
    >>> none = CopyAgreement("bias", "no_effect", None)
    >>> mean_agreement([ok, none, lost])  # (0.9 + 0) / 2
    MeanAgreement(value=0.45, copies=2, failed=1, reason='')
    """
    values = [it.value for it in found if it.value is not None]
    failed = sum(it.status in FAILURES for it in found)
    copies = len(values) + failed
    if copies == 0:
        why = "; ".join(sorted({it.reason for it in found if it.reason}))
        told = f": {why}" if why else ""
        return MeanAgreement(None, 0, 0, f"no mild copy of this scan could be made{told}"[:500])
    return MeanAgreement(math.fsum(values) / copies, copies, failed)
