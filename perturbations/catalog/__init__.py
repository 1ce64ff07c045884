"""The catalogue: one line a perturbation; units, levels and sources are data.

**Conventions.** Severity 0 is the scan as it is, 1 to 3 lie in what is seen in practice, 4 and 5 are
stress beyond routine. Levels are in the unit of their row; *body* rows are for CT, MR and other scans
with a spacing, *display* rows (pixels) for ultrasound, X-ray and microscopy, *ct* rows for HU. Between
the listed severities a level is interpolated from the neutral value on, linearly or in the logarithm.
A level may also be given in its unit, as far as physics admits it (`limits`). The lines of one family
stand in the file of that name. This package loads neither torch nor SciPy.
"""

from perturbations.catalog.entry import MODALITIES, STATES, Levels, Perturbation, modality_class
from perturbations.catalog.levels import (
    SSIM_TARGETS,
    admit,
    get,
    interpolated,
    level_at,
    levels_for,
    options_for,
    severity_at,
    severity_of,
)
from perturbations.catalog.lines import CATALOG, ESTIMATED
from perturbations.catalog.presets import PRESETS

__all__ = [
    "CATALOG",
    "ESTIMATED",
    "MODALITIES",
    "PRESETS",
    "SSIM_TARGETS",
    "STATES",
    "Levels",
    "Perturbation",
    "admit",
    "get",
    "interpolated",
    "level_at",
    "levels_for",
    "modality_class",
    "options_for",
    "severity_at",
    "severity_of",
]
