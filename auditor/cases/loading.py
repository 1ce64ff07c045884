"""One case in memory: scan, geometry, references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from auditor.cases.reference_rules import chosen_reference
from auditor.errors import DataError
from auditor.schema import CaseRecord, Geometry, ReferenceRule
from auditor.volumes.geometry import difference
from auditor.volumes.images import read_mask, read_volume
from perturbations import Scan

__all__ = ["LoadedCase", "load_case"]


@dataclass(frozen=True, slots=True)
class LoadedCase:
    """A scan with everything it is scored against, on one grid."""

    record: CaseRecord
    """Who it is."""
    scan: Scan
    """The clean scan; its region is the foreground of all audited labels."""
    geometry: Geometry
    """Of the scan and of every mask."""
    references: Mapping[str, Tensor]
    """Label maps, int16 or int32: ``reference`` and, where there are raters, ``rater_1`` and on."""

    @property
    def raters(self) -> Mapping[str, Tensor]:
        """The raters among the references."""
        return {name: it for name, it in self.references.items() if name != "reference"}


def load_case(
    record: CaseRecord,
    *,
    modality: str,
    state: str,
    labels: tuple[tuple[str, int], ...],
    reference_rule: ReferenceRule,
) -> LoadedCase:
    """Read a case.

    Parameters
    ----------
    record : CaseRecord
        Its files.
    modality, state : str
        Declared for all scans of the audit.
    labels : tuple of (name, number)
        Audited labels; everything else in a mask is background.
    reference_rule : ReferenceRule
        Which mask counts.

    Raises
    ------
    DataError
        When a file cannot be read, a mask lies on another grid, or the rule asks for a mask that the
        case does not have.
    """
    image, geometry = read_volume(record.images)
    given = None if record.reference is None else _mask(record.reference, record, geometry)
    raters = {
        name: _mask(path, record, geometry)
        for name, path in zip(record.rater_names, record.raters, strict=True)
    }
    numbers = [number for _, number in labels]
    reference = chosen_reference(given, raters, numbers, reference_rule, case=record.case)
    region = sum((reference == number for number in numbers), start=reference == -1)
    try:
        scan = Scan(
            image=image,
            spacing=geometry.spacing,
            unit=geometry.unit,
            modality=modality,
            state=state,
            region=region if bool(region.any()) else None,
            slice_thickness=record.slice_thickness_mm if _has_slices(geometry) else None,
        )
    except (ValueError, TypeError) as error:
        msg = f"case {record.case!r}: {error}"
        raise DataError(msg) from error
    return LoadedCase(record, scan, geometry, {"reference": reference, **raters})


def _has_slices(geometry: Geometry) -> bool:
    return geometry.unit == "mm" and len(geometry.shape) == 3


def _mask(path: str, record: CaseRecord, geometry: Geometry) -> Tensor:
    mask, found = read_mask(path)
    told = difference(geometry, found)
    if told:
        msg = (
            f"case {record.case!r}: {Path(record.images[0]).name} and {Path(path).name} must lie on "
            f"one grid: {told}; resample the mask yourself, nothing is resampled silently"
        )
        raise DataError(msg)
    return mask
