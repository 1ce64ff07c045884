"""Rating one scan: by hand on drawn certificates, what is not rated, and what a grade is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from certificates_samples import calibration_scan, certificate
from rated_patients import (
    BIAS,
    NOISE,
    SEVERITIES,
    SPEC,
    Drawn,
    draw_patient,
    drawn_certificate,
    new_scan,
)

from auditor.confidence.calibration import (
    Calibration,
    Family,
    NoiseBin,
    Scored,
    calibrated,
    group_of,
    left_out_offsets,
    offsets_of,
)
from auditor.confidence.grading import Graded, left_out_outcomes, outcomes_of
from auditor.confidence.rating import rate
from auditor.schema import CalibrationScan, Certificate, decode, encode
from auditor.schema.ratings import Grade, Rating, bound_text

PLAIN = replace(SPEC, perturbations=())
RISING = [0.60, 0.70, 0.72, 0.74, 0.76, 0.78, 0.80, 0.82, 0.84]
CLAIMS = [0.80, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87, 0.88]
GOOD = Drawn(dsc=0.9, agreement=0.95, noise=2.0, bias=30.0)


def plain(scans: Sequence[CalibrationScan], **changes: Any) -> Certificate:
    """A certificate of scans as they are, of an audit without axes."""
    known = {"declared": PLAIN, "axes": (), "scans": tuple(scans)}
    return certificate(**(known | changes))


def nine(**changes: Any) -> list[CalibrationScan]:
    pairs = zip(RISING, CLAIMS, strict=True)
    return [
        calibration_scan(i, dsc, agreement=claim, **changes)
        for i, (dsc, claim) in enumerate(pairs, start=1)
    ]


def rated(made: Certificate | Calibration, drawn: Drawn = GOOD, **changes: Any) -> Rating:
    """Rate a drawn scan; the rating survives being written."""
    known = made if isinstance(made, Calibration) else calibrated(made)
    found = rate(known, new_scan(drawn, **changes), tool="segaudit 1")
    assert decode(encode(found), Rating) == found
    return found


def test_the_bound_is_the_proxy_plus_the_smallest_difference_of_nine_patients() -> None:
    # DSC - agreement is -0.20, -0.11, -0.10, ..; k = floor(10 * 0.1) = 1; 0.95 - 0.20 = 0.75
    found = rated(plain(nine()))
    assert found.bound.value == pytest.approx(0.75)
    assert (found.bound.n, found.bound.level, found.bound.side) == (9, 0.9, "lower")
    assert (found.grade, found.calibrated_by, found.bin, found.reasons) == (
        Grade.B,
        "clean",
        "0",
        (),
    )
    assert "the 9 patients used for calibration, about 90 have a DSC above" in found.sentence
    assert "for this scan it is 0.75" in found.sentence
    assert "not a probability for this patient, and not a treatment margin" in found.sentence
    # 1 - 0.9^n <= .. : P(Bin(9, 0.1) <= 0) = 0.39 > 0.1
    assert (found.pac_bound.value, found.pac_bound.status) == (None, "not_certifiable")
    assert found.pac_bound.note == "needs n >= 22"


def test_eight_patients_promise_nothing() -> None:
    found = rated(plain(nine()[:8]))
    assert (found.grade, found.bound.value, found.bound.status) == (
        Grade.NOT_RATED,
        None,
        "not_rated",
    )
    assert found.reasons == (
        (
            "too few patients were calibrated where it lies (clean 0 has 8); a bound for 90 % of scans needs 9"
        ),
    )
    assert found.sentence == "Nothing is promised for this scan."
    assert found.margins.status == "not_rated"


def test_a_proxy_that_says_nothing_is_not_used_and_this_is_said() -> None:
    scans = [
        replace(scan, agreement=claim) for scan, claim in zip(nine(), CLAIMS[::-1], strict=True)
    ]
    found = rated(plain(scans))
    assert found.bound.value == pytest.approx(
        0.60
    )  # the smallest DSC, whatever the scan's agreement
    assert (found.proxy, found.certificate.proxy) == (None, "")
    assert found.certificate.correlation == pytest.approx(-1.0)
    assert "correlate by -1.00 over 9 patients, below 0.3" in found.certificate.proxy_note
    assert "the bound is the same for every scan of its bin" in found.notes[0]


def test_without_copies_the_self_dsc_is_the_proxy() -> None:
    pairs = zip(nine(), CLAIMS, strict=True)
    scans = [replace(scan, agreement=None, self_dsc=claim) for scan, claim in pairs]
    found = rated(plain(scans, copies=()), self_dsc=0.9)
    assert (found.certificate.proxy, found.proxy) == ("self_dsc", 0.9)
    assert found.bound.value == pytest.approx(0.9 - 0.2)


def test_what_failed_counts_as_the_worst_and_is_told() -> None:
    scans = nine()
    scans[4] = calibration_scan(5, None, agreement=None, foreground_ratio=None)
    found = rated(plain(scans))
    # DSC 0 where the proxy could have been 1: the offset is -1, and 0.95 - 1 is nothing
    assert (found.bound.value, found.grade, found.certificate.failed) == (0.0, Grade.C, 1)
    assert "The bound is 0: no DSC is excluded." in found.notes


def test_an_empty_prediction_of_an_empty_reference_raises_no_bound() -> None:
    # with nine perfect both-empty scans among them k would be 1 of 18, and rank 2 at 19
    empty = [
        calibration_scan(100 + i, 1.0, status="both_empty", agreement=None, foreground_ratio=0.0)
        for i in range(10)
    ]
    found = rated(plain([*nine(), *empty]))
    assert found.bound.value == pytest.approx(0.75)
    assert found.bound.n == 9


def test_the_worst_scan_of_a_patient_counts() -> None:
    twin = calibration_scan(3, 0.40, agreement=0.82, case="C103")
    found = rated(plain([*nine(), twin]))
    assert found.bound.value == pytest.approx(0.95 + 0.40 - 0.82)
    assert found.bound.n == 9


def test_masks_get_one_margin_that_keeps_both_promises() -> None:
    scans = [
        replace(scan, outer_distance=outer, inner_distance=inner)
        for scan, outer, inner in zip(nine(), range(1, 10), range(10, 1, -1), strict=True)
    ]
    margins = rated(plain(scans)).margins
    # the larger of both scores of each patient: 10, 9, 8, 7, 6, 6, 7, 8, 9; the largest counts
    assert (margins.outer, margins.inner, margins.unit, margins.n) == (10.0, 10.0, "mm", 9)
    scans[0] = replace(scans[0], outer_distance=None)
    lost = rated(plain(scans)).margins
    assert (lost.status, lost.outer) == ("no_usable_set", None)
    assert "1 of 9 calibration patients had no mask that keeps the promise" in lost.note


def test_patients_without_the_structure_calibrate_no_margin_and_are_counted() -> None:
    scans = [replace(it, outer_distance=2.0, inner_distance=2.0) for it in nine()]
    empty = calibration_scan(10, 0.0, status="reference_empty", agreement=0.9)
    margins = rated(
        plain([*scans, replace(empty, outer_distance=0.0, inner_distance=30.0)])
    ).margins
    # nothing of the tenth could be held; its inner mask of 30 mm widens nobody else's
    assert (margins.outer, margins.inner, margins.n) == (2.0, 2.0, 9)
    assert margins.note == "1 patients without organ are counted apart"


@pytest.fixture(scope="module")
def noisy() -> Calibration:
    return calibrated(drawn_certificate(7))


def at(noise: float, bias: float, **changes: Any) -> dict[str, Any]:
    return {"estimates": {NOISE: (noise, ""), BIAS: (bias, "")}, **changes}


def test_bounds_never_rise_with_noise_and_noise_that_looks_like_bias_is_rated(
    noisy: Calibration,
) -> None:
    # the bias estimate of scans with noise rises, though nobody touched their bias field
    found = [
        rated(noisy, **at(noise, bias)) for noise, bias in ((2, 30), (4, 36), (7, 44), (11, 52))
    ]
    assert [it.bin for it in found] == ["0", "0-1", "1-2", "2-3"]
    assert {it.calibrated_by for it in found} == {NOISE}
    bounds = [it.bound.value for it in found]
    assert None not in bounds
    assert bounds == sorted(bounds, key=lambda it: -(it or 0))
    assert "used for calibration at rician_noise 1-2" in found[2].sentence
    assert found[0].margins.outer is not None
    margins = [it.margins.outer or 0 for it in found]
    assert margins == sorted(margins)


@pytest.mark.parametrize(
    ("noise", "bias", "told"),
    [
        (25.0, 30.0, "rician_noise: estimated at 25 % of S_ref; beyond the highest severity"),
        (2.0, 60.0, "have up to 35.3, and severities of bias_field were not calibrated"),
        (7.0, 90.0, "calibration scans at rician_noise 1-2 have up to"),
        (None, 30.0, "rician_noise cannot be estimated on it"),
        (2.0, None, "bias_field cannot be estimated on it"),
    ],
)
def test_what_was_not_calibrated_is_not_rated(
    noisy: Calibration, noise: float | None, bias: float | None, told: str
) -> None:
    found = rated(noisy, estimates={NOISE: (noise, ""), BIAS: (bias, "")})
    assert (found.grade, found.bound.value, len(found.reasons)) == (Grade.NOT_RATED, None, 1)
    assert told in found.reasons[0]
    where = {it.axis.perturbation: it.inside for it in found.positions}
    assert not all(where.values())


def test_several_calibrated_axes_are_rated_one_at_a_time() -> None:
    made = drawn_certificate(3)
    biased = [
        replace(
            scan,
            case=scan.case,
            perturbation=BIAS,
            severity=2.0,
            estimate=60.0,
            estimates=((BIAS, 60.0), (NOISE, 2.0)),
            dsc=max(0.0, (scan.dsc or 0.0) - 0.1),
        )
        for scan in made.scans
        if scan.severity == 0.0
    ]
    spec = replace(SPEC, perturbations=(NOISE, BIAS))
    both = calibrated(replace(made, declared=spec, scans=(*made.scans, *biased)))
    assert rated(both, **at(2.0, 60.0)).calibrated_by == BIAS
    assert rated(both, **at(7.0, 44.0)).calibrated_by == NOISE
    together = rated(both, **at(7.0, 60.0))
    assert together.grade is Grade.NOT_RATED
    assert "the two together were not calibrated" in together.reasons[0]


def test_a_scan_that_is_like_those_of_two_axes_gets_the_lower_bound() -> None:
    made = drawn_certificate(3)
    # bias fields that cannot be told from none, and cost .1
    hidden = [
        replace(
            scan,
            perturbation=BIAS,
            severity=1.0,
            estimate=30.0,
            dsc=max(0.0, (scan.dsc or 0.0) - 0.1),
        )
        for scan in made.scans
        if scan.severity == 0.0
    ]
    spec = replace(SPEC, perturbations=(NOISE, BIAS))
    both = calibrated(replace(made, declared=spec, scans=(*made.scans, *hidden)))
    alone = {
        it.name: rated(replace(both, families=(it,)), **at(2.0, 30.0)).bound.value
        for it in both.families
    }
    noise, bias = alone[NOISE], alone[BIAS]
    assert noise is not None
    assert bias is not None
    assert bias < noise - 0.05
    found = rated(both, **at(2.0, 30.0))
    assert (found.bound.value, found.calibrated_by) == (bias, BIAS)


def test_a_cleaner_scan_is_rated_and_this_is_said(noisy: Calibration) -> None:
    found = rated(noisy, **at(0.5, 30.0))
    assert (found.bin, found.grade is Grade.NOT_RATED) == ("0", False)
    assert found.notes == (
        "On rician_noise it is cleaner than the calibration scans, and counts as one of them.",
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"modality": "ct"}, "it is declared ct, raw; the certificate is for mr, raw"),
        ({"state": "normalised"}, "it is declared mr, normalised"),
        ({"contradiction": "magnitude MR is never negative"}, "magnitude MR is never negative"),
        ({"spacing": (1.0, 1.0)}, "it is 2-D; the certificate is for 3-D scans"),
        ({"channels": 4}, "it has 4 channel(s); the system takes 1"),
        ({"unit": "px"}, "its lengths are in px; those of the calibration scans in mm"),
        (
            {"spacing": (6.0, 1.0, 1.2)},
            "its spacing along z is 6 mm; the calibration scans have 3 mm",
        ),
        ({"spacing": (3.0, 1.0, 1.9)}, "along x is 1.9 mm; the calibration scans have 1 to 1.5 mm"),
        ({"status": "prediction_empty", "agreement": None}, "holds no voxel of organ"),
        (
            {"status": "timed_out", "agreement": None, "reason": "no answer in 600 s"},
            "its prediction timed out: no answer in 600 s",
        ),
        (
            {"agreement": None, "why_no_agreement": "no mild copy of this scan could be made"},
            "the proxy (agreement) cannot be measured on it: no mild copy",
        ),
    ],
)
def test_other_scans_are_not_rated(noisy: Calibration, changes: dict[str, Any], told: str) -> None:
    found = rated(noisy, **changes)
    assert (found.grade, found.bound.value, found.outcome) == (Grade.NOT_RATED, None, None)
    assert told in found.reasons[0]


def test_a_spacing_a_little_outside_is_rated_and_said(noisy: Calibration) -> None:
    found = rated(noisy, spacing=(3.3, 1.0, 1.2))
    assert found.grade is not Grade.NOT_RATED
    assert found.notes == ("Its spacing along z is 3.3 mm; the calibration scans have 3 mm.",)


def test_a_scan_that_calibrated_is_recognised(noisy: Calibration) -> None:
    found = rated(noisy, digest=f"{5:064x}")
    assert found.used_for_calibration
    assert "was used for calibration" in found.notes[0]
    assert not rated(noisy).used_for_calibration


def test_an_axis_that_tells_nothing_is_named_and_no_gate(noisy: Calibration) -> None:
    made = noisy.certificate
    blind = tuple(
        replace(it, usable=False, reason="flat") if it.perturbation == BIAS else it
        for it in made.axes
    )
    found = rated(replace(made, axes=blind), **at(2.0, 90.0))
    assert found.grade is not Grade.NOT_RATED
    assert "Whether this scan has bias_field cannot be told" in found.notes[0]
    none = rated(replace(made, axes=()), **at(2.0, 90.0))
    assert none.calibrated_by == "clean"
    assert none.certificate.not_placed == (NOISE,)


def test_groups_of_foreground_ratio_are_apart_where_each_has_thirty_patients() -> None:
    edges = (0.005,)
    scans = [
        calibration_scan(
            i, dsc, agreement=0.9 + 0.001 * (i % 9), foreground_ratio=0.001 if small else 0.02
        )
        for small in (True, False)
        for i, dsc in enumerate(np.linspace(0.5 if small else 0.8, 0.95, 30), 1 if small else 31)
    ]
    made = plain(scans, declared=replace(PLAIN, edges=edges), copies=())
    scans = [replace(it, agreement=None, self_dsc=None) for it in made.scans]
    known = calibrated(replace(made, scans=tuple(scans)))
    small, large = (rated(known, foreground_ratio=it) for it in (0.001, 0.02))
    # k = floor(31 * 0.1) = 3: the third of 30 equally spaced DSC
    assert small.bound.value == pytest.approx(0.5 + 2 * 0.45 / 29)
    assert large.bound.value == pytest.approx(0.8 + 2 * 0.15 / 29)
    assert (small.group, large.group, small.bound.n) == ("<= 0.5 %", "> 0.5 %", 30)
    pooled = rated(replace(made, scans=tuple(scans[1:])), foreground_ratio=0.02)
    assert (pooled.group, pooled.bound.n) == ("", 59)
    assert "some have too few patients" in pooled.notes[-1]
    assert group_of(0.005, edges) == "<= 0.5 %"


def test_what_a_grade_was_worth_is_counted_with_each_patient_left_out() -> None:
    # without a proxy, 19 patients at 0.50, 0.52, .. 0.86; 18 others give rank floor(19 * 0.1) = 1: the
    # smallest of the others, 0.50 for all but the first, who gets 0.52
    scans = [
        calibration_scan(i, 0.50 + 0.02 * (i - 1), agreement=None, self_dsc=None)
        for i in range(1, 20)
    ]
    spec = replace(PLAIN, grades=(0.52, 0.50))
    known = calibrated(plain(scans, declared=spec, copies=()))
    a, b, c = left_out_outcomes(known, known.families[0], 0)
    assert (a.reached.n, a.reached.value) == (1, 0.0)
    assert a.mean_dsc == pytest.approx(0.50)
    assert (b.reached.n, b.reached.value) == (18, 1.0)
    assert b.reached.low == pytest.approx(0.8146980)  # binom.test(18, 18)$conf.int[1]: 0.025^(1/18)
    assert (c.reached.n, c.reached.status) == (0, "undefined")
    found = rated(known)  # all 19: k = 2, the second smallest: 0.52, and so A
    assert found.bound.value == pytest.approx(0.52)
    assert found.grade is Grade.A
    assert found.outcome == a
    eight = calibrated(plain(scans[:8], declared=spec, copies=()))
    assert {it.reached.n for it in left_out_outcomes(eight, eight.families[0], 0)} == {0}


def test_who_is_not_in_a_cleaner_bin_leaves_its_bound_in_the_clamp() -> None:
    def bin_of(name: str, first: int, dsc: float) -> NoiseBin:
        found = tuple(
            Scored(f"P{i}", dsc, 0.0, dsc, "", rated=True, source=calibration_scan(i, dsc))
            for i in range(first, first + 9)
        )
        return NoiseBin(name, found, {}, apart=False)

    # nine patients each, none in both: 0.3 of the cleaner bin holds the noisier one down, and with a
    # patient of the noisier bin left out, eight others there are too few
    family = Family(NOISE, None, (bin_of("0", 1, 0.3), bin_of("0-1", 11, 0.6)))
    assert offsets_of(family, "", alpha=0.1) == (0.3, 0.3)
    assert set(left_out_offsets(family, 1, "", alpha=0.1).values()) == {None}
    more = Family(
        NOISE,
        None,
        (
            family.bins[0],
            replace(
                family.bins[1],
                scans=(
                    *family.bins[1].scans,
                    Scored("P99", 0.6, 0.0, 0.6, "", rated=True, source=calibration_scan(99, 0.6)),
                ),
            ),
        ),
    )
    assert set(left_out_offsets(more, 1, "", alpha=0.1).values()) == {0.3}


def test_patients_are_counted_once_and_all_of_their_scans_must_reach_it() -> None:
    scans = [
        Graded("P1", Grade.A, 0.9),
        Graded("P1", Grade.A, 0.7),
        Graded("P2", Grade.A, 0.8),
        Graded("P2", Grade.C, 0.1),
    ]
    a, _, c = outcomes_of(scans, (0.8, 0.6), method="m")
    assert (a.reached.n, a.reached.value) == (2, 0.5)
    assert a.mean_dsc == pytest.approx((0.8 + 0.8) / 2)  # (0.9 + 0.7) / 2 and 0.8
    assert (c.reached.n, c.reached.value, c.threshold) == (1, 0.0, 0.6)


def test_a_higher_proxy_never_lowers_a_bound_nor_more_noise_raises_it(noisy: Calibration) -> None:
    bounds = np.array(
        [
            [
                rated(noisy, replace(GOOD, agreement=f), **at(noise, 30.0)).bound.value
                for f in claims
            ]
            for claims in [np.linspace(0.0, 1.0, 11)]
            for noise in (1.0, 3.0, 5.0, 8.0, 11.0)
        ],
        dtype=np.float64,
    )
    assert (np.diff(bounds, axis=1) >= 0).all()
    assert (np.diff(bounds, axis=0) <= 0).all()
    assert ((bounds >= 0) & (bounds <= 1)).all()


@pytest.mark.slow
def test_bounds_hold_for_their_share_of_further_patients_at_every_severity() -> None:
    # 40 certificates, 10 further patients each; P(Bin(400, 0.9) <= 341) < 0.002, and the patients of one
    # certificate go together: variance 1 + 9 * 0.009 / 0.09 = 1.9 times, 3.2 sd = 27 below 360
    held = dict.fromkeys((*SEVERITIES, 6.0), 0)
    given = dict.fromkeys(held, 0)
    for seed in range(40):
        known = calibrated(drawn_certificate(100 + seed))
        rng = np.random.default_rng(9000 + seed)
        for _ in range(10):
            for severity, it in draw_patient(rng, tuple(held)).items():
                found = rate(known, new_scan(it), tool="")
                given[severity] += found.bound.value is not None
                held[severity] += found.bound.value is not None and it.dsc >= found.bound.value
    assert given[6.0] == 0
    for severity in SEVERITIES:
        assert given[severity] > 350
        assert held[severity] > 0.9 * given[severity] - 27


@pytest.mark.parametrize(
    ("bound", "shown"),
    [(0.7999, "0.79"), (0.8, "0.80"), (0.29, "0.29"), (1.0, "1.00"), (0.0, "0.00")],
)
def test_a_bound_is_never_shown_higher_than_it_is(bound: float, shown: str) -> None:
    # rounded to the nearest, a bound of .7999 would read as the .80 that grade A asks for
    assert bound_text(bound) == shown
