"""Distances of activations: histograms by hand, laws, and what chance alone gives."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.systems.layers.histograms import (
    Range,
    by_channel,
    counts_of,
    hellinger,
    joined,
    range_of,
)

# by hand


def test_two_voxels_in_two_bins_by_hand() -> None:
    clean = np.array([[0.0, 1.0]])  # bins [0, .5) and [.5, 1], one voxel each
    other = np.array([[0.2, 0.3]])  # both in the first
    within = range_of(clean)
    counts = counts_of(clean, within, 2), counts_of(other, within, 2)
    assert [it.tolist() for it in counts] == [[[0, 1, 1, 0]], [[0, 2, 0, 0]]]
    # H^2 = 1 - (sqrt(1/2 * 1) + sqrt(1/2 * 0))
    assert hellinger(*counts)[0] == pytest.approx(math.sqrt(1 - math.sqrt(0.5)), abs=1e-12)


def test_what_lies_beyond_the_clean_range_has_bins_of_its_own() -> None:
    within = Range(np.array([0.0]), np.array([4.0]))
    values = np.array([[-0.001, 0.0, 0.999, 1.0, 3.999, 4.0, 4.001, np.inf, -np.inf]])
    assert counts_of(values, within, 4).tolist() == [[2, 2, 1, 0, 2, 2]]


def test_a_constant_channel_has_one_bin_and_two_beyond() -> None:
    within = range_of(np.full((1, 3), 0.1, dtype=np.float32))
    same = counts_of(np.full((1, 3), 0.1, dtype=np.float32), within, 64)
    moved = counts_of(np.array([[0.1, 0.2, 0.0]], dtype=np.float32), within, 64)
    assert (same[0, 1], same.sum()) == (3, 3)
    assert (moved[0, 0], moved[0, 1], moved[0, -1], moved.sum()) == (1, 1, 1, 3)
    # H^2 = 1 - sqrt(1 * 1/3)
    assert hellinger(same, moved)[0] == pytest.approx(math.sqrt(1 - math.sqrt(1 / 3)), abs=1e-12)


def test_channels_are_counted_apart_wherever_they_stand() -> None:
    value = np.arange(24).reshape(2, 3, 4)  # (item, channel, place)
    first = by_channel(value, 1)
    last = by_channel(np.moveaxis(value, 1, -1), 2)
    assert first.shape == (3, 8)
    assert sorted(first[1].tolist()) == [4, 5, 6, 7, 16, 17, 18, 19]
    assert [sorted(it) for it in first.tolist()] == [sorted(it) for it in last.tolist()]


def test_what_is_no_number_falls_into_no_bin() -> None:
    within = Range(np.array([0.0]), np.array([1.0]))
    assert counts_of(np.array([[np.nan, 0.5]]), within, 2).sum() == 1
    assert not range_of(np.array([[np.nan, 0.5]])).finite
    assert not range_of(np.array([[-np.inf, 0.5]])).finite


# laws

samples = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(first=samples, second=samples, bins=st.integers(2, 16))
def test_laws_of_the_distance(first: Sequence[float], second: Sequence[float], bins: int) -> None:
    one, two = (np.array([it], dtype=np.float32) for it in (first, second))
    within = range_of(one)
    p, q = counts_of(one, within, bins), counts_of(two, within, bins)
    assert (p.sum(), q.sum()) == (len(first), len(second))
    distance = float(hellinger(p, q)[0])
    assert 0 <= distance <= 1
    assert hellinger(q, p)[0] == distance
    assert hellinger(p, p)[0] == 0
    assert hellinger(p, 7 * p)[0] < 1e-7  # of shares, not of numbers
    shuffled = np.random.default_rng(0).permutation(two, axis=1)
    assert np.array_equal(counts_of(shuffled, within, bins), q)
    halves = [counts_of(two[:, a:b], within, bins) for a, b in ((0, 1), (1, None))]
    assert np.array_equal(halves[0] + halves[1], q)


def test_distances_of_disjoint_values_are_one() -> None:
    clean, other = np.array([[0.0, 1.0]]), np.array([[5.0, 6.0]])
    within = range_of(clean)
    assert hellinger(counts_of(clean, within, 8), counts_of(other, within, 8))[0] == 1


def test_counts_agree_with_numpy_on_long_channels() -> None:
    clean = np.random.default_rng(0).normal(size=(3, 4000))
    other = 1.2 * np.random.default_rng(1).normal(size=(3, 4000))
    within = range_of(clean)
    found = counts_of(other, within, 64)
    for channel in range(3):
        low, high = clean[channel].min(), clean[channel].max()
        edges = np.concatenate([[-np.inf], np.linspace(low, high, 65), [np.inf]])
        expected = np.histogram(other[channel], edges)[0]
        # numpy puts what equals the last finite edge above it: nothing does
        assert found[channel].tolist() == expected.tolist()


@pytest.mark.parametrize(("bins", "number"), [(8, 2000), (64, 20000)])
def test_two_samples_of_one_law_are_about_a_known_floor_apart(bins: int, number: int) -> None:
    """E H^2 is about (bins - 1) / (4 n): sqrt(p) of a sample has the variance (1 - p) / (4 n)."""
    draw = np.random.default_rng(0)
    within = Range(np.zeros(200), np.ones(200))
    one, two = (counts_of(draw.random((200, number)), within, bins) for _ in range(2))
    squares = hellinger(one, two) ** 2
    error = squares.std(ddof=1) / math.sqrt(200)
    assert squares.mean() == pytest.approx((bins - 1) / (4 * number), abs=4 * error)


def test_ranges_of_parts_are_joined() -> None:
    one, two = range_of(np.array([[0.0, 1.0]])), range_of(np.array([[-1.0, 0.5]]))
    both = joined(joined(None, one), two)
    assert (both.low.tolist(), both.high.tolist()) == ([-1.0], [1.0])
