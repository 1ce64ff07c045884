"""Blocks of code in the documentation work as they are pasted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCKS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in ("perturbations.md",)
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL), 1
    )
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_code_works_as_pasted(block: str) -> None:
    exec(compile(block, "pasted", "exec"), {})


def test_there_are_blocks_to_paste() -> None:
    assert len(BLOCKS) >= 3
