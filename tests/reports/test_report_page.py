"""The page as its reader and the reader's browser get it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import results_samples
from typing_extensions import override

from auditor.schema import Results, StatusCount, Summary, decode, encode
from auditor.schema.inputs import ContractStatus
from reports.build import build, render
from reports.document import Exhibit

SAMPLES = results_samples.samples()

LABEL = results_samples.LABEL

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; raises when tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.headings: list[int] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def run_folder(folder: Path, results: Results, *, exhibits: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(encode(results), encoding="utf-8")
    (folder / "provenance.json").write_text(json.dumps(results_samples.PROVENANCE))
    if exhibits:
        (folder / "exhibits").mkdir()
        for chosen in results.exhibits:
            data = results_samples.exhibit_json(chosen.id)
            (folder / "exhibits" / f"{chosen.id}.json").write_text(json.dumps(data))
            for name, png in results_samples.exhibit_pngs(chosen.id).items():
                (folder / "exhibits" / name).write_bytes(png)
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("runs")
    return {
        name: build(run_folder(base / name, results)).read_text(encoding="utf-8")
        for name, results in SAMPLES.items()
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_gives_a_page_whose_tags_nest(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert page.tags[0] == ("html", {"lang": "en"})
    assert [tag for tag, _ in page.tags].count("h1") == 1


@pytest.mark.parametrize("name", SAMPLES)
def test_headings_never_skip_a_level(pages: dict[str, str], name: str) -> None:
    levels = Page(pages[name]).headings
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_fetched_scripted_or_styled_inline(pages: dict[str, str], name: str) -> None:
    for tag, attributes in Page(pages[name]).tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        assert "style" not in attributes
        assert not [key for key in attributes if key.startswith("on")]
        for key in ("src", "href", "xlink:href", "srcset", "poster", "action"):
            value = attributes.get(key, "#")
            assert value.startswith(("#", "data:image/png;base64,")), (tag, value[:60])
    assert "http://" not in pages[name]
    assert "https://" not in pages[name]
    assert "url(" not in pages[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_policy_allows_the_one_style_sheet_by_its_hash(
    pages: dict[str, str], name: str
) -> None:
    styles = re.findall(r"<style>(.*?)</style>", pages[name], re.DOTALL)
    assert len(styles) == 1
    digest = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
    policies = [
        attributes["content"]
        for tag, attributes in Page(pages[name]).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    parts = dict(part.strip().split(" ", 1) for part in policies[0].split(";"))
    assert parts["default-src"] == "'none'"
    assert parts["img-src"] == "data:"
    assert parts["style-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in policies[0]


@pytest.mark.parametrize("name", SAMPLES)
def test_links_inside_the_page_lead_somewhere_and_ids_are_unique(
    pages: dict[str, str], name: str
) -> None:
    tags = Page(pages[name]).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for _, a in tags if a.get("href", "").startswith("#")}
    assert targets <= set(ids)


@pytest.mark.parametrize("name", SAMPLES)
def test_undefined_values_are_words(pages: dict[str, str], name: str) -> None:
    text = Page(pages[name]).text
    for word in (r"\bNaN\b", r"\bnan\b", r"\bNone\b", r"\binf\b", r"\bnull\b", r"\bFalse\b"):
        assert not re.search(word, text), word
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", pages[name]), "an empty cell"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_figure_has_title_description_and_a_table(pages: dict[str, str], name: str) -> None:
    for svg in re.findall(r"<svg[^>]*role=.img.*?</svg>", pages[name], re.DOTALL):
        assert re.search(r"<title>[^<]+</title>\s*<desc>[^<]+</desc>", svg)
    for gallery in re.split(r'<div class="gallery', pages[name])[1:]:
        section = gallery.split("</section>")[0]
        is_picture = 'class="picture"' in section.split("</figure>")[0]
        assert is_picture or "<table" in section


@pytest.mark.parametrize("name", SAMPLES)
def test_every_table_has_a_caption_and_scoped_headings(pages: dict[str, str], name: str) -> None:
    tables = re.findall(r"<table.*?</table>", pages[name], re.DOTALL)
    assert tables
    for table in tables:
        assert re.search(r"<caption>.+?</caption>", table, re.DOTALL)
        assert '<th scope="col"' in table
        heads = table.count('<th scope="col"')
        for row in re.findall(r"<tr[^>]*>(<th scope=\"row\".*?)</tr>", table, re.DOTALL):
            assert len(re.findall(r"<t[dh][ >]", row)) == heads


@pytest.mark.parametrize("name", SAMPLES)
def test_words_that_promise_too_much_do_not_occur(pages: dict[str, str], name: str) -> None:
    text = Page(pages[name]).text.lower()
    for denied in ("not certified", "no evidence of robustness"):
        text = text.replace(denied, "")
    for word in ("robust", "safe", "compliant", "certified", "ground truth", "validated"):
        assert word not in text, word
    assert "not clinical validation" in text


def test_two_renders_give_the_same_bytes(tmp_path: Path) -> None:
    results = SAMPLES["full"]
    first = build(run_folder(tmp_path / "a", results)).read_bytes()
    second = build(run_folder(tmp_path / "b", results)).read_bytes()
    assert first == second


def test_a_report_of_the_size_of_a_demo_stays_below_three_megabytes(pages: dict[str, str]) -> None:
    assert len(pages["full"].encode()) < 3_000_000


def test_a_report_of_two_hundred_cases_and_twelve_perturbations_stays_below_three_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(results_samples.LEVELS.values())
    for place in range(12):
        monkeypatch.setitem(results_samples.LEVELS, f"change_{place}", rows[place % len(rows)])
    size = results_samples.Size(
        cases=200,
        systems=tuple(f"system-{place}" for place in range(5)),
        perturbations=tuple(results_samples.LEVELS)[-12:],
    )
    results = results_samples.sample(size)
    chosen = tuple(replace(results.exhibits[0], id=f"E-{n:02d}") for n in range(1, 13))
    target = build(run_folder(tmp_path / "run", replace(results, exhibits=chosen)))
    assert target.stat().st_size < 3_000_000


HOSTILE = "<script>alert('x')</script>\"&'"


def test_hostile_names_are_shown_as_text() -> None:
    text = encode(SAMPLES["full"])
    for name in (
        "unet",
        "C001",
        "P001",
        "scanner",
        "small",
        results_samples.LABEL,
        "gaussian_blur",
    ):
        text = text.replace(f'"{name}"', json.dumps(HOSTILE + name))
    results = decode(text, Results)
    hostile = replace(
        results,
        audit=replace(results.audit, name=HOSTILE, reference_rule=HOSTILE),
        criteria=(replace(results.criteria[0], text=HOSTILE, change=HOSTILE, hazard=HOSTILE),),
        worst=(replace(results.worst[0], reason=HOSTILE, status="failed", value=None),),
        limits=(HOSTILE,),
        not_assessed=(HOSTILE,),
    )
    page = render(hostile, {HOSTILE: HOSTILE}, {}, images=True)
    assert "<script" not in page
    assert "alert('x')" not in page
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    Page(page)


def test_one_case_shows_values_and_no_interval_or_bound(pages: dict[str, str]) -> None:
    page = pages["one case"]
    assert 'class="interval"' not in page
    assert 'class="band' not in page
    assert 'class="whisker' not in page
    text = Page(page).text
    assert not re.search(r"at least [01]\.\d", text)
    assert "One patient" in text
    value = next(row.mean.value for row in SAMPLES["one case"].summaries if row.metric == "dsc")
    assert value is not None
    assert f'<data value="{value:.7g}">' in page
    assert 'class="picture"' in page


def test_a_run_without_raters_metadata_and_criteria_says_so(pages: dict[str, str]) -> None:
    text = Page(pages["bare"]).text
    assert "not assessable: one rater" in text
    assert "no metadata" in text
    assert "No claim was declared, so there is no verdict" in text
    assert "EXPLORATORY" in text


def test_failures_are_counted_and_listed(pages: dict[str, str]) -> None:
    results = SAMPLES["failures"]
    text = Page(pages["failures"]).text
    crashed = next(c.n for c in results.statuses if c.status == "crashed")
    assert crashed > 0
    assert f"{crashed} crashed" in text
    assert text.count("crashed: the child ended with signal 11") == 4


def test_pixels_are_left_out_on_request_and_the_banner_says_which(
    tmp_path: Path, pages: dict[str, str]
) -> None:
    run = run_folder(tmp_path / "run", SAMPLES["full"])
    bare = build(run, images=False, out=tmp_path / "bare.html").read_text(encoding="utf-8")
    assert "data:image" not in bare
    assert "No pixel data is embedded" in bare
    assert "contour-prediction" in bare
    assert "data:image/png;base64," in pages["full"]
    assert "embeds pixel data" in pages["full"]


def test_a_contract_in_doubt_a_preview_and_an_exhibit_that_did_not_reproduce_are_banners() -> None:
    results = SAMPLES["full"]
    first = results.systems[0]
    doubtful = replace(first, contract=replace(first.contract, status=ContractStatus.IN_DOUBT))
    results = replace(
        results,
        audit=replace(results.audit, preview=True),
        systems=(doubtful, *results.systems[1:]),
    )
    broken = Exhibit("E-01", (), None, reproduced=False, note="")
    text = Page(render(results, {}, {"E-01": broken}, images=True)).text
    assert "Preview" in text
    assert "Contract in doubt: unet" in text
    assert "Did not reproduce when run again: E-01" in text


@pytest.mark.parametrize("source", ["declared", "sidecar", "default", "probed, not declared"])
def test_every_field_of_a_contract_shows_who_says_so(pages: dict[str, str], source: str) -> None:
    marked = "</strong></td>" if source.startswith("probed") else "</td>"
    assert any(f">{source}{marked}" in page for page in pages.values())


def test_all_verdicts_are_words_with_an_icon(pages: dict[str, str]) -> None:
    for criterion in SAMPLES["full"].criteria:
        pattern = rf'<use href="#icon-\w+"></use></svg>{re.escape(str(criterion.verdict))}</span>'
        assert re.search(pattern, pages["full"]), criterion.verdict
    assert "2</data> of <data" in pages["full"]


def test_a_conditional_pass_prints_the_failure_rate_that_is_not_excluded(
    pages: dict[str, str],
) -> None:
    assert "failure rate up to 0.049 not excluded" in Page(pages["full"]).text


def test_a_run_without_perturbations_says_so() -> None:
    size = results_samples.Size(cases=8, perturbations=())
    results = results_samples.sample(size)
    head = replace(results.headline, noise_perturbation="", best_noise=())
    text = Page(render(replace(results, headline=head), {}, {}, images=True)).text
    assert "Not assessed: no perturbation was declared." in text
    assert "The change under perturbations is not assessable." in text


def test_a_run_in_which_nothing_was_measured_is_still_a_report() -> None:
    results = replace(
        SAMPLES["full"],
        summaries=(),
        conformal=(),
        comparisons=(),
        worst=(),
        difficulty=(),
        controls=(),
        exhibits=(),
        strata=(),
        criteria=(),
        cases=(),
        headline=replace(
            SAMPLES["full"].headline,
            clean=(),
            hardest=(),
            steepest=(),
            promised=(),
            best_clean=(),
            best_noise=(),
        ),
    )
    text = Page(render(results, {}, {}, images=True)).text
    assert "is not assessable" in text
    assert "No measurement was stored." in text


def test_a_second_label_is_folded_behind_the_first() -> None:
    results = SAMPLES["bare"]
    text = encode(results).replace(f'"{LABEL}"', '"liver"')
    other = decode(text, Results)
    both = replace(
        results,
        labels=(LABEL, "liver"),
        summaries=results.summaries + other.summaries,
        conformal=results.conformal + other.conformal,
        difficulty=results.difficulty + other.difficulty,
    )
    page = render(both, {}, {}, images=True)
    Page(page)
    assert "<summary>DSC of liver</summary>" in page
    assert "<summary>Lower bound on the DSC of liver</summary>" in page


def test_the_policy_of_every_metric_is_printed_as_it_was_applied(tmp_path: Path) -> None:
    results = SAMPLES["full"]
    text = Page(build(run_folder(tmp_path / "run", results)).read_text(encoding="utf-8")).text
    assert "What a metric says when there are not two masks to compare." in text
    for metric in results.metrics:
        assert metric.worst in text
        words = dict(metric.policy)
        shown = [words[status] for status in ("prediction_empty", "reference_empty", "both_empty")]
        assert f"{metric.title} {' '.join(shown)} {words['failed']}" in text
    blind = replace(results.metrics[0], blind="it looks elsewhere")
    changed = replace(results, metrics=(blind, *results.metrics[1:]))
    page = build(run_folder(tmp_path / "other", changed)).read_text(encoding="utf-8")
    assert "it looks elsewhere" in Page(page).text


@pytest.mark.parametrize("status", ["failed", "prediction_empty"])
def test_a_mean_that_leaves_cases_out_never_stands_alone(tmp_path: Path, status: str) -> None:
    results = SAMPLES["full"]
    head = results.headline
    system = head.clean[0][0]

    def of_clean(row: Summary) -> bool:
        place = (row.system, row.perturbation, row.label, row.metric, row.axis)
        return place == (system, "clean", head.label, head.metric, "all")

    counts = (StatusCount(status, 7), StatusCount("ok", 53))

    def changed(row: Summary) -> Summary:
        if of_clean(row):
            return replace(row, statuses=counts, worst_case_mean=0.123456)
        if row.axis != "all":
            return replace(row, statuses=counts, worst_case_mean=0.234567)
        return row

    rows = tuple(map(changed, results.summaries))
    page = build(run_folder(tmp_path / "run", replace(results, summaries=rows)))
    text = page.read_text(encoding="utf-8")
    words = Page(text).text
    assert f"With what is missing at its worst value: 0.123 ({system})." in words
    # on the front page, in the clean table, and with each curve that begins at clean
    beside = len(re.findall(r'worst case <data value="0.123456">', text))
    assert beside >= 1 + len({it.perturbation for it in results.conditions} - {"clean"})
    # with each group of cases, on clean scans and under perturbations
    groups = {(it.axis, it.stratum) for it in rows if it.axis != "all"}
    assert len(re.findall(r'worst case <data value="0.234567">', text)) >= 2 * len(groups)
    # and as a hollow mark in each curve
    assert "hollow mark: mean with what is missing at its worst value" in words
    assert len(re.findall(r'class="hollow s\d+"', text)) >= beside - 2
    complete = tuple(replace(row, statuses=(StatusCount("ok", 60),)) for row in results.summaries)
    again = build(run_folder(tmp_path / "whole", replace(results, summaries=complete)))
    assert "worst case <data" not in again.read_text(encoding="utf-8")
    assert "hollow mark: mean with" not in again.read_text(encoding="utf-8")
