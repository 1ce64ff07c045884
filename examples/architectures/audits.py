"""Write the audits of the texture task, run them, and weigh the recipe.

Four runs over the same test pictures, which no network has seen:

- ``foreground`` and ``background``: every network that was trained in this direction, at every trained level,
  under that direction's blends: the train-by-test matrices.
- ``recipe``: the networks of the easy foreground blends under blends, speckle, noise and blur, from which the
  recipe for a stated mix is read.
- ``skips``: one U-Net and one attention-gated U-Net of the recipe with skip connections ablated, and how far
  their activations move, layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from textures import DIRECTIONS, draw_case, write_cohort
from training import FULL, TEST_SEED, TINY, Job, Recipe

__all__ = [
    "FULL_STUDY",
    "MIXES",
    "SMALL_STUDY",
    "TINY_STUDY",
    "Study",
    "audit_all",
    "jobs_of",
    "write_audits",
]

ARCHITECTURES = (
    "noskip_unet", "noskip_vnet", "unet", "vnet", "attention_unet", "unet_plus_plus",
    "unet_without_finest",
)  # fmt: skip
"""The six of the published tables, and the one that Wilm et al. found to be best."""
LEVELS = {"unet": (1, 2, 3), "attention_unet": (0, 1, 2, 3)}
"""Networks whose skips are ablated, and the levels that have one; the U-Net's first convolution halves."""
LABEL = "object"
SEED = 20230711

MIXES: dict[str, dict[str, float]] = {
    "a grainy detector": {
        "clean": 0.4, "gaussian_noise:2": 0.3, "gaussian_noise:4": 0.1, "kamath_speckle:1": 0.2,
    },
    "out of focus": {"clean": 0.5, "imagenet_c_gaussian_blur:1": 0.3, "imagenet_c_gaussian_blur:2": 0.2},
    "objects that fade into what surrounds them": {
        "clean": 0.3, "kamath_texture_blend_foreground:3": 0.4, "kamath_texture_blend_foreground:5": 0.3,
    },
}  # fmt: skip
"""Name -> condition and share: three sites, stated before any test picture was predicted."""


@dataclass(frozen=True, slots=True)
class Study:
    """How large the texture task is made."""

    recipe: Recipe
    architectures: tuple[str, ...] = ARCHITECTURES
    seeds: tuple[int, ...] = (1, 2, 3)
    """Training runs."""
    easy: float = 0.1
    """Level of blending in training, in both directions; the foreground's networks are those of the recipe."""
    hard: tuple[tuple[str, float], ...] = (("foreground", 0.7),)
    """Further trainings: direction and level."""
    severities: tuple[int, ...] = (1, 3, 5, 7, 9)
    """Tested tenths of blending."""
    patients: int = 40
    """Test pictures."""
    exhibits: int = 6


SMALL_STUDY = Study(Recipe())
"""Minutes on two cores."""
FULL_STUDY = Study(
    FULL,
    hard=tuple((direction, k / 10) for k in range(2, 10) for direction in DIRECTIONS),
    severities=tuple(range(1, 10)),
    patients=100,
)
"""The published 9 x 9 design, for a GPU."""
TINY_STUDY = Study(
    TINY, ("noskip_unet", "unet", "attention_unet"), (1,), hard=(), severities=(1, 9), patients=3,
    exhibits=0,
)  # fmt: skip
"""Seconds: to see that everything runs."""


def jobs_of(study: Study) -> list[Job]:
    """List every network of the study, one training run of all before the next."""
    return [
        Job(network, seed, direction, level)
        for seed in study.seeds
        for direction, level in (*((it, study.easy) for it in DIRECTIONS), *study.hard)
        for network in study.architectures
    ]


def write_audits(study: Study, folder: Path, trained: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write the test pictures and an audit.yaml of each run.

    Parameters
    ----------
    study : Study
    folder : holds the checkpoints in ``networks``
    trained : facts of the networks

    Returns
    -------
    Paths of the files, in the order in which they are run.
    """
    size, pair = study.recipe.size, study.recipe.pair
    cases = [draw_case(i, seed=TEST_SEED, size=size, pair=pair) for i in range(study.patients)]
    write_cohort(folder / "test", cases)
    easy = [it for it in trained if it["level"] == study.easy and it["direction"] == "foreground"]
    blends = {line: list(study.severities) for line in DIRECTIONS.values()}
    parts = {
        direction: _audit(
            direction,
            study,
            {it["name"]: _system(it) for it in trained if it["direction"] == direction},
            {line: {"severities": blends[line]}},
        )
        for direction, line in DIRECTIONS.items()
    }
    parts["recipe"] = _audit("recipe", study, {it["name"]: _system(it) for it in easy}, _noises())
    ablated = [
        next(it for it in easy if it["network"] == name)
        for name in LEVELS
        if name in study.architectures
    ]
    parts["skips"] = _audit(
        "skips", study, _ablated(ablated), _fewer(), strata={},
        layers={"systems": [it["name"] for it in ablated], "bins": 64},
    )  # fmt: skip
    paths = []
    for name, content in parts.items():
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False, width=100), encoding="utf-8")
        paths.append(path)
    return paths


def audit_all(paths: Iterable[Path], *, workers: int = 2) -> dict[str, Path]:
    """Run the audits, each in the folder beside its file that is named after it; finished units are kept.

    Returns
    -------
    Name -> folder of the run.
    """
    import auditor
    from reports.build import build

    folders = {}
    for path in paths:
        folder = path.parent / "runs" / path.stem
        print(f"audit {path.stem}", flush=True)
        auditor.audit(path, out=folder, workers=workers)
        build(folder)
        folders[path.stem] = folder
    return folders


def _audit(
    name: str,
    study: Study,
    systems: Mapping[str, Any],
    perturbations: Mapping[str, Any],
    **more: Any,  # noqa: ANN401 - further keys of audit.yaml
) -> dict[str, Any]:
    return {
        "audit": f"textures-{name}",
        "seed": SEED,
        "purpose": "exploratory",
        "cases": {"table": "test/cases.csv", "modality": "other", "state": "raw"},
        "systems": dict(systems),
        "perturbations": dict(perturbations),
        "metrics": {"dsc": {}},
        "strata": {"texture_disparity_compat": {"label": LABEL, "edges": "tertiles"}},
        "keep": {"predictions": False, "exhibits": study.exhibits},
        **more,
    }


def _system(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "checkpoint": f"networks/{facts['name']}.onnx",
        "input": {
            "channels": 1, "dims": 2, "layout": "channel_first", "scale_to": [0, 1], "divisor": [16, 16],
        },
        "output": {
            "activation": "logits_sigmoid", "labels": {LABEL: 1}, "layout": "channel_first",
        },
        "golden": f"networks/golden/{facts['name']}.csv",
        "family": facts["network"],
        "training_seed": facts["seed"],
        "architecture_group": facts["group"],
        "training": {"condition": {DIRECTIONS[facts["direction"]]: facts["level"]}},
    }  # fmt: skip


def _noises() -> dict[str, Any]:
    return {
        "kamath_texture_blend": {"severities": [3, 5]},
        "kamath_texture_blend_foreground": {"severities": [3, 5]},
        "kamath_speckle": {"severities": [1, 2]},
        "gaussian_noise": {"severities": [2, 4]},
        "imagenet_c_gaussian_blur": {"severities": [1, 2]},
    }


def _fewer() -> dict[str, Any]:
    return {
        "kamath_texture_blend_foreground": {"severities": [3, 5]},
        "kamath_speckle": {"severities": [1]},
        "gaussian_noise": {"severities": [4]},
    }


def _ablated(networks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Declare each network as it is, and with the skips of each level replaced in several ways."""
    found: dict[str, Any] = {}
    for facts in networks:
        name = facts["name"]
        found[name] = _system(facts)
        levels = LEVELS[facts["network"]]
        found[f"{name}-mean"] = {
            "like": name, "expand": {"ablate.skip": list(levels)}, "ablate": {"by": "mean"},
        }  # fmt: skip
        found[f"{name}-all"] = {"like": name, "ablate": {"skip": "all", "by": "mean"}}
        found[f"{name}-dose"] = {
            "like": name, "ablate": {"skip": levels[0], "by": "dose"},
            "expand": {"ablate.alpha": [0, 0.25, 0.5, 0.75, 1]},
        }  # fmt: skip
        found[f"{name}-noise"] = {
            "like": name, "expand": {"ablate.skip": list(levels)},
            "ablate": {"by": "noise", "sd": 1, "seed": 0},
        }  # fmt: skip
    return found
