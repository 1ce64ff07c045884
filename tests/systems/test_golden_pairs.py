from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import DataError
from auditor.schema import ContractStatus, Geometry, InputSpec, OutputSpec, SystemSpec, WindowSpec
from auditor.systems.alternatives import alternatives
from auditor.systems.golden import check_golden, read_golden_table
from auditor.systems.orientation import match_axes
from auditor.systems.runners import CallableSystem
from auditor.systems.running import Prediction, open_system

GEOMETRY = Geometry(
    shape=(10, 14, 12),
    spacing=(3.0, 0.8, 1.2),
    direction=((0.17, 0.0, 0.985), (0.0, 1.0, 0.0), (0.985, 0.0, -0.17)),
)
OUTPUT = OutputSpec(activation="sigmoid", labels=(("organ", 1),))


def scan() -> Tensor:
    drawn = np.random.default_rng(4).normal(60, 20, (1, *GEOMETRY.shape)).astype(np.float32)
    drawn[:, 2:7, 3:9, 1:8] += 80
    return torch.from_numpy(drawn)


def one_sided(image: NDArray[np.float32]) -> NDArray[Any]:
    """Find bright voxels in one corner, so that axes, directions and intensities matter."""
    answer: NDArray[Any] = 1 / (1 + np.exp(-40 * (image - 0.45)))
    answer[:, image.shape[1] // 2 + 1 :] = 0
    answer[:, :, : image.shape[2] // 4] = 0
    answer[:, :, :, 3 * image.shape[3] // 4 :] = 0
    return answer


def maker(spec: SystemSpec, system: CallableSystem = one_sided) -> Tensor:
    with open_system(spec, callable=system) as running:
        answer = running.predict([scan()], GEOMETRY)[0]
    assert isinstance(answer, Prediction)
    assert answer.labels.any()
    return answer.labels


def spec_of(**changes: Any) -> SystemSpec:
    declared: dict[str, Any] = {"axes": "SAR", "clip": (0.0, 200.0), "scale_to": (0.0, 1.0)}
    return SystemSpec(name="vendor-a", input=InputSpec(**(declared | changes)), output=OUTPUT)


def test_a_system_run_as_its_maker_does_is_confirmed() -> None:
    spec = spec_of()
    outcome = check_golden(spec, [(scan(), GEOMETRY, maker(spec))] * 2, callable=one_sided)
    assert outcome.status == ContractStatus.CONFIRMED
    assert outcome.agreement == 1.0
    assert outcome.pairs == 2
    assert outcome.alternative is None


@pytest.mark.parametrize(
    ("declared", "tells"),
    [
        ({"axes": "SPR"}, "axes: SAR instead of SPR gives 1.000 (declared: "),
        ({"axes": "RAS"}, "axes: SAR instead of RAS gives 1.000 (declared: "),
        ({"scale_to": (0.0, 255.0)}, "scale_to: [0, 1] instead of [0, 255] gives 1.000"),
        ({"zscore": "image"}, "zscore: none instead of image gives 1.000"),
    ],
)
def test_the_single_wrong_field_is_named(declared: dict[str, Any], tells: str) -> None:
    golden = maker(spec_of())
    outcome = check_golden(spec_of(**declared), [(scan(), GEOMETRY, golden)], callable=one_sided)
    assert outcome.status == ContractStatus.IN_DOUBT
    assert outcome.agreement is not None
    assert outcome.agreement < 0.99
    assert tells in outcome.note
    assert outcome.alternative_agreement == 1.0


def test_a_missing_window_is_named() -> None:
    def centred(window: NDArray[np.float32]) -> NDArray[Any]:
        answer: NDArray[Any] = (window > window.mean()).astype(np.float32)
        return answer

    spec = SystemSpec("a", input=InputSpec(), output=OUTPUT, window=WindowSpec((4, 6, 6), 0.0))
    golden = maker(spec, centred)
    whole = SystemSpec("a", input=InputSpec(), output=OUTPUT, window=WindowSpec((4, 6, 6), 0.75))
    outcome = check_golden(whole, [(scan(), GEOMETRY, golden)], callable=centred)
    assert outcome.status == ContractStatus.IN_DOUBT
    assert "window: [4, 6, 6] overlap 0 gaussian instead of [4, 6, 6] overlap 0.75" in outcome.note


def test_the_smallest_agreement_of_all_pairs_and_labels_counts() -> None:
    spec = spec_of()
    golden = maker(spec)
    worse = golden.clone()
    worse[golden.nonzero()[:10].unbind(1)] = 0
    pairs = [(scan(), GEOMETRY, golden), (scan(), GEOMETRY, worse)]
    outcome = check_golden(spec, pairs, callable=one_sided, seconds=0)
    count = int(golden.sum())
    # n voxels against n - 10, of which n - 10 are shared
    assert outcome.agreement == pytest.approx(2 * (count - 10) / (2 * count - 10))


def test_empty_golden_predictions_prove_nothing() -> None:
    def nothing(image: NDArray[np.float32]) -> NDArray[Any]:
        return np.zeros_like(image)

    empty = torch.zeros(GEOMETRY.shape, dtype=torch.int16)
    outcome = check_golden(spec_of(), [(scan(), GEOMETRY, empty)], callable=nothing)
    assert outcome.status == ContractStatus.DECLARED_ONLY
    assert outcome.agreement is None
    assert "prove nothing" in outcome.note
    assert check_golden(spec_of(), [], callable=nothing).pairs == 0


def test_a_system_that_fails_on_a_golden_pair_is_in_doubt_with_its_reason() -> None:
    def broken(image: NDArray[np.float32]) -> NDArray[Any]:
        msg = "no weights"
        raise RuntimeError(msg)

    golden = maker(spec_of())
    outcome = check_golden(spec_of(), [(scan(), GEOMETRY, golden)], callable=broken, seconds=2)
    assert outcome.status == ContractStatus.IN_DOUBT
    assert outcome.agreement == 0.0
    assert "RuntimeError: no weights" in outcome.note
    assert "contracts that are one change away agrees better" in outcome.note


def test_a_golden_prediction_on_another_grid_is_refused() -> None:
    with pytest.raises(DataError, match=r"must have the scan's shape \(10, 14, 12\)"):
        check_golden(spec_of(), [(scan(), GEOMETRY, torch.ones(3, 3, 3))], callable=one_sided)


@pytest.mark.parametrize(
    "spec",
    [
        spec_of(),
        spec_of(axes="native", dims=2),
        SystemSpec("w", input=InputSpec(spacing_mm=(2.0, 1.0, 1.0)), window=WindowSpec((8, 8, 8))),
    ],
)
def test_alternatives_are_one_change_each_and_none_is_the_declared_contract(
    spec: SystemSpec,
) -> None:
    slicewise = spec.input.dims == 2
    declared = match_axes(spec.input.axes, GEOMETRY, slicewise=slicewise)
    found = list(alternatives(spec, GEOMETRY))
    axes = [a for a in found if a.name == "axes"]
    assert len(axes) == (23 if slicewise else 47)
    for other in axes:
        assert match_axes(other.tried, GEOMETRY, slicewise=slicewise) != declared
    assert all(other.spec != spec or other.channels or other.complement for other in found)
    assert len({(a.name, a.tried) for a in found}) == len(found)
    # flips of the declared order come before everything else
    flips = 3 if slicewise else 7
    assert all(a.name == "axes" for a in found[:flips])
    assert found[flips].name != "axes"


def test_a_golden_table_is_read_relative_to_itself(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b1.nii", "b2.nii", "pa.nii.gz", "pb.nii.gz"):
        (tmp_path / name).touch()
    table = tmp_path / "golden.csv"
    table.write_text("image,prediction\na.nii.gz,pa.nii.gz\nb1.nii; b2.nii,pb.nii.gz\n")
    assert read_golden_table(table) == (
        ((tmp_path / "a.nii.gz",), tmp_path / "pa.nii.gz"),
        ((tmp_path / "b1.nii", tmp_path / "b2.nii"), tmp_path / "pb.nii.gz"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,prediction\nmissing.nii,also.nii\n", "line 2: missing.nii does not exist"),
        ("image,output\na.nii,b.nii\n", "line 2: must have an image and a prediction"),
        ("image,prediction\n", "at least one row"),
        ("", "at least one row"),
    ],
)
def test_an_unusable_golden_table_says_which_line(tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / "golden.csv"
    table.write_text(text)
    with pytest.raises(DataError) as error:
        read_golden_table(table)
    assert words in str(error.value)
    assert str(tmp_path) not in str(error.value)
    with pytest.raises(DataError, match=r"gone\.csv must be a readable CSV file"):
        read_golden_table(tmp_path / "gone.csv")
