"""Exhibits and provenance for sample results."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from sample_numbers import rounded


def grey_png(height: int, width: int) -> bytes:
    """Greyscale PNG of a smooth ramp with a bright disc, written by hand (PNG 1.2, filter 0)."""
    y, x = np.mgrid[0:height, 0:width]
    grey = 40 + 60 * x / width + 25 * np.sin(y / 5.0)
    disc = (x - width * 0.5) ** 2 + ((y - height * 0.5) * width / height) ** 2 < (width * 0.28) ** 2
    pixels = np.clip(grey + 70 * disc, 0, 255).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def ring(x: float, y: float, rx: float, ry: float) -> list[list[float]]:
    """Polygon of an ellipse, in pixel coordinates."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return [[rounded(x + rx * np.cos(t)), rounded(y + ry * np.sin(t))] for t in turn]


PLANES = (
    ("rows y, columns x", 96, 112, (0.8, 0.75), 17),
    ("rows z, columns x", 26, 112, (3.0, 0.75), 48),
    ("rows z, columns y", 26, 96, (3.0, 0.8), 55),
)
"""(name, rows, columns, spacing, slice): the cuts of an anisotropic scan."""


def exhibit_json(name: str) -> dict[str, object]:
    """One exhibit's file; the pictures are `exhibit_pngs`."""
    return {
        "id": name,
        "planes": [
            {
                "name": words,
                "png": f"{name}-{place + 1}.png",
                "width": width,
                "height": height,
                "spacing": list(spacing),
                "slice": where,
                "contours": {
                    "reference": [ring(width / 2, height / 2, width * 0.28, height * 0.28)],
                    "prediction": [ring(width / 2 + 5, height / 2, width * 0.22, height * 0.3)],
                    "clean": [ring(width / 2 + 1, height / 2, width * 0.26, height * 0.27)],
                },
            }
            for place, (words, height, width, spacing, where) in enumerate(PLANES)
        ],
        "window": [-57.0, 164.0],
        "reproduced": True,
        "note": "",
    }


def exhibit_pngs(name: str) -> dict[str, bytes]:
    """Pictures that `exhibit_json` names."""
    return {
        f"{name}-{place + 1}.png": grey_png(height, width)
        for place, (_, height, width, _, _) in enumerate(PLANES)
    }


PROVENANCE = {
    "started": "2026-11-23T13:05:11Z",
    "finished": "2026-11-23T13:41:52Z",
    "command": "segaudit run audit.yaml -o audit-runs/spleen",
    "python": "3.12.4",
    "packages": {"torch": "2.13.0", "onnxruntime": "1.24.1"},
    "hardware": "2 CPU cores, 8 GB",
    "sandbox": ["landlock", "memory limit", "no network"],
}
