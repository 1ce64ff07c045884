"""What does the sandbox cost: the same network in this process, and in its child, on one window.

``python benchmarks/sandbox_overhead.py [--turns 30] [--side 64]``. The network is MONAI's UNet with 16 to
256 channels, untrained, on one window of 64 x 64 x 64 voxels, batch 1, one thread. Both sides take their turn
in one run, the one that goes first alternating: directly (the runtime alone, with the settings of the
child), and through `ModelProcess` (the array to the child by shared memory, cut into a window, run,
blended, and back). The overhead is the median of the differences within a turn over the median of the
direct time: machines that are busy slow both sides of a turn. Beside it stands the same of the fastest call
of each side, which a busy machine disturbs least.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.schema import InputSpec, OutputSpec, WindowSpec
from auditor.systems.process import ModelProcess

GOAL = 0.03
Run = Callable[[NDArray[np.float32]], NDArray[Any]]


def network() -> torch.nn.Module:
    """Make the network."""
    from monai.networks.nets.unet import UNet

    torch.manual_seed(0)
    channels = (16, 32, 64, 128, 256)
    made: torch.nn.Module = UNet(3, 1, 2, channels, strides=(2, 2, 2, 2), num_res_units=2)
    return made.eval()


def write(folder: Path, side: int) -> dict[str, Path]:
    """Export it to both formats."""
    example = torch.zeros(1, 1, side, side, side)
    made = network()
    paths = {"torchscript": folder / "net.pt", "onnx": folder / "net.onnx"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced: Any = torch.jit.trace(made, example)  # type: ignore[no-untyped-call]  # no types
        traced.save(str(paths["torchscript"]))
        torch.onnx.export(
            made, (example,), str(paths["onnx"]), dynamo=False, input_names=["image"],
            output_names=["out"],
        )  # fmt: skip
    return paths


def direct(path: Path, format_: str) -> Run:
    """Run the file in this process, with the settings of the child and nothing around it."""
    if format_ == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.use_deterministic_compute = True
        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(path), options, providers)

        def run(batch: NDArray[np.float32]) -> NDArray[Any]:
            answer: NDArray[Any] = session.run(None, {"image": batch})[0]
            return answer

        return run
    jit: Any = torch.jit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = jit.load(str(path))

    def run_script(batch: NDArray[np.float32]) -> NDArray[Any]:
        with torch.inference_mode(), jit.optimized_execution(should_optimize=False):
            answer: NDArray[Any] = module(torch.from_numpy(batch)).numpy()
        return answer

    return run_script


def timed(run: Run, batch: NDArray[np.float32]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    run(batch)
    return time.perf_counter() - started


def compare(path: Path, format_: str, side: int, turns: int) -> str:
    """Measure one format and write its line."""
    alone = direct(path, format_)
    image = np.random.default_rng(0).standard_normal((1, 1, side, side, side), dtype=np.float32)
    window, output = WindowSpec((side, side, side), 0.5), OutputSpec("logits_softmax")
    with ModelProcess(path, format_) as process:

        def inside(batch: NDArray[np.float32]) -> NDArray[Any]:
            return process.run([batch[0]], window, output, InputSpec())[0]

        for _ in range(3):  # the executors settle
            assert np.array_equal(inside(image), alone(image)[0])
        seconds: dict[Run, list[float]] = {alone: [], inside: []}
        for turn in range(turns):
            for run in (alone, inside) if turn % 2 else (inside, alone):
                seconds[run].append(timed(run, image))
    extra = [b - a for a, b in zip(seconds[alone], seconds[inside], strict=True)]
    base, more = statistics.median(seconds[alone]), statistics.median(extra)
    low, _, high = statistics.quantiles(extra, n=4)
    best = min(seconds[alone])
    return (
        f"{format_:12} direct {base * 1e3:6.1f} ms, in its child {more * 1e3:+.2f} ms "
        f"({more / base:+.2%}; quartiles {low / base:+.2%} to {high / base:+.2%}); fastest "
        f"{best * 1e3:.1f} ms, in its child {min(seconds[inside]) / best - 1:+.2%}"
    )


def main() -> None:
    """Measure both formats and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--side", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; goal below {GOAL:.0%}")
    with tempfile.TemporaryDirectory() as folder:
        for format_, path in write(Path(folder), given.side).items():
            print(compare(path, format_, given.side, given.turns))


if __name__ == "__main__":
    main()
