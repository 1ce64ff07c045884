"""DICOM files of oblique, anisotropic scans, written by pydicom and highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import highdicom
import numpy as np
import pydicom
from highdicom.sr.coding import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from volumes import ORIGIN_XYZ, SPACING_ZYX, oblique

PATIENT = "Wonderland^Alice"
PATIENT_ID = "MRN-4711-ALICE"
"""What must be found nowhere."""
PRIVATE = "SECRET-VENDOR-BLOCK"

_TISSUE = CodedConcept("85756007", "SCT", "Tissue")


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a series lie."""

    spacing: tuple[float, ...] = SPACING_ZYX
    origin: tuple[float, ...] = ORIGIN_XYZ
    matrix: NDArray[np.float64] = field(default_factory=oblique)
    """Columns: directions of x (columns), y (rows), z (slices)."""

    def at(self, z: float, y: float, x: float) -> list[float]:
        """Position in mm of a voxel, also between them."""
        step = np.asarray(self.spacing[::-1]) * (x, y, z)
        return [float(value) for value in np.asarray(self.origin) + self.matrix @ step]

    @property
    def orientation(self) -> list[float]:
        """ImageOrientationPatient."""
        return [float(value) for value in (*self.matrix[:, 0], *self.matrix[:, 1])]


def _meta(sop_class: str, instance: str) -> FileMetaDataset:
    meta: Any = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return cast("FileMetaDataset", meta)


def new_dataset(sop_class: str, *, study: str, patient_id: str = PATIENT_ID) -> Any:
    """A dataset with the attributes that every object has."""
    instance = generate_uid()
    dataset: Any = FileDataset("", {}, file_meta=_meta(sop_class, instance), preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = instance
    dataset.StudyInstanceUID = study
    dataset.PatientID = patient_id
    dataset.PatientName = PATIENT
    dataset.PatientBirthDate = "18520504"
    dataset.PatientSex = "F"
    dataset.StudyID = "1"
    dataset.StudyDate = "20200102"
    dataset.StudyTime = "101112"
    dataset.AccessionNumber = "ACC-99"
    dataset.ReferringPhysicianName = "Hatter^Mad"
    dataset.Manufacturer = "Maker"
    dataset.SeriesNumber = 3
    block = dataset.private_block(0x0011, "VENDOR", create=True)
    block.add_new(0x01, "LO", PRIVATE)
    return dataset


def image_slices(
    stored: NDArray[np.int16],
    grid: Grid | None = None,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    patient_id: str = PATIENT_ID,
    modality: str = "MR",
    study: str = "",
) -> list[Any]:
    """One single-frame dataset per slice of (z, y, x), all of one series."""
    where = grid or Grid()
    series, frame, study = generate_uid(), generate_uid(), study or generate_uid()
    slices = []
    for index, plane in enumerate(stored):
        sop_class = CTImageStorage if modality == "CT" else MRImageStorage
        dataset = new_dataset(sop_class, study=study, patient_id=patient_id)
        dataset.Modality = modality
        dataset.SeriesInstanceUID = series
        dataset.FrameOfReferenceUID = frame
        dataset.PositionReferenceIndicator = ""
        dataset.InstanceNumber = len(stored) - index  # against the positions
        dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        dataset.Rows, dataset.Columns = plane.shape
        dataset.PixelSpacing = [where.spacing[1], where.spacing[2]]
        dataset.ImageOrientationPatient = where.orientation
        dataset.ImagePositionPatient = where.at(index, 0, 0)
        dataset.SliceThickness = 2.5
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.PixelRepresentation = 1
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.PixelData = plane.astype("<i2").tobytes()
        slices.append(dataset)
    return slices


def save(folder: Path, datasets: Sequence[Any], name: str = "i") -> list[Path]:
    """Write datasets in an order that says nothing of their places."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(3).permutation(len(datasets))
    paths = []
    for number, index in enumerate(order):
        path = folder / f"{name}{number:03d}.dcm"
        datasets[index].save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def segmentation(
    slices: Sequence[Any],
    masks: dict[str, NDArray[np.bool_]],
    *,
    kind: str = "BINARY",
    description: str = "drawn by A",
    syntax: str = ExplicitVRLittleEndian,
) -> Any:
    """A SEG object by highdicom; segments are numbered from 1 in the order of the names."""
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=_TISSUE,
            segmented_property_type=_TISSUE,
            algorithm_type="MANUAL",
        )
        for number, name in enumerate(masks, start=1)
    ]
    pixels: NDArray[Any] = np.stack(list(masks.values()), axis=-1)
    if kind == "LABELMAP":
        pixels = sum(
            (mask.astype(np.uint8) * number for number, mask in enumerate(masks.values(), 1)),
            start=np.zeros(pixels.shape[:-1], np.uint8),
        )
    elif kind == "FRACTIONAL":
        pixels = pixels.astype(np.float32)
    else:
        pixels = pixels.astype(np.uint8)
    made = highdicom.seg.Segmentation(
        source_images=list(slices),
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Drawer",
        manufacturer_model_name="Pencil",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=syntax,
    )
    made.SeriesDescription = description
    return made


def structure_set(
    slices: Sequence[Any],
    contours: dict[str, list[list[list[float]]]],
    *,
    label: str = "plan",
    kind: str = "CLOSED_PLANAR",
) -> Any:
    """An RTSTRUCT with closed contours: name -> contours -> points (x, y, z) in mm."""
    first = slices[0]
    dataset = new_dataset(
        "1.2.840.10008.5.1.4.1.1.481.3", study=first.StudyInstanceUID, patient_id=first.PatientID
    )
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = generate_uid()
    dataset.StructureSetLabel = label
    series = Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = Items([_reference(it) for it in slices])
    study = Dataset()
    study.RTReferencedSeriesSequence = Items([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = Items([study])
    dataset.ReferencedFrameOfReferenceSequence = Items([frame])
    names, rois = [], []
    for number, (name, drawn) in enumerate(contours.items(), start=11):
        named = Dataset()
        named.ROINumber, named.ROIName = number, name
        named.ReferencedFrameOfReferenceUID = first.FrameOfReferenceUID
        names.append(named)
        roi = Dataset()
        roi.ReferencedROINumber = number
        roi.ContourSequence = Items([_contour(points, kind) for points in drawn])
        rois.append(roi)
    dataset.StructureSetROISequence = Items(names)
    dataset.ROIContourSequence = Items(rois)
    return dataset


def _reference(image: Any) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return item


def _contour(points: Sequence[Sequence[float]], kind: str) -> Dataset:
    contour = Dataset()
    contour.ContourGeometricType = kind
    contour.NumberOfContourPoints = len(points)
    contour.ContourData = [f"{value:.6f}" for point in points for value in point]
    return contour


def enhanced(slices: Sequence[Any], slopes: Sequence[float] = ()) -> Any:
    """The same series as one multi-frame object, its frames in the order of the list."""
    first = slices[0]
    dataset = new_dataset(
        "1.2.840.10008.5.1.4.1.1.4.1", study=first.StudyInstanceUID, patient_id=first.PatientID
    )
    for keyword in (
        "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns", "SamplesPerPixel", "Modality",
        "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    ):  # fmt: skip
        setattr(dataset, keyword, getattr(first, keyword))
    dataset.NumberOfFrames = len(slices)
    shared, measures, turned = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = first.PixelSpacing
    measures.SliceThickness = first.SliceThickness
    turned.ImageOrientationPatient = first.ImageOrientationPatient
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([turned])
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for index, image in enumerate(slices):
        own, place, values = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = image.ImagePositionPatient
        values.RescaleSlope = slopes[index] if slopes else image.RescaleSlope
        values.RescaleIntercept = image.RescaleIntercept
        own.PlanePositionSequence = Items([place])
        own.PixelValueTransformationSequence = Items([values])
        frames.append(own)
    dataset.PerFrameFunctionalGroupsSequence = Items(frames)
    dataset.PixelData = b"".join(image.PixelData for image in slices)
    return dataset


def read_back(path: Path) -> Any:
    """Read a written file whole."""
    return pydicom.dcmread(path)
