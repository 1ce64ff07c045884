"""Properties of cases: read from scan rows and property rows alike."""

from __future__ import annotations

from dataclasses import replace

from rows_tables import LABEL, NOISE, Cohort, rows_of, table_of

from auditor.analysis.properties import properties


def test_properties_come_from_clean_scans_and_from_their_own_rows() -> None:
    rows = rows_of(Cohort(patients=3, perturbations=(NOISE,), raters=3))
    first = next(row for row in rows if row.record == "scan")
    own = replace(first, record="property", metric="components", value=2.0)
    none = replace(own, metric="texture_disparity", value=None, status="not_applicable", reason="x")
    found = properties(table_of([*rows, own, none]))
    assert found["foreground_ratio", LABEL][first.case].value == first.foreground_ratio
    assert found["native_noise", ""][first.case].value == first.estimated_noise
    assert found["rater_disagreement", LABEL][first.case].value == first.rater_assd
    assert found["components", LABEL][first.case].value == 2.0
    missing = found["texture_disparity", LABEL][first.case]
    assert (missing.value, missing.status, missing.reason) == (None, "not_applicable", "x")
    assert {len(cases) for name, cases in found.items() if name[0].startswith("native")} == {3}
