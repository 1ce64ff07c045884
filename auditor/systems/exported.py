"""Run a program of torch.export (``.pt2``) in the child.

Loading such an archive with torch reads pickles and evaluates text of the file, so this module is
imported nowhere else, and torch is never given the file itself: the parts that are needed are packed
anew, without the pickled example inputs and with a program that was judged word by word.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auditor.schema import AblationSpec, InputSpec, OutputSpec
from auditor.systems.ablation.patching import Around
from auditor.systems.answers import Refusal, chosen, fed
from auditor.systems.archive_listing import DamagedArchive, read_entry
from auditor.systems.declared_sizes import as_type, in_fixed_batches, require_declared_sizes
from auditor.systems.exported_file import ExportedFile, Unusable, examine_exported
from auditor.systems.exported_program import ForbiddenProgram, clean_program
from auditor.systems.torchscript import prepared_device, tensors_of

if TYPE_CHECKING:
    from auditor.systems.ablation.torch_patching import TorchPatching
    from auditor.systems.describing import Facts

__all__ = ["ExportedModel"]

_READER = "torch.export.pt2_archive._package"
"""What reads an archive; it pulls in more than torch itself, so it is imported before the clock runs."""

_MOST_PROGRAM = 1 << 28
"""Bytes of a program: one of ten thousand operators has ten million."""

_KINDS = {
    "float32": "float", "float16": "float16", "float64": "double", "bfloat16": "bfloat16",
    "uint8": "uint8", "int32": "int32", "int64": "int64",
}  # fmt: skip
"""Types that an image may have, in the words of ONNX."""


class ExportedModel:
    """A program that was loaded.

    Parameters
    ----------
    path : Path
        The archive.
    device : str
        cpu, cuda or cuda:1.
    threads : int
        Of one forward pass.
    precision : str
        float32; another one is refused.

    Raises
    ------
    Refusal
        When the device is not there, the archive holds what is not run, or the program is none of
        one image.
    """

    findings: tuple[str, ...] = ()
    """A program of the allowed operators reads and writes nothing."""

    def __init__(
        self, path: Path, *, device: str, threads: int, precision: str = "float32"
    ) -> None:
        import torch

        if precision != "float32":
            msg = (
                f"precision must be float32 for torch.export, was {precision}: its program fixes the types "
                "of its numbers itself; leave precision out, or ask the maker for a program in that type"
            )
            raise Refusal(msg)

        if _READER not in sys.modules:
            msg = (
                f"torch {torch.__version__} cannot read archives of this kind; install torch 2.9 or "
                "newer, or export the model as ONNX"
            )
            raise Refusal(msg)
        self._torch = torch
        self._device = prepared_device(device, threads)
        with tempfile.TemporaryDirectory() as folder:
            packed = Path(folder) / "model.pt2"
            try:
                self._keyword = _pack_anew(path, packed)
            except (Unusable, ForbiddenProgram, DamagedArchive) as error:
                raise Refusal(str(error)) from error
            program = torch.export.load(packed)
        if self._device.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, str(self._device))
        image = _image(program)
        # the guards of the file were dropped; torch still compares the sizes with the ranges
        self._module = program.module(check_guards=False)
        self._dtype = image.dtype
        self._declared = tuple(size if isinstance(size, int) else None for size in image.shape)
        self._ranges = _ranges(program)
        kind = f"tensor({_KINDS[str(image.dtype).removeprefix('torch.')]})"
        (name,) = program.graph_signature.user_inputs
        self.inputs = ({"name": str(name), "dtype": kind, "sizes": list(self._declared)},)
        """Name, type and sizes of the input."""
        self.outputs = _outputs(program)
        """Name, type and sizes of each output."""

    @staticmethod
    def import_runtime() -> None:
        """Import torch and what reads archives, which takes its time."""
        with contextlib.suppress(ImportError):  # an older torch; said when the file is loaded
            importlib.import_module(_READER)

    def __call__(
        self, batch: NDArray[np.float32], inputs: InputSpec, output: OutputSpec
    ) -> NDArray[Any]:
        """Run (n, channel, *sizes); see `chosen` for the answer."""
        return chosen(self.forward(fed(batch, inputs)), output, batch)

    def forward(
        self, fed_values: NDArray[np.float32], around: Around | None = None
    ) -> list[tuple[str, NDArray[Any]]]:
        """Run what is fed as it is; (name, array) of each tensor that comes back.

        Parameters
        ----------
        fed_values : (n, ...) as the program wants it.
        around : called with the network and a tensor, in its place; None: nothing is around it.
        """
        require_declared_sizes(self._declared, fed_values.shape, ranges=self._ranges)
        names: list[str] = []
        answer = self._answer if around is None else functools.partial(around, self._answer)

        def run(part: NDArray[Any]) -> list[NDArray[Any]]:
            found = tensors_of(answer(self._tensor(part)))
            names[:] = [name for name, _ in found]
            return [array for _, array in found]

        answers = in_fixed_batches(fed_values, self._declared, run)
        return list(zip(names, answers, strict=True))

    def patching(self, spec: AblationSpec) -> TorchPatching:
        """Prepare what replaces the values of skip connections; see `auditor.systems.ablation`."""
        from auditor.systems.ablation.torch_patching import TorchPatching

        return TorchPatching(spec)

    def facts(self, fed_values: NDArray[np.float32], inputs: InputSpec) -> Facts:
        """Tell what the program is made of; see `auditor.systems.describing`."""
        from auditor.systems.torch_facts import facts_of_torch

        fixed = self._declared[0]
        alone = fixed and len(fed_values) == 1
        batch = np.repeat(fed_values, fixed or 1, axis=0) if alone else fed_values
        return facts_of_torch(
            self._answer,
            self._tensor(batch),
            inputs,
            parameters=sum(int(it.numel()) for it in self._module.parameters()),
            versions=("torch.export archive",),
        )

    def _tensor(self, part: NDArray[Any]) -> Any:  # noqa: ANN401  # a tensor
        if not self._dtype.is_floating_point:
            part = as_type(part, np.dtype(str(self._dtype).removeprefix("torch.")).type)
        return self._torch.from_numpy(part).to(self._device, self._dtype)

    def _answer(self, values: Any) -> Any:  # noqa: ANN401  # a tensor, and whatever comes back
        try:
            with self._torch.inference_mode():
                if self._keyword is None:
                    return self._module(values)
                return self._module(**{self._keyword: values})
        except (AssertionError, RuntimeError) as error:
            if "to be" in str(error) and "Expected input at" in str(error):
                raise Refusal(_told_size(str(error))) from error
            raise


def _pack_anew(path: Path, target: Path) -> str | None:
    """Copy what is needed of an archive; return the name by which its input is passed."""
    found = examine_exported(path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:

        def copy(tail: str) -> None:
            _copy(old, new, found, tail)

        program = read_entry(old, old.NameToInfo[f"{found.root}/{found.program}"], _MOST_PROGRAM)
        cleaned, by_keyword = clean_program(program)
        order = f"{found.root}/byteorder"
        if order in old.NameToInfo and read_entry(old, old.NameToInfo[order], 16) != b"little":
            msg = "its weights must be little endian; export it on another kind of machine"
            raise Refusal(msg)
        new.writestr("model/archive_format", "pt2")
        new.writestr("model/archive_version", "0")
        new.writestr("model/byteorder", "little")
        new.writestr("model/.data/version", "6\n")
        new.writestr(f"model/{found.program}", cleaned)
        new.writestr(f"model/{found.samples}", b"")
        for tail in (*found.tables, *found.payloads):
            copy(tail)
    return by_keyword


def _copy(old: zipfile.ZipFile, new: zipfile.ZipFile, found: ExportedFile, tail: str) -> None:
    """Copy one entry as it is, piece by piece."""
    entry = old.NameToInfo[f"{found.root}/{tail}"]
    try:
        with old.open(entry) as source, new.open(f"model/{tail}", "w", force_zip64=True) as sink:
            while piece := source.read(1 << 20):
                sink.write(piece)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        msg = "an entry of the archive cannot be unpacked; the file is damaged"
        raise DamagedArchive(msg) from error


def _image(program: Any) -> Any:  # noqa: ANN401  # an ExportedProgram, and a fake tensor of it
    """Return the record of the only input."""
    (name,) = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name == name]
    image = nodes[0].meta["val"] if nodes else None
    kind = str(getattr(image, "dtype", "")).removeprefix("torch.")
    if kind not in _KINDS:
        msg = f"the input must be a tensor of numbers, it is {kind or 'none'}"
        raise Refusal(msg)
    return image


def _ranges(program: Any) -> str:  # noqa: ANN401  # an ExportedProgram
    """Say in which range the free sizes lie."""
    told = sorted({_range(it) for it in program.range_constraints.values()})
    return f" (any: {', '.join(told)})" if told else ""


def _range(found: Any) -> str:  # noqa: ANN401  # a ValueRanges
    """``8 to 256``, or ``8 and more``."""
    lower, upper = str(found.lower), str(found.upper)
    return f"{lower} to {upper}" if upper.isdigit() else f"{lower} and more"


def _outputs(program: Any) -> tuple[dict[str, Any], ...]:  # noqa: ANN401  # an ExportedProgram
    """Describe the outputs that are tensors."""
    (last,) = [node for node in program.graph.nodes if node.op == "output"]
    wanted = set(program.graph_signature.user_outputs)
    described = []
    for node in last.args[0]:
        value: Any = getattr(node, "meta", {}).get("val")
        if getattr(node, "name", None) in wanted and hasattr(value, "dtype"):
            kind = str(value.dtype).removeprefix("torch.")
            sizes = [size if isinstance(size, int) else None for size in value.shape]
            described.append(
                {
                    "name": str(node.name),
                    "dtype": f"tensor({_KINDS.get(kind, kind)})",
                    "sizes": sizes,
                }
            )
    return tuple(described)


def _told_size(text: str) -> str:
    """Keep the sentence of torch, with words of this program instead of its advice."""
    sentence = text.strip().splitlines()[-1].partition(". If you meant")[0]
    return f"{sentence}; see input.size, input.divisor and window"
