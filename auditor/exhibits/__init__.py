"""Exhibits: the selected evaluations, done once more, checked, and drawn as evidence."""

from __future__ import annotations

from auditor.exhibits.evidence import make_exhibits

__all__ = ["make_exhibits"]
