"""Which mask counts where a case has several raters, and tables in which raters are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor
from volumes import scan, write_table, write_volume

from auditor.cases import LoadedCase, canonical_table, load_case, read_table
from auditor.cases.raters import majority, staple, without
from auditor.cases.reference_rules import chosen_reference, rule_problems, rule_warnings
from auditor.errors import DataError
from auditor.schema import CaseRecord, ReferenceRule

RATERS = {
    "rater_1": [1, 1, 1, 0, 2],
    "rater_2": [1, 1, 0, 0, 2],
    "rater_3": [1, 0, 0, 0, 0],
    "rater_4": [1, 1, 0, 1, 2],
}


def masks(*names: str) -> dict[str, Tensor]:
    """One row of voxels a rater, as (y, x)."""
    return {name: torch.tensor([RATERS[name]], dtype=torch.int16) for name in names}


def chosen(rule: ReferenceRule, *names: str, given: Tensor | None = None) -> list[int]:
    found = chosen_reference(given, masks(*names), [1, 2], rule, case="x")
    return [int(it) for it in found[0]]


def test_an_odd_number_of_raters_needs_no_tie_rule_and_an_even_one_does() -> None:
    assert chosen(ReferenceRule("majority"), "rater_1", "rater_2", "rater_3") == [1, 1, 0, 0, 2]
    with pytest.raises(DataError, match=r"has 2 raters, and a majority of them may be a tie; say"):
        chosen(ReferenceRule("majority"), "rater_1", "rater_3")
    assert chosen(ReferenceRule("majority", "above_half"), "rater_1", "rater_3") == [1, 0, 0, 0, 0]
    half = ReferenceRule("majority", "at_least_half")
    assert chosen(half, "rater_1", "rater_3") == [1, 1, 1, 0, 2]


def test_the_mean_over_raters_is_pictured_by_their_majority() -> None:
    names = ("rater_1", "rater_2", "rater_3")
    assert chosen(ReferenceRule("mean_over_raters"), *names) == [1, 1, 0, 0, 2]


def test_staple_is_the_mask_of_the_rule_staple() -> None:
    known = masks(*RATERS)
    expected = [int(it) for it in staple(list(known.values()), [1, 2])[0]]
    assert chosen(ReferenceRule("staple"), *RATERS) == expected
    assert expected[0] == 1
    assert expected[3] == 0


def test_a_rater_is_found_by_his_number_not_by_his_place() -> None:
    assert chosen(ReferenceRule("rater_4"), "rater_1", "rater_4") == RATERS["rater_4"]
    with pytest.raises(DataError, match=r"must have rater_2 .*, it has rater_1, rater_4"):
        chosen(ReferenceRule("rater_2"), "rater_1", "rater_4")


def test_a_consensus_without_a_rater_does_not_hold_him() -> None:
    known = list(masks("rater_1", "rater_2", "rater_3").values())
    for place in range(3):
        others = [mask for i, mask in enumerate(known) if i != place]
        for tie in ("above_half", "at_least_half"):
            found = without(known, place, [1, 2], tie=tie)
            assert torch.equal(found, majority(others, [1, 2], tie=tie))


def record(
    raters: int, *, numbers: tuple[int, ...] = (), reference: str | None = None
) -> CaseRecord:
    paths = tuple(f"r{number}.nii" for number in range(raters))
    return CaseRecord("x", "p", ("i.nii",), reference, paths, rater_numbers=numbers)


@pytest.mark.parametrize(
    ("use", "tie", "raters", "told"),
    [
        ("mean_over_raters", None, 0, "must have raters for cases.reference.use: mean_over_raters"),
        ("staple", None, 0, "must have raters for cases.reference.use: staple, has none"),
        ("staple", None, 2, ""),
        ("majority", None, 4, "may be a tie; say cases.reference.tie: above_half"),
        ("majority", "at_least_half", 4, ""),
        ("mean_over_raters", None, 4, "the majority for pictures and groups may be a tie"),
        ("mean_over_raters", None, 5, ""),
    ],
)
def test_what_does_not_fit_a_rule_is_said_before_anything_is_read(
    use: str, tie: Literal["at_least_half"] | None, raters: int, told: str
) -> None:
    problems = rule_problems(record(raters), ReferenceRule(use, tie))
    assert len(problems) == bool(told)
    assert all(told in problem for problem in problems)


def test_few_raters_are_a_warning_for_staple_alone() -> None:
    (told,) = rule_warnings([record(4), record(3)], ReferenceRule("staple"))
    assert "STAPLE of 3 raters depends much on its prior" in told
    assert rule_warnings([record(4)], ReferenceRule("staple")) == []
    assert rule_warnings([record(2)], ReferenceRule("majority", "above_half")) == []


def write_gap(folder: Path, *, image: bool = True) -> Path:
    """Case a was drawn by raters 1 and 3, case b by 1 and 2."""
    rows = []
    for name, raters in (("a", (1, 3)), ("b", (1, 2))):
        row = {"case": name}
        if image:
            row["image"] = write_volume(folder / f"{name}.nii.gz", scan()).name
        for number in (1, 2, 3):
            mask = torch.zeros(5, 7, 9, dtype=torch.uint8)
            mask[1:3, 1 : 3 + number, 2:5] = 1
            row[f"rater_{number}"] = (
                write_volume(folder / f"{name}{number}.nii.gz", mask.numpy()).name
                if number in raters
                else ""
            )
        rows.append(row)
    return write_table(folder / "cases.csv", rows)


def load(case: CaseRecord, rule: ReferenceRule) -> LoadedCase:
    return load_case(case, modality="ct", state="raw", labels=(("organ", 1),), reference_rule=rule)


def test_a_rater_who_did_not_see_a_case_has_an_empty_cell(tmp_path: Path) -> None:
    first, second = read_table(write_gap(tmp_path))
    assert first.rater_names == ("rater_1", "rater_3")
    assert second.rater_names == ("rater_1", "rater_2")
    assert [role for role, _ in first.digests] == ["image_1", "rater_1", "rater_3"]
    case = load(first, ReferenceRule("rater_3"))
    assert list(case.raters) == ["rater_1", "rater_3"]
    assert torch.equal(case.references["reference"], case.raters["rater_3"])
    # 2 slices of 5 rows and 3 columns
    assert int((case.references["reference"] == 1).sum()) == 30


def test_the_canonical_table_keeps_the_column_of_each_rater(tmp_path: Path) -> None:
    cases = read_table(write_gap(tmp_path))
    again = tmp_path / "again.csv"
    again.write_text(canonical_table(cases, tmp_path), encoding="utf-8")
    assert [case.rater_names for case in read_table(again)] == [case.rater_names for case in cases]


def test_images_may_be_left_out_where_nobody_needs_them(tmp_path: Path) -> None:
    table = write_gap(tmp_path, image=False)
    with pytest.raises(DataError) as refused:
        read_table(table)
    assert "a column image is required" in str(refused.value)
    assert [case.images for case in read_table(table, images=False)] == [(), ()]
