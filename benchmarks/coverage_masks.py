"""Count how often outer and inner masks keep their promise, and how large they are.

``python benchmarks/coverage_masks.py [SCENES] [SPLITS]`` prints the tables of docs/mask-sets.md; 3000 scenes
and 200 splits take about two minutes on one core. The scenes are those of tests/support/drawn_shapes.py.
Beside ours stand the figures of a simulation made before this code, with other shapes (mean DSC .857, 2 %
missed, 200 splits): coverage must agree, sizes need not, as they depend on the shapes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from drawn_shapes import RADII, SPACING, Pool, pool, scenes

from auditor.analysis.risk_control import RiskBound, crc_threshold, rcps_threshold
from auditor.confidence.mask_sets import (
    MaskScores,
    MaskSets,
    mask_sets,
    masks_by_distance,
    masks_by_probability,
)

Floats = NDArray[np.float64]

ALPHA, DELTA = 0.1, 0.1
INNER_SHARE = 0.95
SIZED = 200
"""Scenes whose masks are drawn to tell their size."""
NONE = np.empty(0)

BEFORE = {
    (0.90, 30): (".917, 2.04", ".905, 1.32", ".910,  .32", ".906,  .63", ".964", ".912"),
    (0.90, 100): (".912, 1.55", ".898, 1.29", ".902,  .36", ".897,  .67", ".934", ".903"),
    (0.99, 30): (".905, 2.53", ".901, 1.75", ".909,  .15", ".906,  .42", ".957", ".909"),
    (0.99, 100): (".909, 2.17", ".900, 1.70", ".910,  .15", ".900,  .45", ".935", ".911"),
    (0.99, 300): (".904, 2.11", ".898, 1.69", ".908,  .16", ".901,  .45", ".931", ".904"),
    (1.00, 100): (".904, 2.40", ".905, 1.82", ".908,  .12", ".901,  .41", ".933", ".905"),
}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    splits = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    told = [one for one in scenes(count, 1) if bool(one.prediction.any())]
    dsc = [
        2 * int((one.prediction & one.reference).sum())
        / int(one.prediction.sum() + one.reference.sum())
        for one in told
    ]  # fmt: skip
    print(f"{count} scenes, {splits} splits, mean DSC {sum(dsc) / count:.3f}, "
          f"{count - len(told)} missed")  # fmt: skip
    print("coverage, median size relative to the prediction; below: the earlier simulation")
    print(f"{'share':>5} {'n':>4} | outer distance | outer probab. | inner distance | inner probab. "
          "| joint, alpha/2 each | joint, larger score")  # fmt: skip
    for share in (0.90, 0.99, 1.00):
        found = pool(count, 1, outer_share=share, inner_share=INNER_SHARE)
        for n in (30, 100, 300):
            if (share, n) in BEFORE:
                print(row(found, share, n, splits))
                print(f"{'':>10} | " + " | ".join(f"{told:>13}" for told in BEFORE[share, n]))
    risks(pool(count, 1, outer_share=0.99, inner_share=INNER_SHARE), splits)


def row(found: Pool, share: float, n: int, splits: int) -> str:
    rng = np.random.default_rng(n)
    covered: list[list[float]] = []
    margins: list[list[float]] = []
    for _ in range(splits):
        order = rng.permutation(len(found.outer))
        few, rest = order[:n], order[n:]
        hard = MaskScores(found.outer[few], found.inner[few], NONE)
        soft = MaskScores(found.outer_soft[few], found.inner_soft[few], NONE)
        alone = mask_sets(hard, alpha=ALPHA, joint=False)
        alone_soft = mask_sets(soft, alpha=ALPHA, joint=False)
        half = mask_sets(hard, alpha=ALPHA / 2, joint=False)
        joint = mask_sets(hard, alpha=ALPHA)
        covered.append(
            [
                held(found.outer[rest], alone.outer.value),
                held(found.outer_soft[rest], alone_soft.outer.value),
                held(found.inner[rest], alone.inner.value),
                held(found.inner_soft[rest], alone_soft.inner.value),
                both(found, rest, half),
                both(found, rest, joint),
            ]
        )
        margins.append(
            [
                alone.outer.value or np.inf, alone_soft.outer.value or np.inf,
                alone.inner.value or np.inf, alone_soft.inner.value or np.inf,
                joint.outer.value or np.inf,
            ]
        )  # fmt: skip
    mean = np.mean(covered, axis=0)
    outer, outer_soft, inner, inner_soft, joint_outer = sizes(np.median(margins, axis=0))
    cells = [
        f"{mean[0]:.3f}, {outer:.2f}",
        f"{mean[1]:.3f}, {outer_soft:.2f}",
        f"{mean[2]:.3f}, {inner:.2f}",
        f"{mean[3]:.3f}, {inner_soft:.2f}",
        f"{mean[4]:.3f}",
        f"{mean[5]:.3f} ({joint_outer:.2f})",
    ]
    return f"{share:>5.2f} {n:>4} | " + " | ".join(f"{cell:>13}" for cell in cells)


def held(scores: Floats, margin: float | None) -> float:
    """Count the scans that keep the promise; without a usable set no mask is given."""
    return 1.0 if margin is None else float((scores <= margin).mean())


def both(found: Pool, rest: NDArray[np.intp], sets: MaskSets) -> float:
    outer = np.inf if sets.outer.value is None else sets.outer.value
    inner = np.inf if sets.inner.value is None else sets.inner.value
    return float(((found.outer[rest] <= outer) & (found.inner[rest] <= inner)).mean())


def sizes(margins: Floats) -> tuple[float, ...]:
    """Draw the masks of the median margins and tell their median size relative to the prediction."""
    at = [fixed(float(margin)) for margin in margins]
    parts: list[list[float]] = []
    for one in scenes(SIZED, 1):
        n = int(one.prediction.sum())
        if n == 0:
            continue
        drawn = [
            masks_by_distance(one.prediction, SPACING, at[0]).outer,
            masks_by_probability(one.prediction, one.probability, at[1]).outer,
            masks_by_distance(one.prediction, SPACING, at[2]).inner,
            masks_by_probability(one.prediction, one.probability, at[3]).inner,
            masks_by_distance(one.prediction, SPACING, at[4]).outer,
        ]
        parts.append([np.inf if mask is None else int(mask.sum()) / n for mask in drawn])
    return tuple(np.median(parts, axis=0).tolist())


def fixed(margin: float) -> MaskSets:
    scores = np.full(9, margin)
    return mask_sets(MaskScores(scores, scores, NONE), alpha=ALPHA)


def risks(found: Pool, splits: int) -> None:
    losses = found.losses
    print("""
false-negative rate of the outer mask by distance: mean over calibration sets, and share of sets whose risk lies
above alpha (before, alpha .1, conformal risk control: .063/.083/.090/.096 and .14/.27/.33/.39)""")
    print(
        f"the risk is {losses[:, 0].mean():.3f} at 0 mm, {losses[:, -1].mean():.3f} at {RADII[-1]:g} mm"
    )
    for alpha in (ALPHA, 0.075):
        for n in (20, 50, 100, 300):
            rng = np.random.default_rng(n)
            cells = {"crc": [], "hoeffding-bentkus": [], "betting": []}
            for _ in range(splits):
                order = rng.permutation(len(losses))
                few, rest = losses[order[:n], :40], losses[order[n:]].mean(axis=0)
                cells["crc"].append(risk_at(rest, crc_threshold(few, alpha=alpha).column))
                for bound in (RiskBound.HOEFFDING_BENTKUS, RiskBound.BETTING):
                    column = rcps_threshold(few, alpha=alpha, delta=DELTA, bound=bound).column
                    cells[bound.value].append(risk_at(rest, column))
            print(
                f"alpha {alpha:.3f} n {n:>3}  "
                + "   ".join(told(name, it, alpha) for name, it in cells.items())
            )


def risk_at(rest: Floats, column: int | None) -> float:
    return np.nan if column is None else float(rest[column])


def told(name: str, found: list[float], alpha: float) -> str:
    given = np.asarray(found)[~np.isnan(found)]
    if given.size == 0:
        return f"{name}: none"
    return f"{name}: {given.mean():.3f}, {(given > alpha).mean():.2f} ({given.size} of {len(found)} sets)"


if __name__ == "__main__":
    main()
