"""The front page: five answers with a number each, what was not assessed, and the verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import CriterionResult, Estimate, SystemRecord, Verdict
from reports.document import Answer, Column, Front, Table, Text
from reports.sections.clean import left_out, with_worst
from reports.sections.envelope import small
from reports.view import View
from reports.wording import (
    badge,
    basis,
    bound,
    condition,
    count,
    digest,
    in_words,
    interval,
    joined,
    lines,
    method_of,
    metric_title,
    number,
    patients,
    percent,
    plain,
    short,
    status_words,
    statuses,
    value_of,
)

_STAMPS = {
    "EXPLORATORY": "no criteria were declared before the first result",
    "PRE-DECLARED": "criteria were locked before the first result",
    "WITNESSED": "criteria were locked before the first result, confirmed by an outside token",
}

_TABLE_STAMP = "the measurements existed before anything was declared here"

_EVALUATED = {"ok", "no_effect", "both_empty", "reference_empty", "prediction_empty"}
"""Statuses of evaluations that gave a mask, or had nothing new to look at."""

_SUPPORTED = {Verdict.PASS, Verdict.PASS_CONDITIONAL}


def front(view: View) -> Front:
    """Fill the front page."""
    results = view.results
    audit = results.audit
    return Front(
        name=audit.name,
        stamp=audit.stamp,
        stamp_meaning=_STAMPS.get(audit.stamp, "") if results.measured is None else _TABLE_STAMP,
        overall=badge(results.overall) if results.overall != audit.stamp else "",
        facts=_facts(view),
        identities=_identities(view),
        banners=_banners(view),
        answers=(_well(view), _fails(view), _changes(view), _promised(view), _preferable(view)),
        not_assessed=tuple(results.not_assessed),
        claims=_claims(view),
        verdicts=_verdicts(view) if results.criteria else None,
        envelope=small(view),
    )


def _facts(view: View) -> tuple[tuple[Text, Text], ...]:
    results = view.results
    cases = len(results.cases)
    people = len({case.patient for case in results.cases})
    missing = [c for c in results.statuses if c.status not in _EVALUATED and c.n]
    return (
        (count(cases), "case" if cases == 1 else "cases"),
        (count(people), "patient" if people == 1 else "patients"),
        (count(len(view.systems)), "system" if len(view.systems) == 1 else "systems"),
        *([(count(len(view.ablated)), "ablated copies")] if view.ablated else []),
        *_size(view),
        (statuses(missing) if missing else "none", "without a result"),
    )


def _shown(view: View) -> tuple[SystemRecord, ...]:
    """Systems whose checkpoint and contract are told: an ablated one has those of its network."""
    return tuple(it for it in view.results.systems if it.name not in view.ablated)


def _size(view: View) -> tuple[tuple[Text, Text], ...]:
    """Say how much was evaluated, here or elsewhere."""
    results = view.results
    if results.measured is not None:
        conditions = len(results.conditions)
        return (
            (count(conditions), "condition" if conditions == 1 else "conditions"),
            (count(results.planned), "evaluations, made elsewhere"),
        )
    return (
        (count(len(view.perturbations)), "simulated perturbations"),
        (count(results.planned), "planned evaluations"),
    )


def _identities(view: View) -> tuple[tuple[str, Text], ...]:
    audit = view.results.audit
    if view.results.measured is not None:
        return (
            ("tables", digest(audit.manifest_digest)),
            ("options", digest(audit.config_digest)),
            ("measurements", digest(audit.plan_digest)),
            ("segaudit", audit.tool_version),
        )
    systems = [Markup("{} {}").format(s.name, digest(s.sha256)) for s in _shown(view)]
    return (
        ("systems", Markup(", ").join(systems)),
        ("configuration", digest(audit.config_digest)),
        ("plan", digest(audit.plan_digest)),
        ("cases", digest(audit.manifest_digest)),
        ("segaudit", audit.tool_version),
    )


def _banners(view: View) -> tuple[tuple[str, Text], ...]:
    shown = [("info", "Simulated perturbations – not clinical validation.")]
    if view.results.measured is not None:
        told = (
            "Measured elsewhere: nothing was run here, and no scan, reference or system was seen."
        )
        shown = [("warning", told)]
    if view.images and view.exhibits:
        shown.append(("info", "This file embeds pixel data of the exhibits."))
    else:
        shown.append(("info", "No pixel data is embedded in this file."))
    if view.results.audit.preview:
        shown.append(
            ("warning", "Preview: not all cases were evaluated, so there are no verdicts.")
        )
    if view.single:
        shown.append(
            (
                "warning",
                "One patient: values of this patient are shown; nothing is stated about others.",
            )
        )
    doubtful = [s for s in _shown(view) if s.contract.status == "in doubt"]
    if doubtful:
        names = joined([s.name for s in doubtful])
        words = [f"Contract in doubt: {names} may not be run as the maker runs it."]
        words += [f"{s.name}: {in_words(s.contract.note)}." for s in doubtful if s.contract.note]
        shown.append(("warning", lines(words)))
    broken = [e.id for e in view.exhibits.values() if not e.reproduced]
    if broken:
        shown.append(("warning", f"Did not reproduce when run again: {joined(broken)}."))
    return tuple(shown)


def _extreme(
    named: Sequence[tuple[str, Estimate]], *, largest: bool
) -> tuple[str, Estimate] | None:
    have = [(e.value, place) for place, (_, e) in enumerate(named) if e.value is not None]
    if not have:
        return None
    _, place = (max if largest else min)(have, key=lambda pair: pair[0])
    return named[place]


def _well(view: View) -> Answer:
    head = view.results.headline
    metric = view.metric(head.metric)
    what = f"{'' if view.single else 'mean '}{metric_title(metric)} of {head.label}"
    low = _extreme(head.clean, largest=False)
    high = _extreme(head.clean, largest=True)
    sentence: Text = f"The {what} on clean scans is not assessable."
    if low and high and low[0] != high[0]:
        sentence = Markup("On clean scans the {} lies between {} ({}) and {} ({}).").format(
            what, _bare(low[1], metric.unit), low[0], _bare(high[1], metric.unit), high[0]
        )
    elif low:
        sentence = Markup("On clean scans {} reaches a {} of {}{}.").format(
            low[0], what, _bare(low[1], metric.unit), interval(low[1], unit=metric.unit)
        )
    return Answer(
        question="How well does it work?",
        sentence=Markup("{}{}").format(sentence, left_out(view)),
        details=tuple((name, with_worst(view, name, e)) for name, e in head.clean),
        basis=basis([e for _, e in head.clean]),
        section="clean",
        link="Clean performance",
    )


def _at_least(estimate: Estimate) -> Markup:
    return Markup("") if estimate.value is None else bound(estimate.value, "lower")


def _bare(estimate: Estimate, unit: str) -> Markup:
    return number(estimate.value, unit=unit) if estimate.value is not None else Markup("")


def _fails(view: View) -> Answer:
    head = view.results.headline
    unit = view.metric(head.metric).unit
    groups = [(f"“{plain(name)}” by {plain(axis)}", e) for _, axis, name, e in head.hardest]
    higher = view.metric(head.metric).higher_is_better
    worst = _extreme(groups, largest=not higher)
    details: list[tuple[str, Text]] = [
        (system, Markup("{}: {}").format(group, with_worst(view, system, e, axis, name)))
        for (system, axis, name, _), (group, e) in zip(head.hardest, groups, strict=True)
    ]
    if worst:
        place = next(i for i, (_, e) in enumerate(groups) if e is worst[1])
        sentence: Text = Markup("The weakest group of cases is {}: mean {} {} ({}, {}).").format(
            worst[0],
            short(view.metric(head.metric)),
            _bare(worst[1], unit),
            head.hardest[place][0],
            patients(worst[1].n),
        )
    elif any(it.kind == "descriptive" for it in view.results.strata):
        sentence = "Groups of cases are descriptive: they were named after results existed."
    else:
        sentence = "Groups of cases are not assessable: no stratum has enough patients."
    worst_case = next((w for w in view.results.worst if w.perturbation == "clean"), None)
    if worst_case is not None:
        value: Text = (
            number(worst_case.value, unit=view.metric(worst_case.metric).unit)
            if worst_case.value is not None
            else status_words(worst_case.status, worst_case.reason)
        )
        words = Markup("{} {} ({})").format(worst_case.case, value, worst_case.system)
        details.append(("lowest single clean case", words))
    return Answer(
        question="On which cases does it fail?",
        sentence=sentence,
        details=tuple(details),
        basis=basis([e for *_, e in head.hardest]) if head.hardest else "",
        section="strata",
        link="Groups of cases",
    )


def _changes(view: View) -> Answer:
    head = view.results.headline
    metric = view.metric(head.metric)
    named = [(str(place), row[-1]) for place, row in enumerate(head.steepest)]
    steep = _extreme(named, largest=True)
    if steep:
        system, perturbation, severity, level, unit, drop = head.steepest[int(steep[0])]
        sentence: Text = Markup("The steepest loss of {} is {}{}: {} under {}.").format(
            short(metric),
            _bare(drop, metric.unit),
            interval(drop, unit=metric.unit),
            system,
            condition(perturbation, severity, level, unit),
        )
    else:
        sentence = "The change under perturbations is not assessable."
    details = tuple(
        (
            system,
            Markup("loses {} under {}").format(
                value_of(drop, unit=metric.unit), condition(perturbation, severity, level, unit)
            ),
        )
        for system, perturbation, severity, level, unit, drop in head.steepest
    )
    return Answer(
        question="How does it change with noise and artefacts?",
        sentence=sentence,
        details=details,
        basis=basis([row[-1] for row in head.steepest]) if head.steepest else "",
        section="response",
        link="Severity-response curves",
    )


def _promised(view: View) -> Answer:
    head = view.results.headline
    named = [(system, bound) for system, bound, _, _ in head.promised]
    best = _extreme(named, largest=True)
    if best and best[1].value is not None and best[1].value <= 0.0:
        sentence: Text = "Nothing can be promised for a new case: the lower bound of the DSC is 0."
    elif best and best[1].level is not None:
        sentence = Markup(
            "For about {} of new patients like these the DSC of {} on clean scans is at least {} ({})."
        ).format(percent(best[1].level), head.label, _at_least(best[1]), best[0])
    else:
        why = next((status_words(e.status, e.note) for _, e in named if e.value is None), "")
        sentence = f"Nothing can be promised for a new case: {why or 'no bound was calibrated'}."
    details = tuple(
        (
            system,
            Markup("{}{}").format(
                value_of(bound),
                Markup("; held for {} of {} patients left out").format(count(held), count(counted))
                if counted
                else "",
            ),
        )
        for system, bound, held, counted in head.promised
    )
    return Answer(
        question="What is promised for a new case?",
        sentence=sentence,
        details=details,
        basis=basis([e for _, e in named]) if named else "",
        section="bounds",
        link="Conformal bounds",
    )


def _preferable(view: View) -> Answer:
    head = view.results.headline
    pairs = [
        c
        for c in view.results.comparisons
        if c.label == head.label
        and c.metric == head.metric
        and (c.perturbation, c.severity)
        in {("clean", 0.0), (head.noise_perturbation, head.noise_severity)}
    ]
    if len(view.systems) < 2:
        sentence: Text = "Not assessable: one system was audited."
    else:
        noise = condition(
            head.noise_perturbation, head.noise_severity, head.noise_level, head.noise_unit
        )
        sentence = _winner(head.best_clean, Markup("on clean scans"))
        if head.noise_perturbation:
            sentence += _winner(head.best_noise, Markup("under {}").format(noise), first=False)
    unit = view.metric(head.metric).unit
    details = tuple(
        (
            f"{c.first} − {c.second}",
            Markup("{}: {}").format(
                condition(c.perturbation, c.severity, c.level, c.unit),
                value_of(c.difference, unit=unit),
            ),
        )
        for c in pairs[:6]
    )
    return Answer(
        question="Which system is preferable?",
        sentence=sentence,
        details=details,
        basis=basis([c.difference for c in pairs[:6]]) if pairs else "",
        section="comparison",
        link="Comparison of systems",
    )


def _winner(best: Sequence[str], where: Markup, *, first: bool = True) -> Markup:
    space = "" if first else " "
    if len(best) == 1:
        return Markup("{}{} is preferable {}.").format(space, best[0], where)
    if not best:
        return Markup("{}No system can be compared {}.").format(space, where)
    return Markup("{}No clear winner {} among {}.").format(space, where, joined(best))


def _claims(view: View) -> Text:
    criteria = view.results.criteria
    if not criteria:
        if view.results.audit.preview:
            return "No claim was declared, and a preview judges none"
        return "No claim was declared, so there is no verdict"
    kept = [c for c in criteria if c.verdict in _SUPPORTED]
    return Markup("{} of {} declared claims supported by the evidence").format(
        count(len(kept)), count(len(criteria))
    )


def _verdicts(view: View) -> Table:
    columns = (
        Column("Claim", "wide"),
        Column("Verdict"),
        Column("Threshold", "number"),
        Column("Estimate", "number"),
        Column("Deciding bound", "bound"),
        Column("n", "number"),
        Column("What would change it", "wide"),
    )
    level = percent(view.results.audit.criteria_level)
    caption = Markup(
        "Verdicts. A claim passes when its one-sided {} bound meets the threshold, and fails when "
        "the opposite bound misses it; a point estimate decides nothing."
    ).format(level)
    rows = tuple(_verdict_row(view, c) for c in view.results.criteria)
    return Table(caption=caption, columns=columns, rows=rows, stacked=True)


def _verdict_row(view: View, c: CriterionResult) -> tuple[Text, ...]:
    unit = "" if c.form == "share_of_patients_at_least" else view.metric(c.metric).unit
    fragile = c.sensitivity is not None and c.sensitivity.fragile
    tags = [
        c.evidence,
        c.hazard,
        "" if c.required else "not required",
        "fragile: hangs on patients without a number" if fragile else "",
    ]
    claim = lines(
        [
            Markup("<strong>{}</strong> {}").format(c.id, c.text),
            Markup('<span class="quiet">{}</span>').format(" · ".join(t for t in tags if t)),
        ]
    )
    sides = [
        Markup('{}<br><span class="quiet">{}</span>').format(
            value_of(b, unit=unit),
            lines([method_of(b), in_words(b.note) if b.status == "ok" else ""]),
        )
        for b in _deciding(c)
        if b.value is not None and b.n > 1
    ]
    more = (
        Markup("About {} patients like these would decide it.").format(count(c.needed_patients))
        if c.needed_patients is not None
        else ""
    )
    change = lines([c.change, more])
    bound = (
        Markup("<br>").join(sides)
        if sides
        else value_of(c.bound, unit=unit)
        if c.bound.value is None
        else Markup("none: one patient")
    )
    return (
        claim,
        badge(c.verdict),
        number(c.threshold, unit=unit),
        value_of(c.estimate, unit=unit),
        bound,
        count(c.estimate.n),
        change or "nothing",
    )


def _deciding(c: CriterionResult) -> tuple[Estimate, ...]:
    """Pick the bound that decided; undecided claims show both."""
    if c.verdict in _SUPPORTED:
        return (c.bound,)
    return (c.opposite,) if c.verdict == Verdict.FAIL else (c.bound, c.opposite)
