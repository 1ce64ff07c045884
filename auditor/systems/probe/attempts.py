"""One try after the other, until the time or the patience is over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from auditor.schema import OutputSpec, Status, SystemSpec
from auditor.systems.description import Description
from auditor.systems.probe.candidates import Candidate
from auditor.systems.runners import RunFailure, Runner

__all__ = ["Attempts", "Describer"]

MOST_LOST = 3
"""So many crashes or time-outs end the probe."""


@runtime_checkable
class Describer(Protocol):
    """A runner that can be looked into."""

    def describe(self, shape: Sequence[int], layout: str, *, limit_s: float) -> Description:
        """Say what network runs; RunFailure when it cannot be said."""


class Attempts:
    """Runs arrays, and gives up after some crashes or time-outs, or when the time is over.

    Parameters
    ----------
    runner : of a checkpoint or a callable.
    spec : its limits; the contract in it is replaced on each try.
    limit_s : of all tries together, wall clock. A try that has begun is not cut short by it, but by its
        own limit.
    """

    def __init__(self, runner: Runner, spec: SystemSpec, limit_s: float) -> None:
        self._runner = runner
        self._spec = replace(spec, window=None, flips=())
        self._limit_s = limit_s
        self._until = time.monotonic() + limit_s
        self.lost = 0
        """Crashes and time-outs so far."""
        self.refusal = ""
        """Why the last refused input was refused."""

    @property
    def over(self) -> bool:
        """Whether nothing more will be tried."""
        return self.lost >= MOST_LOST or time.monotonic() >= self._until

    def __call__(self, array: NDArray[np.float32], tried: Candidate) -> NDArray[Any] | None:
        """Return (class, *sizes), or None when the system refuses (channel, *sizes)."""
        answers = self.together([array], tried)
        return None if answers is None else answers[0]

    def together(
        self, arrays: Sequence[NDArray[np.float32]], tried: Candidate
    ) -> list[NDArray[Any]] | None:
        """Run several in one call; None when the system refuses."""
        if self.over:
            return None
        # an activation that leaves every value as it came
        output = OutputSpec(
            activation="logits_softmax", layout=tried.output.layout, index=tried.output.index
        )
        spec = replace(self._spec, input=tried.input, output=output, batch=len(arrays))
        try:
            answers = self._runner.run(arrays, spec)
        except RunFailure as failure:
            self.lost += failure.status in {Status.CRASHED, Status.TIMED_OUT}
            self.refusal = failure.reason
            return None
        pairs = list(zip(answers, arrays, strict=True))
        if all(answer.shape[1:] == array.shape[1:] for answer, array in pairs):
            return answers
        told = ", ".join(str(answer.shape) for answer in answers)
        self.refusal = f"fed {arrays[0].shape}, it answered {told}"
        return None

    def describe(self, tried: Candidate) -> tuple[Description | None, str]:
        """Look into the network; the reason when that cannot be done, empty where it never can."""
        if not isinstance(self._runner, Describer):
            return None, ""
        left = self._until - time.monotonic()
        if self.over:
            return None, "there was no time left"
        try:
            layout = tried.input.layout
            return self._runner.describe((1, *tried.shape), layout, limit_s=left), ""
        except RunFailure as failure:
            self.lost += failure.status in {Status.CRASHED, Status.TIMED_OUT}
            return None, failure.reason

    def afresh(self) -> bool:
        """End the process, so that the next try is the first of a new one; False where there is none."""
        if not isinstance(self._runner, Describer):
            return False
        self._runner.close()
        return True

    @property
    def why_over(self) -> str:
        """Say that no more is tried, if so."""
        if self.lost >= MOST_LOST:
            return f"probing was given up after {MOST_LOST} crashes or time-outs"
        return f"probing ended after its {self._limit_s:g} s" if self.over else ""
