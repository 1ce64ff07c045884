"""Two runs of one scan: 0 where a system repeats itself, the difference where it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import Geometry, InputSpec, OutputSpec, SystemSpec
from auditor.systems.numeric_floor import NumericFloor, numeric_floor
from auditor.systems.running import open_system

GEOMETRY = Geometry(shape=(3, 4, 5), spacing=(3.0, 0.8, 0.7))
SPEC = SystemSpec("a", input=InputSpec(), output=OutputSpec("sigmoid", (("organ", 1),)))


def floor_of(answers: list[float]) -> NumericFloor:
    """Answer with .6, plus the next number at the first ten voxels of the scan."""
    left = iter(answers)

    def system(image: NDArray[np.float32]) -> NDArray[Any]:
        answer = np.full(image.shape, 0.6, np.float32)
        answer.flat[:10] += next(left)
        return answer

    with open_system(SPEC, callable=system) as running:
        return numeric_floor(running, torch.zeros(1, *GEOMETRY.shape), GEOMETRY)


def test_a_system_that_repeats_itself_has_a_floor_of_zero() -> None:
    found = floor_of([0.0, 0.0])
    assert (found.score, found.voxels, found.dsc, found.problem) == (0.0, 0, 1.0, "")
    assert found.steady


def test_differences_are_measured_in_scores_voxels_and_dsc() -> None:
    found = floor_of([0.1, -0.3])
    assert found.score == pytest.approx(0.4)
    # 60 voxels at first, then 50 of them: 2 * 50 / 110
    assert found.voxels == 10
    assert found.dsc == pytest.approx(100 / 110)
    assert not found.steady


def test_scores_that_move_no_label_are_a_difference_too() -> None:
    found = floor_of([0.0, 1e-4])
    assert found.score == pytest.approx(1e-4, rel=1e-3)
    assert (found.voxels, found.dsc) == (0, 1.0)
    assert not found.steady


@pytest.mark.parametrize("answers", [[9.0, 9.0], [0.0, 9.0]])
def test_a_failure_is_told_and_one_of_two_is_unsteady(answers: list[float]) -> None:
    found = floor_of(answers)
    assert (found.score, found.voxels, found.dsc) == (None, None, None)
    assert "rejected: " in found.problem
    assert found.steady is (answers[0] == answers[1])


class Ranged(nn.Module):
    """Takes the maximum of the whole batch away, as a dynamically quantised graph takes its range."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        super().__init__()
        self.axes = axes

    @override
    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x - x.amax(self.axes, keepdim=True))


@pytest.mark.parametrize(
    ("axes", "batch", "depends"),
    [((0, 1, 2, 3, 4), 2, 1), ((0, 1, 2, 3, 4), 3, 1), ((1, 2, 3, 4), 2, 0)],
)
def test_what_shares_a_batch_is_found_to_change_an_answer(
    tmp_path: Path, axes: tuple[int, ...], batch: int, depends: int
) -> None:
    jit: Any = torch.jit
    jit.trace(Ranged(axes), torch.zeros(2, 1, 3, 4, 5)).save(str(tmp_path / "a.pt"))
    spec = replace(
        SPEC, checkpoint=str(tmp_path / "a.pt"), input=InputSpec(zscore="image"), batch=batch
    )
    image = torch.from_numpy(
        np.random.default_rng(0).normal(100, 30, (1, *GEOMETRY.shape)).astype(np.float32)
    )
    with open_system(spec) as running:
        found = numeric_floor(running, image, GEOMETRY)
    assert found.steady
    assert [it[:17] for it in found.findings] == ["an answer depends"] * depends
    assert (found.beside == 0.0) is (depends == 0)


def test_a_batch_of_one_is_not_asked(tmp_path: Path) -> None:
    jit: Any = torch.jit
    jit.trace(Ranged((0, 1, 2, 3, 4)), torch.zeros(1, 1, 3, 4, 5)).save(str(tmp_path / "a.pt"))
    with open_system(replace(SPEC, checkpoint=str(tmp_path / "a.pt"))) as running:
        found = numeric_floor(running, torch.zeros(1, *GEOMETRY.shape), GEOMETRY)
    assert (found.beside, found.findings) == (None, ())
