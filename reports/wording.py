"""Numbers and statuses in words: the one place where a value becomes text.

**Conventions.** Every number that stands for a stored value is written as ``<data value="...">``:
the attribute carries the value as stored, the text its rounding, so that each number on the page
can be traced (seven digits are enough to find it). A value that does not exist is written as the
words of its status.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from markupsafe import Markup, escape

from auditor.schema import Estimate, MetricInfo, StatusCount, Summary, Verdict
from reports.document import Text

SPACE = "\u00a0"
"""Between a number and its unit: a line must not break there."""

STATUS_WORDS = {
    "ok": "evaluated",
    "both_empty": "both masks empty",
    "reference_empty": "reference empty",
    "prediction_empty": "prediction empty",
    "not_finite": "output not finite",
    "no_effect": "no effect",
    "not_applicable": "not applicable",
    "failed": "failed",
    "crashed": "crashed",
    "timed_out": "timed out",
    "rejected": "rejected",
    "quarantined": "quarantined",
    "too_few": "too few patients",
    "degenerate": "all values equal",
    "not_certifiable": "not certifiable",
    "not_assessable": "not assessable",
    "undefined": "undefined",
}
"""Status of an evaluation, a measurement or an estimate, as a reader should hear it."""

_ACRONYMS = {"ct": "CT", "mr": "MR", "us": "US", "jpeg": "JPEG", "fov": "FOV", "rf": "RF"}

_MEASURES = {
    "foreground_ratio": "foreground ratio",
    "rater_disagreement": "rater disagreement",
    "rater_assd": "rater disagreement (ASSD)",
    "rater_dsc": "rater agreement (DSC)",
    "native_noise": "own noise",
    "native_blur": "own blur",
    "native_bias": "own intensity non-uniformity",
    "window_foreground_ratio": "foreground ratio of windows",
    "object_volume": "object size",
    "components": "number of components",
    "texture_disparity": "texture disparity",
    "texture_disparity_compat": "texture disparity, as published",
}

_VERDICT_CLASS = {
    Verdict.PASS: "pass",
    Verdict.PASS_CONDITIONAL: "pass",
    Verdict.FAIL: "fail",
    Verdict.CONTRACT_IN_DOUBT: "fail",
    Verdict.INSUFFICIENT: "open",
    Verdict.NOT_ATTAINABLE: "open",
    Verdict.NOT_RUN: "none",
    Verdict.WAIVED: "none",
}


_BOUNDS = {"lower": "at least", "upper": "at most"}


def plain(name: str) -> str:
    """Name of a perturbation, an axis or a stratum as words: ``ct_dose`` -> CT dose.

    Examples
    --------
    >>> plain("ct_dose"), plain("rician_noise"), plain("rater_dsc")
    ('CT dose', 'rician noise', 'rater agreement (DSC)')
    """
    if name in _MEASURES:
        return _MEASURES[name]
    return " ".join(_ACRONYMS.get(word, word) for word in name.split("_"))


def heading(name: str) -> str:
    """Name as the words of a heading: first letter upper case."""
    words = plain(name)
    return words[:1].upper() + words[1:]


def status_words(status: str, note: str = "") -> str:
    """Words for a status, with what a reader must know about it."""
    words = STATUS_WORDS.get(status, plain(status))
    return f"{words}: {in_words(note)}" if note else words


def in_words(note: str) -> str:
    """Write the signs of a note as a reader should see them."""
    return note.replace(">=", "≥").replace("<=", "≤")


def digits(value: float, *, unit: str = "") -> str:
    """Round a value for reading: ratios to three decimals, quantities to about three digits.

    Examples
    --------
    >>> digits(0.91234), digits(12.345, unit="mm"), digits(-0.5, unit="ml"), digits(1234.6)
    ('0.912', '12.3', '−0.50', '1235')
    """
    size = abs(value)
    places = 0 if size >= 100 else 1 if size >= 10 else 2
    if size < 10 and not unit:
        places = 3
    text = f"{value:.{places}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def bound_digits(value: float, side: str, *, unit: str = "") -> str:
    """Round a bound so that the words promise no more than the number: lower ones down, upper ones up.

    Examples
    --------
    >>> bound_digits(0.80557, "lower"), bound_digits(0.80557, "upper"), bound_digits(0.29, "lower")
    ('0.805', '0.806', '0.290')
    """
    step = Decimal(digits(value, unit=unit).replace("−", "-"))
    way = ROUND_FLOOR if side == "lower" else ROUND_CEILING
    # nine digits: .29 is stored as .28999999999999998
    shown = Decimal(f"{value:.9g}").quantize(step, rounding=way)
    return f"{shown or abs(shown):f}".replace("-", "−")


def compact(value: float) -> str:
    """Write a round value in as few digits as it needs."""
    return f"{value:.4g}".replace("-", "−")


def number(value: float, *, unit: str = "", text: str | None = None) -> Markup:
    """Write a stored value, rounded, with the stored value behind it.

    Parameters
    ----------
    value
        As in results.json.
    unit
        Unit that follows; empty for a ratio.
    text
        Rounding to show instead of `digits`.
    """
    shown = digits(value, unit=unit) if text is None else text
    tail = f"{SPACE}{unit}" if unit else ""
    return Markup('<data value="{}">{}</data>{}').format(f"{value:.7g}", shown, tail)


def bound(value: float, side: str, *, unit: str = "") -> Markup:
    """Write a stored bound, rounded so that it promises no more than it does, with its side as class."""
    tail = f"{SPACE}{unit}" if unit else ""
    shown = bound_digits(value, side, unit=unit)
    return Markup('<data value="{}" class="{}">{}</data>{}').format(
        f"{value:.7g}", side, shown, tail
    )


def count(value: int) -> Markup:
    """Write a count."""
    return Markup('<data value="{}">{}</data>').format(value, f"{value:,}".replace(",", "\u202f"))


def percent(share: float) -> Markup:
    """Write a share as per cent: .95 -> 95 %."""
    return Markup('<data value="{}">{}</data>\u00a0%').format(f"{share:.7g}", f"{share * 100:.4g}")


def level(value: float | None, unit: str) -> Markup:
    """Write the level of a perturbation with its unit."""
    if value is None:
        return Markup("as it is")
    return number(value, text=f"{value:.4g}".replace("-", "−")) + (f"{SPACE}{unit}" if unit else "")


def condition(perturbation: str, severity: float, value: float | None, unit: str) -> Markup:
    """Write a condition: perturbation, level and severity."""
    if perturbation == "clean":
        return Markup("clean")
    if value is None or (not unit and value == severity):  # no level of its own
        return Markup("{} (severity {})").format(
            plain(perturbation), number(severity, text=f"{severity:g}")
        )
    return Markup("{} of {} (severity {})").format(
        plain(perturbation), level(value, unit), number(severity, text=f"{severity:g}")
    )


def patients(n: int) -> Markup:
    """Write the number of patients: n = 60 patients."""
    return Markup("n\u00a0=\u00a0{} {}").format(count(n), "patient" if n == 1 else "patients")


def value_of(estimate: Estimate, *, unit: str = "") -> Markup:
    """Write an estimate with its interval, or the words of its status."""
    if estimate.value is None:
        return Markup(escape(status_words(estimate.status, estimate.note)))
    shown = number(estimate.value, unit=unit)
    if estimate.n <= 1:
        return shown
    if estimate.side in _BOUNDS:
        shown = bound(estimate.value, estimate.side, unit=unit)
        return Markup("{} {}").format(_BOUNDS[estimate.side], shown)
    return shown + interval(estimate, unit=unit)


def interval(estimate: Estimate, *, unit: str = "") -> Markup:
    """Write the interval of an estimate, `` [0.893, 0.927]``; nothing when it has none."""
    if estimate.n <= 1 or estimate.low is None or estimate.high is None:
        return Markup("")
    low = number(estimate.low, text=digits(estimate.low, unit=unit))
    high = number(estimate.high, text=digits(estimate.high, unit=unit))
    return Markup(' <span class="interval">[{}, {}]</span>').format(low, high)


def method_of(estimate: Estimate) -> Markup:
    """Write level, side and method of an estimate."""
    has_statement = (
        estimate.n > 1
        and estimate.level is not None
        and estimate.side != "none"
        and not (estimate.side == "two-sided" and estimate.low is None)
    )
    if estimate.n < 1:
        return Markup("none")
    why = "" if estimate.status == "ok" else status_words(estimate.status, estimate.note)
    if not has_statement or estimate.level is None:
        words = (estimate.method or "descriptive") if estimate.n > 1 else "descriptive: one patient"
        return Markup(escape(f"{words} ({why})" if why and estimate.n > 1 else words))
    kind = {"two-sided": "interval", "lower": "lower bound", "upper": "upper bound"}
    words = f"{estimate.method} ({why})" if why else estimate.method
    return Markup("{} {}, {}").format(percent(estimate.level), kind[estimate.side], words)


def basis(estimates: Sequence[Estimate]) -> Markup:
    """Write n, level and method of several estimates, each different basis once."""
    seen: list[Markup] = []
    for estimate in estimates:
        words = Markup("{}; {}").format(patients(estimate.n), method_of(estimate))
        if words not in seen:
            seen.append(words)
    return Markup(" · ").join(seen)


def parameter(name: str, value: float) -> str:
    """Parameter of a metric with its unit, which its name ends with.

    Examples
    --------
    >>> parameter("tolerance_mm", 2.0), parameter("percentile", 95.0)
    ('tolerance 2 mm', 'percentile 95')
    """
    stem, _, unit = name.rpartition("_")
    if stem and unit in {"mm", "px", "ml", "mm²", "voxels", "%", "lesions"}:
        return f"{plain(stem)} {value:g} {unit}"
    return f"{plain(name)} {value:g}"


def short(metric: MetricInfo) -> str:
    """Abbreviation of a metric when its title ends with one in brackets, else its title."""
    _, bracket, rest = metric.title.rpartition("(")
    return rest[:-1] if bracket and rest.endswith(")") and " " not in rest else metric.title


def metric_title(metric: MetricInfo) -> str:
    """Short title of a metric with its parameters: NSD (tolerance 2 mm)."""
    # a value that is good enough does not change what the metric is
    named = [pair for pair in metric.parameters if not pair[0].startswith("within")]
    extra = ", ".join(parameter(name, value) for name, value in named)
    return f"{short(metric)} ({extra})" if extra else short(metric)


def statuses(counts: Iterable[StatusCount]) -> Markup:
    """Write how many evaluations ended how."""
    parts = [Markup("{} {}").format(count(c.n), status_words(c.status)) for c in counts if c.n]
    return Markup(", ").join(parts) if parts else Markup("none")


def is_complete(summary: Summary) -> bool:
    """Tell whether every evaluation of a summary has a value of two masks."""
    return all(c.status == "ok" or not c.n for c in summary.statuses)


def mean_of(summary: Summary, *, unit: str = "") -> Markup:
    """Write a mean, and the worst-case mean below it where a status other than ok stands behind it."""
    mean = value_of(summary.mean, unit=unit)
    if is_complete(summary):
        return mean
    worst: Text = (
        "undefined"
        if summary.worst_case_mean is None
        else number(summary.worst_case_mean, unit=unit)
    )
    return Markup('{}<br><span class="spread">worst case {}</span>').format(mean, worst)


def badge(verdict: Verdict | str) -> Markup:
    """Write a verdict, or a sentence that begins with one and a colon, as word, icon and colour."""
    known = {str(v): kind for v, kind in _VERDICT_CLASS.items()}
    kind = known.get(str(verdict).split(":")[0], "none")
    return Markup(
        '<span class="badge badge-{0}"><svg class="icon" viewBox="0 0 16 16" aria-hidden="true">'
        '<use href="#icon-{0}"></use></svg>{1}</span>'
    ).format(kind, str(verdict))


def link(anchor: str, words: str) -> Markup:
    """Write a link inside the page."""
    return Markup('<a href="#{}">{}</a>').format(anchor, words)


def digest(value: str, *, length: int = 12) -> Markup:
    """Write the first digits of a hash, with the whole hash as its title."""
    if not value:
        return Markup("none")
    return Markup('<code title="{}">{}</code>').format(value, value[:length])


def joined(names: Sequence[str]) -> str:
    """Join names as in a sentence: a, b and c."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def lines(parts: Iterable[Text]) -> Markup:
    """Put parts on lines of their own inside one cell."""
    return Markup("<br>").join(escape(part) for part in parts if part)
