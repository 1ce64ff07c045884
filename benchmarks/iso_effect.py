"""Solve the levels of equal effect on two scans, one seed.

::

    python benchmarks/fetch_scans.py
    python benchmarks/iso_effect.py
"""

from __future__ import annotations

import sys
from pathlib import Path

# a script's folder comes first on the path, where perturbations.py would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))

import perturbations
from perturbations.iso_effect import TARGETS

sys.path.append(str(Path(__file__).resolve().parent))

from study_scans import available

NAMES = (
    "gaussian_noise",
    "rician_noise",
    "gaussian_blur",
    "thick_slices",
    "bias_field",
    "gamma_up",
)


def main() -> None:
    """Print the table; in brackets the SSIM that a target out of reach ended at."""
    print(f"| scan | perturbation | {' | '.join(f'{target:g}' for target in TARGETS)} |")
    print("|---|---|---|---|---|---|---|")
    scans = available()
    for kind in ("head, brain-extracted", "CT abdomen"):
        if kind not in scans:
            sys.exit("there is no head; run python benchmarks/fetch_scans.py first")
        scan = scans[kind]()
        for name in NAMES:
            modalities = perturbations.CATALOG[name].modalities
            if modalities and scan.modality not in modalities:
                continue
            found = perturbations.iso_effect_levels(name, scan, seed=1)
            cells = [
                f"– ({it.ssim:.2f})" if it.level is None else f"{it.level:.3g}" for it in found
            ]
            print(f"| {kind} | {name} ({found[0].unit}) | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
