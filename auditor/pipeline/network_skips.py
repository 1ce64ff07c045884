"""Which skip connections a network has: the work of ``segaudit skips``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from auditor.errors import CheckpointError, ConfigError
from auditor.pipeline.audit_text import system_name
from auditor.schema import NetworkFacts
from auditor.schema.network_words import by_sign
from auditor.systems.skips.facts import network_facts, skip_facts

__all__ = ["example_tensor", "in_evaluation", "skips", "table_of_skips"]

_NO_SANDBOX = "the module ran in this process, outside of any sandbox"


def skips(
    model: Path | str | Callable[[Any], Any],
    *,
    example: object = None,
    layout: Literal["channel_first", "channel_last"] = "channel_first",
    settings: Mapping[str, Any] = MappingProxyType({}),
    limit_s: float = 60.0,
) -> NetworkFacts:
    """Find the skip connections of a network.

    Parameters
    ----------
    model : path, or torch.nn.Module or another callable
        A checkpoint (ONNX, TorchScript, .pt2, the folder of a bundle), which is opened in its sandbox
        and tried with small inputs; or a network in this process, which takes a tensor.
    example : array or tensor, (batch, channel, *sizes)
        What a module is fed with once; its values do not matter, its sizes do. Not for a checkpoint.
    layout : str
        Where the channels of the example stand: ``channel_last`` is (batch, *sizes, channel).
    settings : mapping, optional
        Of a checkpoint, dotted field -> value: ``{"input.size": [64, 96]}``.
    limit_s : float
        Of a checkpoint: after this time no further try begins.

    Returns
    -------
    NetworkFacts
        Skip connections, finest first, with the certificates ``complete`` and ``minimal``.

    Raises
    ------
    ConfigError
        When what is given does not go together, or a setting cannot be read.
    CheckpointError
        When there is no network that can be run, or it could not be looked into.

    Notes
    -----
    A module is put into evaluation for the pass and back afterwards.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.ReLU())
    >>> found = skips(net, example=torch.zeros(1, 1, 8, 8))
    >>> found.skips, found.complete, found.levels[0].resolution
    ((), True, (8, 8))
    """
    if not isinstance(model, str | Path):
        if settings:
            msg = f"settings are for a checkpoint, {_kind(model)} is a network in this process"
            raise ConfigError(msg)
        return _of_module(model, example, layout)
    if example is not None:
        msg = (
            "example is for a network in this process; a checkpoint is fed by itself, see settings"
        )
        raise ConfigError(msg)
    return _of_checkpoint(Path(model), settings, limit_s)


def table_of_skips(facts: NetworkFacts) -> str:
    """Write the skip connections as a table with commas, numbered as in the picture.

    Parameters
    ----------
    facts : NetworkFacts
        As found.

    Returns
    -------
    str
        A head, and one line a skip connection, finest first.
    """
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(
        ["number", "level", "resolution", "channels", "operator", "places", "nested", "value"]
    )
    for number, it in enumerate(facts.skips, 1):
        rows.writerow(
            [number, it.level, by_sign(it.resolution), it.channels or "", it.operator, it.places,
             "yes" if it.nested else "no", it.source]
        )  # fmt: skip
    return written.getvalue()


def _of_checkpoint(path: Path, settings: Mapping[str, Any], limit_s: float) -> NetworkFacts:
    from auditor.pipeline.inspecting import inspect_checkpoint

    found = inspect_checkpoint(path, settings=settings, limit_s=limit_s, thorough=False)
    if found.description is None:
        why = "; ".join(found.report.findings) or "no forward pass was tried"
        msg = f"the network of {path.name} could not be looked into: {why}"
        raise CheckpointError(msg)
    facts = network_facts(found.description, [system_name(path)])
    if facts.note:
        msg = f"skip connections of {path.name} could not be looked for: {facts.note}"
        raise CheckpointError(msg)
    return facts


def _of_module(
    module: object, example: object, layout: Literal["channel_first", "channel_last"]
) -> NetworkFacts:
    from auditor.systems.skips.rule import find_skips
    from auditor.systems.skips.torch_recording import record_torch

    if not callable(module):
        msg = f"model must be a path, a torch.nn.Module or another callable, was {_kind(module)}"
        raise ConfigError(msg)
    fed = example_tensor(example)
    last = layout == "channel_last"
    with in_evaluation(module):
        try:
            seen, _ = record_torch(module, fed, channel_last=last)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            msg = (
                f"the module must run on example, of shape {tuple(fed.shape)}, and gave "
                f"{type(error).__name__}: {text}"
            )
            raise CheckpointError(msg) from error
    if not seen.recording.outputs:
        msg = "the module must return a tensor made by torch from example; no such way was seen"
        raise CheckpointError(msg)
    shape = tuple(int(n) for n in fed.shape)
    shape = (shape[0], shape[-1], *shape[1:-1]) if last else shape
    live = [f"in evaluation as in training: {it}" for it in seen.live]
    return skip_facts(
        find_skips(seen.recording), shape, systems=[_kind(module)], remarks=[*live, _NO_SANDBOX]
    )


def example_tensor(example: object) -> Any:  # noqa: ANN401  # torch is imported here only
    """Check what a module is to be fed with.

    Parameters
    ----------
    example : array or tensor
        (batch, channel, *sizes), or with the channels last.

    Raises
    ------
    ConfigError
        When it is none of floating-point numbers.
    """
    import numpy as np
    import torch

    if isinstance(example, np.ndarray):
        example = torch.from_numpy(np.ascontiguousarray(example))
    if not isinstance(example, torch.Tensor):
        was = "None" if example is None else type(example).__name__
        msg = f"example must be an array or tensor (batch, channel, *sizes) for a module, was {was}"
        raise ConfigError(msg)
    if example.ndim < 3 or not example.is_floating_point():
        msg = (
            "example must hold floating-point numbers and have the axes (batch, channel, *sizes), was of "
            f"shape {tuple(example.shape)} and type {str(example.dtype).removeprefix('torch.')}"
        )
        raise ConfigError(msg)
    return example


@contextmanager
def in_evaluation(module: object) -> Iterator[None]:
    """Keep a pass from changing statistics of normalisation, and put every part back as it was.

    Parameters
    ----------
    module : torch.nn.Module or another callable
        What has no parts is left alone.
    """
    import torch

    parts = list(module.modules()) if isinstance(module, torch.nn.Module) else []
    modes = [part.training for part in parts]
    if isinstance(module, torch.nn.Module):
        module.eval()
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def _kind(model: object) -> str:
    return type(model).__name__
