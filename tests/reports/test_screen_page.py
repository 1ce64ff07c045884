"""The page of a screen: doubt on top, nothing that is not stored, and a browser that blocks nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rows_tables import DSC, HD95

from auditor.schema import (
    Contract,
    ContractStatus,
    Estimate,
    Sensitivity,
    StatusCount,
    SystemRecord,
    encode,
)
from auditor.schema.screen import (
    SCREEN_VERSION,
    AuditCost,
    CleanValue,
    DrawnCase,
    Drop,
    LabelDrop,
    Screen,
    Vulnerability,
)
from reports.screen import build_screen, render_screen

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


def drop(severity: float, mean: float | None, *statuses: StatusCount) -> Drop:
    return Drop(
        severity=severity, level=severity * 5, unit="% of S_ref", n=0 if mean is None else 2,
        mean=mean, smallest=mean and mean - 0.125, largest=mean and mean + 0.0625,
        failures=sum(it.n for it in statuses if it.status == "crashed"),
        statuses=statuses or (StatusCount("ok", 2),), reasons=("it <fell> over",) if statuses else (),
        distance_rise=None if mean is None else 10 * mean, distance_n=0 if mean is None else 2,
        labels=(LabelDrop("organ", 2, mean), LabelDrop("tumour", 0, None)),
    )  # fmt: skip


def hurt(
    name: str, rank: int | None, *drops: Drop, note: str = "", reached: int = 2
) -> Vulnerability:
    means = [it.mean for it in drops if it.mean is not None]
    area = (
        Estimate(sum(means) / len(means), 2, "descriptive", status="too_few", note="needs n >= 10")
        if rank
        else Estimate(None, 0, "descriptive", status="not_assessable", note="no patient")
    )
    return Vulnerability(
        name, "noise", rank, area, tuple(it.severity for it in drops if it.mean is not None),
        drops, reached, note,
    )  # fmt: skip


def sample() -> Screen:
    crashed = StatusCount("crashed", 1)
    none = StatusCount("no_effect", 2)
    return Screen(
        version=SCREEN_VERSION, tool="segaudit 0", name="net-screen", stamp="EXPLORATORY",
        modality="mr", state="raw", seed=3, preset="mri", reference_rule="given",
        length_unit="mm",
        system=SystemRecord(
            name="net", family="", training_seed=None, format="onnx", sha256="a" * 64,
            size_bytes=12345, contract=Contract((), ContractStatus.IN_DOUBT, "axes: <LPS> is better"),
            golden_pairs=0, golden_agreement=None, claimed=(), claimed_source="",
            sandbox=("own process",), statuses=(),
        ),
        labels=("organ", "tumour"), metrics=(DSC, HD95), patients=7,
        drawn=(
            DrawnCase("P002", "C003", (CleanValue("organ", 0.8125, 2.5, "ok", ""),), 2),
            DrawnCase(
                "P005", "C006", (CleanValue("organ", None, None, "timed_out", "too slow"),), 1
            ),
            DrawnCase("P006", "C008", (), 0),
        ),
        vulnerabilities=(
            hurt("rician_noise", 1, drop(1, 0.25), drop(3, 0.5, crashed), drop(5, 0.75)),
            hurt(
                "gibbs", 2, drop(1, None, none), drop(3, 0.125), drop(5, 0.125),
                note="severity 1 is left out: no effect",
            ),
            hurt("ghosting", 2, drop(1, 0.0), drop(3, 0.125), drop(5, 0.25)),
            hurt("spike", None, drop(1, None, none), note="no level has an effect on these scans"),
            hurt("motion", None, drop(1, None), note="not reached before the end", reached=0),
        ),
        planned=90, done=17, statuses=(crashed, none, StatusCount("ok", 14)), ended="time limit",
        limit_s=1800.0, spent_s=1795.5,
        cost=AuditCost(4, 6, 606, 18600.0, 9, 12.0, 9000.0),
        said=("input.axes: nobody says",), config_digest="c" * 64, plan_digest="d" * 64,
        manifest_digest="e" * 64, draft_sha256="f" * 64, remaining=4,
    )  # fmt: skip


def test_a_contract_in_doubt_stands_above_everything() -> None:
    page = render_screen(sample())
    assert page.index("CONTRACT IN DOUBT") < page.index("Summary</h2>")
    assert "Contract in doubt. axes: &lt;LPS&gt; is better" in page
    assert page.index("Contract check</h2>") < page.index("What hurts most</h2>")
    other = Sensitivity("axes: LPS is better", 3, 5, 0.4, "axes: LPS", 0.9, "input: {axes: LPS}")
    tried = replace(sample().system.contract, sensitivity=other)
    doubted = render_screen(replace(sample(), system=replace(sample().system, contract=tried)))
    assert "If that is right, write <code>input: {axes: LPS}</code>." in doubted
    sound = replace(sample().system, contract=Contract((), ContractStatus.DECLARED_ONLY, ""))
    assert "in doubt" not in render_screen(replace(sample(), system=sound)).lower()


def test_ranks_ties_failures_and_what_says_nothing_are_shown() -> None:
    page = render_screen(sample())
    body = re.sub(r"<[^>]+>", " ", page)
    assert re.search(r"Rician noise\s+1\s+0\.500", body)
    assert re.search(r"Gibbs\s+2\s+=\s", body)
    assert re.search(r"Ghosting\s+2\s+=\s", body)
    assert "it &lt;fell&gt; over" in page
    assert "severity 1 is left out: no effect" in page
    assert "no level has an effect on these scans" in page
    assert "not reached before the end" in page
    assert "No interval stands where it needs n &gt;= 10." in page
    assert "5 h 10 min" in page
    assert "too slow" in page


def test_every_number_is_stored(tmp_path: Path) -> None:
    stored = encode(sample())
    numbers = {f"{float(it):.7g}" for it in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", stored)}
    # what is counted: patients with clean values, ranked and reached perturbations, drawn ones
    counted = {"0", "1", "2", "3", "4", "5"}
    page = build_screen(tmp_path, sample()).read_text(encoding="utf-8")
    shown = {f"{float(it):.7g}" for it in re.findall(r'<data value="([^"]+)"', page)}
    assert len(shown) > 20
    assert shown <= numbers | counted


def test_the_page_holds_no_script_no_style_attribute_and_no_address() -> None:
    page = render_screen(sample())
    assert "<script" not in page
    assert " style=" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert page == render_screen(sample())


def test_a_screen_that_reached_nothing_but_clean_scans_still_has_a_page() -> None:
    none = tuple(
        replace(it, rank=None, reached=0, note="not reached before the end")
        for it in sample().vulnerabilities
    )
    page = render_screen(replace(sample(), vulnerabilities=none, remaining=0, ended="interrupted"))
    assert "No perturbation was reached before the end" in page
    assert "Ended by an interrupt" in page
    assert "on all patients, as none would be left" in page


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_blocks_nothing(tmp_path: Path) -> None:
    page = build_screen(tmp_path, sample())
    assert CHROMIUM is not None
    flags = (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--enable-logging=stderr",
    )  # fmt: skip
    done = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}",
         f"--screenshot={tmp_path / 'page.png'}", "--window-size=390,900", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "Content Security Policy" not in done.stderr
    assert (tmp_path / "page.png").stat().st_size > 10_000
