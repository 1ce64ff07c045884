"""Time the perturbations against TorchIO, MONAI and SimpleITK.

All contestants work on the same volume, interleaved in one run; the median of several runs counts, and
each run makes the five severities of one perturbation with whatever must be generated for them. Levels
are ours; where a peer has another parameter its work does not depend on it. Needs the peers::

    pip install -c constraints.txt -e . torchio==1.2.1 monai==1.6.1
    python benchmarks/perturbations.py            # 128^3
    python benchmarks/perturbations.py --large    # 256 x 256 x 160
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# a script's folder comes first on the path, where this file would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))

import numpy as np
import torch

import perturbations
from perturbations import Scan
from perturbations.blur import FWHM_OF_SIGMA

sys.path.append(str(Path(__file__).resolve().parent))

from agreement import differences

Run = Callable[[Scan, Sequence[float]], object]


@dataclass(frozen=True)
class Contest:
    """One perturbation, who else offers it, and the speed that is aimed at."""

    name: str
    goal: float
    peers: dict[str, Run]
    against: tuple[str, ...] = ()
    """Peers that the goal was set against; all when empty."""
    modality: str = "mr"


def volume(shape: tuple[int, int, int], modality: str) -> Scan:
    """Make an ellipsoid of smooth texture in a dark background (CT: in air), 1 mm, 3-D."""
    rng = np.random.default_rng(1)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    inside = (z / 0.85) ** 2 + (y / 0.8) ** 2 + (x / 0.7) ** 2 < 1
    image = inside * (100 + 20 * np.cos(7 * y) * np.cos(5 * x + 3 * z)) + 2 * rng.random(shape)
    if modality == "ct":
        image = np.where(inside, 40.0 + (image - 100), -1000.0)
    tensor = torch.from_numpy(image.astype(np.float32))[None]
    return Scan(image=tensor, spacing=(1.0, 1.0, 1.0), modality=modality)


def ours(name: str) -> Run:
    """Realise once, then the levels; what a scan is asked once (S_ref, robust range) is known."""

    def run(scan: Scan, levels: Sequence[float]) -> object:
        drawn = perturbations.realise(name, scan, seed=1)
        for level in levels:
            kept = drawn.at(level=level).image
        return kept

    return run


def torchio(make: Callable[[float, Scan], object]) -> Run:
    """One TorchIO transform a level, applied to an image."""
    import torchio as tio

    def run(scan: Scan, levels: Sequence[float]) -> object:
        for level in levels:
            kept = make(level, scan)(tio.ScalarImage(tensor=scan.image))  # type: ignore[operator]
        return kept.data

    return run


def monai(make: Callable[[float, Scan], object]) -> Run:
    """One MONAI transform a level, applied to a tensor."""

    def run(scan: Scan, levels: Sequence[float]) -> object:
        for level in levels:
            kept = make(level, scan)(scan.image)  # type: ignore[operator]
        return kept

    return run


def simpleitk(work: Callable[[object, float, Scan], object]) -> Run:
    """One SimpleITK filter a level; the conversion to its images is not counted."""
    import SimpleITK

    image: dict[int, object] = {}

    def run(scan: Scan, levels: Sequence[float]) -> object:
        held = image.setdefault(id(scan), SimpleITK.GetImageFromArray(scan.image[0].numpy()))
        for level in levels:
            kept = work(held, level, scan)
        return torch.from_numpy(SimpleITK.GetArrayFromImage(kept))[None]

    return run


def sigma(level: float, scan: Scan) -> float:
    """Return a level in % of S_ref as a standard deviation."""
    return level / 100 * scan.s_ref


def contests() -> list[Contest]:
    """Every comparison of the table."""
    import monai.transforms as mt
    import SimpleITK
    import torchio as tio

    return [
        Contest("gaussian_noise", 6, {
            "TorchIO": torchio(lambda v, s: tio.RandomNoise(mean=0, std=(sigma(v, s),) * 2)),
            "MONAI": monai(lambda v, s: mt.RandGaussianNoise(prob=1, std=sigma(v, s), sample_std=False)),
            "SimpleITK": simpleitk(lambda i, v, s: SimpleITK.AdditiveGaussianNoise(i, sigma(v, s), 0.0, 7)),
        }),
        Contest("rician_noise", 10, {
            "MONAI": monai(lambda v, s: mt.RandRicianNoise(prob=1, std=sigma(v, s), sample_std=False)),
        }),
        Contest("gaussian_blur", 5, {
            "TorchIO": torchio(lambda v, s: tio.Blur(std=(v / FWHM_OF_SIGMA,) * 3)),
            "MONAI": monai(lambda v, s: mt.GaussianSmooth(sigma=v / FWHM_OF_SIGMA)),
            "SimpleITK": simpleitk(lambda i, v, s: SimpleITK.SmoothingRecursiveGaussian(i, v / FWHM_OF_SIGMA)),
        }),
        Contest("ghosting", 10, {
            "TorchIO": torchio(lambda v, s: tio.RandomGhosting((4, 4), axes=(1,), intensity=(v / 100,) * 2)),
        }),
        Contest("spike", 10, {
            "TorchIO": torchio(lambda v, s: tio.RandomSpike(num_spikes=(1, 1), intensity=(v / 100,) * 2)),
            "MONAI": monai(lambda v, s: mt.KSpaceSpikeNoise(loc=(40, 50, 60), k_intensity=8.0)),
        }, against=("TorchIO",)),
        Contest("gibbs", 3, {
            "MONAI": monai(lambda v, s: mt.GibbsNoise(alpha=1 - v)),
        }),
        Contest("motion", 3, {
            "TorchIO": torchio(lambda v, s: tio.RandomMotion(degrees=(v, v), translation=(v, v))),
        }),
        Contest("thick_slices", 4, {
            "TorchIO": torchio(lambda v, s: tio.RandomAnisotropy(axes=(0,), downsampling=(v, v))),
            "MONAI": monai(lambda v, s: mt.RandSimulateLowResolution(prob=1, zoom_range=(1 / v, 1 / v))),
        }),
        Contest("bias_field", 40, {
            "TorchIO": torchio(lambda v, s: tio.RandomBiasField(coefficients=(v / 200,) * 2, order=3)),
            "MONAI": monai(lambda v, s: mt.RandBiasField(prob=1, degree=3, coeff_range=(v / 200, v / 200))),
        }, against=("TorchIO",)),
        Contest("gamma_up", 4, {
            "TorchIO": torchio(lambda v, s: tio.RandomGamma(log_gamma=(float(np.log(v)),) * 2)),
            "MONAI": monai(lambda v, s: mt.AdjustContrast(gamma=v)),
        }, against=("TorchIO",)),
        Contest("rotation", 1, {
            "TorchIO": torchio(lambda v, s: tio.RandomAffine(scales=0, degrees=(v, v))),
            "MONAI": monai(lambda v, s: mt.Rotate(angle=(np.deg2rad(v), 0.0, 0.0))),
        }),
        Contest("elastic", 1, {
            "TorchIO": torchio(lambda v, s: tio.RandomElasticDeformation(max_displacement=v)),
        }),
    ]  # fmt: skip


def compete(contest: Contest, scan: Scan, repeats: int) -> None:
    """Print one row: our time, and the ratio to each peer."""
    levels = perturbations.levels_for(contest.name, contest.modality)[0]
    runs = {"ours": ours(contest.name), **contest.peers}
    times: dict[str, list[float]] = {who: [] for who in runs}
    for _ in range(repeats):
        for who, run in runs.items():
            # once unseen: else the caches hold what the one before left, and its threads wait for more
            # work in a busy loop
            run(scan, levels)
            started = time.perf_counter()
            run(scan, levels)
            times[who].append(time.perf_counter() - started)
    medians = {who: statistics.median(values) for who, values in times.items()}
    mine = medians.pop("ours")
    ratios = ", ".join(f"{who} {value / mine:.1f}x" for who, value in medians.items())
    least = min(medians[who] for who in contest.against or medians) / mine
    verdict = "meets" if least >= contest.goal else "MISSES"
    print(
        f"| {contest.name} | {mine * 1000:.0f} ms | {ratios} | {least:.1f}x | "
        f"{verdict} {contest.goal:g}x |",
        flush=True,
    )


def projector(shape: tuple[int, int, int]) -> None:
    """Time one realisation of `ct_dose`, forward and backward projection included."""
    scan = volume(shape, "ct")
    started = time.perf_counter()
    drawn = perturbations.realise("ct_dose", scan, seed=1)
    realised = time.perf_counter() - started
    for level in perturbations.levels_for("ct_dose", "ct")[0]:
        drawn.at(level=level)
    whole = time.perf_counter() - started
    print(
        f"ct_dose, {' x '.join(map(str, shape[::-1]))}: {realised:.1f} s to realise, {whole:.1f} s with "
        "five severities; the goal is 12 s"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="256 x 256 x 160 instead of 128^3")
    parser.add_argument("--only", nargs="*", default=[], help="names of perturbations")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    torch.set_num_threads(arguments.threads)
    shape = (160, 256, 256) if arguments.large else (128, 128, 128)
    scan = volume(shape, "mr")
    for row in differences(scan):
        print(row)
    print()
    size = " x ".join(map(str, shape[::-1]))
    print(f"{size}, {arguments.threads} threads, 5 levels a run, median of {arguments.repeats}")
    print("| perturbation | ours | slower by | least | goal |\n|---|---|---|---|---|")
    for contest in contests():
        if contest.name in perturbations.CATALOG and (
            not arguments.only or contest.name in arguments.only
        ):
            compete(contest, scan, arguments.repeats)
    if "ct_dose" in perturbations.CATALOG and (not arguments.only or "ct_dose" in arguments.only):
        projector(shape)


if __name__ == "__main__":
    main()
