"""What the parent reads of a checkpoint is bounded, however large the file is."""

import struct
import time
from pathlib import Path

import pytest

from auditor.errors import CheckpointError
from auditor.systems import onnx_file
from auditor.systems.sidecars import locate
from auditor.systems.sniff import sniff


def field(number: int, content: bytes) -> bytes:
    """A field of protobuf with a length of at most 2^35."""
    size = b"".join(
        bytes([len(content) >> shift & 0x7F | (0x80 if shift < 28 else 0)])
        for shift in range(0, 35, 7)
    )  # fmt: skip
    tag = number << 3 | 2
    return (bytes([tag]) if tag < 128 else bytes([tag & 0x7F | 0x80, tag >> 7])) + size + content


BEGIN = b"\x08\x08" + field(8, b"")
GRAPH = field(7, field(11, b""))
MANY = 3000


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(BEGIN + field(8, b"") * MANY + GRAPH, id="versions of operators"),
        pytest.param(BEGIN + field(7, field(5, b"\x08\x01" * MANY)), id="sizes of one tensor"),
        pytest.param(BEGIN + GRAPH + field(25, field(7, b"") * 300) * 10, id="functions"),
        pytest.param(
            BEGIN + field(7, field(5, field(13, b"\x10\x01" * MANY))), id="entries of a weight"
        ),
    ],
)
def test_fields_are_counted_over_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert sniff(path).format == "onnx"
    monkeypatch.setattr(onnx_file, "_MOST_FIELDS", 2000)
    with pytest.raises(
        CheckpointError, match="too many fields: more than 2000, which no network has"
    ):
        sniff(path)


def test_metadata_is_searched_no_longer_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    contract = field(14, field(1, b"segaudit.contract") + field(2, b"{}"))
    path.write_bytes(BEGIN + GRAPH + field(14, b"") * MANY + contract)
    assert locate(path).read == ("segaudit.contract",)
    monkeypatch.setattr(onnx_file, "_MOST_FIELDS", 2000)
    assert locate(path).read == ()


def listing(entries: int) -> bytes:
    """A zip archive of nothing but its listing."""
    head = b"PK\x03\x04" + bytes(26)
    names = (b"a/%09d" % i for i in range(entries))
    fields = struct.pack("<HHHHHHLLLHHHHHLL", 20, 20, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0)
    listed = b"".join(b"PK\x01\x02" + fields + name for name in names)
    end = struct.pack("<HHHHLLH", 0, 0, entries & 0xFFFF, entries & 0xFFFF, len(listed), 30, 0)
    return head + listed + b"PK\x05\x06" + end


def test_a_listing_longer_than_that_of_any_checkpoint_is_not_read_for_metadata(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(listing(300_000))  # 17 MB; each entry takes half a kilobyte of memory
    began = time.monotonic()
    assert locate(path).read == ()
    bundle = tmp_path / "bundle"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs" / "metadata.json").write_text("{}")
    (bundle / "models").mkdir()
    path.rename(bundle / "models" / "model.pt")
    with pytest.raises(CheckpointError, match="holds weights only"):
        locate(bundle)
    assert time.monotonic() - began < 2
