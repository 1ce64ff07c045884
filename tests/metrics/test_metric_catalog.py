"""The catalogue as a table: lookup, units, parameters, and that it stays light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from auditor.errors import ConfigError
from auditor.metrics.catalog import METRICS, Metric, check_spec, get, metric_info, unit_text
from auditor.schema import MetricSpec

every_line = pytest.mark.parametrize("line", METRICS.values(), ids=lambda line: line.name)


@every_line
def test_every_line_says_what_it_is_and_where_it_comes_from(line: Metric) -> None:
    assert METRICS[line.name] is line
    assert line.definition.endswith(".")
    assert line.reference
    assert line.title
    assert callable(line.resolve())
    assert line.needs_tolerance == (line.name == "nsd")
    assert (line.unit == "") == (line.high == 1.0)


@every_line
def test_every_line_becomes_a_record_of_the_results(line: Metric) -> None:
    spec = MetricSpec(line.name, 2.0 if line.needs_tolerance else None)
    info = metric_info(spec, "mm")
    assert (info.name, info.title, info.unit) == (line.name, line.title, line.unit)
    assert (info.low, info.high) == (line.low, line.high)
    assert info.parameters == ((("tolerance_mm", 2.0),) if line.needs_tolerance else ())


def test_the_catalogue_cannot_be_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        METRICS["own"] = METRICS["dsc"]  # type: ignore[index]  # that is the point


def test_a_tolerance_is_in_pixels_where_there_is_no_spacing() -> None:
    info = metric_info(MetricSpec("nsd", 3.0), "px", ndim=2)
    assert info.parameters == (("tolerance_px", 3.0),)


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
    ],
)
def test_units_follow_the_image(name: str, length_unit: str, ndim: int, expected: str) -> None:
    assert unit_text(name, length_unit, ndim=ndim) == expected


@pytest.mark.parametrize(
    ("wrong", "hint"), [("hd59", "'hd95'"), ("DSC", "'dsc'"), ("asd", "'assd'"), ("nsdd", "'nsd'")]
)
def test_an_unknown_name_is_answered_with_the_nearest(wrong: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown metric {wrong!r}; did you mean {hint}"):
        get(wrong)


def test_a_name_like_no_other_is_answered_with_the_list() -> None:
    with pytest.raises(ConfigError, match="there are dsc, iou"):
        get("qqqqqqqq")


@pytest.mark.parametrize("tolerance", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_nsd_does_not_choose_its_own_tolerance(tolerance: float | None) -> None:
    with pytest.raises(ConfigError, match="needs tolerance_mm, a positive number"):
        check_spec(MetricSpec("nsd", tolerance))


def test_a_tolerance_elsewhere_is_refused_rather_than_ignored() -> None:
    with pytest.raises(ConfigError, match=r"'hd95' takes no tolerance_mm, got 2\.0"):
        check_spec(MetricSpec("hd95", 2.0))


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
