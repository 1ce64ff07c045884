"""Draw the picture of perturbations.md: ``python docs/make_pictures.py``; the gallery has its own script."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import SimpleITK
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from gallery_phantoms import phantom_scan

from auditor.pipeline.previewing import PreviewRequest, preview


def main() -> None:
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
