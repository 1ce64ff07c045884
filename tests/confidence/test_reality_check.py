"""Groups of cases predicted from each other: right where they differ by noise, refusing where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.confidence.reality_check import GroupAxis, not_checked, reality_check
from auditor.schema.recipe import RealityCheck

SEVERITIES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
LEVELS = np.array([0.0, 2.0, 4.0, 6.0, 8.0, 12.0])


def cohort(
    sizes: dict[str, int],
    noise: dict[str, float],
    *,
    hidden: dict[str, float] | None = None,
    seed: int = 1,
    spread: float = 0.03,
) -> tuple[list[GroupAxis], list[str]]:
    """Sites with noise of their own; DSC falls with the total noise, and by what nobody measures.

    Noise adds in squares, so that a site's noise and an added one together are what an estimator sees.
    """
    rng = np.random.default_rng(seed)
    groups = [name for name, n in sizes.items() for _ in range(n)]
    native = np.array([noise[name] * rng.lognormal(0, 0.05) for name in groups])
    total = np.sqrt(native[:, None] ** 2 + LEVELS**2)
    lost = np.array([(hidden or {}).get(name, 0.0) for name in groups])
    ease = rng.normal(0, spread, len(groups))
    slopes = np.array([0.02, 0.035])
    scores = (
        0.95 + (ease - lost)[:, None, None] - slopes * total[:, :, None]
        + rng.normal(0, 0.005, (len(groups), len(SEVERITIES), 2))
    )  # fmt: skip
    estimates = total * rng.lognormal(0, 0.03, total.shape)
    flat = GroupAxis("gaussian_blur", SEVERITIES, np.ones_like(total), scores)
    return [GroupAxis("rician_noise", SEVERITIES, estimates, np.clip(scores, 0, 1)), flat], groups


def check(axes: list[GroupAxis], groups: list[str]) -> RealityCheck:
    return reality_check(axes, groups, ("A", "B"), column="site", level=0.95, seed=3)


def test_sites_that_differ_by_noise_are_explained() -> None:
    axes, groups = cohort({"north": 40, "south": 40}, {"north": 1.0, "south": 5.0})
    found = check(axes, groups)
    assert found.status == "explained"
    assert found.axes == ("rician_noise",)  # the estimate of blur does not rise
    row = found.rows[1]
    assert (row.group, row.system, row.n, row.others) == ("north", "B", 40, 40)
    # the noisier site loses .035 (5.1 - 1) of DSC: a difference, but an explained one
    assert row.observed - axes[0].scores[40:, 0, 1].mean() == pytest.approx(0.14, abs=0.03)
    assert row.residual.value is not None
    assert abs(row.residual.value) < 0.03
    assert row.predicted == pytest.approx(row.observed - row.residual.value)
    ((group, axis, severity),) = found.placements
    assert (group, axis) == ("north", "rician_noise")
    assert -3.0 < severity < -2.0  # cleaner by sqrt(25 - 1) = 4.9 %, between levels 4 and 6
    assert "explains how the means differ between groups by site" in found.sentence


def test_sites_that_differ_by_what_is_not_measured_forbid_the_recipe() -> None:
    axes, groups = cohort(
        {"north": 40, "south": 40}, {"north": 2.0, "south": 2.0}, hidden={"south": 0.12}
    )
    found = check(axes, groups)
    assert found.status == "not explained"
    assert all(row.verdict == "not explained" for row in found.rows)
    assert found.rows[0].residual.value == pytest.approx(0.12, abs=0.03)
    assert "the recipe is not offered across these groups" in found.sentence


def test_both_at_once_is_not_explained_by_the_noise_alone() -> None:
    axes, groups = cohort(
        {"north": 40, "south": 40}, {"north": 1.0, "south": 5.0}, hidden={"north": 0.12}
    )
    # the clean site loses as much as the noise costs the other: equal means, and still unexplained
    assert abs(axes[0].scores[:40, 0, 1].mean() - axes[0].scores[40:, 0, 1].mean()) < 0.05
    assert check(axes, groups).status == "not explained"


def test_one_of_three_groups_is_enough_to_forbid() -> None:
    axes, groups = cohort(
        {"a": 30, "b": 30, "c": 30}, dict.fromkeys("abc", 2.0), hidden={"c": 0.15}
    )
    found = check(axes, groups)
    assert len(found.rows) == 6
    assert {row.verdict for row in found.rows if row.group == "c"} == {"not explained"}
    assert found.status == "not explained"


def test_intervals_hold_for_all_groups_and_systems_together() -> None:
    axes, groups = cohort({"a": 30, "b": 30, "c": 30}, dict.fromkeys("abc", 2.0))

    def width(level: float) -> float:
        found = reality_check(axes, groups, ("A", "B"), column="site", level=level, seed=3)
        row = found.rows[0].residual
        assert row.low is not None
        assert row.high is not None
        return row.high - row.low

    # three groups times two systems, each two-sided at (1 - level) / 6; 29 degrees of freedom
    wide, narrow = (float(stats.t.ppf(1 - alpha / 12, 29)) for alpha in (0.01, 0.2))
    assert width(0.99) / width(0.8) == pytest.approx(wide / narrow)


def test_few_patients_leave_it_undecided() -> None:
    axes, groups = cohort({"a": 10, "b": 10}, {"a": 2.0, "b": 2.0}, spread=0.15)
    found = check(axes, groups)
    assert found.status == "undecided"
    assert "not excluded" in found.sentence


def test_site_beyond_what_was_tested_is_undecided() -> None:
    axes, groups = cohort({"a": 20, "b": 20}, {"a": 1.0, "b": 16.0})
    found = check(axes, groups)
    assert found.status == "undecided"
    assert "beyond the highest tested severity" in found.rows[0].residual.note


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"a": 40}, "fewer than two groups"),
        ({"a": 40, "b": 9}, "fewer than two groups"),
        ({"": 30, "b": 20}, "fewer than two groups"),
    ],
)
def test_cases_that_are_not_split_are_not_assessed(sizes: dict[str, int], told: str) -> None:
    axes, groups = cohort(sizes, dict.fromkeys(sizes, 2.0))
    found = check(axes, groups)
    assert (found.status, found.rows) == ("not assessed", ())
    assert told in found.sentence


def test_no_axis_is_not_assessed() -> None:
    axes, groups = cohort({"a": 20, "b": 20}, {"a": 1.0, "b": 1.0})
    assert check(axes[1:], groups).status == "not assessed"
    assert check([], groups).status == "not assessed"
    blind = GroupAxis("rician_noise", SEVERITIES, np.full((40, 6), np.nan), axes[0].scores)
    assert check([blind], groups).status == "not assessed"
    assert not_checked("why").sentence.endswith("was not assessed: why.")


def test_missing_estimates_of_some_scans_are_passed_over() -> None:
    axes, groups = cohort({"a": 30, "b": 30}, {"a": 1.0, "b": 5.0})
    holes = axes[0].estimates.copy()
    holes[::7, 0] = np.nan
    found = check([GroupAxis("rician_noise", SEVERITIES, holes, axes[0].scores)], groups)
    assert found.status == "explained"


@pytest.mark.slow
def test_how_often_noise_alone_is_called_unexplained() -> None:
    """Sites that differ only by noise, 150 cohorts of 2 x 25 patients: at a size of .05."""
    wrong = 0
    for seed in range(150):
        axes, groups = cohort({"a": 25, "b": 25}, {"a": 1.5, "b": 4.5}, seed=100 + seed, spread=0.1)
        wrong += check(axes[:1], groups).status == "not explained"
    assert wrong <= stats.binom.ppf(1 - 1e-4, 150, 0.05)
