"""The other scan of an ablation by image: on the grid of every scan, channel behind channel, or refused."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from volumes import write_volume

from auditor import demo
from auditor.errors import CheckpointError, IntegrityError
from auditor.schema import (
    AblationSpec,
    Geometry,
    InputSpec,
    OutputSpec,
    Status,
    SystemSpec,
    WindowSpec,
)
from auditor.systems.other_scan import other_scan, unlike
from auditor.systems.preparation import fed_sizes, prepare
from auditor.systems.runners import RunningInfo
from auditor.systems.running import Failure, Prediction, RunningSystem, open_system
from auditor.volumes.digests import image_digest
from auditor.volumes.images import read_volume

LABELS = OutputSpec(activation="sigmoid", labels=(("organ", 1),))
INFO = RunningInfo("onnx", "", 0, (), ())


@functools.cache
def oblique_grid() -> Geometry:
    """The grid that files of these tests have once they are read: anisotropic and oblique."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_volume(Path(folder) / "a.nii.gz", np.zeros((3, 4, 5), np.float32))
        return read_volume((str(path),))[1]


def geometry(*shape: int) -> Geometry:
    return replace(oblique_grid(), shape=shape)


def scan(shape: Sequence[int], *, seed: int, channels: int = 1) -> Tensor:
    drawn = np.random.default_rng(seed).uniform(10, 50, (channels, *shape))
    return torch.from_numpy(drawn.astype(np.float32))


def written(path: Path, image: Tensor) -> tuple[str, ...]:
    """Write each channel on the grid of these tests."""
    return tuple(
        str(write_volume(path.with_name(f"{path.name}_{i}.nii.gz"), channel.numpy()))
        for i, channel in enumerate(image)
    )


def by_image(paths: Sequence[str], **changes: Any) -> SystemSpec:
    ablation = AblationSpec(
        (0,), "image", images=tuple(paths), images_sha256=tuple(map(image_digest, paths))
    )
    known: dict[str, Any] = {"checkpoint": "net.onnx", "output": LABELS, "ablation": ablation}
    return SystemSpec("s", **(known | changes))


class Recorder:
    """Keeps what it is fed with, and answers one half everywhere."""

    info = INFO

    def __init__(self) -> None:
        self.fed: list[NDArray[np.float32]] = []

    def run(self, pieces: Sequence[NDArray[np.float32]], spec: SystemSpec) -> list[NDArray[Any]]:
        assert spec.ablation is not None
        self.fed += pieces
        return [np.full((1, *piece.shape[1:]), 0.5, np.float32) for piece in pieces]

    def close(self) -> None:
        pass


def running(spec: SystemSpec, runner: Recorder) -> RunningSystem:
    return RunningSystem(spec, runner, INFO, other=other_scan(spec))


def test_both_scans_are_prepared_alike_and_stand_channel_behind_channel(tmp_path: Path) -> None:
    declared = InputSpec(
        channels=2, axes="RAS", spacing_mm=(1.5, 1.5, 2.0), clip=(0, 40), scale_to=(0, 1),
        zscore="image", divisor=(4, 4, 4),
    )  # fmt: skip
    other = scan((10, 14, 12), seed=9, channels=2)
    spec = by_image(written(tmp_path / "o", other), input=declared)
    grid = geometry(10, 14, 12)
    images = [scan(grid.shape, seed=i, channels=2) for i in range(2)]
    runner = Recorder()
    answers = running(spec, runner).predict(images, grid)
    assert [type(it) for it in answers] == [Prediction, Prediction]
    expected = prepare(other, grid, declared).array
    for fed, image in zip(runner.fed, images, strict=True):
        own = prepare(image, grid, declared).array
        assert fed.shape == (4, *own.shape[1:])
        assert np.array_equal(fed[:2], own)
        assert np.array_equal(fed[2:], expected)


def test_a_scan_of_another_fed_size_is_rejected_and_the_others_are_not(tmp_path: Path) -> None:
    spec = by_image(written(tmp_path / "o", scan((10, 14, 12), seed=9)))
    runner = Recorder()
    (answer,) = running(spec, runner).predict([scan((9, 14, 12), seed=1)], geometry(9, 14, 12))
    assert answer == Failure(
        Status.REJECTED,
        "the other image must have the fed size 9 x 14 x 12 of this scan, has 10 x 14 x 12; "
        "ablate by image needs scans of one size, or input.size",
    )
    assert runner.fed == []


@pytest.mark.parametrize("fit", ["resize", "pad"])
def test_a_fixed_size_lets_scans_of_every_size_be_compared(tmp_path: Path, fit: str) -> None:
    other = scan((10, 14, 12), seed=9)
    fixed = InputSpec(size=(8, 16, 12), fit=fit)  # type: ignore[arg-type]  # one of both
    spec = by_image(written(tmp_path / "o", other), input=fixed)
    runner = Recorder()
    (answer,) = running(spec, runner).predict([scan((9, 11, 7), seed=1)], geometry(9, 11, 7))
    assert isinstance(answer, Prediction)
    assert answer.labels.shape == (9, 11, 7)
    (fed,) = runner.fed
    assert fed.shape == (2, 8, 16, 12)
    assert np.array_equal(fed[1:], prepare(other, geometry(10, 14, 12), fixed).array)


def test_slices_go_with_the_slices_of_the_same_place(tmp_path: Path) -> None:
    other = scan((5, 8, 6), seed=9)
    spec = by_image(written(tmp_path / "o", other), input=InputSpec(dims=2))
    runner = Recorder()
    image = scan((5, 8, 6), seed=1)
    running(spec, runner).predict([image], geometry(5, 8, 6))
    assert [fed.shape for fed in runner.fed] == [(2, 8, 6)] * 5
    for place, fed in enumerate(runner.fed):
        assert np.array_equal(fed[0], image[0, place].numpy())
        assert np.array_equal(fed[1], other[0, place].numpy())
    # a scan with more slices has nothing to be replaced by
    (answer,) = running(spec, runner).predict([scan((6, 8, 6), seed=1)], geometry(6, 8, 6))
    assert isinstance(answer, Failure)
    assert "must have the fed size 6 x 8 x 6 of this scan, has 5 x 8 x 6" in answer.reason


def test_another_contract_prepares_the_other_scan_anew(tmp_path: Path) -> None:
    spec = by_image(written(tmp_path / "o", scan((4, 6, 8), seed=9)))
    runner = Recorder()
    system = running(spec, runner).under(replace(spec, input=InputSpec(affine=(2.0, 1.0))))
    system.predict([scan((4, 6, 8), seed=1)], geometry(4, 6, 8))
    np.testing.assert_allclose(runner.fed[0][1], 2 * scan((4, 6, 8), seed=9)[0] + 1, rtol=1e-6)


def test_what_the_other_scan_lacks_is_told(tmp_path: Path) -> None:
    paths = written(tmp_path / "o", scan((4, 6, 8), seed=9))
    with pytest.raises(
        CheckpointError, match=r"does not fit its contract: input\.channels must be"
    ):
        other_scan(by_image(paths, input=InputSpec(channels=3)))
    with pytest.raises(CheckpointError, match=r"window\.size must have 3 numbers"):
        other_scan(by_image(paths, window=WindowSpec((4, 4))))
    spec = by_image(paths)
    written(tmp_path / "o", scan((4, 6, 8), seed=8))
    with pytest.raises(IntegrityError, match=r"o_0\.nii\.gz was changed since; put it back"):
        other_scan(spec)
    Path(paths[0]).unlink()
    with pytest.raises(CheckpointError, match="the other image of system 's' cannot be read"):
        other_scan(spec)


@pytest.mark.parametrize("name", ["unet_skips.onnx", "unet_attention.pt"])
def test_activations_of_the_same_scan_change_nothing_in_windows_and_mirrored(
    tmp_path: Path, name: str
) -> None:
    image = scan((16, 40, 24), seed=4)
    softmax = OutputSpec(labels=(("organ", 1),))
    logits = OutputSpec(activation="logits_sigmoid", labels=(("organ", 1),))
    spec = by_image(
        written(tmp_path / "o", image),
        checkpoint=str(Path(demo.__file__).parent / "checkpoints" / name),
        input=InputSpec(zscore="image"),
        output=softmax if name.endswith("onnx") else logits,
        window=WindowSpec((16, 32, 16), 0.5),
        flips=(0, 2),
        batch=2,
    )
    answers = []
    for one in (spec, replace(spec, ablation=None)):
        with open_system(one) as system:
            answers += system.predict([image, scan((16, 40, 24), seed=5)], geometry(16, 40, 24))
    same, other, whole, plain = answers
    assert isinstance(same, Prediction)
    assert isinstance(whole, Prediction)
    assert torch.allclose(same.scores, whole.scores, rtol=1e-3, atol=1e-7)
    assert isinstance(other, Prediction)
    assert isinstance(plain, Prediction)
    # both answer with next to nothing on noise, and not with the same
    assert not torch.allclose(other.scores, plain.scores, rtol=0.05, atol=0)


def test_systems_without_an_image_are_fed_as_before() -> None:
    assert other_scan(SystemSpec("s", "net.onnx")) is None
    assert other_scan(SystemSpec("s", "net.onnx", ablation=AblationSpec((0,), "mean"))) is None


def test_scans_that_will_be_rejected_are_counted_without_their_voxels(tmp_path: Path) -> None:
    paths = written(tmp_path / "o", scan((10, 14, 12), seed=9))
    grids = [geometry(10, 14, 12), geometry(9, 14, 12), geometry(10, 13, 12)]
    assert unlike(by_image(paths), grids) == 2
    # 9 and 10 voxels are padded to 12, 13 and 14 to 16
    assert unlike(by_image(paths, input=InputSpec(divisor=(4, 4, 4))), grids) == 0
    assert unlike(by_image(paths, input=InputSpec(divisor=(2, 2, 2))), grids) == 0
    assert unlike(by_image(paths, input=InputSpec(divisor=(1, 2, 1))), grids) == 1
    for fit in ("resize", "pad"):
        fixed = InputSpec(size=(8, 16, 12), fit=fit)
        assert unlike(by_image(paths, input=fixed), grids) == 0
    # slice by slice: slices are made to fit, their number is not
    slices = InputSpec(dims=2, size=(16, 16))
    assert unlike(by_image(paths, input=slices), grids) == 1
    assert unlike(SystemSpec("s", "net.onnx"), grids) == 0
    for declared in (InputSpec(divisor=(4, 4, 4)), slices, InputSpec(spacing_mm=(2.0, 1.0, 1.0))):
        expected = prepare(scan((9, 14, 12), seed=1), grids[1], declared).array.shape[1:]
        assert fed_sizes(grids[1], declared, fitted=True) == expected


def test_a_callable_cannot_be_ablated() -> None:
    spec = SystemSpec("s", output=LABELS, ablation=AblationSpec((0,), "mean"))
    with pytest.raises(CheckpointError, match="must be a checkpoint"):
        open_system(spec, callable=lambda image: image)
