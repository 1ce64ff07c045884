"""What is computed of a reference: once per case and label, and the same bits whatever came before."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_audits import bright, callable_fields

import auditor
from auditor.demo import write_cohort
from auditor.execution.scoring import Scorer
from auditor.metrics import outlook, reference
from auditor.metrics.distances import LARGEST_MAP, NearestMap, lengths, nearest, tree_cost
from auditor.metrics.measure import measure_label, prepare_reference, restrict
from auditor.metrics.outlines import extract_boundary, extract_surface
from auditor.metrics.outlook import Outlook
from auditor.schema import Geometry, MetricSpec, Row, ScoredLabel

SPACING = (3.0, 0.8, 1.1)
SPECS = (
    MetricSpec("hd95"),
    MetricSpec("nsd", 2.0),
    MetricSpec("assd"),
    MetricSpec("hd95_voxel"),
    MetricSpec("nsd_voxel", 2.0),
    MetricSpec("masd_voxel"),
)


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> torch.Tensor:
    """Draw a ball, radius in mm."""
    grid = np.indices(shape)
    away = sum(((g - c) * s) ** 2 for g, c, s in zip(grid, centre, SPACING, strict=True))
    return torch.from_numpy(np.asarray(away < radius**2))


SHAPE = (18, 60, 52)
REFERENCE = ball(SHAPE, (7.0, 17.0, 16.0), 9.0)
RNG = np.random.default_rng(11)
SPECKS = torch.from_numpy(RNG.random(SHAPE) < 0.1)
PREDICTIONS = {
    "near": torch.roll(REFERENCE, 1, 2),
    "beside": torch.roll(REFERENCE, 12, 1),
    "far": ball(SHAPE, (14.0, 52.0, 46.0), 5.0),
    "specks": SPECKS,
    "full": torch.ones(SHAPE, dtype=torch.bool),
}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is computed of references, and let it be computed."""
    calls: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(module, name)

        def counting(*given: Any, **named: Any) -> Any:
            calls[name] += 1
            return original(*given, **named)

        monkeypatch.setattr(module, name, counting)

    count(reference, "extract_surface")
    count(reference, "extract_boundary")
    count(outlook, "nearest_map")
    return calls


def test_a_scorer_extracts_the_border_of_each_reference_once_for_all_predictions(
    counted: Counter[str],
) -> None:
    labels = REFERENCE.to(torch.int16) + 2 * PREDICTIONS["far"].to(torch.int16)
    scorer = Scorer.of(
        labels,
        Geometry(shape=SHAPE, spacing=SPACING),
        labels=(ScoredLabel("a", ("a",), (1,)), ScoredLabel("b", ("b",), (2,))),
        metrics=SPECS,
    )
    assert counted == {}  # nothing before it is asked for
    template = Row(
        record="evaluation",
        system="a",
        case="c",
        patient="p",
        perturbation="clean",
        severity=0.0,
        level=None,
        unit="",
        replicate=0,
        status="ok",
    )
    for step in range(6):
        scorer.rows(torch.roll(labels, step, 2), template=template)
    assert counted["extract_surface"] == counted["extract_boundary"] == 2  # one a label
    assert counted["nearest_map"] == 4  # one a label and definition: all of these lie near


def test_a_whole_audit_computes_the_geometry_of_each_case_once(
    counted: Counter[str], tmp_path: Path
) -> None:
    write_cohort(tmp_path / "cases", patients=2, seed=5)
    fields = callable_fields(
        tmp_path,
        perturbations={
            "gaussian_blur": {"severities": [1, 3]},
            "gaussian_noise": {"severities": [2]},
        },
        metrics={"hd95_voxel": {}, "nsd_voxel": {"tolerance_mm": 2}},
        keep={"exhibits": 0},
    )

    def likewise(image: NDArray[np.float32]) -> NDArray[Any]:
        return bright(image)

    run = auditor.audit(fields, systems={"one": bright, "two": likewise}, out=tmp_path / "run")
    assert run.folder.exists()
    # two systems, the controls and four conditions, of two cases with one label each
    assert counted["extract_boundary"] == 2
    assert counted["nearest_map"] <= 4  # the near map, and the wide one where a prediction needs it


@pytest.mark.parametrize("name", list(PREDICTIONS))
def test_values_do_not_depend_on_what_was_measured_before(name: str) -> None:
    fresh = measure_label(PREDICTIONS[name], prepare_reference(REFERENCE, SPACING), metrics=SPECS)
    worn = prepare_reference(REFERENCE, SPACING)
    for prediction in reversed(PREDICTIONS.values()):
        measure_label(prediction, worn, metrics=SPECS)
    assert measure_label(PREDICTIONS[name], worn, metrics=SPECS) == fresh  # every bit


@pytest.mark.parametrize("name", list(PREDICTIONS))
def test_threads_do_not_change_a_bit(name: str) -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            ready = prepare_reference(REFERENCE, SPACING)
            found.append(measure_label(PREDICTIONS[name], ready, metrics=SPECS))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def brute_force(points: Any, others: Any) -> Any:
    best = np.full(len(points), math.inf)
    for other in others:
        best = np.minimum(best, lengths(points - other, SPACING))
    return best


@pytest.mark.parametrize("extract", [extract_surface, extract_boundary])
@pytest.mark.parametrize("name", ["near", "beside", "far", "full"])
def test_both_directions_are_exact_with_and_without_maps(name: str, extract: Any) -> None:
    prediction = extract(PREDICTIONS[name].numpy(), SPACING)
    elements = extract(REFERENCE.numpy(), SPACING)
    shape = tuple(n + (extract is extract_surface) for n in SHAPE)
    forth = brute_force(prediction.points, elements.points)
    back = brute_force(elements.points, prediction.points)
    for reused in (True, False):
        seen = Outlook(elements=elements, shape=shape, reused=reused)
        np.testing.assert_allclose(seen.distances_from(prediction).distances, forth, rtol=1e-12)
        np.testing.assert_allclose(seen.distances_to(prediction).distances, back, rtol=1e-12)


def test_a_reference_that_serves_once_keeps_no_map(counted: Counter[str]) -> None:
    region = torch.zeros(SHAPE, dtype=torch.bool)
    region[:, :30] = True
    short_lived = restrict(prepare_reference(REFERENCE, SPACING), region)
    measure_label(PREDICTIONS["near"] & region, short_lived, metrics=SPECS)
    assert counted["nearest_map"] == 0


def test_the_wide_map_is_made_for_predictions_with_much_outside_of_the_near_one() -> None:
    ready = prepare_reference(ball((40, 90, 90), (6.0, 12.0, 12.0), 5.0), SPACING)
    specks = torch.from_numpy(RNG.random((40, 90, 90)) < 0.2)
    measure_label(specks, ready, metrics=SPECS[:1])
    kept = vars(ready.surface)
    assert isinstance(kept["wide"], NearestMap)
    assert kept["near"].nearest.size < kept["wide"].nearest.size


def test_the_cost_of_a_tree_rises_where_much_is_about_equally_near() -> None:
    # From the middle of a full image its border is about equally far; from beside, it is not.
    full = extract_surface(np.ones((60, 60, 60), dtype=bool), (1.0, 1.0, 1.0))
    inner = np.zeros((60, 60, 60), dtype=bool)
    inner[22:38, 22:38, 22:38] = True
    middle = extract_surface(inner, (1.0, 1.0, 1.0))
    beside = extract_surface(np.roll(inner, 6, axis=2), (1.0, 1.0, 1.0))
    assert tree_cost(middle.points, full) > 2.0 * tree_cost(middle.points, beside)
    assert nearest(middle, full).distances.min() == 22.0


def test_an_object_in_a_large_image_has_a_map_of_its_own_surroundings() -> None:
    # 300 x 300 x 300 voxels are more than a map may hold, but the object needs only a part.
    shape = (300, 300, 300)
    assert math.prod(shape) > LARGEST_MAP
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[100:110, 90:110, 120:140] = True
    prediction = torch.roll(mask, 2, 2)
    prediction[290, 290, 290] = True
    ready = prepare_reference(mask, SPACING)
    [found] = measure_label(prediction, ready, metrics=[MetricSpec("hd100_voxel")])
    # from (290, 290, 290) to the object's corner (109, 109, 139)
    assert found.value == pytest.approx(math.hypot(181 * 3.0, 181 * 0.8, 151 * 1.1))
    assert ready.boundary.near is not None
    assert ready.boundary.near.nearest.size < 1 << 18
    assert "wide" not in vars(ready.boundary)
