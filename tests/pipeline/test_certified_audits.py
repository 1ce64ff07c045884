"""Audits with certificates, end to end: two callables on nine small patients."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from certified_cohort import GRADES, fields, hard, soft

import auditor
from auditor.confidence.calibration import calibrated
from auditor.confidence.certificate import read_certificate
from auditor.confidence.certificate_facts import facts_of
from auditor.confidence.certified_system import system_of
from auditor.config import parse_config
from auditor.execution.agreement import copy_agreements, mean_agreement, voxel_digest
from auditor.pipeline import look
from auditor.pipeline.certificate_look import look_at_certificates
from auditor.pipeline.folder import verify_sums
from auditor.plan import make_plan, system_identity
from auditor.schema import CLEAN, CalibrationScan, CaseRecord, Certificate
from auditor.systems.runners import CallableSystem
from auditor.systems.running import open_system
from auditor.volumes.images import read_volume
from perturbations import Scan, derive_seed, realise

PATIENTS = 9
CALLS: Mapping[str, CallableSystem] = {"soft": soft, "hard": hard}
SYSTEM = {"output": {"labels": {"ball": 1}}, "contract_sensitivity": False}
LABELS_ONLY = {**SYSTEM, "output": {"labels": {"ball": 1}, "activation": "labels"}}


def declared(folder: Path, **changes: Any) -> dict[str, Any]:
    one = {"grades": GRADES, "perturbations": ["rician_noise"]}
    systems = {"soft": SYSTEM, "hard": LABELS_ONLY}
    certificates = [{**one, "system": "soft"}, {"grades": GRADES, "system": "hard"}]
    return {
        **fields(folder, patients=PATIENTS),
        "systems": systems,
        "certificate": certificates,
        **changes,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certified")


@pytest.fixture(scope="module")
def run(folder: Path) -> auditor.Run:
    return auditor.audit(declared(folder), systems=CALLS, out=folder / "run")


@pytest.fixture(scope="module")
def certificate(run: auditor.Run) -> Certificate:
    return read_certificate(run.folder / "certificates" / "soft.ball.json")


def scan_of(certificate: Certificate, case: str, severity: float) -> CalibrationScan:
    return next(it for it in certificate.scans if (it.case, it.severity) == (case, severity))


def test_one_file_for_each_system_and_label(run: auditor.Run, certificate: Certificate) -> None:
    names = sorted(path.name for path in (run.folder / "certificates").iterdir())
    assert names == ["hard.ball.json", "soft.ball.json"]
    assert not verify_sums(run.folder)
    sums = (run.folder / "SHA256SUMS").read_text(encoding="utf-8")
    assert "certificates/soft.ball.json" in sums
    assert [it.name for it in certificate.copies] == ["rician_noise", "gaussian_blur"]
    assert [it.perturbation for it in certificate.axes] == ["gaussian_blur", "rician_noise"]
    assert (certificate.ndim, certificate.channels, certificate.length_unit) == (3, 1, "mm")
    assert certificate.spacing_low == certificate.spacing_high == pytest.approx((3.0, 1.5, 1.2))
    assert certificate.pre_declared


def test_no_name_of_a_person_and_no_path_is_in_it(run: auditor.Run, folder: Path) -> None:
    text = (run.folder / "certificates" / "soft.ball.json").read_text(encoding="utf-8")
    assert "person" not in text
    assert str(folder) not in text


def test_the_report_tells_what_is_told_beside_every_rating(
    run: auditor.Run, certificate: Certificate
) -> None:
    soft_facts, hard_facts = run.results.certificates
    assert soft_facts == facts_of(calibrated(certificate))
    assert soft_facts.digest == certificate.digest
    assert (soft_facts.patients, soft_facts.scans, soft_facts.failed) == (PATIENTS, 27, 0)
    assert (soft_facts.axes, soft_facts.proxy) == (("rician_noise",), "agreement")
    # nine patients are just enough for a marginal bound at alpha .1: the worst of them
    clean = next(it for it in soft_facts.bins if it.bin == "0")
    # a bin holds what looks like it: also scans to which too little was added to show
    axis = next(it for it in certificate.axes if it.perturbation == "rician_noise")
    worst = min(
        it.dsc - it.agreement
        for it in certificate.scans
        if (dict(it.estimates)["rician_noise"] or 0.0) <= axis.high[0]
        and it.dsc is not None
        and it.agreement is not None
    )
    assert (clean.patients, clean.pac_offset) == (9, None)
    assert clean.offset == pytest.approx(worst)
    assert hard_facts.axes == ()


def test_every_patient_calibrates_clean_and_under_every_severity(certificate: Certificate) -> None:
    assert len(certificate.scans) == PATIENTS * 3
    assert len({it.patient for it in certificate.scans}) == PATIENTS
    assert len(certificate.voxel_digests) == PATIENTS
    assert all(it.status == "ok" and it.dsc is not None for it in certificate.scans)
    assert all(it.agreement is not None and it.copies == 2 for it in certificate.scans)
    assert all(it.self_dsc is not None for it in certificate.scans)


def test_a_clean_scan_agrees_with_the_planned_evaluations(
    run: auditor.Run, certificate: Certificate
) -> None:
    rows = pq.read_table(run.folder / "evaluations.parquet").to_pylist()
    planned = [
        row["clean_agreement"]
        for row in rows
        if (row["system"], row["case"], row["severity"]) == ("soft", "scan 0", 1.0)
        and row["perturbation"] in ("rician_noise", "gaussian_blur")
    ]
    assert len(planned) == 2
    assert scan_of(certificate, "C001", 0.0).agreement == pytest.approx(sum(planned) / 2)


def test_a_perturbed_scan_agrees_as_it_would_when_it_is_rated(
    folder: Path, certificate: Certificate
) -> None:
    # the noisy scan of the audit, as if it had come from elsewhere: no reference, no plan
    image, geometry = read_volume((str(folder / "0.nii.gz"),))
    assert voxel_digest(image) in certificate.voxel_digests
    clean = Scan(image, geometry.spacing, modality=certificate.modality)
    level = next(it for it in certificate.axes if it.perturbation == "rician_noise").levels[2]
    seed = derive_seed(5, "scan 0", "rician_noise", 0)
    noisy = replace(clean, image=realise("rician_noise", clean, seed=seed).at(level=level).image)
    spec = system_of(certificate.system, name="soft")
    with open_system(spec, callable=soft) as system:

        def predict(image: torch.Tensor) -> Any:
            return system.predict([image], geometry)[0]

        found = copy_agreements(
            noisy, predict(noisy.image).labels, of=[certificate.scored], copies=certificate.copies,
            seed=certificate.seed, predict=predict,
        )  # fmt: skip
    mine = mean_agreement(found["ball"])
    assert mine.value == scan_of(certificate, "C001", 4.0).agreement


def test_the_system_is_told_apart_by_its_identity(certificate: Certificate) -> None:
    spec = system_of(certificate.system, name="anything")
    assert system_identity(spec, certificate.sha256) == certificate.identity
    other = replace(spec, batch=2)
    assert system_identity(other, certificate.sha256) != certificate.identity


def test_a_system_that_gives_labels_only(run: auditor.Run) -> None:
    found = read_certificate(run.folder / "certificates" / "hard.ball.json")
    assert {it.perturbation for it in found.scans} == {CLEAN}
    assert all(it.agreement is not None for it in found.scans)
    assert {it.self_dsc for it in found.scans} == {None}
    assert {it.outer_probability for it in found.scans} == {None}
    assert all(it.outer_distance is not None for it in found.scans)


def test_an_interrupted_run_gives_the_same_bytes(folder: Path, run: auditor.Run) -> None:
    path = run.folder / "certificates" / "soft.ball.json"
    before, results = path.read_bytes(), (run.folder / "results.json").read_bytes()
    shards = sorted((run.folder / "units").glob("*/*.parquet"))
    for shard in shards[::4]:
        shard.unlink()
    path.unlink()
    auditor.audit(declared(folder), systems=CALLS, out=run.folder)
    assert path.read_bytes() == before
    assert (run.folder / "results.json").read_bytes() == results


def test_a_preview_certifies_nothing(folder: Path, run: auditor.Run) -> None:
    shutil.copytree(run.folder, folder / "short")
    auditor.audit(declared(folder), systems=CALLS, out=folder / "short", limit=2)
    assert not list((folder / "short" / "certificates").iterdir())
    assert not verify_sums(folder / "short")


def test_a_certificate_declared_after_the_results_says_so(folder: Path, run: auditor.Run) -> None:
    late, out = declared(folder), folder / "late"
    late["certificate"] = [{**late["certificate"][1], "grades": [0.7, 0.6]}]
    shutil.copytree(run.folder, out)
    auditor.audit(late, systems=CALLS, out=out, amend="lower grades")
    assert [it.name for it in (out / "certificates").iterdir()] == ["hard.ball.json"]
    assert not read_certificate(out / "certificates" / "hard.ball.json").pre_declared


def test_check_tells_what_it_costs_and_promises(folder: Path) -> None:
    config = parse_config(declared(folder), folder=folder, callables=tuple(CALLS))
    soft_look, hard_look = look(config, callables=CALLS).certificates
    # nine patients, two severities, two copies each
    assert (soft_look.passes, hard_look.passes) == (36, 0)
    assert (soft_look.patients, soft_look.scans, hard_look.scans) == (PATIENTS, 27, 9)
    assert (soft_look.needed, soft_look.needed_pac) == (9, 22)
    assert soft_look.seconds is not None
    (note,) = soft_look.notes
    assert note.endswith("it needs 22 patients, there are 9")


def test_what_cannot_be_certified_is_told_beforehand(folder: Path) -> None:
    given = {"system": "hard", "grades": GRADES, "alpha": 0.05, "edges": [0.05], "copies": 0}
    data = declared(folder, certificate=given)
    config = parse_config(data, folder=folder, callables=tuple(CALLS))
    plan = make_plan(config, [CaseRecord("a", "p", ("a.nii",), "r.nii")], dict.fromkeys(CALLS, ""))
    (told,) = look_at_certificates(config, plan, patients=9, seconds={})
    assert (told.passes, told.seconds, told.copies) == (0, None, ())
    few, ungrouped, bare = told.notes
    assert few.startswith("not certifiable with n = 9: a bound at alpha 0.05 needs 19 patients")
    assert ungrouped.startswith("groups by edges get no bounds of their own: 2 groups of 30")
    assert bare.startswith("hard gives labels only and copies is 0: there is no proxy")


def test_json_of_the_run_holds_no_number_that_is_none(run: auditor.Run) -> None:
    text = (run.folder / "certificates" / "soft.ball.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=pytest.fail)
