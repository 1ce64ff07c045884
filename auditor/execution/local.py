"""The supervisor: feeds units to worker processes and survives whatever they do.

It imports no torch. Workers take the units of one case together (the scan is read once); when none
is left untouched they help with the others. A worker that dies takes only its unit with it: the
unit is tried once more and then stored as `quarantined` rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from auditor import errors
from auditor.errors import AuditError, StoreError
from auditor.execution.job import Job, failed_rows
from auditor.execution.pace import Ended, Pace
from auditor.execution.store import has_shard, shard_path, write_shard
from auditor.plan import Unit
from auditor.schema import Status
from auditor.systems.environment import import_path

__all__ = ["Progress", "pending_units", "run_local"]

_TRIES = 2
"""Workers that may die on one unit before it is quarantined."""

_HOPELESS = 3
"""Units that may be quarantined before any is finished."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an execution is; handed to the caller after every unit."""

    done: int
    """Units finished now or earlier."""
    total: int
    """Units of the plan."""
    seconds: float
    """Since the start of this execution."""
    remaining_s: float | None
    """Expected time to the end; None before the first unit is done."""
    note: str = ""
    """A sentence worth printing, or empty."""


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    unit: Unit | None = None
    case: str = ""
    since: float = 0.0
    """When its unit was handed out, by the clock of the pace."""
    served: int = 0
    """Units that it finished."""
    stopping: bool = field(default=False)


def pending_units(job: Job) -> list[Unit]:
    """Units of the plan with at least one missing shard, in order."""
    return [
        unit
        for unit in job.plan.units
        if not all(has_shard(job.run, key) for _, key in unit.shards)
    ]


def run_local(
    job: Job, *, workers: int, report: Callable[[Progress], None], until: Pace | None = None
) -> Ended:
    """Execute the missing units of a job on this machine.

    Parameters
    ----------
    job : Job
        What to do. Finished units are not repeated.
    workers : int
        Number of worker processes, at least 1. It changes no number.
    report : callable
        Called with a `Progress` after every unit.
    until : Pace, optional
        A time limit. Units are then handed out in the order of the plan, none is started that would end
        after the limit by what was measured so far, and one that is still running at the limit is left.
        An interrupt at the keyboard lets the running units end, a second one leaves them too.

    Returns
    -------
    Ended
        Finished, unless there is a time limit.

    Raises
    ------
    StoreError
        When the disk is full or the folder cannot be written; what is stored stays.
    """
    todo = pending_units(job)
    if not todo:
        return Ended.FINISHED
    return _Supervisor(job, todo, workers=min(workers, len(todo)), report=report, until=until).run()


class _Supervisor:
    def __init__(
        self,
        job: Job,
        todo: list[Unit],
        *,
        workers: int,
        report: Callable[[Progress], None],
        until: Pace | None,
    ) -> None:
        self._job = job
        self._todo = todo
        self._total = len(job.plan.units)
        self._earlier = self._total - len(todo)
        self._finished = 0
        self._quarantined: list[Unit] = []
        self._wanted = workers
        self._report = report
        self._deaths: Counter[int] = Counter()
        self._events: queue.Queue[tuple[_Worker, bytes]] = queue.Queue()
        self._workers: list[_Worker] = []
        self._started = time.monotonic()
        self._payload = pickle.dumps(job)
        self._pace = until
        self._halted: Ended | None = None

    def run(self) -> Ended:
        try:
            for _ in range(self._wanted):
                self._start()
            while (self._todo and not self._halted) or any(it.unit for it in self._workers):
                try:
                    worker, line = self._events.get(
                        timeout=self._pace.left_s if self._pace else None
                    )
                except queue.Empty:
                    return self._halted or Ended.TIME
                except KeyboardInterrupt:
                    if self._pace is None or self._halted is Ended.INTERRUPTED:
                        raise
                    self._interrupted()
                    continue
                if line:
                    self._answered(worker, json.loads(line))
                else:
                    self._died(worker)
            return self._halted or Ended.FINISHED
        finally:
            self._stop()

    def _interrupted(self) -> None:
        self._halted = Ended.INTERRUPTED
        done, total = self._earlier + self._finished, self._total
        note = "interrupted: the running units end first; interrupt again to leave them"
        self._report(Progress(done, total, time.monotonic() - self._started, None, note))

    def _start(self) -> None:
        # one thread a stream: the plan fixes the threads of a system, workers add streams
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "ORT_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": import_path(),
        }
        process = subprocess.Popen(
            # -P: nothing is imported from the current folder, where somebody else's files may lie
            [sys.executable, "-P", "-m", "auditor.execution.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # an interrupt at the keyboard is for the supervisor, which then ends its workers
            start_new_session=True,
        )
        worker = _Worker(process)
        self._workers.append(worker)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        with contextlib.suppress(BrokenPipeError):  # its end is noticed by the listener
            assert process.stdin is not None  # asked for by PIPE above
            process.stdin.write(self._payload)
            process.stdin.flush()

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None  # asked for by PIPE at the start
        with worker.process.stdout as lines:
            for line in lines:
                self._events.put((worker, line))
        self._events.put((worker, b""))

    def _answered(self, worker: _Worker, answer: dict[str, object]) -> None:
        if "stopped" in answer:
            kind = getattr(errors, str(answer["error"]), StoreError)
            raise (
                kind(str(answer["why"]))
                if issubclass(kind, AuditError)
                else StoreError(str(answer["why"]))
            )
        if "done" in answer:
            if self._pace is not None and worker.unit is not None:
                seconds = self._pace.now() - worker.since
                self._pace.note(worker.unit, seconds, warm=worker.served > 0)
            worker.served += 1
            worker.unit = None
            self._advance()
        self._hand_out(worker)

    def _advance(self, note: str = "") -> None:
        self._finished += 1
        seconds = time.monotonic() - self._started
        left = self._total - self._earlier - self._finished
        remaining = seconds / self._finished * left
        if self._pace is not None:
            remaining = min(remaining, self._pace.left_s)
        self._report(
            Progress(
                done=self._earlier + self._finished,
                total=self._total,
                seconds=seconds,
                remaining_s=remaining,
                note=note,
            )
        )

    def _hand_out(self, worker: _Worker) -> None:
        unit = self._next(worker)
        if unit is None:
            self._dismiss(worker)
            return
        worker.unit, worker.case = unit, unit.case
        worker.since = self._pace.now() if self._pace is not None else 0.0
        try:
            assert worker.process.stdin is not None  # asked for by PIPE at the start
            worker.process.stdin.write(f"{unit.index}\n".encode())
            worker.process.stdin.flush()
        except BrokenPipeError:
            pass  # the listener reports the end of this worker, with its unit

    def _next(self, worker: _Worker) -> Unit | None:
        """Prefer the worker's own case, then a case that nobody has begun, then any unit.

        Under a time limit: the next of the plan, if it fits.
        """
        if self._pace is not None:
            if self._todo and not self._halted and not self._pace.fits(self._todo[0]):
                self._halted = Ended.TIME
            return None if self._halted or not self._todo else self._todo.pop(0)
        taken = {other.case for other in self._workers if other is not worker}
        for wanted in (
            lambda unit: unit.case == worker.case,
            lambda unit: unit.case not in taken,
            lambda unit: True,
        ):
            for position, unit in enumerate(self._todo):
                if wanted(unit):
                    return self._todo.pop(position)
        return None

    def _dismiss(self, worker: _Worker) -> None:
        worker.stopping = True
        with contextlib.suppress(BrokenPipeError):
            assert worker.process.stdin is not None  # asked for by PIPE at the start
            worker.process.stdin.close()

    def _died(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        code = worker.process.wait()
        with contextlib.suppress(BrokenPipeError):
            assert worker.process.stdin is not None  # asked for by PIPE at the start
            worker.process.stdin.close()
        if worker.stopping and worker.unit is None:
            return
        if worker.unit is None:
            msg = f"a worker process ended before its first unit (exit status {code}); see above"
            raise StoreError(msg)
        unit, worker.unit = worker.unit, None
        self._deaths[unit.index] += 1
        if self._deaths[unit.index] >= _TRIES:
            reason = f"two worker processes ended on this unit (last exit status {code})"
            for name, key in unit.shards:
                if not has_shard(self._job.run, key):
                    rows = failed_rows(self._job, unit, name, Status.QUARANTINED, reason)
                    write_shard(self._job.run, key, rows)
            self._quarantined.append(unit)
            self._advance(f"quarantined: {unit.perturbation.name}, {reason}")
            if len(self._quarantined) == self._finished >= _HOPELESS:
                self._forget()
                msg = (
                    f"the first {_HOPELESS} units ended two worker processes each, so the others would "
                    "too; see the messages above (memory? a broken installation? `segaudit doctor`)"
                )
                raise StoreError(msg)
        else:
            self._todo.insert(0, unit)
        if self._todo and not self._halted:
            self._start()

    def _forget(self) -> None:
        """Take the rows of quarantined units back: once mended, they are worth another try."""
        for unit in self._quarantined:
            for _, key in unit.shards:
                shard_path(self._job.run, key).unlink(missing_ok=True)

    def _stop(self) -> None:
        for worker in self._workers:
            self._dismiss(worker)
        for worker in self._workers:
            try:
                worker.process.wait(timeout=0.1 if worker.unit else 10)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
