"""Nobody uses an ablated system: it is never compared, promised of, named best or recommended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ablated_networks import LAWS, cohort, rows, setup
from rows_tables import table_of

from auditor.analysis import summarise
from auditor.execution.store import compact
from auditor.pipeline import comparing_runs, recommend
from auditor.schema import AblationSpec, Results, decode, encode

USED = ["net", "other"]


@pytest.fixture(scope="module")
def results() -> Results:
    """`other` is .03 worse than `net` on clean scans; an ablated one that changes nothing is as good."""
    return summarise(table_of(rows()), setup=setup())


@pytest.fixture(scope="module")
def alone() -> Results:
    """The same rows without those of ablated systems."""
    made = [it for it in rows() if it.system not in LAWS or it.system in USED]
    return summarise(table_of(made), setup=setup().as_used)


def test_systems_in_use_are_told_as_if_nothing_had_been_ablated(
    results: Results, alone: Results
) -> None:
    for field in (
        "headline", "conformal", "comparisons", "worst", "responses", "envelope", "robustness",
        "coverage", "stratum_bounds", "difficulty", "dose", "sweeps", "exhibits", "not_assessed",
        "trained_patches", "range_drops", "failure_types",
    ):  # fmt: skip
        assert getattr(results, field) == getattr(alone, field), field
    assert {(it.first, it.second) for it in results.comparisons} == {("net", "other")}
    assert set(results.headline.best_clean) <= set(USED)
    assert [name for name, _ in results.headline.clean] == USED


def test_ablated_systems_keep_their_means_and_are_named_as_left_out(results: Results) -> None:
    assert {it.system for it in results.summaries} == set(LAWS)
    assert [it.name for it in results.systems] == [
        *(it for it in cohort().systems),
    ]
    assert any(it.startswith("The 6 ablated systems explain a network") for it in results.limits)


def test_one_ablated_system_is_told_in_the_singular() -> None:
    made = cohort(systems=("net", "net-1"))
    found = summarise(table_of(rows(made)), setup=setup(made))
    assert any(it.startswith("The ablated system explains a network and is") for it in found.limits)
    assert found.comparisons == ()


def test_an_ablation_is_read_back_from_results(results: Results) -> None:
    named = replace(results.systems[1], ablation=AblationSpec((0, "/up/Relu"), "noise", 0.5, 3))
    whole = replace(results, systems=(results.systems[0], named))
    assert decode(encode(whole), Results) == whole
    text = encode(whole).replace('"/up/Relu"', "1.5")
    with pytest.raises(ValueError, match=r"expected int \| str @ .*ablation\.skips"):
        decode(text, Results)


def write_run(folder: Path, results: Results) -> Path:
    folder.mkdir()
    (folder / "results.json").write_text(encode(results), encoding="utf-8")
    compact(folder, table_of(rows()))
    return folder


def test_a_recipe_weighs_no_ablated_system(results: Results, tmp_path: Path) -> None:
    # declared families: the ablated ones inherit family and seed of the network that they are like
    systems = tuple(
        replace(it, family="b" if it.name == "other" else "a", training_seed=1)
        for it in results.systems
    )
    run = write_run(tmp_path / "run", replace(results, systems=systems))
    mix = {"clean": 0.5, "rician_noise:1": 0.5}
    made = recommend(run, mix=mix)
    assert [it.name for it in made.systems] == USED
    assert any("6 ablated system(s)" in it and "not weighed" in it for it in made.sentences)
    assert [it.name for it in recommend(run, mix=mix, by="family").systems] == USED


def test_releases_are_compared_without_ablated_systems_unless_they_are_named(
    results: Results,
) -> None:
    pairs, told = comparing_runs._pairs(results, results, None)
    assert (pairs, told) == ({"net": "net", "other": "other"}, [])
    (left, _) = comparing_runs._alone(results, results, pairs)
    assert left.startswith("ablated systems of the run before, which are compared only when --sys")
    assert "net-0, net-1, net-2" in left
    named, told = comparing_runs._pairs(results, results, {"net": "net-1"})
    assert (named, told) == ({"net": "net-1"}, [])
