"""The environment of a child process: what it needs, nothing that tells or changes anything else."""

from __future__ import annotations

import os
import site
from pathlib import Path

__all__ = ["child_environment", "import_path"]

_PASSED_ON = (
    "PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER", "CUDA_HOME", "CUDA_PATH", "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES", "PYTHONHOME", "PYTHONNOUSERSITE",
    "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT",
)  # fmt: skip
"""All that a child inherits of the environment: others hold secrets, or change numbers."""

_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""The C library (glibc) keeps up to 64 MB that was freed, instead of giving arrays of a few MB back and
having their pages made anew in the next call: measured, 3 to 15 % of a forward pass of torch. Without fixed
thresholds it raises its own, and memory grows with the sizes of scans."""


def import_path() -> str:
    """Return PYTHONPATH of a process that finds this package however its parent found it.

    Absolute folders only: an empty or relative entry would be the folder in which it is started.
    """
    own = str(Path(__file__).resolve().parents[2])
    paths = [own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.pathsep.join(map(os.path.abspath, paths))


def child_environment(scratch: str, threads: int) -> dict[str, str]:
    """Make the environment of a child.

    Parameters
    ----------
    scratch : str
        Folder that it may write; its home.
    threads : int
        Of one forward pass.
    """
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "PYTHONPATH": import_path(),
        "PYTHONUSERBASE": site.getuserbase(),  # it hangs on HOME, which moves
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "HOME": scratch,
        "TMPDIR": scratch,
        "TEMP": scratch,
        "TMP": scratch,
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        **_MEMORY,
    }
