"""Fetch two public checkpoints, export one of them, and draw pictures with known truth for both.

Nothing of this is part of segaudit: the files keep their own licences, which are printed. Every file
is taken out of a published wheel and compared with a known SHA-256; nothing is installed.

* mouse-pupil-analysis 0.3.0 (MIT): a 2-D U-Net of weights only (a state_dict) and its architecture.
* rapidocr-onnxruntime 1.4.4 (Apache-2.0): DBNet, which finds text, as ONNX.

Run it from this folder::

    python fetch.py
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from draw import draw_eyes, draw_pages  # noqa: E402  # lies beside this file
from export_pupil import export  # noqa: E402
from wheels import FetchError, Wheel, fetch  # noqa: E402  # lies one folder up

CACHE = FOLDER / ".cache"
PUPIL = Wheel(
    "mouse-pupil-analysis==0.3.0",
    "mouse_pupil_analysis-0.3.0-py3-none-any.whl",
    "b356c2b2b3a86ece0c7a2cfdc5b838a8a535038074d36e4ab206619f7cf48d81",
    {
        "pupil.pth": (
            "mouse_pupil_analysis/checkpoints/615pupils_thresh=0.5_iou=0.6080.pth",
            "4a2596165689f8c59e3384a53a54202199ac6dbd38d9c7c6e3e01b90b4db6edf",
        ),
        "pupil_unet.py": (
            "mouse_pupil_analysis/unet.py",
            "5229ac88b8c5ee88182ef64096c7cfd39d02d981f5b1df0f186e50cd14b5082f",
        ),
    },
)
TEXT = Wheel(
    "rapidocr-onnxruntime==1.4.4",
    "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
    "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    {
        "text.onnx": (
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
            "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        ),
    },
)
LICENCES = """\
mouse-pupil-analysis 0.3.0: MIT licence, Yue Zhao.
DBNet of PP-OCRv4 as packaged in rapidocr-onnxruntime 1.4.4: Apache-2.0. Cite Liao et al. 2020,
arXiv 1911.08947."""


def main() -> int:
    try:
        for wheel in (PUPIL, TEXT):
            fetch(wheel, CACHE)
    except FetchError as error:
        print(f"fetch.py: {error}", file=sys.stderr)
        return 1
    export(CACHE / "pupil.pth", CACHE / "pupil_unet.py", CACHE)
    draw_eyes(CACHE / "eyes")
    draw_pages(CACHE / "pages")
    print(LICENCES)
    print(f"ready: {', '.join(sorted(it.name for it in CACHE.iterdir()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
