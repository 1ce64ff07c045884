"""Do rated bounds hold on patients that a certificate has never seen? Phantoms, clean and with noise.

    segaudit demo -o demo
    python benchmarks/rated_phantoms.py demo --patients 200 --severities 0,1,2,3,4,5,beyond

Draws another cohort of phantoms, adds noise of the calibrated kind (and 60 % of it, which is beyond), rates
every scan with the demo's certificate, and prints how many bounds held and what the grades turned out to be.
Each severity is counted apart, so that a patient has one scan in each count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

# this folder has a perturbations.py of its own
sys.path.remove(str(Path(__file__).resolve().parent))

import perturbations
from auditor.cases import read_table, read_volume
from auditor.confidence.promise_count import count_promises
from auditor.demo import write_cohort
from auditor.pipeline.rated_cases import NamedScan, rate_all
from auditor.pipeline.rating import ScanRater
from auditor.volumes.images import write_image
from perturbations import Scan

BEYOND = 60.0
"""% of S_ref."""


def noisy(scan: NamedScan, severity: str, folder: Path) -> NamedScan:
    """Write a scan under a severity of noise; 0: as it is."""
    if severity == "0":
        return scan
    image, grid = read_volume(scan.record.images)
    clean = Scan(image=image, spacing=grid.spacing, unit=grid.unit, modality="mr")
    drawn = perturbations.realise("rician_noise", clean, seed=77)
    level = {"level": BEYOND} if severity == "beyond" else {"severity": float(severity)}
    path = folder / f"{scan.name}-{severity}.nii.gz"
    write_image(path, drawn.at(**level).image[0], grid)
    return replace(scan, record=replace(scan.record, images=(str(path),)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--patients", type=int, default=16)
    parser.add_argument("--severities", default="0,3,4,5,beyond")
    parser.add_argument("--seed", type=int, default=20270101)
    given = parser.parse_args()
    certificate = given.demo / "run" / "certificates" / "unet_skips.organ.json"
    checkpoint = given.demo / "input" / "checkpoints" / "unet_skips.onnx"
    with tempfile.TemporaryDirectory() as home, ScanRater.of(certificate, checkpoint) as rater:
        table = write_cohort(Path(home), patients=given.patients, seed=given.seed)
        scans = [
            NamedScan(it.display_case, it.display_patient, it.case, it) for it in read_table(table)
        ]
        every = []
        for severity in given.severities.split(","):
            named = [noisy(it, severity, Path(home)) for it in scans]
            found = [it.checked for it in rate_all(rater, named) if it.checked is not None]
            every += [replace(it, patient=f"{it.patient}-{severity}") for it in found]
            told = count_promises(found, rater.certificate.declared)
            print(
                f"severity {severity:6} held for {told.held} of {told.patients}, not rated {told.not_rated}"
            )
        for it in count_promises(every, rater.certificate.declared).outcomes:
            mean = "none" if it.mean_dsc is None else f"{it.mean_dsc:.3f}"
            print(f"grade {it.grade.value}: {it.reached.n} scans, mean DSC {mean}")


if __name__ == "__main__":
    main()
