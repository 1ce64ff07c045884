"""A whole audit of labels, a group of them, and metrics that ask for probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from volumes import write_volume

import auditor
from reports.build import build

SHAPE, SPACING = (8, 20, 24), (3.0, 1.0, 0.8)
LEVELS = {1: 1.0, 2: 2.0}


def ellipsoid(scale: float, shift: int) -> NDArray[np.bool_]:
    grid = np.indices(SHAPE)
    centre = (4, 10, 11 + shift)
    radii = (2.6 * scale, 6 * scale, 7 * scale)
    total = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True))
    return np.asarray(total <= 1)


def write_cases(folder: Path) -> Path:
    """Write three patients with a shell (1) around a core (2)."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    lines = ["case,patient,image,reference"]
    for n in range(3):
        mask = ellipsoid(1.0, n).astype(np.uint8)
        mask[ellipsoid(0.5, n)] = 2
        image = mask + rng.normal(0, 0.1, SHAPE)
        write_volume(folder / f"image_{n}.nii.gz", image.astype(np.float32), spacing=SPACING)
        write_volume(folder / f"mask_{n}.nii.gz", mask, spacing=SPACING)
        lines.append(f"c{n},p{n},image_{n}.nii.gz,mask_{n}.nii.gz")
    table = folder / "cases.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def thresholds(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax of the distance to each tissue's own intensity."""
    scores = np.stack([-8 * np.abs(image[0] - level) for level in (0.0, *LEVELS.values())])
    powers = np.exp(scores - scores.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0), dtype=np.float32)


def shell_only(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Call every tissue the shell: wrong for both labels, right for the group."""
    found = thresholds(image)
    return np.stack([found[0], found[1] + found[2], np.zeros_like(found[0])])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> auditor.Run:
    folder = tmp_path_factory.mktemp("groups")
    return auditor.audit(
        systems={"thresholds": thresholds, "shell": shell_only},
        out=folder / "run",
        audit="groups",
        seed=3,
        purpose="confirmatory",
        cases={"table": str(write_cases(folder / "cases")), "modality": "mr"},
        labels={"shell": 1, "core": 2},
        label_groups={"whole": ["shell", "core"]},
        perturbations={"gaussian_noise": {"severities": [5]}, "rotation": {"severities": [2]}},
        metrics={
            "dsc": {},
            "boundary_iou": {"width_mm": 2},
            "lesion_false_positives": {"overlap": 0.3},
            "brier": {},
            "ece": {"bins": 10},
        },
        strata={"foreground_ratio": {"label": "whole", "edges": [0.01]}},
        criteria={
            "C-01": {
                "system": "shell", "label": "whole", "metric": "dsc", "at": "clean",
                "share_of_patients_at_least": 0.3, "with": {"at_least": 0.9}, "evidence": "assured",
            }
        },
        keep={"exhibits": 3},
    )  # fmt: skip


def clean_means(run: auditor.Run, metric: str) -> dict[tuple[str, str], float | None]:
    return {
        (it.system, it.label): it.mean.value
        for it in run.results.summaries
        if (it.perturbation, it.metric, it.axis) == ("clean", metric, "all")
    }


def test_a_group_is_measured_beside_its_labels(run: auditor.Run) -> None:
    assert run.results.labels == ("shell", "core", "whole")
    means = clean_means(run, "dsc")
    assert means["thresholds", "whole"] == pytest.approx(1.0, abs=0.01)
    assert means["shell", "whole"] == means["thresholds", "whole"]
    assert (means["shell", "shell"] or 1.0) < 0.95
    assert means["shell", "core"] == 0.0


def test_a_group_is_judged_like_a_label(run: auditor.Run) -> None:
    (criterion,) = run.results.criteria
    assert criterion.label == "whole"
    assert criterion.estimate.value == 1.0
    assert {it.label for it in run.results.strata} == {"whole"}


def test_probabilities_are_measured_on_scans_and_after_a_warp(run: auditor.Run) -> None:
    rows = pq.read_table(run.folder / "measurements.parquet").to_pylist()
    brier = [it for it in rows if it["metric"] == "brier"]
    known = [it for it in brier if not it["system"].startswith("control:")]
    assert {it["perturbation"] for it in known} == {"clean", "gaussian_noise", "rotation"}
    assert all(0.0 <= it["value"] < 0.2 for it in known)
    # controls are masks
    controls = [it for it in brier if it["system"].startswith("control:")]
    assert controls
    assert {it["status"] for it in controls} == {"not_applicable"}
    assert {it["reason"] for it in controls} == {"the system gives labels without probabilities"}
    means = clean_means(run, "brier")
    assert means["shell", "whole"] == pytest.approx(means["thresholds", "whole"])
    assert (means["shell", "core"] or 0.0) > (means["thresholds", "core"] or 1.0)


def test_scans_know_the_size_of_a_group(run: auditor.Run) -> None:
    for case in run.results.cases:
        ratios = dict(case.foreground_ratio)
        parts = [ratios["shell"], ratios["core"]]
        assert ratios["whole"] == pytest.approx(sum(part or 0.0 for part in parts))


def test_a_total_miss_is_shown_below_the_mean_and_in_words(run: auditor.Run) -> None:
    text = build(run.folder).read_text(encoding="utf-8")
    assert "the union of shell and core" in text
    assert "the system gives no probability of this label" in text
    assert "as many lesions as fit into the image" in text
    assert "a prediction that marks nothing has no false positives" in text
    missed = next(
        it
        for it in run.results.summaries
        if (it.system, it.label, it.metric, it.axis, it.perturbation)
        == ("shell", "core", "dsc", "all", "clean")
    )
    assert {it.status: it.n for it in missed.statuses} == {"prediction_empty": 3}
    assert "worst case" in text
