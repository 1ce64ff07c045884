"""Open DICOM files through pydicom: headers of a whole folder, voxels of one file.

pydicom is an extra: it is imported where it is needed, and its absence is told with the command that
installs it. Nothing of a header but what is named here is ever kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.cases.finding import SUFFIXES, find_files, told_of
from auditor.errors import DataError

__all__ = [
    "CONTOURS",
    "SEGMENTATIONS",
    "Header",
    "damage_told",
    "is_dicom",
    "numbers_of",
    "read_headers",
    "read_pixels",
    "read_whole",
    "text_of",
]

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes of segmentations: of segments, and of label maps."""
CONTOURS = ("1.2.840.10008.5.1.4.1.1.481.3",)
"""SOP class of RT structure sets."""

_KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID",
    "PatientID", "Modality", "SeriesDescription", "SeriesNumber", "InstanceNumber",
    "AcquisitionNumber", "EchoTime", "TemporalPositionIdentifier", "DiffusionBValue", "TriggerTime",
    "ImageType", "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient",
    "ImagePositionPatient", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope",
    "RescaleIntercept", "ModalityLUTSequence", "PhotometricInterpretation", "SamplesPerPixel",
    "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ReferencedSeriesSequence", "SegmentSequence", "StructureSetLabel", "StructureSetROISequence",
    "ReferencedFrameOfReferenceSequence", "ContentLabel",
)  # fmt: skip
"""All that is read of a header."""

_UNDECODABLE: tuple[type[Exception], ...] = (
    ValueError, RuntimeError, AttributeError, NotImplementedError, TypeError, KeyError, IndexError,
    OSError, EOFError, MemoryError, struct.error,
)  # fmt: skip
"""What pydicom and its decoders raise on damaged files."""

_MOST_LOOKED_AT = 2000
"""Files that are opened before a folder counts as one without DICOM."""


@dataclass(frozen=True, slots=True)
class Header:
    """One file with what was read of it."""

    file: Path
    """Where it lies."""
    told: str
    """Its place in the folder, for messages."""
    content: Any
    """pydicom's dataset, of the known attributes alone."""


def is_dicom(folder: Path) -> bool:
    """Tell whether a folder holds a DICOM file; folders named sourcedata (BIDS) are left out."""
    files = (
        path
        for path in find_files(folder).files
        if "sourcedata" not in path.relative_to(folder).parts
        and not path.name.lower().endswith(SUFFIXES)
    )
    return any(_has_preamble(path) for _, path in zip(range(_MOST_LOOKED_AT), files, strict=False))


def _has_preamble(path: Path) -> bool:
    """128 bytes of anything, then DICM (PS3.10, 7.1)."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return path.suffix.lower() == ".dcm"


def _damage() -> tuple[type[Exception], ...]:
    """Return what is raised on damaged files; two of them are errors of pydicom's own."""
    errors = _pydicom().errors
    return (*_UNDECODABLE, errors.InvalidDicomError, errors.BytesLengthException)


def _pydicom() -> ModuleType:
    try:
        import pydicom
    except ImportError as error:
        msg = "DICOM needs pydicom, which is not installed: pip install 'segaudit[dicom]'"
        raise DataError(msg) from error
    return pydicom


def read_headers(folder: Path, problems: list[str], notes: list[str]) -> list[Header]:
    """Read the header of every DICOM file in a folder, at any depth.

    Raises
    ------
    DataError
        When pydicom is not installed.
    """
    pydicom = _pydicom()
    found = find_files(folder)
    problems += found.problems
    notes += found.notes
    headers = []
    for path in found.files:
        named = path.suffix.lower() in (".dcm", ".dicom", ".ima")
        if not named and not _has_preamble(path):
            continue
        told = told_of(path, folder)
        try:
            content = pydicom.dcmread(
                path, stop_before_pixels=True, force=True, specific_tags=list(_KEYWORDS)
            )
        except _damage() as error:
            problems.append(f"{told} must be a readable DICOM file ({type(error).__name__})")
            continue
        if text_of(content, "SOPClassUID"):
            headers.append(Header(path, told, content))
        elif path.name.upper() != "DICOMDIR" and _media_class(content) == "":
            problems.append(f"{told} must be a DICOM file; it names no SOP class")
    return headers


def _media_class(content: Any) -> str:  # noqa: ANN401  # an untyped dataset
    return text_of(getattr(content, "file_meta", None), "MediaStorageSOPClassUID")


def text_of(content: Any, keyword: str) -> str:  # noqa: ANN401  # an untyped dataset
    """Return an attribute as text; empty when it is missing or cannot be read."""
    try:
        value = getattr(content, keyword, None)
    except _damage():
        return ""
    return "" if value is None else str(value).strip("\0 ")


@contextmanager
def damage_told(name: str) -> Iterator[None]:
    """Turn whatever damaged attributes raise, wherever they are touched, into a sentence.

    Without their content, which may name a patient.
    """
    try:
        yield
    except _damage() as error:
        msg = f"{name} must be readable, one of its attributes is damaged ({type(error).__name__})"
        raise DataError(msg) from error


def numbers_of(
    content: Any,  # noqa: ANN401  # an untyped dataset
    keyword: str,
    count: int,
) -> tuple[float, ...] | None:
    """Return an attribute of so many finite numbers; None when it is missing or something else."""
    try:
        value = getattr(content, keyword, None)
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        found = tuple(float(it) if isinstance(it, float | int) else float(str(it)) for it in values)
    except _damage():
        return None
    return found if len(found) == count and bool(np.isfinite(found).all()) else None


def read_whole(file: Path) -> Any:  # noqa: ANN401  # an untyped dataset
    """Read a whole file.

    Raises
    ------
    DataError
        When it cannot be read any more.
    """
    pydicom = _pydicom()
    try:
        return pydicom.dcmread(file, force=True)
    except _damage() as error:
        msg = f"{file.name} must be a readable DICOM file ({type(error).__name__})"
        raise DataError(msg) from error


def read_pixels(content: Any, name: str) -> NDArray[Any]:  # noqa: ANN401  # an untyped dataset
    """Decode the stored values of a file.

    Parameters
    ----------
    content : pydicom dataset
        From `read_whole`.
    name : str
        Of the file, for messages.

    Returns
    -------
    (frame, row, column)
        As stored, without rescaling.

    Raises
    ------
    DataError
        When no installed decoder knows the transfer syntax, or the voxels are damaged.
    """
    from pydicom.pixels.decoders.base import get_decoder

    syntax = getattr(getattr(content, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is None:
        msg = f"{name} must name its transfer syntax, without which its voxels cannot be decoded"
        raise DataError(msg)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        msg = f"{name} holds no voxels of a kind that can be decoded: transfer syntax {syntax.name}"
        raise DataError(msg) from error
    if not decoder.is_available:
        needed = "; or ".join(decoder.missing_dependencies)
        msg = (
            f"{name} is compressed as {syntax.name} ({syntax}), for which no decoder is installed: "
            f"{needed} (pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg)"
        )
        raise DataError(msg)
    try:
        values = np.asarray(content.pixel_array)
    except _damage() as error:
        msg = f"the voxels of {name} ({syntax.name}) cannot be decoded: {_told(error)}"
        raise DataError(msg) from error
    frames = numbers_of(content, "NumberOfFrames", 1)
    return values if values.ndim == 3 and (frames or (1,))[0] > 1 else values[None]


def _told(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
