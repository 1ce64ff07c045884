"""What is declared of a certificate: read, completed, and refused with all problems at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from configurations import changed, valid_data, write_named_files

from auditor.config import AuditConfig, parse_config
from auditor.config.certificates import mild_copies
from auditor.errors import ConfigError
from auditor.schema import CertificateSpec, PerturbationSpec
from perturbations import CATALOG
from perturbations.catalog import ESTIMATED, levels_for
from perturbations.estimate import LEVELS

GRADES = {"grades": [0.85, 0.7]}


def read(folder: Path, certificate: object, **parts: Any) -> AuditConfig:
    data = {**valid_data(), "certificate": certificate, **parts}
    return parse_config(data, folder=write_named_files(folder))


def problems_of(folder: Path, certificate: object, **parts: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, certificate, **parts)
    return list(caught.value.problems)


def test_what_is_not_said_comes_from_the_audit(tmp_path: Path) -> None:
    bounds = {"alpha": 0.2, "delta": 0.05}
    (spec,) = read(tmp_path, GRADES, bounds=bounds).certificates
    assert spec == CertificateSpec(
        "vendor-a", "spleen", alpha=0.2, delta=0.05, grades=(0.85, 0.7), copies=8
    )


def test_everything_can_be_said(tmp_path: Path) -> None:
    (spec,) = read(
        tmp_path,
        {
            **GRADES, "system": "vendor-a", "label": "spleen", "perturbations": ["gaussian_noise"],
            "alpha": 0.05, "delta": 0.2, "copies": 3, "shares": {"outer": 0.9},
            "edges": [0.002, 0.01],
        },
    ).certificates  # fmt: skip
    assert spec == CertificateSpec(
        "vendor-a", "spleen", ("gaussian_noise",), 0.05, 0.2, (0.85, 0.7), 0.9, 0.95, 3,
        (0.002, 0.01),
    )  # fmt: skip


def test_a_list_holds_one_for_each_label(tmp_path: Path) -> None:
    groups = {"label_groups": {"all": ["spleen", "liver"]}}
    data = changed("systems/vendor-a/output/labels", {"spleen": 1, "liver": 2})
    both = [{**GRADES, "label": "liver"}, {**GRADES, "label": "all"}]
    config = parse_config(
        {**data, **groups, "certificate": both}, folder=write_named_files(tmp_path)
    )
    assert [it.label for it in config.certificates] == ["liver", "all"]
    assert [it["label"] for it in config.canonical["certificate"]] == ["liver", "all"]


def test_without_the_block_nothing_changes(tmp_path: Path) -> None:
    assert "certificate" not in read(tmp_path, None).canonical


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    told = problems_of(
        tmp_path,
        {
            "system": "vendor-b", "label": "splen", "perturbations": ["gausian_noise"],
            "edges": [0.2, 0.1],
        },
    )  # fmt: skip
    assert [it.removeprefix("certificate.").partition(", was")[0] for it in told] == [
        "edges: must be rising numbers between 0 and 1",
        told[1].removeprefix("certificate."),
        "label: must be one of spleen",
        "perturbations: must be one of gaussian_noise, gaussian_blur",
        "system: must be one of vendor-a",
    ]
    assert "grades: is required, as [0.85, 0.70]" in told[1]
    assert told[2].endswith("was 'splen'; did you mean 'spleen'?")


@pytest.mark.parametrize(
    ("certificate", "parts", "told"),
    [
        ({"grade": [0.9, 0.8]}, {}, "certificate.grade: is not known; did you mean 'grades'?"),
        ({"grades": [0.7, 0.8]}, {}, "grades: must be two falling numbers"),
        ({"grades": [0.8]}, {}, "grades: must be two falling numbers"),
        ({"grades": [1.0, 0.5]}, {}, "grades: must be two falling numbers"),
        ({**GRADES, "alpha": 0.6}, {}, "certificate.alpha: must be at most 0.5, was 0.6"),
        (GRADES, {"bounds": {"alpha": 0.6}}, "alpha: must be at most 0.5"),
        ({**GRADES, "copies": -1}, {}, "certificate.copies: must be at least 0"),
        ({**GRADES, "edges": [0.0]}, {}, "edges: must be rising numbers"),
        ({**GRADES, "shares": {"outer": 1.0}}, {}, "certificate.shares.outer: must be below 1"),
        (
            {**GRADES, "perturbations": ["gaussian_noise", "gaussian_noise"]},
            {},
            "perturbations: must name each once",
        ),
        ({**GRADES, "perturbations": ["ct_dose"]}, {"perturbations": "ct"}, "can be estimated"),
        (GRADES, {"metrics": {"iou": {}}, "criteria": {}}, "add dsc: {} to metrics"),
        (
            GRADES,
            {
                "cases": {
                    "table": "cases.csv",
                    "modality": "ct",
                    "reference": {"use": "mean_over_raters"},
                }
            },
            "use majority or staple",
        ),
        ([GRADES, GRADES], {}, "vendor-a with spleen stands twice"),
        ([GRADES, {}], {}, "certificate.1.grades: is required"),
        ("yes", {}, "certificate: must be a list"),
    ],
)
def test_hostile_values_are_refused_in_words(
    tmp_path: Path, certificate: object, parts: dict[str, Any], told: str
) -> None:
    assert any(told in it for it in problems_of(tmp_path, certificate, **parts))


def test_levels_of_equal_effect_place_no_new_scan(tmp_path: Path) -> None:
    planned = {"gaussian_noise": {"iso_effect": True}, "gaussian_blur": {"severities": [1]}}
    given = {**GRADES, "perturbations": ["gaussian_noise"]}
    told = problems_of(tmp_path, given, perturbations=planned, criteria={}, purpose="exploratory")
    assert len(told) == 1
    assert "gaussian_noise has levels of equal effect" in told[0]


def test_copies_need_a_planned_severity_of_1(tmp_path: Path) -> None:
    planned = {"gaussian_noise": {"severities": [2]}, "rotation": {"severities": [1]}}
    loose = {"perturbations": planned, "criteria": {}, "purpose": "exploratory"}
    (told,) = problems_of(tmp_path, GRADES, **loose)
    assert told.startswith("certificate.copies: needs planned perturbations at severity 1")
    assert read(tmp_path, {**GRADES, "copies": 0}, **loose).certificates[0].copies == 0


def test_predictions_made_elsewhere_cannot_be_certified(tmp_path: Path) -> None:
    (tmp_path / "answers").mkdir()
    system = {"predictions": "answers", "output": {"labels": {"spleen": 1}}}
    told = problems_of(tmp_path, GRADES, systems={"vendor-a": system})
    assert any("predictions that were made elsewhere" in it for it in told)


def test_a_broken_system_is_told_once(tmp_path: Path) -> None:
    given = {**GRADES, "system": "vendor-a", "label": "spleen"}
    told = problems_of(tmp_path, given, systems={"vendor-a": {"checkpoint": "no.onnx"}})
    assert told
    assert not any(it.startswith("certificate") for it in told)


def test_copies_are_the_first_planned_ones_at_severity_1_alone() -> None:
    def planned(name: str, severities: tuple[float, ...], **more: Any) -> PerturbationSpec:
        levels, unit = levels_for(name, "mr")
        return PerturbationSpec(name, severities, levels[: len(severities)], unit, **more)

    grid = (
        planned("rotation", (1.0, 2.0)),  # moves the anatomy
        planned("gaussian_blur", (1.0, 2.0), replicates=3),
        planned("rician_noise", (2.0,)),  # no severity 1
        planned("texture_blend", (1.0,)),  # needs the reference
        planned("bias_field", (1.0,), iso_effect=True),
        planned("joint", (1.0,)),  # a whole row of a site
        planned("gamma_up", (1.0, 3.0)),
    )
    assert CATALOG["texture_blend"].uses_region
    copies = mild_copies(grid, 8)
    assert [it.name for it in copies] == ["gaussian_blur", "gamma_up"]
    assert [(it.severities, it.levels, it.replicates) for it in copies] == [
        ((1.0,), (grid[1].levels[0],), 1),
        ((1.0,), (grid[6].levels[0],), 1),
    ]
    assert mild_copies(grid, 1) == copies[:1]
    assert mild_copies(grid, 0) == ()


def test_the_light_list_of_estimators_is_the_real_one() -> None:
    assert tuple(LEVELS) == ESTIMATED
