"""Size, parts, and all stored properties of a case."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from auditor.schema import Geometry, InputSpec, Status
from auditor.strata.axes import AXES, unit_of
from auditor.strata.measure import case_properties
from auditor.strata.size import boxed, components, object_volume
from auditor.strata.window_rules import WindowRule, property_names

GEOMETRY = Geometry((6, 40, 44), (5.0, 1.0, 0.5))


def block() -> torch.Tensor:
    mask = torch.zeros(GEOMETRY.shape, dtype=torch.bool)
    mask[2:5, 12:24, 10:30] = True  # 3 x 12 x 20 = 720 voxels of 2.5 mm³
    return mask


def test_volume_is_voxels_times_their_size_in_the_unit_of_the_scan() -> None:
    assert object_volume(block(), GEOMETRY.spacing) == pytest.approx(720 * 2.5 / 1000)  # ml
    assert object_volume(block()[2], (1.0, 0.5)) == pytest.approx(240 * 0.5)  # mm²
    assert object_volume(block(), (1.0, 1.0, 1.0), "px") == 720
    assert object_volume(block()[2], (1.0, 1.0), "px") == 240
    assert object_volume(torch.zeros(2, 3, 4, dtype=torch.bool), (5.0, 1.0, 0.5)) == 0.0


def test_parts_that_touch_at_a_corner_are_one() -> None:
    mask = torch.zeros(3, 4, 5, dtype=torch.bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert components(mask) == 1
    mask[2, 3, 3] = True  # two steps away along y and x
    assert components(mask) == 2
    assert components(torch.zeros(3, 4, 5, dtype=torch.bool)) == 0
    assert components(torch.ones(4, 5, dtype=torch.bool)) == 1


def test_masks_that_are_none_are_refused() -> None:
    with pytest.raises(TypeError, match="bool"):
        components(block().to(torch.uint8))
    with pytest.raises(TypeError, match="bool"):
        object_volume(block().to(torch.uint8), GEOMETRY.spacing)


def test_the_box_of_a_mask_begins_at_its_first_voxels() -> None:
    inside, first = boxed(block().numpy())
    assert (inside.shape, first) == ((3, 12, 20), (2, 12, 10))
    assert inside.all()
    assert boxed(np.zeros((3, 4), dtype=bool))[0].size == 0


def test_every_listed_property_is_measured_once_for_each_label() -> None:
    image = torch.from_numpy(np.random.default_rng(5).normal(size=(1, *GEOMETRY.shape))).float()
    rules = (WindowRule((3, 20, 22)), WindowRule(None, grid=InputSpec(divisor=(4, 16, 16))))
    masks = {"organ": block(), "tumour": torch.zeros_like(block())}
    found = case_properties(image, masks, GEOMETRY, rules)
    names = property_names(rules)
    assert [(it.label, it.name) for it in found] == [
        (label, name) for label in masks for name in names
    ]
    known = {(it.label, it.name): it for it in found}
    assert known["organ", "object_volume"].value == pytest.approx(1.8)
    assert known["organ", "components"].value == 1
    whole = known["organ", rules[1].name]
    assert whole.value == 720 / (8 * 48 * 48)  # padded to multiples of the divisor
    assert json.loads(whole.facts or "") == {"windows": 1, "holding": 1}
    texture = json.loads(known["organ", "texture_disparity"].facts or "")
    assert {"floor", "floor_high", "slices"} <= texture.keys()


def test_an_empty_reference_has_a_size_of_zero_and_no_texture_and_no_window() -> None:
    image = torch.zeros(1, *GEOMETRY.shape)
    empty = {"tumour": torch.zeros_like(block())}
    found = {
        it.name: it for it in case_properties(image, empty, GEOMETRY, (WindowRule((3, 20, 22)),))
    }
    assert (found["object_volume"].value, found["components"].value) == (0.0, 0.0)
    for name in found.keys() - {"object_volume", "components"}:
        assert found[name].value is None
        assert found[name].status is Status.REFERENCE_EMPTY
        assert found[name].reason


def test_a_window_that_does_not_fit_a_scan_is_not_applicable_with_its_reason() -> None:
    pixels = Geometry((40, 44), (1.0, 1.0), unit="px")
    rule = WindowRule((16, 16), grid=InputSpec(spacing_mm=(1.0, 1.0)))
    image = torch.zeros(1, 40, 44)
    found = {it.name: it for it in case_properties(image, {"organ": block()[3]}, pixels, (rule,))}
    for name in (rule.name, *rule.ends()):
        assert found[name].status is Status.NOT_APPLICABLE
        assert "spacing" in found[name].reason


def test_only_what_is_wanted_is_measured() -> None:
    image = torch.zeros(1, *GEOMETRY.shape)
    found = case_properties(
        image, {"organ": block()}, GEOMETRY, (), wanted={"components"}.__contains__
    )
    assert [it.name for it in found] == ["components"]


@pytest.mark.parametrize("name", AXES)
def test_every_axis_says_what_it_measures_and_in_which_unit(name: str) -> None:
    axis = AXES[name]
    assert axis.definition
    assert axis.name == name
    assert unit_of(name) in {"", "%", "mm", "ml"}
    assert unit_of(name, "px", ndim=2) in {"", "%", "px"}
