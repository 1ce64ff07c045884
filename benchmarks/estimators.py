"""Recover injected levels: the bias and spread of every estimator on three kinds of scans.

Each perturbation is realised with several seeds on a scan, evaluated at its five listed levels, and
estimated. An estimator sees the total, what was added and what the scan has of its own, and independent
widths and variances add in squares: so an estimate is compared with sqrt(level^2 + own^2), own being the
estimate on the scan as it is. Bias is the mean of the ratio over the seeds less 1, spread its standard
deviation. A second table tells how one kind of degradation looks on the axes of the others. ::

    python benchmarks/fetch_scans.py
    python benchmarks/estimators.py          # some minutes; --only bias_field, --seeds 3
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

# a script's folder comes first on the path, where perturbations.py would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))

import numpy as np
import torch

import perturbations
from perturbations import Scan, estimate

sys.path.append(str(Path(__file__).resolve().parent))

from study_scans import CACHE, available

Estimator = Callable[[Scan], float | None]

AXES = (
    "gaussian_noise",
    "rician_noise",
    "noncentral_chi_noise",
    "gaussian_blur",
    "bias_field",
    "thick_slices",
    "ghosting",
)


@dataclass(frozen=True)
class Row:
    """One estimator on one scan."""

    axis: str
    scan: str
    own: float
    means: list[float | None]
    """Mean estimate at each listed level."""
    biases: list[float]
    """Relative, at the levels where there were estimates."""
    spreads: list[float]
    seconds: float
    """Per estimate."""

    def line(self) -> str:
        """Write it as a line of the table."""
        cells = ["–" if mean is None else f"{mean:.3g}" for mean in self.means]
        bias = f"{min(self.biases):+.0%} to {max(self.biases):+.0%}" if self.biases else "–"
        spread = f"{max(self.spreads):.0%}" if self.spreads else "–"
        columns = [self.axis, self.scan, f"{self.own:.3g}", *cells, bias, spread]
        return f"| {' | '.join(columns)} | {self.seconds:.2f} |"


def main() -> None:
    """Print the tables, and write them beside the fetched scans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="names of perturbations")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scans = {name: make() for name, make in available().items()}
    if not any(scan.modality == "mr" for scan in scans.values()):
        sys.exit("there is no head; run python benchmarks/fetch_scans.py first")
    lines = [
        "| axis | scan | own | s1 | s2 | s3 | s4 | s5 | bias | spread | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    told = [*lines]
    print("\n".join(lines))
    for axis in arguments.only or AXES:
        for label, estimator in estimators(axis).items():
            for name, scan in scans.items():
                row = recovered(axis, label, estimator, name, scan, arguments.seeds)
                if row is not None:
                    told.append(row.line())
                    print(row.line(), flush=True)
    if not arguments.only:
        ranges = intensity_ranges(scans)
        told += ["", *ranges]
        print("\n" + "\n".join(ranges))
        crossed = crosstalk(scans["head in air"])
        told += ["", *crossed]
        print("\n" + "\n".join(crossed))
    CACHE.mkdir(exist_ok=True)
    (CACHE / "estimators.md").write_text("\n".join(told) + "\n", encoding="utf-8")
    print(f"written: benchmarks/{CACHE.name}/estimators.md")


def estimators(axis: str) -> dict[str, Estimator]:
    """Return the library's estimator of an axis, and what it is compared with."""
    found: dict[str, Estimator] = {axis: lambda scan: estimate.estimate_level(axis, scan)}
    if axis == "bias_field":
        found["bias_field by N4"] = n4
    return found


def recovered(
    axis: str, label: str, estimator: Estimator, name: str, scan: Scan, seeds: int
) -> Row | None:
    """Inject every listed level with every seed; None where the axis is not for the scan."""
    if axis not in perturbations.CATALOG or (
        scan.modality not in (perturbations.CATALOG[axis].modalities or (scan.modality,))
    ):
        return None
    own = estimator(scan)
    if own is None:
        return None
    levels, _ = perturbations.levels_for(axis, scan.modality)
    count = 1 if perturbations.CATALOG[axis].draws == "nothing" else seeds
    found: list[list[float]] = [[] for _ in levels]
    spent = []
    for seed in range(1, count + 1):
        drawn = perturbations.realise(axis, scan, seed=seed)
        for level, values in zip(levels, found, strict=True):
            after = replace(scan, image=drawn.at(level=level).image)
            started = time.perf_counter()
            value = estimator(after)
            spent.append(time.perf_counter() - started)
            if value is not None:
                values.append(value)
    biases, spreads = [], []
    for level, values in zip(levels, found, strict=True):
        ratios = [value / math.hypot(level, own) for value in values]
        if ratios:
            biases.append(statistics.fmean(ratios) - 1.0)
        if len(ratios) > 1:
            spreads.append(statistics.stdev(ratios))
    means = [statistics.fmean(values) if values else None for values in found]
    return Row(label, name, own, means, biases, spreads, statistics.median(spent))


def n4(scan: Scan) -> float | None:
    """Span of the field that N4 (Tustison et al. 2010) finds on the image shrunk eightfold, % INU."""
    import SimpleITK

    if scan.modality == "ct" or scan.ndim == 2:
        return None
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    values = scan.image[0].numpy()
    inside = (scan.foreground.numpy() & (values > 0)).astype(np.uint8)
    image, mask = SimpleITK.GetImageFromArray(values), SimpleITK.GetImageFromArray(inside)
    image.SetSpacing([float(step) for step in scan.spacing[::-1]])
    mask.CopyInformation(image)
    factors = [max(1, min(8, size // 16)) for size in values.shape[::-1]]
    corrector = SimpleITK.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations([20, 20, 20])
    corrector.Execute(SimpleITK.Shrink(image, factors), SimpleITK.Shrink(mask, factors))
    field = SimpleITK.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image))[inside > 0]
    ratio = math.exp(float(np.ptp(field)))
    return 200.0 * (ratio - 1.0) / (ratio + 1.0)


def intensity_ranges(scans: dict[str, Scan]) -> list[str]:
    """Recover injected slopes and offsets from the intensity range, and see what noise does to it.

    The slope is the ratio of the widths q99 - q01, the offset the change of their middle in % of S_ref (HU
    for CT); the worst of the five levels counts. Under noise of severity 3 the width should not change.
    """
    lines = [
        "| scan | q01 | q99 | S_ref | slope, worst error | offset, worst error | width under noise s3 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, scan in scans.items():
        low, high, signal = edges(scan)
        slopes, offsets = [], []
        for level in perturbations.levels_for("intensity_scale", scan.modality)[0]:
            made = perturbations.realise("intensity_scale", scan, seed=1).at(level=level).image
            after = edges(replace(scan, image=made))
            slopes.append((after[1] - after[0]) / (high - low) / level - 1.0)
        unit = 1.0 if scan.modality == "ct" else signal / 100.0
        for level in perturbations.levels_for("intensity_shift", scan.modality)[0]:
            made = perturbations.realise("intensity_shift", scan, seed=1).at(level=level).image
            after = edges(replace(scan, image=made))
            offsets.append(((after[0] + after[1]) - (low + high)) / 2.0 / unit / level - 1.0)
        noisy = perturbations.realise("gaussian_noise", scan, seed=1).at(severity=3).image
        after = edges(replace(scan, image=noisy))
        widened = (after[1] - after[0]) / (high - low) - 1.0
        worst = [f"{max(errors, key=abs):+.1%}" for errors in (slopes, offsets)]
        lines.append(
            f"| {name} | {low:.4g} | {high:.4g} | {signal:.4g} | {worst[0]} | {worst[1]} | {widened:+.0%} |"
        )
    return lines


def edges(scan: Scan) -> tuple[float, float, float]:
    """Return q01, q99 and S_ref as `estimate_all` does."""
    found = {it.name: it.value for it in estimate.estimate_all(scan)}
    low, high, signal = (found[name] for name in ("intensity_low", "intensity_high", "s_ref"))
    assert low is not None
    assert high is not None
    assert signal is not None
    return low, high, signal


def crosstalk(scan: Scan) -> list[str]:
    """Estimate everything after each degradation at severity 3, one seed, on one scan."""
    seen = ("noise", "blur", "bias", "thick slices", "ghosting")

    def cells(image: torch.Tensor) -> str:
        after = replace(scan, image=image)
        found = (
            estimate.estimate_noise(after),
            estimate.estimate_blur(after),
            estimate.estimate_bias(after),
            estimate.estimate_thick_slices(after),
            estimate.estimate_ghosting(after),
        )
        return " | ".join("–" if value is None else f"{value:.3g}" for value in found)

    lines = [f"| head in air, after | {' | '.join(seen)} |", "|---|---|---|---|---|---|"]
    lines.append(f"| nothing | {cells(scan.image)} |")
    for name in AXES[1:]:
        if name in perturbations.CATALOG:
            drawn = perturbations.realise(name, scan, seed=1).at(severity=3)
            lines.append(f"| {name} {drawn.level:g} {drawn.unit} | {cells(drawn.image)} |")
    return lines


if __name__ == "__main__":
    main()
