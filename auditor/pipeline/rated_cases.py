"""Rate many scans with one certificate; where there are references, count the promises that were kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.confidence.promise_count import Checked, count_promises
from auditor.errors import AuditError
from auditor.pipeline.folder import tool_version
from auditor.pipeline.rating import RatedScan, ScanRater
from auditor.schema import CaseRecord, Certificate, ReferenceRule
from auditor.schema.ratings import RATING_VERSION, RatedScans

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NamedScan", "Rated", "rate_all", "scans_of_files", "scans_of_table", "summary_of"]


@dataclass(frozen=True, slots=True)
class NamedScan:
    """One scan that is to be rated."""

    name: str
    """Display id."""
    patient: str
    """Display id; without a table each scan is a patient of its own."""
    source: str
    """What the user calls it: the name of a file or a case. Never part of a result."""
    record: CaseRecord
    """Its files."""


@dataclass(frozen=True, slots=True, eq=False)
class Rated:
    """What came of one scan."""

    scan: NamedScan
    found: RatedScan | None
    """None: it could not be read."""
    problem: str
    """Why the scan, or its reference, could not be read, without the name of a file; empty: all was."""
    checked: Checked | None
    """None: no reference."""


def scans_of_files(files: Sequence[Path]) -> tuple[NamedScan, ...]:
    """Give every file a display id, S001 and on, in the order in which they are named."""
    return tuple(
        NamedScan(
            name=(name := f"S{number:03d}"),
            patient=name,
            source=file.name,
            record=CaseRecord(file.name, name, (str(file),), None),
        )
        for number, file in enumerate(files, start=1)
    )


def scans_of_table(table: Path) -> tuple[NamedScan, ...]:
    """Read the scans of a table of cases, under its display ids.

    Raises
    ------
    DataError
        When the table is none, with every problem at once.
    """
    from auditor.cases import read_table

    found = read_table(table, references=False)
    return tuple(NamedScan(it.display_case, it.display_patient, it.case, it) for it in found)


def rate_all(
    rater: ScanRater,
    scans: Sequence[NamedScan],
    *,
    modality: str | None = None,
    state: str | None = None,
    pixels: bool = True,
) -> Iterator[Rated]:
    """Rate scans one after the other; one that cannot be read stops no other.

    Yields
    ------
    Rated
        In order, so that its voxels may go before the next one is read.
    """
    for scan in scans:
        record = scan.record
        try:
            found = rater.rate(
                scan.name, record.images, modality=modality, state=state,
                slice_thickness=record.slice_thickness_mm, pixels=pixels,
            )  # fmt: skip
        except AuditError as error:
            yield Rated(scan, None, _nameless(error, record, scan.name), None)
            continue
        try:
            yield Rated(scan, found, "", _checked(scan, found, rater.certificate))
        except AuditError as error:
            yield Rated(scan, found, f"its reference: {_nameless(error, record, scan.name)}", None)


def _nameless(error: AuditError, record: CaseRecord, name: str) -> str:
    """Say what is wrong without the names of files and cases, which stay with the user."""
    from auditor.volumes.selectors import file_of

    told = str(error).splitlines()[0]
    for path in (*record.images, record.reference or "", *record.raters):
        name_of_file = file_of(path).name if path else ""  # of a folder such as . there is none
        told = told.replace(name_of_file, "the file") if name_of_file else told
    return told.replace(repr(record.case), repr(name))


def summary_of(rater: ScanRater, rated: Sequence[Rated]) -> RatedScans:
    """Put together what is written of many scans."""
    checked = [it.checked for it in rated if it.checked is not None]
    spec = rater.certificate.declared
    return RatedScans(
        version=RATING_VERSION,
        tool=f"segaudit {tool_version()}",
        certificate=rater.facts,
        ratings=tuple(it.found.rating for it in rated if it.found is not None),
        unread=tuple((it.scan.name, it.problem) for it in rated if it.problem),
        promises=count_promises(checked, spec) if checked else None,
    )


def _checked(scan: NamedScan, found: RatedScan, certificate: Certificate) -> Checked | None:
    """Measure the DSC of a scan that has a reference."""
    record = scan.record
    if record.reference is None and not record.raters:
        return None
    if found.prediction is None:
        # what was not predicted, or failed, was promised nothing
        lost = found.rating.status != "not_run"
        return Checked(found.rating, scan.patient, 0.0 if lost else None, found.rating.status)
    dsc, status = _dsc(found, record, certificate)
    return Checked(found.rating, scan.patient, dsc, status)


def _dsc(
    found: RatedScan, record: CaseRecord, certificate: Certificate
) -> tuple[float | None, str]:
    """Score a prediction as the audit scored its own: against the mask of the same rule."""
    from auditor.cases import load_case

    case = load_case(
        record,
        modality=certificate.modality,
        state=certificate.state,
        labels=tuple(zip(certificate.label_members, certificate.label_numbers, strict=True)),
        reference_rule=_rule(record, certificate.reference_rule),
    )
    mean = certificate.reference_rule.use == "mean_over_raters" and case.raters
    masks = tuple(case.raters.values()) if mean else (case.references["reference"],)
    pairs = [_against(found, mask, certificate) for mask in masks]
    values = [value for value, _ in pairs if value is not None]
    if len(values) < len(pairs):
        return None, next(status for value, status in pairs if value is None)
    return sum(values) / len(values), pairs[0][1]


def _rule(record: CaseRecord, rule: ReferenceRule) -> ReferenceRule:
    """Take the rule of the audit; a table without raters has the reference itself."""
    return ReferenceRule("given") if record.reference is not None and not record.raters else rule


def _against(found: RatedScan, mask: Tensor, certificate: Certificate) -> tuple[float | None, str]:
    from auditor.metrics.measure import measure_label, prepare_reference
    from auditor.schema import MetricSpec

    assert found.prediction is not None  # asked before
    label, grid = certificate.scored, found.geometry
    reference = prepare_reference(label.mask(mask), grid.spacing, grid.unit, reused=False)
    (measured,) = measure_label(
        label.mask(found.prediction), reference, metrics=(MetricSpec("dsc"),)
    )
    value = measured.worst if measured.value is None else measured.value
    return value, measured.status.value
