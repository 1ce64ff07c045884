"""MONAI bundles and nnU-Net trainings with a tiny network, as their makers leave them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import save_script
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import Geometry

Json = dict[str, Any]


class LopsidedNet(nn.Module):
    """Logits of classes by rising brightness, with a kernel that is no mirror image of itself."""

    def __init__(self, *, classes: int, around: float, dims: int = 3, channels: int = 1) -> None:
        super().__init__()
        conv: Any = (nn.Conv2d, nn.Conv3d)[dims - 2]
        generator = torch.Generator().manual_seed(7)
        self.blur = conv(channels, 1, 3, padding=1, bias=False)
        drawn = torch.rand(self.blur.weight.shape, generator=generator)
        self.blur.weight.data = drawn / drawn.sum()
        self.around, self.classes = around, classes

    @override
    def forward(self, x: Tensor) -> Tensor:
        y = self.blur(x) - self.around
        return torch.cat([float(8 * k) * (y - 0.1 * float(k)) for k in range(self.classes)], dim=1)


def metadata(**changes: Any) -> Json:
    """metadata.json of a bundle that segments one organ in CT."""
    return {
        "version": "0.1.0",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "hounsfield",
                    "num_channels": 1,
                    "spatial_shape": [16, 16, 8],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": True,
                    "channel_def": {"0": "image"},
                    **changes.pop("image", {}),
                }
            },
            "outputs": {
                "pred": {
                    "num_channels": 2,
                    "channel_def": {"0": "background", "1": "spleen"},
                    **changes.pop("pred", {}),
                }
            },
        },
        **changes,
    }


def inference(**changes: Any) -> Json:
    """inference.json of that bundle."""
    return {
        "bundle_root": "/workspace/bundle",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "pixdim": [1.5, 1.5, 2.0],
        "low": -57,
        "network_def": {"_target_": "UNet", "spatial_dims": 3},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": "@pixdim", "mode": "bilinear"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": "@low",
                    "a_max": 164,
                    "b_min": 0.0,
                    "b_max": 1.0,
                    "clip": True,
                },
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [16, 16, 8],
            "sw_batch_size": 4,
            "overlap": 0.5,
            "mode": "gaussian",
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "nearest_interp": False,
                },
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$@bundle_root + '/eval'"},
            ],
        },
        **changes,
    }


def write_bundle(
    folder: Path,
    *,
    described: Json | None = None,
    configured: Mapping[str, Any] | None = None,
    network: torch.nn.Module | None = None,
) -> Path:
    """Write configs/ and models/model.ts."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    texts = {"metadata": described or metadata(), "inference": configured or inference()}
    for name, content in texts.items():
        (folder / "configs" / f"{name}.json").write_text(json.dumps(content))
    save_script(network or LopsidedNet(classes=2, around=0.5), folder / "models" / "model.ts")
    return folder


def plans(**changes: Any) -> Json:
    """plans.json of a CT data set with thick slices, of which x is fed first."""
    fullres = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [8, 16, 12],
        "spacing": [2.0, 1.5, 1.0],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {
            "is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None,
        },
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {
            "is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None,
        },
        **changes.pop("fullres", {}),
    }  # fmt: skip
    return {
        "dataset_name": "Dataset042_Spleen",
        "plans_name": "nnUNetPlans",
        "transpose_forward": [2, 0, 1],
        "transpose_backward": [1, 2, 0],
        "image_reader_writer": "SimpleITKIO",
        "foreground_intensity_properties_per_channel": {
            "0": {
                "mean": 40.0, "std": 25.0, "percentile_00_5": -60.0, "percentile_99_5": 160.0,
                "min": -1000.0, "max": 3000.0, "median": 41.0,
            }
        },
        "configurations": {
            "2d": {**fullres, "patch_size": [16, 12], "spacing": [1.5, 1.0]},
            "3d_fullres": fullres,
            "3d_more": {"inherits_from": "3d_fullres", "batch_size": 4},
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
        **changes,
    }  # fmt: skip


def dataset(**changes: Any) -> Json:
    """dataset.json of two organs."""
    return {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "spleen": 1, "liver": 2},
        "numTraining": 41,
        "file_ending": ".nii.gz",
        **changes,
    }


def write_training(
    folder: Path,
    *,
    planned: Json | None = None,
    described: Json | None = None,
    network: torch.nn.Module | None = None,
    name: str = "nnUNetTrainer__nnUNetPlans__3d_fullres",
) -> Path:
    """Write a data set's folder with one training, and an exported network in fold_0."""
    training = folder / name
    (training / "fold_0").mkdir(parents=True)
    (training / "plans.json").write_text(json.dumps(planned or plans()))
    (training / "dataset.json").write_text(json.dumps(described or dataset()))
    (training / "fold_0" / "checkpoint_final.pth").write_bytes(b"\x80\x02weights")
    save_script(network or LopsidedNet(classes=3, around=0.0), training / "fold_0" / "model.ts")
    return training


def tilted(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Geometry:
    """Array axes z, y, x near to S, A and L, turned by 12 and -9 degrees."""
    a, b = math.radians(12), math.radians(-9)
    first = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    second = np.array([[math.cos(b), -math.sin(b), 0], [math.sin(b), math.cos(b), 0], [0, 0, 1]])
    columns = first @ second @ np.diag([1.0, -1.0, 1.0])
    return Geometry(
        shape=shape,
        spacing=spacing,
        direction=tuple(tuple(float(v) for v in columns[:, axis]) for axis in (2, 1, 0)),
        origin=(31.0, -12.0, 5.0),
    )


def scan(shape: Sequence[int], channels: int = 1) -> torch.Tensor:
    """Smooth Hounsfield-like structures with noise."""
    draw = np.random.default_rng(3)
    axes = np.meshgrid(*[np.linspace(0, 3, n) for n in shape], indexing="ij")
    smooth: NDArray[Any] = 120 * np.sin(axes[0] * 2 + axes[1]) * np.cos(axes[2] * 1.7 - axes[1])
    values = smooth + 40 + 15 * draw.normal(size=(channels, *shape))
    return torch.from_numpy(values.astype(np.float32))
