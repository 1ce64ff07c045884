"""Rows that a certificate is made of: of one prediction, by hand; and of one that failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_audits import tiny_config
from torch import Tensor

from auditor.config import AuditConfig, load_config
from auditor.config.certificates import certificate_seed, mild_copies
from auditor.execution.agreement import copy_agreements, mean_agreement, voxel_digest
from auditor.execution.calibration import AGREEMENT, MARGINS, PREDICTED_RATIO, Calibrator
from auditor.execution.job import Job, failed_rows
from auditor.plan import make_plan
from auditor.schema import (
    CaseRecord,
    CertificateSpec,
    OutputSpec,
    PerturbationSpec,
    Record,
    Row,
    Status,
)
from auditor.systems.running import Failure, Prediction
from perturbations import Scan, estimate

SPACING = (3.0, 1.0, 1.0)
LABELS = OutputSpec(activation="labels", labels=(("organ", 1),))
SOFT = OutputSpec(labels=(("organ", 1),))
SPEC = CertificateSpec("unet", "organ", ("rician_noise",), grades=(0.9, 0.8), copies=2)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    found = load_config(tiny_config(tmp_path_factory.mktemp("rows"), patients=1))
    planned = (
        PerturbationSpec("rician_noise", (1.0, 3.0), (3.0, 9.0), "% of S_ref"),
        PerturbationSpec("gaussian_blur", (1.0,), (1.5,), "mm FWHM"),
        PerturbationSpec("ghosting", (2.0,), (6.0,), "% of S_ref"),
    )
    return replace(found, perturbations=planned, certificates=(SPEC,))


def box(first: int, last: int) -> Tensor:
    """Mark columns `first` to `last` of rows 2 to 5 of one slice in the middle."""
    labels = torch.zeros((3, 8, 12), dtype=torch.int16)
    labels[1, 2:6, first : last + 1] = 1
    return labels


def scan() -> Scan:
    generator = torch.Generator().manual_seed(3)
    image = 100.0 * box(3, 6)[None].float() + 20 + 4 * torch.rand(1, 3, 8, 12, generator=generator)
    return Scan(image=image, spacing=SPACING, modality="mr")


def template(perturbation: str = "clean", severity: float = 0.0) -> Row:
    return Row(
        Record.EVALUATION.value, "unet", "a", "p", perturbation, severity,
        None if perturbation == "clean" else 9.0, "", 0, Status.OK.value, reference="reference",
    )  # fmt: skip


def predicted(labels: Tensor, inside: float = 1.0) -> Prediction:
    soft = torch.where(labels == 1, inside, 0.0)
    scores = torch.stack([1 - soft, soft])
    return Prediction(scores, scores[1:], labels)


def measured(
    config: AuditConfig,
    outcome: Prediction | Failure,
    *,
    output: OutputSpec = SOFT,
    where: Row | None = None,
    predict: Callable[[Tensor], Prediction | Failure] | None = None,
) -> dict[str, Row]:
    rows = Calibrator(config).rows(
        where or template(),
        scan(),
        outcome,
        reference=box(3, 6),
        output=output,
        predict=predict or (lambda image: predicted(box(3, 6))),
    )
    assert {row.record for row in rows} <= {"calibration"}
    return {str(row.metric): row for row in rows}


def test_a_prediction_that_is_too_far_left(config: AuditConfig) -> None:
    # columns 1 to 4 of the reference's 3 to 6: the farthest column of the reference lies 2 mm outside
    # (rows and slices fit), and columns 1 and 2 of the mask do not belong to it
    found = measured(config, predicted(box(1, 4), 0.9))
    assert list(found) == [PREDICTED_RATIO, *MARGINS]
    assert found[PREDICTED_RATIO].value == pytest.approx(16 / (3 * 8 * 12))
    assert found["outer_distance"].value == pytest.approx(2.0)
    # columns 2 and 3 of rows 3 and 4 lie 2 mm deep and no voxel deeper; half of them do not belong to the
    # reference, so that only nothing keeps the promise
    assert found["inner_distance"].value == pytest.approx(2.0)
    assert {row.label for row in found.values()} == {"organ"}
    assert {row.status for row in found.values()} == {"ok", "not_finite"}
    # half of the reference has probability 0: only the whole image holds it
    assert found["outer_probability"].value is None
    assert "whole image" in found["outer_probability"].reason


def test_clean_scans_carry_the_digest_of_their_voxels(config: AuditConfig) -> None:
    facts = json.loads(measured(config, predicted(box(3, 6)))[PREDICTED_RATIO].facts or "")
    assert facts == {"channels": 1, "voxels": voxel_digest(scan().image)}
    # also where nothing was predicted, so that the scan is known again
    lost = measured(config, Failure(Status.CRASHED, "out of memory"))
    assert json.loads(lost[PREDICTED_RATIO].facts or "") == facts
    assert {(row.status, row.value, row.reason) for row in lost.values()} == {
        ("crashed", None, "out of memory")
    }


def test_a_system_that_gives_labels_only(config: AuditConfig) -> None:
    found = measured(config, predicted(box(3, 6)), output=LABELS)
    assert found["outer_distance"].value == 0.0
    assert found["outer_probability"].status == "not_applicable"
    assert found["outer_probability"].reason


def test_an_empty_prediction_has_no_margin_and_is_never_dropped(config: AuditConfig) -> None:
    found = measured(config, predicted(torch.zeros(3, 8, 12, dtype=torch.int16)))
    assert found[PREDICTED_RATIO].value == 0.0
    assert found["outer_distance"].value is None
    assert found["outer_distance"].status == "prediction_empty"


def test_a_perturbed_scan_has_the_agreement_with_its_own_copies(config: AuditConfig) -> None:
    asked: list[Tensor] = []

    def predict(image: Tensor) -> Prediction:
        asked.append(image)
        return predicted(box(3, 6 + len(asked)))

    own = predicted(box(3, 6))
    found = measured(config, own, where=template("rician_noise", 3.0), predict=predict)
    # 16 voxels, and copies of 20 and 24 that hold them all
    by_hand = (2 * 16 / (16 + 20) + 2 * 16 / (16 + 24)) / 2
    assert found[AGREEMENT].value == pytest.approx(by_hand)
    assert json.loads(found[AGREEMENT].facts or "") == {"copies": 2, "failed": 0}
    # the very images and the very number that are made when the scan is rated, without its reference
    again: list[Tensor] = []

    def predict_again(image: Tensor) -> Prediction:
        again.append(image)
        return predicted(box(3, 6 + len(again)))

    rated = copy_agreements(
        scan(),
        own.labels,
        of=[config.scored[0]],
        copies=mild_copies(config.perturbations, 2),
        seed=certificate_seed(config.seed),
        predict=predict_again,
    )
    assert mean_agreement(rated["organ"]).value == found[AGREEMENT].value
    assert [torch.equal(a, b) for a, b in zip(asked, again, strict=True)] == [True, True]
    # and what no column of the scan rows holds
    facts = json.loads(found[PREDICTED_RATIO].facts or "")
    assert facts == {"estimates": {"ghosting": estimate.estimate_level("ghosting", scan())}}


def test_copies_are_made_once_for_all_labels_of_a_system(config: AuditConfig) -> None:
    calls = []

    def predict(image: Tensor) -> Prediction:
        calls.append(image)
        return predicted(box(3, 6))

    again = replace(SPEC, label="all", copies=1)
    two = replace(config, label_groups=(("all", ("organ",)),), certificates=(SPEC, again))
    rows = Calibrator(two).rows(
        template("rician_noise", 3.0), scan(), predicted(box(3, 6)), reference=box(3, 6),
        output=SOFT, predict=predict,
    )  # fmt: skip
    assert len(calls) == 2
    told = [json.loads(row.facts or "") for row in rows if row.metric == AGREEMENT]
    assert [it["copies"] for it in told] == [2, 1]


@pytest.mark.parametrize("where", [template("gaussian_blur", 1.0), template("ghosting", 2.0)])
def test_what_is_not_calibrated_costs_nothing(config: AuditConfig, where: Row) -> None:
    def predict(image: Tensor) -> Prediction:
        pytest.fail("no copy may be predicted")

    assert measured(config, predicted(box(3, 6)), where=where, predict=predict) == {}
    other = replace(template(), system="other")
    assert measured(config, predicted(box(3, 6)), where=other, predict=predict) == {}


def test_a_lost_unit_has_every_planned_row(config: AuditConfig) -> None:
    case = CaseRecord("a", "p", ("a.nii",), "r.nii", digests=(("image_1", "x"),))
    plan = make_plan(config, [case], {"unet": "f" * 64})
    job = Job(Path(), config, (case,), plan)
    lost = {
        unit.perturbation.name: [
            (row.severity, row.metric)
            for row in failed_rows(job, unit, "unet", Status.QUARANTINED, "two workers ended")
            if row.record == "calibration"
        ]
        for unit in plan.units
    }
    names = [PREDICTED_RATIO, *MARGINS]
    assert lost == {
        "clean": [(0.0, name) for name in names],
        "rician_noise": [(s, name) for s in (1.0, 3.0) for name in (*names, AGREEMENT)],
        "gaussian_blur": [],
        "ghosting": [],
    }
