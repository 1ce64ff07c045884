"""Fetch the public heads that the studies of this folder use.

Nothing of this is part of segaudit: the files keep their own licences, which are printed. Each is compared
with a known SHA-256 before it is used, and lies in ``benchmarks/.cache``.

* nilearn 0.14.1 (BSD-3-Clause) carries the T1-weighted ICBM 152 template of 2009, brain-extracted, 1 mm.
* with ``--colin``, mricron-data (BSD-3-Clause as packaged by Debian): Colin27, one head scanned 27 times,
  with skull; needs apt-get and dpkg.

::

    python benchmarks/fetch_scans.py
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

CACHE = Path(__file__).resolve().parent / ".cache"
WHEEL = "nilearn-0.14.1-py3-none-any.whl"
MNI = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
COLIN = "ch2.nii.gz"
SHA256 = {
    WHEEL: "725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a",
    MNI: "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6",
    COLIN: "a009051127f64dc3dd554d5f5b589870ea72106d9642c21b4e7093e478cfc309",
}
LICENCES = """\
ICBM 152 nonlinear template, 2009 release a (McConnell Brain Imaging Centre, McGill University), as packaged
in nilearn 0.14.1, BSD-3-Clause. Cite Fonov et al. 2011, doi 10.1016/j.neuroimage.2010.07.033."""
COLIN_LICENCE = """\
Colin27 (ch2) as packaged in mricron-data: BSD-3-Clause. Cite Holmes et al. 1998."""


class FetchError(Exception):
    """A file could not be fetched, or is not the one that the studies were written for."""


def main() -> int:
    """Fetch what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--colin", action="store_true", help="also a head with skull, from Debian")
    arguments = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    try:
        fetch_template()
        if arguments.colin:
            fetch_head()
    except FetchError as error:
        print(f"fetch_scans.py: {error}", file=sys.stderr)
        return 1
    print(LICENCES)
    if arguments.colin:
        print(COLIN_LICENCE)
    return 0


def fetch_template() -> None:
    """Take the template out of its wheel."""
    if is_known(CACHE / MNI):
        return
    if not is_known(CACHE / WHEEL):
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
        call(*pip, "--dest", str(CACHE), "nilearn==0.14.1")
    check(CACHE / WHEEL)
    with zipfile.ZipFile(CACHE / WHEEL) as wheel:
        (CACHE / MNI).write_bytes(wheel.read(f"nilearn/datasets/data/{MNI}"))
    check(CACHE / MNI)


def fetch_head() -> None:
    """Take Colin27 out of the Debian package."""
    if is_known(CACHE / COLIN):
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        msg = (
            "Colin27 comes from the Debian package mricron-data, and this machine has no apt-get and "
            "dpkg. Unpack that package elsewhere (dpkg -x) and copy "
            f"usr/share/mricron/templates/{COLIN} into {CACHE.name}/"
        )
        raise FetchError(msg)
    call("apt-get", "download", "--quiet", "mricron-data")
    packages = sorted(CACHE.glob("mricron-data_*.deb"))
    if not packages:
        msg = "apt-get download mricron-data wrote no package; run apt-get update, then try again"
        raise FetchError(msg)
    unpacked = CACHE / "mricron-data"
    call("dpkg", "-x", str(packages[-1]), str(unpacked))
    shutil.copyfile(unpacked / "usr/share/mricron/templates" / COLIN, CACHE / COLIN)
    shutil.rmtree(unpacked)
    check(CACHE / COLIN)


def call(*command: str) -> None:
    """Run a command inside the cache folder."""
    print(" ".join(Path(part).name for part in command))
    finished = subprocess.run(command, cwd=CACHE, check=False)
    if finished.returncode != 0:
        msg = f"{Path(command[0]).name} ended with code {finished.returncode}; see its message"
        raise FetchError(msg)


def is_known(path: Path) -> bool:
    """Tell whether a file is there and is the one that was meant."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[path.name]


def check(path: Path) -> None:
    """Refuse a file that is another one."""
    if not is_known(path):
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        msg = f"{path.name} must have SHA-256 {SHA256[path.name]}, found {found}"
        raise FetchError(msg)


if __name__ == "__main__":
    sys.exit(main())
