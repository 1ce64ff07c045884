"""Mixes: stated, from a file, from the scans of a site."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.confidence.placement import axis_of, place
from auditor.confidence.recipe import site_refusal
from auditor.confidence.recipe_mix import ScansOfSite, listed, parse_mix, scans_of_site, split_mix
from auditor.confidence.recipe_scores import Condition, blend, weights_at
from auditor.errors import ConfigError, DataError
from auditor.schema.site import ProfiledScan, SeverityAxis, Side, SiteProfile

CLEAN = ("clean", 0.0)
TESTED: list[Condition] = [
    CLEAN, ("rician_noise", 1.0), ("rician_noise", 3.0), ("gaussian_blur", 2.0), ("gaussian_blur", 4.0),
]  # fmt: skip


def test_stated_mix_is_shared_between_tested_neighbours() -> None:
    mix = parse_mix([("clean", "0.5"), ("rician_noise:2", 0.3), ("gaussian_blur:1", 0.2)], TESTED)
    # noise 2 lies half way from 1 to 3; blur 1 half way from clean to 2
    assert mix == pytest.approx(
        {
            CLEAN: 0.5 + 0.1,
            ("rician_noise", 1.0): 0.15,
            ("rician_noise", 3.0): 0.15,
            ("gaussian_blur", 2.0): 0.1,
        }
    )


def test_interpolation_is_that_of_numpy() -> None:
    curve = {CLEAN: 0.9, ("rician_noise", 1.0): 0.7, ("rician_noise", 3.0): 0.1}
    for severity in np.linspace(0, 3, 31):
        weights = weights_at(TESTED, "rician_noise", float(severity))
        assert sum(weights.values()) == pytest.approx(1.0)
        expected = np.interp(severity, [0, 1, 3], [0.9, 0.7, 0.1])
        assert sum(curve[it] * share for it, share in weights.items()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([("clean", 0.6), ("rician_noise:1", 0.3)], "must sum to 1, they sum to 0.9"),
        ([("clean", 1.2)], "from 0 to 1, was 1.2"),
        ([("clean", -0.1), ("rician_noise:1", 1.0)], "from 0 to 1, was -0.1"),
        ([("clean", "many")], "from 0 to 1, was 'many'"),
        ([("clean", float("nan"))], "from 0 to 1"),
        ([("clean", True)], "from 0 to 1, was True"),
        ([("clean", None)], "from 0 to 1, was None"),
        ([("motion:1", 1.0)], "with a perturbation of the run (gaussian_blur, rician_noise)"),
        ([("rician_noise", 1.0)], "must be clean or NAME:SEVERITY"),
        ([("rician_noise:high", 1.0)], "number above 0, was 'high'"),
        ([("rician_noise:0", 1.0)], "number above 0, was '0'"),
        ([("rician_noise:4", 1.0)], "was tested up to 3, got severity 4"),
        ([("rician_noise:1", 0.5), ("rician_noise:1.0", 0.5)], "stands twice"),
        ([(7, 1.0)], "must be clean or NAME:SEVERITY"),
        ([], "at least one condition"),
    ],
)
def test_bad_mixes_are_refused(pairs: list[tuple[object, object]], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_mix(pairs, TESTED)
    assert told in str(error.value)
    assert "clean, rician_noise:1 to rician_noise:3" in str(error.value)


def test_all_problems_of_a_mix_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        parse_mix([("motion:1", 0.5), ("clean", 2), ("gaussian_blur:5", 0.5)], TESTED)
    assert len(error.value.problems) == 3


def test_words_of_a_mix() -> None:
    assert split_mix("clean=0.5, rician_noise:1 =0.5") == [
        ("clean", "0.5"),
        ("rician_noise:1", "0.5"),
    ]
    for text in ("clean", "clean=0.5,", "=1", "clean="):
        with pytest.raises(ConfigError, match="must be CONDITION=SHARE"):
            split_mix(text)
    assert listed([CLEAN, ("a", 2.0)]) == "clean, a:2"


def axis(name: str, *, usable: bool = True) -> SeverityAxis:
    """Median estimates 10, 20, 30, 40 at severities 0 to 3, clean scans up to 11."""
    spread = (9.0, 10.0, 11.0)
    found = axis_of(
        name, "%", {0.0: 0, 1.0: 1, 2.0: 2, 3.0: 3},
        {float(k): [10.0 * k + it for it in spread] for k in range(4)}, axes=1,
    )  # fmt: skip
    assert found.usable
    return (
        found
        if usable
        else axis_of(name, "%", {0.0: 0, 1.0: 1}, {0.0: [1, 2], 1.0: [1, 2]}, axes=1)
    )


def profile(
    rows: list[dict[str, float | None]], axes: list[SeverityAxis], run: str = "plan"
) -> SiteProfile:
    """A scan a row, with its estimates."""
    scans = tuple(
        ProfiledScan(
            f"S{k:03d}", (1.0, 1.0, 1.0), (4, 4, 4), (),
            tuple(place(it, row.get(it.perturbation)) for it in axes),
        )
        for k, row in enumerate(rows)
    )  # fmt: skip
    return SiteProfile(1, "t", "mr", "raw", scans, (), run, tuple(axes))


STEPS: list[Condition] = [
    CLEAN,
    *((name, float(k)) for name in ("rician_noise", "gaussian_blur") for k in (1, 2, 3)),
]
AXES = [axis("rician_noise"), axis("gaussian_blur")]


def test_scans_of_a_site_count_on_the_axis_on_which_they_lie_furthest() -> None:
    rows: list[dict[str, float | None]] = [
        {"rician_noise": 10.0, "gaussian_blur": 10.0},  # clean
        {"rician_noise": 25.0, "gaussian_blur": 10.0},  # noise 1.5
        {"rician_noise": 20.0, "gaussian_blur": 30.0},  # noise 1 and blur 2
        {"rician_noise": 60.0, "gaussian_blur": 10.0},  # beyond
        {"rician_noise": None, "gaussian_blur": None},  # undefined
        {"rician_noise": None, "gaussian_blur": 20.0},  # placed by the other axis
    ]
    found = scans_of_site(profile(rows, AXES), AXES, STEPS, plan_digest="plan")
    assert found.furthest == (
        {CLEAN: 1.0},
        {("rician_noise", 1.0): 0.5, ("rician_noise", 2.0): 0.5},
        {("gaussian_blur", 2.0): 1.0},
        {("gaussian_blur", 1.0): 1.0},
    )
    assert found.mix == pytest.approx(
        {
            CLEAN: 0.25, ("rician_noise", 1.0): 0.125, ("rician_noise", 2.0): 0.125,
            ("gaussian_blur", 2.0): 0.25, ("gaussian_blur", 1.0): 0.25,
        }
    )  # fmt: skip
    # both effects of the third scan on top of clean: D0 + (D_noise1 - D0) + (D_blur2 - D0)
    assert found.added[2] == pytest.approx(
        {CLEAN: -1.0, ("rician_noise", 1.0): 1.0, ("gaussian_blur", 2.0): 1.0}
    )
    use = found.use
    assert (use.scans, use.placed, use.beyond, use.undefined, use.several) == (6, 4, 1, 1, 1)
    assert not use.placed_again
    assert dict(use.hidden)["rician_noise"] == pytest.approx(0.1)


def test_profile_of_another_run_is_placed_again_by_this_one() -> None:
    other = axis_of("rician_noise", "%", {0.0: 0, 1.0: 1}, {0.0: [1, 2], 1.0: [3, 4]}, axes=1)
    told = profile([{"rician_noise": 30.0}] * 2, [other], run="another")
    assert told.scans[0].placements[0].side is Side.BEYOND
    found = scans_of_site(told, AXES, STEPS, plan_digest="plan")
    assert found.use.placed_again
    assert found.mix == {("rician_noise", 2.0): 1.0}


def test_one_noise_counts_once() -> None:
    both = [axis("gaussian_noise"), axis("rician_noise")]
    steps = [*STEPS, *(("gaussian_noise", float(k)) for k in (1, 2, 3))]
    rows: list[dict[str, float | None]] = [{"rician_noise": 20.0, "gaussian_noise": 30.0}]
    found = scans_of_site(profile(rows, both), both, steps, plan_digest="plan")
    assert found.mix == {("rician_noise", 1.0): 1.0}
    assert found.use.several == 0


@pytest.mark.parametrize("axes", [[], [axis("rician_noise", usable=False)], [axis("motion")]])
def test_profile_without_a_usable_axis_is_refused(axes: list[SeverityAxis]) -> None:
    with pytest.raises(DataError, match="segaudit profile SCANS --run RUN"):
        scans_of_site(profile([{"rician_noise": 10.0}], AXES), axes, STEPS, plan_digest="plan")


def test_empty_profile_is_refused() -> None:
    with pytest.raises(DataError, match="must hold scans"):
        scans_of_site(profile([], AXES), AXES, STEPS, plan_digest="plan")


def used(inside: int, beyond: int) -> ScansOfSite:
    near: dict[str, float | None] = {"rician_noise": 10.0}
    far: dict[str, float | None] = {"rician_noise": 99.0}
    rows = [near] * inside + [far] * beyond
    return scans_of_site(profile(rows, AXES), AXES, STEPS, plan_digest="plan")


def test_site_that_lies_mostly_beyond_is_refused() -> None:
    assert site_refusal(used(12, 11).use) == ""
    assert "most scans of the site (12 of 24)" in site_refusal(used(12, 12).use)
    assert "9 of the 9 scans" in site_refusal(used(9, 0).use)
    assert site_refusal(used(10, 0).use) == ""


def test_blending_keeps_the_sum() -> None:
    assert blend([({CLEAN: 1.0}, 0.25), ({CLEAN: 0.5, ("a", 1.0): 0.5}, 0.75)]) == {
        CLEAN: 0.625,
        ("a", 1.0): 0.375,
    }
