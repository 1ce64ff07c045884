"""DICOM series with SEG and RTSTRUCT: intensities, grids and structures, oblique and anisotropic."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
import SimpleITK
from dicom_files import (
    PATIENT,
    PATIENT_ID,
    PRIVATE,
    Grid,
    enhanced,
    image_slices,
    save,
    segmentation,
    structure_set,
)
from numpy.typing import NDArray
from pydicom.uid import JPEGLSLossless, RLELossless
from volumes import SHAPE_ZYX, SPACING_ZYX, box

from auditor.cases import Choice, difference, read_mask, read_volume
from auditor.cases.dicom import Converted, convert
from auditor.schema import Geometry

sitk: Any = SimpleITK  # untyped

STORED = np.arange(np.prod(SHAPE_ZYX), dtype=np.int16).reshape(SHAPE_ZYX) - 100
ORGAN = box().astype(bool)
LESION = box((3, 0, 0), (5, 2, 2)).astype(bool)


def expected(grid: Grid) -> Geometry:
    """The grid as SimpleITK stores it: array axes are the columns of the matrix, reversed."""
    return Geometry(
        shape=SHAPE_ZYX,
        spacing=grid.spacing,
        direction=tuple(tuple(float(v) for v in grid.matrix[:, i]) for i in (2, 1, 0)),
        origin=grid.origin,
    )


def write_seg_study(folder: Path, **changes: Any) -> list[Any]:
    slices = image_slices(STORED, **changes)
    save(folder / "scan", slices)
    save(folder / "seg", [segmentation(slices, {"organ": ORGAN, "lesion": LESION})], "s")
    return slices


def converted(folder: Path, **choice: Any) -> Converted:
    return convert(folder / "data", folder / "volumes", Choice(**choice))


def image_of(found: Converted, index: int = 0) -> tuple[NDArray[np.float32], Geometry]:
    image, geometry = read_volume(found.gathered.cases[index].images)
    return image[0].numpy(), geometry


def mask_of(found: Converted, index: int = 0) -> NDArray[np.int16]:
    mask, _ = read_mask(str(found.gathered.cases[index].reference))
    return mask.numpy()


def test_a_series_becomes_a_volume_on_its_own_oblique_grid(tmp_path: Path) -> None:
    write_seg_study(tmp_path / "data")
    found = converted(tmp_path)
    image, geometry = image_of(found)
    assert difference(geometry, expected(Grid())) == ""
    assert geometry.spacing == pytest.approx(SPACING_ZYX)
    np.testing.assert_array_equal(image, STORED)
    mask, grid = read_mask(str(found.gathered.cases[0].reference))
    assert difference(geometry, grid) == ""
    np.testing.assert_array_equal(mask.numpy(), ORGAN + 2 * LESION)
    assert found.gathered.labels == (("organ", 1), ("lesion", 2))
    assert found.gathered.modality == "mr"
    # 2.5 mm slices, 3 mm apart, along the largest spacing
    assert dict(found.gathered.cases[0].metadata) == {"slice_thickness_mm": "2.5"}


def test_voxels_and_grid_are_those_that_gdcm_reads(tmp_path: Path) -> None:
    write_seg_study(tmp_path / "data", slope=1.5, intercept=-7.25)
    image, geometry = image_of(converted(tmp_path))
    folder = str(tmp_path / "data" / "scan")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    theirs = reader.Execute()
    np.testing.assert_allclose(image, sitk.GetArrayFromImage(theirs), rtol=1e-6)
    assert geometry.spacing == pytest.approx(theirs.GetSpacing()[::-1])
    assert geometry.origin == pytest.approx(theirs.GetOrigin())
    matrix = np.asarray(theirs.GetDirection()).reshape(3, 3)
    np.testing.assert_allclose(np.asarray(geometry.direction), matrix.T[::-1], atol=1e-6)


def test_rescaling_is_that_of_each_slice(tmp_path: Path) -> None:
    slices = image_slices(STORED, modality="CT", slope=2.0, intercept=-1024.5)
    slices[1].RescaleSlope = 0.5
    save(tmp_path / "data", slices)
    save(tmp_path / "data", [segmentation(slices, {"organ": ORGAN})], "s")
    image, _ = image_of(found := converted(tmp_path))
    slope = np.array([2.0, 0.5, 2.0, 2.0, 2.0])[:, None, None]
    np.testing.assert_array_equal(image, STORED * slope - 1024.5)
    assert found.gathered.modality == "ct"


def test_slices_that_run_against_their_normal_are_turned_with_their_grid(tmp_path: Path) -> None:
    grid = Grid(matrix=Grid().matrix @ np.diag([1.0, 1.0, -1.0]))
    slices = write_seg_study(tmp_path / "data", grid=grid)
    found = converted(tmp_path)
    image, geometry = image_of(found)
    np.testing.assert_array_equal(image, STORED[::-1])
    # the last slice of the list is the first along row x column
    assert geometry.origin == pytest.approx([float(v) for v in slices[-1].ImagePositionPatient])
    np.testing.assert_array_equal(mask_of(found), (ORGAN + 2 * LESION)[::-1])


def test_a_multi_frame_object_is_the_same_volume(tmp_path: Path) -> None:
    slices = image_slices(STORED)
    made = enhanced([slices[i] for i in (3, 0, 4, 1, 2)], slopes=[1, 2, 1, 1, 1])
    save(tmp_path / "data", [made])
    grid = Grid()
    contour = [grid.at(2, y, x) for y, x in ((0.5, 0.5), (0.5, 3.5), (2.5, 3.5), (2.5, 0.5))]
    structures = structure_set([made], {"organ": [contour]})
    save(tmp_path / "data", [structures], "r")
    found = converted(tmp_path)
    image, geometry = image_of(found)
    assert difference(geometry, expected(grid)) == ""
    np.testing.assert_array_equal(image, STORED * np.array([2, 1, 1, 1, 1])[:, None, None])
    drawn = np.zeros(SHAPE_ZYX, int)
    drawn[2, 1:3, 1:4] = 1
    np.testing.assert_array_equal(mask_of(found), drawn)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_voxels_are_the_same_voxels(tmp_path: Path, syntax: str) -> None:
    slices = image_slices(np.abs(STORED))
    save(tmp_path / "data", [segmentation(slices, {"organ": ORGAN})], "s")
    for it in slices:
        it.compress(syntax, generate_instance_uid=False)
    save(tmp_path / "data", slices)
    np.testing.assert_array_equal(image_of(converted(tmp_path))[0], np.abs(STORED))


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_segments_lie_where_highdicom_reads_them(tmp_path: Path, kind: str) -> None:
    slices = image_slices(STORED)
    save(tmp_path / "data", slices)
    made = segmentation(slices, {"organ": ORGAN, "lesion": LESION}, kind=kind)
    (path,) = save(tmp_path / "data", [made], "s")
    found = converted(tmp_path)
    # highdicom's own reading, for the images in the order of the volume
    read = highdicom.seg.segread(path)
    uids = [it.SOPInstanceUID for it in slices]
    theirs = read.get_pixels_by_source_instance(
        source_sop_instance_uids=uids, assert_missing_frames_are_empty=True
    )
    both = theirs[..., 0] + 2 * theirs[..., 1]
    assert both.sum() == ORGAN.sum() + 2 * LESION.sum()
    np.testing.assert_array_equal(mask_of(found), both)


def test_half_of_a_fraction_is_foreground_and_less_is_not(tmp_path: Path) -> None:
    """Of at most 200 a voxel has 99, all the others of the organ have 100."""
    slices = image_slices(STORED)
    save(tmp_path / "data", slices)
    made = segmentation(slices, {"organ": ORGAN}, kind="FRACTIONAL")
    values = np.frombuffer(made.PixelData, np.uint8).copy()
    values[values > 0] = 100
    values[np.flatnonzero(values)[0]] = 99
    made.MaximumFractionalValue = 200
    made.PixelData = values.tobytes()
    save(tmp_path / "data", [made], "s")
    found = mask_of(converted(tmp_path)) == 1
    assert not found[~ORGAN].any()
    assert found.sum() == ORGAN.sum() - 1


def test_a_cropped_and_flipped_segmentation_lands_on_its_voxels(tmp_path: Path) -> None:
    grid = Grid()
    slices = image_slices(STORED, grid)
    save(tmp_path / "data", slices)
    made = segmentation(slices, {"organ": ORGAN})
    # rows 6..2 and columns 8..3 of slice 2, as a frame that runs the other way
    frame = np.zeros((5, 6), np.uint8)
    frame[0, 0] = 1  # voxel (2, 6, 8)
    frame[4, 5] = 1  # voxel (2, 2, 3)
    frame[1, 3] = 1  # voxel (2, 5, 5)
    own = made.PerFrameFunctionalGroupsSequence[0]
    own.PlanePositionSequence[0].ImagePositionPatient = grid.at(2, 6, 8)
    shared = made.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [-it for it in grid.orientation]
    made.PerFrameFunctionalGroupsSequence = made.PerFrameFunctionalGroupsSequence[:1]
    made.NumberOfFrames = 1
    made.Rows, made.Columns = frame.shape
    made.PixelData = np.packbits(frame.ravel(), bitorder="little").tobytes()
    save(tmp_path / "data", [made], "s")
    drawn = np.zeros(SHAPE_ZYX, int)
    drawn[2, 6, 8] = drawn[2, 2, 3] = drawn[2, 5, 5] = 1
    np.testing.assert_array_equal(mask_of(converted(tmp_path)), drawn)


def test_holes_keyholes_and_islands_of_contours_follow_the_even_odd_rule(tmp_path: Path) -> None:
    grid = Grid()
    slices = image_slices(STORED, grid)

    def ring(z: int, *corners: tuple[float, float]) -> list[list[float]]:
        return [grid.at(z, y, x) for y, x in corners]

    def square(z: int, low: float, high: float) -> list[list[float]]:
        return ring(z, (low, low), (low, high), (high, high), (high, low))

    keyhole = ring(
        3,
        (0.5, 0.5), (0.5, 5.5), (5.5, 5.5), (5.5, 0.5), (0.5, 0.5),  # outside
        (1.5, 1.5), (4.5, 1.5), (4.5, 4.5), (1.5, 4.5), (1.5, 1.5),  # inside, the other way
    )  # fmt: skip
    contours = {
        "organ": [square(1, 0.5, 5.5), square(1, 1.5, 4.5), square(1, 2.5, 3.5), keyhole],
        "lesion": [ring(4, (-3.0, -3.0), (-3.0, 1.5), (1.5, 1.5), (1.5, -3.0))],
    }
    save(tmp_path / "data", [*slices, structure_set(slices, contours)])
    found = converted(tmp_path, labels=("organ", "lesion"))
    drawn = np.zeros(SHAPE_ZYX, int)
    ringed = np.zeros((7, 9), int)
    ringed[1:6, 1:6], ringed[2:5, 2:5] = 1, 0
    drawn[1] = drawn[3] = ringed
    drawn[1, 3, 3] = 1  # an island in the hole
    drawn[4, :2, :2] = 2  # cut off at the border of the scan
    np.testing.assert_array_equal(mask_of(found), drawn)
    assert any("no contour in 1 slices" in note for note in found.gathered.notes)


def test_neighbouring_contours_through_voxel_centres_share_no_voxel(tmp_path: Path) -> None:
    grid = Grid()
    slices = image_slices(STORED, grid)

    def stripe(left: float, right: float) -> list[list[float]]:
        corners = ((1, left), (1, right), (4, right), (4, left))
        return [grid.at(2, y, x) for y, x in corners]

    contours = {"left": [stripe(1, 4)], "right": [stripe(4, 7)]}
    save(tmp_path / "data", [*slices, structure_set(slices, contours)])
    mask = mask_of(converted(tmp_path))[2]
    assert np.argwhere(mask == 1).min(0).tolist() == [1, 1]
    assert np.argwhere(mask == 1).max(0).tolist() == [3, 3]
    assert np.argwhere(mask == 2).min(0).tolist() == [1, 4]
    assert np.argwhere(mask == 2).max(0).tolist() == [3, 6]


def test_a_tilted_ellipse_fills_the_voxels_whose_centres_it_holds(tmp_path: Path) -> None:
    grid = Grid()
    slices = image_slices(STORED, grid)
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    turned = np.array([[0.8, -0.6], [0.6, 0.8]])
    drawn = turned @ np.array([2.6 * np.cos(angle), 1.7 * np.sin(angle)])
    corners = drawn.T + np.array([3.1, 4.2])
    contour = [grid.at(0, y, x) for y, x in corners]
    save(tmp_path / "data", [*slices, structure_set(slices, {"organ": [contour]})])
    y, x = np.mgrid[:7, :9]
    back = np.tensordot(turned.T, np.array([y - 3.1, x - 4.2]), axes=1)
    inside = (back[0] / 2.6) ** 2 + (back[1] / 1.7) ** 2 < 1
    assert inside.sum() > 10
    np.testing.assert_array_equal(mask_of(converted(tmp_path))[0], inside)


def test_patients_and_cases_have_names_of_their_own_and_one_file_says_whose(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for index, patient in enumerate((PATIENT_ID, "MRN-0815", PATIENT_ID)):
        write_seg_study(data / f"alice-{index}", patient_id=patient)
    found = converted(tmp_path)
    told = [(it.case, it.patient) for it in found.gathered.cases]
    # MRN-0815 comes before MRN-4711
    assert told == [("case001", "patient001"), ("case002", "patient002"), ("case003", "patient002")]
    assert found.gathered.names_patients
    first, *lines = found.identities.read_text().splitlines()
    assert "must not leave the machine" in first
    rows = list(csv.DictReader(lines))
    assert [(it["case"], it["patient_id"]) for it in rows] == [
        ("case001", "MRN-0815"),
        ("case002", PATIENT_ID),
        ("case003", PATIENT_ID),
    ]
    assert found.identities.stat().st_mode & 0o077 == 0
    assert found.identities.parent == tmp_path
    written = [it for it in (tmp_path / "volumes").rglob("*") if it.is_file()]
    assert len(written) == 6
    secrets = [
        it.encode() for it in (PATIENT, PATIENT_ID, PRIVATE, "MRN", "Hatter", "1852", "alice")
    ]
    for path in written:
        content = gzip.decompress(path.read_bytes())
        assert not [it for it in secrets if it in content or it.decode() in str(path.name)]


def test_the_same_series_are_the_same_bytes(tmp_path: Path) -> None:
    write_seg_study(tmp_path / "data")
    contents = []
    for name in ("one", "two"):
        convert(tmp_path / "data", tmp_path / name)
        contents.append([it.read_bytes() for it in sorted((tmp_path / name).rglob("*.gz"))])
    assert contents[0] == contents[1]


def test_several_raters_are_told_apart_by_their_descriptions(tmp_path: Path) -> None:
    slices = image_slices(STORED)
    save(tmp_path / "data", slices)
    for name, mask in (("by A", ORGAN), ("by B", LESION)):
        save(tmp_path / "data", [segmentation(slices, {"organ": mask}, description=name)], name)
    found = converted(tmp_path, raters=("by B", "by A"))
    (record,) = found.gathered.cases
    assert record.reference is None
    first, second = (read_mask(path)[0].numpy() for path in record.raters)
    np.testing.assert_array_equal(first, LESION)
    np.testing.assert_array_equal(second, ORGAN)
    one = convert(tmp_path / "data", tmp_path / "other", Choice(references="by B"))
    np.testing.assert_array_equal(mask_of(one), LESION)


def test_labels_that_are_numbered_differently_get_one_number_by_name(tmp_path: Path) -> None:
    for place, names in (("a", ("organ", "lesion")), ("b", ("lesion", "organ"))):
        slices = image_slices(STORED, patient_id=place)
        save(tmp_path / "data" / place, slices)
        masks = {"organ": ORGAN, "lesion": LESION}
        made = segmentation(slices, {name: masks[name] for name in names})
        save(tmp_path / "data" / place, [made], "s")
    found = converted(tmp_path)
    assert found.gathered.labels == (("lesion", 1), ("organ", 2))
    for index in (0, 1):
        np.testing.assert_array_equal(mask_of(found, index), 2 * ORGAN + LESION)
    assert any("numbered in the order of their names" in it for it in found.gathered.notes)


def test_series_without_a_patient_count_as_patients_of_their_studies(tmp_path: Path) -> None:
    for name, study in (("a", "1.2.3"), ("b", "1.2.3"), ("c", "1.2.4")):
        write_seg_study(tmp_path / "data" / name, patient_id="", study=study)
    found = converted(tmp_path)
    assert [it.patient for it in found.gathered.cases] == ["patient001", "patient001", "patient002"]
    assert any("3 series have no PatientID" in it for it in found.gathered.notes)
