"""What holds for the project as a whole: light imports, public names, no telemetry, true documents."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

import auditor
import perturbations
from auditor.metrics.catalog import METRICS

ROOT = Path(__file__).resolve().parents[2]


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import auditor",
        "import auditor.schema",
        "import auditor.config",
        "import auditor.plan",
        "import auditor.cli",
        "import perturbations",
        "import perturbations.catalog",
    ],
)
def test_importing_what_plans_loads_nothing_heavy(statement: str) -> None:
    heavy = {"torch", "SimpleITK", "matplotlib", "scipy", "onnxruntime", "onnx", "skimage"}
    assert not loaded_by(statement) & heavy


def test_help_is_instant() -> None:
    """A generous limit on a shared machine; `benchmarks/` has the measured figure."""

    def seconds(arguments: list[str]) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True, cwd=ROOT)
        return time.perf_counter() - started

    plain = statistics.median(seconds(["-c", "pass"]) for _ in range(3))
    helped = statistics.median(seconds(["-m", "auditor", "--help"]) for _ in range(3))
    assert helped - plain < 1.0


def test_public_names_are_there_and_sorted() -> None:
    for package in (auditor, perturbations):
        constants_first = sorted(package.__all__, key=lambda it: (not it.isupper(), it))
        assert list(package.__all__) == constants_first
        for name in package.__all__:
            assert getattr(package, name) is not None


def test_telemetry_of_onnxruntime_is_off_before_it_could_be_imported() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_every_perturbation_and_metric_has_a_source_and_stands_in_the_documentation() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    for entry in perturbations.CATALOG.values():
        assert entry.source
        assert entry.name in page
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for metric in METRICS.values():
        assert metric.reference
        assert metric.name in page


def test_the_readme_names_the_two_commands_that_do_the_set_up() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text


def test_documents_link_to_files_that_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_each_package_is_typed_and_ships_what_it_reads() -> None:
    for package in ("auditor", "perturbations", "reports"):
        assert (ROOT / package / "py.typed").exists()
    assert (ROOT / "auditor" / "demo" / "checkpoints" / "unet_skips.onnx").exists()
    assert list((ROOT / "reports" / "templates").glob("*.j2"))


def test_the_tested_versions_are_pinned_for_every_dependency() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    needed = {
        re.split(r"[<>=;\[ ]", requirement)[0].lower().replace("_", "-")
        for requirement in metadata.requires("segaudit") or []
        if "extra" not in requirement and "not " not in requirement
    } - {"onnxruntime"}
    assert needed <= pinned
