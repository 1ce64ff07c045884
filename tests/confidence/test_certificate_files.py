"""A certificate comes back as it was written, or not at all; and it tells how its system is run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from certificates_samples import calibration_scan, certificate

from auditor.confidence.certificate import certificate_name, certificate_text, read_certificate
from auditor.confidence.certified_system import system_entry, system_of
from auditor.errors import AuditError, DataError, IntegrityError
from auditor.plan import system_identity
from auditor.schema import InputSpec, OutputSpec, SystemSpec, TrainingFacts, WindowSpec


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "unet.organ.json"
    path.write_text(certificate_text(certificate(**changes)), encoding="utf-8")
    return path


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    lost = calibration_scan(4, None, agreement=None, outer_distance=None, estimates=())
    known = certificate(scans=(*certificate().scans, lost))
    path = tmp_path / "c.json"
    path.write_text(certificate_text(known), encoding="utf-8")
    found = read_certificate(path)
    assert replace(found, digest="") == known
    assert certificate_text(found) == path.read_text(encoding="utf-8")
    assert found.scored.numbers == (1,)


def test_another_layout_of_the_same_content_is_no_change(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(dict(reversed(content.items()))), encoding="utf-8")
    assert read_certificate(path).audit == "tiny"


def _edits() -> list[Any]:
    def bound(content: dict[str, Any]) -> None:
        content["scans"][0]["dsc"] = 0.99

    def grades(content: dict[str, Any]) -> None:
        content["declared"]["grades"] = [0.5, 0.4]

    def dropped(content: dict[str, Any]) -> None:
        content["scans"].pop()

    def added(content: dict[str, Any]) -> None:
        content["approved"] = True

    def typed(content: dict[str, Any]) -> None:
        content["scans"] = "none"

    def signed(content: dict[str, Any]) -> None:
        content["digest"] = "0" * 64

    return [bound, grades, dropped, added, typed, signed]


@pytest.mark.parametrize("edit", _edits(), ids=lambda it: it.__name__)
def test_an_edit_by_hand_is_told(tmp_path: Path, edit: Any) -> None:
    path = written(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"unet\.organ\.json was changed after it was written"):
        read_certificate(path)


def test_one_of_another_segaudit_was_not_changed_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["copies"][0]["colour"] = "grey"  # a field that some other version may have
    del content["digest"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["digest"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match="was written by another segaudit"):
        read_certificate(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"[1, 2]", "another file"),
        (b'{"version": 3, "audit": {}}', "another file"),
        (b'{"version": 9, "declared": {}, "scans": [], "digest": ""}', "is of version 9"),
        (b'{"version": 1, "declared": NaN, "scans": [], "digest": ""}', "finite"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_another_file_is_no_certificate(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        read_certificate(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="must be a file"):
        read_certificate(tmp_path / "no.json")


def test_the_name_of_the_file_stays_in_its_folder() -> None:
    assert certificate_name("vendor-a", "../left kidney") == "vendor-a...-left-kidney.json"


LABELS = OutputSpec(labels=(("tumour", 3), ("organ", 1)))

SYSTEMS = [
    SystemSpec("a", "a.onnx", output=LABELS),
    SystemSpec(
        "a",
        "a.onnx",
        InputSpec(
            channels=2, axes="RAS", crop="nonzero", spacing_mm=(1.5, 1.5, 2.0), interpolation="cubic",
            grid="extent", intensities_on="native", clip=((-57.0, 164.0), None),
            clip_quantiles=(0.005, 0.995), scale_to=((0.0, 1.0), None), zscore=("image", "none"),
            affine=((2.0, -1.0), None), divisor=(8, 8, 4), layout="channel_last", dims=3,
        ),
        replace(LABELS, activation="logits_sigmoid", channels=(("organ", 2), ("tumour", 1)),
                threshold=0.4, index="seg", layout="channel_last"),
        WindowSpec((96, 96, 48), 0.25, "constant", "monai", "reflect"),
        flips=(0, 2), precision="float16", batch=4, threads=2, device="cuda:1",
    ),
    SystemSpec("a", "a.pt", InputSpec(transpose=(2, 0, 1)), replace(LABELS, activation="labels")),
    SystemSpec(
        "a", "a.pt", InputSpec(axes="RA", size=(64, 64), fit="resize", dims=2, clip=(0.0, 1.0)),
        replace(LABELS, resampled="logits", index=1),
    ),
    SystemSpec("a", None, output=LABELS),
]  # fmt: skip


@pytest.mark.parametrize("spec", SYSTEMS, ids=range(len(SYSTEMS)))
def test_a_system_comes_back_with_the_same_identity(spec: SystemSpec) -> None:
    entry = json.loads(json.dumps(system_entry(spec), sort_keys=True))
    assert "a.onnx" not in str(entry)
    where = None if spec.checkpoint is None else Path("elsewhere.bin")
    back = system_of(entry, name="renamed", checkpoint=where)
    assert system_identity(back, "f") == system_identity(spec, "f")
    assert (back.input, back.output, back.window) == (spec.input, spec.output, spec.window)


def test_what_no_prediction_depends_on_is_left_out() -> None:
    spec = replace(
        SYSTEMS[0], golden="/home/me/golden.csv", claimed=(("dsc", 0.9),), timeout_s=5.0,
        training=TrainingFacts(patch=(8, 8)), family="unet",
    )  # fmt: skip
    assert system_entry(spec) == system_entry(SYSTEMS[0])
    assert system_entry(spec) == {
        "runs": "checkpoint",
        "input": {},
        "output": {"labels": [["tumour", 3], ["organ", 1]]},
    }


def test_a_command_stays_with_its_audit() -> None:
    spec = SystemSpec(
        "nn", output=replace(LABELS, activation="labels"), version="2.5", runs_in="/home/me",
        command=("/opt/bin/predict", "-i", "{input}", "-o", "{output}"),
    )  # fmt: skip
    entry = system_entry(spec)
    assert entry["runs"] == "command"
    assert "/opt" not in str(entry)
    assert "/home" not in str(entry)
    with pytest.raises(DataError, match="is a command"):
        system_of(entry, name="nn")


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"output": {"labels": 3}},
        {"output": {"labels": [["organ", 1]], "secret": 1}},
        {"output": {"labels": [["organ", 1]], "activation": "relu"}},
        {"output": {"labels": [["organ", 1]]}, "input": {"axes": "XYZ"}},
        {"output": {"labels": [["organ", 1]]}, "window": {"overlap": 0.5}},
    ],
)
def test_a_hostile_entry_is_refused_in_words(entry: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="does not say how a is run"):
        system_of(entry, name="a", checkpoint=Path("a.onnx"))
