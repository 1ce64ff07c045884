"""A network of this process with some of its skip connections ablated, as a callable system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from auditor.config.ablations import read_ablation
from auditor.config.problems import Problems
from auditor.config.sentences import entry_problems
from auditor.errors import CheckpointError, ConfigError
from auditor.pipeline.network_skips import example_tensor, in_evaluation
from auditor.schema import AblationSpec, SystemSpec

if TYPE_CHECKING:  # torch stays out of ``import auditor``
    from auditor.systems.ablation.torch_patching import TorchPatching

__all__ = ["ablated"]

Array = NDArray[np.float32]
_NAME = "module"


def ablated(
    module: Callable[[Any], Any],
    *,
    ablate: Mapping[str, Any],
    example: object,
    other: Array | None = None,
    layout: Literal["channel_first", "channel_last"] = "channel_first",
    index: int | str = 0,
) -> Callable[[Array], NDArray[Any]]:
    """Ablate skip connections of a network in this process.

    Parameters
    ----------
    module : torch.nn.Module or another callable
        Takes a tensor. It is not changed, and is put into evaluation for each call and back afterwards.
    ablate : mapping
        As in audit.yaml: ``{"skip": 1, "by": "mean"}``; ``by: image`` without ``image``, see `other`.
    example : array or tensor, (batch, channel, *sizes)
        What the module is fed with once, to find its skip connections.
    other : (channel, *sizes), optional
        For ``by: image``: prepared as the images that the system is called with, and of their size.
    layout : str
        Where the module, and so `example`, has the channels: ``channel_last`` is (batch, *sizes, channel).
    index : int or str
        Which of several outputs: its number, or its key.

    Returns
    -------
    callable
        A system for `auditor.audit`: (channel, *sizes) float32 to (class, *sizes).

    Raises
    ------
    ConfigError
        When `ablate`, `example` or `other` are not what they must be.
    CheckpointError
        When the module has no such skip connection, or does not run on `example`.

    Notes
    -----
    An ablated network is an explanation of the network, no evidence of robustness: what takes the place of
    an activation lies outside of what the network was trained on.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.first, self.last = nn.Conv2d(1, 2, 1), nn.Conv2d(4, 1, 1)
    ...         self.low = nn.Sequential(
    ...             nn.MaxPool2d(2), nn.Conv2d(2, 2, 1), nn.Upsample(scale_factor=2)
    ...         )
    ...
    ...     def forward(self, x):
    ...         b = self.first(x)
    ...         return self.last(torch.cat([b, self.low(b)], 1))
    >>> system = ablated(Net(), ablate={"skip": 0, "by": "mean"}, example=torch.zeros(1, 1, 8, 8))
    >>> system(np.ones((1, 8, 8), np.float32)).shape
    (1, 8, 8)
    """
    from auditor.systems.ablation.torch_patching import TorchPatching

    given: object = module
    if not callable(given):
        msg = f"module must be a torch.nn.Module or another callable, was {type(given).__name__}"
        raise ConfigError(msg)
    spec = _spec(ablate, other)
    system = _System(
        module, TorchPatching(spec), other, channel_last=layout == "channel_last", index=index
    )
    system.try_on(example_tensor(example))
    return system


class _System:
    """Calls the module with values replaced."""

    def __init__(
        self,
        module: Callable[[Any], Any],
        patching: TorchPatching,
        other: Array | None,
        *,
        channel_last: bool,
        index: int | str,
    ) -> None:
        self._module, self._patching, self._other = module, patching, other
        self._last, self._index = channel_last, index

    def __call__(self, image: Array) -> NDArray[Any]:
        """Run (channel, *sizes)."""
        other = None
        if self._other is not None:
            if self._other.shape != image.shape:
                msg = (
                    f"other must have the shape {image.shape} of the image, has {self._other.shape}"
                )
                raise ValueError(msg)
            other = self._fed(self._other)
        answer = self._chosen(self._run(self._fed(image), other))[0]
        return np.moveaxis(answer, -1, 0) if self._last and answer.ndim == image.ndim else answer

    def try_on(self, example: Any) -> None:  # noqa: ANN401  # a tensor
        """Find out whether the module can be ablated, before an audit begins."""
        from auditor.systems.answers import Refusal

        other = None if self._other is None else example
        try:
            self._chosen(self._run(example, other))
        except Refusal as error:
            raise CheckpointError(str(error)) from error
        except ConfigError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            msg = (
                f"the module must run on example, of shape {tuple(example.shape)}, and gave "
                f"{type(error).__name__}: {said}"
            )
            raise CheckpointError(msg) from error

    def _run(self, values: Any, other: Any) -> Any:  # noqa: ANN401  # tensors
        import torch

        # as a recording is made, so that both see the same operators
        with in_evaluation(self._module), torch.inference_mode():
            if other is not None:
                self._patching.keep(self._module, other, channel_last=self._last)
            return self._patching.replace(self._module, values, channel_last=self._last)

    def _fed(self, image: Array) -> Any:  # noqa: ANN401  # a tensor
        """Add the batch, and go where the weights are, in their type."""
        import torch

        batch = image[None]
        tensor = torch.from_numpy(
            np.ascontiguousarray(np.moveaxis(batch, 1, -1) if self._last else batch)
        )
        weights = [it for it in _weights(self._module) if it.is_floating_point()]
        return tensor.to(weights[0].device, weights[0].dtype) if weights else tensor

    def _chosen(self, answer: Any) -> NDArray[Any]:  # noqa: ANN401  # whatever a module returns
        from auditor.systems.torchscript import tensors_of

        found = tensors_of(answer)
        named: dict[int | str, NDArray[Any]] = dict(found)
        named.update(enumerate(array for _, array in found))
        if self._index not in named:
            known = ", ".join(name for name, _ in found) or "none, as no tensor is returned"
            msg = f"index must be one of {known}, was {self._index!r}"
            raise ConfigError(msg)
        return named[self._index]


def _weights(module: object) -> list[Any]:
    import torch

    return list(module.parameters()) if isinstance(module, torch.nn.Module) else []


def _spec(ablate: object, other: Array | None) -> AblationSpec:
    """Read what is to be ablated, by the rules of audit.yaml."""
    if not isinstance(ablate, Mapping):
        msg = (
            f"ablate must be a mapping as {{'skip': 1, 'by': 'mean'}}, was {type(ablate).__name__}"
        )
        raise ConfigError(msg)
    by_image = ablate.get("by") == "image"
    if by_image != (other is not None) or (by_image and "image" in ablate):
        msg = (
            "other must be given with by: image and only then, as an array (channel, *sizes) in the place of "
            "the path under image"
        )
        raise ConfigError(msg)
    # an image in memory has no file: read like the kind that needs nothing beside
    given = {**ablate, "by": "zero"} if by_image else dict(ablate)
    problems = Problems(entry_problems({"ablate": given}, _NAME, without=()))
    if not problems:
        read = read_ablation(
            f"systems.{_NAME}",
            given,
            SystemSpec(_NAME),
            folder=Path(),
            refused="",
            problems=problems,
        )
        if not problems and read.ablation is not None:
            return replace(read.ablation, by="image") if by_image else read.ablation
    raise ConfigError("\n".join(it.replace(f"systems.{_NAME}.", "", 1) for it in sorted(problems)))
