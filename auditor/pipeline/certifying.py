"""The certificates of a finished audit: one file for each system and label that was declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.analysis import AnalysisSetup
from auditor.confidence.axes import axes_of_run
from auditor.confidence.calibration import calibrated
from auditor.confidence.certificate import certificate_name, certificate_text
from auditor.confidence.certificate_facts import facts_of
from auditor.confidence.certified_system import system_entry
from auditor.confidence.certifying import calibration_scans
from auditor.config.certificates import certificate_seed, mild_copies
from auditor.errors import DataError
from auditor.execution.job import Job
from auditor.execution.store import write_bytes
from auditor.pipeline.folder import Lock
from auditor.plan import system_identity
from auditor.schema import CERTIFICATE_VERSION, Certificate, CertificateSpec, decode
from auditor.schema.ratings import CertificateFacts
from auditor.schema.site import SeverityAxis

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FOLDER", "facts_of_all", "make_certificates", "write_certificates"]

FOLDER = "certificates"
"""Of a run, in which they lie."""


def make_certificates(
    job: Job, lock: Lock, *, table: pa.Table, setup: AnalysisSetup
) -> tuple[Certificate, ...]:
    """Make every declared certificate of an audit.

    Parameters
    ----------
    job : Job
        The audit, with the configuration under which it ran.
    lock : Lock
        What was frozen before the first result.
    table : pyarrow.Table
        All stored rows; ``scans.parquet`` is written already.
    setup : AnalysisSetup
        Of the analysis.

    Returns
    -------
    tuple of Certificate
        In the order of the configuration, each with its digest. None of a preview, which has not seen
        every patient.
    """
    if job.plan.preview or not job.config.certificates:
        return ()
    axes = _axes(job.run)
    early = not any(key.partition(".")[0] == "certificate" for key in lock.changed_late)
    made = (_made(job, spec, axes, table, setup) for spec in job.config.certificates)
    return tuple(_signed(replace(it, pre_declared=early)) for it in made)


def facts_of_all(certificates: Sequence[Certificate]) -> tuple[CertificateFacts, ...]:
    """Collect what the report tells of certificates, as it is told beside every rating."""
    return tuple(facts_of(calibrated(certificate)) for certificate in certificates)


def write_certificates(run: Path, certificates: Sequence[Certificate]) -> None:
    """Write certificates into the folder of a run, and take those away that it has no more.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    names = {certificate_name(it.declared.system, it.declared.label): it for it in certificates}
    for path in (run / FOLDER).glob("*.json"):
        if path.name not in names:
            path.unlink()
    for name, certificate in names.items():
        write_bytes(run / FOLDER / name, certificate_text(certificate).encode())


def _made(
    job: Job,
    spec: CertificateSpec,
    axes: tuple[SeverityAxis, ...],
    table: pa.Table,
    setup: AnalysisSetup,
) -> Certificate:
    config = job.config
    system = next(it for it in config.systems if it.name == spec.system)
    label = next(it for it in config.scored if it.name == spec.label)
    copies = mild_copies(config.perturbations, spec.copies)
    found = calibration_scans(table, spec, copies=copies, setup=setup)
    grids = [setup.geometries[record.case] for record in setup.cases]
    sides = list(zip(*(grid.spacing for grid in grids), strict=True))
    return Certificate(
        version=CERTIFICATE_VERSION,
        tool=f"segaudit {setup.audit.tool_version}",
        audit=config.name,
        plan_digest=job.plan.digest,
        declared=spec,
        system=system_entry(system),
        identity=system_identity(system, job.identities[spec.system]),
        sha256=job.identities[spec.system],
        label_members=label.members,
        label_numbers=label.numbers,
        reference=setup.audit.reference_rule,
        reference_rule=config.cases.reference,
        pre_declared=True,
        modality=config.cases.modality,
        state=config.cases.state,
        channels=found.channels,
        length_unit=setup.audit.length_unit,
        ndim=len(sides),
        spacing_low=tuple(min(side) for side in sides),
        spacing_high=tuple(max(side) for side in sides),
        copies=copies,
        seed=certificate_seed(config.seed),
        axes=axes,
        scans=found.scans,
        voxel_digests=found.voxel_digests,
    )


def _signed(certificate: Certificate) -> Certificate:
    """Return the certificate as it will be read from its file."""
    return decode(certificate_text(certificate), Certificate)


def _axes(run: Path) -> tuple[SeverityAxis, ...]:
    """Read the table from estimate to severity; none where nothing in the audit can be estimated."""
    try:
        return axes_of_run(run)
    except DataError:
        return ()
