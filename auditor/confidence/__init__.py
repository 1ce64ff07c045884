"""What the tests of a run say about scans that are not part of it."""

from auditor.confidence.axes import axes_of_run
from auditor.confidence.placement import BINS, axis_of, hidden_up_to, place, severity_bin

__all__ = ["BINS", "axes_of_run", "axis_of", "hidden_up_to", "place", "severity_bin"]
