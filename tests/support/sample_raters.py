"""What raters would tell in an audit of a given size: numbers are drawn, records are made as in an audit."""

from __future__ import annotations

import numpy as np
from sample_numbers import LABEL, Size, mean_of, rounded

from auditor.analysis.annotator_test import annotator_test
from auditor.analysis.rater_agreement import within_rater_range
from auditor.analysis.raters import Draws, label_agreement, ranked
from auditor.analysis.williams import williams_index
from auditor.schema import CaseRow, RaterCase, RaterResults, RaterSystem

__all__ = ["raters_of"]

_MARGIN = 0.03


def raters_of(size: Size, cases: tuple[CaseRow, ...]) -> RaterResults:
    """Results of raters of these cases; of the first, one rater marked nothing."""
    rng = np.random.default_rng(8)
    found = []
    for place, row in enumerate(cases):
        empty = int(place == 0 and len(cases) > 1)
        dsc = rounded(rng.uniform(0.75, 0.95)) if not empty else 0.31
        volume = rounded(rng.uniform(1, 60))
        found.append(
            RaterCase(
                label=LABEL, case=row.case, patient=row.patient, raters=size.raters, empty=empty,
                dsc=dsc, assd=None if empty else rounded(rng.uniform(0.3, 1.4)), volume=volume,
                volume_range=rounded(0.1 * volume), volume_cv=0.06, ged=rounded(2 * (1 - dsc)),
                kappa=rounded(dsc - 0.01),
            )
        )  # fmt: skip
    return RaterResults(
        labels=(label_agreement(LABEL, found, Draws(0.95, 1)),),
        systems=tuple(
            _system(name, place, size, found, rng) for place, name in enumerate(size.systems)
        ),
        cases=ranked(found),
        volume_unit="ml",
        notes=("Agreement is no accuracy: raters may agree and be wrong together.",),
    )


def _system(
    name: str, place: int, size: Size, cases: list[RaterCase], rng: np.random.Generator
) -> RaterSystem:
    between = np.array([case.dsc or 0.0 for case in cases])
    own = np.clip(between + 0.01 - 0.05 * place + rng.normal(0, 0.02, len(cases)), 0, 1).round(6)
    test = within_rater_range(own - between, margin=_MARGIN, level=0.95, seed=1)
    index = williams_index(own, between, margin=_MARGIN, level=0.95, seed=1)
    others = np.tile(between[:, None], size.raters)
    mine = np.tile(own[:, None], size.raters)
    names = [f"rater_{number}" for number in range(1, size.raters + 1)]
    declared = place < 2  # of the third system nothing was declared, as far as the page can see
    return RaterSystem(
        system=name, label=LABEL, dsc=mean_of(own), between=mean_of(between),
        difference=test.difference, lower=test.lower, upper=test.upper,
        test=test if declared else None, williams=index.index,
        williams_test=index if declared else None, system_consensus=mean_of(own),
        rater_consensus=mean_of(between), consensus_difference=test.difference,
        consensus_test=test if declared else None,
        annotators=tuple(
            annotator_test(mine, others, least=0.5, level=0.95, names=it) for it in (None, names)
        ),
        scores=(("qubiq_dice", mean_of(own)), ("volume_crps", mean_of(1 - own))),
        points=tuple(
            (case.case, rounded(a), rounded(b))
            for case, a, b in zip(cases, between, own, strict=True)
        ),
    )  # fmt: skip
