"""Re-run the studies of architectures and skip connections: train, audit, weigh, and write the page.

    python examples/architectures/run.py --out work/architectures            # two cores
    python examples/architectures/run.py --out work/architectures --tiny     # does it work at all?
    python examples/architectures/run.py --out work/architectures --full --device cuda

Finished networks and finished units of an audit are kept, so that a run that was stopped goes on where it was.
The page and its summary are written into the folder as well, and into docs/ on request (``--docs``).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import spheres
from audits import FULL_STUDY, SMALL_STUDY, TINY_STUDY, Study, audit_all, jobs_of, write_audits
from findings import summary_of
from jobs import train_jobs
from page import DOCS, write_page
from training import train_one

__all__ = ["main", "study_textures"]

SIZES = {
    "small": (SMALL_STUDY, spheres.SMALL),
    "tiny": (TINY_STUDY, spheres.TINY),
    "full": (FULL_STUDY, spheres.FULL),
}


def study_textures(
    study: Study,
    folder: Path,
    *,
    processes: int,
    sphere_numbers: dict[str, Any] | None = None,
    only: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Train what is not trained, run the audits of the texture task, and return their summary.

    Parameters
    ----------
    study : Study
    folder : where everything lies
    processes : networks trained side by side, and workers of an audit
    sphere_numbers : of the sphere task, where it was run
    only : names of the audits to run; none: all
    """
    trained = train_jobs(
        jobs_of(study), train_one, study.recipe, folder / "networks", processes=processes
    )
    paths = write_audits(study, folder, trained)
    chosen = [path for path in paths if not only or path.stem in only]
    runs = audit_all(chosen, workers=processes)
    return summary_of(study, trained, runs, spheres=sphere_numbers)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--tiny", dest="size", action="store_const", const="tiny")
    size.add_argument("--full", dest="size", action="store_const", const="full")
    parser.add_argument("--device", help="cpu, or cuda where --full trains")
    parser.add_argument("--processes", type=int, default=2, help="each with one thread")
    parser.add_argument("--no-spheres", action="store_true", help="leave the sphere task out")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    given = parser.parse_args(arguments)
    if given.processes < 1:
        parser.error(f"--processes must be at least 1, was {given.processes}")
    study, sphere_recipe = SIZES[given.size or "small"]
    if given.device is not None:
        study = replace(study, recipe=replace(study.recipe, device=given.device))
        sphere_recipe = replace(sphere_recipe, device=given.device)

    numbers = None
    if not given.no_spheres:
        run = spheres.audit_spheres(sphere_recipe, given.out / "spheres", processes=given.processes)
        numbers = spheres.sphere_summary(run)
    summary = study_textures(
        study, given.out / "textures", processes=given.processes, sphere_numbers=numbers
    )
    docs = DOCS if given.docs else given.out / "page"
    written = docs / "studies" / "architectures.json"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(write_page(summary, docs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
