"""What an ablation is called wherever a system is described."""

from __future__ import annotations

import pytest

from auditor.schema import AblationSpec, ablation_words, skips_words


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (AblationSpec((1,), "mean"), "level 1 by mean"),
        (AblationSpec((), "zero"), "every skip connection by zero"),
        (AblationSpec((0, 1, 2), "blur", 1.5), "levels 0, 1 and 2 by blur, sigma 1.5 voxels"),
        (AblationSpec((1,), "noise", 0.25, 7), "level 1 by noise, SD 0.25, seed 7"),
        (AblationSpec((1,), "dose", 1.0), "level 1 by dose, alpha 1"),
        (AblationSpec(("/enc/Relu_3",), "mean"), "value /enc/Relu_3 by mean"),
        (
            AblationSpec((0,), "image", images=("/secret/p.nii",), images_sha256=("a" * 64,)),
            "level 0 by another image, SHA-256 aaaaaaaaaaaa",
        ),
    ],
)
def test_an_ablation_says_what_is_replaced_and_by_what(spec: AblationSpec, told: str) -> None:
    assert ablation_words(spec) == told


def test_levels_come_in_order_and_before_names() -> None:
    assert skips_words((2, "b", 0, "a")) == "levels 0 and 2 and values a and b"
