"""`segaudit skips`: a checkpoint to its table and picture, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import onnx
import pytest
import yaml
from drawn_graphs import u_net_graph

import auditor
from auditor.cli import _run
from auditor.schema import NetworkFacts, NetworkSkip, decode

TABLE = """\
#  level  resolution  channels  merged by   places  nested  value
1      0  64 x 64            3  Concat           1          first
2      1  32 x 32            5  Concat           1          second
       2  16 x 16               bottleneck"""


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out, captured.err


def test_the_command_prints_the_table_and_how_to_ablate_each_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = u_net_graph(tmp_path / "net.onnx")
    assert _run(["skips", str(graph)]) == 0
    text, _ = told(capsys)
    assert text.startswith("net.onnx: 2 skip connections, fed 1 x 1 x 64 x 64\n\n")
    assert TABLE in text
    assert "complete   yes: with all of them cut, every way" in text
    assert "minimal    yes: giving back any one" in text
    assert "note" not in text
    lines = yaml.safe_load(text[text.index("under systems:") + len("under systems:") :])
    assert lines == {
        f"net-without-{level}": {"like": "net", "ablate": {"skip": level, "by": "mean"}}
        for level in (0, 1)
    }


def test_the_folder_holds_the_same_as_picture_table_and_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = u_net_graph(tmp_path / "net.onnx", sizes=(1, 1, 24, 40))
    out = tmp_path / "out"
    assert _run(["skips", str(graph), "-o", str(out), "--json"]) == 0
    text, err = told(capsys)
    assert f"picture    {out / 'skips.svg'}" in err
    assert (out / "skips.json").read_text(encoding="utf-8") == text
    facts = decode(text, NetworkFacts)
    assert facts.fed == (1, 1, 24, 40)
    first, second = facts.skips
    assert first == NetworkSkip(0, (24, 40), 3, "first", "Concat", nested=False, places=1)
    assert (second.resolution, facts.coarsest) == ((12, 20), (6, 10))
    rows = (out / "skips.csv").read_text(encoding="utf-8").splitlines()
    assert rows == [
        "number,level,resolution,channels,operator,places,nested,value",
        "1,0,24 x 40,3,Concat,1,no,first",
        "2,1,12 x 20,5,Concat,1,no,second",
    ]
    picture = (out / "skips.svg").read_text(encoding="utf-8")
    assert ET.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
    assert "1  Concat" in picture
    # and the same bytes from the same checkpoint
    assert _run(["skips", str(graph), "-o", str(out)]) == 0
    assert (out / "skips.svg").read_text(encoding="utf-8") == picture


def test_the_documentation_shows_what_is_printed_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Path(auditor.__file__).parent / "demo" / "checkpoints" / "unet_skips.onnx"
    monkeypatch.chdir(tmp_path)
    assert _run(["skips", str(checkpoint), "-o", "skips/"]) == 0
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "skips.md").read_text(encoding="utf-8")
    shown = page[page.index("```\nunet_skips.onnx") + 4 : page.index("```\n\n![Four levels")]
    assert told(capsys)[0] == shown
    drawn = (docs / "images" / "skips.svg").read_bytes()
    assert (tmp_path / "skips" / "skips.svg").read_bytes() == drawn


def test_a_size_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = u_net_graph(tmp_path / "net.onnx")
    assert _run(["skips", str(graph), "--set", "input.size=[48, 96]", "--json"]) == 0
    assert json.loads(told(capsys)[0])["fed"] == [1, 1, 48, 96]


def test_a_network_without_skip_connections_is_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = u_net_graph(tmp_path / "net.onnx", joins=False)
    assert _run(["skips", str(graph), "-o", str(tmp_path / "out")]) == 0
    text, _ = told(capsys)
    assert "net.onnx: no skip connections" in text
    assert "is no fault: there is nothing to ablate" in text
    assert "to ablate  " not in text
    rows = re.findall(r"^ +\d  .*", text, re.MULTILINE)
    assert [row.split("  ")[-1].strip() for row in rows] == [
        "no skip connection",
        "no skip connection",
        "bottleneck",
    ]


def test_names_of_a_file_are_escaped_and_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = '</svg><script>alert(1)</script>, "x": {y}'
    graph = u_net_graph(tmp_path / "a<b>&.onnx", first=evil)
    assert _run(["skips", str(graph), "-o", str(tmp_path / "out")]) == 0
    text, _ = told(capsys)
    assert evil in text
    picture = (tmp_path / "out" / "skips.svg").read_text(encoding="utf-8")
    assert "<script" not in picture
    ET.fromstring(picture)


def test_a_graph_of_several_inputs_is_refused_with_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = u_net_graph(tmp_path / "net.onnx")
    model = onnx.load(graph)
    more = onnx.helper.make_tensor_value_info("prompt", onnx.TensorProto.FLOAT, ["n", 1])
    model.graph.input.append(more)
    onnx.save(model, str(graph))
    assert _run(["skips", str(graph)]) == 4
    assert "must have one input, the image; it has image, prompt" in told(capsys)[1]


def test_a_list_that_is_not_complete_offers_values_instead_of_levels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A choice between two values is a way around the bottleneck that no skip explains."""
    graph = u_net_graph(tmp_path / "7.onnx")
    model = onnx.load(graph)
    (merge,) = [it for it in model.graph.node if it.output[0] == "both"]
    place = list(model.graph.node).index(merge)
    merge.input[:] = ["chosen", "chosen"]
    always = onnx.helper.make_tensor("always", onnx.TensorProto.BOOL, [1, 1, 1, 1], [True])
    model.graph.initializer.append(always)
    choice = onnx.helper.make_node("Where", ["always", "first", "back"], ["chosen"])
    model.graph.node.insert(place, choice)
    onnx.save(model, str(graph))
    assert _run(["skips", str(graph)]) == 0
    text, _ = told(capsys)
    assert "7.onnx: 1 skip connection, fed" in text
    assert "complete   no: with all of them cut, some way" in text
    assert "nothing may be concluded from ablating its levels" in text
    lines = yaml.safe_load(text[text.index("under systems:") + len("under systems:") :])
    # YAML would take the name 7 for a number
    assert lines == {"7-value-1": {"like": "7", "ablate": {"skip": "second", "by": "mean"}}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.onnx"], "missing.onnx"),
        (["text.onnx"], "text.onnx"),
        (["."], "a file or a folder that is known"),
        (["net.onnx", "-o", "text.onnx"], "must be a folder"),
        (["net.onnx", "--set", "input.size=[7, 7]"], "could not be looked into"),
        (["net.onnx", "--set", "input.axis=RAS"], "input.axis"),
        (["net.onnx", "--limit", "0"], "--limit"),
    ],
)
def test_what_is_refused_is_said_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    u_net_graph(tmp_path / "net.onnx")
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert _run(["skips", *arguments]) == 4
    _, err = told(capsys)
    assert said in err
