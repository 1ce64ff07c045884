"""Draw the pictures of perturbations.md, mask-sets.md and skips.md: ``python docs/make_pictures.py``.

The gallery has its own script.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK
import torch
from PIL import Image
from scipy import ndimage

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from gallery_phantoms import phantom_scan

import auditor
from auditor.exhibits.planes import contours_of
from auditor.metrics.mask_families import (
    inner_by_distance,
    inner_by_probability,
    outer_by_distance,
    outer_by_probability,
    signed_distance,
)
from auditor.pipeline.previewing import PreviewRequest, preview
from reports.networks import picture_of_skips

SPACING = (1.0, 1.0)
RADIUS = 5.0
MARGIN = 0.93


def main() -> None:
    """Write all pictures."""
    draw_perturbations()
    (HERE / "images" / "mask-sets.svg").write_text(mask_sets(), encoding="utf-8")
    for name, picture in skip_pictures().items():
        (HERE / "images" / name).write_text(picture, encoding="utf-8")


def skip_pictures() -> dict[str, str]:
    """Draw the network of the demo, and a dense one with weights that were never trained."""
    from monai.networks.nets import BasicUNetPlusPlus

    checkpoint = Path(auditor.__file__).parent / "demo" / "checkpoints" / "unet_skips.onnx"
    dense = BasicUNetPlusPlus(2, 1, 2, (8, 8, 16, 32, 64, 8))
    found = auditor.skips(dense, example=torch.zeros(1, 1, 64, 64))
    return {
        "skips.svg": picture_of_skips(auditor.skips(checkpoint)),
        "skips-dense.svg": picture_of_skips(replace(found, systems=("UNet++",))),
    }


def mask_sets() -> str:
    """Draw a shape with its prediction and both masks, by distance and by probability."""
    reference, probability = _shape()
    prediction = probability > 0.5
    distance = signed_distance(prediction, SPACING)
    families = {
        f"by distance: {RADIUS:g} mm": (
            outer_by_distance(distance, RADIUS),
            inner_by_distance(distance, RADIUS),
        ),
        f"by probability: {MARGIN:g}": (
            outer_by_probability(probability, prediction, MARGIN),
            inner_by_probability(probability, prediction, MARGIN),
        ),
    }
    panels = []
    for number, (name, (outer, inner)) in enumerate(families.items()):
        parts = [
            _outline(outer, "#f0b27a", "#b9541a", ""),
            _outline(prediction, "#d6e4f0", "#1f5f99", ""),
            _outline(inner, "#8fcbb0", "#0b7a53", ""),
            _outline(reference, "none", "#111", ' stroke-dasharray="1.6 1.2"'),
        ]
        panels.append(
            f'<g transform="translate({number * 320 + 4},26) scale(4.8)">{"".join(parts)}</g>'
            f'<text x="{number * 320 + 156}" y="18" text-anchor="middle">{name}</text>'
        )
    keys = [
        ("outer mask", "#b9541a", ""),
        ("prediction", "#1f5f99", ""),
        ("inner mask", "#0b7a53", ""),
        ("reference", "#111", ' stroke-dasharray="6 4"'),
    ]
    legend = "".join(
        f'<path d="M{20 + 158 * k},352h26" stroke="{colour}" stroke-width="3"{dash}/>'
        f'<text x="{52 + 158 * k}" y="357">{name}</text>'
        for k, (name, colour, dash) in enumerate(keys)
    )
    told = (
        "Two panels with one irregular shape. The outer mask holds nearly all of the reference, whose border "
        "is dashed; the inner mask lies inside of it. By distance both are equally far from the border of the "
        "prediction everywhere; by probability they keep close to it where it is certain and go far where it "
        "is not."
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 368" font-family="sans-serif" font-size="14" '
        f'role="img"><title>Inner and outer masks around a prediction</title><desc>{told}</desc>'
        f'<rect width="640" height="368" fill="#fff"/>{"".join(panels)}{legend}</svg>\n'
    )


def _shape() -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a reference and the probabilities of a system that is unsure on the right."""
    rows, columns = np.indices((64, 64)) - 31.5
    angle = np.arctan2(rows, columns)
    away = np.hypot(rows, columns) - 17 * (1 + 0.16 * np.cos(3 * angle) + 0.08 * np.sin(2 * angle))
    error = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(64, 64)), 4) * 14.2
    unsure = 0.9 + 3.2 / (1 + np.exp(-columns / 4))
    probability = 1 / (1 + np.exp(1.3 * (away + 0.8 * unsure * error) / unsure))
    return torch.from_numpy(away <= 0), torch.from_numpy(probability)


def _outline(mask: torch.Tensor, fill: str, stroke: str, dash: str) -> str:
    """Outline a mask, holes included, in pixels."""
    lines = [
        "M" + "L".join(f"{x:g},{y:g}" for x, y in line) + "Z" for line in contours_of(mask.numpy())
    ]
    paint = f'fill="{fill}" fill-rule="evenodd" stroke="{stroke}" stroke-width=".5"{dash}'
    return f'<path d="{"".join(lines)}" {paint}/>'


def draw_perturbations() -> None:
    """Write images/perturbations.png: the contact sheet of one perturbation."""
    scan = phantom_scan("mr")
    target = HERE / "images" / "perturbations.png"
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder) / "head.nii.gz"
        image = SimpleITK.GetImageFromArray(scan.image[0].numpy())
        image.SetSpacing(scan.spacing[::-1])
        SimpleITK.WriteImage(image, str(volume))
        out = Path(folder) / "preview"
        preview(
            PreviewRequest((volume,), "motion", out, severities=(1, 3, 5), seed=7, volumes=False)
        )
        sheet = Image.open(out / "contact_sheet.png").convert("RGB")
    sheet.quantize(palette=_palette(), dither=Image.Dither.NONE).save(target, optimize=True)


def _palette() -> Image.Image:
    """Return greys for the scans, red and blue for the differences: a third of the size."""
    from matplotlib import colormaps

    greys = [round(255 * n / 39) for n in range(40)]
    flat = [value for grey in greys for value in (grey, grey, grey)]
    for n in range(40):
        flat += [round(255 * value) for value in colormaps["RdBu_r"](n / 39)[:3]]
    palette = Image.new("P", (1, 1))
    palette.putpalette(flat)
    return palette


if __name__ == "__main__":
    main()
