"""Cases: tables and folders of scans, their images and references, and whether they fit."""

from __future__ import annotations

from auditor.cases.checking import Checked, check_cases
from auditor.cases.images import read_mask, read_volume
from auditor.cases.loading import LoadedCase, load_case
from auditor.cases.manifest import read_folder, read_table

__all__ = [
    "Checked",
    "LoadedCase",
    "check_cases",
    "load_case",
    "read_folder",
    "read_mask",
    "read_table",
    "read_volume",
]
