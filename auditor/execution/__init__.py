"""Execution: units of the plan become stored rows, on one machine, resumable at any moment."""
