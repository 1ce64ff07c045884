"""The child process that holds one checkpoint: ``python -m auditor.systems.child``.

Limits are set first, before torch or onnxruntime is imported; then it answers one message after the
other until its parent is gone. Whatever the checkpoint prints goes to the parent's record of the last
lines, never into the messages.

**Messages.** First the settings come. The child answers with the layers that hold once its libraries are
imported, so that a slow disk is not taken for a checkpoint that hangs, and then what it knows of the loaded
checkpoint.
Each later message asks for one run, what the network is (`describing`), or how far its layers move
(`layers`). Every answer has ``ok``, or a status and one sentence.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import site
import socket
import stat
import sys
import sysconfig
import threading
import time
from pathlib import Path
from typing import Any

from auditor.systems.peak_memory import peak_mb
from auditor.systems.reasons import one_line
from auditor.systems.sandbox import confine
from auditor.systems.transport import SharedMemory, TransportError, receive, send

__all__ = ["main"]

_LOOK_EVERY_S = 0.25
_CLEARS_S = 2.0

_KINDS = {
    "onnx": ("onnx", "OnnxModel"),
    "torchscript": ("torchscript", "TorchScriptModel"),
    "exported": ("exported", "ExportedModel"),
}
"""Module and class that run each format."""


def main(channel: socket.socket) -> None:
    """Serve one checkpoint.

    Parameters
    ----------
    channel : socket
        To the parent.
    """
    settings, _ = receive(channel)
    checkpoint, scratch = Path(settings["checkpoint"]), Path(settings["scratch"])
    beside = [Path(name) for name in settings["beside"]]
    on_cpu = settings["device"] == "cpu"
    layers = confine(
        readable=[*_interpreter(), checkpoint, *beside],
        writable=[scratch, Path("/dev/null"), *([] if on_cpu else _gpus())],
        memory_gb=settings["memory_gb"] if on_cpu else None,
        file_gb=settings["memory_gb"],
        dies_with_thread=settings["dies_with_thread"],
    )
    # a namespace can be left only by a process of one thread, so this comes after it
    limit = None if on_cpu and sys.platform == "linux" else settings["memory_gb"]
    most = settings["memory_gb"]
    threading.Thread(target=_watch, args=(scratch, limit, most), daemon=True).start()
    try:
        # from here on torch or onnxruntime is in this process
        kind = _runtime(settings["format"])
        # said before the checkpoint is opened, for afterwards nothing is sure to come from this program
        send(channel, {"ok": True, "sandbox": [*layers, "ends with its parent"]})
        model = kind(
            checkpoint,
            device=settings["device"],
            threads=settings["threads"],
            precision=settings["precision"],
        )
        if settings["ablation"] is not None:
            model = _ablated(model, settings["ablation"])
    except BaseException as error:  # noqa: BLE001  # whatever a checkpoint does while it is loaded
        send(channel, {"ok": False, **_told(error, doing="it cannot be loaded")})
        return
    from auditor.systems.layers.measuring import LayerMeter

    known = {"inputs": model.inputs, "outputs": model.outputs, "findings": list(model.findings)}
    send(channel, {"ok": True, **known})
    memory = SharedMemory()
    meter = LayerMeter(model, device=settings["device"], threads=settings["threads"])
    while True:
        _serve(channel, model, settings["batch"], memory, meter)


def _runtime(format_: str) -> Any:  # noqa: ANN401  # a class of either kind of model
    module, name = _KINDS[format_]
    kind = getattr(importlib.import_module(f"auditor.systems.{module}"), name)
    kind.import_runtime()
    return kind


def _ablated(model: Any, ablation: dict[str, Any]) -> Any:  # noqa: ANN401  # any kind of model
    from auditor.schema import AblationSpec
    from auditor.systems.ablation.ablated import ablated_model

    return ablated_model(model, AblationSpec(**{**ablation, "skips": tuple(ablation["skips"])}))


def _serve(
    channel: socket.socket,
    model: Any,  # noqa: ANN401  # either kind
    batch: int,
    memory: SharedMemory,
    meter: Any,  # noqa: ANN401  # a LayerMeter; numpy is imported inside
) -> None:
    from auditor.schema import InputSpec, OutputSpec, WindowSpec
    from auditor.systems.window import run_images

    header, images = receive(channel)
    if header.get("do") == "describe":
        _describe(channel, model, header)
        return
    if header.get("do") == "layers":
        _measure_layers(channel, meter, header, images)
        return
    inputs = InputSpec(layout=header["input_layout"])
    output = OutputSpec(**{**header["output"], "labels": ()})
    window = header["window"]
    spec = None if window is None else WindowSpec(**{**window, "size": tuple(window["size"])})
    try:
        answers = run_images(
            images,
            lambda b: model(b, inputs, output),
            spec,
            header.get("batch") or batch,
            header["flips"],
        )
        del images
        send(channel, {"ok": True}, answers, memory=memory)
    except TransportError:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever a checkpoint raises is a row
        send(channel, {"ok": False, **_told(error, doing="the model refused its input")})


def _describe(channel: socket.socket, model: Any, header: dict[str, Any]) -> None:  # noqa: ANN401
    from auditor.systems.describing import describe

    try:
        # of an ablated network as it is: its skip connections are what an ablation means
        told = describe(getattr(model, "whole", model), header)
    except BaseException as error:  # noqa: BLE001  # whatever a checkpoint raises is a row
        send(channel, {"ok": False, **_told(error, doing="the model refused its input")})
        return
    send(channel, {"ok": True, "description": told})


def _measure_layers(
    channel: socket.socket,
    meter: Any,  # noqa: ANN401  # a LayerMeter
    header: dict[str, Any],
    images: list[Any],
) -> None:
    try:
        told = meter.measure(header, images)
    except BaseException as error:  # noqa: BLE001  # whatever a checkpoint raises is a row
        send(channel, {"ok": False, **_told(error, doing="the model refused its input")})
        return
    send(channel, {"ok": True, "layers": told})


def _told(error: BaseException, *, doing: str) -> dict[str, str]:
    """Turn what a checkpoint raised into a status and one sentence."""
    from auditor.errors import AuditError
    from auditor.systems.answers import Refusal

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # the compiler of TorchScript puts its sentence first, and then the code that it means
    last = (lines[0] if "<--- HERE" in str(error) else lines[-1]) if lines else ""
    text = next((line for line in reversed(lines) if "Error" in line), last)[:300]
    lower = str(error).lower()
    if isinstance(error, MemoryError) or any(
        word in lower
        for word in ("bad_alloc", "bad allocation", "can't allocate", "out of memory",
                     "failed to allocate", "cannot allocate", "no shared memory")
    ):  # fmt: skip
        reason = f"it asked for more memory than it may have: {text}".removesuffix(": ")
        return {"status": "crashed", "reason": reason}
    # type and not class: a text that cannot be decoded is a ValueError, too, and not one of ours
    if isinstance(error, Refusal | AuditError) or type(error) is ValueError:
        return {"status": "rejected", "reason": one_line(error)}
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return {"status": "crashed", "reason": "it tried to end its process"}
    return {"status": "rejected", "reason": f"{doing}: {text}"}


def _watch(scratch: Path, memory_gb: float | None, disk_gb: float) -> None:
    """End this process, and all that it started, when its parent is gone or it takes too much.

    The parent holds the other end of stdin and writes nothing. Memory is watched only where the
    system cannot limit it: on a GPU, whose drivers reserve addresses far beyond what they use, and on
    macOS. The system limits single files; all files of the scratch folder together are watched.
    """
    import select

    if os.name == "posix":
        while not select.select([0], [], [], _LOOK_EVERY_S)[0]:
            if memory_gb is not None and peak_mb() > memory_gb * 2**10:
                os.write(2, f"\nit used more than {memory_gb:g} GB of memory\n".encode())
                break
            if _held_bytes(scratch) > disk_gb * 2**30:
                os.write(2, f"\nit wrote more than {disk_gb:g} GB into its folder\n".encode())
                break
    else:
        with contextlib.suppress(OSError):
            os.read(0, 1)
    # what this process still runs may write while this is done, so it is done until nothing is left
    until = time.monotonic() + _CLEARS_S
    while (left := [*scratch.glob("*")]) and time.monotonic() < until:
        for inside in left:
            shutil.rmtree(inside, ignore_errors=True)
            with contextlib.suppress(OSError):
                inside.unlink()
    if os.name == "posix":
        os.killpg(os.getpgid(0), signal.SIGKILL)
    os._exit(1)


def _held_bytes(folder: Path) -> int:
    """Add up what the files of a folder take on the disk; those that vanish meanwhile count nothing."""
    held, waiting = 0, [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    held += found.st_blocks * 512
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
    return held


def _interpreter() -> list[Path]:
    """List what an interpreter and its packages need."""
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    roots |= set(site.getsitepackages()) | {site.getusersitepackages()}
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        roots |= {entry for entry in os.environ.get(name, "").split(os.pathsep) if entry}
    # this package may lie in a working folder, of which nothing else is needed
    own = Path(__file__).resolve().parents[1]
    roots -= {str(own.parent)}
    folders = [Path(root) for root in sorted(roots)]
    folders += [own, Path("/usr"), Path("/lib"), Path("/lib64")]
    folders += [Path("/etc/ld.so.cache"), Path("/etc/localtime"), Path("/proc"), Path("/sys")]
    return [*folders, Path("/dev/urandom"), Path("/dev/zero")]


def _gpus() -> list[Path]:
    return [*Path("/dev").glob("nvidia*"), Path("/dev/shm")]


def _channel(argument: str) -> socket.socket:
    """Take over the socket that the parent made: a descriptor, or on Windows a shared handle."""
    if sys.platform == "win32":
        return socket.fromshare(bytes.fromhex(sys.stdin.readline().strip()))
    return socket.socket(fileno=int(argument))


if __name__ == "__main__":
    with contextlib.suppress(TransportError):  # the parent has closed us
        main(_channel(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # a library's threads must not keep a finished child alive
