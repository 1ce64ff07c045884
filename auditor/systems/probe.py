"""Find by trying what a checkpoint accepts and what it answers.

**Conventions.** A probe feeds small random arrays and looks at what comes back; it needs no data
and no contract. What it finds has the source *probed*; what cannot be found that way (axes,
spacing, intensities, names of labels) is asked for by name, with the line to write.

How far each finding can be trusted: dimensions, channels, layout, sizes: high, they were run.
Activation: medium, it is inferred from ranges of values, also on inputs a hundred times larger, and
left open when two readings are possible (logits of softmax or of sigmoid look alike).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auditor.errors import CheckpointError
from auditor.schema import Certainty, ContractField, InputSpec, OutputSpec, Status, SystemSpec
from auditor.systems.alternatives import Layout
from auditor.systems.contract import canonical_text
from auditor.systems.runners import (
    CallableRunner,
    CallableSystem,
    ProcessRunner,
    RunFailure,
    Runner,
)

SIDES = {3: (32, 64, 96, 128), 2: (64, 128, 224, 256, 512)}
"""Cubes and squares that are tried: many networks need 32 at least, and transformers often accept
96 or 224 only."""

TIERS: tuple[tuple[Literal[2, 3], int], ...] = (
    (3, 32),
    (2, 64),
    (3, 64),
    (2, 128),
    (2, 224),
    (2, 256),
    (3, 96),
    (2, 512),
    (3, 128),
)
"""Their order, cheap ones first. Three dimensions come before two of the same cost: a 3-D
convolution also takes a 2-D batch, as one unbatched volume."""

CHANNELS = (1, 3, 2, 4, 5, 6, 8)
"""Numbers of channels that are tried."""

STEPS = (1, 2, 4, 8, 16, 32)
"""Voxels added to one axis at a time to find the divisor."""

LAYOUTS: tuple[Layout, ...] = ("channel_first", "channel_last")
"""Their order."""

MOST_LOST = 3
"""So many crashes or time-outs end the probe."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that only the maker or the user knows."""

    name: str
    """The field: input.axes."""
    why: str
    """One sentence: why it matters."""
    line: str
    """What to write, to be adapted."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What was found by trying, and what must be asked for."""

    fields: tuple[ContractField, ...]
    """Found, sorted by name; each value is the YAML text of the field."""
    questions: tuple[Question, ...]
    """Not found, in the order of the configuration."""
    classes: int | None
    """Channels of the output."""
    findings: tuple[str, ...]
    """What else was seen, in sentences."""
    sandbox: tuple[str, ...] = ()
    """Layers that were active."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The lines to write, each with its reason as a comment."""
        return tuple(f"{q.line}  # {q.name}: {q.why}" for q in self.questions)


@dataclass(frozen=True, slots=True)
class _Accepted:
    """The first input that the system answered to."""

    spec: InputSpec
    dims: Literal[2, 3]
    sizes: tuple[int, ...]
    answer: NDArray[Any]

    @property
    def answer_to(self) -> tuple[int, ...]:
        """Shape of the array that was fed."""
        return (self.spec.channels, *self.sizes)


def probe(checkpoint: Path, *, device: str = "cpu", timeout_s: float = 20.0) -> ProbeReport:
    """Probe a checkpoint of which nothing is declared, in its sandbox.

    Parameters
    ----------
    checkpoint : the file.
    device : cpu, or cuda.
    timeout_s : longest time of one try.

    Returns
    -------
    Findings and questions.

    Raises
    ------
    CheckpointError
        The file is no checkpoint, or cannot be started.
    """
    spec = SystemSpec(name=checkpoint.name, checkpoint=str(checkpoint), device=device)
    return probe_system(spec, timeout_s=timeout_s)


def probe_system(
    spec: SystemSpec,
    *,
    callable: CallableSystem | None = None,  # noqa: A002 - as `open_system` has it
    timeout_s: float = 20.0,
) -> ProbeReport:
    """Probe a checkpoint in its sandbox, or a Python callable.

    Parameters
    ----------
    spec : its checkpoint, device and limits; the contract in it is not read.
    callable : a Python function instead of a checkpoint.
    timeout_s : longest time of one try.

    Returns
    -------
    Findings and questions.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be started.
    """
    trial = replace(spec, window=None, flips=(), batch=1, timeout_s=min(timeout_s, spec.timeout_s))
    if callable is not None:
        return probe_runner(CallableRunner(callable), trial)
    runner = ProcessRunner(trial, Path(str(spec.checkpoint)))
    try:
        info = runner.info
        report = probe_runner(runner, trial, shape=info.input_shape)
        return replace(report, sandbox=info.sandbox, findings=(*info.findings, *report.findings))
    except RunFailure as failure:
        msg = f"the checkpoint of system {spec.name!r} cannot be started: {failure.reason}"
        raise CheckpointError(msg) from failure
    finally:
        runner.close()


def probe_runner(
    runner: Runner, spec: SystemSpec, *, shape: Sequence[int | None] | None = None
) -> ProbeReport:
    """Probe whatever runs arrays.

    Parameters
    ----------
    runner : of a checkpoint or a callable.
    spec : passed on with another input contract on each try.
    shape : (batch, channel, *sizes) that the file itself declares, None for dynamic sizes; None
        when it declares nothing.

    Returns
    -------
    Findings and questions.
    """
    attempt = _Attempt(runner, spec)
    accepted = _first_accepted(attempt, shape)
    if accepted is None:
        told = (*attempt.ended, _REFUSED)
        return ProbeReport((), _questions(None, 3, None), None, told)
    found = _sizes(attempt, accepted)
    again = attempt(_noise(accepted.answer_to), accepted.spec)
    activation, remarks = _activation([accepted.answer, *_other_answers(attempt, accepted)])
    if activation is not None:
        found["output.activation"] = activation
    if again is None or not np.array_equal(accepted.answer, again, equal_nan=True):
        remarks.append("the same input gives another answer the second time")
    classes = int(accepted.answer.shape[0])
    remarks.append(f"the output has {classes} {'channel' if classes == 1 else 'channels'}")
    fields = [ContractField(n, canonical_text(v), Certainty.PROBED) for n, v in found.items()]
    return ProbeReport(
        fields=tuple(sorted(fields, key=lambda f: f.name)),
        questions=_questions(activation, accepted.dims, classes),
        classes=classes,
        findings=(*remarks, *attempt.ended),
    )


class _Attempt:
    """Tries one input at a time, and gives up after some crashes or time-outs."""

    def __init__(self, runner: Runner, spec: SystemSpec) -> None:
        self._runner, self._spec = runner, spec
        self._lost = 0

    def __call__(self, array: NDArray[np.float32], tried: InputSpec) -> NDArray[Any] | None:
        """Return (class, *sizes), or None when the system refuses (channel, *sizes)."""
        if self._lost >= MOST_LOST:
            return None
        # logits: nothing is judged, and the layout of the answer is that of the question
        output = OutputSpec(activation="logits_softmax", layout=tried.layout)
        try:
            answer = self._runner.run([array], replace(self._spec, input=tried, output=output))[0]
        except RunFailure as failure:
            self._lost += failure.status in {Status.CRASHED, Status.TIMED_OUT}
            return None
        return answer if answer.shape[1:] == array.shape[1:] else None

    @property
    def ended(self) -> tuple[str, ...]:
        """Say that no more was tried, if so."""
        if self._lost < MOST_LOST:
            return ()
        return (f"probing was given up after {MOST_LOST} crashes or time-outs",)


def _sizes(attempt: _Attempt, accepted: _Accepted) -> dict[str, object]:
    """Find dimensions, channels, layout, and how sizes may change."""
    found: dict[str, object] = {
        "input.channels": accepted.spec.channels,
        "input.dims": accepted.dims,
        "input.layout": accepted.spec.layout,
        "output.layout": accepted.spec.layout,
    }
    steps = [_divisor(attempt, accepted, axis) for axis in range(accepted.dims)]
    divisors = tuple(step for step in steps if step is not None)
    if len(divisors) < accepted.dims:
        found["input.size"] = accepted.sizes
    elif max(divisors) > 1:
        found["input.divisor"] = divisors
    return found


_REFUSED = (
    "no tried input was accepted: 2 and 3 dimensions, "
    f"{', '.join(map(str, CHANNELS))} channels, sizes {SIDES[3]} and {SIDES[2]}; "
    "declare input.size and input.channels"
)


def _first_accepted(attempt: _Attempt, shape: Sequence[int | None] | None) -> _Accepted | None:
    for spec, dims, sizes in _candidates(shape):
        answer = attempt(_noise((spec.channels, *sizes)), spec)
        if answer is not None:
            return _Accepted(spec, dims, sizes, answer)
    return None


def _candidates(
    shape: Sequence[int | None] | None,
) -> list[tuple[InputSpec, Literal[2, 3], tuple[int, ...]]]:
    """List inputs to try; those that the file declares come first."""
    found: list[tuple[InputSpec, Literal[2, 3], tuple[int, ...]]] = []
    if shape is not None and len(shape) in {4, 5}:
        dims: Literal[2, 3] = 3 if len(shape) == 5 else 2
        for side, layout in itertools.product(SIDES[dims], LAYOUTS):
            first = layout == "channel_first"
            channel = shape[1] if first else shape[-1]
            declared = shape[2:] if first else shape[1:-1]
            sizes = tuple(n or side for n in declared)
            counts = CHANNELS if channel is None else (channel,)
            found += [(InputSpec(channels=c, layout=layout), dims, sizes) for c in counts]
        return found
    return [
        (InputSpec(channels=c, layout=layout), tier_dims, (side,) * tier_dims)
        for layout, (tier_dims, side), c in itertools.product(LAYOUTS, TIERS, CHANNELS)
    ]


def _noise(shape: tuple[int, ...], *, seed: int = 0) -> NDArray[np.float32]:
    # repeated, for speed; a prime length, so that the repetition follows no axis
    drawn = np.random.default_rng(seed).standard_normal(65521, dtype=np.float32)
    return np.resize(drawn, shape)


def _divisor(attempt: _Attempt, accepted: _Accepted, axis: int) -> int | None:
    """Find the smallest step by which one axis may grow; None for a fixed size."""
    for step in STEPS:
        sizes = list(accepted.sizes)
        sizes[axis] += step
        if attempt(_noise((accepted.spec.channels, *sizes)), accepted.spec) is not None:
            return step
    return None


def _other_answers(attempt: _Attempt, accepted: _Accepted) -> list[NDArray[Any]]:
    """Collect the answers to other noise, and to noise a hundred times larger."""
    fed = [_noise(accepted.answer_to, seed=1), 100 * _noise(accepted.answer_to, seed=2)]
    tried = [attempt(array, accepted.spec) for array in fed]
    return [answer for answer in tried if answer is not None]


def _activation(answers: Sequence[NDArray[Any]]) -> tuple[str | None, list[str]]:
    """Read the activation from the values; None when two readings are possible."""
    classes = answers[0].shape[0]
    values = np.concatenate([a.reshape(classes, -1) for a in answers], axis=1).astype(np.float64)
    if not np.isfinite(values).all():
        return None, ["some outputs on random inputs are NaN or infinite"]
    if values.min() == values.max():
        return None, ["the output is the same everywhere on random inputs"]
    if classes == 1 and np.array_equal(values, np.rint(values)) and values.min() >= 0:
        return "labels", []
    if values.min() >= -1e-3 and values.max() <= 1 + 1e-3:
        sums_to_one = classes > 1 and np.allclose(values.sum(axis=0), 1, atol=1e-3)
        return ("softmax" if sums_to_one else "sigmoid"), []
    if classes == 1:
        return "logits_sigmoid", []
    if values.max() <= 1e-3 and np.allclose(np.exp(values).sum(axis=0), 1, atol=1e-3):
        return "logits_softmax", ["the output is a logarithm of softmax, which softmax undoes"]
    return None, []


def _questions(activation: str | None, dims: int, classes: int | None) -> tuple[Question, ...]:
    """Ask for what no try can find."""
    asked = []
    if dims == 3:
        asked += [
            Question(
                "input.axes",
                "a flipped or exchanged axis costs accuracy without any error",
                "input: {axes: RAS}",
            ),
            Question(
                "input.spacing_mm",
                "the voxel size that the system was trained on; leave out for native spacing",
                "input: {spacing_mm: [1.5, 1.5, 2.0]}",
            ),
        ]
    asked.append(
        Question(
            "input intensities",
            "what the system was trained on cannot be seen from outside; or zscore: image",
            "input: {clip: [-57, 164], scale_to: [0, 1]}",
        )
    )
    if activation is None:
        asked.append(
            Question(
                "output.activation",
                "the values fit more than one reading; logits_sigmoid for overlapping labels",
                "output: {activation: logits_softmax}",
            )
        )
    many = f" of the {classes}" if classes is not None and classes > 1 else ""
    asked.append(
        Question(
            "output.labels",
            f"which channel{many} holds what; 0 is the background of a softmax",
            "output: {labels: {organ: 1}}",
        )
    )
    return tuple(asked)
