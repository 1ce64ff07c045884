"""The catalogue as a table: lookup, units, parameters, and that it stays light."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from metric_specs import DECLARED, spec_of

from auditor.errors import ConfigError
from auditor.metrics.catalog import (
    METRICS,
    Metric,
    check_spec,
    get,
    metric_info,
    unit_text,
)
from auditor.schema import MetricSpec

every_line = pytest.mark.parametrize("line", METRICS.values(), ids=lambda line: line.name)


@every_line
def test_every_line_says_what_it_is_and_where_it_comes_from(line: Metric) -> None:
    assert METRICS[line.name] is line
    assert line.definition.endswith(".")
    assert line.reference
    assert line.title
    assert callable(line.resolve())
    assert line.needs_tolerance == line.name.startswith("nsd")
    assert (line.unit == "") == (line.high == 1.0)
    assert len(line.title) < 60


@every_line
def test_every_line_becomes_a_record_of_the_results(line: Metric) -> None:
    info = metric_info(spec_of(line.name), "mm")
    assert (info.name, info.title, info.unit) == (line.name, line.title, line.unit)
    assert (info.low, info.high) == (line.low, line.high)
    assert info.parameters == tuple((name, DECLARED[name]) for name in line.needs)


def test_the_catalogue_cannot_be_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        METRICS["own"] = METRICS["dsc"]  # type: ignore[index]  # that is the point


def test_a_tolerance_is_in_pixels_where_there_is_no_spacing() -> None:
    info = metric_info(MetricSpec("nsd", 3.0), "px", ndim=2)
    assert info.parameters == (("tolerance_px", 3.0),)
    info = metric_info(MetricSpec("boundary_iou", width_mm=2.0), "px", ndim=2)
    assert info.parameters == (("width_px", 2.0),)


@pytest.mark.parametrize(
    ("name", "length_unit", "ndim", "expected"),
    [
        ("dsc", "mm", 3, ""),
        ("nsd", "px", 2, ""),
        ("hd95", "mm", 3, "mm"),
        ("assd", "px", 2, "px"),
        ("volume_difference", "mm", 3, "ml"),
        ("volume_difference", "mm", 2, "mm²"),
        ("volume_difference", "px", 2, "px"),
        ("volume_difference", "px", 3, "voxels"),
        ("relative_volume_difference", "px", 3, "%"),
        ("lesion_false_positives", "mm", 2, "lesions"),
    ],
)
def test_units_follow_the_image(name: str, length_unit: str, ndim: int, expected: str) -> None:
    assert unit_text(name, length_unit, ndim=ndim) == expected


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("hd59", "'hd95'"),
        ("DSC", "'dsc'"),
        ("asd", "'masd'"),
        ("nsdd", "'nsd'"),
        ("Dice", "'dsc'"),
        ("hausdorff", "'hd95'"),
        ("clDice", "'centreline_dsc'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(wrong: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown metric {wrong!r}; did you mean {hint}"):
        get(wrong)


def test_a_name_like_no_other_is_answered_with_the_list() -> None:
    with pytest.raises(ConfigError, match="there are dsc, iou"):
        get("qqqqqqqq")


WRONG = {
    "tolerance_mm": (None, 0.0, -1.0, float("nan"), float("inf")),
    "width_mm": (None, 0.0, -1.0, float("nan"), float("inf")),
    "overlap": (None, 0.0, -0.1, 1.1, float("nan")),
    "bins": (None, 1, 0, 1001, 2.5, float("nan")),
}


def with_value(line: Metric, parameter: str, value: Any) -> MetricSpec:
    return replace(spec_of(line.name), **{parameter: value})


@every_line
@pytest.mark.parametrize("parameter", list(DECLARED))
def test_a_parameter_is_required_or_refused_and_never_chosen(line: Metric, parameter: str) -> None:
    if parameter not in line.needs:
        value = DECLARED[parameter]
        with pytest.raises(ConfigError, match=f"takes no {parameter}, got {value!r}; remove it"):
            check_spec(with_value(line, parameter, value))
        return
    for value in WRONG[parameter]:
        with pytest.raises(ConfigError, match=f"{line.name!r} needs {parameter}, ") as told:
            check_spec(with_value(line, parameter, value))
        assert "; choose " in str(told.value)
        assert str(value) in str(told.value)


@pytest.mark.parametrize(
    "module", ["auditor.metrics.catalog", "auditor.metrics.policy", "auditor.strata.assign"]
)
def test_tables_load_neither_torch_nor_scipy(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "print(sorted({'torch', 'scipy', 'SimpleITK', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
