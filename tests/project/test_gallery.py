"""The gallery of perturbations is true: every line is there, and does what its numbers say."""

from __future__ import annotations

import importlib.util
import io
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from perturbations import CATALOG, effect, levels_for

DOCS = Path(__file__).resolve().parents[2] / "docs"
AGAIN = "; draw it again: python docs/make_gallery.py"


@cache
def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def test_the_page_is_what_the_catalogue_and_the_measurements_make_of_it() -> None:
    measured = gallery().read_measured()
    assert list(measured) == list(CATALOG), f"the gallery misses or invents lines{AGAIN}"
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    for name in CATALOG:
        assert f"\n### {name}\n" in text
        assert f"](images/gallery/{name}.png)" in text
    assert text == gallery().page(measured), f"docs/gallery.md is stale{AGAIN}"


@pytest.mark.parametrize("name", list(CATALOG))
def test_a_line_still_does_what_the_gallery_says(name: str) -> None:
    """One severity is measured again: a changed function, level or seed shows here."""
    entry = CATALOG[name]
    stored = gallery().read_measured().get(name)
    assert stored is not None, f"{name} is not in the gallery{AGAIN}"
    levels, _ = levels_for(name, gallery().modality_of(entry))
    assert len(stored["nrmse"]) == len(stored["ssim"]) == len(levels)
    severity = min(3, len(levels))
    scan, (result,) = gallery().evaluated(entry, [severity])
    found = effect.measure(scan, result.image)
    # three digits are stored; the rest is what other processors make of float32
    assert found.nrmse == pytest.approx(stored["nrmse"][severity - 1], rel=0.02, abs=1e-6), AGAIN
    assert found.ssim == pytest.approx(stored["ssim"][severity - 1], abs=0.01), AGAIN


def test_the_scale_of_a_difference_can_be_read() -> None:
    shown = [gallery().number(value) for value in (332.0, 3.32, 0.0451, 14600.0)]
    assert shown == ["330", "3.3", "0.045", "15000"]
    levels = np.zeros((20, 96), dtype=np.float32)
    gallery()._strip([levels], levels, ["as it is", "diff 330"], 8)
    with pytest.raises(ValueError, match="must fit into the 96 pixels"):
        gallery()._strip([levels], levels, ["as it is", "5 - clean: +-3.3e+02"], 8)


def test_pictures_are_small_and_none_is_left_over() -> None:
    pictures = {path.stem: path for path in (DOCS / "images" / "gallery").glob("*.png")}
    assert set(pictures) == set(CATALOG), f"pictures miss or are left over{AGAIN}"
    sizes = [path.stat().st_size for path in pictures.values()]
    assert max(sizes) < 40_000
    assert sum(sizes) < 2_500_000


def test_a_picture_is_drawn_to_the_same_bytes_and_shows_a_difference() -> None:
    entry = CATALOG["gamma_up"]
    first, second = (gallery().picture(entry) for _ in range(2))
    assert first == second
    with Image.open(io.BytesIO(first)) as drawn:
        colours = np.asarray(drawn.convert("RGB")).astype(int)
    # gamma above 1 darkens: what is coloured is blue, not red
    blueness = colours[:, :, 2] - colours[:, :, 0]
    assert (blueness > 80).sum() > 500
    assert (blueness < -80).sum() == 0
