"""Skip connections and ablated systems of sample results: laws with known answers, drawn like the rest.

Of `unet` level 1 is worth .20 everywhere; level 0 is worth .02 on clean scans and spares .03 a severity; level
2 is ignored. Each of the three is replaced by the mean, level 1 at three doses, level 0 by three noises.
"""

from __future__ import annotations

from dataclasses import replace

from sample_numbers import LABEL, LEVELS

from auditor.schema import (
    AblationCurve,
    AblationKind,
    AblationPoint,
    AblationSpec,
    Estimate,
    NetworkFacts,
    NetworkLevel,
    NetworkSkip,
    Results,
)

__all__ = ["NETWORK", "curve", "estimate", "with_ablations"]

METHOD = "paired studentized bootstrap, max-T over the 3 sets of skips"
NETWORK = NetworkFacts(
    systems=("unet",),
    fed=(1, 1, 96, 96, 48),
    skips=(
        NetworkSkip(0, (96, 96, 48), 16, "/down0/act/Relu", "Concat", nested=False, places=1),
        NetworkSkip(1, (48, 48, 24), 32, "/down1/act/Relu", "Concat", nested=False, places=2),
        NetworkSkip(2, (24, 24, 12), 0, "/down2/act/Relu", "add", nested=False, places=1),
    ),
    complete=True,
    minimal=True,
    coarsest=(12, 12, 6),
    levels=(
        NetworkLevel((96, 96, 48), 16, 16),
        NetworkLevel((48, 48, 24), 32, 32),
        NetworkLevel((24, 24, 12), 64, 64),
        NetworkLevel((12, 12, 6), 128, 0),
    ),
)
CLEAN = Estimate(
    None, 0, "none", status="not_assessable", note="clean scans are what others are compared with"
)


def estimate(value: float, half: float = 0.015, n: int = 20) -> Estimate:
    if not value:
        note = "the difference is the same in all patients; resampling says nothing of others"
        return Estimate(0.0, n, "descriptive", status="degenerate", note=note)
    ends = round(value - half, 6), round(value + half, 6)
    return Estimate(round(value, 6), n, METHOD, "two-sided", 0.95, *ends)


def curve(
    level: int | None,
    by: AblationKind,
    severity: float,
    points: tuple[tuple[str, float | None, float, float], ...],
    *,
    perturbation: str = "gaussian_noise",
    skips: str = "",
) -> AblationCurve:
    """Make one curve; points are (system, strength, reliance, spared)."""
    clean = not severity
    _, unit, levels = LEVELS[perturbation]
    return AblationCurve(
        "unet", skips or f"level {level}", level, by, LABEL, "dsc",
        "clean" if clean else perturbation, severity,
        None if clean else levels[int(severity) - 1], "" if clean else unit,
        tuple(
            AblationPoint(name, strength, estimate(worth), CLEAN if clean else estimate(spared))
            for name, strength, worth, spared in points
        ),
    )  # fmt: skip


def _curves(severity: float) -> tuple[AblationCurve, ...]:
    spared = 0.03 * severity
    return (
        curve(0, "mean", severity, (("unet-0", None, 0.02 - spared, spared),)),
        curve(1, "mean", severity, (("unet-1", None, 0.20, 0.002),)),
        curve(2, "mean", severity, (("unet-2", None, 0.0, 0.0),)),
        curve(
            1, "dose", severity,
            tuple((f"unet-dose-{a:g}", a, 0.2 * (1 - a), 0.001) for a in (0.0, 0.5, 1.0)),
        ),
        curve(
            0, "noise", severity,
            tuple((f"unet-noise-{s:g}", s, 0.1 * s - spared / 4, spared / 4) for s in (0.1, 0.5, 2.0)),
        ),
    )  # fmt: skip


def with_ablations(results: Results) -> Results:
    """Add a network with its skips, and ablated copies of its first system."""
    curves = tuple(it for severity in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0) for it in _curves(severity))
    first = results.systems[0]
    ablated = {
        point.system: replace(
            first,
            name=point.system,
            ablation=AblationSpec((it.level or 0,), it.by, point.strength),
            claimed=(),
        )
        for it in curves
        for point in it.points
    }
    return replace(
        results,
        systems=(*results.systems, *ablated.values()),
        networks=(NETWORK,),
        ablations=curves,
    )
