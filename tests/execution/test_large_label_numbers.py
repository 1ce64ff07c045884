"""Labels above 32767 go through an audit like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from tiny_audits import SEED, bright, callable_fields

import auditor
from auditor.cases import read_mask, write_mask
from auditor.cases.raters import majority
from auditor.cases.staple import staple
from auditor.demo import write_cohort
from auditor.execution.controls import otsu_mask
from auditor.execution.scoring import mask_digest
from auditor.schema import OutputSpec
from auditor.systems.decision import decide

HIGH = 40000


def test_an_audit_of_a_label_above_32767_stores_its_number(tmp_path: Path) -> None:
    cohort = tmp_path / "cases"
    write_cohort(cohort, patients=2, seed=SEED)
    for file in cohort.glob("*_rater_*.nii.gz"):
        mask, geometry = read_mask(str(file))
        write_mask(file, (mask > 0).to(torch.int32) * HIGH, geometry)
    fields = callable_fields(
        tmp_path,
        labels={"organ": HIGH},
        perturbations={"rotation": {"severities": [2]}},
        keep={"exhibits": 0, "predictions": True},
    )
    run = auditor.audit(systems={"bright": bright}, out=tmp_path / "run", **fields)
    stored = [
        line.split(",")
        for line in (run.folder / "measurements.csv").read_text().splitlines()
        if line.startswith('"control:reference"') and '"clean"' in line
    ]
    assert len(stored) == 2
    assert all('"ok"' in row and row[-2] == "1" for row in stored)
    for file in (run.folder / "predictions" / "bright").glob("*.nii.gz"):
        assert set(np.unique(read_mask(str(file))[0])) == {0, HIGH}


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_decision_gives_the_declared_number(activation: Literal["softmax", "sigmoid"]) -> None:
    spec = OutputSpec(activation=activation, labels=(("a", 3), ("b", 65535)))
    scores = torch.tensor([[[0.9, 0.1, 0.0]], [[0.0, 0.2, 0.8]]])
    assert decide(scores, spec).tolist() == [[3, 0, 65535]]


def test_a_majority_gives_the_number_also_where_one_rater_lacks_it() -> None:
    low = torch.tensor([[1, 0, 0]], dtype=torch.int16)
    high = torch.tensor([[1, HIGH, HIGH]], dtype=torch.int32)
    found = majority([low, high, high], [1, HIGH], tie="above_half")
    assert found.tolist() == [[1, HIGH, HIGH]]


def test_staple_gives_the_number() -> None:
    mask = torch.tensor([[0, 1, HIGH, HIGH, 0, 0]], dtype=torch.int32)
    assert staple([mask, mask, mask], [1, HIGH]).tolist() == mask.tolist()


def test_a_control_gives_the_number() -> None:
    image = torch.tensor([[[0.0, 0.0, 9.0, 9.0]]])
    assert otsu_mask(image, (("a", HIGH),)).tolist() == [[0, 0, HIGH, HIGH]]


def test_the_digest_of_a_map_does_not_depend_on_how_it_is_kept() -> None:
    short = torch.tensor([[0, 1, 32767]], dtype=torch.int16)
    # SHA-256 of the bytes 00 00 01 00 ff 7f, as sha256sum gives it
    assert mask_digest(short) == mask_digest(short.to(torch.int32)) == "3b5b7f32b1b91a7a"
    assert mask_digest(torch.tensor([[1]])) != mask_digest(torch.tensor([[65535]]))
