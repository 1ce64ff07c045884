"""The Python API: one audit from its configuration to results.json, and what is read from it.

Names are loaded when they are used, so that reading a run needs neither torch nor SimpleITK.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditor.pipeline.ablating import ablated
    from auditor.pipeline.analysing import analyse
    from auditor.pipeline.answers import demo_lines, doubt_lines
    from auditor.pipeline.auditing import audit
    from auditor.pipeline.comparing_raters import compare_raters
    from auditor.pipeline.comparing_runs import compare_runs
    from auditor.pipeline.drafting import draft
    from auditor.pipeline.folder import read_lock, verify_sums
    from auditor.pipeline.inspecting import Inspection, inspect_checkpoint
    from auditor.pipeline.installation import examine_installation
    from auditor.pipeline.locking import lock
    from auditor.pipeline.measured_options import DeclaredMetric, TableOptions
    from auditor.pipeline.network_skips import skips, table_of_skips
    from auditor.pipeline.pair_score import PairScore, score
    from auditor.pipeline.preflight import Preflight, look
    from auditor.pipeline.profiling import profile, profile_lines
    from auditor.pipeline.rating import RatedScan, rate
    from auditor.pipeline.recommending import recommend
    from auditor.pipeline.run import Run, exit_code_of, read_run
    from auditor.pipeline.scan_files import write_scans
    from auditor.pipeline.screen_contract import Wanted
    from auditor.pipeline.screening import Screening, screen
    from auditor.pipeline.state import state_of
    from auditor.pipeline.trained_families import family_differences

__all__ = [
    "DeclaredMetric",
    "Inspection",
    "PairScore",
    "Preflight",
    "RatedScan",
    "Run",
    "Screening",
    "TableOptions",
    "Wanted",
    "ablated",
    "analyse",
    "audit",
    "compare_raters",
    "compare_runs",
    "demo_lines",
    "doubt_lines",
    "draft",
    "examine_installation",
    "exit_code_of",
    "family_differences",
    "inspect_checkpoint",
    "lock",
    "look",
    "profile",
    "profile_lines",
    "rate",
    "read_lock",
    "read_run",
    "recommend",
    "score",
    "screen",
    "skips",
    "state_of",
    "table_of_skips",
    "verify_sums",
    "write_scans",
]

_HOMES = {
    "DeclaredMetric": "measured_options",
    "Inspection": "inspecting",
    "PairScore": "pair_score",
    "Preflight": "preflight",
    "RatedScan": "rating",
    "Run": "run",
    "Screening": "screening",
    "TableOptions": "measured_options",
    "Wanted": "screen_contract",
    "ablated": "ablating",
    "analyse": "analysing",
    "audit": "auditing",
    "compare_raters": "comparing_raters",
    "compare_runs": "comparing_runs",
    "demo_lines": "answers",
    "doubt_lines": "answers",
    "draft": "drafting",
    "examine_installation": "installation",
    "exit_code_of": "run",
    "family_differences": "trained_families",
    "inspect_checkpoint": "inspecting",
    "lock": "locking",
    "look": "preflight",
    "profile": "profiling",
    "profile_lines": "profiling",
    "rate": "rating",
    "read_lock": "folder",
    "read_run": "run",
    "recommend": "recommending",
    "score": "pair_score",
    "screen": "screening",
    "skips": "network_skips",
    "state_of": "state",
    "table_of_skips": "network_skips",
    "verify_sums": "folder",
    "write_scans": "scan_files",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever the package exports
    if name not in _HOMES:
        msg = f"module 'auditor.pipeline' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"auditor.pipeline.{_HOMES[name]}"), name)
