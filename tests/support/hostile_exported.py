"""Archives of torch.export made to harm; payloads are harmless."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from checkpoints import ConvNet
from hostile_files import Hostile, Payload, Yard
from torch import Tensor, nn
from typing_extensions import override

Entries = dict[str, bytes]
PROGRAM, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"
CONSTANTS, SAMPLES = "data/constants/model_constants_config.json", "data/sample_inputs/model.pt"


class Scaled(nn.Module):
    """A convolution times a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ConvNet(dims=2, classes=1)
        self.factor = torch.tensor(0.5)

    @override
    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.net(x) * self.factor
        return answer


class Sum(nn.Module):
    """Takes two images."""

    @override
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


def save_exported(
    module: nn.Module, path: Path, *examples: Tensor, free: tuple[int, ...] = ()
) -> Path:
    """Write a module as an archive of torch.export; the free axes may have 4 to 512 voxels."""
    sizes = {axis: torch.export.Dim(f"side{axis}", min=4, max=512) for axis in free}
    shapes = tuple(sizes for _ in examples) if free else None
    program = torch.export.export(module.eval(), examples, dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


@cache
def _entries(*, fixed: bool, two: bool = False) -> Entries:
    """Return the entries of an honest archive, without the root."""
    with TemporaryDirectory() as folder:
        image = torch.zeros(1, 1, 16 if fixed else 8, 12)
        module = Sum() if two else Scaled()
        images = (image, image) if two else (image,)
        path = save_exported(
            module, Path(folder) / "model.pt2", *images, free=() if fixed else (2, 3)
        )
        with zipfile.ZipFile(path) as archive:
            return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def archived(
    change: Callable[[Entries, Yard], None] | None = None, *, fixed: bool = False, two: bool = False
) -> Callable[[Yard], Path]:
    """Make an archive whose entries were changed."""

    def make(yard: Yard) -> Path:
        entries = dict(_entries(fixed=fixed, two=two))
        if change is not None:
            change(entries, yard)
        path = yard.folder / "net.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(f"model/{name}", content)
        return path

    return make


def table(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Entries, Yard], None]:
    """Change one JSON entry."""

    def make(entries: Entries, yard: Yard) -> None:
        del yard
        content = json.loads(entries[name])
        change(content)
        entries[name] = json.dumps(content).encode()

    return make


def replaced(old: str, new: str) -> Callable[[Entries, Yard], None]:
    """Replace words of the program; ``WRITTEN`` stands for the file that must not appear."""

    def make(entries: Entries, yard: Yard) -> None:
        text = entries[PROGRAM].decode()
        assert old in text
        entries[PROGRAM] = text.replace(old, new.replace("WRITTEN", str(yard.written))).encode()

    return make


def _pickled_samples(entries: Entries, yard: Yard) -> None:
    path = yard.folder / "samples"
    torch.save((Payload(yard.written),), path)
    entries[SAMPLES] = path.read_bytes()


def _pickled_weight(entries: Entries, yard: Yard) -> None:
    _pickled_samples(entries, yard)
    entries["data/weights/weight_0"] = entries[SAMPLES]
    table(WEIGHTS, lambda it: _first(it).update(use_pickle=True))(entries, yard)


def _pickled_object(prefix: str) -> Callable[[Entries, Yard], None]:
    def make(entries: Entries, yard: Yard) -> None:
        entries[f"data/constants/{prefix}0"] = pickle.dumps(Payload(yard.written))
        row = {
            "path_name": f"{prefix}0",
            "use_pickle": True,
            "tensor_meta": None,
            "is_param": False,
        }
        table(CONSTANTS, lambda it: it["config"].update(thing=row))(entries, yard)

    return make


def _old_weights(entries: Entries, yard: Yard) -> None:
    _pickled_samples(entries, yard)
    entries["data/weights/model.pt"] = entries[SAMPLES]


def _machine_code(entries: Entries, yard: Yard) -> None:
    del yard
    entries["data/aotinductor/model/model.so"] = b"\x7fELF"


def _two_programs(entries: Entries, yard: Yard) -> None:
    del yard
    entries["models/other.json"] = entries[PROGRAM]


def _short(entries: Entries, yard: Yard) -> None:
    del yard
    entries["data/weights/weight_0"] = bytes(8)


def _none(entries: Entries, yard: Yard) -> None:
    del yard
    entries["data/weights/weight_0"] = b""


def _deep(entries: Entries, yard: Yard) -> None:
    del yard
    entries[WEIGHTS] = b'{"config": ' * 50_000


def _endian(entries: Entries, yard: Yard) -> None:
    del yard
    entries["byteorder"] = b"big"


def _first(content: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = next(iter(content["config"].values()))
    return row


def _negative(content: dict[str, Any]) -> None:
    _first(content)["tensor_meta"]["storage_offset"] = {"as_int": -4096}


def _guard(content: dict[str, Any]) -> None:
    content["guards_code"] = ["__import__('pathlib').Path('WRITTEN').touch() or True"]


def _guarded(entries: Entries, yard: Yard) -> None:
    table(PROGRAM, _guard)(entries, yard)
    replaced("WRITTEN", "WRITTEN")(entries, yard)


def _imports(content: dict[str, Any]) -> None:
    signature = content["graph_module"]["module_call_graph"][0]["signature"]
    version, spec = json.loads(signature["out_spec"])
    factory = {"default_factory_module": "antigravity", "default_factory_name": "x"}
    spec.update(type="collections.defaultdict", context=json.dumps(factory))
    signature["out_spec"] = json.dumps([version, spec])


_CALLED = "torch.ops.aten.relu.default"
_SIDE = "Symbol('"

EXPORTED = (
    Hostile("honest", archived(), "answered"),
    Hostile("pickle_in_samples", archived(_pickled_samples), "answered"),
    Hostile("guard_that_runs", archived(_guarded), "answered", slow=True),
    Hostile("pickled_weight", archived(_pickled_weight), "refused", "runs code when it is read"),
    Hostile(
        "custom_object", archived(_pickled_object("custom_obj_")), "refused", "another library"
    ),
    Hostile(
        "opaque_object", archived(_pickled_object("opaque_obj_")), "refused", "another library"
    ),
    Hostile("weights_of_old_torch", archived(_old_weights), "refused", "are pickles"),
    Hostile("machine_code", archived(_machine_code), "refused", "AOTInductor"),
    Hostile("two_programs", archived(_two_programs), "refused", "must hold one program"),
    Hostile("short_exported_weights", archived(_short), "refused", "their record holds 8"),
    Hostile("empty_exported_weights", archived(_none), "refused", "their record holds 0"),
    Hostile("negative_offset", archived(table(WEIGHTS, _negative)), "refused", "understood"),
    Hostile("nested_table", archived(_deep), "refused", "cannot be read"),
    Hostile("big_endian", archived(_endian), "unstarted", "little endian", slow=True),
    Hostile(
        "size_that_is_evaluated",
        archived(replaced(_SIDE, "open('WRITTEN', 'w') and Symbol('")),
        "unstarted",
        "no arithmetic",
    ),
    Hostile(
        "operator_of_the_system",
        archived(replaced(_CALLED, "torch.os.getcwd")),
        "unstarted",
        "no operator of a network",
    ),
    Hostile(
        "operator_that_reads_files",
        archived(replaced(_CALLED, "torch.ops.aten.from_file.default")),
        "unstarted",
        "no operator of a network",
        slow=True,
    ),
    Hostile(
        "name_that_is_code",
        archived(replaced('"name": "x"', "\"name\": \"x=open('WRITTEN', 'w')\"")),
        "unstarted",
        "which is no name",
        slow=True,
    ),
    Hostile(
        "answer_that_imports",
        archived(table(PROGRAM, _imports)),
        "unstarted",
        "defaultdict",
        slow=True,
    ),
    Hostile(
        "program_without_sense",
        archived(replaced('{"graph_module"', '["graph_module"')),
        "unstarted",
        "cannot be understood",
        slow=True,
    ),
    Hostile("two_images", archived(two=True), "unstarted", "must have one input", slow=True),
    Hostile("another_size", archived(fixed=True), "rejected", "that the graph declares", slow=True),
)
"""By the recipe of the documentation."""
