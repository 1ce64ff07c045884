"""Everything that segaudit raises on purpose, as one tree.

::

    AuditError                 exit 3   something this tool did wrong
    ├── ConfigError            exit 4   the configuration or the command line; every problem at once
    ├── DataError              exit 4   images, references, tables of cases
    ├── CheckpointError        exit 4   the file is no usable checkpoint, or its contract is wrong
    ├── StoreError             exit 3   the run's folder cannot be written or read
    ├── IntegrityError         exit 7   the folder holds something else than what is asked of it
    ├── NothingEvaluated       exit 5   no case, no criterion, or no result to judge
    ├── CriterionFailed        exit 1   a declared criterion is missed; an AssertionError
    └── EvidenceInsufficient   exit 6   a criterion cannot be decided; an AssertionError

What a user catches::

    try:
        run = auditor.audit("audit.yaml")
    except auditor.AuditError as error:
        print(error)  # what must be, what was, where, and how to mend it

Messages say *what must be, what was, where, and what to do*, and name no absolute path that a
report could repeat.
"""

from __future__ import annotations

from collections.abc import Sequence


class AuditError(Exception):
    """An error that segaudit raises on purpose; the base of all others."""

    exit_code = 3


class ConfigError(AuditError):
    """The configuration, or the way a command was called, is not usable."""

    exit_code = 4

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in self.problems)]))


class DataError(AuditError):
    """An image, a reference or a table of cases is not usable."""

    exit_code = 4

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in self.problems)]))


class CheckpointError(AuditError):
    """A file is no checkpoint that can be run, or does not do what its contract says."""

    exit_code = 4


class StoreError(AuditError):
    """The folder of a run cannot be written or read; what was stored before is kept."""

    exit_code = 3


class IntegrityError(AuditError):
    """A folder, a lock or a shard belongs to something else, or was changed afterwards."""

    exit_code = 7


class NothingEvaluated(AuditError):
    """There is nothing to judge: no cases, no criteria, or no stored result."""

    exit_code = 5


class CriterionFailed(AuditError, AssertionError):
    """A declared criterion is missed: its verdict is FAIL."""

    exit_code = 1


class EvidenceInsufficient(AuditError, AssertionError):
    """A declared criterion is neither met nor missed by the evidence at hand."""

    exit_code = 6
