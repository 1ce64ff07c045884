"""The systems that a worker keeps running: as many as memory allows, the least recently used leaves first.

Units go through all systems in turn. With fewer kept than there are, the next one would always be one that
has just left, and each would be started anew for every unit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack

from auditor.errors import IntegrityError
from auditor.execution.job import Job
from auditor.execution.room import has_room
from auditor.systems.closing import Closing
from auditor.systems.runners import CallableSystem
from auditor.systems.running import System, open_system

__all__ = ["OpenSystems"]

_ALWAYS = 4
"""Kept running whatever memory there is."""

_MOST = 64
"""Kept running at most: each is a process of its own."""


class OpenSystems(Closing):
    """Running systems by name, started when they are first asked for.

    Parameters
    ----------
    job : Job
        With the systems, and what they were when the audit began.
    callables : mapping of name to callable
        Systems that are Python callables.
    """

    def __init__(self, job: Job, callables: Mapping[str, CallableSystem]) -> None:
        self._specs = {spec.name: spec for spec in job.config.systems}
        self._identities = job.identities
        self._callables = callables
        self._open: OrderedDict[str, tuple[System, ExitStack]] = OrderedDict()

    def close(self) -> None:
        """End every one of them."""
        while self._open:
            self._open.popitem()[1][1].close()

    def get(self, name: str) -> System:
        """Return a running system, starting it when needed.

        Raises
        ------
        CheckpointError
            When it does not start.
        IntegrityError
            When its files are not what they were when the audit began.
        """
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name][0]
        while len(self._open) >= _ALWAYS and not self._may_hold_more():
            self._open.popitem(last=False)[1][1].close()
        stack = ExitStack()
        running = stack.enter_context(
            open_system(self._specs[name], callable=self._callables.get(name))
        )
        planned = self._identities.get(name, "")
        if name not in self._callables and planned and running.info.sha256 != planned:
            stack.close()
            msg = (
                f"system {name!r} must stay what it was when the audit began, its files were changed since; "
                "put them back, or start another audit in a folder of its own"
            )
            raise IntegrityError(msg)
        self._open[name] = (running, stack)
        return running

    def _may_hold_more(self) -> bool:
        """Tell whether one more may run beside the others; how full a GPU is is not known."""
        on_cpu = all(self._specs[name].device == "cpu" for name in self._open)
        return on_cpu and len(self._open) < _MOST and has_room()
