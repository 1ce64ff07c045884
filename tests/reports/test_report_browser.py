"""The page in a real browser: it draws under its own policy, and fits a phone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import results_samples
from PIL import Image

from auditor.schema import encode
from reports.build import build

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
)


def browse(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    profile = f"--user-data-dir={folder / 'profile'}"
    return subprocess.run(
        [CHROMIUM, *QUIET, profile, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    size = results_samples.Size(cases=20)
    results = results_samples.sample(size)
    (folder / "results.json").write_text(encode(results), encoding="utf-8")
    return build(folder)


def test_the_browser_blocks_nothing_and_applies_the_style(report: Path, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    done = browse(tmp_path, f"--screenshot={shot}", "--window-size=1280,900", report.as_uri())
    assert "Content Security Policy" not in done.stderr
    pixels = np.asarray(Image.open(shot).convert("RGB"))
    # The header strip is dark (#12283a) from edge to edge: the style sheet passed the policy.
    assert pixels[5, 5].tolist() == [0x12, 0x28, 0x3A]
    assert pixels[5, -5].tolist() == [0x12, 0x28, 0x3A]


def test_curves_are_drawn_in_their_colours(report: Path, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    browse(tmp_path, f"--screenshot={shot}", "--window-size=1280,6000", report.as_uri())
    pixels = np.asarray(Image.open(shot).convert("RGB")).reshape(-1, 3)
    for colour in ([0x00, 0x72, 0xB2], [0xD5, 0x5E, 0x00], [0x00, 0x9E, 0x73]):
        assert (pixels == colour).all(axis=1).sum() > 200


@pytest.mark.parametrize("width", [375, 768])
def test_the_page_does_not_scroll_sideways(report: Path, tmp_path: Path, width: int) -> None:
    """A frame of the width of a phone; a script of the frame's page reads the widths."""
    page = report.read_text(encoding="utf-8").split("Content-Security-Policy")
    assert len(page) == 2
    # The policy forbids scripts, so the copy that is measured goes without it.
    probe = report.read_text(encoding="utf-8").replace("Content-Security-Policy", "X-None")
    probe = probe.replace(
        "</body>",
        "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth;"
        "parent.postMessage(document.title, '*')</script></body>",
    )
    (tmp_path / "probe.html").write_text(probe, encoding="utf-8")
    (tmp_path / "frame.html").write_text(
        "<body><p id='out'>none</p><script>onmessage = e => {"
        "document.getElementById('out').textContent = e.data}</script>"
        f"<iframe src='probe.html' width='{width}' height='800' frameborder='0'></iframe></body>",
        encoding="utf-8",
    )
    done = browse(
        tmp_path,
        "--dump-dom",
        "--allow-file-access-from-files",
        "--window-size=1000,1000",
        (tmp_path / "frame.html").as_uri(),
    )
    assert f'id="out">{width} of {width}<' in done.stdout


def test_the_page_prints(report: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    browse(tmp_path, f"--print-to-pdf={target}", "--no-pdf-header-footer", report.as_uri())
    assert target.read_bytes().startswith(b"%PDF-")
    assert target.stat().st_size > 100_000
