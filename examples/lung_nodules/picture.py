"""Draw some audited cases with the contours of their four readers: ``cases.png``, as in README.md.

Run it from this folder after `cohort.py`::

    python picture.py
"""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np
from fetch import CACHE, FOLDER
from train import Case, read_cases

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the backend is chosen
from matplotlib.axes import Axes

SHOWN = 6
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7")
"""Of Okabe and Ito, which most people can tell apart."""
LUNG_WINDOW_HU = (-1200, 200)
HALF_MM = 20.0


def main() -> int:
    if not (CACHE / "audit" / "cases.csv").is_file():
        print("picture.py: there are no cases to draw; run cohort.py first", file=sys.stderr)
        return 1
    chosen = read_cases(CACHE / "audit", first=SHOWN)
    figure, axes = plt.subplots(2, SHOWN // 2, figsize=(7.5, 5.4), layout="constrained")
    for place, case in zip(axes.flat, chosen, strict=True):
        draw(place, case)
    figure.suptitle("SIMULATED CT, contours of four radiologists (LIDC-IDRI); 40 mm", fontsize=9)
    figure.savefig(FOLDER / "cases.png", dpi=80)
    print("ready: cases.png")
    return 0


def draw(place: Axes, case: Case) -> None:
    """Draw the slice with most disputed pixels."""
    votes = case.masks.sum(axis=0)
    disputed = (votes > 0) & (votes < len(case.masks))
    z = int(disputed.sum(axis=(1, 2)).argmax())
    middle = np.argwhere(votes[z] > 0).mean(axis=0)
    dy, dx = case.spacing[1:]
    place.imshow(case.image[z], cmap="gray", vmin=LUNG_WINDOW_HU[0], vmax=LUNG_WINDOW_HU[1])
    for mask, colour in zip(case.masks, COLOURS, strict=True):
        if mask[z].any():
            place.contour(mask[z], levels=[0.5], colors=[colour], linewidths=1.0)
    place.set_xlim(middle[1] - HALF_MM / dx, middle[1] + HALF_MM / dx)
    place.set_ylim(middle[0] + HALF_MM / dy, middle[0] - HALF_MM / dy)
    place.set_aspect(dy / dx)
    place.set_title(case.name, fontsize=7)
    place.set_axis_off()


if __name__ == "__main__":
    sys.exit(main())
