"""Layers of sample results: an encoder that moves with the noise, a decoder that hardly does."""

from __future__ import annotations

from dataclasses import replace

from sample_numbers import LEVELS

from auditor.schema import Estimate, LayerCurve, LayerFacts, LayerSusceptibility, Results

__all__ = ["LAYERS", "with_layers"]

METHOD = "studentized bootstrap (4000 draws)"
BELOW = (
    "of each layer the one-sided 95% upper bound of the mean difference, patients paired, n >= 12"
)
_NOTE = "a rate of failures up to 0.221 that no patient shows is not excluded"
_ONE = Estimate(None, 12, "none", status="not_assessable", note="one activation a channel")


def _estimate(value: float, spread: float = 0.1) -> Estimate:
    low, high = value * (1 - spread), value * (1 + spread)
    return Estimate(value, 12, METHOD, "two-sided", 0.95, low, high, note=_NOTE)


def _facts() -> tuple[LayerFacts, ...]:
    sizes = [(96, 96, 48)] * 2 + [(48, 48, 24)] * 2 + [(1, 1, 1)] + [(48, 48, 24), (96, 96, 48)]
    found = []
    for place, size in enumerate(sizes):
        voxels = size[0] * size[1] * size[2]
        found.append(
            LayerFacts(
                place=place,
                name=f"/net/{place}/Conv<{place}>",
                operator="Conv" if place % 2 == 0 else "Relu",
                resolution=size,
                channels=16 * 2 ** (size[0] < 96),
                voxels=voxels,
                floor=min(1.0, (63 / (4 * voxels)) ** 0.5),
                between=_ONE if voxels == 1 else _estimate(0.12 + 0.01 * place, 0.2),
            )
        )
    return tuple(found)


LAYERS = _facts()


def _curve(name: str, severity: float, gain: float) -> LayerCurve:
    _, unit, levels = LEVELS[name]
    slopes = (0.06, 0.07, 0.05, 0.04, 0.0, 0.02, 0.01)
    distances = tuple(
        _ONE if it.voxels == 1 else _estimate(gain * severity * slope)
        for it, slope in zip(LAYERS, slopes, strict=True)
    )
    return LayerCurve(
        perturbation=name,
        severity=severity,
        level=levels[int(severity) - 1],
        unit=unit,
        distances=distances,
        most=(1, 0, 2),
        below_from=0 if severity < 2 else 5 if severity < 4 else None,
        below_how=BELOW,
        missing=""
        if severity < 5
        else "1 of 12 scans are not, or not wholly, compared: 1 no effect",
    )


def with_layers(results: Results) -> Results:
    """Add the layers of the first system, and of a second one that could not be seen."""
    names = dict.fromkeys(it.perturbation for it in results.conditions if it.severity)
    curves = tuple(_curve(name, s, 1.0) for name in names for s in (1.0, 2.0, 3.0, 4.0, 5.0))
    first, *others = (it.name for it in results.systems)
    lost = tuple(
        LayerSusceptibility(name, (), (), note="no distances: its network could not be recorded")
        for name in others
    )
    return replace(results, layers=(LayerSusceptibility(first, LAYERS, curves), *lost))
