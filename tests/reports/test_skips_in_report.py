"""Skip connections on the page: what is said of them, what is drawn, and that ablated systems stay apart."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest
import results_samples
from sample_ablations import NETWORK, curve, estimate

from auditor.schema import AblationCurve, Estimate, NetworkFacts, NetworkSkip, Results
from auditor.schema.network_words import certificate_words, conclusion_words
from reports.build import render
from reports.sections.ablations import SAYS

SAMPLES = results_samples.samples()
ABLATED = SAMPLES["ablated"]


def section(results: Results) -> str:
    page = render(results, {}, {}, images=False)
    return page.split('<section id="skips"')[1].split("</section>")[0]


def words(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split()).replace("\u00a0", " ")


def told(results: Results) -> str:
    return re.sub(r" (?=[.;,)\]])|(?<=[(\[]) ", "", words(section(results)))


def swapped(
    level: int, severity: float, points: tuple[tuple[str, None, float, float], ...]
) -> Results:
    """The sample with another curve by the mean."""
    place = ("mean", level, severity)
    return replace(
        ABLATED,
        ablations=tuple(
            curve(level, "mean", severity, points)
            if (it.by, it.level, it.severity) == place
            else it
            for it in ABLATED.ablations
        ),
    )


def spared(system: str, severity: float, found: Estimate) -> Results:
    """The sample with another number of what is spared."""

    def changed(it: AblationCurve) -> AblationCurve:
        if (it.points[0].system, it.severity) != (system, severity):
            return it
        return replace(it, points=(replace(it.points[0], spared=found),))

    return replace(ABLATED, ablations=tuple(map(changed, ABLATED.ablations)))


def test_a_report_without_networks_has_no_such_section() -> None:
    assert 'id="skips"' not in render(SAMPLES["bare"], {}, {}, images=False)


def test_first_it_is_said_that_an_ablation_is_no_evidence_of_robustness() -> None:
    page = section(ABLATED)
    assert page.index("notice") < page.index("<ul>")
    assert SAYS in words(page)
    assert "no evidence of robustness" in SAYS
    assert "trained without the skip is another network" in SAYS


def test_the_answers_name_the_skip_that_is_relied_on_and_the_one_that_lets_noise_in() -> None:
    page = told(ABLATED)
    assert (
        "On clean scans unet relies most on the skip of level 1: with its activations replaced by the mean of "
        "each channel the loss of DSC (spleen) is 0.200 [0.185, 0.215] (n = 20 patients)."
    ) in page
    # the front page's noise is severity 3: .03 * 3 = .09, and .02 - .09 = -.07
    assert (
        "Under gaussian noise of 12 % of S_ref (severity 3) the skip of level 0 lets the perturbation in: "
        "without it the loss from clean is smaller by 0.090 [0.075, 0.105] (n = 20 patients); the price on "
        "clean scans is 0.020 [0.005, 0.035] (n = 20 patients). There the network is better without it "
        "(reliance −0.070 [−0.085, −0.055] (n = 20 patients))."
    ) in page
    assert page.count("lets the perturbation in") == 1


def test_overlapping_intervals_do_not_name_the_most() -> None:
    page = told(swapped(0, 0.0, (("unet-0", None, 0.19, 0.0),)))
    assert "On clean scans unet relies on the skip of level 1:" in page
    assert (
        "That it relies on it most is not shown: the interval of the skip of level 0 overlaps."
        in page
    )


def test_no_reliance_is_claimed_of_an_interval_that_holds_zero() -> None:
    curves = tuple(
        replace(
            it,
            points=tuple(replace(p, reliance=estimate(0.01)) for p in it.points),
        )
        for it in ABLATED.ablations
    )
    page = told(replace(ABLATED, ablations=curves))
    assert "unet is not shown to rely on any one skip" in page
    assert "relies on" not in page


def test_too_few_patients_are_described() -> None:
    few = Estimate(0.2, 4, "descriptive", status="too_few", note="4 patient(s) are too few")
    curves = tuple(
        replace(it, points=tuple(replace(p, reliance=few, spared=few) for p in it.points))
        for it in ABLATED.ablations
    )
    page = told(replace(ABLATED, ablations=curves))
    assert "the largest loss of unet is without the skip of level 0:" in page
    assert "nothing is inferred of others" in page
    assert (
        "it cannot be told whether a skip of unet lets the perturbation in: too few patients: 4 patient(s) are "
        "too few."
    ) in page
    assert "too few patients: 4 patient(s) are too few" in page


def test_nothing_let_in_is_said_plainly_and_a_broken_network_is_not_called_spared() -> None:
    page = told(spared("unet-0", 3.0, estimate(0.01)))
    assert "(severity 3) no skip of unet is shown to let the perturbation in." in page
    why = "ablated, it is 0.030 from the worst value on clean scans, and cannot lose the 0.200"
    page = told(
        spared("unet-0", 3.0, Estimate(0.15, 20, "descriptive", status="not_assessable", note=why))
    )
    assert f"nothing is said of the skip of level 0: {why}." in page
    assert "lets the perturbation in:" not in page


def test_a_gain_on_the_way_that_does_not_pay_is_told_as_one() -> None:
    page = told(swapped(0, 3.0, (("unet-0", None, 0.005, 0.09),)))
    assert "That the network is better without it there is not shown (reliance 0.005" in page


def test_skips_are_listed_with_their_certificates() -> None:
    page = told(ABLATED)
    assert (
        "Skip connections of unet, fed 1 × 1 × 96 × 96 × 48; coarsest resolution 12 × 12 × 6."
        in page
    )
    assert "level 1 48 × 48 × 24 32 Concat /down1/act/Relu 2 no" in page
    assert "level 2 24 × 24 × 12 not known add /down2/act/Relu 1 no" in page
    for words_of in certificate_words(NETWORK):
        assert f": {words_of}." in page
    assert "does not add up" not in page


def test_a_network_is_drawn_under_the_name_of_the_system_that_is_used() -> None:
    named = replace(NETWORK, systems=("unet", "unet-0", "unet-dose-0.5"))
    page = section(replace(ABLATED, networks=(named,)))
    drawing = page.split("<title>Skip connections of unet</title>")[1].split("</svg>")[0]
    assert "unet-0" not in drawing
    assert drawing.count('class="net-skip net-head"') == 3
    styled = set(re.findall(r'class="(net[a-z-]*)', drawing))
    style = render(ABLATED, {}, {}, images=False).split("</style>")[0]
    assert all(f".{it} " in style or f".{it}." in style for it in styled)


def test_dense_and_incomplete_networks_are_warned_of() -> None:
    nested = NetworkSkip(1, (48, 48, 24), 32, "/x", "Concat", nested=True, places=1)
    odd = [
        replace(NETWORK, skips=(*NETWORK.skips, nested)),
        replace(NETWORK, minimal=False),
        replace(NETWORK, complete=False, remarks=("it loops",)),
    ]
    for network in odd:
        page = section(replace(ABLATED, networks=(network,)))
        warned = [words(it) for it in re.findall(r'<p class="notice">(.*?)</p>', page)]
        assert warned == [SAYS, *conclusion_words(network)]
    assert "what single levels are worth does not add up" in conclusion_words(odd[0])[0]
    none = replace(NETWORK, skips=(), note="its forward pass could not be recorded")
    page = told(replace(ABLATED, networks=(none,)))
    assert "Skip connections of unet: its forward pass could not be recorded." in page


@pytest.mark.parametrize("networks", [(), (NETWORK,)])
def test_an_ablated_system_without_its_network_is_named(
    networks: tuple[NetworkFacts, ...],
) -> None:
    page = told(replace(ABLATED, ablations=(), networks=networks))
    assert "Of unet-0, unet-1, unet-2," in page
    assert "the same network, as it is, is no system of this audit" in page
    assert "Not assessable: no ablated system has its network" in page


def test_a_network_of_which_nothing_is_ablated_is_listed_alone() -> None:
    page = told(replace(SAMPLES["bare"], networks=(NETWORK,)))
    assert "No system of this audit is ablated" in page


def test_levels_are_drawn_on_clean_scans_and_under_noise_on_one_scale() -> None:
    drawings = re.findall(r"<svg[^>]*role=.img.*?</svg>", section(ABLATED), re.DOTALL)
    titles = [re.findall(r"<title>(.*?)</title>", it)[0] for it in drawings]
    assert titles.pop(0) == "Skip connections of unet"
    del drawings[0]
    assert titles == [
        "Clean scans: reliance: DSC lost",
        "Gaussian noise 12 % of S_ref: reliance: DSC lost",
        "Gaussian noise 12 % of S_ref: loss spared without the skip",
        "Level 0: reliance: DSC lost by SD of the noise, SDs of each channel",
        "Level 1: reliance: DSC lost by alpha (1: as it is)",
    ]
    ticks = [re.findall(r'text-anchor="middle">([^<]*)</text>', it) for it in drawings[:3]]
    assert ticks[0] == ticks[1] == ticks[2]
    assert "level 1: 0.200 [0.185, 0.215], n 20" in drawings[0]
    # level 2 is the same in every patient: drawn hollow, without a whisker
    assert drawings[0].count("whisker") == 2
    assert drawings[0].count("hollow") == 1
    # two conditions of three doses; at alpha 1 nothing differs
    assert drawings[4].count('class="line') == 2
    assert drawings[4].count("hollow") == 2


def test_hollow_marks_are_explained_where_there_are_any() -> None:
    page = section(ABLATED)
    keys = [it.split("</p>")[0] for it in page.split('<p class="legend">')[1:]]
    # by the mean level 2 is hollow, with noise nothing is, at alpha 1 a dose is
    assert ["hollow" in it for it in keys] == [True, False, True]
    assert ["Clean scans" in it for it in keys] == [False, True, True]


def test_a_missing_point_leaves_a_gap_and_a_word() -> None:
    gone = Estimate(
        None, 0, "none", status="not_assessable", note="it has no row at this condition"
    )

    def without(it: AblationCurve) -> AblationCurve:
        if it.by not in ("dose", "mean") or it.level != 1:
            return it
        middle = len(it.points) // 2
        points = list(it.points)
        points[middle] = replace(points[middle], reliance=gone, spared=gone)
        return replace(it, points=tuple(points))

    page = section(replace(ABLATED, ablations=tuple(map(without, ABLATED.ablations))))
    drawing = page.split("<title>Level 1: reliance")[1].split("</svg>")[0]
    assert 'class="line' not in drawing
    assert "at 0.5 not assessable" in drawing
    assert "not assessable: it has no row at this condition" in words(page)


def test_tables_have_every_condition_with_n_level_and_method() -> None:
    page = section(ABLATED)
    tables = page.split('<details class="numbers">')[1:]
    rows = [it.split("</details>")[0].count("<tr>") - 1 for it in tables]
    assert rows == [3 * 6, 3 * 6, 3 * 6]
    assert "Level and method: 95 % interval, paired studentized bootstrap, max-T" in words(
        tables[0]
    )
    assert "reliance and spared: all values equal" in words(tables[0])
    assert "Strength: alpha (1: as it is)." in words(tables[2])


def test_long_tables_keep_clean_scans_and_the_noise_of_the_front_page() -> None:
    many = tuple(
        replace(it, perturbation=f"blur_{place}") if it.severity else it
        for place in range(30)
        for it in ABLATED.ablations
        if it.by == "mean" and (it.severity or not place)
    )
    kept = tuple(it for it in ABLATED.ablations if it.by == "mean" and it.severity == 3.0)
    page = section(replace(ABLATED, ablations=(*many, *kept)))
    table = page.split('<details class="numbers">')[1].split("</details>")[0]
    assert table.count("<tr>") - 1 == 6
    assert "Other conditions: results.json has them." in words(table)


def test_figures_of_many_networks_are_folded() -> None:
    names = [f"run-{place}" for place in range(6)]
    curves = tuple(replace(it, base=name) for name in names for it in ABLATED.ablations)
    page = section(replace(ABLATED, ablations=curves))
    assert page.count('<details class="more"><summary>run-') == 2 * 3
    assert page.count("<h3>run-") == 4 * 3


def test_other_sections_show_the_network_alone() -> None:
    page = render(ABLATED, {}, {}, images=False)
    for name in ("clean", "response", "difficulty", "strata", "bounds", "comparison", "worst"):
        part = page.split(f'<section id="{name}"')[1].split("</section>")[0]
        assert "unet-0" not in part, name
        assert "unet-dose" not in part, name
    accounts = page.split('<section id="data"')[1].split("</section>")[0]
    assert "unet-dose-0.5" in accounts
    assert "9 ablated systems are counted here, and shown under Skip connections alone." in words(
        accounts
    )
    front = words(page.split('<section id="summary"')[1].split("</section>")[0])
    assert "ablated copies" in front


def test_many_ablated_systems_change_no_other_section() -> None:
    alone = replace(ABLATED, systems=ABLATED.systems[:1], ablations=(), networks=())
    with_them, without = (render(it, {}, {}, images=False) for it in (ABLATED, alone))
    for name in ("clean", "response", "difficulty", "strata", "bounds", "comparison", "worst"):
        parts = [
            it.split(f'<section id="{name}"')[1].split("</section>")[0]
            for it in (with_them, without)
        ]
        assert parts[0] == parts[1], name


def test_names_of_values_are_escaped_and_kept_out_of_the_way() -> None:
    odd = curve(None, "mean", 0.0, (("unet-x", None, 0.3, 0.0),), skips="value /<b>/Relu")
    page = section(replace(ABLATED, ablations=(*ABLATED.ablations, odd)))
    assert "<b>" not in page
    assert "relies most on value /&lt;b&gt;/Relu" in page
