"""From weights alone to programs that can be audited: the pupil U-Net as TorchScript and as ONNX.

A state_dict holds weights without a network, so somebody who has the maker's code must export it. This
runs that code, here, in this process: read it first. Only tensors are read from the checkpoint
(``weights_only=True``); a pickle that holds anything else is refused by torch.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import torch


def export(checkpoint: Path, architecture: Path, folder: Path) -> None:
    """Write ``pupil.ts`` and ``pupil.onnx``, both for any size that is a multiple of 4."""
    network = build(architecture)
    network.load_state_dict(torch.load(checkpoint, weights_only=True, map_location="cpu"))
    network.eval()
    example = torch.zeros(1, 1, 148, 148)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # announced for later versions of torch
        torch.jit.script(network).save(str(folder / "pupil.ts"))
        torch.onnx.export(
            network,
            (example,),
            str(folder / "pupil.onnx"),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={name: {0: "n", 2: "y", 3: "x"} for name in ("image", "logits")},
            dynamo=False,
        )


def build(architecture: Path) -> torch.nn.Module:
    """Import the maker's file and make its U-Net."""
    spec = importlib.util.spec_from_file_location("pupil_unet", architecture)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: torch.nn.Module = module.UNet(in_channels=1, out_channels=1, use_attention=True)
    return network
