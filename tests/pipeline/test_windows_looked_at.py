"""What `check` says of windows before a run: fixed sizes, scans that are smaller, what each costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import Sizes, save_graph, save_script
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tiny_audits import bright, callable_fields
from torch import Tensor, nn
from typing_extensions import override

import auditor
from auditor.config import parse_config
from auditor.pipeline.preflight import look
from auditor.pipeline.window_sizes import windows_beyond_scans
from auditor.schema import CaseRecord, Geometry, InputSpec, SystemSpec, WindowSpec
from auditor.systems.fixed_size import declared_otherwise
from reports.build import build


class Positions(nn.Module):
    """Adds what it has learned of every place, as a transformer does: no other size fits."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(1, 2, 16, 16, 8))

    @override
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([-x, x], dim=1) + self.places


def twice(path: Path, sizes: Sizes) -> None:
    """Write a graph that answers with -x and x."""
    save_graph(
        path,
        [
            helper.make_node("Neg", ["image"], ["a"]),
            helper.make_node("Concat", ["a", "image"], ["out"], axis=1),
        ],
        sizes=sizes,
        outputs=[("out", TensorProto.FLOAT, (sizes[0], 2, *sizes[2:]))],
    )


def entry(checkpoint: str, **changes: Any) -> dict[str, Any]:
    return {
        "checkpoint": checkpoint,
        "input": {"channels": 1, "dims": 3, "layout": "channel_first", "zscore": "image"},
        "output": {
            "activation": "logits_softmax",
            "labels": {"organ": 1},
            "layout": "channel_first",
        },
        "window": {"size": [16, 16, 8]},
        "contract_sensitivity": False,
        **changes,
    }


def fields(folder: Path, systems: dict[str, Any]) -> dict[str, Any]:
    return {**callable_fields(folder), "systems": systems, "perturbations": {}}


def problems_of(folder: Path, systems: dict[str, Any]) -> tuple[str, ...]:
    return look(parse_config(fields(folder, systems), folder=folder)).problems


def test_a_checkpoint_that_refuses_a_window_of_a_sweep_says_which_one_it_takes(
    tmp_path: Path,
) -> None:
    save_script(Positions(), tmp_path / "net.pt")
    sizes = [[16, 16, 8], [32, 32, 16]]
    (told,) = problems_of(tmp_path, {"v": entry("net.pt", expand={"window.size": sizes})})
    assert told.startswith(
        "systems.v-32x32x16.window.size: must be [16, 16, 8], as systems.v-16x16x8 runs with it and this size "
        "is refused (the model refused its input: "
    )
    assert "was [32, 32, 16]; a network whose input has a fixed size cannot be swept" in told


def test_a_graph_of_declared_sizes_leaves_no_room_for_another_window(tmp_path: Path) -> None:
    twice(tmp_path / "net.onnx", (1, 1, 16, 16, 8))
    (told,) = problems_of(
        tmp_path,
        {"v": entry("net.onnx", window={"size": [32, 16, 8]})},
    )
    assert told == (
        "systems.v.window.size: must be [16, 16, 8], as the graph declares this size only, was [32, 16, 8]; a "
        "network whose input has a fixed size cannot be swept over windows: leave this window out, or audit a "
        "checkpoint made for it"
    )


def test_only_the_sizes_that_a_graph_fixes_count() -> None:
    spec = SystemSpec("v", window=WindowSpec((32, 16, 8)))
    assert declared_otherwise(spec, (None, 1, None, 16, None)) == ""
    assert "must be [16, any, any]" in declared_otherwise(spec, (1, 1, 16, None, None))
    last = SystemSpec("v", input=InputSpec(layout="channel_last"), window=WindowSpec((32, 16)))
    assert declared_otherwise(last, (1, 32, 16, 3)) == ""
    assert "must be [64, 16]" in declared_otherwise(last, (1, 64, 16, 3))
    for declared in (None, (), (1, 1, 16, 16)):
        assert declared_otherwise(spec, declared) == ""
    assert declared_otherwise(SystemSpec("v"), (1, 1, 16, 16, 8)) == ""


def test_windows_larger_than_scans_are_told_with_their_padding(tmp_path: Path) -> None:
    """40 mm at 2 mm are 20 voxels, padded to 24 by the divisor; native axes are (z, y, x)."""
    input_ = {"axes": "SAR", "spacing_mm": [2.0, 2.0, 2.0], "divisor": [8, 8, 8], "dims": 3}
    systems = {
        "small": {"input": input_, "window": {"size": [24, 24, 24]}},
        "large": {"input": input_, "window": {"size": [24, 32, 24], "padding": "reflect"}},
    }
    config = parse_config(fields(tmp_path, systems), folder=tmp_path, callables=("small", "large"))
    grid = Geometry((10, 40, 40), (4.0, 1.0, 1.0))
    wide = Geometry((10, 80, 40), (4.0, 1.0, 1.0))
    cases = [CaseRecord(name, name, ("i.nii.gz",), "m.nii.gz") for name in "ab"]
    (told,) = windows_beyond_scans(config, cases, [wide, grid])
    assert told.startswith(
        "systems.large.window.size: [24, 32, 24] is larger than 1 of 2 scans as they are fed (case 'b': "
        "[24, 24, 24]); they are padded with their reflection on both sides"
    )


def test_a_run_keeps_what_each_window_cost_apart_from_its_results(tmp_path: Path) -> None:
    twice(tmp_path / "net.onnx", ("n", 1, "z", "y", "x"))

    def inside(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return bright(image)

    systems = {"v": entry("net.onnx"), "f": {}}
    config = parse_config(fields(tmp_path, systems), folder=tmp_path, callables=("f",))
    run = auditor.audit(config, systems={"f": inside}, out=tmp_path / "run")
    provenance = json.loads((run.folder / "provenance.json").read_text())
    cost = provenance["cost"]
    assert list(cost) == ["f", "v"]
    assert {it["cases"] for it in cost.values()} == {4}
    assert all(it["seconds_per_case"] > 0 for it in cost.values())
    assert cost["f"]["peak_memory_mb"] is None
    assert 10 < cost["v"]["peak_memory_mb"] < 8192
    assert provenance["processor"]
    assert "seconds" not in (run.folder / "results.json").read_text()
    build(run.folder)
    page = (run.folder / "report.html").read_text()
    assert "Cost of each system, measured in this run on" in page
    assert "[16, 16, 8], overlap 0.5" in page
    assert "cost.v." not in page


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"foreground_ratio": [0.4, 0.1]}, "two rising shares between 0 and 1.*0.4, 0.1"),
        ({"foreground_ratio": [0.1, 40]}, "two rising shares between 0 and 1"),
        ({"foreground_ratio": [-0.1, 0.4]}, "two rising shares between 0 and 1"),
        ({"patch": [16, 16]}, r"training\.patch: must have 3 sizes.*was \[16, 16\]"),
        ({"patch": [16, 16, 0]}, r"training\.patch: must be two or three whole numbers"),
    ],
)
def test_facts_of_a_training_that_cannot_be_are_refused(
    tmp_path: Path, training: dict[str, Any], told: str
) -> None:
    (tmp_path / "net.onnx").touch()
    systems = {"v": entry("net.onnx", training=training)}
    with pytest.raises(auditor.ConfigError, match=told):
        parse_config(fields(tmp_path, systems), folder=tmp_path)


def test_windows_that_share_all_of_themselves_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").touch()
    systems = {"v": entry("net.onnx", window={"size": [16, 16, 8], "overlap": 1.0})}
    with pytest.raises(auditor.ConfigError, match=r"overlap: must be a number from 0 to below 1"):
        parse_config(fields(tmp_path, systems), folder=tmp_path)
