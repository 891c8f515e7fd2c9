"""Where predictions go: a table in the store, keyed and idempotent, and a file for whoever picks it up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from features.panel import DataError
from features.store import Store, Written
from serving.prediction import KEYS, Columns, Prediction

WITHDRAWN = "withdrawn: predicted again, without this row"


def give(
    store: Store, predictions: Prediction | Sequence[Prediction], folder: Path, csv: bool = False
) -> tuple[Written, list[Path]]:
    """Write predictions to their task's table in the store, and to a Parquet file (and CSV) a model and session.

    Giving the same twice changes nothing; other values under the same keys become a new version of the table. An asset
    that the same run had a row of before on a session, and no longer has, keeps that row without values, with a reason.
    """
    given = [predictions] if isinstance(predictions, Prediction) else list(predictions)
    if not given:
        raise DataError("predictions", "there must be some to be written", "none")
    frame, columns = pl.concat(one.frame for one in given), given[0].columns
    written = store.upsert(columns.table, pl.concat([frame, _withdrawn(store, columns, frame)]), keys=KEYS)
    paths = []
    for one in given:
        path = folder / (one.model.name or one.model.run_id) / f"{one.frame['asof'][0]}.parquet"
        write_whole(path, one.frame)
        if csv:
            write_whole(path.with_suffix(".csv"), one.frame)
        paths.append(path)
    return written, paths


def stored(store: Store, columns: Columns, run_id: str) -> pl.LazyFrame:
    """The rows of a run that stand in the store, KEYS, values and reason; null where an older table has no column."""
    if not store.exists(columns.table):
        return columns.empty.lazy()
    rows = store.scan(columns.table).filter(pl.col("run_id") == run_id)
    there = rows.collect_schema().names()
    absent: dict[str, type[pl.DataType]] = {**columns.values, "reason": pl.String}
    return rows.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in absent.items() if name not in there
    ).select(*KEYS, *columns.values, "reason")


def _withdrawn(store: Store, columns: Columns, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that stand for the frame's sessions and run and that the frame does not have: no values but a reason."""
    standing = stored(store, columns, frame["run_id"][0])
    same = pl.col("asof").is_in(frame["asof"].unique().implode())
    gone = standing.filter(same & pl.col("reason").ne_missing(WITHDRAWN)).collect().join(frame, on=KEYS, how="anti")
    empty = [pl.lit(None, dtype).alias(name) for name, dtype in columns.values.items()]
    return gone.with_columns(*empty, reason=pl.lit(WITHDRAWN)).select(frame.columns)


def write_whole(path: Path, frame: pl.DataFrame) -> None:
    """Write a file that is there either whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    if path.suffix == ".csv":
        frame.write_csv(part)
    else:
        frame.write_parquet(part)
    os.replace(part, path)
