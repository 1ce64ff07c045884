"""Shards are whole or absent, foreign ones are never read, a full disk loses nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from auditor.errors import StoreError
from auditor.execution.store import (
    compact,
    has_shard,
    read_rows,
    shard_path,
    stray_shards,
    write_bytes,
    write_shard,
)
from auditor.schema import ROW_COLUMNS, Row

KEY = "ab" + "0" * 62
OTHER = "cd" + "0" * 62


def row(**changes: object) -> Row:
    known: dict[str, object] = {
        "record": "measurement",
        "system": "vendor-a",
        "case": "liver_014",
        "patient": "p14",
        "perturbation": "clean",
        "severity": 0.0,
        "level": None,
        "unit": "",
        "replicate": 0,
        "status": "ok",
        "label": "organ",
        "metric": "dsc",
        "region": "whole",
        "value": 0.91,
        **changes,
    }
    return Row(**known)  # type: ignore[arg-type]  # one dict of mixed types


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [row(), row(metric="hd95", value=None, status="prediction_empty", worst=120.5)]
    write_shard(tmp_path, KEY, rows)
    table = read_rows(tmp_path, [KEY, OTHER])
    assert tuple(table.column_names) == ROW_COLUMNS
    assert table["metric"].to_pylist() == ["dsc", "hd95"]
    assert table["value"].to_pylist() == [0.91, None]
    assert table["worst"].to_pylist() == [None, 120.5]
    assert table["status"].to_pylist() == ["ok", "prediction_empty"]


def test_rows_are_read_in_the_order_of_the_plan_whatever_was_written_first(tmp_path: Path) -> None:
    write_shard(tmp_path, OTHER, [row(case="second")])
    write_shard(tmp_path, KEY, [row(case="first")])
    assert read_rows(tmp_path, [KEY, OTHER])["case"].to_pylist() == ["first", "second"]


def test_shards_of_other_plans_in_the_folder_are_not_read_but_listed(tmp_path: Path) -> None:
    write_shard(tmp_path, KEY, [row()])
    write_shard(tmp_path, OTHER, [row()])
    assert len(read_rows(tmp_path, [KEY])) == 1
    assert stray_shards(tmp_path, [KEY]) == (OTHER,)


def test_an_empty_plan_gives_an_empty_table_with_all_columns(tmp_path: Path) -> None:
    table = read_rows(tmp_path, [KEY])
    assert len(table) == 0
    assert tuple(table.column_names) == ROW_COLUMNS


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_torn_shard_is_missing_quarantined_and_named(tmp_path: Path, keep: int) -> None:
    write_shard(tmp_path, KEY, [row()])
    path = shard_path(tmp_path, KEY)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep] if keep >= 0 else whole[:-1])
    assert not has_shard(tmp_path, KEY)
    with pytest.raises(StoreError, match=r"torn or belong to another audit.*run the same command"):
        read_rows(tmp_path, [KEY])
    assert (tmp_path / "quarantine" / path.name).exists()
    assert not path.exists()


def test_a_shard_that_was_renamed_to_another_key_is_not_believed(tmp_path: Path) -> None:
    write_shard(tmp_path, KEY, [row()])
    target = shard_path(tmp_path, OTHER)
    target.parent.mkdir(parents=True)
    shard_path(tmp_path, KEY).rename(target)
    with pytest.raises(StoreError, match="quarantine"):
        read_rows(tmp_path, [OTHER])


def test_a_full_disk_leaves_what_was_there_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path, KEY, [row()])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"the disk is full; free some space.*kept"):
        write_shard(tmp_path, OTHER, [row()])
    monkeypatch.undo()
    assert has_shard(tmp_path, KEY)
    assert not has_shard(tmp_path, OTHER)
    assert not list(tmp_path.rglob("*.tmp"))
    write_shard(tmp_path, OTHER, [row()])
    assert len(read_rows(tmp_path, [KEY, OTHER])) == 2


def test_a_folder_that_is_a_file_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "units").write_text("not a folder")
    with pytest.raises(StoreError, match="could not be written"):
        write_shard(tmp_path, KEY, [row()])


def test_a_unit_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        write_shard(tmp_path, KEY, [])


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_compaction_parts_the_kinds_of_rows_and_drops_what_they_do_not_use(tmp_path: Path) -> None:
    rows = [
        row(),
        row(record="evaluation", metric=None, value=None, region=None, self_dsc=0.8, seconds=1.0),
        row(record="scan", metric=None, value=None, region=None, ssim=0.7),
    ]
    write_shard(tmp_path, KEY, rows)
    compact(tmp_path, read_rows(tmp_path, [KEY]))
    measurements = pq.read_table(tmp_path / "measurements.parquet")
    assert measurements["value"].to_pylist() == [0.91]
    assert "ssim" not in measurements.column_names
    evaluations = pq.read_table(tmp_path / "evaluations.parquet")
    assert evaluations["self_dsc"].to_pylist() == [0.8]
    assert "seconds" not in evaluations.column_names
    assert pq.read_table(tmp_path / "scans.parquet")["ssim"].to_pylist() == [0.7]
    assert (tmp_path / "measurements.csv").read_text().splitlines()[1].count("vendor-a") == 1
