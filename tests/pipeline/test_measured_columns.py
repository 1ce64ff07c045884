"""What a column is read as: recognised, mapped, ambiguous, missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from measured_tables import read_lines, values_of

from auditor.errors import ConfigError
from auditor.pipeline.measured_elsewhere import ReadTable


def told(read: ReadTable) -> dict[str, str]:
    assert read.setup.measured is not None
    return {it.column: it.meaning for it in read.setup.measured.columns}


LONG = ("system,case,patient,metric,value", "unet,c1,p,dice,0.9", "unet,c2,p,dice,0.7")


def test_a_long_table_names_its_metrics_in_a_column(tmp_path: Path) -> None:
    read = read_lines(tmp_path, *LONG)
    assert [row[3:6] for row in values_of(read)] == [("c1", 0, 0.9), ("c2", 0, 0.7)]
    assert read.setup.patients == 1
    assert told(read)["value"] == "value"


def test_a_wide_table_has_a_column_per_metric_and_synonyms_are_echoed(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path,
        "Model,Patient ID,Dice,Jaccard,HD 95,notes",
        "unet,p1,0.9,0.82,3.5,fine",
        length_unit="mm",
    )
    assert told(read) == {
        "Model": "system",
        "Patient ID": "patient",
        "Dice": "metric dsc",
        "Jaccard": "metric iou",
        "HD 95": "metric hd95",
        "notes": "not used",
    }
    assert [info.name for info in read.setup.metrics] == ["dsc", "iou", "hd95"]
    assert read.setup.metrics[2].unit == "mm"


def test_one_column_per_system(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path, "patient,unet,vnet", "p1,0.9,0.8", systems=("unet", "vnet"), metrics=("dice",)
    )
    assert [row[0] for row in values_of(read)] == ["unet", "vnet"]
    assert told(read)["vnet"] == "dsc of the system vnet"
    with pytest.raises(ConfigError, match="holds one metric; name it"):
        read_lines(tmp_path, "patient,unet", "p1,0.9", systems=("unet",))


def test_a_table_of_values_alone_needs_the_name_of_their_metric(tmp_path: Path) -> None:
    lines = ("system,patient,value", "unet,a,0.9")
    with pytest.raises(ConfigError, match="no column that says of which metric"):
        read_lines(tmp_path, *lines)
    assert len(values_of(read_lines(tmp_path, *lines, metrics=("dsc",)))) == 1


def test_mapping_wins_over_names(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path,
        "model,arch,id,subject,dice",
        "tuned,unet,c1,p1,0.9",
        columns={"system": "arch", "case": "id"},
    )
    assert [row[0] for row in values_of(read)] == ["unet"]
    assert told(read)["model"] == "not used"


def test_two_columns_of_one_meaning_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read_lines(tmp_path, "system,model,patient,dice,dsc", "a,b,p,0.9,0.9")
    text = str(error.value)
    assert "the columns 'system' and 'model' could each be the system" in text
    assert "the columns 'dice' and 'dsc' would both be the metric dsc" in text


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read_lines(tmp_path, "who,what", "a,b", strata=("site",), columns={"label": "organ"})
    text = str(error.value)
    for part in (
        "a column case is required",
        "a column patient is required",
        "--patients-are-cases",
        "a column system is required",
        "no column is recognised as a metric",
        "--strata site: must be a column",
        "--map organ: must be a column",
    ):
        assert part in text


def test_a_stranger_is_answered_with_the_nearest_column(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'site'"):
        read_lines(tmp_path, "system,patient,dice,site", "a,p,0.9,x", strata=("sites",))


def test_patients_are_cases_is_an_assumption_that_the_table_must_not_contradict(
    tmp_path: Path,
) -> None:
    read = read_lines(tmp_path, "system,case,dice", "a,c1,0.9", "a,c2,0.9", patients_are_cases=True)
    assert read.setup.measured is not None
    assert read.setup.measured.patients_are_cases
    assert read.setup.patients == 2
    with pytest.raises(ConfigError, match="the column 'patient' names patients"):
        read_lines(tmp_path, "system,patient,dice", "a,p,0.9", patients_are_cases=True)


def test_options_that_contradict_themselves(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read_lines(
            tmp_path,
            *LONG,
            columns={"modell": "x"},
            cap={"hd95": 1.0},
            worst={"hd95": 1.0},
            edges={"age": (1.0,)},
            interval_level=1.5,
        )
    text = str(error.value)
    for part in ("--map modell", "--cap hd95 and --worst", "--strata age", "--interval-level"):
        assert part in text


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("interval_level", 0.05, "from 0.5 to below 1, was 0.05"),
        ("criteria_level", 95.0, "from 0.5 to below 1, was 95.0"),
        ("alpha", 0.9, "above 0 and up to 0.5, was 0.9"),
        ("alpha", float("nan"), "above 0 and up to 0.5, was nan"),
        ("delta", 1.0, "between 0 and 1, was 1.0"),
    ],
)
def test_levels_that_no_bound_is_made_for_are_refused(
    tmp_path: Path, option: str, value: float, told: str
) -> None:
    with pytest.raises(ConfigError, match=f"--{option.replace('_', '-')}: must lie {told}"):
        read_lines(tmp_path, *LONG, **{option: value})


def test_metadata_stay_away_unless_they_are_asked_for(tmp_path: Path) -> None:
    lines = ("system,patient,dice,site,file", "a,p,0.9,x,/data/p.nii.gz")
    read = read_lines(tmp_path, *lines, strata=("site",))
    assert read.setup.cases[0].metadata == (("site", "x"),)
    assert told(read)["file"] == "not used"
