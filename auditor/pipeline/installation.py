"""Does this installation work: packages, devices, the sandbox of the child process."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from auditor.errors import AuditError
from auditor.systems.onnx import check_onnxruntime_installation
from auditor.systems.sandbox import describe_sandbox

__all__ = ["Finding", "examine_installation"]

_PACKAGES = ("torch", "onnx", "numpy", "scipy", "SimpleITK", "pyarrow", "scikit-image")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    good: bool
    cure: str = ""


def examine_installation() -> list[Finding]:
    """Look at packages, onnxruntime, CUDA, the sandbox and the temporary folder."""
    findings = [
        Finding(
            "python",
            sys.version.split()[0],
            good=sys.version_info >= (3, 11),
            cure="install Python 3.11 or newer",
        )
    ]
    for name in _PACKAGES:
        try:
            findings.append(Finding(name, metadata.version(name), good=True))
        except metadata.PackageNotFoundError:
            cure = f"pip install {name}"
            findings.append(Finding(name, "not installed", good=False, cure=cure))
    findings += [
        _onnxruntime(),
        _cuda(),
        Finding("sandbox", describe_sandbox(), good=True),
        _scratch(),
    ]
    return findings


def _onnxruntime() -> Finding:
    try:
        return Finding("onnxruntime", check_onnxruntime_installation(), good=True)
    except AuditError as error:
        return Finding("onnxruntime", str(error), good=False)


def _cuda() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("cuda", torch.cuda.get_device_name(0), good=True)
    return Finding("cuda", "not available: systems run on the CPU", good=True)


def _scratch() -> Finding:
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "probe").write_bytes(b"1")
    except OSError as error:
        cure = "set TMPDIR to a folder that can be written"
        return Finding("temporary folder", f"not writable: {error}", good=False, cure=cure)
    return Finding("temporary folder", "writable", good=True)
