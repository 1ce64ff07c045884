"""Units whose severities are structural similarities: the level is solved on each scan."""

from __future__ import annotations

import pytest
from scans import head

from auditor.execution.perturbed import perturb
from auditor.plan import Unit
from auditor.schema import PerturbationSpec, Status
from perturbations import effect


def unit(spec: PerturbationSpec) -> Unit:
    return Unit(index=0, case="a", other="", perturbation=spec, replicate=0, seed=5, shards=())


def test_every_severity_has_the_similarity_that_was_asked_for() -> None:
    spec = PerturbationSpec("gaussian_noise", (1.0, 3.0), (0.95, 0.75), "SSIM", iso_effect=True)
    scan = head()
    done = perturb(unit(spec), scan)
    assert [it.status for it in done] == [Status.OK, Status.OK]
    for it, target in zip(done, (0.95, 0.75), strict=True):
        assert effect.measure(scan, it.scan.image).ssim == pytest.approx(target, abs=0.005)
        assert it.reason.startswith(f"solved for an SSIM of {target:g}: ")
        assert it.reason.endswith("% of S_ref")
        assert it.condition.level == target


def test_a_similarity_out_of_reach_is_not_applicable_with_a_reason() -> None:
    # a power law keeps the structure: no exponent makes a head so unlike itself
    spec = PerturbationSpec("gamma_up", (1.0,), (0.02,), "SSIM", iso_effect=True)
    (done,) = perturb(unit(spec), head())
    assert done.status is Status.NOT_APPLICABLE
    assert "the strongest that was tried" in done.reason
