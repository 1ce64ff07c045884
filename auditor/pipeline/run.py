"""A finished run, as Python sees it: results, bounds, assertions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from auditor.errors import (
    ConfigError,
    CriterionFailed,
    DataError,
    EvidenceInsufficient,
    IntegrityError,
)
from auditor.schema import CLEAN, Estimate, Results, Summary, Verdict, decode

__all__ = ["BoundMethod", "Run", "exit_code_of", "read_run"]

BoundMethod = Literal["phantom", "betting", "hoeffding"]
"""How the mean is bounded."""


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a run and what is in its ``results.json``."""

    folder: Path
    results: Results

    def bound(
        self,
        metric: str,
        *,
        system: str | None = None,
        label: str | None = None,
        perturbation: str = CLEAN,
        severity: float = 0.0,
        stratum: tuple[str, str] = ("all", "all"),
        method: BoundMethod = "phantom",
    ) -> Estimate:
        """Return the one-sided lower bound of the mean of a metric in [0, 1].

        Parameters
        ----------
        metric : str
            Name of the metric.
        system, label : str, optional
            May be left out when the audit has only one, ablated systems apart.
        perturbation, severity
            The condition; the clean scans by default.
        stratum : (axis, name)
            All cases by default.
        method : ``phantom``, ``betting`` or ``hoeffding``
            The phantom-zero bound, whose validity beyond zeros and ones is a conjecture; or a proven and wider
            one, which is stored for all cases only.

        Returns
        -------
        Estimate
            The bound with its n, level, method and status; its value is None when there are too
            few patients, and `note` says how many it takes.

        Raises
        ------
        ConfigError
            When the choice is ambiguous or unknown; lists the choices.
        """
        if method not in get_args(BoundMethod):
            listed = ", ".join(get_args(BoundMethod))
            msg = f"method of a bound must be one of {listed}, got {method!r}"
            raise ConfigError(msg)
        used = {it.name for it in self.results.systems if it.ablation is None}
        found = [
            summary
            for summary in self.results.summaries
            if summary.metric == metric
            and (summary.perturbation, summary.severity) == (perturbation, severity)
            and (summary.axis, summary.stratum) == stratum
            and (summary.system in used if system is None else summary.system == system)
            and label in (None, summary.label)
        ]
        # a geometric condition is summarised twice; what stayed in the field of view comes first
        retained = [summary for summary in found if summary.region == "retained"]
        found = retained or found
        if len(found) == 1:
            return _bound_by(method, found[0])
        raise ConfigError(_ambiguous(found, self.results, metric, perturbation, severity))

    def assert_meets(self, criterion: str) -> None:
        """Raise unless a declared criterion is met.

        Raises
        ------
        CriterionFailed
            When its verdict is FAIL.
        EvidenceInsufficient
            When it is neither met nor missed.
        ConfigError
            When the audit has no such criterion.
        """
        known = {result.id: result for result in self.results.criteria}
        if criterion not in known:
            listed = ", ".join(known) or "(none declared)"
            msg = f"criterion must be one of {listed}, got {criterion!r}"
            raise ConfigError(msg)
        result = known[criterion]
        if result.verdict in (Verdict.PASS, Verdict.PASS_CONDITIONAL, Verdict.WAIVED):
            return
        message = f"{criterion}: {result.verdict.value}. {result.text} {result.change}"
        if result.verdict is Verdict.FAIL:
            raise CriterionFailed(message)
        raise EvidenceInsufficient(message)


def read_run(folder: Path) -> Run:
    """Read a finished run.

    Raises
    ------
    DataError
        When the folder holds no results.
    IntegrityError
        When its results.json is of another version or was damaged.
    """
    path = folder / "results.json"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = (
            f"{folder.name} must be the folder of a finished run; it holds no results.json. "
            "Run `segaudit run` with this folder to finish it"
        )
        raise DataError(msg) from error
    try:
        return Run(folder, decode(text, Results))
    except ValueError as error:
        msg = f"results.json of {folder.name} cannot be used: {error}"
        raise IntegrityError(msg) from error


def exit_code_of(results: Results) -> int:
    """Map the verdicts of a run to the exit status of ``segaudit gate``.

    Returns
    -------
    int
        5 nothing evaluated or no criteria; 1 a required criterion fails; 6 a required one is
        undecided; 0 all required criteria are met.
    """
    required = [result for result in results.criteria if result.required]
    evaluated = sum(count.n for count in results.statuses)
    if not required or evaluated == 0:
        return 5
    verdicts = {result.verdict for result in required}
    if Verdict.FAIL in verdicts:
        return CriterionFailed.exit_code
    met = {Verdict.PASS, Verdict.PASS_CONDITIONAL, Verdict.WAIVED}
    return 0 if verdicts <= met else EvidenceInsufficient.exit_code


def _bound_by(method: BoundMethod, found: Summary) -> Estimate:
    """Choose the bound of a mean by its method."""
    if method == "phantom" or found.lower.value is None:
        return found.lower
    for bound in found.proven:
        if bound.method.lower().startswith(method):
            return bound
    note = "proven bounds are stored for all cases, not for groups of them"
    return Estimate(None, found.lower.n, "none", status="not_assessable", note=note)


def _ambiguous(
    found: list[Summary], results: Results, metric: str, perturbation: str, severity: float
) -> str:
    if found:
        choices = sorted({(summary.system, summary.label) for summary in found})
        listed = ", ".join(f"system={a!r} label={b!r}" for a, b in choices)
        return f"bound needs one system and one label; this audit has {listed}"
    conditions = sorted({(it.perturbation, it.severity) for it in results.conditions})
    listed = ", ".join(f"{name} {level:g}" for name, level in conditions[:12])
    metrics = ", ".join(info.name for info in results.metrics)
    return (
        f"this audit has no {metric!r} under {perturbation!r} at severity {severity:g} for that "
        f"choice; metrics: {metrics}; conditions: {listed}"
    )
