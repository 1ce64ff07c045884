"""Draw the gallery of perturbations: ``python docs/make_gallery.py [NAME ...]``.

Writes one picture per line of the catalogue to images/gallery/, what was measured to
images/gallery/measured.json, and gallery.md from both. The same catalogue gives the same bytes. With
names, only those lines are drawn again; the page is always written whole.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from gallery_phantoms import APEX, phantom_scan

from auditor.exhibits.contact_sheet import shared_window
from auditor.exhibits.views import telling_slices, views_of
from auditor.schema import Geometry
from perturbations import CATALOG, Perturbation, Perturbed, Scan, effect, levels_for, realise

PAGE = HERE / "gallery.md"
FOLDER = HERE / "images" / "gallery"
MEASURED = FOLDER / "measured.json"
SEED = 7
LARGEST = 40_000
"""Bytes of a picture."""

_SIDE = ("thick_slices", "missing_slices")
"""Lines that act along the slices, and are seen from the side."""
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "shadow": {"apex": APEX},
    "depth_attenuation": {"apex": APEX},
}
"""What is declared of the scan that a line is shown on: the sonogram is a sector."""
_DIVERGING = ((5, 48, 97), (247, 247, 247), (103, 0, 31))
_MEANING = {
    "mr": "a drawn T1-weighted head", "ct": "a drawn abdomen, -160 to 240 HU",
    "us": "a drawn sonogram", "xray": "a drawn chest", "microscopy": "drawn nuclei",
    "other": "a drawn uptake image",
}  # fmt: skip


def main(names: Sequence[str]) -> None:
    """Draw the named lines, or all."""
    unknown = set(names) - set(CATALOG)
    if unknown:
        sys.exit(f"there is no {', '.join(sorted(unknown))} in the catalogue")
    FOLDER.mkdir(parents=True, exist_ok=True)
    measured = read_measured()
    for entry in CATALOG.values():
        if names and entry.name not in names:
            continue
        measured[entry.name] = measure(entry)
        (FOLDER / f"{entry.name}.png").write_bytes(picture(entry))
        sys.stderr.write(f"{entry.name}\n")
    for old in FOLDER.glob("*.png"):
        if old.stem not in CATALOG:
            old.unlink()
    kept = {name: measured[name] for name in CATALOG if name in measured}
    MEASURED.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(kept), encoding="utf-8")


def read_measured() -> dict[str, dict[str, Any]]:
    """Return what was measured when the pictures were drawn."""
    if not MEASURED.exists():
        return {}
    content: dict[str, dict[str, Any]] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return content


def modality_of(entry: Perturbation) -> str:
    """Return the kind of scan on which a line is shown."""
    return entry.modalities[0] if entry.modalities else "mr"


def evaluated(entry: Perturbation, severities: Sequence[int]) -> tuple[Scan, list[Perturbed]]:
    """Perturb the phantom of a line's first modality."""
    scan = phantom_scan(modality_of(entry))
    drawn = realise(entry.name, scan, seed=SEED, **_OPTIONS.get(entry.name, {}))
    return scan, [drawn.at(severity=severity) for severity in severities]


def measure(entry: Perturbation) -> dict[str, Any]:
    """Measure the effect of every severity, with three digits."""
    count = len(levels_for(entry.name, modality_of(entry))[0])
    scan, results = evaluated(entry, range(1, count + 1))
    found: dict[str, Any] = {"modality": scan.modality, "nrmse": [], "ssim": [], "moved": []}
    for result in results:
        change = effect.measure(scan, result.image)
        moves = result.warp is not None and result.warp.moves
        assert change.ssim is not None  # the phantoms are large enough
        found["nrmse"].append(float(f"{change.nrmse:.3g}"))
        found["ssim"].append(round(change.ssim, 3))
        if moves and result.warp is not None:
            found["moved"].append(float(f"{float(result.warp.displacement().mean()):.3g}"))
    return found


def page(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the page from the catalogue and what was measured."""
    families: dict[str, list[Perturbation]] = {}
    for entry in CATALOG.values():
        families.setdefault(entry.family, []).append(entry)
    parts = [_HEAD.format(count=len(CATALOG), families=len(families))]
    for family, entries in families.items():
        parts.append(f"## {family[0].upper()}{family[1:]}\n")
        parts += [
            _section(entry, measured[entry.name]) for entry in entries if entry.name in measured
        ]
    return "\n".join(parts)


_HEAD = """# Gallery

Every line of the catalogue on a synthetic scan: {count} perturbations in {families} families. This page is
made by `python docs/make_gallery.py` from the catalogue itself.

Each strip shows the scan as it is, severities 1, 3 and 5 (or the last), and the last difference: red is
brighter, blue darker than before, full colour at the number above it. All panels of a strip have one window.
Perturbations for any modality are shown on the drawn head. `segaudit perturb SCAN NAME -o preview/` makes
the same for a scan of yours.

The tables tell what each severity did to *this* scan: NRMSE relative to the reference signal, SSIM, and
where voxels move the mean displacement. Equal severities of two perturbations are not equally bad.
"""


def _section(entry: Perturbation, found: Mapping[str, Any]) -> str:
    modality = found["modality"]
    levels, unit = levels_for(entry.name, modality)
    rows = [
        ["severity", *(str(n + 1) for n in range(len(levels)))],
        [f"level, {unit}", *(f"{level:.4g}" for level in levels)],
        ["NRMSE", *(f"{value:.3g}" for value in found["nrmse"])],
        ["SSIM", *(f"{value:.3f}" for value in found["ssim"])],
    ]
    if found["moved"]:
        length = phantom_scan(modality).unit
        rows.append([f"moved, {length}", *(f"{value:.3g}" for value in found["moved"])])
    table = [_row(rows[0]), _row(["---"] * len(rows[0])), *(_row(row) for row in rows[1:])]
    facts = [f"for {', '.join(entry.modalities) or 'any modality'}"]
    facts += [
        f"{row.unit}: {', '.join(f'{v:.4g}' for v in row.values)}" for row in _others(entry, unit)
    ]
    if entry.options:
        options = ", ".join(f"`{key}={json.dumps(value)}`" for key, value in entry.options.items())
        facts.append(f"options {options}")
    if entry.name in _OPTIONS:
        shown = ", ".join(f"`{key}={json.dumps(v)}`" for key, v in _OPTIONS[entry.name].items())
        facts.append(f"shown with {shown}")
    if entry.needs:
        facts.append(f"needs {entry.needs}")
    if entry.uses_region:
        facts.append("needs the region of the reference")
    if entry.protocol:
        facts.append(f"protocol {entry.protocol}")
    return "\n".join(
        [
            f"### {entry.name}\n",
            f"{_sentence(entry.note)}\n",
            f"![{entry.name} on {_MEANING[modality]}](images/gallery/{entry.name}.png)\n",
            *table,
            "",
            f"{_sentence('; '.join(facts))}\n",
            f"Draws {entry.draws}. Source: {_sentence(entry.source, capital=False)}\n",
        ]
    )


def _others(entry: Perturbation, unit: str) -> list[Any]:
    """Rows of levels for other modalities than the one shown."""
    held = [row for row in (entry.body, entry.ct, entry.display) if row is not None]
    return [row for row in held if row.unit != unit] if not entry.modalities else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _sentence(text: str, *, capital: bool = True) -> str:
    text = text.replace("|", "\\|").replace("<", "&lt;").rstrip(".")
    return f"{text[0].upper() if capital else text[0]}{text[1:]}."


def picture(entry: Perturbation) -> bytes:
    """Draw one strip; fewer grey values where it would be too large."""
    last = len(levels_for(entry.name, modality_of(entry))[0])
    shown = sorted({1, min(3, last), last})
    scan, results = evaluated(entry, shown)
    panels, difference, scale = _panels(entry, scan, results)
    titles = ["as it is"]
    titles += [
        f"{severity}: {result.level:.3g}" + (" no effect" if result.status == "no_effect" else "")
        for severity, result in zip(shown, results, strict=True)
    ]
    titles.append(f"diff {number(scale)}")
    for greys in (40, 32, 24, 18, 14, 10, 8):
        sink = io.BytesIO()
        _strip(panels, difference, titles, greys).save(sink, format="PNG", optimize=True)
        if len(sink.getvalue()) < LARGEST:
            return sink.getvalue()
    msg = f"{entry.name}: no picture below {LARGEST} bytes"
    raise ValueError(msg)


def number(value: float) -> str:
    """Write two digits without an exponent, as the caption of a panel must be short."""
    return np.format_float_positional(value, 2, unique=False, fractional=False, trim="-")


def _panels(
    entry: Perturbation, scan: Scan, results: Sequence[Perturbed]
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32], float]:
    """Cut and window every panel to 0 .. 1, the last difference to -1 .. 1; tell its scale."""
    views = views_of(_geometry(scan))
    change = (results[-1].image[0] - scan.image[0]).numpy()
    slices = telling_slices(views, scan.foreground.numpy(), change)
    place = 1 if entry.name in _SIDE and len(views) == 3 else 0
    view, index = views[place], slices[place]
    low, high = shared_window(
        scan.image.numpy(), scan.foreground.numpy(), modality=scan.modality, state=scan.state
    )
    step = min(view.spacing)
    repeats = [round(spacing / step) for spacing in view.spacing]
    cuts = [
        view.cut(image[0].numpy(), index) for image in (scan.image, *(it.image for it in results))
    ]
    cuts = [cut.repeat(repeats[0], axis=0).repeat(repeats[1], axis=1) for cut in cuts]
    last = cuts[-1] - cuts[0]
    scale = float(np.quantile(np.abs(last), 0.995)) or float(np.abs(last).max()) or 1.0
    return (
        [np.clip((cut - low) / (high - low), 0, 1).astype(np.float32) for cut in cuts],
        np.clip(last / scale, -1, 1).astype(np.float32),
        scale,
    )


def _geometry(scan: Scan) -> Geometry:
    axes = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    return Geometry(
        shape=scan.spatial_shape,
        spacing=scan.spacing,
        direction=axes if scan.ndim == 3 else (),
        origin=(0.0, 0.0, 0.0) if scan.ndim == 3 else (),
        unit=scan.unit,
    )


def _strip(
    panels: Sequence[NDArray[np.float32]],
    difference: NDArray[np.float32],
    titles: Sequence[str],
    greys: int,
) -> Image.Image:
    """Lay the panels side by side, in a palette of so many greys and 17 colours."""
    tall, wide = difference.shape
    gap, caption, colours = 4, 15, 17
    white = greys - 1
    width = (wide + gap) * len(titles) - gap
    sheet = np.full((tall + caption, width), white, dtype=np.uint8)
    levels = [np.rint(panel * (greys - 1)).astype(np.uint8) for panel in panels]
    levels.append(greys + np.rint((difference + 1) / 2 * (colours - 1)).astype(np.uint8))
    for place, level in enumerate(levels):
        sheet[caption:, place * (wide + gap) : place * (wide + gap) + wide] = level
    picture = Image.fromarray(sheet)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default_imagefont()
    for place, title in enumerate(titles):
        if font.getbbox(title)[2] > wide:
            msg = f"the caption {title!r} must fit into the {wide} pixels of its panel"
            raise ValueError(msg)
        pen.text((place * (wide + gap), 2), title, fill=0, font=font)
    picture = picture.convert("L")
    picture.putpalette(_palette(greys, colours))
    return picture


def _palette(greys: int, colours: int) -> list[int]:
    ramp = [round(255 * n / (greys - 1)) for n in range(greys)]
    flat = [value for grey in ramp for value in (grey, grey, grey)]
    at = np.linspace(0, 2, colours)
    for share in at:
        first, second = _DIVERGING[int(min(share, 1.999))], _DIVERGING[int(min(share, 1.999)) + 1]
        part = share - int(min(share, 1.999))
        flat += [round((1 - part) * a + part * b) for a, b in zip(first, second, strict=True)]
    return flat


if __name__ == "__main__":
    main(sys.argv[1:])
