"""How scans are cut and hung, and what a contact sheet shows."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from auditor.exhibits.contact_sheet import (
    SheetColumn,
    SheetRow,
    _plain,
    contact_sheet,
    shared_difference,
    shared_window,
)
from auditor.exhibits.views import telling_slices, views_of
from auditor.schema import Geometry

LPS = np.eye(3)[::-1]  # array axes (z, y, x) run to superior, posterior, left
SPACING = (3.0, 1.2, 1.5)


def geometry(
    shape: tuple[int, ...], spacing: tuple[float, ...], axes: NDArray[np.float64]
) -> Geometry:
    return Geometry(
        shape=shape,
        spacing=spacing,
        direction=tuple(tuple(float(v) for v in axis) for axis in axes),
        origin=(0.0, 0.0, 0.0),
        unit="mm",
    )


def test_planes_hang_as_radiologists_hang_them() -> None:
    volume = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    axial, coronal, sagittal = views_of(geometry((4, 5, 6), SPACING, LPS))
    assert [view.name for view in (axial, coronal, sagittal)] == ["axial", "coronal", "sagittal"]
    # superior slices first in the array means inferior below on the wall
    assert np.array_equal(axial.cut(volume, 2), volume[2])
    assert np.array_equal(coronal.cut(volume, 1), volume[::-1, 1])
    assert np.array_equal(sagittal.cut(volume, 3), volume[::-1, :, 3])
    assert axial.spacing == (1.2, 1.5)
    assert coronal.spacing == (3.0, 1.5)
    assert sagittal.spacing == (3.0, 1.2)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_however_a_scan_is_stored_it_hangs_the_same(
    order: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    volume = np.random.default_rng(0).random((4, 5, 6), dtype=np.float32)
    first = views_of(geometry(volume.shape, SPACING, LPS))
    stored = volume.transpose(order)[tuple(slice(None, None, f) for f in flips)]
    axes = LPS[list(order)] * np.array(flips)[:, None]
    tilted = axes + 0.1  # oblique by some degrees
    spacing = tuple(SPACING[axis] for axis in order)
    second = views_of(geometry(stored.shape, spacing, tilted))
    for one, other in zip(first, second, strict=True):
        assert one.axis is not None
        assert other.axis is not None
        middle = volume.shape[one.axis] // 2
        at = middle if flips[other.axis] > 0 else volume.shape[one.axis] - 1 - middle
        assert np.array_equal(one.cut(volume, middle), other.cut(np.ascontiguousarray(stored), at))
        assert one.spacing == other.spacing


def test_a_scan_without_a_direction_is_shown_as_stored() -> None:
    volume = np.random.default_rng(0).random((4, 5, 6), dtype=np.float32)
    views = views_of(Geometry(shape=(4, 5, 6), spacing=(1.0, 1.0, 1.0), unit="px"))
    assert [view.name for view in views] == ["y, x", "z, x", "z, y"]
    assert np.array_equal(views[2].cut(volume, 1), volume[:, :, 1])


def test_a_local_change_is_cut_and_a_global_one_is_cut_in_the_middle() -> None:
    foreground = np.zeros((20, 20, 20), dtype=bool)
    foreground[4:16, 4:16, 4:16] = True
    views = views_of(geometry((20, 20, 20), SPACING, LPS))
    change = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    assert all(9 <= index <= 10 for index in telling_slices(views, foreground, change))
    local = np.zeros_like(change)
    local[6, 12, 8] = 5.0
    assert telling_slices(views, foreground, local) == (6, 12, 8)
    outside = np.zeros_like(change)
    outside[0, 0, 0] = 5.0  # nothing of the object is to be seen there
    assert all(4 <= index < 16 for index in telling_slices(views, foreground, outside))


def test_ct_is_windowed_to_soft_tissue_and_a_small_object_is_not_hidden() -> None:
    image = np.zeros((1, 100, 100), dtype=np.float32)
    foreground = np.zeros((100, 100), dtype=bool)
    foreground[:3, :3] = True  # 0.09 % of the pixels
    image[0, foreground] = 500.0
    assert shared_window(image, foreground, modality="ct", state="raw") == (-160.0, 240.0)
    assert shared_window(image, foreground, modality="microscopy", state="raw") == (0.0, 500.0)
    assert shared_window(image, foreground, modality="ct", state="normalised") == (0.0, 500.0)
    flat = np.full((1, 4, 4), 7.0, dtype=np.float32)
    assert shared_window(flat, flat[0] > 0, modality="mr", state="raw") == (7.0, 8.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1174.0, "1170"), (-1174.0, "-1170"), (12.0, "12"), (0.04567, "0.0457"), (0.0, "0"),
        (3e-7, "3e-07"), (2.5e9, "2.5e+09"),
    ],
)  # fmt: skip
def test_numbers_on_a_sheet_have_exponents_only_where_they_would_be_long(
    value: float, text: str
) -> None:
    assert _plain(value, 3) == text


def _columns(*levels: float) -> list[SheetColumn]:
    clean = np.zeros((30, 20), dtype=np.float32)
    return [SheetColumn(f"{level}", "", (clean + np.float32(level),)) for level in (0.0, *levels)]


def test_one_scale_serves_all_differences() -> None:
    assert shared_difference(_columns(1.0, -4.0, 2.0)) == pytest.approx(4.0)
    assert shared_difference(_columns(0.0)) == 0.0
    speck = np.zeros((30, 20), dtype=np.float32)
    speck[3, 3] = 9.0  # 1 of 600 pixels: the 99.5th percentile does not see it
    columns = [*_columns(), SheetColumn("speck", "", (speck,))]
    assert shared_difference(columns) == 9.0


def _sheet(columns: list[SheetColumn], spacing: tuple[float, float]) -> NDArray[np.uint8]:
    drawn = contact_sheet(
        columns, [SheetRow("y, x", spacing)], heading=("noise", "scan"), window=(-5.0, 5.0),
        difference=shared_difference(columns), unit="HU",
    )  # fmt: skip
    return np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))


def test_panels_have_the_physical_shape_of_the_scan() -> None:
    # 30 rows of 4 mm and 20 columns of 3 mm: twice as high as wide; white panels would not show
    clean = np.full((30, 20), -5.0, dtype=np.float32)
    columns = [SheetColumn("0", "", (clean,)), SheetColumn("1", "", (clean,))]
    picture = _sheet(columns, (4.0, 3.0))
    black = np.asarray((picture < 5).all(axis=2))
    rows = np.flatnonzero(black.sum(axis=1) > 0.8 * black.sum(axis=1).max())
    run = black[rows[len(rows) // 2]]
    edges = np.flatnonzero(np.diff(run.astype(int)))
    assert rows.size / (edges[1] - edges[0]) == pytest.approx(2.0, abs=0.06)


def test_red_is_brighter_blue_is_darker_and_the_picture_is_reproducible() -> None:
    picture = _sheet(_columns(4.0, -4.0), (1.0, 1.0)).astype(int)
    redness = picture[:, :, 0] - picture[:, :, 2]
    # columns of pixels that are filled over a panel's height, which the bar of colours is not
    red, blue = (
        np.flatnonzero((sign * redness > 50).sum(axis=0) > picture.shape[0] // 5)
        for sign in (1, -1)
    )
    assert red.size > 100
    assert blue.size > 100
    assert red.max() < blue.min()  # the brighter level hangs left of the darker one
    assert np.array_equal(picture, _sheet(_columns(4.0, -4.0), (1.0, 1.0)))
