"""From a path to the checkpoint that runs, and to what its maker ships with it.

**Conventions.** Only names that a listing of the folder gives are followed, never a path that a file
holds. Sidecars are text, bounded in size and read as data. A folder whose sidecars cannot be read is
refused, because its checkpoint would silently run in another way; beside a file that was named itself they
become a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.documents import json_content, read_text, yaml_content
from auditor.errors import CheckpointError, ConfigError
from auditor.systems.archive_listing import DamagedArchive, entries_of
from auditor.systems.reasons import one_line
from auditor.systems.sidecars.embedded import read_embedded
from auditor.systems.sidecars.monai_bundle import read_bundle
from auditor.systems.sidecars.nnunet import pick_configuration, read_training
from auditor.systems.sidecars.records import Findings, Located, shown

__all__ = ["locate"]

BUNDLE = "MONAI bundle"
TRAINING = "nnU-Net folder"
_MOST_ENTRIES = 2000
_INFERENCE = ("inference.json", "inference.yaml", "inference.yml")
_EXPORT_BUNDLE = (
    "python -m monai.bundle ckpt_export network_def --filepath models/model.ts --ckpt_file "
    "models/model.pt --meta_file configs/metadata.json --config_file configs/inference.json"
)
_EXPORT_TRAINING = (
    "import torch; from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor; "
    "p = nnUNetPredictor(); p.initialize_from_trained_model_folder(FOLDER, use_folds=(0,)); "
    "p.network.load_state_dict(p.list_of_parameters[0]); "
    "size = (1, len(p.dataset_json['channel_names']), *p.configuration_manager.patch_size); "
    "torch.jit.trace(p.network.cpu().eval(), torch.zeros(size)).save(FOLDER + '/fold_0/model.ts')"
)


def locate(path: Path) -> Located:
    """Find the checkpoint that a path stands for, and read what its maker says of it.

    Parameters
    ----------
    path : a checkpoint file, the folder of a MONAI bundle (configs/metadata.json, models/), or of an
        nnU-Net training (plans.json, dataset.json, fold_0/) or of its data set.

    Returns
    -------
    The file, and the contract as far as the maker's files tell it. A file whose format is unknown is
    returned as it is.

    Raises
    ------
    CheckpointError
        The folder is neither, holds no model that can be run, or several; or its own description
        cannot be read. The message says what must be where.
    """
    try:
        if not path.is_dir():
            return _file(path)
        bundle = path.parent if path.name in ("models", "configs") else path
        if (bundle / "configs" / "metadata.json").exists():
            return _bundle(bundle)
        return _training(_training_folder(path), path)
    except OSError as error:
        msg = f"the checkpoint must be readable: {path.name}: {error.strerror or error}"
        raise CheckpointError(msg) from error
    except ConfigError as error:
        msg = f"{path.name} cannot be audited as it is: {error}"
        raise CheckpointError(msg) from error


def _file(path: Path) -> Located:
    """Read what a file carries, and what lies in the folder that it belongs to."""
    inside, read = read_embedded(path) if path.is_file() else (Findings(), ())
    if read:
        return inside.located(path, "file", read)
    try:
        if (
            path.parent.name == "models"
            and (path.parent.parent / "configs" / "metadata.json").is_file()
        ):
            beside, names = _read_bundle(path.parent.parent)
        elif (folder := _around(path)) is not None:
            beside, names = _read_training(folder)
        else:
            return inside.located(path, "file", ())
    except (ConfigError, CheckpointError, OSError) as error:
        inside.note(
            "what lies beside the checkpoint could not be read and counts for nothing: "
            f"{one_line(error, 300)}"
        )
        return inside.located(path, "file", ())
    beside.notes = [*inside.notes, *beside.notes]
    return beside.located(path, "file", names)


def _around(path: Path) -> Path | None:
    """Find the training folder that a file lies in."""
    folders = [path.parent]
    if path.parent.name.startswith("fold_"):
        folders.append(path.parent.parent)
    return next((it for it in folders if _is_training(it)), None)


def _is_training(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("plans.json", "dataset.json"))


def _bundle(folder: Path) -> Located:
    models = folder / "models"
    files = _models(models) if models.is_dir() else []
    preferred = [it for it in files if it.name == "model.ts"] or files
    if not preferred:
        weights = models.is_dir() and any(it.suffix in {".pt", ".pth"} for it in _listed(models))
        told = "holds weights only (models/model.pt)" if weights else "holds no model"
        msg = (
            f"{folder.name} is a MONAI bundle that {told}; it must hold models/model.ts or an ONNX file in "
            f"models/. Export it there: {_EXPORT_BUNDLE}"
        )
        raise CheckpointError(msg)
    found, read = _read_bundle(folder)
    return found.located(_only(preferred, folder), BUNDLE, read)


def _read_bundle(folder: Path) -> tuple[Findings, tuple[str, ...]]:
    metadata = _json(folder / "configs" / "metadata.json")
    known = [name for name in _INFERENCE if (folder / "configs" / name).exists()]
    inference = None
    if known:
        file = folder / "configs" / known[0]
        inference = _json(file) if file.suffix == ".json" else _yaml(file)
    found = read_bundle(metadata, inference)
    if len(known) > 1:
        found.note(f"{known[0]} was read, {', '.join(known[1:])} beside it was not")
    return found, ("metadata.json", *known[:1])


def _training_folder(path: Path) -> Path:
    """Find the one training under a folder: itself, around a fold, or up to two folders below."""
    if path.name.startswith("fold_") and _is_training(path.parent):
        return path.parent
    if (path / "plans.json").exists() or (path / "dataset.json").exists():
        missing = [name for name in ("plans.json", "dataset.json") if not (path / name).is_file()]
        if not missing:
            return path
        if missing == ["dataset.json"]:
            msg = (
                f"{path.name} must hold plans.json, dataset.json and fold_0 as nnU-Net leaves them, "
                "dataset.json is missing"
            )
            raise CheckpointError(msg)
    below = [it for it in _listed(path) if it.is_dir()]
    inner = [it for folder in below[:50] for it in _listed(folder) if it.is_dir()]
    found = [it for it in (*below, *inner) if _is_training(it)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(it.relative_to(path).as_posix() for it in found[:8])
        msg = f"{path.name} holds {len(found)} trainings of nnU-Net; name one of them: {names}"
        raise CheckpointError(msg)
    msg = (
        "the checkpoint must be a file or a folder that is known, "
        f"{path.resolve().name or path} is none{_hint(path)}. Known are "
        "MONAI bundles (configs/metadata.json, configs/inference.json, models/model.ts) and trainings of "
        "nnU-Net (plans.json, dataset.json, fold_0/ with an exported model)"
    )
    raise CheckpointError(msg)


def _hint(path: Path) -> str:
    if (path / "saved_model.pb").exists():
        return " (a TensorFlow SavedModel; convert it with tf2onnx)"
    files = _models(path)
    if len(files) == 1:
        return f" (name the file in it: {files[0].name})"
    return " (it is empty)" if not _listed(path) else ""


def _training(folder: Path, asked: Path) -> Located:
    found, read = _read_training(folder)
    folds = [it for it in _listed(folder) if it.is_dir() and it.name.startswith("fold_")]
    if asked.name.startswith("fold_") and asked.parent == folder:
        folds = [asked]
    files = [it for place in (folder, *folds) for it in _models(place)]
    if not files:
        weights = any(it.suffix == ".pth" for place in folds for it in _listed(place))
        told = "holds weights only (checkpoint_final.pth)" if weights else "holds no model"
        msg = (
            f"{folder.name} is a training of nnU-Net that {told}; it must hold an exported network, as "
            f"fold_0/model.ts or fold_0/model.onnx. Where nnU-Net is installed: {_EXPORT_TRAINING}"
        )
        raise CheckpointError(msg)
    return found.located(_only(files, folder), TRAINING, read)


def _read_training(folder: Path) -> tuple[Findings, tuple[str, ...]]:
    plans = _json(folder / "plans.json")
    dataset = _json(folder / "dataset.json")
    found = read_training(plans, dataset, pick_configuration(plans, folder.resolve().name))
    return found, ("plans.json", "dataset.json")


def _only(files: list[Path], folder: Path) -> Path:
    if len(files) == 1:
        return files[0]
    names = ", ".join(it.relative_to(folder).as_posix() for it in files[:8])
    msg = f"{folder.name} holds {len(files)} models; name one of them as the checkpoint: {names}"
    raise CheckpointError(msg)


def _models(folder: Path) -> list[Path]:
    """List files that can be run: by their ending, and archives of torch by what they hold."""
    return [it for it in _listed(folder) if it.is_file() and _may_run(it)]


def _may_run(file: Path) -> bool:
    if file.suffix in {".onnx", ".pt2", ".ts"}:
        return True
    if file.suffix not in {".pt", ".pth", ".zip"}:
        return False
    try:
        tails = {entry.filename.partition("/")[2] for entry in entries_of(file)}
    except (DamagedArchive, OSError):
        return False
    return "constants.pkl" in tails


def _listed(folder: Path) -> list[Path]:
    found = []
    for entry in folder.iterdir():
        found.append(entry)
        if len(found) > _MOST_ENTRIES:
            msg = (
                f"{folder.name} holds more than {_MOST_ENTRIES} entries; name the checkpoint itself"
            )
            raise CheckpointError(msg)
    return sorted(found)


def _json(path: Path) -> Mapping[str, Any]:
    return _object(json_content(read_text(path, what=path.name), what=path.name), path.name)


def _yaml(path: Path) -> Mapping[str, Any]:
    return _object(yaml_content(read_text(path, what=path.name), what=path.name), path.name)


def _object(content: object, name: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        msg = f"{name} must hold keys and values, got {shown(content)}"
        raise CheckpointError(msg)
    return content
