"""A header of MetaImage or NRRD names voxels of its own folder, or none."""

import os
from pathlib import Path

import pytest

from auditor.errors import DataError
from auditor.volumes.digests import file_digest
from auditor.volumes.images import read_volume

META = """ObjectType = Image
NDims = 3
DimSize = 2 3 4
ElementType = MET_UCHAR
ElementSpacing = 0.7 1.1 2.5
ElementDataFile = {named}
"""
NRRD = """NRRD0004
type: uchar
dimension: 3
space: left-posterior-superior
sizes: 2 3 4
space directions: (0.7,0,0) (0,1.1,0) (0,0,2.5)
encoding: raw
{key}: {named}

"""


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.raw"
    path.write_bytes(bytes(range(24)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "own.raw").write_bytes(bytes(range(24)))
    return folder


def header(folder: Path, name: str, named: str, key: str = "data file") -> Path:
    path = folder / name
    text = META.format(named=named) if "m" in path.suffix else NRRD.format(named=named, key=key)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["scan.mhd", "scan.nhdr"])
def test_voxels_beside_their_header_are_read_and_identified(folder: Path, name: str) -> None:
    path = header(folder, name, "own.raw")
    image, geometry = read_volume([str(path)])
    assert image.flatten().tolist() == list(range(24))
    assert geometry.spacing == (2.5, 1.1, 0.7)
    before = file_digest(path)
    (folder / "own.raw").write_bytes(bytes(24))
    assert file_digest(path) != before


@pytest.mark.parametrize("name", ["scan.mhd", "scan.nhdr", "scan.mha", "scan.nrrd"])
@pytest.mark.parametrize("named", ["{secret}", "../secret.raw", "link.raw", "LIST", "%d.raw 1 4 1"])
def test_voxels_elsewhere_are_refused(folder: Path, secret: Path, name: str, named: str) -> None:
    (folder / "link.raw").symlink_to(secret)
    path = header(folder, name, named.format(secret=secret))
    for read in (lambda: read_volume([str(path)]), lambda: file_digest(path)):
        with pytest.raises(DataError, match=f"{name} names '"):
            read()


@pytest.mark.parametrize("key", ["Data File", "datafile"])
def test_every_spelling_of_the_key_is_seen(folder: Path, secret: Path, key: str) -> None:
    with pytest.raises(DataError, match="in the folder of the header"):
        read_volume([str(header(folder, "scan.nhdr", str(secret), key))])


def test_metaimage_would_look_for_a_folder_where_the_program_was_started(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, value in ((folder, 1), (tmp_path, 2)):
        (place / "sub").mkdir()
        (place / "sub" / "voxels.raw").write_bytes(bytes([value]) * 24)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="its name must stand there without a folder"):
        read_volume([str(header(folder, "scan.mhd", os.path.join("sub", "voxels.raw")))])  # noqa: PTH118


@pytest.mark.parametrize("name", ["scan.mha", "scan.mhd", "scan.nhdr"])
def test_sizes_that_no_memory_holds_are_refused_by_the_header(folder: Path, name: str) -> None:
    path = header(folder, name, "LOCAL" if "m" in Path(name).suffix else "own.raw")
    path.write_text(path.read_text().replace("2 3 4", "60000 60000 60000"))
    with pytest.raises(DataError, match="at most 2147483648 values, the header of"):
        read_volume([str(path)])
