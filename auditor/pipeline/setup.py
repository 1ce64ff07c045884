"""What the analysis must know beside the rows: strata, metrics, display names, stamps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditor.analysis import AnalysisSetup
from auditor.analysis.properties import properties
from auditor.config import AuditConfig
from auditor.config.decisions import decisions
from auditor.execution.job import Job
from auditor.metrics.catalog import metric_info
from auditor.pipeline.folder import Lock, tool_version
from auditor.pipeline.grouping import frozen_strata, system_windows
from auditor.schema import (
    AuditInfo,
    Geometry,
    NetworkFacts,
    SystemRecord,
)
from auditor.systems.intensity import ignores_scale
from perturbations import CATALOG

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["analysis_setup"]


def analysis_setup(
    job: Job,
    lock: Lock,
    systems: Sequence[SystemRecord],
    geometries: Sequence[Geometry],
    table: pa.Table,
    *,
    networks: Sequence[NetworkFacts] = (),
) -> AnalysisSetup:
    """Put together what `auditor.analysis.summarise` needs.

    Strata are read from the references of the clean scans, by the rule and the files that the lock
    froze before the first prediction.
    """
    config = job.config
    known = dict(zip((record.case for record in job.cases), geometries, strict=True))
    shown = {unit.case for unit in job.plan.units}
    cases = tuple(record for record in job.cases if record.case in shown)
    length_unit = geometries[0].unit
    ndim = len(geometries[0].shape)
    return AnalysisSetup(
        audit=AuditInfo(
            name=config.name,
            purpose=config.purpose,
            stamp=(
                "PRE-DECLARED"
                if config.purpose == "confirmatory" and lock.pre_declared
                else "EXPLORATORY"
            ),
            modality=config.cases.modality,
            state=config.cases.state,
            seed=config.seed,
            tool_version=tool_version(),
            plan_digest=job.plan.digest,
            config_digest=lock.config_digest,
            manifest_digest=lock.manifest_digest,
            preview=job.plan.preview,
            criteria_level=config.criteria_level,
            interval_level=config.interval_level,
            reference_rule=_reference_rule(job),
            length_unit=length_unit,
            excluded_patients=len(config.cases.excluded),
            excluded_digest=config.cases.excluded_digest,
            label_groups=config.label_groups,
        ),
        systems=tuple(systems),
        cases=cases,
        geometries=known,
        perturbations=config.perturbations,
        families={name: entry.family for name, entry in CATALOG.items()},
        stress_from={name: entry.stress_from for name, entry in CATALOG.items()},
        invariant=_invariant(config),
        labels=tuple(label.name for label in config.scored),
        metrics=tuple(metric_info(spec, length_unit, ndim=ndim) for spec in config.metrics),
        strata=frozen_strata(config, cases, geometries, properties(table), lock),
        criteria=config.criteria,
        alpha=config.alpha,
        delta=config.delta,
        exhibits=config.keep.exhibits,
        planned=job.plan.evaluations,
        rater_margin=config.rater_margin,
        decisions=decisions(config),
        response_margin=config.response_margin,
        response_floor=config.response_floor,
        windows=system_windows(config),
        networks=tuple(networks),
        layers=config.layers,
    )


def _invariant(config: AuditConfig) -> dict[str, tuple[str, ...]]:
    """Name the systems to which slope times x plus offset is the same scan.

    Those that standardise, or map the image's own range onto another; a fixed clip would tell.
    """
    systems = tuple(spec.name for spec in config.systems if ignores_scale(spec.input))
    affine = (spec.name for spec in config.perturbations if CATALOG[spec.name].affine)
    return dict.fromkeys(affine, systems)


def _reference_rule(job: Job) -> str:
    rule = job.config.cases.reference
    counts = sorted({len(record.raters) for record in job.cases})
    raters = f"{' to '.join(str(n) for n in (*counts[:1], *counts[1:][-1:]))} raters"
    ties = "" if rule.tie is None else f", ties {rule.tie.replace('_', ' ')}"
    told = {
        "majority": f"majority of {raters}{ties}",
        "staple": f"STAPLE of {raters}",
        "mean_over_raters": (
            f"mean over {raters} of each metric against each; pictures and groups of cases use their "
            f"majority{ties}"
        ),
    }
    return told.get(rule.use, rule.use.replace("_", " "))
