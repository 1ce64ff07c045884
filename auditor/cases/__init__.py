"""Cases: tables and folders of scans, their images and references, and whether they fit."""

from __future__ import annotations

from auditor.cases.canonical import canonical_table
from auditor.cases.checking import Checked, check_cases, contradiction
from auditor.cases.exclusion import left_out
from auditor.cases.finding import find_scans
from auditor.cases.gathered import Choice, Gathered
from auditor.cases.layouts import (
    LAYOUTS,
    CasesSource,
    gather,
    label_names,
    read_manifest,
    recognise,
)
from auditor.cases.loading import LoadedCase, load_case
from auditor.cases.manifest import names_patients, read_table
from auditor.volumes.geometry import difference
from auditor.volumes.images import read_mask, read_volume, write_mask

__all__ = [
    "LAYOUTS",
    "CasesSource",
    "Checked",
    "Choice",
    "Gathered",
    "LoadedCase",
    "canonical_table",
    "check_cases",
    "contradiction",
    "difference",
    "find_scans",
    "gather",
    "label_names",
    "left_out",
    "load_case",
    "names_patients",
    "read_manifest",
    "read_mask",
    "read_table",
    "read_volume",
    "recognise",
    "write_mask",
]
