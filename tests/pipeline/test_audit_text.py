"""The text of a drafted audit.yaml: what was put in is what is read, whatever its names are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from auditor.pipeline.audit_text import AuditText, flow, relative, system_name, write_audit

STRANGE = ("yes", "1", "a: b", "#1", "ventricle, left", "{x}", "null", "Hirn é", "it's")


@pytest.mark.parametrize("name", STRANGE)
def test_every_name_comes_back_as_it_was(name: str) -> None:
    labels = {name: 1, f"{name} 2": 2}
    text = write_audit(
        AuditText(
            name="net",
            seed=4,
            data=("table", f"{name}.csv"),
            modality="mr",
            system="net",
            checkpoint=f"../{name}.onnx",
            contract=(
                ("output.labels", flow(labels), "from the references, all of them"),
                ("input.axes", "RAS", "declared"),
                ("window.size", "[96, 96, 96]", "command line"),
            ),
            settings=(("batch", "4", "command line"),),
            preset="mri",
            label=name,
            exclude=("drawn.csv", "the screened patients"),
            asked=(("output: {activation: softmax}", "which?"),),
            criteria=("C-01: {..}",),
            remarks=("Drafted.",),
        )
    )
    read = yaml.safe_load(text)
    assert read["cases"] == {
        "table": f"{name}.csv", "modality": "mr", "state": "raw", "exclude": "drawn.csv",
    }  # fmt: skip
    assert read["systems"]["net"] == {
        "checkpoint": f"../{name}.onnx",
        "batch": 4,
        "input": {"axes": "RAS"},
        "window": {"size": [96, 96, 96]},
        "output": {"labels": labels},
    }
    assert read["strata"]["foreground_ratio"]["label"] == name
    assert "criteria" not in read
    # a comment needs blanks before it, also behind a long line
    assert re.search(r"\} {2,}# from the references", text)


def test_what_is_asked_for_becomes_fields_when_the_comments_are_taken_away() -> None:
    """Whichever lines are taken: no key stands twice, whether its part is there already or not."""
    text = write_audit(
        AuditText(
            "net", 1, ("folder", "d"), "mr", "net", "m.onnx",
            (("output.labels", "{organ: 1}", ""),), "mri", "organ",
            asked=(
                ("input: {axes: RAS}", "fill in: towards where?"),
                ("input: {clip: [-57, 164], scale_to: [0, 1]}", "which range?"),
                ("output: {activation: softmax}", "which?"),
                ("window: {size: [96, 96, 96], overlap: 0.25}", "how large?"),
                ("flips: [0, 1, 2]", "as the maker predicts"),
            ),
        )
    )  # fmt: skip
    assert yaml.safe_load(text)["systems"]["net"] == {
        "checkpoint": "m.onnx", "output": {"labels": {"organ": 1}},
    }  # fmt: skip
    whole = re.sub(r"(?m)^( {4,6})# ", r"\1", text)
    assert yaml.safe_load(whole)["systems"]["net"] == {
        "checkpoint": "m.onnx",
        "flips": [0, 1, 2],
        "input": {"axes": "RAS", "clip": [-57, 164], "scale_to": [0, 1]},
        "window": {"size": [96, 96, 96], "overlap": 0.25},
        "output": {"labels": {"organ": 1}, "activation": "softmax"},
    }
    assert len(re.findall(r"(?m)^ +(input|window|output):", whole)) == 3


def test_what_is_left_to_fill_in_is_no_value() -> None:
    blank = write_audit(
        AuditText(
            "net", 1, ("folder", "d"), None, "net", "m.onnx", (), "generic", "organ",
            exclude=("drawn.csv", "# nobody would be left"),
        )
    )  # fmt: skip
    read = yaml.safe_load(blank)
    assert read["cases"]["modality"] is None
    assert "exclude" not in read["cases"]
    assert "# exclude: drawn.csv   # nobody would be left" in blank


@pytest.mark.parametrize(
    ("file", "name"),
    [("a b.onnx", "a-b"), ("controls.pt", "system"), ("-x-.pt", "x"), ("...", "system"),
     ("n" * 90 + ".onnx", "n" * 60)],
)  # fmt: skip
def test_names_of_systems_are_made_of_their_files(file: str, name: str) -> None:
    assert system_name(Path("models") / file) == name


def test_paths_are_written_as_seen_from_the_draft(tmp_path: Path) -> None:
    assert relative(tmp_path / "a" / "m.onnx", tmp_path / "runs" / "one") == "../../a/m.onnx"


def test_words_of_a_maker_stay_comments() -> None:
    """A line break in what a bundle says would begin a line of the audit: another system, a command."""
    evil = "RAS\nsystems: {evil: {command: rm {input} {output}}}\r\x85x: 1\u2028y: 2 \x1b[31m"
    text = write_audit(
        AuditText(
            name="net",
            seed=4,
            data=("table", "cases.csv"),
            modality="mr",
            system="net",
            checkpoint="net.onnx",
            contract=(("input.dims", "3", evil),),
            settings=(("batch", "4", evil),),
            found=(("input.axes", evil, evil),),
            preset="mri",
            label="organ",
            labels="{organ: 1}",
            exclude=("drawn.csv", f"# {evil}"),
            asked=(
                ("input: {axes: RAS}", evil),
                (evil, evil),
                ("input: {clip: 'a\n\nx: 1'}", evil),
            ),
            doubts=(evil,),
            criteria=(evil,),
            remarks=(evil,),
        )
    )
    read = yaml.safe_load(text)
    assert read["systems"] == {"net": {"checkpoint": "net.onnx", "batch": 4, "input": {"dims": 3}}}
    assert set(read) == {
        "audit", "seed", "purpose", "cases", "labels", "systems", "perturbations", "metrics", "strata",
    }  # fmt: skip
