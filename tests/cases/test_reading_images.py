"""Files become tensors and geometries: values, order of axes, positions, refusals."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from numpy.typing import NDArray
from volumes import (
    ORIGIN_XYZ,
    SHAPE_ZYX,
    SPACING_ZYX,
    box,
    oblique,
    scan,
    write_volume,
)

from auditor.cases import difference, read_mask, read_volume, write_mask
from auditor.errors import DataError
from auditor.schema import Geometry

sitk: Any = SimpleITK
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")


def position(geometry: Geometry, index: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Physical point (x, y, z) of a voxel (z, y, x): origin + sum of index * spacing * axis."""
    steps = zip(index, geometry.spacing, geometry.direction, strict=True)
    return np.asarray(geometry.origin) + sum(i * s * np.asarray(axis) for i, s, axis in steps)


@pytest.mark.parametrize("suffix", VOLUMES)
def test_an_oblique_anisotropic_volume_keeps_its_values_and_its_place(
    tmp_path: Path, suffix: str
) -> None:
    array = scan()
    path = write_volume(tmp_path / f"p{suffix}", array)
    image, geometry = read_volume([str(path)])
    assert image.dtype == torch.float32
    assert torch.equal(image, torch.from_numpy(array)[None])
    assert (geometry.shape, geometry.unit) == (SHAPE_ZYX, "mm")
    assert geometry.spacing == pytest.approx(SPACING_ZYX, abs=1e-5)
    assert geometry.origin == pytest.approx(ORIGIN_XYZ, abs=1e-4)
    # SimpleITK's own arithmetic on the same file says where voxel x=6, y=2, z=4 lies
    told = sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint((6, 2, 4))
    assert position(geometry, (4, 2, 6)) == pytest.approx(told, abs=1e-4)


def test_directions_are_the_columns_of_the_matrix_in_the_order_of_the_array(tmp_path: Path) -> None:
    _, geometry = read_volume([str(write_volume(tmp_path / "p.nrrd", scan()))])
    matrix = oblique()
    assert np.allclose(geometry.direction, [matrix[:, 2], matrix[:, 1], matrix[:, 0]], atol=1e-6)


def test_an_oblique_physical_picture_has_two_axes_and_a_place(tmp_path: Path) -> None:
    array = scan(shape=(6, 11))
    turned = oblique()[:2, :2]  # a turn by 20 degrees about z
    path = write_volume(tmp_path / "p.mha", array, spacing=(0.5, 0.25), direction=turned)
    image, geometry = read_volume([str(path)])
    assert torch.equal(image, torch.from_numpy(array)[None])
    assert (geometry.shape, geometry.spacing, geometry.unit) == ((6, 11), (0.5, 0.25), "mm")
    told = sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint((9, 4))
    assert position(geometry, (4, 9)) == pytest.approx(told, abs=1e-4)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pixel_formats_count_in_pixels(tmp_path: Path, suffix: str) -> None:
    array = (scan(shape=(6, 11)) / 4).astype(np.uint8)
    path = write_volume(tmp_path / f"p{suffix}", array, spacing=(0.5, 0.25))
    image, geometry = read_volume([str(path)])
    assert geometry == Geometry(shape=(6, 11), spacing=(1.0, 1.0), unit="px")
    assert torch.equal(image[0], torch.from_numpy(array).float())


def test_a_colour_picture_has_three_channels(tmp_path: Path) -> None:
    array = np.stack([np.full((4, 6), value, np.uint8) for value in (10, 20, 30)], axis=-1)
    image, geometry = read_volume([str(write_volume(tmp_path / "p.png", array, vector=True))])
    assert geometry.shape == (4, 6)
    assert image.amax(dim=(1, 2)).tolist() == [10.0, 20.0, 30.0]


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_a_multi_channel_file_equals_one_file_per_channel(tmp_path: Path, suffix: str) -> None:
    first, second = scan(1), scan(2)
    both = write_volume(tmp_path / f"both{suffix}", np.stack([first, second], -1), vector=True)
    parts = [write_volume(tmp_path / f"p{i}{suffix}", a) for i, a in enumerate((first, second))]
    together, one = read_volume([str(both)])
    apart, other = read_volume([str(path) for path in parts])
    assert torch.equal(together, apart)
    assert difference(one, other) == ""


def test_channels_on_different_grids_are_refused(tmp_path: Path) -> None:
    first = write_volume(tmp_path / "t1.nii", scan())
    second = write_volume(tmp_path / "t2.nii", scan(), spacing=(3.0, 0.8, 0.9))
    with pytest.raises(DataError, match=r"t2\.nii differs: spacing .*0\.7.* against .*0\.9"):
        read_volume([str(first), str(second)])


@pytest.mark.parametrize("asked", ["p.nii", "p.nii.gz"])
def test_a_compressed_file_beside_its_uncompressed_twin_is_refused(
    tmp_path: Path, asked: str
) -> None:
    write_volume(tmp_path / "p.nii", scan(1))
    write_volume(tmp_path / "p.nii.gz", scan(2))
    with pytest.raises(DataError, match="lie side by side"):
        read_volume([str(tmp_path / asked)])


@pytest.mark.parametrize("suffix", VOLUMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_their_share(
    tmp_path: Path, bad: float, dtype: type, suffix: str
) -> None:
    array: np.ndarray[Any, Any] = scan(shape=(2, 5, 10)).astype(dtype)
    array[0, 0, 0] = bad  # one of 100
    path = write_volume(tmp_path / f"p{suffix}", array)
    with pytest.raises(DataError, match=rf"finite, p\{suffix} holds .* 1\.00% of its voxels"):
        read_volume([str(path)])


def test_the_last_voxel_of_a_large_volume_is_looked_at(tmp_path: Path) -> None:
    array = np.ones((110, 100, 101), np.float32)  # more than the 4 MiB that are read at a time
    array[-1, -1, -1] = np.nan
    with pytest.raises(DataError, match="must be finite"):
        read_volume([str(write_volume(tmp_path / "p.nii", array))])
    array[-1, -1, -1] = 0
    assert read_volume([str(write_volume(tmp_path / "p.nii", array))])[0].shape[1:] == array.shape


def test_numbers_too_large_for_float32_are_refused(tmp_path: Path) -> None:
    array = scan().astype(np.float64)
    array[0, 0, 0] = 1e300
    with pytest.raises(DataError, match="must be finite"):
        read_volume([str(write_volume(tmp_path / "p.mha", array))])


def test_a_fourth_axis_is_refused_with_its_sizes(tmp_path: Path) -> None:
    volume = sitk.GetImageFromArray(scan())
    path = tmp_path / "p.nii.gz"
    sitk.WriteImage(sitk.JoinSeries([volume, volume]), str(path))
    with pytest.raises(DataError, match=r"2 or 3 axes, p\.nii\.gz has 4: sizes 9 x 7 x 5 x 2"):
        read_volume([str(path)])


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "p.nrrd", scan().astype(np.complex64))
    with pytest.raises(DataError, match="real numbers"):
        read_volume([str(path)])


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b\x08\x00broken"])
@pytest.mark.parametrize("name", ["p.nii.gz", "p.png", "p.nrrd", "p.xyz"])
def test_an_unreadable_file_is_named_without_its_folder(
    tmp_path: Path, content: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_volume([str(tmp_path / name)])
    assert name in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("suffix", VOLUMES)
def test_a_volume_that_was_cut_off_is_refused(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_volume(tmp_path / f"p{suffix}", scan(shape=(20, 30, 40)))
    data = path.with_suffix(".raw") if suffix == ".mhd" else path
    if suffix == ".mhd":
        data = next(file for file in tmp_path.iterdir() if file != path)
    data.write_bytes(data.read_bytes()[: data.stat().st_size * 6 // 10])
    with pytest.raises(DataError, match=rf"p\{suffix}.*(complete|cannot be read)|complete, p"):
        read_volume([str(path)])
    capfd.readouterr()  # MetaImage prints to stderr on its own


def test_a_compressed_file_of_several_members_is_complete(tmp_path: Path) -> None:
    plain = write_volume(tmp_path / "p.nii", scan()).read_bytes()
    path = tmp_path / "q.nii.gz"
    path.write_bytes(gzip.compress(plain[:700]) + gzip.compress(plain[700:]))
    image, _ = read_volume([str(path)])
    assert torch.equal(image[0], torch.from_numpy(scan()))


def test_a_missing_file_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"p\.nii is missing"):
        read_volume([str(tmp_path / "p.nii")])
    with pytest.raises(DataError, match="at least one file"):
        read_volume([])


def test_a_sheared_header_is_refused_with_advice(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_volume(tmp_path / "p.nii", scan(), direction=np.eye(3))
    header = bytearray(path.read_bytes())
    # NIfTI-1: qform_code and sform_code at byte 252, the three rows of the affine at byte 280
    header[252:256] = np.array([0, 1], "<i2").tobytes()
    rows = [[0.7, 0.4, 0, 0], [0, 0.8, 0, 0], [0, 0, 3, 0]]
    header[280:328] = np.array(rows, "<f4").tobytes()
    path.write_bytes(header)
    with pytest.raises(DataError, match="resample it to a straight grid"):
        read_volume([str(path)])
    assert capfd.readouterr().err == ""  # the library's own warnings stay silent


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_masks_of_any_number_type_become_whole_labels(tmp_path: Path, dtype: type) -> None:
    path = write_volume(tmp_path / "m.mha", box(number=5).astype(dtype))
    mask, geometry = read_mask(str(path))
    assert mask.dtype == torch.int16
    assert int((mask == 5).sum()) == 2 * 3 * 3  # the box is 2 x 3 x 3 voxels
    assert set(mask.flatten().tolist()) == {0, 5}
    assert geometry.shape == SHAPE_ZYX


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint32, np.float32, np.float64])
def test_labels_up_to_65535_keep_their_number(tmp_path: Path, dtype: type) -> None:
    array: NDArray[Any] = box(number=3).astype(dtype)
    array[0, 0, :2] = 40000, 65535
    mask, _ = read_mask(str(write_volume(tmp_path / "m.mha", array)))
    assert mask.dtype == torch.int32
    assert sorted(set(mask.flatten().tolist())) == [0, 3, 40000, 65535]
    assert int((mask == 40000).sum()) == 1
    assert int((read_mask(str(write_volume(tmp_path / "o.mha", box())))[0] == 40000).sum()) == 0


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (0.5, "holds 0.5, and 1 of 315 voxels are no whole numbers"),
        (2.002, "holds 2.002, and 1 of"),
        (-1.0, r"holds -1 \(its values run from -1 to 1\)"),
        (65536.0, r"holds 65536 \(its values run from 0 to 65536\)"),
        (np.nan, "holds NaN or infinity in 1 of 315 voxels"),
        (np.inf, "holds NaN or infinity in 1 of 315 voxels"),
    ],
)
def test_masks_with_anything_but_label_numbers_are_refused(
    tmp_path: Path, value: float, named: str
) -> None:
    array = box().astype(np.float32)
    array[0, 0, 0] = value
    with pytest.raises(DataError, match=r"whole label numbers from 0 to 65535, m\.mha " + named):
        read_mask(str(write_volume(tmp_path / "m.mha", array)))


def test_what_a_scale_factor_leaves_beside_a_whole_number_is_rounded(tmp_path: Path) -> None:
    array = box().astype(np.float32)
    array[0, 0, :3] = 1.0005, 1.9996, -0.0004
    mask, _ = read_mask(str(write_volume(tmp_path / "m.mha", array)))
    assert mask[0, 0, :3].tolist() == [1, 2, 0]


def test_a_label_above_32767_survives_being_written(tmp_path: Path) -> None:
    array = box().astype(np.int32) * 40000
    mask, geometry = read_mask(str(write_volume(tmp_path / "m.mha", array)))
    write_mask(tmp_path / "again.nii.gz", mask, geometry)
    assert torch.equal(read_mask(str(tmp_path / "again.nii.gz"))[0], mask)


def test_a_coloured_mask_is_refused_with_advice(tmp_path: Path) -> None:
    array = np.zeros((4, 6, 3), np.uint8)
    path = write_volume(tmp_path / "m.png", array, vector=True)
    with pytest.raises(DataError, match="grey values, not colours"):
        read_mask(str(path))


def grid(**changes: Any) -> Geometry:
    known = {
        "shape": SHAPE_ZYX,
        "spacing": SPACING_ZYX,
        "direction": tuple(tuple(column) for column in oblique().T[::-1]),
        "origin": ORIGIN_XYZ,
    }
    return Geometry(**{**known, **changes})


def test_equal_grids_do_not_differ_within_what_headers_round() -> None:
    near = grid(
        spacing=tuple(value + 0.0009 for value in SPACING_ZYX),
        origin=tuple(value + 0.06 for value in ORIGIN_XYZ),  # a tenth of 0.7 mm is 0.07
    )
    assert difference(grid(), near) == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shape": (5, 7, 8)}, r"shape \(5, 7, 9\) against \(5, 7, 8\)"),
        ({"spacing": (3.0, 0.8, 0.702)}, r"0\.7\) against .*0\.702\) mm \(tolerance 0\.001 mm\)"),
        ({"origin": (-12.42, 40.0, 7.25)}, r"origin \(-12\.5, .*-12\.42.*tolerance 0\.07 mm"),
        ({"direction": ((0.0, 0, 1), (0, 1, 0), (1, 0, 0))}, r"direction .* against .*0\.001"),
    ],
)
def test_a_difference_names_both_values_and_the_tolerance(
    changes: dict[str, Any], told: str
) -> None:
    assert re.search(told, difference(grid(), grid(**changes)))


def test_small_voxels_are_compared_by_a_share_of_their_side() -> None:
    """Half a micrometre and one: they differ by less than the thousandth of a mm of a CT's header."""
    one, other = (
        Geometry((4, 5), (side, side), direction=((0.0, 1.0), (1.0, 0.0)), origin=(0.0, 0.0))
        for side in (0.0005, 0.001)
    )
    assert "spacing (0.0005, 0.0005) against (0.001, 0.001) mm (tolerance 5e-06" in (
        difference(one, other)
    )
    assert difference(one, replace(one, spacing=(0.0005, 0.000504))) == ""


@pytest.mark.parametrize("side", [1e-9, 1e7])
def test_voxels_of_no_size_that_is_believed_are_refused(tmp_path: Path, side: float) -> None:
    file = write_volume(tmp_path / "r.nrrd", box(), spacing=(3.0, side, 0.7))
    with pytest.raises(DataError, match=re.escape(f"r.nrrd says 3 x {side:g} x 0.7; write")):
        read_mask(str(file))


def test_a_picture_beside_a_physical_image_is_compared_by_shape_alone() -> None:
    picture = Geometry(shape=SHAPE_ZYX, spacing=(1.0, 1.0, 1.0), unit="px")
    assert difference(grid(), picture) == ""
    assert "shape" in difference(grid(shape=(5, 7, 8)), picture)
