"""Where predictions go: a table in the store, keyed and idempotent, and a file for whoever picks it up."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from features.store import Store, Written

KEYS = ("asof", "effective", "asset", "target", "horizon", "run_id")


def give(store: Store, table: str, frame: pl.DataFrame, folder: Path, csv: bool = False) -> tuple[Written, Path]:
    """Write predictions to a table of the store and to a Parquet file (and CSV) of that session.

    Giving the same twice changes nothing; other values under the same keys become a new version of the table.
    """
    written = store.upsert(table, frame, keys=KEYS)
    path = folder / f"{frame['asof'][0]}.parquet"
    write_whole(path, frame)
    if csv:
        write_whole(path.with_suffix(".csv"), frame)
    return written, path


def write_whole(path: Path, frame: pl.DataFrame) -> None:
    """Write a file that is there either whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    if path.suffix == ".csv":
        frame.write_csv(part)
    else:
        frame.write_parquet(part)
    os.replace(part, path)
