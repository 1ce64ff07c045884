"""Cases that a command is handed as a table or a folder, before there is a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from auditor.cases import read_mask
from auditor.config import CasesConfig
from auditor.errors import DataError
from auditor.schema import CaseRecord

__all__ = ["label_numbers", "source_of"]


def source_of(data: Path) -> CasesConfig:
    """Say where the cases are.

    Parameters
    ----------
    data : a CSV table, or a folder in a layout that is recognised.

    Raises
    ------
    DataError
        When there is no such file or folder.
    """
    if not data.exists():
        msg = f"DATA must be a CSV table of cases or a folder, {data} does not exist"
        raise DataError(msg)
    path = data.resolve()
    return CasesConfig(
        modality="other",
        table=None if path.is_dir() else path,
        folder=path if path.is_dir() else None,
    )


def label_numbers(cases: Sequence[CaseRecord]) -> tuple[int, ...]:
    """Read the label numbers that the references and raters of some cases hold, sorted.

    Raises
    ------
    DataError
        When a mask cannot be read.
    """
    found: set[int] = set()
    for case in cases:
        for path in (*([case.reference] if case.reference else ()), *case.raters):
            found |= {int(number) for number in torch.unique(read_mask(path)[0])}
    return tuple(sorted(found - {0}))
