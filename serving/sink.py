"""Where predictions go: a table in the store, keyed and idempotent, and a file for whoever picks it up."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from features.store import Store, Written
from serving.predict import Prediction

KEYS = ("asof", "effective", "asset", "target", "horizon", "run_id")


def give(store: Store, prediction: Prediction, folder: Path, csv: bool = False) -> tuple[Written, Path]:
    """Write predictions to pred_<task> in the store and to a Parquet file (and CSV) a model and session.

    Giving the same twice changes nothing; other values under the same keys become a new version of the table. An asset
    that the same run scored before on that session and no longer does keeps its row, without a score.
    """
    frame, ref, table = prediction.frame, prediction.model, f"pred_{prediction.manifest.task}"
    written = store.upsert(table, pl.concat([frame, _withdrawn(store, table, frame)]), keys=KEYS)
    path = folder / (ref.name or ref.run_id) / f"{frame['asof'][0]}.parquet"
    _write_whole(path, frame)
    if csv:
        _write_whole(path.with_suffix(".csv"), frame)
    return written, path


def _withdrawn(store: Store, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that stand for the session and the run and that the frame does not have, their scores emptied."""
    if not store.exists(table):
        return frame.clear()
    same = (pl.col("asof") == frame["asof"][0]) & (pl.col("run_id") == frame["run_id"][0])
    standing = store.scan(table).filter(same & pl.col("score").is_not_null()).select(frame.columns).collect()
    gone = standing.join(frame, on=KEYS, how="anti")
    return gone.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("score", "score_rank"))


def _write_whole(path: Path, frame: pl.DataFrame) -> None:
    """Write a file that is there either whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    if path.suffix == ".csv":
        frame.write_csv(part)
    else:
        frame.write_parquet(part)
    os.replace(part, path)
