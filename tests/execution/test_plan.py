"""A plan is a value: it lists everything, and its keys change exactly when the numbers would."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from typing import Any

import pytest
from tiny_audits import tiny_config

from auditor.config import AuditConfig, load_config
from auditor.plan import AuditPlan, digest_of, make_plan, preview, shard_of
from auditor.schema import (
    CONTROLS,
    CaseRecord,
    CertificateSpec,
    InputSpec,
    MetricSpec,
    ReferenceRule,
    StratumSpec,
    WindowSpec,
)

CASES = tuple(
    CaseRecord(case=name, patient=patient, images=(f"{name}.nii",), reference=f"{name}_m.nii",
               digests=(("image_1", f"{name}1"), ("reference", f"{name}2")))
    for name, patient in (("a", "p1"), ("b", "p1"), ("c", "p2"))
)  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    return load_config(tiny_config(tmp_path_factory.mktemp("plan"), patients=1))


def planned(config: AuditConfig, cases: tuple[CaseRecord, ...] = CASES) -> AuditPlan:
    return make_plan(config, cases, {spec.name: "f" * 64 for spec in config.systems})


def test_clean_comes_first_and_every_case_meets_every_perturbation(config: AuditConfig) -> None:
    plan = planned(config)
    assert [(unit.case, unit.perturbation.name) for unit in plan.units] == [
        (case, name) for case in "abc" for name in ("clean", "rician_noise", "rotation")
    ]
    assert [unit.index for unit in plan.units] == list(range(9))
    # clean 1 + noise 2 + rotation 1, three cases, one system
    assert plan.evaluations == 12
    assert len(plan.keys) == len(set(plan.keys)) == 18


def test_the_control_mask_is_another_patients(config: AuditConfig) -> None:
    others = {unit.case: unit.other for unit in planned(config).units}
    assert others == {"a": "c", "b": "c", "c": "a"}
    alone = planned(config, CASES[:2])
    assert {unit.other for unit in alone.units} == {""}


def test_the_same_declaration_gives_the_same_plan(config: AuditConfig) -> None:
    assert planned(config) == planned(config)


@pytest.mark.parametrize(
    "change",
    [
        {"input": InputSpec(axes="LPS")},
        {"window": WindowSpec((16, 16, 16))},
        {"batch": 7},
        {"threads": 2},
        {"device": "cuda"},
    ],
)
def test_what_predictions_depend_on_changes_the_keys_of_that_system_only(
    config: AuditConfig, change: dict[str, object]
) -> None:
    system = replace(config.systems[0], **change)  # type: ignore[arg-type]  # fields of several types
    before, after = planned(config), planned(replace(config, systems=(system,)))
    for one, other in zip(before.units, after.units, strict=True):
        assert shard_of(one, "unet") != shard_of(other, "unet")
        # the share of foreground in its windows is stored with the controls of the clean scan
        moved = one.perturbation.name == "clean" and bool({"input", "window"} & change.keys())
        assert (shard_of(one, CONTROLS) != shard_of(other, CONTROLS)) is moved


def test_declared_windows_change_the_controls_of_clean_scans_only(config: AuditConfig) -> None:
    axis = StratumSpec("window_foreground_ratio", "organ", (0.1,), window=(8, 32, 32))
    before = planned(config)
    after = planned(replace(config, strata=(*config.strata, axis)))
    for one, other in zip(before.units, after.units, strict=True):
        assert shard_of(one, "unet") == shard_of(other, "unet")
        clean = one.perturbation.name == "clean"
        assert (shard_of(one, CONTROLS) != shard_of(other, CONTROLS)) is clean
    # where it is cut and what it is crossed with changes no stored number
    tertiles = replace(axis, edges="tertiles", minimum_patients=20)
    assert planned(replace(config, strata=(*config.strata, tertiles))).keys == after.keys


@pytest.mark.parametrize(
    "change",
    [{"family": "x"}, {"training_seed": 3}, {"timeout_s": 5.0}, {"claimed": (("dsc", 0.9),)}],
)
def test_what_no_prediction_depends_on_changes_no_key(
    config: AuditConfig, change: dict[str, object]
) -> None:
    system = replace(config.systems[0], **change)  # type: ignore[arg-type]  # fields of several types
    assert planned(replace(config, systems=(system,))).keys == planned(config).keys


def test_another_checkpoint_seed_metric_or_file_changes_the_keys(config: AuditConfig) -> None:
    keys = set(planned(config).keys)
    other = make_plan(config, CASES, {"unet": "e" * 64})
    assert len(keys & set(other.keys)) == 9  # the controls stay
    for changed in (
        replace(config, seed=99),
        replace(config, metrics=(MetricSpec("dsc"),)),
        replace(config, labels=(("organ", 2),)),
    ):
        assert not keys & set(planned(changed).keys)
    touched = replace(CASES[0], digests=(("image_1", "new"), ("reference", "a2")))
    after = planned(config, (touched, *CASES[1:]))
    assert len(keys & set(after.keys)) == 18 - 6 - 3  # and the controls of the case that borrows it


@pytest.mark.parametrize("name", [it.name for it in fields(MetricSpec) if it.default is None])
def test_every_parameter_of_a_metric_but_what_is_said_of_it_changes_the_keys(
    config: AuditConfig, name: str
) -> None:
    """A parameter that were left out would let a finished audit keep numbers of another one."""
    known: list[dict[str, Any]] = [{name: value} for value in (2, 3)]
    one, other = (planned(replace(config, metrics=(MetricSpec("dsc", **it),))) for it in known)
    assert set(one.keys).isdisjoint(other.keys) is (name != "within")
    assert (one.keys == other.keys) is (name == "within")


@pytest.mark.parametrize(
    "rule",
    [
        ReferenceRule("majority", "at_least_half"),
        ReferenceRule("staple"),
        ReferenceRule("mean_over_raters", "above_half"),
        ReferenceRule("rater_1"),
    ],
)
def test_another_reference_rule_changes_every_key(config: AuditConfig, rule: ReferenceRule) -> None:
    changed = replace(config, cases=replace(config.cases, reference=rule))
    assert set(planned(config).keys).isdisjoint(planned(changed).keys)


def test_another_group_of_labels_changes_every_key(config: AuditConfig) -> None:
    labels = (("organ", 1), ("tumour", 2), ("vessel", 3))
    plans = [
        planned(replace(config, labels=labels, label_groups=groups))
        for groups in ((), (("whole", ("organ", "tumour")),), (("whole", ("organ", "vessel")),))
    ]
    for one, other in itertools.combinations(plans, 2):
        assert set(one.keys).isdisjoint(other.keys)


def test_a_preview_keeps_whole_cases_and_says_so(config: AuditConfig) -> None:
    plan = planned(config)
    short = preview(plan, 1)
    assert {unit.case for unit in short.units} == {"a"}
    assert short.preview
    assert short.digest != plan.digest
    assert set(short.keys) <= set(plan.keys)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2, 3]}) == digest_of({"b": [2, 3], "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_a_certificate_changes_the_keys_of_its_system_where_it_is_calibrated(
    config: AuditConfig,
) -> None:
    mild = replace(config.perturbations[0], severities=(1.0, 4.0))
    assert mild.name == "rician_noise"
    two = replace(config.systems[0], name="other", batch=9)
    config = replace(
        config, systems=(*config.systems, two), perturbations=(mild, *config.perturbations[1:])
    )
    spec = CertificateSpec("unet", "organ", ("rician_noise",), grades=(0.9, 0.8))

    def keys(*specs: CertificateSpec) -> list[tuple[tuple[str, str], ...]]:
        return [unit.shards for unit in planned(replace(config, certificates=specs)).units]

    for unit, one, other in zip(planned(config).units, keys(), keys(spec), strict=True):
        for (name, before), (_, after) in zip(one, other, strict=True):
            calibrated = name == "unet" and unit.perturbation.name in ("clean", "rician_noise")
            assert (before != after) is calibrated
    # what is made of the rows afterwards changes no row
    again = replace(spec, alpha=0.2, delta=0.3, grades=(0.7, 0.6), edges=(0.01,))
    assert keys(again) == keys(spec)
    # the copies of clean scans are units of the plan
    without = keys(replace(spec, copies=0))
    changed = [a != b for a, b in zip(keys(spec), without, strict=True)]
    assert changed == [False, True, False] * 3
    assert keys(replace(spec, outer_share=0.9)) != keys(spec)
    assert keys(replace(spec, label="rest")) != keys(spec)
