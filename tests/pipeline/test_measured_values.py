"""Numbers of a table: read strictly, within their range, with the policy that was declared."""

from __future__ import annotations

from pathlib import Path

import pytest
from measured_tables import read_lines, rows_of_metric, values_of

from auditor.errors import ConfigError, DataError
from auditor.pipeline.measured_options import DeclaredMetric, declared_metric
from auditor.pipeline.measured_values import number_of

HEAD = "system,patient,condition,replicate,dice,hd"


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.5", 0.5), ("-3", -3.0), (".5", 0.5), ("1e-3", 0.001), ("+2.", 2.0)],
)
def test_plain_numbers_are_read(text: str, value: float) -> None:
    assert number_of(text) == value


@pytest.mark.parametrize("text", ["1_0", "0x1", "nan", "inf", "1e999", "", " 1", "1,5", "٣", "½"])
def test_everything_else_is_no_number(text: str) -> None:
    assert number_of(text) is None


def test_text_in_values_is_told_with_all_its_lines(tmp_path: Path) -> None:
    lines = [f"unet,p{i},{'good' if i % 2 else '0.9'}" for i in range(16)]
    with pytest.raises(DataError) as error:
        read_lines(tmp_path, "system,patient,dice", *lines)
    assert len(error.value.problems) == 1
    assert "table.csv line 3 ('good'), 5 ('good')" in str(error.value)
    assert "and 3 more" in str(error.value)


def test_a_decimal_comma_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="decimals are written with a point"):
        read_lines(tmp_path, "system;patient;dice", "unet;p;0,91")


def test_per_cent_is_recognised_and_scaled(tmp_path: Path) -> None:
    lines = ("system,patient,dice", "unet,p,91.5", "unet,q,0.4")
    with pytest.raises(DataError, match=r"look like per cent: --scale dsc=0\.01"):
        read_lines(tmp_path, *lines)
    read = read_lines(tmp_path, *lines, scale={"dice": 0.01})
    assert [row[5] for row in values_of(read)] == pytest.approx([0.915, 0.004])


def test_values_beyond_their_range_are_refused_and_rounding_is_not(tmp_path: Path) -> None:
    for wrong in ("-0.1", "inf", "250"):
        with pytest.raises(DataError, match=r"must lie in \[0, 1\]"):
            read_lines(tmp_path, "system,patient,dice", f"unet,p,{wrong}")
    read = read_lines(tmp_path, "system,patient,dice", "unet,p,1.0000001", "unet,q,-1e-8")
    assert [row[5] for row in values_of(read)] == [1.0, 0.0]
    with pytest.raises(DataError, match=r"hd100 must lie in \[0, inf\]"):
        read_lines(tmp_path, "system,patient,hd", "unet,p,-2", length_unit="mm")


def test_an_unknown_metric_needs_its_direction(tmp_path: Path) -> None:
    lines = ("system,patient,mcc,dice", "unet,p,-0.5,0.9")
    with pytest.raises(ConfigError, match="--metric-info mcc=higher,0,1"):
        read_lines(tmp_path, *lines, metrics=("mcc", "dice"))
    declared = dict([declared_metric("mcc=higher,-1,1")])
    read = read_lines(tmp_path, *lines, metric_info=declared)
    assert [info.name for info in read.setup.metrics] == ["dsc", "mcc"]
    info = read.setup.metrics[1]
    # an end at 1 would promise [0, 1] to every bound of a mean
    assert (info.low, info.high, info.higher_is_better) == (-1.0, None, True)
    assert "at most 1" in info.definition
    with pytest.raises(DataError, match=r"mcc must lie in \[-1, 1\]"):
        read_lines(tmp_path, "system,patient,mcc", "unet,p,-1.5", metric_info=declared)


@pytest.mark.parametrize("text", ["mcc", "mcc=up", "=higher", "mcc=higher,a", "mcc=lower,0,1,u,v"])
def test_a_declaration_has_one_form(text: str) -> None:
    with pytest.raises(ConfigError, match="must be declared as"):
        declared_metric(text)


def test_a_distance_needs_its_unit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--length-unit: is required for hd95"):
        read_lines(tmp_path, "system,patient,hd95", "unet,p,3")


def test_an_infinite_distance_needs_a_policy(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_lines(
            tmp_path,
            HEAD,
            "unet,p,clean,0,0.9,inf",
            "unet,q,clean,0,0.9,NaN",
            "unet,r,clean,0,0.9,3",
            length_unit="px",
        )
    text = str(error.value)
    assert "2 values of hd100 are infinite or no number (first: table.csv line 2)" in text
    for part in ("--cap hd100=VALUE --cap-order", "--worst hd100=VALUE", "column status"):
        assert part in text


REPLICATES = (HEAD, "unet,p,clean,1,0.9,10", "unet,p,clean,2,0.9,inf", "unet,p,clean,3,0.9,2",
              "unet,q,clean,1,0.9,4", "unet,q,clean,2,0.9,6", "unet,q,clean,3,0.9,8")  # fmt: skip


def test_a_cap_before_the_mean_over_replicates(tmp_path: Path) -> None:
    # the infinite replicate of p alone is the cap; its mean is then 112 / 3
    read = read_lines(
        tmp_path, *REPLICATES, length_unit="px", cap={"hd": 100.0}, cap_order="before"
    )
    hd = values_of(read, "hd100")
    assert [row[4:] for row in hd if row[3] == "p"] == [
        (0, 10.0, "ok"),
        (1, 100.0, "not_finite"),
        (2, 2.0, "ok"),
    ]
    told = read.setup.measured
    assert told is not None
    assert [(it.metric, it.n) for it in told.replaced] == [("hd100", 1)]
    assert "before replicates are averaged" in told.replaced[0].treatment
    assert told.replicates == 3


def test_a_cap_after_the_mean_over_replicates(tmp_path: Path) -> None:
    # one infinite replicate makes the mean of p infinite, so that p is the cap; q stays at 6
    read = read_lines(tmp_path, *REPLICATES, length_unit="px", cap={"hd": 100.0}, cap_order="after")
    assert values_of(read, "hd100") == [
        ("unet", "clean", 0.0, "p", 0, 100.0, "not_finite"),
        ("unet", "clean", 0.0, "q", 0, 6.0, "ok"),
    ]
    assert len(values_of(read, "dsc")) == 6  # a metric without a cap keeps its replicates
    info = {it.name: it for it in read.setup.metrics}["hd100"]
    assert "after replicates are averaged" in info.worst


def test_a_failed_replicate_is_not_averaged_away_by_a_cap_after_the_mean(tmp_path: Path) -> None:
    # p crashed once and was 2 once: its mean does not exist, and counts as the worst value, not as 2
    read = read_lines(
        tmp_path, "system,patient,replicate,hd,status", "unet,p,1,,crashed", "unet,p,2,2,ok",
        "unet,q,1,,crashed", "unet,q,2,inf,ok", "unet,r,1,4,ok", "unet,r,2,6,ok",
        length_unit="px", cap={"hd": 100.0}, cap_order="after",
    )  # fmt: skip
    found = {row.case: (row.value, row.worst, row.status) for row in rows_of_metric(read, "hd100")}
    assert found["p"] == (None, 100.0, "crashed")
    assert found["q"][:2] == (100.0, 100.0)
    assert found["r"] == (5.0, 100.0, "ok")


def test_the_order_of_a_cap_is_asked_for_only_where_it_matters(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--cap-order before"):
        read_lines(tmp_path, *REPLICATES, length_unit="px", cap={"hd": 100.0})
    read = read_lines(tmp_path, *REPLICATES[:2], length_unit="px", cap={"hd": 100.0})
    assert read.setup.measured is not None
    assert read.setup.measured.replaced == ()


def test_a_worst_value_stays_out_of_means(tmp_path: Path) -> None:
    read = read_lines(tmp_path, *REPLICATES[:3], length_unit="px", worst={"hausdorff": 100.0})
    first, second = rows_of_metric(read, "hd100")
    assert (first.value, first.worst, first.status) == (10.0, 100.0, "ok")
    assert (second.value, second.worst, second.status) == (None, 100.0, "not_finite")


def test_a_finite_value_above_the_cap_is_told(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path, HEAD, "unet,p,clean,0,1,150", length_unit="px", cap={"hd100": 100.0}
    )
    assert read.setup.measured is not None
    assert any("150, lies above the cap and stays" in it for it in read.setup.measured.choices)


def test_options_of_metrics_that_are_not_there_or_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read_lines(
            tmp_path,
            "system,patient,dice",
            "unet,p,0.9",
            cap={"hd95": 3.0},
            scale={"dsc": 0.0},
            worst={"dsc": -1.0},
        )
    text = str(error.value)
    for part in ("--cap hd95: must be a metric of the table", "--scale dsc", "--worst dsc=-1"):
        assert part in text


def test_a_status_says_why_there_is_no_value(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path,
        "system,patient,dice,status",
        "unet,p,,crashed",
        "unet,q,,both_empty",
        "unet,r,0,prediction_empty",
        "unet,s,,no_effect",
        "unet,t,,",
    )
    rows = rows_of_metric(read, "dsc")
    assert [(it.status, it.value, it.worst) for it in rows] == [
        ("crashed", None, 0.0),
        ("both_empty", None, None),
        ("prediction_empty", 0.0, 0.0),
        ("no_effect", None, None),
    ]  # t was not measured: neither a row nor a failure


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("unet,p,0.9,crashed", "must be absent where the status says"),
        ("unet,p,,ok", "a value is required where the status is ok"),
        ("unet,p,0.9,lost", "the status must be one of ok, both_empty"),
    ],
)
def test_a_status_that_contradicts_its_value(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_lines(tmp_path, "system,patient,dice,status", line)


def test_a_failure_of_an_unbounded_metric_needs_a_worst_value(tmp_path: Path) -> None:
    lines = ("system,patient,hd,status", "unet,p,,failed", "unet,q,3,")
    with pytest.raises(DataError, match="as --worst hd100=VALUE"):
        read_lines(tmp_path, *lines, length_unit="mm")
    read = read_lines(tmp_path, *lines, length_unit="mm", worst={"hd": 50.0})
    assert [it.worst for it in rows_of_metric(read, "hd100")] == [50.0, 50.0]


def test_nan_is_a_failure_unless_its_user_says_two_empty_masks(tmp_path: Path) -> None:
    lines = ("system,patient,dice", "unet,p,nan", "unet,q,0.9")
    first = rows_of_metric(read_lines(tmp_path, *lines), "dsc")[0]
    assert (first.status, first.value, first.worst) == ("not_finite", None, 0.0)
    first = rows_of_metric(read_lines(tmp_path, *lines, nan="both_empty"), "dsc")[0]
    assert (first.status, first.value, first.worst) == ("both_empty", None, None)


def test_a_declared_metric_without_an_end_is_unbounded() -> None:
    name, found = declared_metric("asd2=lower,0,,mm")
    assert (name, found) == (
        "asd2",
        DeclaredMetric(higher_is_better=False, low=0.0, high=None, unit="mm"),
    )
