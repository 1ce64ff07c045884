"""Blocks of code in the documentation work as they are pasted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from configurations import valid_data, write_named_files, write_yaml

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
