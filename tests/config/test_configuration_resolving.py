"""A valid configuration becomes one frozen record, the same wherever its folder lies."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from configurations import changed, valid_data, without, write_named_files, write_yaml

from auditor.config import AuditConfig, digest, json_schema, load_config, parse_config
from auditor.errors import ConfigError
from auditor.schema import (
    Certainty,
    CriterionSpec,
    MetricSpec,
    PerturbationSpec,
    ReferenceRule,
    StratumSpec,
)

EXAMPLE = """
# yaml-language-server: $schema=./audit.schema.json
audit: spleen-ct-vendor-a
seed: 20261123
purpose: confirmatory

cases:
  table: cases.csv
  modality: ct
  state: raw
  reference: {use: majority, tie: above_half}

systems:
  vendor-a:
    checkpoint: vendor_a.onnx
    input: {axes: RAS, spacing_mm: [1.5, 1.5, 2.0], clip: [-57, 164], scale_to: [0, 1]}
    window: {size: [96, 96, 96], overlap: 0.5, blend: gaussian}
    output: {activation: softmax, labels: {spleen: 1}}
    golden: golden.csv
    claimed: {dsc: 0.94, source: "instructions for use, v3, p. 12"}
    family: unet
  vendor-a-windows:
    like: vendor-a
    expand: {window.size: [[64, 64, 64], [96, 96, 96], [128, 128, 64]]}

perturbations: {preset: ct, severities: [1, 2, 3, 4, 5]}
metrics: {dsc: {}, nsd: {tolerance_mm: 2}, hd95: {}, volume_difference: {}}
strata:
  foreground_ratio: {label: spleen, edges: [0.002, 0.01]}
  rater_disagreement: {label: spleen, edges: tertiles}
  site: {}
  scanner:

criteria:
  C-01: {system: vendor-a, label: spleen, metric: dsc, at: clean,
         mean_at_least: 0.90, evidence: conditional}
  C-02: {system: vendor-a, label: spleen, metric: dsc, at: {gaussian_noise: 20},
         mean_drop_at_most: 1e-1, evidence: assured, hazard: H-12}
confidence: {criteria: 0.975, intervals: 0.95}
keep: {predictions: false, exhibits: 12}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_named_files(tmp_path)


def read(folder: Path, data: dict[str, Any] | None = None) -> AuditConfig:
    return parse_config(data or valid_data(), folder=folder, name="audit.yaml")


def test_the_example_of_the_documentation_resolves(folder: Path) -> None:
    path = folder / "audit.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    config = load_config(path)
    assert (config.name, config.seed, config.purpose) == (
        "spleen-ct-vendor-a", 20261123, "confirmatory",
    )  # fmt: skip
    assert config.cases.reference == ReferenceRule("majority", "above_half")
    assert config.cases.table == folder / "cases.csv"
    assert [(spec.name, spec.window.size) for spec in config.systems if spec.window] == [
        ("vendor-a", (96, 96, 96)),
        ("vendor-a-windows-64", (64, 64, 64)),
        ("vendor-a-windows-96", (96, 96, 96)),
        ("vendor-a-windows-128x128x64", (128, 128, 64)),
    ]
    assert config.labels == (("spleen", 1),)
    assert config.criteria_level == 0.975
    assert config.criteria[1].threshold == 0.1  # 1e-1 is a number, as in YAML 1.2
    assert config.strata[-1] == StratumSpec("scanner")
    assert not config.warnings


def test_everything_that_is_like_another_system_is_taken_over(folder: Path) -> None:
    data = changed("systems/b", {"like": "vendor-a", "window": {"overlap": 0.25}, "batch": 4})
    data["criteria"]["C-02"]["system"] = data["criteria"]["C-03"]["system"] = "b"
    first, second = read(folder, data).systems
    assert (second.name, second.batch) == ("b", 4)
    assert second.window is not None
    assert (second.window.size, second.window.overlap) == ((96, 96, 96), 0.25)
    assert dataclasses.replace(first, name="b", batch=4, window=second.window) == second


def test_a_window_of_nothing_is_the_whole_image(folder: Path) -> None:
    data = changed("systems/whole", {"like": "vendor-a", "window": None})
    for criterion in data["criteria"].values():
        criterion["system"] = "whole"
    assert read(folder, data).systems[1].window is None


def test_levels_come_from_the_catalogue_and_are_sorted_by_severity(folder: Path) -> None:
    # gaussian_noise for CT: 10, 20, 35 HU at 1, 2, 3; gaussian_blur: 1.5 and 2.5 mm at 1 and 2
    assert read(folder).perturbations == (
        PerturbationSpec("gaussian_noise", (1.0, 2.0, 3.0), (10.0, 20.0, 35.0), "HU"),
        PerturbationSpec("gaussian_blur", (1.0, 2.0), (1.5, 2.5), "mm FWHM"),
    )


def test_a_level_between_two_severities_gets_a_severity_between_them(folder: Path) -> None:
    data = changed("perturbations/gaussian_noise", {"levels": [15.0, 20.0]})
    # 15 HU is half way from 10 (severity 1) to 20 (severity 2)
    assert read(folder, data).perturbations[0].severities == (1.5, 2.0)


@pytest.mark.parametrize("given", ["ct", {"preset": "ct", "severities": [2]}])
def test_a_preset_is_a_list_of_names(folder: Path, given: object) -> None:
    from perturbations import PRESETS

    data = changed("perturbations", given)
    for name in ("C-02", "C-03"):
        del data["criteria"][name]
    assert tuple(spec.name for spec in read(folder, data).perturbations) == PRESETS["ct"]


def test_a_list_of_names_has_all_five_severities(folder: Path) -> None:
    data = changed("perturbations", ["gaussian_noise", "gaussian_blur"])
    assert all(
        spec.severities == (1.0, 2.0, 3.0, 4.0, 5.0) for spec in read(folder, data).perturbations
    )


def test_an_unknown_option_of_a_perturbation_is_a_problem(folder: Path) -> None:
    data = changed("perturbations/gaussian_noise/options", {"coils": 8})
    with pytest.raises(ConfigError) as raised:
        read(folder, data)
    assert any(
        "perturbations.gaussian_noise: unknown option 'coils' of gaussian_noise; it has none"
        in line
        for line in str(raised.value).splitlines()
    )


def test_levels_of_equal_effect_are_similarities(folder: Path) -> None:
    data = changed("perturbations/gaussian_noise", {"iso_effect": True, "severities": [1, 3]})
    for name in ("C-02", "C-03"):
        del data["criteria"][name]
    spec = read(folder, data).perturbations[0]
    assert (spec.severities, spec.levels, spec.unit) == ((1.0, 3.0), (0.95, 0.75), "SSIM")
    assert spec.iso_effect
    given = changed("perturbations/gaussian_noise", {"iso_effect": True, "levels": [0.6, 0.9]})
    for name in ("C-02", "C-03"):
        del given["criteria"][name]
    spec = read(folder, given).perturbations[0]
    assert (spec.severities, spec.levels) == ((1.0, 2.0), (0.9, 0.6))


@pytest.mark.parametrize(
    ("name", "grid", "message"),
    [
        ("rotation", {"iso_effect": True}, "has no levels of equal effect"),
        ("gaussian_noise", {"iso_effect": True, "levels": [1.2]}, "different SSIM between 0 and 1"),
        ("gaussian_noise", {"iso_effect": True, "severities": [1.5]}, "whole numbers up to 5"),
    ],
)
def test_levels_of_equal_effect_that_cannot_be_are_problems(
    folder: Path, name: str, grid: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(folder, changed(f"perturbations/{name}", grid))


def test_replicates_of_what_draws_nothing_are_not_made(folder: Path) -> None:
    data = changed("perturbations/gaussian_blur/replicates", 3)
    data["perturbations"]["gaussian_noise"]["replicates"] = 3
    config = read(folder, data)
    assert [spec.replicates for spec in config.perturbations] == [3, 1]
    assert "gaussian_blur.replicates: nothing is drawn" in config.warnings[0]


def test_metrics_carry_their_parameters(folder: Path) -> None:
    assert read(folder).metrics == (MetricSpec("dsc"), MetricSpec("nsd", 2.0), MetricSpec("hd95"))


def test_criteria_resolve_level_severity_unit_and_the_only_system(folder: Path) -> None:
    clean, noisy, blurred = read(folder).criteria
    assert (clean.perturbation, clean.level, clean.severity) == ("clean", None, 0.0)
    assert noisy == CriterionSpec(
        id="C-02", system="vendor-a", label="spleen", metric="dsc", perturbation="gaussian_noise",
        level=20.0, severity=2.0, unit="HU", form="mean_drop_at_most", threshold=0.1,
        evidence="assured", hazard="H-12",
    )  # fmt: skip
    assert (blurred.level, blurred.unit, blurred.value_at_most) == (2.5, "mm FWHM", 5.0)
    assert (blurred.required, blurred.stratum) == (False, ("site", "north"))


def test_claims_of_the_maker_are_kept_apart_from_their_source(folder: Path) -> None:
    (system,) = read(folder).systems
    assert system.claimed == (("dsc", 0.94),)
    assert system.claimed_source == "instructions for use, p. 12"


def test_a_contract_file_beside_the_checkpoint_is_read_and_the_configuration_wins(
    folder: Path,
) -> None:
    text = "input: {axes: LPS, zscore: image}\noutput: {labels: {spleen: 1}, threshold: 0.4}\n"
    (folder / "vendor_a.contract.yaml").write_text(text, encoding="utf-8")
    config = read(folder)
    (system,) = config.systems
    assert (system.input.axes, system.input.zscore) == ("RAS", "image")
    assert system.output.threshold == 0.4
    sources = dict(system.sources)
    assert sources["input.axes"] is Certainty.DECLARED
    assert sources["input.zscore"] is Certainty.CONTRACT_FILE
    assert "vendor_a.contract.yaml, which lies beside the checkpoint" in config.warnings[0]


def test_a_contract_file_that_is_named_needs_no_warning(folder: Path) -> None:
    (folder / "other.yaml").write_text("input: {zscore: nonzero}\n", encoding="utf-8")
    config = read(folder, changed("systems/vendor-a/contract", "other.yaml"))
    assert config.systems[0].input.zscore == "nonzero"
    assert not config.warnings


def test_labels_of_the_audit_are_those_of_systems_that_declare_none(folder: Path) -> None:
    data = changed("systems/vendor-a/output", {"activation": "sigmoid"})
    data["labels"] = {"spleen": 6}
    config = read(folder, data)
    assert config.labels == config.systems[0].output.labels == (("spleen", 6),)


def test_a_callable_needs_no_entry_and_no_checkpoint(folder: Path) -> None:
    data = without("systems")
    data["labels"] = {"spleen": 1}
    for criterion in data["criteria"].values():
        criterion["system"] = "threshold"
    config = parse_config(data, folder=folder, callables=("threshold",))
    assert [(spec.name, spec.checkpoint) for spec in config.systems] == [("threshold", None)]


@pytest.mark.parametrize("ways", [{"folder": "data"}, {"images": "data/a", "references": "data/b"}])
def test_cases_may_come_from_folders(folder: Path, ways: dict[str, str]) -> None:
    for name in ("a", "b"):
        (folder / "data" / name).mkdir(parents=True)
    config = read(folder, changed("cases", {"modality": "ct", **ways}))
    found = {key: getattr(config.cases, key) for key in ("folder", "images", "references")}
    assert found == {key: folder / ways[key] if key in ways else None for key in found}


def test_the_canonical_form_is_json_and_names_no_folder(folder: Path) -> None:
    config = read(folder)
    text = json.dumps(config.canonical, allow_nan=False)
    assert str(folder) not in text
    assert json.loads(text)["systems"]["vendor-a"]["checkpoint"] == "vendor_a.onnx"


def test_the_digest_does_not_depend_on_folder_or_order_of_keys(folder: Path) -> None:
    moved = folder / "moved"
    moved.mkdir()
    write_named_files(moved)
    data = valid_data()
    reordered = {key: data[key] for key in reversed(data)}
    assert digest(load_config(write_yaml(folder, data))) == digest(
        load_config(write_yaml(moved, reordered))
    )
    shutil.rmtree(moved)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 1),
        ("cases/state", "windowed"),
        ("systems/vendor-a/window/overlap", 0.4),
        ("systems/vendor-a/batch", 2),
        ("metrics/nsd/tolerance_mm", 3),
        ("criteria/C-01/mean_at_least", 0.91),
        ("strata/foreground_ratio/edges", [0.002, 0.02]),
        ("keep", {"exhibits": 3}),
    ],
)
def test_every_change_of_meaning_changes_the_digest(folder: Path, path: str, value: object) -> None:
    assert digest(read(folder, changed(path, value))) != digest(read(folder))


def test_the_record_is_frozen(folder: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read(folder).seed = 3  # type: ignore[misc]  # what is tested


def _properties(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][name]["properties"]
    return found


def test_the_json_schema_knows_every_key_with_a_description(folder: Path) -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert set(valid_data()) <= set(schema["properties"])
    assert {"with", "at", "evidence"} <= set(_properties(schema, "CriterionShape"))
    for name, definition in schema["$defs"].items():
        undescribed = [k for k, it in definition["properties"].items() if "description" not in it]
        assert not undescribed, name
    parts = _properties(schema, "SystemShape")
    window = next(it for it in parts["window"]["anyOf"] if it.get("type") == "object")
    assert set(window["properties"]) == {"size", "overlap", "blend", "placement", "padding"}
    assert window["additionalProperties"] is False


def test_importing_the_configuration_loads_neither_torch_nor_simpleitk() -> None:
    code = (
        "import sys, auditor.config; "
        "sys.exit(', '.join({'torch', 'SimpleITK', 'scipy', 'matplotlib'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_of_a_system_in_another_audit_is_no_error(folder: Path) -> None:
    data = changed("systems/vendor-a/like", "nobody")
    with pytest.raises(ConfigError, match="must be another system"):
        read(folder, data)
