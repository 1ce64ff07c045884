"""Axes of groups in audit.yaml: every form that is right, and every way in which one is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from configurations import changed, valid_data, write_named_files

from auditor.config import AuditConfig, parse_config
from auditor.config.records import digest
from auditor.errors import ConfigError
from auditor.schema import StratumSpec

SYSTEM = "systems/vendor-a"
WINDOW = "window_foreground_ratio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_named_files(tmp_path)


def with_strata(**strata: Any) -> dict[str, Any]:
    data = changed(f"{SYSTEM}/training", {"foreground_ratio": [0.001, 0.2]})
    # the criteria of the sample name the axis site
    data["strata"] = {"site": {}, **strata}
    return data


def read(folder: Path, data: dict[str, Any]) -> AuditConfig:
    return parse_config(data, folder=folder, name="audit.yaml")


def problems_of(folder: Path, data: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(folder, data)
    assert caught.value.exit_code == 4
    return caught.value.problems


def test_every_measured_axis_can_be_declared(folder: Path) -> None:
    label = {"label": "spleen"}
    config = read(
        folder,
        with_strata(
            foreground_ratio={**label, "edges": [0.002, 0.01]},
            window_foreground_ratio={**label, "window": [64, 64, 32], "edges": "tertiles"},
            object_volume={**label, "edges": [50, 150], "minimum_patients": 15},
            components={**label, "edges": [1]},
            rater_disagreement={**label, "edges": [0.5]},
            rater_dsc={**label, "edges": [0.9]},
            texture_disparity={**label, "edges": "tertiles"},
            texture_disparity_compat={**label, "edges": [-0.1, 0.3]},
            native_noise={"edges": [3]},
            native_blur={"edges": "tertiles"},
            native_bias={"edges": [10, 20]},
            age={"edges": [65]},
            site_by_size={"cross": ["site", "object_volume"], "minimum_patients": 12},
        ),
    )
    known = {spec.axis: spec for spec in config.strata}
    assert known[WINDOW] == StratumSpec(WINDOW, "spleen", "tertiles", window=(64, 64, 32))
    assert known["object_volume"].minimum_patients == 15
    assert known["native_noise"] == StratumSpec("native_noise", "", (3.0,))
    assert known["site_by_size"] == StratumSpec(
        "site_by_size", cross=("site", "object_volume"), minimum_patients=12
    )


def test_a_training_range_is_frozen_as_numbers(folder: Path) -> None:
    config = read(
        folder,
        with_strata(
            foreground_ratio={"label": "spleen", "edges": "training"},
            window_foreground_ratio={"label": "spleen", "edges": "training", "system": "vendor-a"},
        ),
    )
    volume, window = config.strata[1:]
    # the only system need not be named
    assert volume == StratumSpec(
        "foreground_ratio", "spleen", (0.001, 0.2), training=True, system="vendor-a"
    )
    assert window == StratumSpec(WINDOW, "spleen", (0.001, 0.2), training=True, system="vendor-a")
    assert config.canonical["strata"][WINDOW]["edges"] == [0.001, 0.2]


def test_another_training_range_is_another_configuration(folder: Path) -> None:
    data = with_strata(foreground_ratio={"label": "spleen", "edges": "training"})
    before = digest(read(folder, data))
    data["systems"]["vendor-a"]["training"]["foreground_ratio"] = [0.001, 0.3]
    assert digest(read(folder, data)) != before


WRONG: list[tuple[str, dict[str, Any], str]] = [
    # what an axis is measured on
    (
        WINDOW,
        {"label": "spleen", "edges": "tertiles"},
        ".window: exactly one is required of window",
    ),
    (
        WINDOW,
        {"label": "spleen", "edges": "tertiles", "window": [8, 8, 8], "system": "vendor-a"},
        ".window: exactly one is required of window",
    ),
    (WINDOW, {"label": "spleen", "window": [8, 8, 8]}, ".edges: is required"),
    (
        WINDOW,
        {"label": "spleen", "window": [8, 8, 8], "edges": "training"},
        ".window: must be left out with edges: training",
    ),
    (
        WINDOW,
        {"label": "spleen", "window": [8, 0, 8], "edges": "tertiles"},
        ".window.1: must be at least 1, was 0",
    ),
    (WINDOW, {"label": "spleen", "window": [8], "edges": "tertiles"}, ".window: "),
    (
        WINDOW,
        {"label": "spleen", "system": "vendor-b", "edges": "tertiles"},
        ".system: must be one of vendor-a, was 'vendor-b'; did you mean 'vendor-a'?",
    ),
    (
        "object_volume",
        {"label": "spleen", "edges": [1], "window": [8, 8, 8]},
        ".window: belongs to window_foreground_ratio, not to object_volume",
    ),
    (
        "object_volume",
        {"label": "spleen", "edges": [1], "system": "vendor-a"},
        ".system: belongs to window_foreground_ratio and to edges: training, not to object_volume",
    ),
    (
        "foreground_ratio",
        {"label": "spleen", "edges": [0.1], "system": "vendor-a"},
        ".system: belongs to window_foreground_ratio and to edges: training",
    ),
    ("object_volume", {"edges": [1]}, ".label: is required, one of spleen"),
    ("object_volume", {"label": "splen", "edges": [1]}, "did you mean 'spleen'?"),
    (
        "native_noise",
        {"label": "spleen", "edges": [3]},
        ".label: must be left out, native_noise is measured on the scan as a whole",
    ),
    # edges
    ("object_volume", {"label": "spleen"}, ".edges: is required"),
    ("object_volume", {"label": "spleen", "edges": [0, 5]}, ".edges: must be above 0 (ml;"),
    ("native_blur", {"edges": [0]}, ".edges: must be above 0 (mm, or px"),
    ("native_bias", {"edges": [-1]}, ".edges: must be above 0 (%)"),
    ("components", {"label": "spleen", "edges": [0]}, ".edges: must be above 0"),
    ("texture_disparity", {"label": "spleen", "edges": [1.5]}, ".edges: must lie between 0 and 1"),
    ("rater_dsc", {"label": "spleen", "edges": [1]}, ".edges: must lie between 0 and 1"),
    (
        "object_volume",
        {"label": "spleen", "edges": "training"},
        ".edges: training is a share of foreground in patches, for foreground_ratio and",
    ),
    ("site", {"edges": "training"}, ".edges: training is a share of foreground in patches"),
    # fewest patients
    ("site", {"minimum_patients": 5}, ".minimum_patients: must be at least 10, was 5"),
    # columns of the table
    (
        "objct_volume",
        {"label": "spleen", "edges": [1]},
        "'objct_volume' is a column of the table; measured on a label are foreground_ratio",
    ),
    ("objct_volume", {"label": "spleen", "edges": [1]}, "did you mean 'object_volume'?"),
    ("scanner", {"window": [8, 8, 8]}, ".window: belongs to window_foreground_ratio, 'scanner'"),
    ("scanner", {"system": "vendor-a"}, ".system: belongs to window_foreground_ratio"),
    ("all", {}, "strata.all: must have another name: all are all cases together"),
    # crosses
    ("both", {"cross": ["site"]}, ".cross: "),
    ("both", {"cross": ["site", "sex", "age"]}, ".cross: "),
    ("both", {"cross": ["site", "site"]}, ".cross: must name two different axes"),
    ("both", {"cross": ["site", "sites"]}, "did you mean 'site'?; declare it under strata, too"),
    ("both", {"cross": ["site", "both"]}, "must name axes that are no crosses themselves"),
    ("both", {"cross": ["site", "other_cross"]}, "must name axes that are no crosses themselves"),
    ("both", {"cross": ["site", "age"], "edges": [1]}, ".edges: must be left out of a cross"),
    ("both", {"cross": ["site", "age"], "label": "spleen"}, ".label: must be left out of a cross"),
    (
        "components",
        {"cross": ["site", "age"]},
        ".cross: must have a name of its own, components is measured",
    ),
]


@pytest.mark.parametrize(("axis", "declared", "told"), WRONG)
def test_what_is_wrong_with_an_axis_is_said_with_its_path(
    folder: Path, axis: str, declared: dict[str, Any], told: str
) -> None:
    data = with_strata(age={"edges": [65]}, other_cross={"cross": ["site", "age"]})
    data["strata"][axis] = declared
    found = problems_of(folder, data)
    assert any(line.startswith(f"strata.{axis}") and told in line for line in found), found
    assert all(line.startswith(f"strata.{axis}") for line in found), found


def test_all_problems_of_all_axes_are_told_together(folder: Path) -> None:
    data = with_strata(
        object_volume={"edges": [0]}, native_noise={"label": "spleen"}, both={"cross": ["a", "b"]}
    )
    paths = {line.split(": ")[0] for line in problems_of(folder, data)}
    assert paths == {
        "strata.object_volume.label",
        "strata.object_volume.edges",
        "strata.native_noise.label",
        "strata.native_noise.edges",
        "strata.both.cross",
    }


def test_a_training_range_that_nobody_declared_names_the_key_that_is_missing(folder: Path) -> None:
    data = valid_data()
    data["strata"] = {"site": {}, "foreground_ratio": {"label": "spleen", "edges": "training"}}
    assert problems_of(folder, data) == (
        (
            "strata.foreground_ratio.edges: training needs systems.vendor-a.training.foreground_ratio: "
            "[smallest, largest] share of foreground in its training patches"
        ),
    )


def test_a_training_range_of_one_number_holds_nothing(folder: Path) -> None:
    data = with_strata(foreground_ratio={"label": "spleen", "edges": "training"})
    data["systems"]["vendor-a"]["training"]["foreground_ratio"] = [0.1, 0.1]
    [told] = problems_of(folder, data)
    assert told.startswith("strata.foreground_ratio.edges: nothing lies between 0.1 and 0.1")


def test_of_several_systems_the_one_whose_range_counts_must_be_named(folder: Path) -> None:
    data = with_strata(foreground_ratio={"label": "spleen", "edges": "training"})
    data |= {"purpose": "exploratory", "criteria": {}}
    data["systems"]["vendor-b"] = {"like": "vendor-a"}
    [told] = problems_of(folder, data)
    assert told == "strata.foreground_ratio.system: is required, one of vendor-a, vendor-b"


def test_a_system_that_feeds_itself_has_no_windows_to_measure_in(folder: Path) -> None:
    (folder / "masks").mkdir()
    data = with_strata(
        window_foreground_ratio={"label": "spleen", "edges": "tertiles", "system": "files"}
    )
    data |= {"purpose": "exploratory", "criteria": {}}
    data["systems"]["files"] = {"predictions": "masks", "output": {"labels": {"spleen": 1}}}
    [told] = problems_of(folder, data)
    assert told.startswith(f"strata.{WINDOW}.system: must be one that this tool feeds itself")


def test_a_cross_of_two_labels_is_refused(folder: Path) -> None:
    data = with_strata(
        object_volume={"label": "spleen", "edges": [50]},
        components={"label": "liver", "edges": [1]},
        both={"cross": ["object_volume", "components"]},
    )
    data["systems"]["vendor-a"]["output"]["labels"] = {"spleen": 1, "liver": 2}
    assert problems_of(folder, data) == (
        "strata.both.cross: both axes must be measured on one label, are measured on liver and spleen",
    )
