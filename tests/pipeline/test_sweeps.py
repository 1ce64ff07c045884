"""A sweep as its user runs it: systems of one entry, what they cost, and what the report says of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_audits import bright, callable_fields, tiny_config, unet

from auditor.cli import _run
from auditor.config import parse_config
from auditor.pipeline.preflight import look


def test_check_counts_the_forward_passes_of_flips(tmp_path: Path) -> None:
    calls = {"plain": 0, "flipped": 0}

    def slow(name: str) -> Any:
        def call(image: NDArray[np.float32]) -> NDArray[np.float32]:
            calls[name] += 1
            time.sleep(0.03)
            return bright(image)

        return call

    alone = {"contract_sensitivity": False}
    systems = {"plain": alone, "flipped": {**alone, "flips": [0, 1, 2]}}
    fields = {**callable_fields(tmp_path), "systems": systems}
    config = parse_config(fields, folder=tmp_path, callables=tuple(calls))
    found = look(config, callables={name: slow(name) for name in calls})
    assert not found.problems
    # the dry case is predicted twice; three mirrored axes are 2^3 passes
    assert calls == {"plain": 2, "flipped": 16}
    seconds = {it.system: it.seconds for it in found.dry}
    assert seconds["flipped"] >= 8 * 0.03
    units = found.plan.evaluations / 2
    assert found.estimates.seconds == pytest.approx(units * sum(seconds.values()))


@pytest.mark.slow
def test_a_sweep_runs_and_its_report_names_settings_and_facts_of_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = unet(
        window={"overlap": 0.25, "blend": "gaussian"},
        training={"patch": [32, 32, 16], "foreground_ratio": [0.004, 0.25]},
        contract_sensitivity=False,
        expand={"window.size": [[32, 32, 16], [16, 32, 16]], "flips": [[], [0, 1]]},
    )
    config = tiny_config(
        tmp_path,
        patients=2,
        purpose="exploratory",
        criteria={},
        systems={"u": entry},
        perturbations={"rotation": {"severities": [2]}},
    )
    run = tmp_path / "run"
    assert _run(["run", str(config), "-o", str(run), "-j", "1", "-q"]) == 0, capsys.readouterr()
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    names = [
        f"u-{size}-flips-{axes}" for size in ("32x32x16", "16x32x16") for axes in ("none", "01")
    ]
    assert [it["name"] for it in results["systems"]] == names
    for system, flips in zip(results["systems"], ["[]", "[0, 1]"] * 2, strict=True):
        assert dict(system["settings"])["flips"] == flips
        assert dict(system["settings"])["precision"] == "float32"
        assert system["training"] == {
            "patch": [32, 32, 16], "foreground_ratio": [0.004, 0.25], "condition": None,
        }  # fmt: skip
        assert {it["status"] for it in system["statuses"]} == {"ok"}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "flips [0, 1]" in page
    assert "patches of" in page
    # the two windows with the same flips are one sweep each, from small to large
    found = [[use["name"] for use in it["uses"]] for it in results["sweeps"]]
    assert found == [[names[2], names[0]], [names[3], names[1]]]
    for sweep in results["sweeps"]:
        assert [use["training"] for use in sweep["uses"]] == [[0.004, 0.25]] * 2
        assert [use["window"] for use in sweep["uses"]] == ["16x32x16", "32x32x16"]
        small, large = ({it[0]: it[1] for it in use["points"]} for use in sweep["uses"])
        assert small.keys() == large.keys()
        assert all(0 < share <= 1 for share in (*small.values(), *large.values()))
        # windows of one size each see as much as, or less of, what lies around an object
        assert sum(small.values()) > sum(large.values())
    assert "This sweeps the inference window of one trained model." in page
