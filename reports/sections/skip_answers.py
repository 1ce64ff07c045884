"""Which skip connection a network relies on, and which one lets a perturbation in: in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import CLEAN, AblationCurve, AblationKind, AblationPoint, Estimate
from reports.document import Text
from reports.view import View
from reports.wording import (
    condition,
    joined,
    patients,
    plain,
    short,
    status_words,
    value_of,
)

__all__ = ["answers", "condition_words", "noise_condition"]

_PREFERRED: tuple[AblationKind, ...] = ("mean", "zero", "image", "blur", "noise", "dose")
"""Which way to replace answers, when several were audited: the first of these."""
_DONE = {
    "mean": "replaced by the mean of each channel",
    "zero": "replaced by zeros",
    "image": "replaced by those of another image",
    "blur": "blurred most",
    "noise": "with most noise added",
    "dose": "scaled down most",
}


def noise_condition(view: View) -> tuple[str, float]:
    """Give the condition that stands for noise on the front page: perturbation and severity."""
    head = view.results.headline
    return head.noise_perturbation, head.noise_severity


def condition_words(curve: AblationCurve) -> str:
    """Name a condition as plain words: rician noise 9 % of S_ref."""
    if curve.severity_level is None:
        return f"{plain(curve.perturbation)}, severity {curve.severity:g}"
    return f"{plain(curve.perturbation)} {curve.severity_level:.4g} {curve.unit}".strip()


def answers(view: View) -> tuple[Text, ...]:
    """Answer for every network, on the label of the front page; nothing where nothing was ablated."""
    results = view.results
    told: list[Text] = []
    for base in dict.fromkeys(it.base for it in results.ablations):
        mine = [
            it for it in results.ablations if (it.base, it.label) == (base, results.headline.label)
        ]
        kind = next((it for it in _PREFERRED if any(curve.by == it for curve in mine)), None)
        if kind is not None:
            told += _network(view, base, [it for it in mine if it.by == kind])
    told += _without_base(view)
    return tuple(told)


def _network(view: View, base: str, curves: Sequence[AblationCurve]) -> list[Text]:
    clean = [it for it in curves if it.perturbation == CLEAN]
    place = noise_condition(view)
    noisy = [it for it in curves if (it.perturbation, it.severity) == place != (CLEAN, 0.0)]
    told: list[Text] = []
    if clean:
        told.append(_relies(view, base, [it for it in clean if _single(it)]))
    told += [_all(view, base, it) for it in clean if it.skips == "every skip connection"]
    if any(map(_single, noisy)):
        told += _lets_in(view, base, [it for it in noisy if _single(it)], clean)
    return told


def _single(curve: AblationCurve) -> bool:
    """Tell a curve about one level, or one value, from those about several."""
    return curve.level is not None or curve.skips.startswith("value ")


def _skip(curve: AblationCurve) -> str:
    named = f"the skip of {curve.skips}" if curve.level is not None else curve.skips
    return f"{named} ({curve.variant})" if curve.variant else named


def _strongest(curve: AblationCurve) -> AblationPoint:
    """Take the point at which most is taken away: the smallest share left, the most blur or noise."""
    return curve.points[0 if curve.by == "dose" else -1]


def _amount(view: View, curve: AblationCurve, estimate: Estimate) -> Markup:
    unit = view.metric(curve.metric).unit
    return Markup("{} ({})").format(value_of(estimate, unit=unit), patients(estimate.n))


def _relies(view: View, base: str, curves: Sequence[AblationCurve]) -> Text:
    known = [(it, found) for it in curves if (found := _strongest(it).reliance).value is not None]
    if not known:
        return (
            f"What {base} relies on is not assessable: no single skip has a number on clean scans."
        )
    first, most = max(known, key=lambda pair: pair[1].value or 0.0)
    skip = _skip(first)
    what = Markup("with its activations {} the loss of {} ({}) is {}").format(
        _DONE[first.by], short(view.metric(first.metric)), first.label, _amount(view, first, most)
    )
    if most.low is None:
        words = "On clean scans the largest loss of {} is without {}: {}; nothing is inferred of others."
        return Markup(words).format(base, skip, what)
    if most.low <= 0:
        words = "On clean scans {} is not shown to rely on any one skip. The largest loss is without {}: {}."
        return Markup(words).format(base, skip, what)
    near = [it for it, found in known if it is not first and _reaches(found) > most.low]
    relies = Markup("On clean scans {} relies{} on {}: {}.").format(
        base, "" if near or len(curves) == 1 else " most", skip, what
    )
    if near:
        others = joined([_skip(it) for it in near])
        told = f"interval of {others} overlaps"
        if len(near) > 1:
            told = f"intervals of {others} overlap"
        relies += Markup(" That it relies on it most is not shown: the {}.").format(told)
    return relies


def _reaches(estimate: Estimate) -> float:
    return estimate.high if estimate.high is not None else estimate.value or 0.0


def _all(view: View, base: str, curve: AblationCurve) -> Text:
    found = _strongest(curve).reliance
    return Markup(
        "Without any skip connection the loss of {} ({}) of {} is {} on clean scans."
    ).format(short(view.metric(curve.metric)), curve.label, base, _amount(view, curve, found))


def _lets_in(
    view: View, base: str, noisy: Sequence[AblationCurve], clean: Sequence[AblationCurve]
) -> list[Text]:
    at = noisy[0]
    where = condition(at.perturbation, at.severity, at.severity_level, at.unit)
    before = {(it.skips, it.variant): _strongest(it).reliance for it in clean}
    told: list[Text] = [
        _sentence(view, where, it, before.get((it.skips, it.variant)))
        for it in noisy
        if (low := _strongest(it).spared.low) is not None and low > 0
    ]
    broken = [it for it in noisy if _too_low(_strongest(it).spared)]
    first = _strongest(noisy[0]).spared
    if not broken and all(_strongest(it).spared.low is None for it in noisy):
        words = "Under {} it cannot be told whether a skip of {} lets the perturbation in: {}."
        return [Markup(words).format(where, base, status_words(first.status, first.note))]
    if not told:
        words = "Under {} no skip of {} is shown to let the perturbation in."
        told.append(Markup(words).format(where, base))
    words = "Under {} nothing is said of {}: {}."
    told += [Markup(words).format(where, _skip(it), _strongest(it).spared.note) for it in broken]
    return told


def _too_low(estimate: Estimate) -> bool:
    return estimate.status == "not_assessable" and estimate.value is not None


def _sentence(view: View, where: Markup, curve: AblationCurve, clean: Estimate | None) -> Markup:
    """One skip that lets a perturbation in, with its price on clean scans."""
    point = _strongest(curve)
    told = Markup(
        "Under {} {} lets the perturbation in: without it the loss from clean is smaller by {}"
    ).format(where, _skip(curve), _amount(view, curve, point.spared))
    if clean is not None and clean.value is not None:
        told += Markup("; the price on clean scans is {}").format(_amount(view, curve, clean))
    high = point.reliance.high
    better = high is not None and high < 0
    end = (
        "There the network is better without it"
        if better
        else "That the network is better without it there is not shown"
    )
    return told + Markup(". {} (reliance {}).").format(end, _amount(view, curve, point.reliance))


def _without_base(view: View) -> list[Text]:
    """Name ablated systems of which nothing can be told, because their network did not run as it is."""
    known = {point.system for it in view.results.ablations for point in it.points}
    alone = [
        it.name for it in view.results.systems if it.ablation is not None and it.name not in known
    ]
    if not alone:
        return []
    told = (
        f"Of {joined(alone)} no reliance can be told: the same network, as it is, is no system of this audit "
        "(same checkpoint, contract, window, flips and precision)."
    )
    return [told]
