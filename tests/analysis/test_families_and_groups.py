"""Measures of the literature by family and by architecture group, by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from rows_tables import DSC, HD95, Cohort, setup_of

from auditor.analysis import AnalysisSetup
from auditor.analysis.family_measures import family_measures
from auditor.analysis.table import Column, Key
from auditor.analysis.trained_systems import families_trained_alike
from auditor.schema import FamilyMeasures, SystemRecord, TrainingFacts

CLEAN, BLUR = ("clean", 0.0), ("blur", 1.0)
NAN = float("nan")

Values = Mapping[tuple[str, float], Sequence[float]]
WORST = {"dsc": 0.0, "hd95": 100.0}


def columns_of(systems: Mapping[str, Values], metric: str = "dsc") -> dict[Key, Column]:
    """NaN: the run has no value there, and its worst value stands in."""
    found = {}
    for system, conditions in systems.items():
        for (perturbation, severity), values in conditions.items():
            numbers = np.array(values, dtype=np.float64)
            missing = np.isnan(numbers)
            found[Key(system, perturbation, severity, "organ", metric, "whole")] = Column(
                level=None,
                unit="",
                value=numbers,
                judged=np.where(missing, WORST[metric], numbers),
                missing=missing,
                first=numbers,
                statuses=np.full((len(numbers), 1), "ok", dtype=object),
                reasons=np.full(len(numbers), "", dtype=object),
                draws=numbers[:, None],
            )
    return found


def setup(families: Mapping[str, tuple[str, int, str]], **metric: object) -> AnalysisSetup:
    base = setup_of(Cohort(patients=2, systems=tuple(families)))
    records = tuple(
        replace(
            it, family=families[it.name][0], training_seed=families[it.name][1],
            architecture_group=families[it.name][2], sha256=f"{place:064d}",
        )
        for place, it in enumerate(base.systems)
    )  # fmt: skip
    return replace(base, systems=records, **metric)  # type: ignore[arg-type]


FOUR = {
    "u1": ("unet", 1, "standard"),
    "u2": ("unet", 2, "standard"),
    "n1": ("noskip", 1, "no_skip"),
    "v1": ("vnet", 1, "standard"),
}
SCORES: dict[str, Values] = {
    "u1": {CLEAN: (0.9, 0.7), BLUR: (0.5, 0.3)},
    "u2": {CLEAN: (0.7, 0.7), BLUR: (0.3, 0.1)},
    "n1": {CLEAN: (0.7, 0.6), BLUR: (0.6, 0.6)},
    "v1": {CLEAN: (0.8, 0.9), BLUR: (0.2, 0.2)},
}


def named(rows: Sequence[FamilyMeasures], policy: str = "each run") -> dict[str, FamilyMeasures]:
    return {it.name: it for it in rows if it.policy == policy}


def test_a_family_by_hand() -> None:
    found = named(family_measures(columns_of(SCORES), setup(FOUR, metrics=(DSC,))))
    assert list(found) == ["unet", "noskip", "vnet", "standard", "no_skip"]
    unet = found["unet"]
    # runs averaged: clean .8, .7; blur .4, .2
    assert unet.clean == pytest.approx(0.75)
    assert unet.perturbed == pytest.approx(0.3)
    assert unet.change == pytest.approx(-0.45)
    assert unet.variation == pytest.approx(np.std([0.75, 0.3]) / np.mean([0.75, 0.3]))
    # clean: unet .8, .7; noskip .7, .6; vnet .8, .9: unet and vnet share the first, vnet has the second
    assert unet.best_clean == pytest.approx(0.25)
    # blur: .4, .2; .6, .6; .2, .2: noskip has both
    assert unet.best == pytest.approx(0.125)
    assert found["noskip"].best == pytest.approx(0.5)
    assert unet.worst == pytest.approx(0.2)
    # 5th percentile of .2, .4, .7, .8: .2 + .15 x .2
    assert unet.tail == pytest.approx(0.23)
    assert unet.tail_clean == pytest.approx(0.7 + 0.05 * 0.1)
    # means over conditions: u1 (.8 + .4) / 2 = .6, u2 (.7 + .2) / 2 = .45
    assert unet.spread == pytest.approx(0.15 / np.sqrt(2))
    assert (unet.members, unet.n_conditions, unet.n_patients) == (("u1", "u2"), 2, 2)
    assert found["noskip"].spread is None


def test_a_group_weighs_its_families_alike_however_many_runs_they_have() -> None:
    found = named(family_measures(columns_of(SCORES), setup(FOUR, metrics=(DSC,))))
    standard = found["standard"]
    assert (standard.scope, standard.members) == ("group", ("unet", "vnet"))
    assert standard.clean == pytest.approx((0.75 + 0.85) / 2)
    assert standard.worst == pytest.approx(0.2)
    # means over conditions: unet .525, vnet (.85 + .2) / 2 = .525
    assert standard.spread == pytest.approx(0.0, abs=1e-12)
    assert found["no_skip"].spread is None


def test_a_condition_that_one_family_lacks_is_not_set_side_by_side() -> None:
    scores = {**SCORES, "v1": {CLEAN: SCORES["v1"][CLEAN]}}
    found = named(family_measures(columns_of(scores), setup(FOUR, metrics=(DSC,))))
    # clean alone: .8 and .7 of unet, .7 and .6 of noskip, .8 and .9 of vnet
    assert [found[it].best for it in ("unet", "noskip", "vnet")] == pytest.approx([0.25, 0, 0.75])
    assert found["vnet"].perturbed is None
    assert found["unet"].perturbed is not None
    assert found["standard"].perturbed is None  # no mean over one of its two families
    assert found["standard"].clean == pytest.approx((0.75 + 0.85) / 2)


def test_both_policies_for_distances_without_end() -> None:
    """One run of two has no distance: the mean with the diagonal, or the diagonal."""
    scores: dict[str, Values] = {
        "u1": {CLEAN: (2.0, 4.0), BLUR: (6.0, NAN)},
        "u2": {CLEAN: (4.0, 4.0), BLUR: (8.0, 10.0)},
        "n1": {CLEAN: (3.0, 5.0), BLUR: (9.0, 60.0)},
    }
    three = {name: FOUR[name] for name in scores}
    rows = family_measures(columns_of(scores, "hd95"), setup(three, metrics=(HD95,)))
    each, whole = named(rows), named(rows, "any run")
    # each run: (6 + 8) / 2 = 7 and (100 + 10) / 2 = 55; any run: 7 and 100
    assert each["unet"].perturbed == pytest.approx(31.0)
    assert whole["unet"].perturbed == pytest.approx(53.5)
    # clean 3.5 on average: the distance grows
    assert each["unet"].change == pytest.approx(27.5)
    assert whole["unet"].change == pytest.approx(50.0)
    assert each["unet"].worst == pytest.approx(55)
    assert whole["unet"].worst == pytest.approx(100)
    # the second case under blur: 55 or 100 against 60 of the other family
    assert each["unet"].best == pytest.approx((0.75 + 1.0) / 2)
    assert whole["unet"].best == pytest.approx((0.75 + 0.5) / 2)
    # 95th percentile of 3, 4, 7, 55: 7 + .85 x 48
    assert each["unet"].tail == pytest.approx(7 + 0.85 * 48)


def test_a_failed_clean_run_does_not_make_the_change_look_better() -> None:
    scores: dict[str, Values] = {
        "u1": {CLEAN: (NAN, 0.8), BLUR: (0.6, 0.6)},
        "u2": {CLEAN: (0.8, 0.8), BLUR: (0.6, 0.6)},
    }
    rows = family_measures(
        columns_of(scores), setup({name: FOUR[name] for name in scores}, metrics=(DSC,))
    )
    # each run: before (1 + .8) / 2 = .9 and .8; any run: 1 and .8
    assert named(rows)["unet"].change == pytest.approx(-(0.3 + 0.2) / 2)
    assert named(rows, "any run")["unet"].change == pytest.approx(-(0.4 + 0.2) / 2)
    assert named(rows, "any run")["unet"].clean == pytest.approx(0.4)


def test_one_policy_is_enough_where_no_run_lacks_a_value() -> None:
    rows = family_measures(columns_of(SCORES), setup(FOUR, metrics=(DSC,)))
    assert {it.policy for it in rows} == {"each run"}


def test_a_single_system_with_a_family_is_no_study_of_families() -> None:
    one = {"u1": SCORES["u1"]}
    assert family_measures(columns_of(one), setup({"u1": FOUR["u1"]}, metrics=(DSC,))) == ()
    alone = {"u1": FOUR["u1"], "u2": FOUR["u2"]}
    row, _ = family_measures(
        columns_of({name: SCORES[name] for name in alone}), setup(alone, metrics=(DSC,))
    )
    assert (row.best, row.best_clean) == (None, None)  # nothing to be better than


def trained(records: Sequence[SystemRecord], levels: Sequence[float]) -> list[SystemRecord]:
    return [
        replace(it, training=TrainingFacts(condition=("texture_blend", level)))
        for it, level in zip(records, levels, strict=True)
    ]


def test_only_what_was_trained_alike_is_set_side_by_side() -> None:
    base = setup(FOUR, metrics=(DSC,))
    records = trained(base.systems, (0.1, 0.9, 0.1, 0.1))
    found = families_trained_alike(records)
    assert {words: list(it) for words, it in found.items()} == {
        "texture_blend 0.1": ["unet", "noskip", "vnet"],
        "texture_blend 0.9": ["unet"],
    }
    rows = family_measures(columns_of(SCORES), replace(base, systems=tuple(records)))
    hard = next(it for it in rows if it.training == "texture_blend 0.9" and it.scope == "family")
    assert (hard.members, hard.best) == (("u2",), None)
    # every family once trained: other levels of other families part nothing
    once = trained(base.systems[1:], (0.9, 0.1, 0.1))
    assert list(families_trained_alike(once)) == [""]


def test_families_of_several_patches_are_set_side_by_side_patch_by_patch() -> None:
    base = setup(FOUR, metrics=(DSC,))
    patches = {"u1": (32, 32), "u2": (64, 64), "n1": (32, 32), "v1": (64, 64)}
    records = [replace(it, training=TrainingFacts(patches[it.name])) for it in base.systems]
    found = families_trained_alike(records)
    assert {words: list(it) for words, it in found.items()} == {
        "patch 32x32": ["unet", "noskip"],
        "patch 64x64": ["unet", "vnet"],
    }
