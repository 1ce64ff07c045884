"""The parts of the report, each a function from a `View` to records of `reports.document`."""
