from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from auditor.errors import CheckpointError
from auditor.schema import InputSpec, OutputSpec
from auditor.systems.decision import decide, scores_of
from auditor.systems.intensity import normalise


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[None, None]


def test_clip_and_scale_by_hand() -> None:
    spec = InputSpec(clip=(-100.0, 100.0), scale_to=(0.0, 2.0))
    # (-100 + 100) / 200 * 2 = 0, (50 + 100) / 200 * 2 = 1.5: the clip's range, not the image's
    assert normalise(row(-500, 50), spec).flatten().tolist() == [0.0, 1.5]


def test_scaling_without_a_clip_uses_the_images_range_per_channel() -> None:
    image = torch.cat([row(0, 5, 10), row(2, 2, 2)])
    scaled = normalise(image, InputSpec(channels=2, scale_to=(-1.0, 1.0)))
    assert scaled[0].flatten().tolist() == [-1, 0, 1]
    # a channel of one value has no range and becomes the lower end
    assert scaled[1].flatten().tolist() == [-1, -1, -1]


def test_quantiles_are_those_of_the_fed_image() -> None:
    spec = InputSpec(clip_quantiles=(0.25, 0.75), scale_to=(0.0, 1.0))
    # of 0, 1, 2, 3, 100: quantiles 1 and 3
    assert normalise(row(0, 1, 2, 3, 100), spec).flatten().tolist() == [0, 0, 0.5, 1, 1]


def test_zscore_by_hand() -> None:
    # mean 2, population sd sqrt((4 + 0 + 4) / 3)
    sd = math.sqrt(8 / 3)
    scaled = normalise(row(0, 2, 4), InputSpec(zscore="image")).flatten()
    assert scaled.tolist() == pytest.approx([-2 / sd, 0, 2 / sd])
    # over 2 and 4 only: mean 3, sd 1; zero stays zero
    assert normalise(row(0, 2, 4), InputSpec(zscore="nonzero")).flatten().tolist() == [0, -1, 1]
    assert normalise(row(7, 7), InputSpec(zscore="image")).flatten().tolist() == [0, 0]
    assert normalise(row(0, 0), InputSpec(zscore="nonzero")).flatten().tolist() == [0, 0]


def test_affine_is_last() -> None:
    spec = InputSpec(zscore="image", affine=(10.0, 1.0))
    assert normalise(row(-1, 1), spec).flatten().tolist() == [-9, 11]


def test_zscore_of_a_large_offset_keeps_its_digits() -> None:
    values = torch.full((1, 1, 4_000_000), 30000.0)
    values[..., ::2] = 30001.0
    scaled = normalise(values, InputSpec(zscore="image"))
    assert scaled.abs().max().item() == pytest.approx(1.0, abs=1e-3)


def field(*channels: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(channels, dtype=np.float32)[:, None]


def test_softmax_decides_for_the_strongest_class_among_all_of_them() -> None:
    spec = OutputSpec(activation="softmax", labels=(("spleen", 2),))
    # classes: background, liver, spleen; .45 wins over .3 and .25 although it is below one half
    output = field([0.3, 0.1, 0.1], [0.25, 0.6, 0.2], [0.45, 0.3, 0.7])
    scores = scores_of(output, spec)
    assert scores[0, 0].tolist() == pytest.approx([0.3, 0.6, 0.2])
    assert scores[1, 0].tolist() == pytest.approx([0.45, 0.3, 0.7])
    assert decide(scores, spec).tolist() == [[2, 0, 2]]


def test_equal_scores_are_background_then_the_label_declared_first() -> None:
    spec = OutputSpec(activation="softmax", labels=(("b", 2), ("a", 1)))
    scores = scores_of(field([0.5, 0.2], [0.5, 0.4], [0.0, 0.4]), spec)
    assert decide(scores, spec).tolist() == [[0, 2]]


def test_decide_accepts_one_channel_per_label_and_takes_the_rest_as_background() -> None:
    spec = OutputSpec(activation="softmax", labels=(("a", 1), ("b", 3)))
    probabilities = torch.tensor([[[0.4, 0.1, 0.0]], [[0.35, 0.6, 0.0]]])
    # rests: .25, .3 and 1, the last being what a warp leaves outside the field of view
    assert decide(probabilities, spec).tolist() == [[1, 3, 0]]


def test_logits_become_probabilities_once() -> None:
    spec = OutputSpec(activation="logits_softmax", labels=(("a", 1),))
    scores = scores_of(field([0.0, 0.0], [0.0, math.log(3)]), spec)
    assert scores[1, 0].tolist() == pytest.approx([0.5, 0.75])
    sigmoid = OutputSpec(activation="logits_sigmoid", labels=(("a", 1),))
    assert scores_of(field([0.0, math.log(3)]), sigmoid)[0, 0].tolist() == pytest.approx(
        [0.5, 0.75]
    )


def test_sigmoid_channels_count_from_one_and_the_label_declared_last_wins() -> None:
    spec = OutputSpec(activation="sigmoid", labels=(("whole", 1), ("core", 2)), threshold=0.6)
    scores = scores_of(field([0.9, 0.6, 0.1, 0.59], [0.7, 0.2, 0.8, 0.5]), spec)
    assert decide(scores, spec).tolist() == [[2, 1, 2, 0]]


def test_label_numbers_pass_through_and_undeclared_ones_are_background() -> None:
    spec = OutputSpec(activation="labels", labels=(("a", 1), ("c", 7)))
    scores = scores_of(np.array([[[0, 1, 5, 7]]], dtype=np.int64), spec)
    assert scores.tolist() == [[[0, 1, 0, 0]], [[0, 0, 0, 1]]]
    assert decide(scores, spec).tolist() == [[0, 1, 0, 7]]
    as_floats = scores_of(np.array([[[0, 1, 5, 7]]], dtype=np.float32), spec)
    assert torch.equal(as_floats, scores)


@pytest.mark.parametrize(
    ("spec", "output", "words"),
    [
        (
            OutputSpec(activation="softmax", labels=(("a", 3),)),
            field([1.0], [0.0]),
            "at least 4 channels for activation 'softmax' and labels {'a': 3}, got 2",
        ),
        (
            OutputSpec(activation="sigmoid", labels=(("a", 2),)),
            field([1.0]),
            "at least 2 channels",
        ),
        (OutputSpec(activation="labels", labels=(("a", 1),)), field([1.0], [0.0]), "1 channel"),
        (OutputSpec(activation="labels", labels=(("a", 1),)), field([0.5]), "not whole"),
        (
            OutputSpec(activation="softmax", labels=(("a", 1),)),
            field([4.0], [-3.0]),
            "-3 to 4; declare 'logits_softmax'",
        ),
    ],
)
def test_an_output_that_contradicts_its_contract_is_refused(
    spec: OutputSpec, output: np.ndarray[tuple[int, ...], np.dtype[np.float32]], words: str
) -> None:
    with pytest.raises(CheckpointError) as error:
        scores_of(output, spec)
    assert words in str(error.value)


def test_decide_refuses_another_number_of_channels() -> None:
    spec = OutputSpec(activation="sigmoid", labels=(("a", 1),))
    with pytest.raises(ValueError, match="must have 1 channels"):
        decide(torch.zeros(2, 3, 3), spec)
