"""Time the measured effect of a perturbation on a large scan, beside scikit-image's SSIM.

Run it as ``python benchmarks/effect_measures.py``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

# a script's folder comes first on the path, where perturbations.py would hide the package of its name
sys.path.remove(str(Path(__file__).resolve().parent))

import numpy as np
import torch

import perturbations
from perturbations import Scan, effect


def main() -> None:
    """Print the medians of several runs, interleaved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    scan = volume((160, 256, 256))
    image = perturbations.realise("gaussian_noise", scan, seed=1).at(severity=1).image
    found = effect.measure(scan, image)  # also reads S_ref and the foreground, once per scan
    runs = {
        "NRMSE, PSNR, SSIM and contrast": lambda: effect.measure(scan, image),
        "SSIM": lambda: effect.similarity(scan, image),
        "SSIM of scikit-image": lambda: reference(scan, image),
    }
    times: dict[str, list[float]] = {what: [] for what in runs}
    for _ in range(arguments.repeats):
        for what, run in runs.items():
            times[what].append(timed(run))
    print(f"256 x 256 x 160, {arguments.threads} threads, median of {arguments.repeats}")
    for what, values in times.items():
        print(f"{what}: {statistics.median(values):.2f} s")
    assert found.ssim is not None
    print(f"difference of the two similarities: {abs(found.ssim - reference(scan, image)):.1e}")


def volume(shape: tuple[int, int, int]) -> Scan:
    """Make an ellipsoid of smooth texture in a dark background, with a region inside it."""
    rng = np.random.default_rng(1)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    inside = (z / 0.85) ** 2 + (y / 0.8) ** 2 + (x / 0.7) ** 2 < 1
    image = inside * (100 + 20 * np.cos(7 * y) * np.cos(5 * x + 3 * z)) + 2 * rng.random(shape)
    return Scan(
        image=torch.from_numpy(image.astype(np.float32))[None],
        spacing=(1.0, 1.0, 1.0),
        modality="mr",
        region=torch.from_numpy(z**2 + y**2 + x**2 < 0.09),
    )


def reference(scan: Scan, image: torch.Tensor) -> float:
    """Take the SSIM of scikit-image with the same window and constants."""
    from skimage.metrics import structural_similarity

    clean = scan.image[0].numpy()
    span = float(np.ptp(clean))
    found = structural_similarity(
        clean, image[0].numpy(), data_range=span, use_sample_covariance=False
    )
    return float(found)


def timed(run: Callable[[], object]) -> float:
    """Return the seconds of one run."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
