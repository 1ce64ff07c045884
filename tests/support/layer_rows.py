"""Rows of layers drawn from a law: activations move by known amounts, and patients differ by known ones.

Of layer k under severity s: distance .02 (k + 1) s in the encoder (k = 0, 1), and .01 s behind; between
patients .05 everywhere. Layer 2 has one activation a channel.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from rows_tables import NOISE, Cohort, setup_of

from auditor.analysis import AnalysisSetup
from auditor.schema import LayerSpec, Row

VOXELS = (4096, 512, 1, 4096)
NAMES = ("conv#1", "down#2", "pool#3", "last#4")


def cohort(patients: int = 12, *, cases: int = 1, replicates: int = 1) -> Cohort:
    return Cohort(
        patients=patients,
        cases_per_patient=cases,
        systems=("net",),
        perturbations=(NOISE,),
        replicates=replicates,
    )


def distance(layer: int, severity: float, patient: int) -> float:
    """Return what a scan moves; patients differ by up to a fifth of it."""
    slope = (0.02, 0.04, 0.0, 0.01)[layer]
    return slope * severity * (1 + 0.2 * ((patient * 7) % 11 - 5) / 5)


def facts(layer: int, **changes: object) -> str:
    known = {
        "place": layer,
        "name": NAMES[layer],
        "operator": "conv2d",
        "resolution": [64, 64] if VOXELS[layer] > 1 else [1, 1],
        "channels": 4,
        "voxels": VOXELS[layer],
    }
    return json.dumps({**known, **changes})


def layer_rows(made: Cohort, change: Callable[[Row], Row] = lambda row: row) -> list[Row]:
    """Draw the rows of every case, condition and layer."""
    rows = []
    for record in made.cases:
        patient = int(record.patient.removeprefix("person_"))
        template = Row(
            "layer", "net", record.case, record.patient, "clean", 0.0, None, "", 0, "ok",
            metric="layer_between",
        )  # fmt: skip
        for layer in range(len(NAMES)):
            usual = 0.05 * (1 + 0.1 * (patient % 3 - 1))
            rows.append(replace(template, value=usual, facts=facts(layer)))
            for severity, level in zip(NOISE.severities, NOISE.levels, strict=True):
                for replicate in range(made.replicates):
                    rows.append(
                        replace(
                            template,
                            perturbation=NOISE.name,
                            severity=severity,
                            level=level,
                            unit=NOISE.unit,
                            replicate=replicate,
                            metric="layer_distance",
                            value=distance(layer, severity, patient) + 0.01 * replicate,
                            facts=facts(layer),
                        )
                    )
    return [change(row) for row in rows]


def layer_setup(made: Cohort, bins: int = 64) -> AnalysisSetup:
    return replace(setup_of(made), layers=LayerSpec(("net",), bins))


def mean(layer: int, severity: float, patients: int = 12) -> float:
    return float(np.mean([distance(layer, severity, patient) for patient in range(patients)]))
