"""Files that others made, where `examples/*/fetch.py` has put them; skipped where it has not."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from auditor.cases import read_mask, read_volume
from auditor.errors import CheckpointError
from auditor.proxies import agreement
from auditor.schema import InputSpec, OutputSpec, SystemSpec
from auditor.systems.probe import probe
from auditor.systems.running import Prediction, open_system
from auditor.systems.sniff import sniff

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PUPIL = InputSpec(divisor=(4, 4), affine=(1 / 255, 0.0))
LOGITS = OutputSpec(activation="logits_sigmoid", threshold=0.7, labels=(("pupil", 1),))


def fetched(example: str, name: str) -> Path:
    path = EXAMPLES / example / ".cache" / name
    if not path.exists():
        pytest.skip(f"run examples/{example}/fetch.py to have {name}")
    return path


def scores(system: SystemSpec, table: Path) -> tuple[list[float], list[torch.Tensor]]:
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    found, probabilities = [], []
    with open_system(system) as running:
        for row in rows:
            image, geometry = read_volume((str(table.parent / row["image"]),))
            truth, _ = read_mask(str(table.parent / row["reference"]))
            answer = running.predict([image], geometry)[0]
            assert isinstance(answer, Prediction), answer
            found.append(agreement(answer.labels == 1, truth == 1))
            probabilities.append(answer.probabilities)
    return found, probabilities


def test_weights_without_a_network_are_refused_with_the_way_out() -> None:
    with pytest.raises(CheckpointError, match=r"state_dict .*torch\.jit\.trace"):
        sniff(fetched("real_checkpoints", "pupil.pth"))


@pytest.mark.parametrize(
    ("example", "name", "contract"),
    [
        ("real_checkpoints", "pupil.ts", ("1", "2", "[4, 4]", "logits_sigmoid")),
        ("real_checkpoints", "pupil.onnx", ("1", "2", "[4, 4]", "logits_sigmoid")),
        ("real_checkpoints", "text.onnx", ("3", "2", "[32, 32]", "sigmoid")),
        ("brain_extraction", "bbox_model.pt", ("1", "3", "[32, 32, 32]", "softmax")),
    ],
)
def test_the_contract_is_found_by_trying(
    example: str, name: str, contract: tuple[str, ...]
) -> None:
    report = probe(fetched(example, name))
    found = {field.name: field.value for field in report.fields}
    names = ("input.channels", "input.dims", "input.divisor", "output.activation")
    assert tuple(found.get(it) for it in names) == contract


def test_both_exports_of_the_pupil_network_answer_alike_and_find_the_pupils() -> None:
    table = fetched("real_checkpoints", "eyes") / "cases.csv"
    answers = {}
    for name in ("pupil.ts", "pupil.onnx"):
        path = fetched("real_checkpoints", name)
        spec = SystemSpec(name, checkpoint=str(path), input=PUPIL, output=LOGITS)
        answers[name] = scores(spec, table)
    for first, second in zip(answers["pupil.ts"][1], answers["pupil.onnx"][1], strict=True):
        assert float((first - second).abs().max()) < 1e-4
    assert min(answers["pupil.ts"][0]) > 0.9


def test_the_text_detector_finds_lines_on_drawn_pages() -> None:
    path = fetched("real_checkpoints", "text.onnx")
    spec = SystemSpec(
        "dbnet",
        checkpoint=str(path),
        input=InputSpec(channels=3, divisor=(32, 32), affine=(2 / 255, -1.0)),
        output=OutputSpec(activation="sigmoid", threshold=0.3, labels=(("text", 1),)),
    )
    found, _ = scores(spec, fetched("real_checkpoints", "pages") / "cases.csv")
    assert sum(found) / len(found) > 0.65
