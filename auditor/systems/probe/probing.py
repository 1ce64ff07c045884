"""The course of a probe: the first accepted input, a look inside, activation, sizes, behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.errors import CheckpointError
from auditor.schema import Certainty, ContractField, SystemSpec
from auditor.systems.contract import canonical_text
from auditor.systems.describing import noise
from auditor.systems.description import Description
from auditor.systems.probe.activation import Judged, judge, look
from auditor.systems.probe.asking import questions
from auditor.systems.probe.attempts import Attempts, Describer
from auditor.systems.probe.behaviour import batches, call_number, repetition
from auditor.systems.probe.candidates import CHANNELS, SIDES, Candidate, Known, candidates, known
from auditor.systems.probe.outputs import Choice, channel_axis, choose
from auditor.systems.probe.report import Batches, ProbeReport
from auditor.systems.probe.sizes import divisors
from auditor.systems.questions import Question
from auditor.systems.runners import (
    CallableRunner,
    CallableSystem,
    ProcessRunner,
    RunFailure,
    Runner,
)

__all__ = ["probe", "probe_runner", "probe_system"]


def probe(
    checkpoint: Path, *, device: str = "cpu", timeout_s: float = 20.0, limit_s: float = 60.0
) -> ProbeReport:
    """Probe a checkpoint of which nothing is declared, in its sandbox.

    Parameters
    ----------
    checkpoint : the file.
    device : cpu, or cuda.
    timeout_s : longest time of one try.
    limit_s : after this no further try begins.

    Returns
    -------
    Findings and questions.

    Raises
    ------
    CheckpointError
        The file is no checkpoint, or cannot be started.
    """
    spec = SystemSpec(name=checkpoint.name, checkpoint=str(checkpoint), device=device)
    return probe_system(spec, timeout_s=timeout_s, limit_s=limit_s)


def probe_system(
    spec: SystemSpec,
    *,
    declared: frozenset[str] = frozenset(),
    callable: CallableSystem | None = None,  # noqa: A002 - as `open_system` has it
    timeout_s: float = 20.0,
    limit_s: float = 60.0,
    thorough: bool | None = None,
) -> ProbeReport:
    """Probe a checkpoint in its sandbox, or a Python callable.

    Parameters
    ----------
    spec : its checkpoint, device and limits. Of the contract in it only the fields of `declared` are read,
        and the window, which is then the only size that is tried.
    declared : dotted names of declared fields: input.channels, output.activation .. They restrict what
        is tried, and are neither found again nor asked for.
    callable : a Python function instead of a checkpoint.
    timeout_s : longest time of one try.
    limit_s : after this no further try begins; what was left out is said.
    thorough : also try batches, repetition and dependence on the number of calls; None: when
        nothing is declared.

    Returns
    -------
    Findings and questions.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be started.
    """
    limits = replace(spec, timeout_s=min(timeout_s, spec.timeout_s))
    whole = not declared if thorough is None else thorough
    if callable is not None:
        runner = CallableRunner(callable)
        return probe_runner(runner, limits, declared=declared, limit_s=limit_s, thorough=whole)
    process = ProcessRunner(limits, Path(str(spec.checkpoint)))
    try:
        info = process.info
        report = probe_runner(
            process,
            limits,
            shape=info.input_shape,
            declared=declared,
            limit_s=limit_s,
            thorough=whole,
        )
        return replace(report, sandbox=info.sandbox, findings=(*info.findings, *report.findings))
    except RunFailure as failure:
        msg = f"the checkpoint of system {spec.name!r} cannot be started: {failure.reason}"
        raise CheckpointError(msg) from failure
    finally:
        process.close()


def probe_runner(
    runner: Runner,
    spec: SystemSpec,
    *,
    shape: Sequence[int | None] | None = None,
    declared: frozenset[str] = frozenset(),
    limit_s: float = 60.0,
    thorough: bool = True,
) -> ProbeReport:
    """Probe whatever runs arrays.

    Parameters
    ----------
    runner : of a checkpoint or a callable.
    spec : passed on with another contract on each try.
    shape : (batch, channel, *sizes) that the file itself declares, None for dynamic sizes; None
        when it declares nothing.
    declared : names of the fields in `spec` that are declared.
    limit_s : after this no further try begins.
    thorough : also try batches, repetition and dependence on the number of calls.

    Returns
    -------
    Findings and questions.
    """
    told = known(spec, declared)
    if not isinstance(runner, Describer):  # a Python function always gets channels first
        told = replace(told, input_layout="channel_first", output_layout="channel_first")
    state = _State(Attempts(runner, spec, limit_s), told, spec, declared)
    found = _first_accepted(state, shape)
    if found is None:
        return _nothing(state)
    tried, answer = found
    tried = _look_inside(state, tried)
    again = state.attempt(noise(tried.shape), tried)
    answers = [answer if again is None else again, *_other_answers(state, tried)]
    _activation(state, answers, tried)
    _input(state, tried, answers)
    _sizes(state, tried, shape)
    _larger(state, tried)
    kept: Batches = "not tried"
    if thorough:
        kept = _behaviour(state, tried, shape)
    return _report(state, tried, int(answers[0].shape[0]), kept)


@dataclass(slots=True)
class _State:
    """What a probe has found so far."""

    attempt: Attempts
    told: Known
    spec: SystemSpec
    declared: frozenset[str]
    found: dict[str, object] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)
    not_tried: list[str] = field(default_factory=list)
    description: Description | None = None
    choice: Choice | None = None
    alone: bool = False
    """There is no network to look into."""


def _first_accepted(
    state: _State, shape: Sequence[int | None] | None
) -> tuple[Candidate, NDArray[Any]] | None:
    for tried in candidates(shape, state.told):
        answer = state.attempt(noise(tried.shape), tried)
        if answer is not None:
            return tried, answer
        if state.attempt.over:
            state.not_tried.append("other channels, layouts and sizes of the input")
            break
    return None


def _nothing(state: _State) -> ProbeReport:
    """Report that no input was accepted."""
    channels = state.told.channels or f"{', '.join(map(str, CHANNELS))}"
    last = f"; the last one because: {state.attempt.refusal}" if state.attempt.refusal else ""
    if state.told.sizes:
        sizes = str(state.told.sizes)
    else:
        sizes = " and ".join(str(SIDES[d]) for d in (3, 2) if state.told.dims in (None, d))
    finding = (
        f"no tried input was accepted: {channels} channels, sizes {sizes}; "
        f"declare input.size and input.channels{last}"
    )
    asked = [
        Question("input.size", "no tried size was accepted", "input: {size: [96, 96, 96]}"),
        Question("input.channels", "no tried number was accepted", "input: {channels: 1}"),
        Question(
            "output.activation", "the system answered to nothing", "output: {activation: softmax}"
        ),
    ]
    return ProbeReport(
        fields=(),
        questions=questions(
            dims=state.told.dims or 3, classes=None, declared=state.declared, further=asked
        ),
        classes=None,
        findings=(*_ended(state), finding),
        not_tried=tuple(state.not_tried),
    )


def _look_inside(state: _State, tried: Candidate) -> Candidate:
    """Describe the network and choose its output."""
    description, why = state.attempt.describe(tried)
    state.description = description
    if description is None:
        state.alone = not why
        if why:
            state.findings.append(f"the network could not be looked into: {why}")
        return tried
    state.findings += [f"in evaluation as in training: {it}" for it in description.live]
    if state.told.index is not None:
        return tried
    state.choice = choice = choose(description.outputs, tried)
    if choice is None:
        return tried
    if choice.words:
        state.findings.append(choice.words)
    if not choice.certain:
        line = f"output: {{index: {choice.index}}}"
        state.asked.append(Question("output.index", "several outputs fit", line))
    elif choice.place:
        state.found["output.index"] = choice.index
    if len(description.outputs) == 1:
        return tried
    return replace(tried, output=replace(tried.output, index=choice.index))


def _input(state: _State, tried: Candidate, answers: Sequence[NDArray[Any]]) -> None:
    state.found |= {
        "input.channels": tried.input.channels,
        "input.dims": len(tried.sizes),
        "input.layout": tried.input.layout,
        "output.layout": tried.output.layout,
    }
    classes = int(answers[0].shape[0])
    state.findings.append(f"the output has {classes} {'channel' if classes == 1 else 'channels'}")


def _other_answers(state: _State, tried: Candidate) -> list[NDArray[Any]]:
    """Collect the answers to other noise, to noise a hundred times larger, and to a smooth image."""
    ramps = np.meshgrid(*(np.linspace(-1, 1, n) for n in tried.sizes), indexing="ij")
    smooth = np.exp(-2 * sum(r**2 for r in ramps)).astype(np.float32)
    fed = [
        noise(tried.shape, seed=1),
        100 * noise(tried.shape, seed=2),
        np.broadcast_to(3 * smooth, tried.shape).copy(),
    ]
    tried_all = [state.attempt(array, tried) for array in fed]
    if state.attempt.over:
        state.not_tried.append("the activation on several inputs")
    return [answer for answer in tried_all if answer is not None]


def _activation(state: _State, answers: Sequence[NDArray[Any]], tried: Candidate) -> None:
    seen = look(answers)
    if seen.range in {"not finite", "constant"}:
        state.findings.append(f"on random inputs {seen.words}")
    place = _place(state)
    output = state.description.outputs[place] if state.description and place is not None else None
    judged = judge(
        seen,
        output.ending if output is not None else None,
        whole_type=(output.dtype if output is not None else answers[0].dtype.name).startswith(
            ("int", "uint", "bool")
        ),
        axis=channel_axis(output, tried) if output is not None else 1,
        alone=state.alone,
    )
    if "the activation on several inputs" in state.not_tried:
        judged = Judged(None, f"few inputs could be tried: {judged.words}")
    if state.choice is not None and not state.choice.certain:
        judged = Judged(
            None, f"it depends on output.index; of {state.choice.index}: {judged.words}"
        )
    declared = state.spec.output.activation if "output.activation" in state.declared else None
    if declared is not None:
        if judged.activation not in (None, declared):
            state.findings.append(
                f"output.activation is declared as {declared}, but it looks like "
                f"{judged.activation}: {judged.words}"
            )
    elif judged.activation is not None:
        state.found["output.activation"] = judged.activation
        state.findings.append(f"output.activation {judged.activation}: {judged.words}")
    else:
        why = f"{judged.words}; logits_sigmoid for overlapping labels"
        line = "output: {activation: logits_softmax}"
        state.asked.append(Question("output.activation", why, line))


def _place(state: _State) -> int | None:
    """Return the number of the output that is read."""
    if state.description is None:
        return None
    outputs = state.description.outputs
    index = state.told.index
    if isinstance(index, str):
        return next((i for i, it in enumerate(outputs) if it.name == index), None)
    if index is not None:
        return index if index < len(outputs) else None
    return state.choice.place if state.choice is not None else None


def _sizes(state: _State, tried: Candidate, shape: Sequence[int | None] | None) -> None:
    """Find how sizes may change; a window or a declared size needs no answer."""
    if state.told.sizes is not None or state.told.divisor is not None:
        return
    if shape is not None and len(shape) in {4, 5}:
        inner = shape[2:] if tried.input.layout == "channel_first" else shape[1:-1]
        if all(n is not None for n in inner):
            state.found["input.size"] = tried.sizes
            return
    steps = divisors(state.attempt, tried)
    if steps is None:
        state.not_tried.append("whether sizes may change, and their divisor")
        line = f"input: {{divisor: {[16] * len(tried.sizes)}}}"
        state.asked.append(Question("input.divisor", "sizes could not all be tried", line))
    elif None in steps:
        state.found["input.size"] = tried.sizes
    elif any(step != 1 for step in steps):
        state.found["input.divisor"] = steps


def _larger(state: _State, tried: Candidate) -> None:
    """Look again at twice the size when the coarsest level had a single voxel."""
    seen = state.description
    fixed = "input.size" in state.found or state.told.sizes is not None
    if seen is None or seen.skips is None or not seen.skips.one_voxel or fixed:
        return
    doubled = replace(tried, sizes=tuple(2 * n for n in tried.sizes))
    larger, _ = state.attempt.describe(doubled)
    if larger is not None:
        state.description = larger


def _behaviour(state: _State, tried: Candidate, shape: Sequence[int | None] | None) -> Batches:
    """Try batches, repetition and the dependence on the number of calls."""
    kept: Batches = "not tried"
    if not state.alone:  # a callable gets one image at a time
        kept, told = batches(state.attempt, tried, shape[0] if shape else None)
        state.findings += told
        if kept == "not tried":
            state.not_tried.append("batches of two")
    random = repetition(state.attempt, tried)
    state.findings += random
    if state.attempt.over:
        state.not_tried.append("whether the same input gives the same answer")
    if random:
        return kept
    state.findings += call_number(state.attempt, tried)
    if state.attempt.over:
        state.not_tried.append("whether the answer depends on the number of calls")
    return kept


def _ended(state: _State) -> tuple[str, ...]:
    """Say that no more was tried, and what not."""
    left = list(dict.fromkeys(state.not_tried))
    if not left:
        return ()
    why = state.attempt.why_over or "a try crashed or took too long"
    return (f"{why}; not tried: {'; '.join(left)}",)


def _report(state: _State, tried: Candidate, classes: int, kept: Batches) -> ProbeReport:
    fields = [
        ContractField(name, canonical_text(value), Certainty.PROBED)
        for name, value in sorted(state.found.items())
        if name not in state.declared
    ]
    return ProbeReport(
        fields=tuple(fields),
        questions=questions(
            dims=len(tried.sizes), classes=classes, declared=state.declared, further=state.asked
        ),
        classes=classes,
        findings=(*state.findings, *_ended(state)),
        batches=kept,
        description=state.description,
        not_tried=tuple(dict.fromkeys(state.not_tried)),
    )
