"""A study of trained and tested levels that takes seconds: thresholds as networks, on written scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from volumes import box, write_table, write_volume

SHAPE = (4, 24, 28)
LOW, HIGH = (1, 6, 8), (3, 16, 20)
OBJECT, AROUND = 200.0, 100.0
PATIENTS = 10
EASY, HARD = 0.1, 0.9
BACKGROUND, FOREGROUND = "kamath_texture_blend", "kamath_texture_blend_foreground"

NETS: Sequence[tuple[str, int, float, float]] = [
    # family, training seed, trained at, threshold
    *(("low", seed, EASY, 118.0 + 2 * seed) for seed in (1, 2, 3)),
    *(("high", seed, EASY, 166.0 + 2 * seed) for seed in (1, 2, 3)),
    ("low", 1, HARD, 104.0),
    ("high", 1, HARD, 150.0),
]
GROUPS = {"low": "no_skip", "high": "enhanced"}


def write_study(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write scans; return the configuration; `changes` replace its keys.

    The object is 200 and what surrounds it 100, both with a noise of 4. Of an object blended by a, 200 - 100 a
    is left: a threshold of 120 loses it from a = .8 on, one of 168 from .3 on. Surroundings that are blended
    by a rise to 100 + 100 a, and all thresholds take them for the object at .9.
    """
    inside = box(LOW, HIGH, shape=SHAPE).astype(bool)
    rows = []
    for number in range(PATIENTS):
        noise = np.random.default_rng(number).normal(0, 4, SHAPE)
        noise[inside] *= 1 - number / (2 * PATIENTS)  # textures that differ more and more
        values = (np.where(inside, OBJECT, AROUND) + noise).astype(np.float32)
        image = write_volume(folder / f"scan{number:02d}.nii.gz", values)
        mask = write_volume(folder / f"mask{number:02d}.nii.gz", inside.astype(np.uint8))
        rows.append(
            {
                "case": f"case-{number:02d}", "patient": f"p{number:02d}",
                "image": str(image), "reference": str(mask),
            }
        )  # fmt: skip
    table = write_table(folder / "cases.csv", rows)
    systems = {}
    for family, seed, trained, _ in NETS:
        name = f"{family}-{trained:g}-{seed}"
        systems[name] = {
            "input": {"dims": 3, "channels": 1, "axes": "native", "layout": "channel_first"},
            "output": {
                "activation": "sigmoid", "labels": {"organ": 1}, "layout": "channel_first",
            },
            "family": family,
            "training_seed": seed,
            "architecture_group": GROUPS[family],
            "training": {"condition": {FOREGROUND: trained}},
            "contract_sensitivity": False,
        }  # fmt: skip
    return {
        "audit": "blends",
        "seed": 5,
        "purpose": "exploratory",
        "cases": {"table": str(table), "modality": "mr"},
        "systems": systems,
        "perturbations": {
            FOREGROUND: {"levels": [EASY, HARD]},
            BACKGROUND: {"levels": [HARD]},
        },
        "metrics": {"dsc": {}},
        "strata": {"texture_disparity_compat": {"label": "organ", "edges": "tertiles"}},
        "keep": {"exhibits": 0},
        **changes,
    }


def thresholds() -> dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]]:
    """Return the networks as callables, which need no process of their own."""

    def passing(
        name: str, threshold: float
    ) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        def call(image: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray(1.0 / (1.0 + np.exp(np.clip(threshold - image, -50, 50))))

        call.__qualname__ = name  # callables are told apart by it
        return call

    return {
        (name := f"{family}-{trained:g}-{seed}"): passing(name, threshold)
        for family, seed, trained, threshold in NETS
    }
