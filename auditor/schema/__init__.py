"""Every record that one step of an audit hands to the next, versioned.

Nothing here computes. `inputs` holds what an audit is made of (cases, systems, metrics, criteria),
`rows` what the execution stores per evaluation, `results` what the analysis writes to
``results.json`` and the report shows, `audited` what stands there beside the numbers. Records are
frozen; sequences are tuples; an undefined number is ``None`` together with a status, never NaN.
"""

from __future__ import annotations

from auditor.schema.audited import (
    AuditInfo,
    CaseRow,
    Condition,
    MetricInfo,
    StatusCount,
    StratumInfo,
    SystemRecord,
)
from auditor.schema.certificates import (
    CERTIFICATE_VERSION,
    CalibrationScan,
    Certificate,
    CertificateSpec,
)
from auditor.schema.claims import FailureSensitivity, Waiver
from auditor.schema.coverage import CoverageRow
from auditor.schema.decisions import Decision
from auditor.schema.difficulty import (
    Crossing,
    DifficultyAxis,
    DoseResponse,
    WindowCell,
    WindowDifference,
    WindowSweep,
    WindowUse,
)
from auditor.schema.encoding import decode, encode
from auditor.schema.estimates import Estimate
from auditor.schema.inputs import (
    LARGEST_LABEL,
    REFERENCE_RULES,
    CaseRecord,
    Certainty,
    Contract,
    ContractField,
    ContractStatus,
    CriterionSpec,
    Geometry,
    InputSpec,
    MetricSpec,
    OutputSpec,
    PerturbationSpec,
    ReferenceRule,
    Sensitivity,
    StratumSpec,
    SystemSpec,
    TrainingFacts,
    WindowSpec,
)
from auditor.schema.labels import ScoredLabel
from auditor.schema.rater_tests import (
    AnnotatorPosition,
    AnnotatorTest,
    RangeTest,
    RangeVerdict,
    WilliamsIndex,
)
from auditor.schema.raters import (
    RaterCase,
    RaterLabel,
    RaterResults,
    RaterSystem,
)
from auditor.schema.results import (
    RESULTS_VERSION,
    Comparison,
    ConformalBound,
    ControlRow,
    CriterionResult,
    ExhibitSelection,
    Headline,
    Results,
    Summary,
    Verdict,
    WorstCase,
)
from auditor.schema.rows import (
    CLEAN,
    CONTROLS,
    ROW_COLUMNS,
    SHARD_VERSION,
    Record,
    Region,
    Row,
    Status,
)

__all__ = [
    "CERTIFICATE_VERSION",
    "CLEAN",
    "CONTROLS",
    "LARGEST_LABEL",
    "REFERENCE_RULES",
    "RESULTS_VERSION",
    "ROW_COLUMNS",
    "SHARD_VERSION",
    "AnnotatorPosition",
    "AnnotatorTest",
    "AuditInfo",
    "CalibrationScan",
    "CaseRecord",
    "CaseRow",
    "Certainty",
    "Certificate",
    "CertificateSpec",
    "Comparison",
    "Condition",
    "ConformalBound",
    "Contract",
    "ContractField",
    "ContractStatus",
    "ControlRow",
    "CoverageRow",
    "CriterionResult",
    "CriterionSpec",
    "Crossing",
    "Decision",
    "DifficultyAxis",
    "DoseResponse",
    "Estimate",
    "ExhibitSelection",
    "FailureSensitivity",
    "Geometry",
    "Headline",
    "InputSpec",
    "MetricInfo",
    "MetricSpec",
    "OutputSpec",
    "PerturbationSpec",
    "RangeTest",
    "RangeVerdict",
    "RaterCase",
    "RaterLabel",
    "RaterResults",
    "RaterSystem",
    "Record",
    "ReferenceRule",
    "Region",
    "Results",
    "Row",
    "ScoredLabel",
    "Sensitivity",
    "Status",
    "StatusCount",
    "StratumInfo",
    "StratumSpec",
    "Summary",
    "SystemRecord",
    "SystemSpec",
    "TrainingFacts",
    "Verdict",
    "Waiver",
    "WilliamsIndex",
    "WindowCell",
    "WindowDifference",
    "WindowSpec",
    "WindowSweep",
    "WindowUse",
    "WorstCase",
    "decode",
    "encode",
]
