"""The share of foreground in the windows that a system is fed with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from auditor.schema import Geometry, InputSpec, StratumSpec, SystemSpec, WindowSpec
from auditor.strata.window_rules import (
    WindowRule,
    property_names,
    rule_of_stratum,
    rule_of_system,
    window_rules,
)
from auditor.strata.windows import native_window, shares_of, window_shares
from auditor.systems.preparation import prepare
from auditor.systems.window import run_images

GEOMETRY = Geometry((4, 10, 12), (5.0, 1.0, 0.8))


def drawn() -> torch.Tensor:
    """A block of 2 x 3 x 4 voxels that begins at (1, 2, 3)."""
    mask = torch.zeros(GEOMETRY.shape, dtype=torch.bool)
    mask[1:3, 2:5, 3:7] = True
    return mask


def image_of(mask: torch.Tensor) -> torch.Tensor:
    return mask[None].to(torch.float32)


def test_windows_side_by_side_are_counted_by_hand() -> None:
    # windows of 2 x 5 x 6 without overlap: 2 x 2 x 2 of them, of 60 voxels each. Along z the block
    # lies half in each row of windows; along y in the first (2, 3, 4); along x 3 of 4 in the first.
    found = shares_of(drawn().numpy(), WindowSpec((2, 5, 6), overlap=0.0))
    assert found is not None
    assert (found.windows, found.holding) == (8, 4)
    assert found.low == 1 * 3 * 1 / 60
    assert found.high == 1 * 3 * 3 / 60
    assert found.mean == pytest.approx((2 * 3 + 2 * 9) / 60 / 4)


def test_overlapping_windows_count_a_voxel_as_often_as_they_hold_it() -> None:
    mask = np.zeros((1, 6), dtype=bool)
    mask[0, 2] = True
    # even starts of windows of 4 with half of it shared: 0, 2; both hold voxel 2
    found = shares_of(mask, WindowSpec((1, 4), overlap=0.5))
    assert found is not None
    assert (found.windows, found.holding, found.mean) == (2, 2, 0.25)


def test_the_whole_image_is_the_window_of_a_system_without_windows() -> None:
    found = shares_of(drawn().numpy(), None)
    assert found is not None
    assert (found.mean, found.low, found.high, found.windows) == (24 / 480, 24 / 480, 24 / 480, 1)


def test_an_image_smaller_than_its_window_is_padded_with_background() -> None:
    # z: 4 voxels in a window of 8, y and x as they are
    found = shares_of(drawn().numpy(), WindowSpec((8, 10, 12)))
    assert found is not None
    assert found.windows == 1
    assert found.mean == 24 / (8 * 10 * 12)


def test_a_slicewise_window_slides_in_every_slice() -> None:
    found = shares_of(drawn().numpy(), WindowSpec((5, 6), overlap=0.0), slicewise=True)
    assert found is not None
    # 4 slices of 2 x 2 windows; the block lies in 2 slices, in the two upper windows
    assert (found.windows, found.holding) == (16, 4)
    assert (found.low, found.high) == (3 / 30, 9 / 30)


def test_a_window_without_the_label_says_nothing_of_it() -> None:
    assert shares_of(np.zeros((4, 6), dtype=bool), WindowSpec((2, 2))) is None


def test_a_window_of_other_axes_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="the window must have 3 sizes as the image has"):
        shares_of(drawn().numpy(), WindowSpec((2, 2)))


def test_a_label_map_is_no_mask() -> None:
    with pytest.raises(TypeError, match="bool"):
        window_shares(drawn().to(torch.int16), image_of(drawn()), GEOMETRY, WindowRule((2, 5, 6)))


class _Fed:
    """A system that remembers the share of what it is fed with."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.shares += [float((one > 0.5).mean()) for one in batch]
        return np.zeros((len(batch), 2, *batch.shape[2:]), dtype=np.float32)


RULES = [
    WindowRule((2, 5, 6)),
    WindowRule((3, 4, 5), 0.25, "monai"),
    WindowRule((6, 12, 14)),
    WindowRule(None),
    WindowRule((5, 6, 3), grid=InputSpec(axes="RAS")),
    WindowRule((6, 3, 5), grid=InputSpec(transpose=(2, 0, 1))),
    WindowRule((3, 4, 4), grid=InputSpec(divisor=(4, 4, 8))),
    WindowRule((4, 4, 4), grid=InputSpec(size=(6, 8, 10))),
    WindowRule((2, 3, 3), grid=InputSpec(crop="nonzero")),
    WindowRule((3, 4), grid=InputSpec(dims=2)),
    WindowRule(None, grid=InputSpec(dims=2, divisor=(4, 8))),
    # a spacing that is halved along x and y repeats voxels, whichever way they are interpolated
    WindowRule((2, 8, 8), grid=InputSpec(spacing_mm=(5.0, 1.0, 0.8), axes="SPL")),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.text)
def test_the_windows_are_those_that_the_system_is_fed_with(rule: WindowRule) -> None:
    # the mask itself as the scan: what the system sees of it is what is measured
    rng = np.random.default_rng(3)
    mask = torch.from_numpy(rng.random(GEOMETRY.shape) < 0.2)
    mask[:, :2] = False
    mask[..., 7:] = False
    prepared = prepare(image_of(mask), GEOMETRY, rule.grid, rule.window)
    fed = _Fed()
    run_images(list(prepared.pieces), fed, rule.window, batch=1)
    held = [share for share in fed.shares if share > 0]
    found = window_shares(mask, image_of(mask), GEOMETRY, rule)
    assert found is not None
    assert (found.windows, found.holding) == (len(fed.shares), len(held))
    assert found.mean == pytest.approx(np.mean(held), rel=1e-6)
    assert (found.low, found.high) == pytest.approx((min(held), max(held)), rel=1e-6)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    sizes=st.tuples(st.integers(1, 7), st.integers(1, 9)),
    window=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.9]),
    placement=st.sampled_from(["even", "monai"]),
    seed=st.integers(0, 99),
)
def test_sums_are_those_of_windows_that_are_cut_out(
    sizes: tuple[int, int], window: tuple[int, int], overlap: float, placement: str, seed: int
) -> None:
    mask = np.random.default_rng(seed).random(sizes) < 0.3
    spec = WindowSpec(window, overlap, placement="monai" if placement == "monai" else "even")
    fed = _Fed()
    run_images([mask[None].astype(np.float32)], fed, replace(spec, padding="zero"), batch=1)
    found = shares_of(mask, spec)
    held = [share for share in fed.shares if share > 0]
    if not held:
        assert found is None
        return
    assert found is not None
    assert (found.windows, found.holding) == (len(fed.shares), len(held))
    assert found.mean == pytest.approx(np.mean(held), rel=1e-6)


def test_a_coarser_grid_keeps_the_share_of_an_object_that_fills_its_voxels() -> None:
    # 2 x 2 x 2 native voxels in each fed one: an object made of whole fed voxels keeps its share
    mask = torch.zeros(4, 8, 8, dtype=torch.bool)
    mask[0:2, 2:6, 4:8] = True
    geometry = Geometry((4, 8, 8), (3.0, 1.0, 1.0))
    rule = WindowRule(None, grid=InputSpec(spacing_mm=(6.0, 2.0, 2.0)))
    found = window_shares(mask, image_of(mask), geometry, rule)
    assert found is not None
    assert found.mean == 2 * 4 * 4 / (4 * 8 * 8)


def test_a_window_is_translated_into_voxels_of_the_scan() -> None:
    rule = WindowRule((96, 64, 32), grid=InputSpec(axes="RAS", spacing_mm=(1.6, 2.0, 2.5)))
    # fed x, y, z of 1.6, 2 and 2.5 mm on native z, y, x of 5, 1 and 0.8 mm
    assert native_window(rule, GEOMETRY) == pytest.approx((32 / 2, 64 * 2.0, 96 * 2.0))
    assert native_window(WindowRule((64, 32, 16)), GEOMETRY) == (64, 32, 16)
    slicewise = WindowRule((48, 32), grid=InputSpec(dims=2))
    assert native_window(slicewise, GEOMETRY) == (1, 48, 32)
    # two sizes and two spacings, of y and x: neither is of the slices
    resampled = WindowRule((48, 32), grid=InputSpec(dims=2, spacing_mm=(2.0, 4.0)))
    assert native_window(resampled, GEOMETRY) == pytest.approx((1, 48 * 2.0, 32 * 4 / 0.8))
    assert native_window(WindowRule(None), GEOMETRY) is None


def test_names_of_properties_say_every_window_apart() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(RULES)
    assert names[0] == "window_foreground_ratio[2x5x6]"
    assert names[1] == "window_foreground_ratio[3x4x5; overlap 0.25; placement monai]"
    assert names[3] == "window_foreground_ratio[whole image]"


def test_systems_that_cut_alike_share_one_property() -> None:
    one = SystemSpec("one", "a.onnx", window=WindowSpec((8, 8, 8)))
    # intensities and blending move no voxel
    other = SystemSpec(
        "two",
        "b.onnx",
        InputSpec(zscore="image", clip=(0, 1)),
        window=WindowSpec((8, 8, 8), blend="constant", padding="zero"),
    )
    declared = StratumSpec("window_foreground_ratio", "organ", (0.1,), window=(8, 8, 8))
    assert [it.name for it in window_rules([one, other], [declared])] == [
        "window_foreground_ratio[8x8x8]"
    ]
    wider = replace(other, window=WindowSpec((9, 8, 8)))
    assert len(window_rules([one, wider], [declared])) == 2


def test_what_runs_outside_has_windows_that_nobody_knows() -> None:
    assert rule_of_system(SystemSpec("c", command=("segment", "{input}", "{output}"))) is None
    assert rule_of_system(SystemSpec("p", predictions="folder")) is None
    by_system = StratumSpec("window_foreground_ratio", "organ", (0.1,), system="c")
    assert rule_of_stratum(by_system, [SystemSpec("c", predictions="folder")]) is None
    assert rule_of_stratum(StratumSpec("site"), []) is None


def test_every_window_has_its_mean_and_both_ends() -> None:
    assert property_names([WindowRule((8, 8))])[-3:] == (
        "window_foreground_ratio[8x8]",
        "window_foreground_ratio_low[8x8]",
        "window_foreground_ratio_high[8x8]",
    )


def test_the_rule_of_a_system_keeps_all_that_moves_voxels_and_nothing_else() -> None:
    moving = InputSpec(
        axes="RAS", crop="nonzero", spacing_mm=(1.0, 1.0, 2.0), grid="extent", size=(64, 64, 32),
        fit="resize", divisor=(8, 8, 8), dims=3,
    )  # fmt: skip
    full = replace(moving, channels=2, clip=(0.0, 1.0), zscore="image", interpolation="cubic")
    window = WindowSpec((16, 16, 8), 0.25, "constant", "monai", "zero")
    rule = rule_of_system(SystemSpec("s", "s.onnx", full, window=window))
    assert rule == WindowRule((16, 16, 8), 0.25, "monai", replace(moving, dims=None))
    native = InputSpec(transpose=(2, 1, 0), dims=2)
    assert rule_of_system(SystemSpec("s", "s.onnx", native)) == WindowRule(None, grid=native)
