"""What can happen to a scan between the patient and the model.

Graded, physical, reproducible operations on tensors; they know no model, no file and no report::

    import perturbations

    noisy = perturbations.apply(
        "rician_noise", image, severity=3, seed=7, modality="mr", spacing_mm=(3.0, 1.0, 1.0)
    )

    scan = perturbations.Scan(image=tensor, spacing=(3.0, 1.0, 1.0), modality="mr")
    r = perturbations.realise("rician_noise", scan, seed=7)
    r.at(severity=3).image, r.at(level=9.0).image

Importing the package loads neither torch nor SciPy; the catalogue is plain data.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from perturbations.catalog import CATALOG, PRESETS, Perturbation, get, level_at, levels_for
from perturbations.seeds import derive_seed

if TYPE_CHECKING:
    from perturbations import effect, estimate
    from perturbations.arrays import apply
    from perturbations.chains import Part, compose, joint, replay_joint
    from perturbations.facts import Facts
    from perturbations.iso_effect import IsoEffect, iso_effect_levels
    from perturbations.perturbation import Perturbed, Realisation, realise, replay
    from perturbations.scan import Scan
    from perturbations.warp import Warp

__all__ = [
    "CATALOG",
    "PRESETS",
    "Facts",
    "IsoEffect",
    "Part",
    "Perturbation",
    "Perturbed",
    "Realisation",
    "Scan",
    "Warp",
    "apply",
    "compose",
    "derive_seed",
    "effect",
    "estimate",
    "get",
    "iso_effect_levels",
    "joint",
    "level_at",
    "levels_for",
    "realise",
    "replay",
    "replay_joint",
]

_LAZY = {
    "Part": "perturbations.chains",
    "compose": "perturbations.chains",
    "joint": "perturbations.chains",
    "replay_joint": "perturbations.chains",
    "Facts": "perturbations.facts",
    "IsoEffect": "perturbations.iso_effect",
    "iso_effect_levels": "perturbations.iso_effect",
    "Perturbed": "perturbations.perturbation",
    "Realisation": "perturbations.perturbation",
    "apply": "perturbations.arrays",
    "realise": "perturbations.perturbation",
    "replay": "perturbations.perturbation",
    "Scan": "perturbations.scan",
    "Warp": "perturbations.warp",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever the package exports
    if name in ("effect", "estimate"):
        return importlib.import_module(f"perturbations.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    msg = f"module 'perturbations' has no attribute {name!r}"
    raise AttributeError(msg)
