"""Products along an axis against whole matrices, and work in pieces against work at once."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from perturbations.chunks import CHUNK, extremes, same, scratch, spread
from perturbations.operators import AxisOperator, along


def banded(size: int, width: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A matrix of random weights within `width` of the diagonal."""
    rows, columns = np.mgrid[:size, :size]
    weights = np.random.default_rng(seed).random((size, size))
    return np.where(abs(rows - columns) <= width, weights, 0.0)


@pytest.mark.parametrize("shape", [(2, 5, 70, 90), (1, 200, 3, 4), (3, 150, 17), (1, 1, 1, 300)])
@pytest.mark.parametrize("width", [0, 2, 40, 300])
def test_an_operator_is_the_product_with_its_matrix_along_any_axis(
    shape: tuple[int, ...], width: int
) -> None:
    values = torch.from_numpy(np.random.default_rng(1).random(shape, dtype=np.float32))
    before = values.clone()
    for axis in range(1, len(shape)):
        matrix = banded(shape[axis], width, axis)
        operator = AxisOperator.of(matrix)
        expected = np.moveaxis(
            np.tensordot(matrix, values.numpy().astype(np.float64), (1, axis)), 0, axis
        )
        made = along(values, axis, operator)
        # float32 sums of up to 300 products
        assert (np.abs(made.numpy() - expected) - 3e-6 * np.abs(expected)).max() < 1e-12
        assert torch.equal(values, before)
        in_place = values.clone()
        assert along(in_place, axis, operator, out=in_place) is in_place
        assert torch.equal(in_place, made)


@pytest.mark.parametrize("width", [1, 5, 30, 90, 700])
def test_blocks_cover_every_row_once_and_hold_every_weight(width: int) -> None:
    matrix = banded(333, width, 7)
    operator = AxisOperator.of(matrix)
    rebuilt = np.zeros_like(matrix)
    seen = np.zeros(333, dtype=int)
    for start, stop, first, last, weights in operator.blocks:
        rebuilt[start:stop, first:last] = weights
        seen[start:stop] += 1
    assert (seen == 1).all()
    assert rebuilt == pytest.approx(matrix, rel=1e-7)
    if width == 1:  # a narrow band is cut into low blocks, which leave its zeros out
        assert sum(weights.numel() for *_, weights in operator.blocks) < 333 * 20


def test_rows_of_nothing_give_nothing() -> None:
    values = torch.ones(1, 40, 6)
    assert float(along(values, 1, AxisOperator.of(np.zeros((40, 40)))).abs().max()) == 0.0


def test_the_smallest_and_largest_value_are_found_in_any_piece_and_nan_is_told() -> None:
    values = torch.zeros(3 * CHUNK + 11)
    values[2 * CHUNK + 5], values[-1] = -4.0, 9.0
    assert extremes(values.view(1, -1)) == (-4.0, 9.0)
    values[CHUNK] = float("nan")
    assert all(np.isnan(extremes(values)))
    values[CHUNK] = float("inf")
    assert extremes(values)[1] == float("inf")


def test_volumes_are_the_same_only_when_every_value_agrees_to_the_slack() -> None:
    one = torch.rand(2 * CHUNK + 3)
    other = one.clone()
    assert same(one, other, 0.0)
    other[-1] += 0.5
    assert not same(one, other, 0.0)
    assert not same(one, other, 0.4)
    assert same(one, other, 0.6)


def test_a_buffer_is_lent_per_thread_and_slot_and_used_again() -> None:
    first = scratch((4, 5))
    first.fill_(1.0)
    scratch((4, 5), 1).fill_(2.0)
    assert bool((first == 1.0).all())
    assert scratch((20,)).data_ptr() == first.data_ptr()
    assert scratch((3, 2)).shape == (3, 2)
    elsewhere: list[int] = []
    thread = threading.Thread(target=lambda: elsewhere.append(scratch((4, 5)).data_ptr()))
    thread.start()
    thread.join()
    assert elsewhere != [first.data_ptr()]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_every_piece_is_done_once_and_a_failure_is_raised_after_all_threads_have_ended(
    threads: int,
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        done = np.zeros(1000, dtype=int)

        def work(start: int, stop: int) -> None:
            done[start:stop] += 1

        spread(work, 1000, 7)
        assert (done == 1).all()

        def fails(start: int, stop: int) -> None:
            if start == 70:
                msg = f"piece {start} to {stop}"
                raise ArithmeticError(msg)

        with pytest.raises(ArithmeticError, match="piece 70 to 77"):
            spread(fails, 1000, 7)
        spread(work, 1000, 7)
        assert (done == 2).all()
    finally:
        torch.set_num_threads(before)
