"""Folders of finished runs without an audit: results.json and the compacted tables of drawn rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rows_tables import Cohort, rows_of, setup_of, table_of

from auditor.analysis import summarise
from auditor.execution.store import compact
from auditor.schema import Row, encode


def write_run(
    folder: Path,
    cohort: Cohort,
    rows: Sequence[Row] | None = None,
    *,
    families: Sequence[tuple[str, int]] = (),
    identities: bool = True,
) -> Path:
    """Write what a recipe reads of a run; families: (family, training seed) of each system."""
    folder.mkdir(parents=True, exist_ok=True)
    setup = setup_of(cohort)
    if families:
        systems = tuple(
            replace(record, family=family, training_seed=seed, sha256=f"{place:064d}")
            for place, (record, (family, seed)) in enumerate(
                zip(setup.systems, families, strict=True)
            )
        )
        setup = replace(setup, systems=systems)
    table = table_of(rows_of(cohort) if rows is None else rows)
    (folder / "results.json").write_text(encode(summarise(table, setup=setup)), encoding="utf-8")
    compact(folder, table)
    if identities:
        with (folder / "identities.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("display_case", "display_patient", "case", "patient"))
            writer.writerows(
                (it.display_case, it.display_patient, it.case, it.patient) for it in cohort.cases
            )
    return folder
