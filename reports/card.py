"""Make ``rating.html`` from a rating: one page to print, for whoever looks at the scan."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from auditor.schema.ratings import (
    AxisPosition,
    Grade,
    GradeOutcome,
    Rating,
    RatingCard,
    RatingPicture,
    bound_text,
)
from auditor.schema.site import Side
from reports import html
from reports.build import write_page
from reports.charts.pictures import rating_legend, rating_picture
from reports.charts.rating import axis_strip
from reports.document import CardPage, Column, Figure, Gallery, Items, Table, Terms, Text
from reports.wording import (
    count,
    digest,
    heading,
    in_words,
    number,
    patients,
    percent,
    plain,
    status_words,
    value_of,
)

__all__ = ["build_card", "render_card"]

_LIMITS: tuple[Text, ...] = (
    (
        "The bound is a statement on the long run of scans like the calibration scans. It is no probability "
        "for this patient, and says nothing about where the prediction is wrong."
    ),
    "Inner and outer mask are no treatment margins.",
    (
        "It holds for the kinds of noise that were calibrated. Another artefact with the same estimate, "
        "another scanner or protocol, or another population is not covered."
    ),
    (
        "A grade is no clinical decision. Not rated is no judgement of the scan: nothing is promised, for the "
        "reason that is stated."
    ),
)


def build_card(folder: Path, card: RatingCard) -> Path:
    """Write the page of one rating.

    Parameters
    ----------
    folder
        Where it is written.
    card
        The rating with its pictures.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    target = folder / "rating.html"
    write_page(target, render_card(card))
    return target


def render_card(card: RatingCard) -> str:
    """Print the page; the same record gives the same bytes."""
    rating = card.rating
    facts = rating.certificate
    tables = (_axes(rating), _worth(rating))
    return html.write(
        CardPage(
            name=f"{rating.scan}: {facts.label}",
            stamp="NOT RATED" if rating.grade is Grade.NOT_RATED else f"GRADE {rating.grade.value}",
            stamp_meaning=_meaning(rating),
            overall="",
            identities=(
                ("certificate", digest(facts.digest)),
                ("system", facts.system),
                ("checkpoint", digest(facts.sha256)),
                ("tool", rating.tool),
            ),
            banners=_banners(card),
            bound=_bound(rating),
            promise=rating.sentence,
            lists=_lists(rating),
            pictures=_pictures(card),
            tables=tuple(it for it in tables if it.rows),
            facts=_facts(rating),
            limits=Items(_LIMITS),
            source="Every number on this page comes from rating.json of this folder.",
        )
    )


def _meaning(rating: Rating) -> str:
    first, second = rating.certificate.grades
    words = {
        Grade.A: f"the lower bound of the DSC reaches {first:g}",
        Grade.B: f"the lower bound of the DSC reaches {second:g}, not {first:g}",
        Grade.C: f"the lower bound of the DSC does not reach {second:g}",
        Grade.NOT_RATED: "nothing is promised for this scan",
    }
    return words[rating.grade]


def _banners(card: RatingCard) -> tuple[tuple[str, Text], ...]:
    pixels = any(it.png for it in card.pictures)
    words = "Pixels of the scan are embedded." if pixels else "No pixel of the scan is embedded."
    told: list[tuple[str, Text]] = [("info", words)]
    if card.rating.used_for_calibration:
        told.append(
            ("warning", "This very scan was used for calibration: its bound says nothing new")
        )
    return tuple(told)


def _bound(rating: Rating) -> Text:
    if rating.bound.value is None:
        return "Not rated"
    return Markup("DSC above {}").format(
        number(rating.bound.value, text=bound_text(rating.bound.value))
    )


def _lists(rating: Rating) -> tuple[tuple[str, Items], ...]:
    lists = []
    if rating.reasons:
        lists.append(("Not rated because", Items(rating.reasons)))
    notes = rating.notes[1:] if rating.used_for_calibration else rating.notes
    if notes:
        lists.append(("To be known", Items(notes)))
    return tuple(lists)


def _pictures(card: RatingCard) -> Gallery | None:
    if not card.pictures:
        return None
    names = [it.name for it in card.pictures[0].contours]
    figures = tuple(
        Figure(rating_picture(it, title=_title(it)), _title(it)) for it in card.pictures
    )
    return Gallery(figures, legend=rating_legend(names), width="third")


def _title(picture: RatingPicture) -> str:
    where = "" if picture.slice is None else f", slice {picture.slice}"
    return f"{picture.plane}{where}"


def _axes(rating: Rating) -> Table:
    rows = tuple(_axis_row(it) for it in rating.positions)
    return Table(
        "Where the scan lies on the axes of the audit, by what can be estimated on it.",
        (
            Column("Axis"),
            Column("Estimate", "number"),
            Column("Severity", "number"),
            Column("Rated up to", "number"),
            Column("Among the calibration scans"),
            Column("Verdict"),
        ),
        rows,
        note=(
            "Dark: calibration scans as they are. Light: up to where scans like this one are rated, which ends "
            "at the dashed line. Small numbers: severities that were added in the audit. Dot: this scan, "
            "inside; diamond: outside. INU: how much brightness varies across the scan; FWHM: width of a "
            "blurred point; S_ref: reference signal of the scan."
        ),
    )


def _axis_row(it: AxisPosition) -> tuple[Text, ...]:
    axis, placed = it.axis, it.placement
    if not axis.usable:
        return heading(axis.perturbation), "none", "not told", "none", placed.reason, "not assessed"
    where = {
        Side.CLEANER: "cleaner than the calibration scans",
        Side.BEYOND: "beyond the highest",
        Side.UNDEFINED: f"undefined: {placed.reason}",
        Side.WITHIN: f"{it.bin}",
    }
    kind = "calibrated" if it.calibrated else "not calibrated"
    return (
        Markup("{} <span class='quiet'>{}</span>").format(heading(axis.perturbation), kind),
        _level(placed.estimate, axis.unit),
        where[placed.side],
        _level(it.limit, axis.unit),
        axis_strip(it),
        "inside" if it.inside else "outside",
    )


def _level(value: float | None, unit: str) -> Text:
    """Write an estimate, which has no more than three digits that tell anything."""
    return "none" if value is None else number(value, unit=unit, text=f"{value:.3g}")


def _worth(rating: Rating) -> Table:
    """Show what scans of each grade turned out to be: as they are, and in the bin of this one."""
    rows = [
        _outcome_row(it, "that look as clean as the test set") for it in rating.certificate.outcomes
    ]
    own = rating.outcome
    if own is not None and rating.bin not in {"0", ""}:
        where = f"{plain(rating.calibrated_by)} {rating.bin}, as this scan"
        rows.append(_outcome_row(own, where))
    return Table(
        "What a grade was worth: calibration patients, each graded by the certificate of all others.",
        (
            Column("Grade"),
            Column("Scans"),
            Column("Patients", "number"),
            Column("DSC reaches", "number"),
            Column("Share that does", "number"),
            Column("Mean DSC", "number"),
        ),
        tuple(rows),
        note="Intervals: 95 %, Clopper-Pearson. A bound holds for its share of all scans, not of each grade.",
    )


def _outcome_row(it: GradeOutcome, where: str) -> tuple[Text, ...]:
    return (
        it.grade.value,
        where,
        count(it.reached.n),
        number(it.threshold, text=f"{it.threshold:g}"),
        value_of(it.reached) if it.reached.n else "none",
        "none" if it.mean_dsc is None else number(it.mean_dsc),
    )


def _facts(rating: Rating) -> Terms:
    facts, margins = rating.certificate, rating.margins
    entries: list[tuple[Text, Text]] = [
        (
            "Calibration",
            Markup("{} of {} ({} scans, {} failed and count with DSC 0); {}, {}").format(
                patients(facts.patients), facts.audit, count(facts.scans), count(facts.failed),
                plain(facts.modality), facts.state,
            ),
        ),
        ("Bound", _bound_words(rating)),
        ("Bound against an unlucky calibration", _pac_words(rating)),
        ("Proxy", _proxy_words(rating)),
        (
            "Inner and outer mask",
            Markup(
                "the outer one holds {} of the reference, {} of the inner one belongs to it, both for {} of "
                "scans; {}"
            ).format(
                percent(margins.outer_share), percent(margins.inner_share), percent(margins.level),
                _margin_words(rating),
            ),
        ),
    ]  # fmt: skip
    if rating.foreground_ratio:
        volume = "" if rating.volume is None else number(rating.volume, unit=_volume_unit(rating))
        entries.append(
            (
                "Prediction",
                Markup("{} of the scan, {}").format(percent(rating.foreground_ratio), volume),
            )
        )
    return Terms(tuple(entries))


def _bound_words(rating: Rating) -> Text:
    bound, facts = rating.bound, rating.certificate
    if bound.value is None:
        return Markup("none; it would be for {} of scans").format(percent(1 - facts.alpha))
    where = plain(rating.calibrated_by)
    bin_ = "that look as clean as the test set" if rating.bin == "0" else f"at {where} {rating.bin}"
    group = f", foreground ratio {rating.group}" if rating.group else ""
    return Markup("{} for {} of scans, {}, scans {}{}; {}").format(
        value_of(bound), percent(1 - facts.alpha), patients(bound.n), bin_, group, bound.method
    )


def _pac_words(rating: Rating) -> Text:
    pac, facts = rating.pac_bound, rating.certificate
    if pac.value is None:
        return in_words(status_words(pac.status, pac.note)) if pac.status != "not_rated" else "none"
    return Markup("{}: holds for {} of scans with {} certainty").format(
        value_of(pac), percent(1 - facts.alpha), percent(1 - facts.delta)
    )


def _proxy_words(rating: Rating) -> Text:
    words = rating.certificate.proxy_note
    if rating.proxy is None:
        return words
    made = Markup(" over {} copies").format(count(rating.copies)) if rating.copies else ""
    return Markup("{}; here {}{}").format(words, number(rating.proxy), made)


def _margin_words(rating: Rating) -> Text:
    margins = rating.margins
    if margins.outer is None or margins.inner is None:
        return "here none" if margins.status == "not_rated" else in_words(margins.note)
    how = "from its border" if margins.family == "distance" else "in probability"
    return Markup("here {} outwards and {} inwards {} ({})").format(
        number(margins.outer, unit=margins.unit), number(margins.inner, unit=margins.unit), how,
        patients(margins.n),
    )  # fmt: skip


def _volume_unit(rating: Rating) -> str:
    return "ml" if rating.certificate.length_unit == "mm" else "px"
