"""A scan beside its mildly perturbed copies: one number, made in one way wherever it is made."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch
from scans import body, head
from torch import Tensor

from auditor.execution.agreement import (
    CopyAgreement,
    copy_agreements,
    drawn_copies,
    mean_agreement,
    voxel_digest,
)
from auditor.schema import PerturbationSpec, ScoredLabel, Status
from auditor.systems.running import Failure, Prediction
from perturbations import level_at, levels_for

ORGAN = ScoredLabel("organ", ("organ",), (1,))
BOTH = ScoredLabel("both", ("organ", "rest"), (1, 2))


def mild(name: str, modality: str = "mr") -> PerturbationSpec:
    level = level_at(name, 1.0, modality)
    return PerturbationSpec(name, (1.0,), (level,), levels_for(name, modality)[1])


def of_labels(labels: Tensor) -> Prediction:
    scores = torch.stack([labels == 0, labels > 0]).float()
    return Prediction(scores, scores[1:], labels)


def thresholded(image: Tensor) -> Prediction:
    return of_labels((image[0] > 60).to(torch.int16))


def test_the_digest_of_voxels_is_that_of_shape_and_values() -> None:
    image = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    by_hand = hashlib.sha256(b"(1, 2, 2)" + image.numpy().tobytes()).hexdigest()
    assert voxel_digest(image) == by_hand
    assert voxel_digest(image.reshape(1, 1, 4)) != by_hand
    turned = image.transpose(1, 2)  # same values in memory, another array
    assert voxel_digest(turned) != by_hand
    assert voxel_digest(turned.contiguous()) == voxel_digest(turned)


def test_draws_depend_on_seed_voxels_and_perturbation_alone() -> None:
    scan, copies = head(), [mild("rician_noise"), mild("gaussian_blur")]

    def drawn(*args: object, **more: object) -> list[Tensor]:
        return [it.scan.image for _, it in drawn_copies(*args, **more)]  # type: ignore[arg-type]

    first = drawn(scan, copies, seed=3)
    assert [torch.equal(a, b) for a, b in zip(first, drawn(scan, copies, seed=3), strict=True)] == [
        True,
        True,
    ]
    # neither the reference nor the other copies are looked at
    assert torch.equal(drawn(replace(scan, region=None), copies, seed=3)[0], first[0])
    assert torch.equal(drawn(scan, copies[:1], seed=3)[0], first[0])
    assert not torch.equal(drawn(scan, copies, seed=4)[0], first[0])


def test_another_scan_has_another_draw() -> None:
    # noise in HU is added whatever the scan holds: one changed voxel, and nothing of it is the same
    scan, added = body(), []
    changed = scan.image.clone()
    changed[0, 0, 0, 0] += 1.0
    for one in (scan, replace(scan, image=changed)):
        ((_, copy),) = drawn_copies(one, [mild("gaussian_noise", "ct")], seed=3)
        added.append((copy.scan.image - one.image).flatten()[1:])
    assert abs(float(torch.corrcoef(torch.stack(added))[0, 1])) < 0.05


def test_each_copy_is_predicted_once_and_compared_for_every_label() -> None:
    scan = head()
    own = torch.zeros(scan.spatial_shape, dtype=torch.int16)
    own[:4, 0, 0] = 1
    answer = own.clone()
    answer[0, 0, 0] = 2  # one of the organ's four voxels becomes the rest
    asked: list[Tensor] = []

    def predict(image: Tensor) -> Prediction:
        asked.append(image)
        return of_labels(answer)

    copies = [mild("rician_noise"), mild("gaussian_blur")]
    found = copy_agreements(scan, own, of=[ORGAN, BOTH], copies=copies, seed=1, predict=predict)
    assert len(asked) == 2
    assert [it.perturbation for it in found["organ"]] == ["rician_noise", "gaussian_blur"]
    assert found["organ"][0].value == pytest.approx(2 * 3 / (4 + 3))
    assert [it.value for it in found["both"]] == [1.0, 1.0]


def test_what_is_no_copy_leaves_the_mean_and_a_failure_stays_in_it() -> None:
    def predict(image: Tensor) -> Prediction | Failure:
        if float(image.std()) < float(scan.image.std()):  # the blurred one
            return Failure(Status.CRASHED, "out of memory")
        return thresholded(image)

    scan = body()
    own = thresholded(scan.image).labels
    # ghosting is for MR: this scan does not admit it
    copies = [mild("gaussian_noise", "ct"), mild("ghosting"), mild("gaussian_blur", "ct")]
    found = copy_agreements(scan, own, of=[ORGAN], copies=copies, seed=1, predict=predict)["organ"]
    assert [it.status for it in found] == ["ok", "not_applicable", "crashed"]
    assert found[0].value is not None
    assert found[0].value > 0.5
    mean = mean_agreement(found)
    assert (mean.copies, mean.failed) == (2, 1)
    assert mean.value == pytest.approx(found[0].value / 2)


def test_no_copy_at_all_is_told() -> None:
    refused = CopyAgreement("ghosting", "not_applicable", None, "ghosting is for mr")
    same = CopyAgreement("thick_slices", "no_effect", None, "changes no voxel")
    mean = mean_agreement([refused, same])
    assert (mean.value, mean.copies) == (None, 0)
    assert "ghosting is for mr" in mean.reason
    assert mean_agreement([]).value is None


def test_two_empty_masks_agree() -> None:
    scan = head()
    nothing = torch.zeros(scan.spatial_shape, dtype=torch.int16)
    found = copy_agreements(
        scan, nothing, of=[ORGAN], copies=[mild("gaussian_blur")], seed=1,
        predict=lambda _: of_labels(nothing),
    )  # fmt: skip
    assert mean_agreement(found["organ"]).value == 1.0
