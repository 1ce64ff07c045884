"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from auditor.cli.terminal import harmless, own_stream
from auditor.execution.local import Progress

__all__ = ["duration", "measured_cases", "shown", "tries"]

_EVERY_S = 10.0


def duration(seconds: float | None) -> str:
    """Write a duration for people: 12 s, 3 min 05 s, 2 h 10 min."""
    if seconds is None:
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@contextmanager
def shown(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Give a function that shows a `Progress`."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        yield from _bar()
    else:
        yield _Lines()


def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("units"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]} left"),
    )
    console = Console(file=own_stream(sys.stderr))
    with Bar(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task("units", total=None, left="unknown")

        def update(progress: Progress) -> None:
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                left=duration(progress.remaining_s),
            )
            if progress.note:
                bar.console.print(harmless(progress.note), markup=False)

        yield update


class _Lines:
    """One line at the start, every ten seconds, and at the end."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.note:
            click.echo(progress.note, err=True)
        now = time.monotonic()
        if now - self._last < _EVERY_S and progress.done < progress.total:
            return
        self._last = now
        click.echo(
            f"{progress.done} of {progress.total} units, {duration(progress.remaining_s)} left",
            err=True,
        )


def tries() -> Callable[[str, int, int], None]:
    """Give a function that shows, every ten seconds, how many other contracts were tried."""
    last = time.monotonic()

    def show(system: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            click.echo(f"{system}: {done} of {total} other contracts tried", err=True)

    return show


def measured_cases(what: str) -> Callable[[int, int], None]:
    """Give a function that shows, every ten seconds, on how many cases something was measured."""
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            click.echo(f"{what}: {done} of {total} cases measured", err=True)

    return show
