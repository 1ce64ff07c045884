"""Networks trained side by side, one thread each, and never twice.

A network is finished when its ``.json`` lies beside it, which is written last: what is killed before is
trained again, and so is what was trained by another recipe.
"""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Job", "finished", "train_jobs", "write_facts"]

Facts = dict[str, Any]


class Job(Protocol):
    """One network to be trained."""

    @property
    def name(self) -> str:
        """As files and systems are called."""


def train_jobs(
    jobs: Sequence[Any],
    train: Callable[[Any, Any, Path], Facts],
    recipe: Any,  # noqa: ANN401 - any frozen record
    folder: Path,
    *,
    processes: int = 2,
) -> list[Facts]:
    """Train what is not finished yet, and return what is known of all.

    Parameters
    ----------
    jobs : in an order in which every part of it is typical of the whole, so that the time left is told well
    train : from a job, the recipe and the folder to the facts, which it writes by `write_facts`
    recipe : of all of them
    folder : of the checkpoints
    processes : side by side; 1: in this process
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting = [job for job in jobs if finished(job, recipe, folder) is None]
    print(f"{len(jobs)} networks, {len(jobs) - len(waiting)} of them trained already", flush=True)
    started = time.monotonic()
    if processes == 1 or len(waiting) < 2:
        for done, job in enumerate(waiting, start=1):
            _told(train(job, recipe, folder), done, len(waiting), started)
    else:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(processes, context) as pool:
            futures = [pool.submit(train, job, recipe, folder) for job in waiting]
            for done, future in enumerate(concurrent.futures.as_completed(futures), start=1):
                _told(future.result(), done, len(waiting), started)
    found = [finished(job, recipe, folder) for job in jobs]
    return [facts for facts in found if facts is not None]


def finished(job: Job, recipe: Any, folder: Path) -> Facts | None:  # noqa: ANN401 - any frozen record
    """Return the facts of a network that was trained by this very recipe; None when it was not."""
    path = folder / f"{job.name}.json"
    if not path.is_file():
        return None
    facts: Facts = json.loads(path.read_text(encoding="utf-8"))
    return facts if facts.get("recipe") == _plain(recipe) else None


def write_facts(job: Job, recipe: Any, facts: Mapping[str, Any], folder: Path) -> Facts:  # noqa: ANN401
    """Write what is known of a finished network, with its recipe, and return it."""
    whole = {**facts, "recipe": _plain(recipe)}
    path = folder / f"{job.name}.json"
    waiting = path.with_suffix(".tmp")
    waiting.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    waiting.replace(path)
    return whole


def _plain(recipe: Any) -> Facts:  # noqa: ANN401 - any frozen record
    plain: Facts = json.loads(json.dumps(asdict(recipe)))
    return plain


def _told(facts: Facts, done: int, total: int, started: float) -> None:
    left = (time.monotonic() - started) / done * (total - done)
    print(
        f"{done} of {total}: {facts['name']}, validation DSC {facts['validation_dsc']:.3f} at epoch "
        f"{facts['best_epoch']}; about {left / 60:.1f} min left",
        flush=True,
    )
