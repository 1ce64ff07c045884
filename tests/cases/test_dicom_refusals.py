"""DICOM that is incomplete, mixed or foreign: every problem in a sentence, nothing left behind."""

from __future__ import annotations

import builtins
import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import (
    PATIENT_ID,
    Grid,
    enhanced,
    image_slices,
    save,
    segmentation,
    structure_set,
)
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEGLosslessSV1, generate_uid
from volumes import SHAPE_ZYX, box

from auditor.cases import Choice, gather, read_mask
from auditor.cases.dicom import convert
from auditor.errors import DataError

STORED = np.arange(np.prod(SHAPE_ZYX), dtype=np.int16).reshape(SHAPE_ZYX)
ORGAN = box().astype(bool)
"""2 x 3 x 3 = 18 voxels."""


def slices_and_seg() -> tuple[list[Any], Any]:
    slices = image_slices(STORED)
    return slices, segmentation(slices, {"organ": ORGAN})


def problems_of(folder: Path, **choice: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        convert(folder / "data", folder / "volumes", Choice(**choice))
    assert str(folder) not in str(caught.value)
    assert PATIENT_ID not in str(caught.value)
    left = [it.name for it in folder.iterdir() if it.name != "data"]
    assert left == []
    return caught.value.problems


def drop(index: int) -> Callable[[list[Any]], None]:
    return lambda slices: slices.pop(index)


def turn(slices: list[Any]) -> None:
    slices[2].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


def shift_along(slices: list[Any]) -> None:
    slices[2].ImagePositionPatient = Grid().at(2.3, 0, 0)


def shift_across(slices: list[Any]) -> None:
    for index, it in enumerate(slices):
        it.ImagePositionPatient = Grid().at(index, 0.4 * index, 0)


def echo(slices: list[Any]) -> None:
    for it in list(slices):
        other = copy.deepcopy(it)
        other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        it.EchoTime, other.EchoTime = 10, 20
        slices.append(other)


def resize(slices: list[Any]) -> None:
    slices[1].Rows, slices[1].PixelData = 6, slices[1].PixelData[: 6 * 9 * 2]


def widen(slices: list[Any]) -> None:
    slices[1].PixelSpacing = [0.8, 0.9]


def unplace(slices: list[Any]) -> None:
    del slices[1].ImagePositionPatient


def colour(slices: list[Any]) -> None:
    slices[0].PhotometricInterpretation = "RGB"


def table(slices: list[Any]) -> None:
    slices[0].ModalityLUTSequence = [copy.deepcopy(slices[1])]


def cut(slices: list[Any]) -> None:
    slices[3].PixelData = slices[3].PixelData[:40]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (drop(2), r"slices are missing: its images lie 3 mm apart .* gaps: 1 between"),
        (
            drop(4),
            r"slices are missing: s000\.dcm refers to . images, 1 of them are not in the folder",
        ),
        (turn, r"must have one orientation, 1 of 5 have another"),
        (shift_along, r"must lie evenly apart, the distances run from 2\.1 to 3\.9 mm"),
        (shift_across, r"slide by up to 1\.28 mm across their normal \(a tilted gantry\?\)"),
        (echo, r"10 images must lie at positions of their own, 5 lie .* they differ in EchoTime"),
        (resize, r"must have one size, there are 6 x 9 and 7 x 9"),
        (widen, r"must have one spacing, "),
        (unplace, r"must say where its voxels lie, it lacks ImagePositionPatient"),
        (colour, r"must hold grey values \(MONOCHROME2\), it holds RGB"),
        (table, r"must have a rescale slope and intercept, it has a modality table"),
        (cut, r"the voxels of i\d+\.dcm .* cannot be decoded"),
    ],
)
def test_a_series_that_is_no_even_straight_volume_is_refused(
    tmp_path: Path, damage: Callable[[list[Any]], None], told: str
) -> None:
    slices = image_slices(STORED)
    made = segmentation(slices, {"organ": np.ones(SHAPE_ZYX, bool)})
    damage(slices)
    save(tmp_path / "data", slices)
    save(tmp_path / "data", [made], "s")
    (problem,) = problems_of(tmp_path)
    assert re.search(told, problem), problem
    assert problem.startswith(("series 3", "i0"))


def test_problems_of_all_series_come_at_once(tmp_path: Path) -> None:
    for name, damage in (("a", drop(2)), ("b", turn), ("c", drop(0))):
        slices, made = slices_and_seg()
        damage(slices)
        save(tmp_path / "data" / name, slices)
        save(tmp_path / "data" / name, [made], "s")
    (tmp_path / "data" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    problems = problems_of(tmp_path)
    assert len(problems) == 4
    assert {it.split(" ")[0] for it in problems} == {"broken.dcm", "series"}
    assert sum("series 3 in" in it for it in problems) == 3


def test_the_same_file_twice_counts_once_and_another_of_its_name_is_refused(
    tmp_path: Path,
) -> None:
    slices, made = slices_and_seg()
    save(tmp_path / "data", [*slices, made])
    save(tmp_path / "data" / "copy", slices)
    found = convert(tmp_path / "data", tmp_path / "volumes")
    assert len([it for it in found.gathered.notes if "is a copy of" in it]) == 5
    slices[0].RescaleSlope = 3
    save(tmp_path / "data" / "copy", slices)
    with pytest.raises(DataError, match="have one SOPInstanceUID and different contents"):
        convert(tmp_path / "data", tmp_path / "other")


def test_structures_of_a_series_that_is_not_there_are_named(tmp_path: Path) -> None:
    slices, made = slices_and_seg()
    other, foreign = slices_and_seg()
    assert len(other) == 5
    save(tmp_path / "data", [*slices, made])
    save(tmp_path / "data", [foreign], "foreign")
    (problem,) = problems_of(tmp_path)
    assert problem.startswith("foreign000.dcm refers to a series that is not in the folder")


def test_a_segmentation_without_the_name_of_its_series_is_placed_by_its_images(
    tmp_path: Path,
) -> None:
    slices, made = slices_and_seg()
    del made.ReferencedSeriesSequence
    save(tmp_path / "data", [*slices, made])
    save(tmp_path / "data" / "more", image_slices(STORED))
    found = convert(tmp_path / "data", tmp_path / "volumes")
    assert len(found.gathered.cases) == 1
    (note,) = found.gathered.notes
    assert note == "1 series have no SEG or RTSTRUCT and are left out: series 3 in more (5 files)"


def test_images_alone_and_several_objects_need_a_word(tmp_path: Path) -> None:
    slices = image_slices(STORED)
    save(tmp_path / "data", slices)
    (problem,) = problems_of(tmp_path)
    assert "there must be SEG or RTSTRUCT objects for the 1 series" in problem
    for name in ("by A", "by B"):
        made = segmentation(slices, {"organ": ORGAN}, description=name)
        save(tmp_path / "data", [made], name)
    (problem,) = problems_of(tmp_path)
    assert "it has 2: by A, by B. Say which one counts (--references 'by A')" in problem
    (problem,) = problems_of(tmp_path, references="by C")
    assert "must have one SEG or RTSTRUCT 'by C', it has 0" in problem


def test_structures_that_overlap_are_named_with_their_share(tmp_path: Path) -> None:
    slices = image_slices(STORED)
    body = np.ones(SHAPE_ZYX, bool)
    save(tmp_path / "data", [*slices, segmentation(slices, {"organ": ORGAN, "body": body})])
    (problem,) = problems_of(tmp_path)
    assert "'organ' and 'body' share 18 voxels; choose the structures that count" in problem
    found = convert(tmp_path / "data", tmp_path / "volumes", Choice(labels=("body",)))
    assert found.gathered.labels == (("body", 1),)
    (problem,) = problems_of_labels(tmp_path, ("bodi",))
    assert "the structures bodi must be in a SEG or RTSTRUCT; there are body, organ" in problem


def problems_of_labels(folder: Path, labels: tuple[str, ...]) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        convert(folder / "data", folder / "elsewhere", Choice(labels=labels))
    return caught.value.problems


def moved_seg(change: Callable[[Any], None]) -> Callable[[], list[Any]]:
    def made() -> list[Any]:
        slices, seg = slices_and_seg()
        change(seg)
        return [*slices, seg]

    return made


def half_a_voxel(seg: Any) -> None:
    for own in seg.PerFrameFunctionalGroupsSequence:
        place = own.PlanePositionSequence[0]
        place.ImagePositionPatient = Grid().at(1, 0.5, 0)


def beyond(seg: Any) -> None:
    seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[
        0
    ].ImagePositionPatient = Grid().at(7, 0, 0)


def coarser(seg: Any) -> None:
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [1.6, 1.4]


def thicker(seg: Any) -> None:
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 6


def tilted(seg: Any) -> None:
    turned = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    turned.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (half_a_voxel, "a frame lies 0.5 of a voxel beside them; nothing is resampled silently"),
        (beyond, "a frame has 9 voxels outside of it (are slices of the scan missing?)"),
        (coarser, "the pixels of its frames have another size or direction"),
        (thicker, "must have the slices of its scan, 3 mm apart; its own are 6 mm apart"),
        (tilted, "the pixels of its frames have another size or direction"),
    ],
)
def test_a_segmentation_on_another_grid_is_never_resampled(
    tmp_path: Path, change: Callable[[Any], None], told: str
) -> None:
    save(tmp_path / "data", moved_seg(change)())
    (problem,) = problems_of(tmp_path)
    assert told in problem


def triangle(z: float, lift: float = 0.0) -> list[list[float]]:
    grid = Grid()
    return [grid.at(z, 1, 1), grid.at(z + lift, 1, 5), grid.at(z, 5, 3)]


@pytest.mark.parametrize(
    ("contour", "kind", "told"),
    [
        (triangle(1.5), "CLOSED_PLANAR", "some lie 0.5 of a slice beside it"),
        (triangle(1, lift=0.4), "CLOSED_PLANAR", "some lie 0.4 of a slice beside it"),
        (triangle(6), "CLOSED_PLANAR", "one lies in slice 6 (counted from 0; are slices missing?)"),
        (triangle(2)[:2], "CLOSED_PLANAR", "at least 3 points of 3 numbers, one has 6 numbers"),
        (triangle(2), "OPEN_PLANAR", "contours must be CLOSED_PLANAR, one is OPEN_PLANAR"),
    ],
)
def test_contours_that_lie_in_no_slice_are_refused(
    tmp_path: Path, contour: list[list[float]], kind: str, told: str
) -> None:
    slices = image_slices(STORED)
    made = structure_set(slices, {"organ": [triangle(2), contour]}, kind=kind)
    save(tmp_path / "data", [*slices, made])
    (problem,) = problems_of(tmp_path)
    assert told in problem
    assert "'organ'" in problem


def test_a_contour_that_stands_twice_does_not_cancel_itself(tmp_path: Path) -> None:
    slices = image_slices(STORED)
    save(tmp_path / "data", [*slices, structure_set(slices, {"organ": [triangle(2)] * 2})])
    found = convert(tmp_path / "data", tmp_path / "volumes")
    assert any("stands twice in slice 2; it counts once" in it for it in found.gathered.notes)
    mask, _ = read_mask(str(found.gathered.cases[0].reference))
    assert int(mask.sum()) > 4


def test_frames_without_places_are_refused(tmp_path: Path) -> None:
    slices = image_slices(STORED)
    made = enhanced(slices)
    structures = structure_set([made], {"organ": [triangle(2)]})
    del made.PerFrameFunctionalGroupsSequence
    save(tmp_path / "data", [made, structures])
    (problem,) = problems_of(tmp_path)
    assert "has 5 frames and does not say where each of them lies" in problem


def test_a_transfer_syntax_without_a_decoder_names_what_to_install(tmp_path: Path) -> None:
    if get_decoder(JPEGLosslessSV1).is_available:
        pytest.skip("a decoder of JPEG Lossless is installed here")
    slices, made = slices_and_seg()
    slices[2].file_meta.TransferSyntaxUID = JPEGLosslessSV1
    slices[2].PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    slices[2]["PixelData"].is_undefined_length = True
    save(tmp_path / "data", [*slices, made])
    (problem,) = problems_of(tmp_path)
    assert "JPEG Lossless" in problem
    assert "1.2.840.10008.1.2.4.70" in problem
    assert "pip install pylibjpeg pylibjpeg-libjpeg" in problem


def test_without_pydicom_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices, made = slices_and_seg()
    save(tmp_path / "data", [*slices, made])
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "pydicom":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"pip install 'segaudit\[dicom\]'"):
        convert(tmp_path / "data", tmp_path / "volumes")


def test_an_audit_of_dicom_says_how_to_convert_it(tmp_path: Path) -> None:
    slices, made = slices_and_seg()
    save(tmp_path / "data", [*slices, made])
    with pytest.raises(DataError, match=r"segaudit cases data --volumes volumes -o cases\.csv"):
        gather(tmp_path / "data")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    slices, made = slices_and_seg()
    save(tmp_path / "data", [*slices, made])
    (tmp_path / "volumes").mkdir()
    (tmp_path / "volumes" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="new or empty folder, volumes holds something"):
        convert(tmp_path / "data", tmp_path / "volumes")
    (tmp_path / "volumes" / "mine.txt").unlink()
    convert(tmp_path / "data", tmp_path / "volumes")
    with pytest.raises(DataError, match="holds something already"):
        convert(tmp_path / "data", tmp_path / "volumes")


def damaged(content: bytes, draw: np.random.Generator) -> bytes:
    """Change, cut, drop or insert a few bytes behind the preamble."""
    changed = bytearray(content)
    at = int(draw.integers(200, len(changed) - 40))
    match int(draw.integers(4)):
        case 0:
            for _ in range(4):
                changed[int(draw.integers(132, len(changed)))] = int(draw.integers(256))
        case 1:
            del changed[at:]
        case 2:
            del changed[at : at + int(draw.integers(1, 40))]
        case _:
            changed[at:at] = draw.bytes(int(draw.integers(1, 20)))
    return bytes(changed)


@pytest.mark.parametrize("kind", ["seg", "rtstruct", "enhanced"])
def test_damaged_bytes_end_in_a_sentence_or_in_whole_volumes(tmp_path: Path, kind: str) -> None:
    slices, made = slices_and_seg()
    images = [enhanced(slices)] if kind == "enhanced" else slices
    objects = made if kind == "seg" else structure_set(images, {"organ": [triangle(2)]})
    paths = save(tmp_path / "data", [*images, objects])
    draw = np.random.default_rng(5)
    refusals: list[str] = []
    for number in range(40):
        path = paths[int(draw.integers(len(paths)))]
        whole = path.read_bytes()
        path.write_bytes(damaged(whole, draw))
        volumes = tmp_path / f"v{number}"
        try:
            convert(tmp_path / "data", volumes)
            assert len(list(volumes.rglob("*.nii.gz"))) == 2
        except DataError as error:
            refusals.append(str(error))
        path.write_bytes(whole)
    assert len(refusals) > 10
    assert not [text for text in refusals if "ALICE" in text or str(tmp_path) in text]
    assert not list(tmp_path.glob("*.partial"))
