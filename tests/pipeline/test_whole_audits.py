"""Whole audits: the same bytes however they were run, failures as rows, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny_audits import SEED, bright, broken, callable_fields, tiny_config, undecided, unet

import auditor
from auditor.cases import difference, read_mask
from auditor.config import load_config
from auditor.execution.job import Job, failed_rows
from auditor.execution.local import Progress
from auditor.execution.store import write_shard
from auditor.pipeline.identities import identities
from auditor.pipeline.preflight import require
from auditor.plan import make_plan
from auditor.schema import Estimate, Results, Status, Summary, Verdict


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_config(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def finished(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> auditor.Run:
    return auditor.audit(tiny, out=tmp_path_factory.mktemp("runs") / "one", workers=1)


def stored(run: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (run / "units").glob("*/*.parquet")}


def test_every_planned_evaluation_ends_as_a_counted_row(finished: auditor.Run) -> None:
    # 4 patients x (clean + 2 severities of noise + 1 of rotation)
    assert finished.results.planned == 4 * (1 + 2 + 1)
    assert sum(count.n for count in finished.results.statuses) == 16
    assert [count.status for count in finished.results.statuses] == ["ok"]


def test_a_unit_that_ends_its_workers_counts_at_the_worst_value_also_where_its_scan_is_turned(
    tiny: Path, finished: auditor.Run, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    config = load_config(tiny)
    cases, _ = require(config)
    plan = make_plan(config, cases, identities(config, {}))
    job = Job(run=folder, config=config, cases=cases, plan=plan)
    # the rotation of the first case, the clean scan of the second
    lost = [plan.units[2], plan.units[3]]
    assert [it.perturbation.name for it in lost] == ["rotation", "clean"]
    for unit in lost:
        for name, key in unit.shards:
            rows = failed_rows(job, unit, name, Status.QUARANTINED, "it ended them")
            write_shard(folder, key, rows)
    results = auditor.audit(tiny, out=folder).results
    assert {it.status: it.n for it in results.statuses} == {"ok": 14, "quarantined": 2}

    def turned(found: auditor.Run | Results) -> list[Summary]:
        rows = found.results.summaries if isinstance(found, auditor.Run) else found.summaries
        return [
            it for it in rows if (it.perturbation, it.metric, it.axis) == ("rotation", "dsc", "all")
        ]

    assert {it.system for it in results.summaries} == {"unet"}
    assert {it.system for it in results.conformal} == {"unet"}
    assert {it.region for it in turned(results)} == {"retained", "whole"}
    for now, before in zip(turned(results), turned(finished), strict=True):
        assert {it.status: it.n for it in now.statuses} == {"ok": 3, "quarantined": 1}
        # the three that are left, and 0 for the fourth
        assert now.mean.n == 3
        assert now.worst_case_mean == pytest.approx((now.mean.value or 0.0) * 3 / 4)
        assert before.mean.n == 4


def test_the_folder_holds_what_its_readers_need(finished: auditor.Run) -> None:
    names = {path.name for path in finished.folder.iterdir()}
    assert {
        "audit.lock.yaml", "manifest.csv", "identities.csv", "results.json", "provenance.json",
        "measurements.parquet", "measurements.csv", "scans.parquet", "failures.csv", "SHA256SUMS",
        "exhibits", "units",
    } <= names  # fmt: skip


def test_results_name_no_patient_no_path_and_no_time(finished: auditor.Run, tiny: Path) -> None:
    text = (finished.folder / "results.json").read_text(encoding="utf-8")
    content = json.loads(text)
    records = (finished.folder / "identities.csv").read_text().splitlines()[1:]
    for line in records:
        display_case, display_patient, case, patient = line.split(",")
        assert display_case in text
        assert display_patient in text
        assert case not in text
        assert patient not in text
    assert str(tiny.parent) not in text
    assert "NaN" not in text
    assert "seconds" not in content["audit"]


def test_one_and_two_workers_write_the_same_bytes(
    finished: auditor.Run, tiny: Path, tmp_path: Path
) -> None:
    two = auditor.audit(tiny, out=tmp_path / "two", workers=2)
    first = (finished.folder / "results.json").read_bytes()
    assert (two.folder / "results.json").read_bytes() == first


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    finished: auditor.Run, tiny: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    command = [sys.executable, "-m", "auditor", "run", str(tiny), "-o", str(run), "-j", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wanted = len(stored(finished.folder))
    for _ in range(2400):
        if process.poll() is not None or len(stored(run)) >= wanted // 3:
            break
        time.sleep(0.025)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # workers notice the end of their input
    before = stored(run)
    assert 0 < len(before) < wanted
    again = auditor.audit(tiny, out=run, workers=1)
    after = stored(run)
    assert all(after[name] == when for name, when in before.items())
    first = (finished.folder / "results.json").read_bytes()
    assert (again.folder / "results.json").read_bytes() == first


def test_a_full_disk_stops_the_run_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = callable_fields(tmp_path)
    seen: list[Progress] = []
    real = os.fsync

    def full_after_three(handle: int) -> None:
        if len(seen) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full_after_three)
    with pytest.raises(auditor.StoreError, match="disk is full"):
        auditor.audit(
            systems={"bright": bright}, out=tmp_path / "run", progress=seen.append, **fields
        )
    monkeypatch.undo()
    kept = stored(tmp_path / "run")
    assert kept
    run = auditor.audit(systems={"bright": bright}, out=tmp_path / "run", **fields)
    assert all(stored(run.folder)[name] == when for name, when in kept.items())
    assert [count.status for count in run.results.statuses] == ["ok"]


def test_another_system_adds_shards_and_repeats_none(
    finished: auditor.Run, tiny: Path, tmp_path: Path
) -> None:
    config = tiny_config(
        tmp_path, systems={"unet": unet(), "whole": unet(window={"size": [32, 32, 12]})}, criteria={},
        purpose="exploratory", perturbations={"rician_noise": {"severities": [1]}},
    )  # fmt: skip
    one = tiny_config(
        tmp_path, systems={"unet": unet()}, criteria={}, purpose="exploratory",
        perturbations={"rician_noise": {"severities": [1]}},
    )  # fmt: skip
    run = tmp_path / "run"
    auditor.audit(one, out=run)
    before = stored(run)
    tiny_config(
        tmp_path, systems={"unet": unet(), "whole": unet(window={"size": [32, 32, 12]})}, criteria={},
        purpose="exploratory", perturbations={"rician_noise": {"severities": [1]}},
    )  # fmt: skip
    with pytest.raises(auditor.IntegrityError, match="--amend"):
        auditor.audit(config, out=run)
    both = auditor.audit(config, out=run, amend="compare with windows")
    after = stored(run)
    assert all(after[name] == when for name, when in before.items())
    # clean and noise of the new system, and the clean controls with the shares of its windows
    assert len(after) == len(before) + 4 * 3
    assert [record.name for record in both.results.systems] == ["unet", "whole"]


def test_changing_a_claim_after_results_makes_the_audit_exploratory(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, perturbations={"rician_noise": {"severities": [1]}})
    run = auditor.audit(config, out=tmp_path / "run")
    assert run.results.audit.stamp == "PRE-DECLARED"
    text = config.read_text().replace("mean_at_least: 0.3", "mean_at_least: 0.2")
    config.write_text(text)
    again = auditor.audit(config, out=tmp_path / "run", amend="the threshold was a mistake")
    assert again.results.audit.stamp == "EXPLORATORY"


def test_a_preview_has_no_verdict_and_its_units_are_not_repeated(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, perturbations={"rician_noise": {"severities": [1]}})
    short = auditor.audit(config, out=tmp_path / "run", limit=1)
    assert short.results.criteria[0].verdict is Verdict.NOT_RUN
    assert short.results.planned == 2
    before = stored(tmp_path / "run")
    whole = auditor.audit(config, out=tmp_path / "run")
    after = stored(tmp_path / "run")
    assert all(after[name] == when for name, when in before.items())
    assert whole.results.criteria[0].verdict is not Verdict.NOT_RUN


def test_failing_callables_are_rows_and_count_at_the_worst_value(tmp_path: Path) -> None:
    run = auditor.audit(
        systems={"bright": bright, "broken": broken, "undecided": undecided},
        out=tmp_path / "run",
        **callable_fields(tmp_path),
    )
    found = {
        record.name: {count.status: count.n for count in record.statuses}
        for record in run.results.systems
    }
    assert found["bright"] == {"ok": 12}
    assert found["broken"] == {"failed": 12}
    assert found["undecided"] == {"not_finite": 12}
    clean = [
        it
        for it in run.results.summaries
        if (it.system, it.perturbation, it.axis) == ("broken", "clean", "all")
    ]
    assert [it.mean.value for it in clean] == [None]
    assert [it.worst_case_mean for it in clean] == [0.0]


def test_one_patient_gets_values_and_pictures_but_no_interval_and_no_bound(tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path, patients=1, strata={}, perturbations={"rician_noise": {"severities": [3]}}
    )
    run = auditor.audit(config, out=tmp_path / "run")

    def estimates(value: object) -> list[Estimate]:
        if isinstance(value, Estimate):
            return [value]
        if isinstance(value, tuple):
            return [it for inner in value for it in estimates(inner)]
        names = getattr(value, "__dataclass_fields__", {})
        return [it for name in names for it in estimates(getattr(value, name))]

    for estimate in estimates(run.results):
        assert estimate.low is None
        assert estimate.high is None
        assert estimate.side == "none"
    assert all(it.bound is None and it.pac_bound is None for it in run.results.conformal)
    assert run.results.criteria[0].verdict is Verdict.NOT_ATTAINABLE
    means = [it.mean.value for it in run.results.summaries if it.metric == "dsc"]
    assert all(value is not None for value in means)
    assert list((tmp_path / "run" / "exhibits").glob("E-*.png"))


def test_geometry_is_scored_in_the_original_frame_with_its_ceiling(finished: auditor.Run) -> None:
    scans = pq.read_table(finished.folder / "scans.parquet").to_pylist()
    ceilings = [it["warp_ceiling"] for it in scans if it["perturbation"] == "rotation"]
    assert len(ceilings) == 4
    assert all(0.6 < value <= 1.0 for value in ceilings)
    assert min(ceilings) < 1.0
    regions = {it.region for it in finished.results.summaries if it.perturbation == "rotation"}
    assert regions == {"retained", "whole"}


def test_the_share_of_patients_within_a_declared_value_is_counted(finished: auditor.Run) -> None:
    rows = pq.read_table(finished.folder / "measurements.parquet").to_pylist()
    for metric, reached in (("dsc", lambda v: v >= 0.8), ("hd95", lambda v: v <= 3.0)):
        values = [
            row["value"]
            for row in rows
            if (row["system"], row["perturbation"], row["metric"], row["reference"])
            == ("unet", "clean", metric, "reference")
        ]
        shares = [
            it.share
            for it in finished.results.summaries
            if (it.perturbation, it.metric, it.axis) == ("clean", metric, "all")
        ]
        assert len(values) == 4
        assert shares[0] is not None
        assert shares[0].value == sum(map(reached, values)) / 4
        assert shares[0].n == 4
        assert shares[0].status == "too_few"
    assert all(it.share is None for it in finished.results.summaries if it.metric == "nsd")


def test_predicted_masks_are_kept_on_the_grid_of_their_case(tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path, patients=1, strata={}, keep={"predictions": True, "exhibits": 0},
        perturbations={"rician_noise": {"severities": [3]}},
    )  # fmt: skip
    auditor.audit(config, out=tmp_path / "run")
    kept = sorted(path.name for path in (tmp_path / "run" / "predictions" / "unet").iterdir())
    assert kept == ["C001_clean.nii.gz", "C001_rician_noise_3.nii.gz"]
    mask, geometry = read_mask(str(tmp_path / "run" / "predictions" / "unet" / kept[0]))
    reference = next((tmp_path / "cases").rglob("*rater*1*.nii.gz"))
    assert difference(read_mask(str(reference))[1], geometry) == ""
    assert int(mask.max()) == 1


def test_controls_behave_and_exhibits_reproduce(finished: auditor.Run) -> None:
    expected = {it.name: it.passed for it in finished.results.controls if it.passed is not None}
    assert expected == {
        "control:reference": True,
        "control:empty": True,
        "control:other_patient": True,
    }
    assert {it.name for it in finished.results.controls} >= {"control:otsu", "control:rater_3"}
    assert len(finished.results.exhibits) == 3
    for path in (finished.folder / "exhibits").glob("E-*.json"):
        assert json.loads(path.read_text())["reproduced"] is True


def test_a_bound_is_given_with_everything_that_belongs_to_it(finished: auditor.Run) -> None:
    bound = finished.bound("dsc", perturbation="rician_noise", severity=1)
    assert bound.value is None
    assert bound.n == 4
    assert "10" in bound.note
    with pytest.raises(auditor.ConfigError, match="this audit has no 'dsc' under 'gamma_up'"):
        finished.bound("dsc", perturbation="gamma_up", severity=1)
    with pytest.raises(auditor.ConfigError, match="criterion must be one of C-01"):
        finished.assert_meets("C-99")


def test_an_assertion_is_met_missed_or_undecided(tmp_path: Path) -> None:
    claim = {"label": "organ", "metric": "dsc", "at": "clean", "evidence": "assured"}
    config = tiny_config(
        tmp_path,
        perturbations={"rician_noise": {"severities": [1]}},
        criteria={
            "met": {**claim, "mean_at_least": 0.05},
            "missed": {**claim, "share_of_patients_at_least": 0.4, "with": {"at_least": 0.999}},
            "open": {**claim, "mean_at_least": 0.45},
        },
    )
    run = auditor.audit(config, out=tmp_path / "run")
    verdicts = {it.id: it.verdict for it in run.results.criteria}
    run.assert_meets("met")
    # 0 of 4 patients: the one-sided upper bound of the share is 1 - .05^(1/4) = .53, above .4
    assert verdicts["missed"] is Verdict.INSUFFICIENT
    with pytest.raises(auditor.EvidenceInsufficient):
        run.assert_meets("missed")
    assert verdicts["open"] in (Verdict.INSUFFICIENT, Verdict.PASS)
    assert run.results.audit.seed == 11
    assert run.results.audit.seed != SEED
