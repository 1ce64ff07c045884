"""Rate scans that have no reference with the certificate of an audit.

A scan is predicted once, by the very system of the certificate, and once for each of its mildly perturbed
copies, as the calibration scans were. What was measured goes to `auditor.confidence.rating`, which
sees neither voxels nor files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.confidence.calibration import calibrated
from auditor.confidence.certificate import read_certificate
from auditor.confidence.certified_system import system_of
from auditor.confidence.rated_masks import MaskFamily, masks_of, sets_of
from auditor.confidence.rating import rate as rate_measured
from auditor.confidence.rating_words import unlike
from auditor.confidence.scan_places import NewScan
from auditor.errors import DataError, IntegrityError
from auditor.pipeline.folder import tool_version
from auditor.pipeline.profiling import estimated_on
from auditor.plan import system_identity
from auditor.schema import Certificate, Geometry, Status, SystemSpec
from auditor.schema.ratings import CertificateFacts, Rating, RatingPicture
from auditor.systems.closing import Closing

if TYPE_CHECKING:
    from torch import Tensor

    from auditor.systems.runners import CallableSystem
    from auditor.systems.running import Prediction
    from perturbations import Scan

__all__ = ["RatedScan", "ScanRater", "rate"]


@dataclass(frozen=True, slots=True, eq=False)
class RatedScan:
    """A rated scan with its masks, on its own grid."""

    rating: Rating
    geometry: Geometry
    prediction: Tensor | None
    """(z, y, x) or (y, x), label numbers as the system gives them; None: there is none."""
    outer: Tensor | None
    """The same shape, bool; None: there is no usable one, or the scan is not rated."""
    inner: Tensor | None
    pictures: tuple[RatingPicture, ...]
    """Empty: without a prediction."""


def rate(
    certificate: Path | str,
    checkpoint: Path | str | CallableSystem,
    scan: Path | str | Sequence[Path | str],
    *,
    modality: str | None = None,
    state: str | None = None,
    masks: MaskFamily = "distance",
) -> RatedScan:
    """Rate one scan.

    Parameters
    ----------
    certificate : path
        Of an audit: ``certificates/SYSTEM.LABEL.json``.
    checkpoint : path, or a Python callable
        The system of the certificate.
    scan : path, or one path a channel
    modality, state : str, optional
        What the scan is; by default what the certificate is for.
    masks : distance or probability
        By which inner and outer mask are nested around the prediction.

    Returns
    -------
    RatedScan
        The rating, and the masks as tensors; a scan that is not rated has the grade NR and the reasons.

    Raises
    ------
    DataError
        When a file cannot be read.
    IntegrityError
        When the certificate was changed, or the checkpoint is another than the certificate's.
    CheckpointError
        When the checkpoint cannot be run.
    """
    paths = [scan] if isinstance(scan, Path | str) else list(scan)
    with ScanRater.of(Path(certificate), checkpoint, masks=masks) as rater:
        return rater.rate("S001", [str(path) for path in paths], modality=modality, state=state)


class ScanRater(Closing):
    """A certificate with its running system; a context manager."""

    def __init__(
        self,
        certificate: Certificate,
        spec: SystemSpec,
        *,
        callable: CallableSystem | None,  # noqa: A002  # the name that users know it by
        masks: MaskFamily,
    ) -> None:
        from auditor.systems.running import open_system

        self.certificate = certificate
        self.calibration = calibrated(certificate)
        self._masks = masks
        self._system = open_system(spec, callable=callable)
        found = self._system.info.sha256
        if callable is None and found != certificate.sha256:
            self.close()
            raise IntegrityError(_other_system(certificate, found))

    @staticmethod
    def of(
        certificate: Path,
        checkpoint: Path | str | CallableSystem,
        *,
        masks: MaskFamily = "distance",
        limits: Mapping[str, float] | None = None,
    ) -> ScanRater:
        """Read a certificate, and start its system.

        Parameters
        ----------
        certificate : Path
        checkpoint : path, or a Python callable
        masks : distance or probability
        limits : mapping, optional
            ``timeout_s`` and ``memory_gb`` of the child process; they change no prediction.

        Raises
        ------
        DataError, IntegrityError, CheckpointError
            See `rate`.
        """
        from auditor.systems.sidecars import locate

        known = read_certificate(certificate)
        name = known.declared.system
        call = None if isinstance(checkpoint, Path | str) else checkpoint
        path = Path(checkpoint) if isinstance(checkpoint, Path | str) else None
        if path is not None and path.is_dir():
            path = locate(path).checkpoint
        spec = replace(
            system_of(known.system, name=name, checkpoint=path), **dict[str, Any](limits or {})
        )
        _same_system(known, spec, call)
        return ScanRater(known, spec, callable=call, masks=masks)

    @property
    def facts(self) -> CertificateFacts:
        """What a reader must know of the certificate."""
        from auditor.confidence.certificate_facts import facts_of

        return facts_of(self.calibration)

    def close(self) -> None:
        """End the child process."""
        self._system.close()

    def rate(
        self,
        name: str,
        images: Sequence[str],
        *,
        modality: str | None = None,
        state: str | None = None,
        slice_thickness: float | None = None,
        pixels: bool = True,
    ) -> RatedScan:
        """Rate one scan.

        Parameters
        ----------
        name : str
            Display id.
        images : sequence of str
            Its files, one a channel or one for all.
        modality, state : str, optional
            What the scan is; by default what the certificate is for.
        slice_thickness : float, optional
            As a table of cases tells it, mm.
        pixels : bool
            False: the planes of the card hold outlines alone.

        Raises
        ------
        DataError
            When a file cannot be read, or holds no scan.
        """
        from auditor.cases import contradiction, read_volume
        from auditor.execution.agreement import voxel_digest

        image, geometry = read_volume(images)
        kind = (modality or self.certificate.modality, state or self.certificate.state)
        new = NewScan(
            name=name,
            digest=voxel_digest(image),
            modality=kind[0],
            state=kind[1],
            contradiction=contradiction(image, modality=kind[0], state=kind[1]),
            unit=geometry.unit,
            channels=len(image),
            spacing=geometry.spacing,
            estimates={},
        )
        if unlike(self.certificate, new):
            return self._rated(new, image, geometry, None, pixels=False)
        new, answer = self._measured(new, image, geometry, slice_thickness)
        return self._rated(new, image, geometry, answer, pixels=pixels)

    def _measured(
        self, new: NewScan, image: Tensor, geometry: Geometry, slice_thickness: float | None
    ) -> tuple[NewScan, Prediction | None]:
        """Estimate, predict, and compare with the copies."""
        from auditor.systems.running import Failure
        from perturbations import Scan

        try:
            scan = Scan(
                image=image,
                spacing=geometry.spacing,
                unit=geometry.unit,
                modality=new.modality,
                state=new.state,
                slice_thickness=slice_thickness,
            )
        except ValueError as error:
            msg = f"{new.name} is no scan that can be rated: {error}"
            raise DataError(msg) from error
        axes = self.certificate.axes
        new = replace(new, estimates={it.perturbation: estimated_on(it, scan) for it in axes})
        answer = self._system.predict([image], geometry)[0]
        if isinstance(answer, Failure):
            return replace(new, status=answer.status.value, reason=answer.reason), None
        return self._looked_at(new, scan, geometry, answer), answer

    def _looked_at(
        self,
        new: NewScan,
        scan: Scan,
        geometry: Geometry,
        answer: Prediction,
    ) -> NewScan:
        from auditor.execution.agreement import copy_agreements, mean_agreement
        from auditor.execution.scoring import probability_of
        from auditor.proxies import self_dsc
        from auditor.strata.foreground import foreground_ratio

        label = self.certificate.scored
        mask = label.mask(answer.labels)
        ratio = foreground_ratio(mask)
        new = replace(
            new,
            status=Status.OK.value if ratio else Status.PREDICTION_EMPTY.value,
            foreground_ratio=ratio,
            volume=float(mask.sum()) * _voxel(geometry),
        )
        if not ratio:
            return new
        probability = probability_of(label, self._system.spec.output, answer.probabilities)
        if probability is not None:
            new = replace(new, self_dsc=self_dsc(probability))
        if not self.certificate.copies:
            return new
        found = copy_agreements(
            scan,
            answer.labels,
            of=[label],
            copies=self.certificate.copies,
            seed=self.certificate.seed,
            predict=lambda copy: self._system.predict([copy], geometry)[0],
        )
        mean = mean_agreement(found[label.name])
        return replace(new, agreement=mean.value, copies=mean.copies, why_no_agreement=mean.reason)

    def _rated(
        self,
        new: NewScan,
        image: Tensor,
        geometry: Geometry,
        answer: Prediction | None,
        *,
        pixels: bool,
    ) -> RatedScan:
        """Rate what was measured, and draw the masks."""
        rating = rate_measured(
            self.calibration, new, tool=f"segaudit {tool_version()}", masks=self._masks
        )
        if answer is None:
            return RatedScan(rating, geometry, None, None, None, ())
        mask = self.certificate.scored.mask(answer.labels)
        outer = inner = None
        sets = sets_of(self.calibration, rating)
        if sets is not None:
            soft = self._probability(answer) if self._masks == "probability" else None
            found = masks_of(mask, geometry.spacing, sets, probability=soft)
            outer, inner = found.outer, found.inner
        shown = {"outer": outer, "prediction": mask, "inner": inner}
        drawn = _pictures(image, shown, geometry, pixels=pixels)
        return RatedScan(rating, geometry, answer.labels, outer, inner, drawn)

    def _probability(self, answer: Prediction) -> Tensor | None:
        from auditor.execution.scoring import probability_of

        return probability_of(
            self.certificate.scored, self._system.spec.output, answer.probabilities
        )


def _same_system(certificate: Certificate, spec: SystemSpec, call: CallableSystem | None) -> None:
    """Refuse another system than the one that was calibrated, before anything runs."""
    if call is not None:
        found = f"callable:{getattr(call, '__qualname__', type(call).__name__)}"
    else:
        from auditor.systems.sniff import sniff

        found = sniff(Path(str(spec.checkpoint))).sha256
    if found != certificate.sha256:
        raise IntegrityError(_other_system(certificate, found))
    identity = system_identity(spec, found)
    if identity != certificate.identity:
        msg = (
            f"the certificate is for {spec.name} as it was audited ({certificate.identity[:12]}), and this "
            f"segaudit would run it otherwise ({identity[:12]}); rate with the version that made the "
            f"certificate ({certificate.tool}), or run the audit again"
        )
        raise IntegrityError(msg)


def _other_system(certificate: Certificate, found: str) -> str:
    return (
        f"the checkpoint must be the one that was calibrated, {certificate.declared.system} with SHA-256 "
        f"{_short(certificate.sha256)}; this one has {_short(found)}. A certificate speaks of no other "
        "system: audit this one to have a certificate of its own"
    )


def _short(digest: str) -> str:
    return digest if digest.startswith("callable:") else digest[:12]


def _voxel(geometry: Geometry) -> float:
    """Volume of a voxel, ml; of an image without a spacing 1 px."""
    return math.prod(geometry.spacing) / (1000.0 if geometry.unit == "mm" else 1.0)


def _pictures(
    image: Tensor, masks: Mapping[str, Tensor | None], geometry: Geometry, *, pixels: bool
) -> tuple[RatingPicture, ...]:
    from auditor.exhibits.rating_picture import draw_rating

    known = {name: mask.numpy() for name, mask in masks.items() if mask is not None}
    return draw_rating(image[0].numpy(), known, geometry, pixels=pixels)
