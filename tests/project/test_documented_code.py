"""Blocks of code in the documentation work as they are pasted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from configurations import valid_data, write_named_files, write_yaml

from auditor import demo
from auditor.config import load_config

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCKS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in ("perturbations.md", "estimation.md", "raters.md", "mask-sets.md", "skips.md")
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL), 1
    )
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_code_works_as_pasted(block: str) -> None:
    exec(compile(block, "pasted", "exec"), {})


def test_there_are_blocks_to_paste() -> None:
    assert len(BLOCKS) >= 3


GRIDS = [
    block
    for block in re.findall(
        r"```yaml\n(.*?)```", (DOCS / "configuration.md").read_text(encoding="utf-8"), re.DOTALL
    )
    if block.startswith("perturbations:")
]


@pytest.mark.parametrize("block", GRIDS)
def test_a_documented_grid_of_equal_effect_is_a_configuration(tmp_path: Path, block: str) -> None:
    write_named_files(tmp_path)
    data = valid_data()
    data["cases"]["modality"] = "mr"
    data |= {"purpose": "exploratory", **yaml.safe_load(block)}
    data.pop("criteria")
    found = load_config(write_yaml(tmp_path, data)).perturbations
    assert found
    assert all(it.iso_effect for it in found)
    assert "rotation" not in {it.name for it in found}


def test_there_are_grids_to_read() -> None:
    assert len(GRIDS) == 2


def test_the_documented_audit_of_ablated_systems_reads_as_pasted_beside_the_demo(
    tmp_path: Path,
) -> None:
    page = (DOCS / "skips.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(audit:.*?)```", page, re.DOTALL)
    checkpoints = Path(demo.__file__).parent / "checkpoints"
    shutil.copytree(checkpoints, tmp_path / "checkpoints")
    demo.write_cohort(tmp_path / "cases", patients=1, seed=1)
    demo.write_cohort(tmp_path / "two-cases", patients=1, seed=2)
    (tmp_path / "skips.yaml").write_text(block, encoding="utf-8")
    found = load_config(tmp_path / "skips.yaml")
    names = [it.name for it in found.systems]
    assert f"These are {len(names)} systems" in page
    assert len(names) == 14
    for name in names:
        stem = name.rpartition("-")[0]
        assert f"`{name}`" in page or stem in {"without", "dose-alpha"}, name
    assert not found.warnings
