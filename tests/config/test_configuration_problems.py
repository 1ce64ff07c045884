"""Whatever is wrong with a configuration is said once, with its path, and all of it together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from configurations import changed, valid_data, without, write_named_files, write_yaml

from auditor.config import load_config, parse_config
from auditor.errors import ConfigError

SYSTEM = "systems/vendor-a"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_named_files(tmp_path)


def problems_of(folder: Path, data: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(data, folder=folder, name="audit.yaml")
    assert f"{len(caught.value.problems)} problem(s) in audit.yaml" in str(caught.value)
    assert caught.value.exit_code == 4
    return caught.value.problems


WRONG: list[tuple[dict[str, Any], str]] = [
    # keys
    (changed("sed", 3), r"sed: is not known; did you mean 'seed'\?"),
    (changed(f"{SYSTEM}/chekpoint", "a"), r"systems\.vendor-a\.chekpoint: .* mean 'checkpoint'\?"),
    (changed("criteria/C-01/mean_at_lest", 1), r"criteria\.C-01\.mean_at_lest: .*mean_at_least"),
    (changed("keep/picture", 1), r"keep\.picture: is not known; known are predictions, exhibits"),
    (without("audit"), r"audit: is required"),
    (without("cases/modality"), r"cases\.modality: is required"),
    (without("metrics"), r"metrics: is required"),
    (without("perturbations"), r"perturbations: is required"),
    (without("systems"), r"systems: at least one is required"),
    # names and types
    (changed("audit", "../up"), r"audit: must be a name of at most 80 .*, was '\.\./up'"),
    (changed("audit", 5), r"audit: must be text, was 5"),
    (valid_data() | {"seed": True}, r"seed: must be a whole number, was True"),
    (changed("seed", 1.5), r"seed: must be a whole number, was 1\.5"),
    (changed("purpose", "maybe"), r"purpose: must be one of confirmatory or exploratory, was 'maybe"),
    (changed("cases/modality", "mri"), r"cases\.modality: must be one of ct, mr, us, .*, was 'mri'"),
    (changed("confidence/criteria", 0.4), r"confidence\.criteria: must be above 0\.5, was 0\.4"),
    (changed("keep/exhibits", 13), r"keep\.exhibits: must be at most 12, was 13"),
    (changed("bounds", {"alpha": 1}), r"bounds\.alpha: must be at most 0\.5, was 1"),
    (changed("bounds", {"alpha": 0}), r"bounds\.alpha: must be above 0, was 0"),
    (changed("bounds", {"delta": 1}), r"bounds\.delta: must be below 1, was 1"),
    (changed("systems/controls", {}), r"systems\.controls: must be a name .* other than 'controls'"),
    (changed("metrics/dsc", 3), r"metrics\.dsc: must hold keys and values, was 3"),
    # cases
    (without("cases/table"), r"cases: exactly one is required of table"),
    (changed("cases/folder", "."), r"cases: exactly one is required of table"),
    (changed("cases/table", "other.csv"), r"cases\.table: must be a file, 'other\.csv' is none"),
    (changed("cases/reference", {"use": "5"}), r"cases\.reference\.use: must be given, .*, was '5'"),
    # systems
    (without(f"{SYSTEM}/checkpoint"), r"systems\.vendor-a\.checkpoint: is required"),
    (changed(f"{SYSTEM}/checkpoint", "b.onnx"), r"vendor-a\.checkpoint: must exist, 'b\.onnx' does"),
    (changed(f"{SYSTEM}/golden", "b.csv"), r"vendor-a\.golden: must be a file, 'b\.csv' is none"),
    (changed(f"{SYSTEM}/contract", "b.yaml"), r"vendor-a\.contract: b\.yaml must be a readable"),
    (changed(f"{SYSTEM}/window/size", [96, 96]), r"systems\.vendor-a\.window\.size: must have 3 numb"),
    (changed(f"{SYSTEM}/window/size", [96, 96, 0]), r"vendor-a\.window\.size: must be .*\[96, 96, 0\]"),
    (changed(f"{SYSTEM}/input/axes", "RAL"), r"systems\.vendor-a\.input\.axes: must be .*'RAL'"),
    (changed(f"{SYSTEM}/output/labels", {}), r"systems\.vendor-a\.output\.labels: must be printable names"),
    (without(f"{SYSTEM}/output"), r"systems\.vendor-a\.output\.labels: is required"),
    (changed(f"{SYSTEM}/input", 5), r"systems\.vendor-a\.input: must hold keys and values, was 5"),
    (changed(f"{SYSTEM}/batch", 0), r"systems\.vendor-a\.batch: must be at least 1, was 0"),
    (changed(f"{SYSTEM}/device", "gpu"), r"systems\.vendor-a\.device: must be cpu, cuda .*'gpu'"),
    (changed(f"{SYSTEM}/like", "vendor-a"), r"vendor-a\.like: .*'vendor-a' \(.* in a circle\)"),
    (changed("systems/b", {"like": "vendor-b"}), r"systems\.b\.like: .*did you mean 'vendor-a'\?"),
    (changed(f"{SYSTEM}/expand", {"size": [1]}), r"vendor-a\.expand\.size: must name a field of"),
    (changed(f"{SYSTEM}/expand", {"window.size": []}), r"expand\.window\.size: must hold at least 1"),
    (changed(f"{SYSTEM}/claimed", {"dcs": 0.9}), r"vendor-a\.claimed: unknown metric 'dcs'; did you"),
    (changed(f"{SYSTEM}/claimed", {"dsc": 94}), r"claimed\.dsc: must lie in \[0, 1\], was 94"),
    (changed(f"{SYSTEM}/claimed", {"dsc": "x"}), r"vendor-a\.claimed: must hold numbers by metric"),
    # labels
    (changed("labels", {"spleen": 2}), r"output\.labels: must give spleen the number 2, as labels"),
    (changed("labels", {"liver": 2}), r"output\.labels: must name every audited label, liver is"),
    (changed("labels", {"liver": 1}), r"labels: must have different numbers, were liver: 1, spleen"),
    # perturbations
    (changed("perturbations/gaussian_nois", {}), r"gaussian_nois: .*did you mean 'gaussian_noise'\?"),
    (changed("perturbations/rician_noise", None), r"rician_noise: is for mr, the cases are ct"),
    (changed("perturbations", {"preset": "mr"}), r"perturbations\.preset: must be .*mean 'mri'\?"),
    (changed("perturbations", "mri"), r"perturbations\.bias_field: is for mr, the cases are ct"),
    (changed("perturbations", [3]), r"perturbations\.0: must be text, was 3"),
    (changed("perturbations", ["rotation", "rotation"]), r"perturbations\.rotation: stands twice"),
    (changed("perturbations/rotation", {"levels": [3], "severities": [1]}), r"rotation: .* has both"),
    (changed("perturbations/rotation", {"levels": [90]}), r"rotation: level .* between 0 .* and 25"),
    (changed("perturbations/rotation", {"levels": [0]}), r"rotation: levels must not hold 0 deg"),
    (changed("perturbations/rotation", {"levels": [3, 3]}), r"rotation: levels must differ, were 3, 3"),
    (changed("perturbations/rotation", {"severities": [0]}), r"rotation\.severities: must be differ"),
    (changed("perturbations/rotation", {"severities": [1, 1]}), r"rotation\.severities: must be diff"),
    (changed("perturbations/rotation", {"replicates": 0}), r"rotation\.replicates: must be at least"),
    # metrics
    (changed("metrics", {}), r"metrics: at least one is required"),
    (changed("metrics/hd59", {}), r"metrics\.hd59: unknown metric 'hd59'; did you mean 'hd95'\?"),
    (changed("metrics/nsd", {}), r"metrics\.nsd: .*needs tolerance_mm.*clinically negligible"),
    (changed("metrics/nsd", {"tolerance_mm": 0}), r"metrics\.nsd: .*positive number"),
    (changed("metrics/dsc", {"tolerance_mm": 2}), r"metrics\.dsc: .*takes no tolerance_mm"),
    # strata
    (without("strata/foreground_ratio/edges"), r"foreground_ratio\.edges: is required .*scientific"),
    (without("strata/foreground_ratio/label"), r"foreground_ratio\.label: is required, one of spleen"),
    (changed("strata/foreground_ratio/label", "splen"), r"\.label: must be one of spleen.* mean 'spl"),
    (changed("strata/foreground_ratio/edges", [0.2, 0.1]), r"edges: must be rising numbers"),
    (changed("strata/foreground_ratio/edges", [1, 10]), r"edges: must lie between 0 and 1"),
    (changed("strata/foreground_ratio/edges", "thirds"), r"edges: must be rising numbers.*'thirds'"),
    (changed("strata/foreground", {"label": "spleen"}), r"foreground\.label: must be left .* mean"),
    # criteria
    (changed("criteria", {}), r"criteria: a confirmatory audit needs at least one"),
    (without("criteria/C-01/label"), r"criteria\.C-01\.label: is required"),
    (without("criteria/C-01/evidence"), r"criteria\.C-01\.evidence: is required"),
    (changed("criteria/C-01/system", "vendor"), r"C-01\.system: must be one of vendor-a, was 'vendor'"),
    (changed("criteria/C-01/label", "liver"), r"C-01\.label: must be one of spleen, was 'liver'"),
    (changed("criteria/C-01/metric", "iou"), r"C-01\.metric: must be one of dsc, nsd, hd95, was 'iou'"),
    (without("criteria/C-01/mean_at_least"), r"C-01\.form: must be exactly one of .*, was none"),
    (
        changed("criteria/C-01/mean_drop_at_most", 0.1),
        r"C-01\.form: must be exactly one of .*, was mean_at_least and mean_drop_at_most",
    ),
    (changed("criteria/C-01/metric", "hd95"), r"C-01\.mean_at_least: must be about a metric in"),
    (changed("criteria/C-01/mean_at_least", 90), r"C-01\.mean_at_least: must lie between 0 and 1"),
    (changed("criteria/C-01/with", {"at_least": 1}), r"C-01\.with: belongs to share_of_patients"),
    (without("criteria/C-03/with"), r"C-03\.with: must be \{at_least: value\} or \{at_most: value\}"),
    (changed("criteria/C-03/with/at_least", 1), r"C-03\.with: must be \{at_least: value\} or"),
    (changed("criteria/C-03/with", {"at_least": 5}), r"C-03\.with: must be at_most for hd95 \(low"),
    (changed("criteria/C-03/with", {"at_most": -5}), r"C-03\.with\.at_most: must lie in \[0, inf\]"),
    (changed("criteria/C-03/stratum", {"sex": "f"}), r"C-03\.stratum: must be one of foreground_ratio"),
    (changed("criteria/C-02/at", "clean"), r"C-02\.at: must be a perturbation, a drop from clean"),
    (
        changed("criteria/C-02/at", {"gaussian_noise": 21}),
        r"C-02\.at: must be a planned level in HU of gaussian_noise, one of 10, 20, 35, was 21",
    ),
    (
        changed("criteria/C-02/at", {"perturbation": "gaussian_noise", "severity": 4}),
        r"C-02\.at: must be a planned severity of gaussian_noise, one of 1, 2, 3, was 4",
    ),
    (changed("criteria/C-02/at", {"rotation": 3}), r"C-02\.at: must be one of gaussian_.*'rotation'"),
    (changed("criteria/C-02/at", {"a": 1, "b": 2}), r"C-02\.at: must be clean, \{name: level\} or"),
    (changed("criteria/C-02/at", "noisy"), r"C-02\.at: must be clean, .*, was 'noisy'"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "told"), WRONG, ids=[told[:60] for _, told in WRONG])
def test_a_problem_is_told_with_its_path_and_value(
    folder: Path, data: dict[str, Any], told: str
) -> None:
    problems = problems_of(folder, data)
    matching = [problem for problem in problems if re.search(told, problem)]
    assert matching, problems
    where = told.replace("\\", "").split(":")[0]
    assert all(where in problem.split(": ")[0] for problem in matching)


def test_problems_of_all_kinds_are_told_together_sorted_by_path(folder: Path) -> None:
    data = valid_data()
    data["sed"] = 1  # an unknown key
    data["metrics"]["nsd"] = {}  # a missing choice
    data["metrics"]["hd59"] = {}  # a misspelt name
    data["perturbations"]["gaussian_noise"]["replicates"] = "two"  # a wrong type
    data["systems"]["vendor-a"]["window"]["size"] = [96, 96]  # a wrong contract
    data["systems"]["vendor-a"]["golden"] = "nowhere.csv"  # a missing file
    data["cases"]["reference"] = {"tie": "coin"}  # a wrong choice
    problems = problems_of(folder, data)
    assert problems == tuple(sorted(problems))
    starts = [problem.split(":")[0] for problem in problems]
    assert starts == [
        "cases.reference.tie",
        "metrics.hd59",
        "metrics.nsd",
        "perturbations.gaussian_noise.replicates",
        "sed",
        "systems.vendor-a.golden",
        "systems.vendor-a.window.size",
    ]


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (changed("metrics/dsc", 3), "metrics.dsc"),
        (changed(f"{SYSTEM}/batch", 0), "systems.vendor-a.batch"),
        (changed("perturbations/gaussian_noise", 3), "perturbations.gaussian_noise"),
        (changed("cases/modality", "mri"), "cases.modality"),
        (changed("cases/modality", "mri") | {"perturbations": "ct"}, "cases.modality"),
        (changed("perturbations", {"preset": "tc"}), "perturbations.preset"),
        (changed(f"{SYSTEM}/output/labels", {"spleen": 0}), "systems.vendor-a.output.labels"),
        (changed("criteria/C-01", 3), "criteria.C-01"),
        (changed("systems", None), "systems"),
        (changed("systems", [1]), "systems"),
        (changed("metrics", ["dsc"]), "metrics"),
        (changed("perturbations", 5), "perturbations"),
        (changed("cases", None), "cases"),
    ],
)
def test_one_mistake_is_not_repeated_where_its_name_is_used(
    folder: Path, data: dict[str, Any], start: str
) -> None:
    problems = problems_of(folder, data)
    assert [problem.split(":")[0] for problem in problems] == [start]


def test_an_empty_configuration_lists_what_is_required(folder: Path) -> None:
    required = ["audit", "cases", "metrics", "perturbations", "purpose", "systems"]
    assert [it.split(":")[0] for it in problems_of(folder, {})] == required


def test_an_entry_like_a_wrong_one_is_not_a_second_problem(folder: Path) -> None:
    data = changed(f"{SYSTEM}/batch", 0)
    data["systems"]["b"] = {"like": "vendor-a"}
    assert len(problems_of(folder, data)) == 1


def test_a_system_in_conflict_over_a_label_is_named(folder: Path) -> None:
    data = changed("systems/b", {"like": "vendor-a", "output": {"labels": {"spleen": 3}}})
    for criterion in data["criteria"].values():
        criterion["system"] = "b"
    (problem,) = problems_of(folder, data)
    assert problem.startswith(
        "systems.b.output.labels: must give spleen the number 1, as systems.v"
    )


def test_a_callable_with_a_checkpoint_is_refused(folder: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"checkpoint: must be left out, the system is a callable"
    ):
        parse_config(valid_data(), folder=folder, callables=("vendor-a",))


def test_a_problem_of_a_contract_file_names_the_file(folder: Path) -> None:
    text = "input: {zscore: maybe, channnels: 1}\noutput: {threshold: 2}\n"
    (folder / "vendor_a.contract.yaml").write_text(text, encoding="utf-8")
    told = problems_of(folder, changed(f"{SYSTEM}/output/threshold", 3))
    assert [re.sub(r": .*[?\d']", ": ..", it) for it in told] == [
        "systems.vendor-a.input.channnels: .. (in vendor_a.contract.yaml)",
        "systems.vendor-a.input.zscore: .. (in vendor_a.contract.yaml)",
        "systems.vendor-a.output.threshold: ..",  # the configuration's own value
    ]


def test_long_values_are_shortened(folder: Path) -> None:
    (problem,) = problems_of(folder, changed("purpose", "x" * 500))
    assert len(problem) < 200


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"audit\.yaml must be a readable file: No such file"):
        load_config(tmp_path / "audit.yaml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("audit: [1, 2\nseed: 3\n", r"audit\.yaml must be YAML: line 2: "),
        ("audit: a\n\tseed: 3\n", r"audit\.yaml must be YAML: line 2: "),
        ("audit: a\nseed: 1\naudit: b\n", r"line 3: the key 'audit' stands twice"),
        (
            "audit: a\nkeep: {exhibits: 1, exhibits: 2}\n",
            r"line 2: the key 'exhibits' stands twice",
        ),
        ("[1, 2]: a\n", r"line 1: a key must be a text"),
        ("- audit\n", r"audit\.yaml must hold keys and values, was list"),
        ("", r"audit\.yaml must hold keys and values, was nothing; see `segaudit init`"),
        ("audit: !!python/object:os.system x\n", r"could not determine a constructor"),
        ("audit: &a [*a]\n", r"audit\.yaml must be YAML"),
    ],
)
def test_text_that_is_no_configuration_is_refused_with_its_line(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "audit.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load_config(tmp_path / "audit.yaml")


def test_bytes_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "audit.yaml").write_bytes(b"audit: \xff\n")
    with pytest.raises(ConfigError, match=r"must be UTF-8 text, was not at byte 7"):
        load_config(tmp_path / "audit.yaml")


def test_merged_keys_may_be_overridden(folder: Path) -> None:
    text = write_yaml(folder, valid_data()).read_text(encoding="utf-8")
    text += "keep:\n  <<: {exhibits: 3, predictions: true}\n  exhibits: 5\n"
    (folder / "audit.yaml").write_text(text, encoding="utf-8")
    keep = load_config(folder / "audit.yaml").keep
    assert (keep.exhibits, keep.predictions) == (5, True)
