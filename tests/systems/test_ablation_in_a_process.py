"""Ablated checkpoints in their child process: what is sent, what is answered, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ablated_nets import OneSkip, one_skip_graph
from checkpoints import save_script
from numpy.typing import NDArray

from auditor.schema import AblationSpec, InputSpec, OutputSpec, Status, WindowSpec
from auditor.systems.process import ModelFailure, ModelProcess

OUTPUT = OutputSpec(activation="sigmoid", labels=(("organ", 1),))


def image(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_graph_and_a_program_are_ablated_in_their_process(tmp_path: Path) -> None:
    graph = one_skip_graph(tmp_path / "net.onnx", deep=1.0)
    script = save_script(OneSkip(deep=1.0), tmp_path / "net.pt")
    scan = image(1, 12, 10)
    for path, kind in ((graph, "onnx"), (script, "torchscript")):
        answers = []
        for spec in (AblationSpec((0,), "dose", 1.0), AblationSpec((0,), "zero")):
            with ModelProcess(path, kind, ablation=spec) as process:
                assert "at most 8 GB of address space" in process.info.sandbox
                answers += process.run([scan], None, OUTPUT, InputSpec())
                assert process.describe((1, 1, 12, 10), "channel_first").skips is not None
        # both: 2 x and the up-sampled maximum; without the skip only the maximum is left
        np.testing.assert_allclose(answers[0] - answers[1], 2 * scan, atol=1e-6)


def test_another_image_travels_behind_the_image_through_windows_and_flips(tmp_path: Path) -> None:
    path = one_skip_graph(tmp_path / "net.onnx")
    own, other = image(1, 12, 10), image(1, 12, 10, seed=1)
    window = WindowSpec((8, 8), overlap=0.5)
    spec = AblationSpec((), "image", images=("/somewhere/else.nii.gz",))
    with ModelProcess(path, "onnx", ablation=spec, batch=2) as process:
        both = np.concatenate([own, other])
        (answer,) = process.run([both], window, OUTPUT, InputSpec(), flips=(0, 1))
        # all that is returned is what skipped, which is twice the other image
        np.testing.assert_allclose(answer, 2 * other, atol=1e-6)
        with pytest.raises(ModelFailure, match="channels of two images, it was fed 1"):
            process.run([own], window, OUTPUT, InputSpec())


def test_a_level_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = one_skip_graph(tmp_path / "net.onnx")
    with ModelProcess(path, "onnx", ablation=AblationSpec((3,), "mean")) as process:
        with pytest.raises(ModelFailure) as refused:
            process.run([image(1, 8, 8)], None, OUTPUT, InputSpec())
        assert refused.value.status is Status.REJECTED
        assert refused.value.reason == "level 3 has no skip connection; those that have one: 0"


def test_layers_of_an_ablated_network_are_those_of_the_network_as_it_runs(tmp_path: Path) -> None:
    graph = one_skip_graph(tmp_path / "net.onnx", deep=1.0)
    script = save_script(OneSkip(deep=1.0), tmp_path / "net.pt")
    scans = [[image(1, 12, 10)], [image(1, 12, 10, seed=1)]]
    for path, kind in ((graph, "onnx"), (script, "torchscript")):
        with ModelProcess(path, kind, ablation=AblationSpec((), "zero")) as process:
            _, low, joined, out = process.layers(scans, None, InputSpec(), bins=8)
        (deep,) = low.distances
        assert deep is not None
        # of the two channels that are joined one is zero on both scans, the other is what came up again
        assert joined.distances[0] == pytest.approx((0 + deep) / 2)
        # and that alone is left of the answer
        assert out.distances[0] == pytest.approx(deep)
