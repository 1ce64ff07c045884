"""One worker: reads indices of units from its standard input, answers one line a unit.

Started by the supervisor as ``python -m auditor.execution.worker`` (never by multiprocessing, so
that an unguarded script of a user works). First comes the pickled job, from the parent that started
it; then one index a line; an empty input ends the worker, so it never outlives its supervisor.
"""

from __future__ import annotations

import json
import os
import pickle
import sys

__all__ = ["main"]


def main() -> None:
    """Serve units until the standard input ends."""
    # the protocol gets a private copy of stdout; whatever a library prints goes to stderr
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    job = pickle.load(sys.stdin.buffer)  # written by our own parent process
    import torch

    from auditor.errors import AuditError
    from auditor.execution.unit import UnitRunner

    torch.set_num_threads(1)
    with UnitRunner(job) as runner:
        answers.write(json.dumps({"ready": True}) + "\n")
        for line in sys.stdin.buffer:
            index = int(line)
            try:
                written = runner.run(job.plan.units[index])
                answer: dict[str, object] = {"done": index, "shards": written}
            except AuditError as error:
                answer = {"stopped": index, "error": type(error).__name__, "why": str(error)}
            answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
