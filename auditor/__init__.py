"""segaudit: a model-agnostic robustness auditor for image segmentation.

``import auditor`` is light: neither torch nor SimpleITK is imported before something is run.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# onnxruntime reports usage by default from version 1.29 on, and reads this only while it is being
# imported; every process of an audit inherits it from here.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from auditor.errors import (
        AuditError,
        CheckpointError,
        ConfigError,
        CriterionFailed,
        DataError,
        EvidenceInsufficient,
        IntegrityError,
        StoreError,
    )
    from auditor.pipeline import (
        PairScore,
        RatedScan,
        Run,
        TableOptions,
        ablated,
        analyse,
        audit,
        family_differences,
        rate,
        read_run,
        score,
        skips,
    )

__all__ = [
    "AuditError",
    "CheckpointError",
    "ConfigError",
    "CriterionFailed",
    "DataError",
    "EvidenceInsufficient",
    "IntegrityError",
    "PairScore",
    "RatedScan",
    "Run",
    "StoreError",
    "TableOptions",
    "ablated",
    "analyse",
    "audit",
    "family_differences",
    "rate",
    "read_run",
    "score",
    "skips",
]

_OF_THE_PIPELINE = (
    "PairScore", "RatedScan", "Run", "TableOptions", "ablated", "analyse", "audit", "family_differences",
    "rate", "read_run", "score", "skips",
)  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever the package exports
    if name not in __all__:
        msg = f"module 'auditor' has no attribute {name!r}"
        raise AttributeError(msg)
    home = "auditor.pipeline" if name in _OF_THE_PIPELINE else "auditor.errors"
    return getattr(importlib.import_module(home), name)
