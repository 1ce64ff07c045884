"""Groups of labels, parameters of metrics, and metrics that ask for probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from configurations import changed, valid_data, write_named_files

from auditor.config import AuditConfig, digest, parse_config
from auditor.errors import ConfigError
from auditor.plan import make_plan
from auditor.schema import CaseRecord, MetricSpec, ScoredLabel

LABELS = {"oedema": 2, "core": 7, "enhancing": 9}
CASES = (CaseRecord("a", "p1", ("a.nii",), "m.nii", digests=(("image_1", "1"),)),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_named_files(tmp_path)


def brain(**changes: Any) -> dict[str, Any]:
    """Valid content with three labels and a group of all of them."""
    data = valid_data() | {"label_groups": {"tumour": list(LABELS)}}
    data["systems"]["vendor-a"]["output"]["labels"] = dict(LABELS)
    data["strata"] = {"foreground_ratio": {"label": "tumour", "edges": [0.01]}, "site": {}}
    for criterion in data["criteria"].values():
        criterion["label"] = "tumour"
    return data | changes


def parsed(folder: Path, data: dict[str, Any]) -> AuditConfig:
    return parse_config(data, folder=folder, name="audit.yaml")


def problems_of(folder: Path, data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(folder, data)
    return "\n".join(caught.value.problems)


def test_a_group_is_scored_grouped_by_and_judged_like_a_label(folder: Path) -> None:
    config = parsed(folder, brain())
    assert config.scored == (
        ScoredLabel("oedema", ("oedema",), (2,)),
        ScoredLabel("core", ("core",), (7,)),
        ScoredLabel("enhancing", ("enhancing",), (9,)),
        ScoredLabel("tumour", ("oedema", "core", "enhancing"), (2, 7, 9)),
    )
    assert [label.is_group for label in config.scored] == [False, False, False, True]
    assert config.criteria[0].label == config.strata[0].label == "tumour"
    assert config.canonical["label_groups"] == {"tumour": ["oedema", "core", "enhancing"]}


def test_groups_change_the_digest_and_every_key_and_their_order_does_not(folder: Path) -> None:
    def keys(config: AuditConfig) -> tuple[str, ...]:
        return make_plan(config, CASES, {"vendor-a": "f" * 64}).keys

    config = parsed(folder, brain())
    turned = parsed(folder, brain(label_groups={"tumour": ["enhancing", "core", "oedema"]}))
    assert digest(turned) == digest(config)
    assert keys(turned) == keys(config)
    more = parsed(
        folder, brain(label_groups={"tumour": list(LABELS), "inner": ["core", "enhancing"]})
    )
    assert digest(more) != digest(config)
    assert not set(keys(more)) & set(keys(config))


def test_a_configuration_without_groups_is_written_as_before(folder: Path) -> None:
    config = parsed(folder, valid_data())
    assert "label_groups" not in config.canonical
    assert config.scored == (ScoredLabel("spleen", ("spleen",), (1,)),)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"tumour": ["oedema", "cor"]}, r"label_groups.tumour: its labels must be one of oedema, "),
        ({"tumour": ["oedema", "cor"]}, "did you mean 'core'?"),
        ({"core": ["oedema", "enhancing"]}, "label_groups.core: must not be named like a label"),
        ({"tumour": ["core"]}, "must unite at least two labels, has only core, which is scored by"),
        ({"tumour": []}, "label_groups.tumour: must unite at least two labels, has none"),
        ({"tumour": ["core", "core", "oedema"]}, "must hold each label once, has core twice"),
        (
            {"tumour": ["core", "oedema"], "same": ["oedema", "core"]},
            "label_groups.same: must unite other labels than tumour, has the same",
        ),
        ({"tumour\n": ["core", "oedema"]}, "must have a name that can be printed"),
    ],
)
def test_a_group_that_is_none_is_said(folder: Path, groups: Any, expected: str) -> None:
    told = problems_of(folder, brain(label_groups=groups, strata={}))
    assert expected in told


def test_a_group_that_could_not_be_read_is_told_once(folder: Path) -> None:
    told = problems_of(folder, brain(label_groups={"tumour": ["oedema", "cor"]}))
    assert told.count("\n") == 0


def test_parameters_of_metrics_come_through(folder: Path) -> None:
    metrics = {
        "dsc": {},
        "hd95": {},
        "boundary_iou": {"width_mm": 2, "within": 0.6},
        "lesion_f1": {"overlap": 0.25},
        "ece": {"bins": 15},
    }
    config = parsed(folder, changed("metrics", metrics))
    assert config.metrics[2:] == (
        MetricSpec("boundary_iou", within=0.6, width_mm=2.0),
        MetricSpec("lesion_f1", overlap=0.25),
        MetricSpec("ece", bins=15),
    )
    keys = {
        make_plan(parsed(folder, changed("metrics", metrics | it)), CASES, {"vendor-a": "f"}).digest
        for it in (
            {},
            {"boundary_iou": {"width_mm": 3}},
            {"lesion_f1": {"overlap": 0.5}},
            {"ece": {"bins": 10}},
        )
    }
    assert len(keys) == 4
    # what is reported of a number changes no number
    other = parsed(folder, changed("metrics", metrics | {"boundary_iou": {"width_mm": 2}}))
    assert make_plan(other, CASES, {"vendor-a": "f"}).digest in keys


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (
            {"lesion_f1": {}},
            "metrics.lesion_f1: metric 'lesion_f1' needs overlap, a number above 0",
        ),
        ({"lesion_f1": {"overlap": 2}}, "up to 1, got 2.0; choose the IoU from which"),
        ({"boundary_iou": {}}, "metrics.boundary_iou: metric 'boundary_iou' needs width_mm"),
        ({"ece": {"bins": 1}}, "needs bins, a whole number from 2 to 1000, got 1; choose"),
        ({"dsc": {"bins": 10}}, "metrics.dsc: metric 'dsc' takes no bins, got 10; remove it"),
        ({"hd95": {"tolerance_mm": 2}}, "metric 'hd95' takes no tolerance_mm, got 2.0; remove it"),
    ],
)
def test_parameters_are_required_or_out_of_place(
    folder: Path, metrics: dict[str, Any], expected: str
) -> None:
    assert expected in problems_of(folder, changed("metrics", {"dsc": {}, "hd95": {}} | metrics))


def activations(*kinds: str) -> dict[str, Any]:
    """Valid content with one system for each activation, and a metric of probabilities."""
    data = brain(criteria={}, purpose="exploratory")
    (system,) = data["systems"].values()
    data["systems"] = {
        f"system-{n}": {**system, "output": {**system["output"], "activation": kind}}
        for n, kind in enumerate(kinds)
    }
    data["metrics"] = {"dsc": {}, "brier": {}}
    return data


def test_labels_alone_cannot_be_measured_by_probabilities(folder: Path) -> None:
    told = problems_of(folder, activations("labels", "labels"))
    assert "metrics.brier: needs a system that gives probabilities, all of them give labels" in told
    config = parsed(folder, activations("labels", "softmax"))
    assert (
        "metrics.brier: is not applicable to system-0, which gives labels only" in config.warnings
    )
    assert not any("brier" in it for it in parsed(folder, activations("softmax")).warnings)


def test_sigmoid_channels_of_nested_regions_are_warned_about(folder: Path) -> None:
    config = parsed(folder, activations("sigmoid", "softmax"))
    [told] = [it for it in config.warnings if "sigmoid" in it]
    assert "system-0" in told
    assert "another event than the label" in told


def claim(metric: str, **form: Any) -> dict[str, Any]:
    return {"label": "spleen", "metric": metric, "at": "clean", "evidence": "assured", **form}


def test_a_claim_that_a_total_miss_would_meet_is_warned_about(folder: Path) -> None:
    metrics = {"dsc": {}, "hd95": {}, "specificity": {}, "lesion_false_positives": {"overlap": 0.5}}
    data = changed("metrics", metrics)
    few: dict[str, Any] = {"share_of_patients_at_least": 0.8, "with": {"at_most": 1}}
    data["criteria"] = {
        "C-01": claim("specificity", mean_at_least=0.9),
        "C-02": claim("lesion_false_positives", **few),
    }
    told = [it for it in parsed(folder, data).warnings if "total miss" in it]
    assert len(told) == 2
    assert told[0].startswith(
        "criteria.C-01.metric: specificity cannot see a total miss: a predict"
    )
    # another claim about the same condition sees it
    data["criteria"]["C-03"] = claim("dsc", mean_at_least=0.5)
    assert not [it for it in parsed(folder, data).warnings if "total miss" in it]


def test_a_mean_of_errors_is_not_claimed_to_be_at_least_something(folder: Path) -> None:
    data = changed("metrics", {"dsc": {}, "brier": {}})
    data["criteria"] = {"C-01": claim("brier", mean_at_least=0.9)}
    assert "of which more is better, of brier less is; declare share_of" in problems_of(
        folder, data
    )
    form: dict[str, Any] = {"share_of_patients_at_least": 0.8, "with": {"at_most": 0.1}}
    data["criteria"] = {"C-01": claim("brier", **form)}
    assert parsed(folder, data).criteria[0].value_at_most == 0.1
