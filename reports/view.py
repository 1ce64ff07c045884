"""Results with the look-ups that several sections need; nothing is computed, only found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from auditor.schema import Condition, ConformalBound, MetricInfo, Response, Results, Summary
from auditor.schema.rows import CLEAN
from reports.document import Exhibit
from reports.svg import Mark, mark_of

ALL = "all"
"""Axis and stratum of a summary over all cases."""

Key = tuple[str, str, float, str, str, str, str]
"""(system, perturbation, severity, label, metric, axis, stratum)."""


@dataclass(frozen=True, slots=True)
class View:
    """What the sections read."""

    results: Results
    """All numbers."""
    provenance: Mapping[str, str]
    """Versions, dates, times; may be empty."""
    exhibits: Mapping[str, Exhibit]
    """By id; may be empty."""
    images: bool
    """Whether pixels are embedded."""
    marks: Mapping[str, Mark]
    """How each system is drawn."""
    index: Mapping[Key, Summary]
    """Summaries by what they are of."""
    grid: Mapping[tuple[str, float], Condition]
    """Conditions by perturbation and severity."""
    perturbations: tuple[str, ...]
    """Without clean, in the order of the results."""
    responses: Mapping[tuple[str, str, str], Response]
    """Responses by (system, perturbation, label)."""

    ablated: frozenset[str] = frozenset()
    """Systems of which something is ablated: the section on skip connections alone shows them."""

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the systems, in the order of the results, without those that are ablated."""
        return tuple(
            system.name for system in self.results.systems if system.name not in self.ablated
        )

    @property
    def single(self) -> bool:
        """Whether there is one patient only: values are shown, statements are not."""
        return len({case.patient for case in self.results.cases}) <= 1

    def metric(self, name: str) -> MetricInfo:
        """Look up a metric; an undeclared one is shown by its name alone."""
        for metric in self.results.metrics:
            if metric.name == name:
                return metric
        return MetricInfo(name, name.upper(), "", None, None, True, "", "", ())  # noqa: FBT003 -- the record's own order

    def severities(self, perturbation: str) -> tuple[float, ...]:
        """Severities of a perturbation, ascending, without 0."""
        return tuple(sorted(s for name, s in self.grid if name == perturbation))

    def curve(
        self, system: str, perturbation: str, label: str, metric: str
    ) -> tuple[tuple[float, Summary], ...]:
        """Summaries over all cases of one system from clean to the highest severity."""
        steps = [(CLEAN, 0.0)] + [(perturbation, s) for s in self.severities(perturbation)]
        found = [
            (severity, self.index.get((system, name, severity, label, metric, ALL, ALL)))
            for name, severity in steps
        ]
        return tuple((severity, summary) for severity, summary in found if summary is not None)

    def response(self, system: str, perturbation: str, label: str) -> Response | None:
        """Response of one system to one perturbation, of the metric that responses are about."""
        return self.responses.get((system, perturbation, label))

    def bounds(self, perturbation: str, label: str) -> tuple[ConformalBound, ...]:
        """Conformal bounds of one perturbation and of clean, by system and severity."""
        rows = [
            row
            for row in self.results.conformal
            if row.label == label and row.perturbation in {perturbation, CLEAN}
        ]
        order = {name: place for place, name in enumerate(self.systems)}
        return tuple(sorted(rows, key=lambda row: (order.get(row.system, 99), row.severity)))


def view_of(
    results: Results,
    provenance: Mapping[str, str],
    exhibits: Mapping[str, Exhibit],
    *,
    images: bool,
) -> View:
    """Index results for the sections.

    Of a geometric condition both regions may be stored; the retained one, what stayed inside the
    field of view, is the row that is shown. Rows of ablated systems are left out: they explain a network,
    and would stand among systems that somebody may use.
    """
    ablated = frozenset(it.name for it in results.systems if it.ablation is not None)
    if ablated:
        results = replace(
            results,
            summaries=tuple(it for it in results.summaries if it.system not in ablated),
            failure_types=tuple(it for it in results.failure_types if it.system not in ablated),
        )
    index: dict[Key, Summary] = {}
    for row in results.summaries:
        key = (
            *(row.system, row.perturbation, row.severity),
            *(row.label, row.metric, row.axis, row.stratum),
        )
        if key not in index or row.region == "retained":
            index[key] = row
    grid = {(c.perturbation, c.severity): c for c in results.conditions}
    names = dict.fromkeys(c.perturbation for c in results.conditions if c.perturbation != CLEAN)
    return View(
        results=results,
        provenance=provenance,
        exhibits=exhibits,
        images=images,
        marks={
            system.name: mark_of(place)
            for place, system in enumerate(
                sorted(results.systems, key=lambda it: it.name in ablated)
            )
        },
        index=index,
        grid=grid,
        perturbations=tuple(names),
        responses={(it.system, it.perturbation, it.label): it for it in results.responses},
        ablated=ablated,
    )
