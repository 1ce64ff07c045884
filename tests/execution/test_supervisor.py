"""Workers may die: their unit is tried again, then quarantined; nothing else is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_audits import tiny_config

from auditor.config import load_config
from auditor.errors import IntegrityError, StoreError
from auditor.execution.job import Job, failed_rows
from auditor.execution.local import Progress, pending_units, run_local
from auditor.execution.store import has_shard, read_rows
from auditor.pipeline.identities import identities
from auditor.pipeline.preflight import require
from auditor.plan import make_plan
from auditor.schema import Status


@pytest.fixture
def job(tmp_path: Path) -> Job:
    config = load_config(
        tiny_config(tmp_path, patients=2, perturbations={"rician_noise": {"severities": [1]}})
    )
    cases, _ = require(config)
    plan = make_plan(config, cases, identities(config, {}))
    return Job(run=tmp_path / "run", config=config, cases=cases, plan=plan)


def test_a_failed_unit_has_every_row_that_was_planned(job: Job) -> None:
    rows = failed_rows(job, job.plan.units[1], "unet", Status.CRASHED, "it fell over")
    # one severity, one label: one evaluation and one row for each of three metrics
    assert [row.record for row in rows] == ["evaluation", *["measurement"] * 3]
    assert {row.status for row in rows} == {"crashed"}
    assert {row.reason for row in rows} == {"it fell over"}


def test_workers_finish_every_unit_and_report_each(job: Job) -> None:
    seen: list[Progress] = []
    run_local(job, workers=2, report=seen.append)
    assert pending_units(job) == []
    assert [progress.done for progress in seen] == [1, 2, 3, 4]
    assert seen[-1].remaining_s == 0
    assert all(has_shard(job.run, key) for key in job.plan.keys)
    assert len(read_rows(job.run, job.plan.keys)) > 0
    run_local(job, workers=2, report=seen.append)
    assert len(seen) == 4


def test_when_no_worker_survives_its_first_units_the_run_stops_and_can_be_repeated(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A library that ends the process when a unit first needs it: every worker dies on every unit."""
    poison = tmp_path / "poison"
    poison.mkdir()
    (poison / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class Poison:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'skimage.filters':\n"
        "            os._exit(9)\n"
        "sys.meta_path.insert(0, Poison())\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(poison))
    with pytest.raises(StoreError, match="ended two worker processes each"):
        run_local(job, workers=1, report=lambda _: None)
    monkeypatch.delenv("PYTHONPATH")
    run_local(job, workers=1, report=lambda _: None)
    assert pending_units(job) == []
    statuses = set(read_rows(job.run, job.plan.keys)["status"].to_pylist())
    assert Status.QUARANTINED.value not in statuses


def test_workers_import_nothing_from_the_current_folder(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Audits are started beside downloaded bundles, which may hold a yaml.py or torch.py."""
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    for name in ("auditor", "torch", "json", "yaml"):
        (downloaded / f"{name}.py").write_text("import os\nopen('ran', 'w').close()\nos._exit(9)\n")
    monkeypatch.chdir(downloaded)
    monkeypatch.setenv("PYTHONPATH", "")
    run_local(job, workers=1, report=lambda _: None)
    assert pending_units(job) == []
    assert not (downloaded / "ran").exists()


def test_a_system_that_was_exchanged_after_the_plan_stops_the_run(job: Job) -> None:
    other = replace(job, identities=dict.fromkeys(("unet", *job.plan.systems), "0" * 64))
    with pytest.raises(IntegrityError, match="must stay what it was when the audit began"):
        run_local(other, workers=1, report=lambda _: None)
    assert len(pending_units(job)) == len(job.plan.units)
