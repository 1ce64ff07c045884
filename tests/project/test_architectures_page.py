"""The page of the study of architectures: words that follow from intervals, and nothing typed by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import orderings
import page
import page_pictures
import page_words
import pytest
from audits import LEVELS, MIXES, TINY_STUDY, jobs_of, write_audits
from findings import PAIRS, summary_of
from jobs import train_jobs
from training import train_one

import auditor
from auditor.config import load_config

DOCS = Path(__file__).resolve().parents[2] / "docs"


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> Any:
    return {
        "value": value, "low": low, "high": high, "n": 40, "level": 0.95, "side": "two-sided",
        "method": "t on patients and training runs (3.1 degrees of freedom)", "status": "ok", "note": "",
    }  # fmt: skip


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (estimate(0.3, 0.1, 0.5), "supported"),
        (estimate(-0.3, -0.5, -0.1), "contradicted"),
        (estimate(0.3, -0.1, 0.7), "open"),
        (estimate(0.3, 0.0, 0.6), "open"),
        (estimate(0.3), "described only"),
        (estimate(None), "not assessable"),
    ],
)
def test_the_interval_alone_decides(value: Any, words: str) -> None:
    assert page_words.verdict(value) == words


def test_turning_a_difference_round_changes_what_it_speaks_for() -> None:
    value = estimate(0.3, 0.1, 0.5)
    assert page_words.told(page_words.turned(value)) == "-0.300 [-0.500, -0.100]"
    assert page_words.verdict(page_words.turned(value)) == "contradicted"
    assert page_words.turned(page_words.turned(value)) == value


def test_verdicts_that_differ_are_counted_and_none_is_hidden() -> None:
    assert page_words.counted(["open", "open"]) == "open"
    assert (
        page_words.counted(["open", "supported", "contradicted", "open"])
        == "supported in 1 of 4, contradicted in 1 of 4, open in 2 of 4"
    )
    assert page_words.counted([]) == "not assessable"


# ---------------------------------------------------------------- orderings


def cell(mean: Any) -> dict[str, Any]:
    return {
        "family": "unet", "trained": 0.1, "tested": 0.1, "runs": 3, "mean": mean, "spread": 0.01,
        "loss": estimate(None),
    }  # fmt: skip


def difference(tested: float, loss: Any, mean: Any) -> dict[str, Any]:
    return {
        "trained": 0.1, "tested": tested, "first": "attention_unet", "second": "noskip_unet",
        "difference": mean, "baseline": 0.1, "loss": loss,
    }  # fmt: skip


def summary(**foreground: Any) -> dict[str, Any]:
    own = {"perturbation": "x", "cells": [], "failures": [], "differences": {}, **foreground}
    return {
        "design": {"easy": 0.1, "level": 0.95, "seeds": [1, 2, 3]},
        "networks": [{"name": "unet", "title": "U-Net"}],
        "directions": {"foreground": own},
        "ablations": [], "layers": [], "recipes": [], "spheres": None,
    }  # fmt: skip


def answer(title: str, **foreground: Any) -> str:
    found = {it.title: it.answer for it in orderings.answers(summary(**foreground))}
    return found[title]


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        (estimate(0.95, 0.91, 0.99), "supported"),
        (estimate(0.95, 0.89, 0.99), "open"),
        (estimate(0.8, 0.7, 0.89), "contradicted"),
    ],
)
def test_near_one_is_an_interval_above_nine_tenths(mean: Any, words: str) -> None:
    assert answer("Matched textures", cells=[cell(mean)]) == words


def test_only_losses_at_hard_tests_answer_who_loses_more() -> None:
    rows = [
        difference(0.1, estimate(9.0, 8.0, 9.5), estimate(0.1)),  # the baseline is no loss
        difference(0.3, estimate(-9.0, -9.5, -8.0), estimate(0.1)),  # not hard
        difference(0.5, estimate(0.2, 0.1, 0.3), estimate(-9.0, -9.5, -8.0)),  # a mean is no loss
        difference(0.9, estimate(0.2, -0.1, 0.5), estimate(0.0)),
    ]
    told = answer("Gated skips against none", differences={"gated": rows})
    assert told == "supported in 1 of 2, open in 1 of 2 (pairs at a test)"


def failed(tested: float, *runs: tuple[int, int]) -> dict[str, Any]:
    """(failures, empty masks among them) of each run, of 20 cases."""
    return {
        "family": "unet",
        "tested": tested,
        "runs": [
            {"n": 20, "good": 20 - k, "empty": e, "under": k - e, "over": 0, "misplaced": 0, "unknown": 0}
            for k, e in runs
        ],
    }  # fmt: skip


def test_how_networks_fail_is_read_at_the_hardest_test_from_every_run() -> None:
    """10 of 10: lower limit .025^(1/10) = .69; 0 of 10: upper limit 1 - .69 = .31; 2 of 2: lower .16."""
    hardest = failed(0.9, (10, 10), (10, 0), (2, 2), (0, 0))
    told = answer("How they fail: the object fades", failures=[failed(0.5, (9, 0)), hardest])
    words = "supported in 1 of 3, contradicted in 1 of 3, open in 1 of 3"
    assert told == f"{words} (training runs with a failure)"
    found = orderings.answers(summary(failures=[hardest]))[0].evidence[0]
    assert "10 of 10 [0.69, 1.00]; 0 of 10 [0.00, 0.31]; 2 of 2 [0.16, 1.00]" in found
    assert "22 of 80" in found


def test_a_network_that_never_fails_says_nothing_of_how_it_would() -> None:
    told = answer("How they fail: the object fades", failures=[failed(0.9, (0, 0), (0, 0))])
    assert told == "not assessable"


def test_a_question_without_numbers_is_not_on_the_page() -> None:
    assert orderings.answers(summary()) == []


# ---------------------------------------------------------------- the committed page


def committed() -> Any:
    return json.loads((DOCS / "studies" / "architectures.json").read_text(encoding="utf-8"))


def test_the_page_is_what_the_example_makes_of_the_committed_numbers() -> None:
    assert (DOCS / "architectures.md").read_text(encoding="utf-8") == page.page(committed())


def test_the_pictures_are_those_of_the_committed_numbers() -> None:
    drawn = page_pictures.pictures(committed())
    assert set(drawn) == set(page_pictures.PICTURES)
    for name, content in drawn.items():
        path = DOCS / "images" / "architectures" / f"{name}.svg"
        assert path.read_text(encoding="utf-8") == content


def test_every_number_of_a_mean_on_the_page_has_an_n_and_a_method() -> None:
    found = committed()
    cells = [it for own in found["directions"].values() for it in own["cells"]]
    assert cells
    for it in cells:
        assert it["mean"]["n"] == found["design"]["patients"]
        assert it["mean"]["method"]


# ---------------------------------------------------------------- end to end


def test_the_pairs_and_mixes_are_of_networks_and_conditions_that_there_are(tmp_path: Path) -> None:
    assert {it for pairs in PAIRS.values() for pair in pairs for it in pair} <= set(
        networks.NETWORKS
    )
    trained = [
        {"name": job.name, "network": job.network, "seed": 1, "direction": job.direction,
         "level": job.level, "group": "x"}
        for job in jobs_of(TINY_STUDY)
    ]  # fmt: skip
    recipe = next(it for it in write_audits(TINY_STUDY, tmp_path, trained) if it.stem == "recipe")
    for it in trained:
        (tmp_path / "networks" / "golden").mkdir(parents=True, exist_ok=True)
        (tmp_path / "networks" / f"{it['name']}.onnx").write_bytes(b"")
        (tmp_path / "networks" / "golden" / f"{it['name']}.csv").write_text("image,prediction\n")
    tested = load_config(recipe).perturbations
    known = {"clean"} | {f"{it.name}:{severity:g}" for it in tested for severity in it.severities}
    for mix in MIXES.values():
        assert set(mix) <= known
        assert sum(mix.values()) == pytest.approx(1.0)


def test_the_levels_that_are_ablated_are_those_that_have_a_skip() -> None:
    for name, levels in LEVELS.items():
        assert len(levels) == networks.NETWORKS[name].skips(5)


def test_the_study_runs_from_textures_to_the_page(tmp_path: Path) -> None:
    study = replace(TINY_STUDY, architectures=("noskip_unet", "attention_unet"))
    jobs = [job for job in jobs_of(study) if job.direction == "foreground"]
    trained = train_jobs(jobs, train_one, study.recipe, tmp_path / "networks", processes=1)
    path = next(it for it in write_audits(study, tmp_path, trained) if it.stem == "foreground")
    run = auditor.audit(path, out=tmp_path / "run")
    found = json.loads(json.dumps(summary_of(study, trained, {"foreground": run.folder})))
    # run as the maker runs it; two empty masks would confirm nothing, and one epoch may come to no more
    assert found["design"]["confirmed"] >= 1
    written = page.write_page(found, tmp_path / "docs").read_text(encoding="utf-8")
    assert "Attention U-Net less No-Skip U-Net" in written
    assert "described only" in written  # three pictures and one run are no evidence
    assert "Supported" not in written.split("## What was done")[1].split("###")[1]
