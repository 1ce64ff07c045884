"""DICOM: series of images with SEG or RTSTRUCT objects, converted once to NIfTI without any header."""

from __future__ import annotations

from auditor.cases.dicom.conversion import Converted, convert

__all__ = ["Converted", "convert"]
