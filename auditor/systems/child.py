"""The child process that holds one checkpoint: ``python -m auditor.systems.child``.

Limits are set first, before torch or onnxruntime is imported; then it answers one message after the
other until its parent is gone. Whatever the checkpoint prints goes to the parent's record of the last
lines, never into the messages.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import sysconfig
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Serve one checkpoint.

    Parameters
    ----------
    arguments : list of str
        Descriptor of the channel, and the settings as JSON.
    """
    channel = socket.socket(fileno=int(arguments[0]))
    settings = json.loads(arguments[1])
    checkpoint = Path(settings["checkpoint"])
    from auditor.systems.sandbox import confine

    layers = confine(
        readable=_readable(checkpoint),
        writable=[Path(settings["scratch"]), Path("/dev/null"), *_devices(settings["device"])],
        memory_gb=settings["memory_gb"] if settings["device"] == "cpu" else None,
    )
    from auditor.systems.transport import TransportError, send

    try:
        model = _load(checkpoint, settings)
    except BaseException as error:  # noqa: BLE001  # whatever a checkpoint does while it is loaded
        send(channel, {"ok": False, **_told(error)})
        return
    send(channel, {"ok": True, "sandbox": list(layers), "input_shape": model.input_shape})
    try:
        while True:
            _serve(channel, model, settings["batch"])
    except TransportError:
        return  # the parent has closed us


def _load(checkpoint: Path, settings: dict[str, Any]) -> Any:  # noqa: ANN401  # either kind of model
    keep = {"device": settings["device"], "threads": settings["threads"]}
    if settings["format"] == "onnx":
        from auditor.systems.onnx import OnnxModel

        return OnnxModel(checkpoint, **keep)
    from auditor.systems.torchscript import TorchScriptModel

    return TorchScriptModel(checkpoint, **keep)


def _serve(channel: socket.socket, model: Any, batch: int) -> None:  # noqa: ANN401  # either kind
    from auditor.schema import InputSpec, OutputSpec, WindowSpec
    from auditor.systems.transport import receive, send
    from auditor.systems.window import run_images

    header, images = receive(channel)
    inputs = InputSpec(layout=header["input_layout"])
    output = OutputSpec(**{**header["output"], "labels": ()})
    window = header["window"]
    spec = None if window is None else WindowSpec(**{**window, "size": tuple(window["size"])})
    try:
        answers = run_images(images, lambda b: model(b, inputs, output), spec, batch)
    except BaseException as error:  # noqa: BLE001  # whatever a checkpoint raises is a row
        send(channel, {"ok": False, **_told(error)})
        return
    send(channel, {"ok": True}, answers)


def _told(error: BaseException) -> dict[str, str]:
    """Turn what a checkpoint raised into a status and one sentence."""
    from auditor.errors import AuditError
    from auditor.systems.answers import Refusal

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "")
    text = text[:300]
    lower = str(error).lower()
    if isinstance(error, MemoryError) or any(
        word in lower for word in ("bad_alloc", "bad allocation", "can't allocate", "out of memory")
    ):
        return {"status": "crashed", "reason": f"it asked for more memory than it may have: {text}"}
    if isinstance(error, Refusal | ValueError | AuditError):
        return {"status": "rejected", "reason": " ".join(str(error).split())[:500]}
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return {"status": "crashed", "reason": "it tried to end its process"}
    return {"status": "rejected", "reason": f"the model refused its input: {text}"}


def _readable(checkpoint: Path) -> list[Path]:
    """List what an interpreter, its packages and one checkpoint need."""
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    # editable installations lie outside the prefix; the packages' own folders, not the working one
    own = Path(__file__).resolve().parents[1]
    folders = [Path(root) for root in sorted(roots)]
    folders += [own, own.parent / "perturbations", Path("/usr"), Path("/lib"), Path("/lib64")]
    folders += [Path("/etc/ld.so.cache"), Path("/etc/localtime"), Path("/proc"), Path("/sys")]
    folders += [Path("/dev/urandom"), Path("/dev/zero"), Path("/dev/shm"), checkpoint]
    # the weights of a large ONNX graph lie in files beside it, named by the graph
    return [*folders, *checkpoint.parent.glob(f"{checkpoint.name}*")]


def _devices(device: str) -> list[Path]:
    return [] if device == "cpu" else [*Path("/dev").glob("nvidia*"), Path("/dev/shm")]


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # a library's threads must not keep a finished child alive
