"""One unit of the plan: perturb the scan once, run every system whose shard is missing, store.

Nothing here depends on which worker runs the unit, on what it ran before, or on how often it was
interrupted: the draw comes from the unit's seed, batches never cross units, and what is remembered
between units (the open systems, the case, the predictions of its clean scan) is only kept to save
time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from torch import Tensor

from auditor.cases import LoadedCase, load_case, write_mask
from auditor.errors import AuditError, IntegrityError
from auditor.execution.averaging import MeanScorer
from auditor.execution.calibration import Calibrator
from auditor.execution.clean_masks import CleanMasks
from auditor.execution.controls import clean_controls, otsu_mask, warped_reference
from auditor.execution.job import ConditionRow, Job, failed_rows
from auditor.execution.layers import LayerComparer
from auditor.execution.open_systems import OpenSystems
from auditor.execution.perturbed import Scanned, evaluation, moved, perturb
from auditor.execution.rater_rows import RaterPanel, disagreements
from auditor.execution.scoring import Scorer
from auditor.execution.store import has_shard, write_shard
from auditor.plan import Unit, scan_name
from auditor.schema import CLEAN, CONTROLS, Record, Row, Status, SystemSpec
from auditor.strata.foreground import foreground_ratio
from auditor.strata.measure import case_properties
from auditor.strata.raters import RaterDisagreement
from auditor.strata.window_rules import window_rules
from auditor.systems.closing import Closing
from auditor.systems.decision import decide
from auditor.systems.runners import CallableSystem
from auditor.systems.running import Asked, Failure, Prediction, System
from perturbations import CATALOG, effect, estimate

__all__ = ["Callables", "UnitRunner"]

Callables = Mapping[str, CallableSystem]
"""Systems that are Python callables, by name; they run in this process, outside the sandbox."""


class UnitRunner(Closing):
    """Runs units one after the other and keeps what the next one is likely to need."""

    def __init__(self, job: Job, *, callables: Callables | None = None) -> None:
        self._job = job
        self._specs = {spec.name: spec for spec in job.config.systems}
        self._systems = OpenSystems(job, callables or {})
        self._case: LoadedCase | None = None
        self._scorer: Scorer | MeanScorer | None = None
        self._panel: RaterPanel | None = None
        self._apart: Mapping[str, RaterDisagreement] | None = None
        self._clean = CleanMasks()
        self._calibrator = Calibrator(job.config)
        self._layers = LayerComparer(job.config)

    def close(self) -> None:
        """End every child process."""
        self._systems.close()

    def run(self, unit: Unit) -> int:
        """Store every shard of the unit that is missing.

        Returns
        -------
        int
            Number of shards written.

        Raises
        ------
        StoreError
            When the disk is full or the folder cannot be written.
        """
        missing = [(name, key) for name, key in unit.shards if not has_shard(self._job.run, key)]
        if not missing:
            return 0
        try:
            case = self.load(unit.case)
        except AuditError as error:
            for name, key in missing:
                rows = failed_rows(self._job, unit, name, Status.FAILED, str(error).splitlines()[0])
                write_shard(self._job.run, key, rows)
            return len(missing)
        scanned = perturb(unit, case.scan)
        for name, key in missing:
            rows = (
                self._control_rows(unit, case, scanned)
                if name == CONTROLS
                else self._system_rows(unit, case, self._specs[name], scanned)
            )
            write_shard(self._job.run, key, rows)
        return len(missing)

    def load(self, name: str) -> LoadedCase:
        """Load a case, or return it when it is the one loaded last.

        Raises
        ------
        DataError
            When a file cannot be read any more.
        """
        if self._case is None or self._case.record.case != name:
            self._case, self._scorer, self._panel, self._apart = None, None, None, None
            case = self._loaded(name)
            self._scorer = self._prepared(case)
            self._case = case
        return self._case

    def _prepared(self, case: LoadedCase) -> Scorer | MeanScorer:
        config = self._job.config

        def against(mask: Tensor) -> Scorer:
            return Scorer.of(mask, case.geometry, labels=config.scored, metrics=config.metrics)

        if config.cases.reference.use == "mean_over_raters":
            return MeanScorer(tuple(against(mask) for mask in case.raters.values()))
        return against(case.references["reference"])

    def _raters(self, unit: Unit, case: LoadedCase) -> RaterPanel | None:
        """Prepare the raters of a clean scan; they saw no other."""
        if unit.perturbation.name != CLEAN:
            return None
        if self._panel is None:
            config = self._job.config
            tie = config.cases.reference.tie
            self._panel = RaterPanel.of(case, labels=config.scored, tie=tie)
        return self._panel

    def system(self, name: str) -> System:
        """Return a running system, starting it when needed."""
        return self._systems.get(name)

    def clean_labels(self, name: str, case: LoadedCase) -> Tensor | None:
        """Return the system's mask of the clean scan of a case; None when it fails there."""
        key = (name, case.record.case)
        if key not in self._clean:
            asked = [
                Asked(case.record.case, scan=scan_name(self._clean_unit(case.record.case), 0.0))
            ]
            outcome = self.system(name).predict([case.scan.image], case.geometry, asked=asked)[0]
            self._clean.put(key, outcome.labels if isinstance(outcome, Prediction) else None)
        return self._clean.get(key)

    def _again(self, name: str, case: LoadedCase, image: Tensor) -> Prediction | Failure:
        """Ask a system that runs for one more image of a case."""
        asked = [Asked(case.record.case)]
        return self.system(name).predict([image], case.geometry, asked=asked)[0]

    def _clean_unit(self, case: str) -> Unit:
        return next(
            unit
            for unit in self._job.plan.units
            if (unit.case, unit.perturbation.name) == (case, CLEAN)
        )

    def _loaded(self, name: str) -> LoadedCase:
        cases = self._job.config.cases
        return load_case(
            self._job.record(name),
            modality=cases.modality,
            state=cases.state,
            labels=self._job.config.labels,
            reference_rule=cases.reference,
        )

    def _template(self, unit: Unit, system: str, condition: ConditionRow) -> Row:
        return Row(
            record=Record.EVALUATION.value,
            system=system,
            case=unit.case,
            patient=self._job.record(unit.case).patient,
            perturbation=unit.perturbation.name,
            severity=condition.severity,
            level=condition.level,
            unit=unit.perturbation.unit,
            replicate=unit.replicate,
            status=Status.OK.value,
            reference="reference",
        )

    def _system_rows(
        self, unit: Unit, case: LoadedCase, spec: SystemSpec, scanned: list[Scanned]
    ) -> list[Row]:
        scorer = self._scorer
        assert scorer is not None  # set together with the case by load()
        usable = [item for item in scanned if item.status is Status.OK]
        predicted, spent = self._predict(unit, spec, case, usable)
        outcomes = dict(zip(map(id, usable), predicted, strict=True))
        seconds = spent / max(1, len(usable))
        rows: list[Row] = []
        # also where there is no warp, because nothing was lost or there is no scan
        geometric = unit.perturbation.name != CLEAN and CATALOG[unit.perturbation.name].geometric
        raters = self._raters(unit, case)
        for item in scanned:
            template = self._template(unit, spec.name, item.condition)
            outcome = outcomes.get(id(item), Failure(item.status, item.reason))
            rows += self._calibrator.rows(
                template,
                item.scan,
                outcome,
                reference=case.references["reference"],
                output=spec.output,
                predict=partial(self._again, spec.name, case),
            )
            if isinstance(outcome, Failure):
                rows += scorer.failed(
                    template,
                    outcome.status,
                    outcome.reason,
                    geometric=geometric,
                    output=spec.output,
                )
                if raters is not None:
                    rows += raters.failed(
                        template, outcome.status, outcome.reason, output=spec.output
                    )
                continue
            probabilities, labels = outcome.probabilities, outcome.labels
            if item.warp is not None:
                scores = item.warp.pull_back(outcome.scores)
                probabilities = scores[scores.shape[0] - len(spec.output.labels) :]
                labels = decide(scores, spec.output)
            if self._job.config.keep.predictions:
                self._keep(unit, spec.name, item, labels, case)
            is_clean = unit.perturbation.name == CLEAN
            if is_clean:
                self._clean.put((spec.name, unit.case), labels)
            rows += scorer.rows(
                labels,
                template=template,
                output=spec.output,
                probabilities=probabilities,
                clean=labels if is_clean else self.clean_labels(spec.name, case),
                warp=item.warp,
                seconds=seconds,
            )
            if raters is not None:
                rows += raters.rows(
                    labels, template=template, output=spec.output, probabilities=probabilities
                )
        rows += self._layers.rows(
            partial(self.system, spec.name),
            case,
            [
                (self._template(unit, spec.name, item.condition), item, outcomes.get(id(item)))
                for item in scanned
            ],
            lambda: self._loaded(unit.other) if unit.other else None,
        )
        return rows

    def _keep(
        self, unit: Unit, system: str, item: Scanned, labels: Tensor, case: LoadedCase
    ) -> None:
        """Write one predicted mask, before the shard that says it exists."""
        condition = unit.perturbation.name
        if condition != CLEAN:
            condition += f"_{item.condition.severity:g}"
        if unit.replicate:
            condition += f"_{unit.replicate}"
        name = f"{self._job.record(unit.case).display_case}_{condition}.nii.gz"
        write_mask(self._job.run / "predictions" / system / name, labels, case.geometry)

    def _predict(
        self, unit: Unit, spec: SystemSpec, case: LoadedCase, usable: list[Scanned]
    ) -> tuple[list[Prediction | Failure], float]:
        """Predict what is usable; seconds do not hold the start of a system."""
        if not usable:
            return [], 0.0
        try:
            system = self.system(spec.name)
        except IntegrityError:
            raise  # rows of another system must not stand under this one's name
        except AuditError as error:
            reason = str(error).splitlines()[0]
            return [Failure(Status.FAILED, reason) for _ in usable], 0.0
        images = [item.scan.image for item in usable]
        asked = [evaluation(unit, item) for item in usable]
        started = time.perf_counter()
        predicted = system.predict(images, case.geometry, asked=asked)
        return predicted, time.perf_counter() - started

    def _control_rows(self, unit: Unit, case: LoadedCase, scanned: list[Scanned]) -> list[Row]:
        scorer = self._scorer
        assert scorer is not None  # set together with the case by load()
        labels = self._job.config.labels
        rows: list[Row] = []
        for item in scanned:
            template = self._template(unit, CONTROLS, item.condition)
            masks: dict[str, Tensor] = {}
            ceiling = None
            if item.status is Status.OK:
                if unit.perturbation.name == CLEAN:
                    masks = clean_controls(case, self._other(unit), labels)
                elif item.warp is not None:
                    ceiling = warped_reference(case.references["reference"], item.warp, labels)
                    masks = {"control:reference": ceiling}
                else:
                    masks = {"control:otsu": otsu_mask(item.scan.image, labels)}
            for name, mask in masks.items():
                rows += scorer.rows(mask, template=replace(template, system=name), warp=item.warp)
            rows += self._scan_rows(template, case, item, rows)
            raters = self._raters(unit, case)
            if raters is not None:
                rows += raters.control_rows(template)
                rows += raters.property_rows(template, self._disagreement(case))
            if unit.perturbation.name == CLEAN:
                rows += self._property_rows(template, case)
        return rows

    def _scan_rows(
        self, template: Row, case: LoadedCase, item: Scanned, scored: list[Row]
    ) -> list[Row]:
        # under a warp the foreground has moved away from its region
        clean = replace(case.scan, region=None) if moved(item.warp) else case.scan
        measured = effect.measure(clean, item.scan.image)
        name = template.perturbation
        common = replace(
            template,
            record=Record.SCAN.value,
            reference=None,
            status=item.status.value,
            reason=item.reason,
            nrmse=measured.nrmse,
            psnr=measured.psnr,
            ssim=measured.ssim,
            contrast_to_noise=measured.contrast_to_noise,
            s_ref=case.scan.s_ref,
            facts=item.facts,
            native_level=None if name == CLEAN else estimate.estimate_level(name, case.scan),
            estimated_level=None if name == CLEAN else estimate.estimate_level(name, item.scan),
            estimated_noise=estimate.estimate_noise(item.scan),
            estimated_blur=estimate.estimate_blur(item.scan),
            estimated_bias=estimate.estimate_bias(item.scan),
        )
        rows = []
        for label in self._job.config.scored:
            reference = label.mask(case.references["reference"])
            disagreement = self._disagreement(case)[label.name]
            rows.append(
                replace(
                    common,
                    label=label.name,
                    foreground_ratio=foreground_ratio(reference),
                    rater_assd=disagreement.assd,
                    rater_dsc=disagreement.dsc,
                    warp_ceiling=_ceiling(scored, template, label.name) if item.warp else None,
                )
            )
        return rows

    def _disagreement(self, case: LoadedCase) -> Mapping[str, RaterDisagreement]:
        """Compare the raters of a case once: no perturbation changes what they drew."""
        if self._apart is None:
            self._apart = disagreements(case, self._job.config.scored)
        return self._apart

    def _property_rows(self, template: Row, case: LoadedCase) -> list[Row]:
        """Measure what groups and difficulty are read from, once for all systems."""
        config = self._job.config
        found = case_properties(
            case.scan.image,
            {label.name: label.mask(case.references["reference"]) for label in config.scored},
            case.geometry,
            window_rules(config.systems, config.strata),
        )
        return [
            replace(
                template,
                record=Record.PROPERTY.value,
                reference=None,
                metric=it.name,
                label=it.label,
                value=it.value,
                status=it.status.value,
                reason=it.reason,
                facts=it.facts,
            )
            for it in found
        ]

    def _other(self, unit: Unit) -> Tensor | None:
        if not unit.other:
            return None
        try:
            return self._loaded(unit.other).references["reference"]
        except AuditError:
            return None  # reported where that case itself is evaluated


def _ceiling(rows: list[Row], template: Row, label: str) -> float | None:
    """DSC of the warped reference at this condition, retained region."""
    for row in rows:
        same = (row.system, row.severity, row.label, row.metric, row.region) == (
            "control:reference", template.severity, label, "dsc", "retained",
        )  # fmt: skip
        if same:
            return row.value
    return None
