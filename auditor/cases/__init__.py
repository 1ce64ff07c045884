"""Cases: tables and folders of scans, their images and references, and whether they fit."""

from __future__ import annotations

from auditor.cases.checking import Checked, check_cases, contradiction
from auditor.cases.exclusion import left_out
from auditor.cases.geometry import difference
from auditor.cases.images import read_mask, read_volume, write_mask
from auditor.cases.layouts import CasesSource, find_scans, read_manifest
from auditor.cases.loading import LoadedCase, load_case
from auditor.cases.manifest import read_table

__all__ = [
    "CasesSource",
    "Checked",
    "LoadedCase",
    "check_cases",
    "contradiction",
    "difference",
    "find_scans",
    "left_out",
    "load_case",
    "read_manifest",
    "read_mask",
    "read_table",
    "read_volume",
    "write_mask",
]
