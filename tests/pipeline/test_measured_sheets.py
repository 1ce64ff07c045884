"""Tables of measurements as files: dialects, damage, nnU-Net's summary, names that say something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measured_tables import read_lines, summary_json, values_of, write_table

from auditor.errors import ConfigError, DataError
from auditor.pipeline.measured_elsewhere import read_measurements
from auditor.pipeline.measured_options import TableOptions
from auditor.pipeline.measured_sheets import read_sheets


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_a_byte_order_mark_are_understood(tmp_path: Path, separator: str) -> None:
    lines = ["\ufeffsystem,patient,dice", "unet,a,0.9", "", "unet,b,0.8"]
    read = read_lines(tmp_path, *(line.replace(",", separator) for line in lines))
    assert [row[-2] for row in values_of(read)] == [0.9, 0.8]


def test_lines_of_another_length_are_told_with_their_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_lines(tmp_path, "system,patient,dice", "unet,a,0.9,0.1", "unet,b,0.8", "unet,c")
    told = str(error.value)
    assert "line 2: must have 3 cells as the header has, has 4" in told
    assert "line 4: must have 3 cells as the header has, has 2" in told


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("system,patient,dice",), "no line below its header"),
        (("system,patient,dice,dice", "a,b,1,1"), "the column 'dice' stands twice"),
        (("",), "no line below its header"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_lines(tmp_path, *lines)


def test_files_that_are_none_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError) as error:
        read_sheets([tmp_path / "absent.csv", tmp_path / "bytes.csv", tmp_path], "")
    assert len(error.value.problems) == 3
    assert "UTF-8" in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_names_of_files_say_system_and_condition(tmp_path: Path) -> None:
    body = ("patient,dice", "a,0.9", "b,0.7")
    paths = [
        write_table(tmp_path, *body, name=f"{system}_{condition}.csv")
        for system in ("u_net", "vnet")
        for condition in ("clean", "low")
    ]
    options = TableOptions(name_pattern="{system}_{condition}.csv")
    # "u_net_clean": the first part is as short as it can be, so this name is read as another one
    with pytest.raises(ConfigError, match="clean condition"):
        read_measurements(paths[:2], options, name="t")
    read = read_measurements(paths[2:], options, name="t")
    assert [row[:4] for row in values_of(read)] == [
        ("vnet", "clean", 0.0, "a"),
        ("vnet", "clean", 0.0, "b"),
        ("vnet", "low", 1.0, "a"),
        ("vnet", "low", 1.0, "b"),
    ]


def test_a_name_that_does_not_fit_and_a_pattern_that_is_none(tmp_path: Path) -> None:
    table = write_table(tmp_path, "patient,dice", "a,0.9")
    with pytest.raises(DataError, match=r"its path must end as --name-pattern says"):
        read_sheets(table, "{system}_{condition}.csv")
    with pytest.raises(ConfigError, match="must name one or more of"):
        read_sheets(table, "{model}.csv")
    with pytest.raises(ConfigError, match="must name one or more of"):
        read_sheets(table, "table.csv")


def test_a_summary_of_nnunet_is_read_with_its_empties(tmp_path: Path) -> None:
    full = {"Dice": 0.9, "IoU": 0.8, "n_pred": 90, "n_ref": 110, "FP": 0}
    missed = {"Dice": 0.0, "IoU": 0.0, "n_pred": 0, "n_ref": 110, "FP": 0}
    nothing = {"Dice": float("nan"), "IoU": float("nan"), "n_pred": 0, "n_ref": 0, "FP": 0}
    first = summary_json(tmp_path, "fold_a", {"s1": {"1": full}, "s2": {"1": missed}})
    second = summary_json(tmp_path, "fold_b", {"s1": {"1": full}, "s2": {"1": nothing}})
    options = TableOptions(
        name_pattern="{system}/summary.json", patients_are_cases=True, labels={"1": "spleen"}
    )
    read = read_measurements([first, second], options, name="t")
    assert values_of(read) == [
        ("fold_a", "clean", 0.0, "s1", 0, 0.9, "ok"),
        ("fold_a", "clean", 0.0, "s2", 0, 0.0, "prediction_empty"),
        ("fold_b", "clean", 0.0, "s1", 0, 0.9, "ok"),
        ("fold_b", "clean", 0.0, "s2", 0, None, "both_empty"),
    ]
    # two empty masks leave the worst case, too: no metric of agreement can grade them
    assert [row.worst for row in read.rows if row.status == "both_empty" and row.metric] == [
        None,
        None,
    ]
    assert read.setup.labels == ("spleen",)
    told = read.setup.measured
    assert told is not None
    assert {it.column: it.meaning for it in told.columns}["FP"] == "not used"
    assert told.files[0].layout == "nnU-Net summary"


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"metric_per_case": []}', '{"metric_per_case": [{"metrics": 3}]}', "{"]
)
def test_other_json_is_refused(tmp_path: Path, text: str) -> None:
    path = write_table(tmp_path, text, name="summary.json")
    with pytest.raises(DataError, match=r"summary\.json"):
        read_sheets(path, "")


def test_columns_in_memory_are_a_table(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "system": ["unet", "unet"],
        "patient": np.array([7, 8]),
        "dice": np.array([0.9, np.nan]),
        "site": ["A", None],
    }
    read = read_measurements(columns, TableOptions(strata=("site",)), name="t")
    assert values_of(read) == [
        ("unet", "clean", 0.0, "7", 0, 0.9, "ok"),
        ("unet", "clean", 0.0, "8", 0, None, "not_finite"),
    ]
    assert read.setup.cases[1].metadata == (("site", ""),)
    with pytest.raises(DataError, match="must be of one length"):
        read_measurements({"system": ["a"], "dice": []}, TableOptions(), name="t")
    with pytest.raises(DataError, match="must be of one length"):
        read_measurements({}, TableOptions(), name="t")
