"""The section on certificates: what is promised, from how many patients, and what cannot be rated."""

from __future__ import annotations

import re
from dataclasses import replace

import results_samples

from auditor.schema import Results
from reports.document import Items, Prose, Section, Table
from reports.sections.certificates import certificates
from reports.view import view_of

SAMPLE = results_samples.sample()


def section_of(results: Results) -> Section:
    return certificates(view_of(results, {}, {}, images=False))


def words(text: object) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", str(text)).replace("\u00a0", " ").split())


def tables(section: Section) -> list[list[list[str]]]:
    return [
        [[words(cell) for cell in row] for row in block.rows]
        for block in section.blocks
        if isinstance(block, Table)
    ]


def prose(section: Section) -> list[str]:
    return [words(block.text) for block in section.blocks if isinstance(block, Prose)]


def items(section: Section) -> list[list[str]]:
    return [list(map(words, it.items)) for it in section.blocks if isinstance(it, Items)]


def test_who_calibrated_and_by_which_proxy() -> None:
    first, second = prose(section_of(SAMPLE))
    assert first.startswith("40 patients with 240 scans calibrated the certificate 5c1f")
    assert "of spleen by unet, which lies" in first
    assert "3 of these scans have no usable prediction and count with DSC 0." in first
    assert "Of 100 scans like these, about 90 have a DSC above the bound" in first
    assert "Proxy of the quality: agreement with mildly perturbed copies" in first
    assert "There is no proxy of the quality: every scan of a bin gets the same bound" in second
    assert "no usable prediction" not in second


def test_bounds_by_bin_and_what_is_not_certifiable() -> None:
    bins = tables(section_of(SAMPLE))[0]
    assert bins == [
        ["Gaussian noise", "0, as the clean scans", "40", "agreement −0.052", "agreement −0.082"],
        ["Gaussian noise", "0 to 1", "12", "agreement −0.136", "not certifiable: needs n ≥ 22"],
        ["Gaussian noise", "1 to 2", "4", "not certifiable: needs n ≥ 9",
         "not certifiable: needs n ≥ 22"],
    ]  # fmt: skip
    assert tables(section_of(SAMPLE))[2] == [
        ["clean scans", "0, as the clean scans", "6", "not certifiable: needs n ≥ 9",
         "not certifiable: needs n ≥ 22"],
    ]  # fmt: skip


def test_one_number_for_all_scans_is_no_difference() -> None:
    without = replace(SAMPLE.certificates[0], proxy="")
    bins = tables(section_of(replace(SAMPLE, certificates=(without,))))[0]
    assert bins[0][3] == "−0.052"


def test_the_worth_of_a_grade_never_travels_without_its_count() -> None:
    grades = tables(section_of(SAMPLE))[1]
    assert grades[0][:6] == ["A", "at least 0.850", "0.850", "23", "0.957 [0.780, 0.999]", "0.931"]
    assert grades[1][1] == "0.700 to below 0.850"
    assert grades[2] == ["C", "below 0.700", "0.700", "0", "no patient", "none", ""]


def test_what_it_cannot_rate_is_said() -> None:
    first, second = items(section_of(SAMPLE))
    assert "and with gaussian noise up to its highest severity" in first[0]
    assert any("no treatment margin" in it for it in first)
    assert any(it.startswith("Declared, but calibrating nothing: bias field.") for it in first)
    assert first[-1] == (
        "Not certifiable: gaussian noise at severity 1 to 2. Scans there are not rated."
    )
    assert second[-1].startswith("Not certifiable: clean at severity 0.")
    assert "robust" not in str(first + second)


def test_an_audit_without_certificates_says_so() -> None:
    none = replace(SAMPLE, certificates=())
    assert prose(section_of(none)) == [
        "No certificate was declared: this audit rates no new scans."
    ]
    short = replace(none, audit=replace(SAMPLE.audit, preview=True))
    assert prose(section_of(short)) == ["A preview has no certificates."]
