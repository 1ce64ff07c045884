"""What does the sandbox cost: the same network in this process, and in its child, on one window.

``python benchmarks/sandbox_overhead.py [--turns 30] [--side 64] [--residual-units 2]``. The network is
MONAI's UNet with 16 to 256 channels and two residual units a level, as in MONAI's tutorials (0: the
plainest), untrained, on one window of 64 x 64 x 64 voxels, batch 1, one thread. Both sides take their turn
in one run, the one that goes first alternating: directly (the runtime alone, with the settings of the
child), and through `ModelProcess` (the array to the child by shared memory, cut into a window, run,
blended, and back). The overhead is the median of the differences within a turn over the median of the
direct time: machines that are busy slow both sides of a turn.

On a busy machine a process also waits for its turn on a processor, which a second process does once more. So
the same is told of the seconds of work on a processor, of both processes together (Linux), and of a network
that only copies its input: the sandbox alone, without the noise of two long forward passes.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.schema import InputSpec, OutputSpec, WindowSpec
from auditor.systems.environment import child_environment
from auditor.systems.process import ModelProcess

GOAL = 0.03
Run = Callable[[NDArray[np.float32]], NDArray[Any]]


class Copies(torch.nn.Module):
    """Answers with two copies of its input: as many numbers as the network, and no work."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Copy."""
        return torch.cat([x, x], dim=1)


def network(residual_units: int) -> torch.nn.Module:
    """Make the network."""
    from monai.networks.nets.unet import UNet

    torch.manual_seed(0)
    channels = (16, 32, 64, 128, 256)
    return UNet(3, 1, 2, channels, strides=(2, 2, 2, 2), num_res_units=residual_units)


def write(made: torch.nn.Module, folder: Path, side: int) -> dict[str, Path]:
    """Export a network to both formats."""
    made.eval()
    example = torch.zeros(1, 1, side, side, side)
    paths = {"torchscript": folder / "net.pt", "onnx": folder / "net.onnx"}
    folder.mkdir()
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


def processor_s(pids: Sequence[int]) -> float:
    """Seconds that the threads of some processes have spent on a processor (Linux; 0 elsewhere)."""
    used = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            used += int(task.read_text().split()[0])
    return used / 1e9


@dataclass(frozen=True, slots=True)
class Turns:
    """What one network took, in seconds; one entry a turn."""

    direct: list[float]
    """By the clock, in this process."""
    inside: list[float]
    """By the clock, through the child."""
    direct_work: list[float]
    """On a processor, in this process."""
    inside_work: list[float]
    """On a processor, in both processes."""


def measure(path: Path, format_: str, side: int, turns: int) -> Turns:
    """Let both sides take their turns."""
    alone = direct(path, format_)
    image = np.random.default_rng(0).standard_normal((1, 1, side, side, side), dtype=np.float32)
    window, output = WindowSpec((side, side, side), 0.5), OutputSpec("logits_softmax")
    found = Turns([], [], [], [])
    with ModelProcess(path, format_) as process:

        def inside(batch: NDArray[np.float32]) -> NDArray[Any]:
            return process.run([batch[0]], window, output, InputSpec())[0]

        for _ in range(3):  # the executors settle
            assert np.array_equal(inside(image), alone(image)[0])
        assert process.pid is not None  # it runs
        sides = (
            (alone, [os.getpid()], found.direct, found.direct_work),
            (inside, [os.getpid(), process.pid], found.inside, found.inside_work),
        )
        for turn in range(turns):
            for run, pids, seconds, work in sides if turn % 2 else sides[::-1]:
                before, started = processor_s(pids), time.perf_counter()
                run(image)
                seconds.append(time.perf_counter() - started)
                work.append(processor_s(pids) - before)
    return found


def more(base: list[float], other: list[float]) -> tuple[float, float, float]:
    """Median and quartiles of the differences within turns."""
    extra = [b - a for a, b in zip(base, other, strict=True)]
    low, _, high = statistics.quantiles(extra, n=4)
    return statistics.median(extra), low, high


def report(format_: str, network: Turns, copies: Turns) -> None:
    """Print what was found for one format."""
    typical, work = statistics.median(network.direct), statistics.median(network.direct_work)
    print(f"{format_}: the forward pass takes {typical * 1e3:.1f} ms, {work * 1e3:.1f} ms of work")
    rows = (
        ("by the clock", network.direct, network.inside, typical),
        ("work", network.direct_work, network.inside_work, work or math.inf),
        ("by the clock, copies", copies.direct, copies.inside, typical),
        ("work, copies", copies.direct_work, copies.inside_work, work or math.inf),
    )
    for name, base, other, whole in rows:
        middle, low, high = more(base, other)
        print(
            f"  {name:21} {middle * 1e3:+6.2f} ms more in the child: {middle / whole:+.2%} of it "
            f"(quartiles {low / whole:+.2%} to {high / whole:+.2%})"
        )
    best = min(copies.inside) - min(copies.direct)
    print(f"  {'fastest, copies':21} {best * 1e3:+6.2f} ms: {best / min(network.direct):+.2%}")


def main() -> None:
    """Measure both formats and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--residual-units", type=int, default=2)
    given = parser.parse_args()
    if os.name == "posix" and os.getsid(0) != os.getpid():
        # Linux shares a busy machine out among sessions, and a child has one of its own
        command = [sys.executable, *sys.argv]
        # what a child has of its own; the memory of the C library makes both sides faster
        own = {
            key: value
            for key, value in child_environment("", 1).items()
            if key.startswith("MALLOC_") or key.endswith("_NUM_THREADS")
        }
        done = subprocess.run(
            command, start_new_session=True, check=False, env={**os.environ, **own}
        )
        sys.exit(done.returncode)
    torch.set_num_threads(1)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; goal below {GOAL:.0%}")
    with tempfile.TemporaryDirectory() as folder:
        real = write(network(given.residual_units), Path(folder) / "network", given.side)
        empty = write(Copies(), Path(folder) / "copies", given.side)
        for format_, path in real.items():
            big = measure(path, format_, given.side, given.turns)
            report(format_, big, measure(empty[format_], format_, given.side, 4 * given.turns))


if __name__ == "__main__":
    main()
