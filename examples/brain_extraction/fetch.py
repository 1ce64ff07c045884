"""Fetch a public brain-extraction checkpoint and one real head, and write the table of cases.

Nothing of this is part of segaudit: both files keep their own licences, which are printed. Every
file is compared with a known SHA-256 before it is used.

* deepbet 1.0.2 (MIT, Fisch et al. 2023, arXiv 2308.07003): a traced network for T1-weighted MR,
  taken out of its wheel.
* mricron-data (BSD-3-Clause as packaged by Debian): Colin27, one head scanned 27 times (Holmes et
  al. 1998), with skull (``ch2``) and brain-extracted (``ch2bet``) on one grid.

Run it from this folder on a Debian or Ubuntu machine with pip::

    python fetch.py
"""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from wheels import FetchError, Wheel, check, fetch, is_known, run  # noqa: E402  # lies one folder up

CACHE = FOLDER / ".cache"
DEEPBET = Wheel(
    "deepbet==1.0.2",
    "deepbet-1.0.2-py3-none-any.whl",
    "1999e2ea00ec48f6233b95b96f3901a962d3f70431c63aeb985e8a49a198473c",
    {
        "model.pt": (
            "data/models/model.pt",
            "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd",
        ),
        "bbox_model.pt": (
            "data/models/bbox_model.pt",
            "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa",
        ),
    },
)
HEAD = {
    "ch2.nii.gz": "a009051127f64dc3dd554d5f5b589870ea72106d9642c21b4e7093e478cfc309",
    "ch2bet.nii.gz": "592a2d20abdf36eefcb540ca8958428040edffc1bc1a18ba1dcfbabac77c5dd1",
}
LICENCES = """\
deepbet 1.0.2: MIT licence. Cite Fisch et al. 2023, arXiv 2308.07003.
Colin27 (ch2, ch2bet) as packaged in mricron-data: BSD-3-Clause. Cite Holmes et al. 1998."""


def main() -> int:
    CACHE.mkdir(exist_ok=True)
    try:
        fetch(DEEPBET, CACHE)
        fetch_head()
        write_reference(CACHE / "ch2bet.nii.gz", CACHE / "brain.nii.gz")
    except FetchError as error:
        print(f"fetch.py: {error}", file=sys.stderr)
        return 1
    write_table(CACHE / "cases.csv")
    print(LICENCES)
    print(f"ready: {CACHE.name}/cases.csv, {CACHE.name}/bbox_model.pt, {CACHE.name}/model.pt")
    return 0


def fetch_head() -> None:
    """Put ``ch2.nii.gz`` and ``ch2bet.nii.gz`` into the cache."""
    if all(is_known(CACHE / name, sha256) for name, sha256 in HEAD.items()):
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        msg = (
            "the head comes from the Debian package mricron-data, and this machine has no apt-get "
            "and dpkg. Unpack that package elsewhere (it needs no installation: dpkg -x) and copy "
            f"usr/share/mricron/templates/ch2.nii.gz and ch2bet.nii.gz into {CACHE.name}/"
        )
        raise FetchError(msg)
    run(("apt-get", "download", "--quiet", "mricron-data"), CACHE)
    packages = sorted(CACHE.glob("mricron-data_*.deb"))
    if not packages:
        msg = "apt-get download mricron-data wrote no package; run apt-get update, then try again"
        raise FetchError(msg)
    unpacked = CACHE / "mricron-data"
    run(("dpkg", "-x", str(packages[-1]), str(unpacked)), CACHE)
    for name, sha256 in HEAD.items():
        shutil.copyfile(unpacked / "usr/share/mricron/templates" / name, CACHE / name)
        check(CACHE / name, sha256)
    shutil.rmtree(unpacked)


def write_reference(extracted: Path, mask: Path) -> None:
    """Make the reference: brain wherever the extracted head is above 0, holes filled."""
    import numpy as np
    import SimpleITK
    from scipy.ndimage import binary_fill_holes

    image = SimpleITK.ReadImage(str(extracted))
    brain = binary_fill_holes(SimpleITK.GetArrayFromImage(image) > 0)
    written = SimpleITK.GetImageFromArray(brain.astype(np.uint8))
    written.CopyInformation(image)
    SimpleITK.WriteImage(written, str(mask), useCompression=True)


def write_table(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["case", "patient", "image", "reference"])
        writer.writerow(["colin27", "colin", "ch2.nii.gz", "brain.nii.gz"])


if __name__ == "__main__":
    sys.exit(main())
