"""What the entries of a torch.export archive (``.pt2``) announce, read without torch.

The format keeps its weights as plain bytes, but has room for pickles, machine code and objects of other
libraries, which torch would run while it loads the archive. Archives that use that room are refused
here, by their listing and the two small tables of weights and constants. The program itself is judged
in the child (`auditor.systems.exported_program`). Standard library only.
"""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.systems.archive_listing import entries_of, read_entry

__all__ = ["ExportedFile", "Unusable", "examine_exported", "is_exported"]

_AGAIN = (
    "save the program itself with "
    "torch.export.save(torch.export.export(model, (example,)), 'model.pt2')"
)
_MOST_TABLE = 1 << 22
"""Bytes of a table of weights: some ten thousand of them."""

_ITEM_BYTES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 9: 4, 10: 8, 11: 16, 12: 1, 13: 2,
    28: 2, 29: 1, 30: 1, 31: 1, 32: 1, 33: 1, 34: 4, 35: 8,
}  # fmt: skip
"""By the numbers of the format's schema: 7 is float32."""

_STRIDED = 7


class Unusable(ValueError):
    """The archive holds what is not run; the message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """The parts of an archive that are used; everything else of it is left alone."""

    root: str
    """Folder inside the archive."""
    model: str
    """Name of the only program."""
    payloads: tuple[str, ...]
    """Entries that hold numbers of weights and constants, without the root; sorted."""

    @property
    def program(self) -> str:
        """Entry of the program, without the root."""
        return f"models/{self.model}.json"

    @property
    def tables(self) -> tuple[str, str]:
        """Entries of the tables of weights and of constants, without the root."""
        return _table("weights", self.model), _table("constants", self.model)

    @property
    def samples(self) -> str:
        """Entry of the example inputs, which is a pickle, without the root."""
        return f"data/sample_inputs/{self.model}.pt"


def is_exported(names: list[str]) -> bool:
    """Tell an archive of torch.export from others by the names of its entries."""
    tails = {name.partition("/")[2] for name in names}
    return (
        "archive_format" in tails
        or "serialized_exported_program.json" in names
        or any(tail.startswith("models/") and tail.endswith(".json") for tail in tails)
    )


def examine_exported(path: Path) -> ExportedFile:
    """Look into an archive of torch.export.

    Parameters
    ----------
    path : Path
        The archive.

    Returns
    -------
    ExportedFile
        The entries that are needed to run it.

    Raises
    ------
    Unusable
        When it holds machine code, pickles, objects of other libraries, not exactly one program, or
        weights that are shorter than announced.
    DamagedArchive
        When it cannot be listed or unpacked.
    OSError
        When it cannot be read.
    """
    entries = entries_of(path)
    root, sizes = _one_folder(entries)
    model = _one_program(sizes)
    payloads: set[str] = set()
    with zipfile.ZipFile(path) as archive:
        for kind in ("weights", "constants"):
            entry = archive.NameToInfo[f"{root}/{_table(kind, model)}"]
            payloads |= _payloads(kind, read_entry(archive, entry, _MOST_TABLE), sizes)
    return ExportedFile(root, model, tuple(sorted(payloads)))


def _table(kind: str, model: str) -> str:
    return f"data/{kind}/{model}_{kind}_config.json"


def _one_folder(entries: list[zipfile.ZipInfo]) -> tuple[str, dict[str, int]]:
    names = [entry.filename for entry in entries]
    if "serialized_exported_program.json" in names:
        msg = f"it is a torch.export archive whose weights are pickles (torch < 2.8); {_AGAIN}"
        raise Unusable(msg)
    roots = {name.partition("/")[0] for name in names}
    if len(roots) != 1:
        msg = "a torch.export archive must hold one folder, it holds several; the file was changed"
        raise Unusable(msg)
    root = roots.pop()
    return root, {entry.filename.partition("/")[2]: entry.file_size for entry in entries}


def _one_program(sizes: dict[str, int]) -> str:
    """Return the name of the only program; refuse what runs when it is loaded."""
    if any(tail.startswith("data/aotinductor/") or _is_machine_code(tail) for tail in sizes):
        msg = (
            "it is a torch.export archive of machine code (AOTInductor), which nothing can look into "
            f"and which fits one kind of machine; {_AGAIN}"
        )
        raise Unusable(msg)
    programs = [tail for tail in sizes if tail.startswith("models/") and tail.endswith(".json")]
    if len(programs) != 1:
        msg = f"a torch.export archive must hold one program, it holds {len(programs)}; {_AGAIN}"
        raise Unusable(msg)
    model = programs[0].removeprefix("models/").removesuffix(".json")
    if not model or "/" in model or "\\" in model:
        msg = "the program of the torch.export archive must have a plain name; the file was changed"
        raise Unusable(msg)
    old = [f"data/{kind}/{model}.pt" for kind in ("weights", "constants")]
    tables = [_table(kind, model) for kind in ("weights", "constants")]
    if any(tail in sizes for tail in old) or not all(tail in sizes for tail in tables):
        msg = f"it is a torch.export archive whose weights are pickles (torch < 2.9); {_AGAIN}"
        raise Unusable(msg)
    return model


def _is_machine_code(tail: str) -> bool:
    return tail.endswith((".so", ".o", ".dll", ".dylib", ".cubin", ".hsaco", ".ptx"))


def _payloads(kind: str, content: bytes, sizes: dict[str, int]) -> set[str]:
    """Check every entry of one table; return the entries of numbers that it names."""
    try:
        table = json.loads(content)["config"]
        rows = list(table.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"the table of its {kind} cannot be read; the file is damaged"
        raise Unusable(msg) from error
    return {_payload(kind, name, row, sizes) for name, row in rows}


def _payload(kind: str, name: str, row: Any, sizes: dict[str, int]) -> str:  # noqa: ANN401  # of JSON
    told = "".join(letter for letter in name[:80] if letter.isprintable())
    try:
        path, pickled, meta = str(row["path_name"]), row["use_pickle"], row["tensor_meta"]
    except (KeyError, TypeError) as error:
        msg = f"the table of its {kind} says nothing usable of {told!r}; the file is damaged"
        raise Unusable(msg) from error
    if path.startswith(("custom_obj", "opaque_obj")):
        msg = (
            f"its constant {told!r} is an object of another library, which runs code when it is "
            f"read; export a model of tensors alone, {_AGAIN}"
        )
        raise Unusable(msg)
    if pickled is not False or meta is None:
        msg = (
            f"its {kind} {told!r} are a pickle, which runs code when it is read (sparse or quantised "
            f"tensors are stored so); {_AGAIN}"
        )
        raise Unusable(msg)
    tail = f"data/{kind}/{path}"
    held = sizes.get(tail)
    if "/" in path or "\\" in path or held is None:
        msg = f"the {kind} {told!r} are missing in the archive; the file is damaged"
        raise Unusable(msg)
    try:
        needed = _needed_bytes(meta)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        msg = f"the sizes of its {kind} {told!r} cannot be understood; the file is damaged"
        raise Unusable(msg) from error
    if held < needed:
        msg = (
            f"the {kind} {told!r} must hold {needed} bytes as announced, their record holds {held}; "
            "the file is damaged"
        )
        raise Unusable(msg)
    return tail


def _needed_bytes(meta: dict[str, Any]) -> int:
    """Bytes up to the last element of a strided tensor."""
    sizes = [_number(size) for size in meta["sizes"]]
    strides = [_number(stride) for stride in meta["strides"]]
    offset = _number(meta["storage_offset"])
    if len(sizes) != len(strides) or meta["layout"] != _STRIDED:
        raise ValueError
    if math.prod(sizes) == 0:
        return 0
    last = offset + sum(
        (size - 1) * stride for size, stride in zip(sizes, strides, strict=True)
    )  # fmt: skip
    return (last + 1) * _ITEM_BYTES[meta["dtype"]]


def _number(given: dict[str, Any]) -> int:
    value = given["as_int"]
    if type(value) is not int or value < 0:
        raise ValueError
    return int(value)
