"""From stored rows to results.json: intervals, bounds, comparisons, verdicts.

Pure functions: what is not in the table of rows comes as one `AnalysisSetup`.
"""

from __future__ import annotations

from auditor.analysis.criteria import attainable, claim_text
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summary import summarise

__all__ = ["AnalysisSetup", "attainable", "claim_text", "summarise"]
