"""Pictures with known truth: eyes with a pupil, and pages with lines of text; drawn from seeds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

CASES = 12
WORDS = (
    "severity",
    "noise",
    "margin",
    "contour",
    "lesion",
    "reference",
    "bound",
    "window",
    "rater",
)


def draw_eyes(folder: Path) -> None:
    """Write 148 x 148 grey pictures: fur, a grey eye, a dark pupil with a reflection."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(CASES):
        draw = np.random.default_rng(number)
        y, x = np.mgrid[:148, :148].astype(float)
        centre = 74 + draw.uniform(-8, 8, size=2)
        eye = ((y - centre[0]) / 45) ** 2 + ((x - centre[1]) / 55) ** 2
        radius = draw.uniform(9, 22)
        squash = draw.uniform(0.85, 1.15)
        pupil = ((y - centre[0]) * squash) ** 2 + ((x - centre[1]) / squash) ** 2 <= radius**2
        fur = 150 + 25 * gaussian_filter(draw.standard_normal((148, 148)), 1.5) * 3
        picture = np.where(eye <= 1, 95 - 15 * eye, fur)
        picture[pupil] = 28
        glint = (y - centre[0] + radius / 3) ** 2 + (x - centre[1] - radius / 3) ** 2 <= 6
        picture[glint] = 235
        picture = gaussian_filter(picture, 0.8) + 3 * draw.standard_normal((148, 148))
        rows.append(_write(folder, number, picture.clip(0, 255).astype(np.uint8), pupil))
    _table(folder, rows)


def draw_pages(folder: Path) -> None:
    """Write 320 x 480 colour pictures with lines of text.

    The reference of a line is its box shrunken by A (1 - r^2) / L with r = .4, A its area and L its
    perimeter: what a differentiable-binarisation network is trained to answer (Liao et al. 2020).
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(CASES):
        draw = np.random.default_rng(1000 + number)
        paper = tuple(int(v) for v in draw.integers(190, 256, size=3))
        ink = tuple(int(v) for v in draw.integers(0, 70, size=3))
        page = Image.new("RGB", (480, 320), paper)
        pen = ImageDraw.Draw(page)
        truth = np.zeros((320, 480), bool)
        top = 20
        while top < 270:
            font = ImageFont.load_default(size=int(draw.integers(18, 40)))
            text = " ".join(draw.choice(WORDS, size=int(draw.integers(1, 4))))
            place = (int(draw.integers(10, 80)), top)
            left, upper, right, lower = pen.textbbox(place, text, font=font)
            if right < 470:
                pen.text(place, text, fill=ink, font=font)
                wide, high = right - left, lower - upper
                cut = wide * high * (1 - 0.4**2) / (2 * (wide + high))
                inner = [round(v) for v in (upper + cut, lower - cut, left + cut, right - cut)]
                truth[inner[0] : inner[1], inner[2] : inner[3]] = True
            top = int(lower) + int(draw.integers(12, 30))
        rows.append(_write(folder, number, np.asarray(page), truth))
    _table(folder, rows)


def _write(
    folder: Path, number: int, picture: np.ndarray, truth: np.ndarray
) -> tuple[str, str, str]:
    name = f"case{number:02d}"
    Image.fromarray(picture).save(folder / f"{name}.png")
    Image.fromarray(truth.astype(np.uint8)).save(folder / f"{name}_truth.png")
    return name, f"{name}.png", f"{name}_truth.png"


def _table(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["case", "image", "reference"])
        writer.writerows(rows)
