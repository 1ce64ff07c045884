"""Places of measurements: repeated lines, conditions, replicates, runs, what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from measured_tables import read_lines, values_of

from auditor.errors import ConfigError, DataError

HEAD = "system,patient,perturbation,severity,dice"


def test_repeated_lines_are_refused_and_what_may_tell_them_apart_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_lines(
            tmp_path, "system,patient,dice,fold", "unet,p,0.9,1", "unet,p,0.8,2", "unet,q,0.8,1"
        )
    text = str(error.value)
    assert "table.csv line 3 (repeats line 2 of table.csv)" in text
    assert "--map replicate=fold" in text
    read = read_lines(
        tmp_path, "system,patient,dice,fold", "unet,p,0.9,10", "unet,p,0.8,2",
        columns={"replicate": "fold"},
    )  # fmt: skip
    # replicates are numbered by their numbers: 2 comes before 10
    assert [row[4:6] for row in values_of(read)] == [(0, 0.8), (1, 0.9)]


def test_severity_0_of_every_perturbation_is_one_clean_measurement(tmp_path: Path) -> None:
    lines = ("unet,p,noise,0,0.9", "unet,p,noise,1,0.8", "unet,p,blur,0,0.9", "unet,p,blur,2,0.7")
    read = read_lines(tmp_path, HEAD, *lines)
    assert [row[1:3] for row in values_of(read)] == [("blur", 2.0), ("clean", 0.0), ("noise", 1.0)]
    assert read.setup.measured is not None
    assert any("1 clean lines stand several times" in it for it in read.setup.measured.choices)
    with pytest.raises(DataError, match="a line repeats another"):
        read_lines(tmp_path, HEAD, *lines[:2], "unet,p,blur,0,0.91", lines[3])


def test_conditions_are_names_severities_or_both(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path, "system,patient,condition,dice", "unet,p,in-domain,0.9", "unet,p,low,0.8",
        "unet,p,lower,0.7", "unet,p,blurred,0.6",
        clean="in-domain", conditions={"low": ("speckle", 1.0), "lower": ("speckle", 2.0)},
    )  # fmt: skip
    assert [row[1:3] for row in values_of(read)] == [
        ("blurred", 1.0),
        ("clean", 0.0),
        ("speckle", 1.0),
        ("speckle", 2.0),
    ]
    assert [(it.name, it.severities) for it in read.setup.perturbations] == [
        ("speckle", (1.0, 2.0)),
        ("blurred", (1.0,)),
    ]


def test_a_clean_condition_is_required_beside_others(tmp_path: Path) -> None:
    lines = ("system,patient,condition,dice", "unet,p,plain,0.9", "unet,p,low,0.8")
    with pytest.raises(ConfigError, match=r"--clean NAME.*'plain', 'low'"):
        read_lines(tmp_path, *lines)
    with pytest.raises(ConfigError, match="there are 'plain', 'low'"):
        read_lines(tmp_path, *lines, clean="clean")
    with pytest.raises(ConfigError, match="--condition lowest"):
        read_lines(tmp_path, *lines, conditions={"lowest": ("x", 1.0)})
    assert len(values_of(read_lines(tmp_path, *lines, clean="plain"))) == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("unet,p,noise,high,0.9", "the severity must be a number from 0 on"),
        ("unet,p,noise,-1,0.9", "the severity must be a number from 0 on"),
        ("unet,p,,1,0.9", "the condition is empty"),
        (",p,noise,1,0.9", "the system is empty"),
        ("unet,,noise,1,0.9", "the case is empty"),
        ("control:x,p,noise,1,0.9", "a system must not be called control"),
    ],
)
def test_cells_that_say_nothing(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_lines(tmp_path, HEAD, "unet,q,noise,0,0.9", line)


def test_a_level_belongs_to_one_severity(tmp_path: Path) -> None:
    head = "system,patient,perturbation,severity,level,unit,dice"
    lines = ("unet,p,noise,0,,,0.9", "unet,p,noise,1,3,mm,0.8")
    read = read_lines(tmp_path, head, *lines)
    assert (read.setup.perturbations[0].levels, read.setup.perturbations[0].unit) == ((3.0,), "mm")
    with pytest.raises(DataError, match="must have one level, has 3 mm and 4 mm"):
        read_lines(tmp_path, head, *lines, "unet,q,noise,1,4,mm,0.8")
    with pytest.raises(DataError, match="the level must be a number"):
        read_lines(tmp_path, head, lines[0], "unet,p,noise,1,much,mm,0.8")


def test_a_case_belongs_to_one_patient(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a case must belong to one patient"):
        read_lines(tmp_path, "system,case,patient,dice", "a,c,p,0.9", "b,c,q,0.9")
    with pytest.raises(DataError, match="the patient is empty"):
        read_lines(tmp_path, "system,case,patient,dice", "a,c,,0.9", "b,d,q,0.9")


def test_training_runs_are_systems_of_a_family(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path, "system,seed,patient,dice", "unet,1,p,0.9", "unet,2,p,0.8", "vnet,1,p,0.7"
    )
    assert [(it.name, it.family, it.training_seed) for it in read.setup.systems] == [
        ("unet-seed1", "unet", 1),
        ("unet-seed2", "unet", 2),
        ("vnet", "", 1),
    ]
    with pytest.raises(DataError, match="the training seed must be a whole number"):
        read_lines(tmp_path, "system,seed,patient,dice", "unet,one,p,0.9")
    with pytest.raises(DataError, match="a system must be of one family"):
        read_lines(tmp_path, "system,family,patient,dice", "a,u,p,0.9", "a,v,q,0.9")


def test_seeds_may_be_replicates_where_their_user_says_so(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path, "system,seed,patient,dice", "unet,1,p,0.9", "unet,2,p,0.8",
        columns={"replicate": "seed"},
    )  # fmt: skip
    assert [it.name for it in read.setup.systems] == ["unet"]
    assert [row[4] for row in values_of(read)] == [0, 1]


def test_missing_cells_are_counted_and_named(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path,
        "system,patient,condition,replicate,dice",
        "a,p,clean,1,0.9", "a,p,clean,2,0.9", "a,q,clean,1,0.9", "a,p,low,1,0.8", "a,q,low,1,0.8",
        "b,p,clean,1,0.9", "b,q,clean,1,",
    )  # fmt: skip
    told = read.setup.measured
    assert told is not None
    gaps = {(it.system, it.perturbation): (it.missing, it.partial, it.cases) for it in told.gaps}
    assert gaps == {
        ("a", "clean"): (0, 1, ("C002",)),  # q has one replicate, p two
        ("b", "clean"): (1, 0, ("C002",)),  # an empty cell was not measured
        ("b", "low"): (2, 0, ("C001", "C002")),
    }
    assert read.setup.planned == 6


def test_a_whole_table_has_no_gap(tmp_path: Path) -> None:
    read = read_lines(tmp_path, HEAD, "a,p,x,0,0.9", "a,p,x,1,0.9")
    assert read.setup.measured is not None
    assert read.setup.measured.gaps == ()


def test_a_group_is_a_property_of_its_case_and_always_descriptive(tmp_path: Path) -> None:
    head = "system,case,patient,dice,site,age"
    lines = [f"a,c{i},p{i},0.9,{'AB'[i % 2]},{40 + i}" for i in range(6)]
    read = read_lines(tmp_path, head, *lines, strata=("site", "age"), edges={"age": (42.0,)})
    site, age = read.setup.strata
    assert (site.kind, site.names) == ("descriptive", ("A", "B"))
    assert (age.kind, age.names) == ("descriptive", ("<= 42", "> 42"))
    assert sum(group == "<= 42" for group in age.membership.values()) == 3
    assert "existed before the groups were named" in site.note
    with pytest.raises(DataError, match="--strata or --metadata site: must be the same"):
        read_lines(tmp_path, head, *lines, "b,c0,p0,0.9,B,40", strata=("site",))
    with pytest.raises(ConfigError, match="every value must be a finite number"):
        read_lines(tmp_path, head, *lines, strata=("site",), edges={"site": (1.0,)})


def test_a_column_named_as_a_measured_property_is_read_for_difficulty(tmp_path: Path) -> None:
    lines = [f"a,p{i},0.9,0.0{i + 1}" for i in range(3)]
    read = read_lines(
        tmp_path, "system,patient,dice,foreground_ratio", *lines,
        strata=("foreground_ratio",), edges={"foreground_ratio": (0.015,)},
    )  # fmt: skip
    assert [row.value for row in read.rows if row.record == "property"] == [0.01, 0.02, 0.03]
    assert read.setup.strata[0].names == ("<= 1.5 %", "> 1.5 %")
    with pytest.raises(ConfigError, match="--edges foreground_ratio=NUMBER,NUMBER"):
        read_lines(
            tmp_path, "system,patient,dice,foreground_ratio", *lines, strata=("foreground_ratio",)
        )


def test_labels_are_named_or_numbered(tmp_path: Path) -> None:
    lines = ("system,patient,label,dice", "a,p,1,0.9", "a,p,2,0.8")
    assert read_lines(tmp_path, *lines).setup.labels == ("label_1", "label_2")
    named = read_lines(tmp_path, *lines, labels={"1": "liver", "2": "tumour"})
    assert named.setup.labels == ("liver", "tumour")
    alone = read_lines(tmp_path, "system,patient,dice", "a,p,0.9", label="spleen")
    assert alone.setup.labels == ("spleen",)


def test_a_table_of_empty_cells_has_nothing_to_analyse(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is nothing to analyse"):
        read_lines(tmp_path, "system,patient,dice", "a,p,", "a,q,")
