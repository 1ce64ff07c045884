"""The folder that the demo audits is complete, movable and small, and its golden pairs are true."""

from __future__ import annotations

import csv
import os
import re
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import SimpleITK
import torch
import yaml
from numpy.typing import NDArray

from auditor.config import load_config
from auditor.demo import audit, write_demo
from auditor.demo.phantoms import Mask, phantom

SHIPPED = Path(str(files("auditor.demo") / "checkpoints"))
FILES = [SHIPPED / name for name in audit.CHECKPOINTS.values()]
MACHINE = re.compile(rb"(/home/|/work/|/usr/|/tmp/|/root/|/opt/|site-packages|[A-Z]:\\\\Users)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo"), patients=2).parent


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _dsc(first: Mask, second: Mask) -> float:
    return float(2.0 * (first & second).sum() / (first.sum() + second.sum()))


def _zscore(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((image - image.mean()) / image.std(), dtype=np.float32)


def _to_ras(native: NDArray[Any]) -> NDArray[Any]:
    """Towards (superior, posterior, left) as stored -> towards (right, anterior, superior)."""
    return native.transpose(2, 1, 0)[::-1, ::-1]


def _from_ras(fed: NDArray[Any]) -> NDArray[Any]:
    return fed[::-1, ::-1].transpose(2, 1, 0)


def _call_unet_skips(fed: NDArray[Any]) -> Mask:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(SHIPPED / "unet_skips.onnx", options)
    given: Any = session.run(None, {"image": np.ascontiguousarray(fed)[None, None]})[0]
    np.testing.assert_allclose(given.sum(axis=1), 1.0, atol=1e-5)  # softmax
    return np.asarray(given[0, 1] > 0.5, dtype=np.uint8)


def _run_unet_skips(image: NDArray[np.float32]) -> Mask:
    return _from_ras(_call_unet_skips(_to_ras(_zscore(image))))


def _load(name: str) -> Any:
    load: Any = torch.jit.load
    return load(SHIPPED / name)


def _run_torchscript(name: str, fed: NDArray[np.float32]) -> NDArray[np.float32]:
    module = _load(name)
    with torch.inference_mode():
        given: NDArray[np.float32] = module(torch.from_numpy(fed)[None, None])[0, 0].numpy()
    return given


def _run_unet_no_skips(image: NDArray[np.float32]) -> Mask:
    low, high = np.quantile(image, (0.01, 0.99))
    fed = ((np.clip(image, low, high) - low) / (high - low)).astype(np.float32)
    probability = _run_torchscript("unet_no_skips.pt", fed)
    assert 0.0 <= probability.min() <= probability.max() <= 1.0  # sigmoid
    return (probability >= 0.5).astype(np.uint8)


def _run_unet_attention(image: NDArray[np.float32]) -> Mask:
    logit = _run_torchscript("unet_attention.pt", _zscore(image))
    assert logit.min() < 0.0  # logits,
    assert logit.max() > 1.0  # not probabilities
    return (logit >= 0.0).astype(np.uint8)


RUN = {
    "unet_skips": _run_unet_skips,
    "unet_no_skips": _run_unet_no_skips,
    "unet_attention": _run_unet_attention,
}


@pytest.mark.parametrize("system", sorted(audit.CHECKPOINTS))
def test_the_checkpoint_under_its_contract_gives_the_makers_own_mask(system: str) -> None:
    for index, mask in zip(audit.GOLDEN_PATIENTS, audit.golden_masks(system), strict=True):
        given = RUN[system](phantom(index, seed=audit.GOLDEN_SEED).image)
        # other kernels round otherwise: a voxel on the threshold may flip, no more
        assert _dsc(given, mask) > 0.998


@pytest.mark.parametrize("system", sorted(audit.CHECKPOINTS))
def test_the_makers_masks_find_the_organ(system: str) -> None:
    for index, mask in zip(audit.GOLDEN_PATIENTS, audit.golden_masks(system), strict=True):
        assert _dsc(mask, phantom(index, seed=audit.GOLDEN_SEED).reference) > 0.6


def test_exchanged_axes_are_caught_by_the_golden_pair() -> None:
    image = phantom(audit.GOLDEN_PATIENTS[0], seed=audit.GOLDEN_SEED).image
    exchanged = _call_unet_skips(_to_ras(_zscore(image)).transpose(1, 0, 2))  # ARS, not RAS
    given = _from_ras(exchanged.transpose(1, 0, 2))
    assert _dsc(given, audit.golden_masks("unet_skips")[0]) < 0.9


def test_checkpoints_and_golden_masks_are_small() -> None:
    assert sum(path.stat().st_size for path in FILES) < 3_000_000
    assert sum(path.stat().st_size for path in SHIPPED.glob("*.npz")) < 100_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_checkpoints_name_no_machine(path: Path) -> None:
    parts = [path.read_bytes()]
    if path.suffix == ".pt":
        with zipfile.ZipFile(path) as archive:
            assert not [name for name in archive.namelist() if name.endswith(".debug_pkl")]
            parts = [archive.read(name) for name in archive.namelist()]
    assert not [match for part in parts for match in MACHINE.findall(part)]


def test_the_onnx_file_is_complete_and_carries_no_metadata() -> None:
    model = onnx.load(SHIPPED / "unet_skips.onnx", load_external_data=False)
    assert not list(model.metadata_props)
    assert not [t.name for t in model.graph.initializer if t.external_data]
    assert not [node.name for node in model.graph.node if node.doc_string or node.metadata_props]


def test_checkpoints_accept_other_batches_and_sizes() -> None:
    image = np.zeros((2, 1, 72, 64, 32), dtype=np.float32)
    session = onnxruntime.InferenceSession(SHIPPED / "unet_skips.onnx")
    given: Any = session.run(None, {"image": image})[0]
    assert given.shape == (2, 2, 72, 64, 32)
    module = _load("unet_no_skips.pt")
    with torch.inference_mode():
        assert module(torch.zeros(3, 1, 16, 48, 64)).shape == (3, 1, 16, 48, 64)


def test_every_file_that_the_demo_names_exists_in_its_folder(folder: Path) -> None:
    for name in ("audit.yaml", "wrong-axes.yaml"):
        document = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        tables = [folder / document["cases"]["table"]]
        for system in document["systems"].values():
            assert (folder / system["checkpoint"]).is_file()
            tables.append(folder / system["golden"])
        for table in tables:
            for row in _rows(table):
                named = [row[k] for k in row if k.startswith(("image", "prediction", "rater"))]
                assert all((table.parent / value).is_file() for value in named)


def test_the_demos_configurations_are_valid(folder: Path) -> None:
    config = load_config(folder / "audit.yaml")
    assert {spec.name for spec in config.systems} == set(audit.CHECKPOINTS)
    assert len({spec.output.activation for spec in config.systems}) == 3
    assert [(s.name, len(s.severities)) for s in config.perturbations] == [
        *(("rician_noise", 5), ("gaussian_blur", 5), ("bias_field", 5)),
        *(("gamma_up", 5), ("thick_slices", 5)),
    ]
    assert {criterion.form for criterion in config.criteria} == {
        *("mean_at_least", "mean_drop_at_most", "share_of_patients_at_least")
    }
    doubted = load_config(folder / "wrong-axes.yaml")
    (system,) = doubted.systems
    # only the order of the first two axes differs from the contract under which it is audited
    assert sorted(system.input.axes) == sorted("RAS")
    assert system.input.axes != config.systems[0].input.axes


def test_golden_predictions_lie_on_the_grid_of_their_image(folder: Path) -> None:
    for row in _rows(folder / "golden" / "unet_attention.csv"):
        image: Any = SimpleITK.ReadImage(os.fspath(folder / "golden" / row["image"]))
        mask: Any = SimpleITK.ReadImage(os.fspath(folder / "golden" / row["prediction"]))
        assert mask.IsSameImageGeometryAs(image)
        assert mask.GetNumberOfPixels() == image.GetNumberOfPixels()


def test_the_audited_patients_were_not_trained_on(folder: Path) -> None:
    # cohorts are disjoint by their seeds; the training script's are 4001 and 4002
    assert audit.COHORT_SEED not in {4001, 4002, audit.GOLDEN_SEED}
    image: Any = SimpleITK.ReadImage(os.fspath(folder / "cases" / "phantom-001_mr.nii.gz"))
    assert not np.array_equal(SimpleITK.GetArrayFromImage(image), phantom(0, seed=4001).image)


def test_nothing_written_names_the_machine(folder: Path) -> None:
    for path in [*folder.rglob("*.csv"), *folder.rglob("*.yaml"), *folder.rglob("*.md")]:
        assert str(folder) not in path.read_text(encoding="utf-8")


def test_a_demo_of_one_patient_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patients must be at least 2, got 1"):
        write_demo(tmp_path, patients=1)


def test_an_unknown_system_has_no_golden_masks() -> None:
    with pytest.raises(ValueError, match="the demo's systems are unet_skips"):
        audit.golden_masks("vnet")
