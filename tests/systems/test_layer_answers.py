"""What a child may tell of layers, and what is taken for no answer."""

from __future__ import annotations

import math

import pytest

from auditor.systems.layers.answer import LayerDistances, layers_of

# what a hostile child may say

SOUND = {
    "name": "conv2d#1",
    "operator": "conv2d",
    "resolution": [8, 6],
    "channels": 2,
    "voxels": 48,
    "distances": [0.5, None],
}


def test_a_sound_answer_is_taken_over() -> None:
    (layer,) = layers_of([SOUND], 2)
    assert layer == LayerDistances("conv2d#1", "conv2d", (8, 6), 2, 48, (0.5, None))


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        [SOUND] * 201,
        [{**SOUND, "distances": [0.5]}],
        [{**SOUND, "distances": [0.5, 1.01]}],
        [{**SOUND, "distances": [0.5, -0.1]}],
        [{**SOUND, "distances": [0.5, True]}],
        [{**SOUND, "distances": [0.5, math.nan]}],
        [{**SOUND, "distances": [0.5, "0.5"]}],
        [{**SOUND, "channels": -1}],
        [{**SOUND, "voxels": 1.5}],
        [{**SOUND, "resolution": [1] * 9}],
        [{**SOUND, "name": 3}],
        [{key: value for key, value in SOUND.items() if key != "operator"}],
        [5],
    ],
)
def test_other_answers_are_none(told: object) -> None:
    with pytest.raises(ValueError, match=r"must"):
        layers_of(told, 2)


def test_names_are_cut_and_cleaned() -> None:
    (layer,) = layers_of([{**SOUND, "name": "a\x1b[31m\n" + "b" * 500}], 2)
    assert layer.name.isprintable()
    assert len(layer.name) <= 200
