"""Everything that the analysis must know and that is not in the table of rows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import bootstrap_weights, seed_of
from auditor.schema import (
    AuditInfo,
    CaseRecord,
    CriterionSpec,
    Decision,
    Geometry,
    LayerSpec,
    MeasuredElsewhere,
    MetricInfo,
    NetworkFacts,
    PerturbationSpec,
    SystemRecord,
)
from auditor.strata.assign import FrozenStratum

__all__ = ["AnalysisSetup"]


@dataclass(frozen=True)
class AnalysisSetup:
    """One audit, as declared and as found before the first prediction."""

    audit: AuditInfo
    """Name, purpose, digests, levels."""
    systems: tuple[SystemRecord, ...]
    """In the order of the configuration; their counts of statuses are filled in here."""
    cases: tuple[CaseRecord, ...]
    """In the order of their display ids."""
    geometries: Mapping[str, Geometry]
    """Case -> its grid."""
    perturbations: tuple[PerturbationSpec, ...]
    """Planned, without `clean`."""
    families: Mapping[str, str]
    """Perturbation -> its family."""
    labels: tuple[str, ...]
    """Audited labels."""
    metrics: tuple[MetricInfo, ...]
    """Declared metrics."""
    strata: tuple[FrozenStratum, ...]
    """Frozen groups of cases."""
    criteria: tuple[CriterionSpec, ...]
    """Declared claims."""
    alpha: float
    """Conformal bounds."""
    delta: float
    """PAC bounds."""
    exhibits: int
    """At most so many."""
    planned: int
    """Evaluations of the audited systems."""
    stress_from: Mapping[str, int] = field(default_factory=dict)
    """Perturbation -> its first severity beyond what is seen in practice; 4 where it is not named."""
    decisions: tuple[Decision, ...] = ()
    """Every choice behind the numbers, and who made it."""
    rater_margin: float | None = None
    """DSC by which a system may agree less with raters than they do with each other; None: not declared."""
    response_margin: float | None = None
    """Largest mean drop of the main metric from clean that counts as none; None: not declared."""
    response_floor: float | None = None
    """Smallest mean of the main metric that is enough; None: not declared."""
    invariant: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Perturbation -> systems whose own normalisation takes it away where no background is masked."""
    windows: Mapping[str, str] = field(default_factory=dict)
    """System -> name of the property that holds the share of foreground in its windows; systems that run
    outside, in windows of their own, are not in it."""
    measured: MeasuredElsewhere | None = None
    """How a table of measurements was read; None: the systems ran here."""
    networks: tuple[NetworkFacts, ...] = ()
    """Skip connections of the networks of which a system is ablated."""
    layers: LayerSpec | None = None
    """Whose activations are compared under perturbations; None: nobody's."""

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Case names, in order."""
        return tuple(record.case for record in self.cases)

    @functools.cached_property
    def ablated(self) -> frozenset[str]:
        """Names of the systems of which something is ablated."""
        return frozenset(it.name for it in self.systems if it.ablation is not None)

    @functools.cached_property
    def as_used(self) -> AnalysisSetup:
        """The same audit without its ablated systems, which nobody uses."""
        if not self.ablated:
            return self
        return replace(self, systems=tuple(it for it in self.systems if it.ablation is None))

    @functools.cached_property
    def patient_numbers(self) -> NDArray[np.intp]:
        """Number of each case's patient, in the order of first appearance."""
        known: dict[str, int] = {}
        return np.array(
            [known.setdefault(it.patient, len(known)) for it in self.cases], dtype=np.intp
        )

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len({record.patient for record in self.cases})

    @property
    def display(self) -> dict[str, str]:
        """Case -> display id."""
        return {record.case: record.display_case for record in self.cases}

    def metric(self, name: str) -> MetricInfo:
        """Return a declared metric.

        Raises
        ------
        KeyError
            When it is not declared.
        """
        return {info.name: info for info in self.metrics}[name]

    def seed(self, *parts: object) -> int:
        """Seed of a draw, from the audit's seed and what is estimated."""
        return seed_of(self.audit.seed, *parts)

    def weights(self, n: int) -> NDArray[np.float64]:
        """Resampling weights of n patients; the same ones for every number of those patients."""
        return bootstrap_weights(n, self.seed("bootstrap"))
