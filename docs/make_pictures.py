"""Draw the pictures of these pages: ``python docs/make_pictures.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import torch
from PIL import Image

import perturbations
from auditor.demo import phantom
from perturbations import Scan

SEVERITIES = (0, 1, 3, 5)


def main() -> None:
    """Write images/perturbations.png."""
    one = phantom(3, seed=1)
    scan = Scan(image=torch.from_numpy(one.image)[None], spacing=tuple(one.spacing), modality="mr")
    middle = int(one.reference.sum(axis=(1, 2)).argmax())
    names = list(perturbations.CATALOG)
    figure, axes = plt.subplots(len(names), len(SEVERITIES), figsize=(7.2, 1.85 * len(names)))
    for row, name in zip(axes, names, strict=True):
        drawn = perturbations.realise(name, scan, seed=7)
        for cell, severity in zip(row, SEVERITIES, strict=True):
            result = drawn.at(severity=severity)
            # thick slices are seen from the side
            side = name == "thick_slices"
            image = result.image[0, :, 32] if side else result.image[0, middle]
            aspect = one.spacing[0] / one.spacing[2] if side else one.spacing[1] / one.spacing[2]
            cell.imshow(image, cmap="gray", vmin=0, vmax=float(scan.s_ref) * 1.2, aspect=aspect)
            cell.set_title(
                f"{name}: clean"
                if severity == 0
                else f"{severity}: {result.level:.3g} {result.unit}",
                fontsize=7,
            )
            cell.axis("off")
    figure.tight_layout(pad=0.4)
    target = Path(__file__).parent / "images" / "perturbations.png"
    figure.savefig(target, dpi=75)
    # grey in 32 steps: a third of the size
    Image.open(target).convert("L").quantize(32).save(target, optimize=True)


if __name__ == "__main__":
    main()
