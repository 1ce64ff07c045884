"""The Python API: one audit from its configuration to results.json, and what is read from it."""

from __future__ import annotations

from auditor.pipeline.answers import demo_lines, doubt_lines
from auditor.pipeline.audit import audit
from auditor.pipeline.folder import read_lock, verify_sums
from auditor.pipeline.preflight import Preflight, look
from auditor.pipeline.run import Run, exit_code_of, read_run
from auditor.pipeline.state import state_of

__all__ = [
    "Preflight",
    "Run",
    "audit",
    "demo_lines",
    "doubt_lines",
    "exit_code_of",
    "look",
    "read_lock",
    "read_run",
    "state_of",
    "verify_sums",
]
