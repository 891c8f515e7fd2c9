"""An ingest killed at any moment leaves whole versions; running it again gives what an undisturbed one gives."""

from __future__ import annotations

import datetime as dt
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from features.store import Store
from tests.flow.killed import ROOT, run_killed

KILLS = 14
PROGRAM = """
import sys
from features.ingest import ingest
from features.sources.files import files
from features.store import Store
ingest(files(sys.argv[1]), Store(sys.argv[2]))
"""
WEEKDAYS = [d for d in (dt.date(2019, 12, 2) + dt.timedelta(n) for n in range(400)) if d.weekday() < 5]


def bars(days: list[dt.date], assets: int, price: float) -> pl.DataFrame:
    keys = [(day, f"{n:06d}.XSHE") for day in days for n in range(assets)]
    frame = pl.DataFrame(keys, {"date": pl.Date, "order_book_id": pl.String}, orient="row")
    prices = {name: pl.lit(price) for name in ("open", "high", "low", "close", "prev_close")}
    volume, turnover = pl.lit(1000.0), pl.lit(1000.0 * price)
    limits = {"limit_up": pl.lit(price * 1.1), "limit_down": pl.lit(price * 0.9)}
    return frame.with_columns(**prices, **limits, volume=volume, total_turnover=turnover)


def write_market(folder: Path) -> None:
    """Two years, then a file that restates the first and holds rows for the quarantine, then one that adds."""
    (folder / "CS").mkdir(parents=True)
    (folder / "reference").mkdir()
    pl.DataFrame({"date": WEEKDAYS}).write_parquet(folder / "reference" / "calendar.parquet")
    bad = pl.col("order_book_id") == "000003.XSHE"
    again = bars(WEEKDAYS[:100], 40, 11.0).with_columns(pl.when(bad).then(9.0).otherwise("high").alias("high"))
    for n, frame in enumerate([bars(WEEKDAYS[:250], 40, 10.0), again, bars(WEEKDAYS[200:], 60, 10.0)]):
        frame.write_parquet(folder / "CS" / f"part{n}.parquet")


def content(store: Store) -> dict[str, pl.DataFrame]:
    frames = {table: store.scan(table).collect() for table in store.tables()}
    return {table: frame.select(sorted(frame.columns)).sort(sorted(frame.columns)) for table, frame in frames.items()}


def ingest_whole(market: Path, root: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(market), str(root)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)


def assert_whole(store: Store) -> None:
    """What a killed process left: only states that one of its commits made."""
    if not store.exists("bars/CS"):
        return
    rows = store.scan("bars/CS").collect()
    assert rows.select("date", "order_book_id").is_unique().all()
    assert (rows["close"] * 1000 == rows["total_turnover"]).all()
    restated = int((rows["close"] == 11.0).sum())
    assert restated in (0, 100 * 39)
    assert len(rows) in (250 * 40, 250 * 40 + 50 * 20 + (len(WEEKDAYS) - 250) * 60)


def test_a_kill_at_any_moment_leaves_a_version_and_a_second_run_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    market = tmp_path / "market"
    write_market(market)
    ingest_whole(market, tmp_path / "calm")
    expected = content(Store(tmp_path / "calm"))
    assert len(expected["quarantine/CS"]) == 100
    chance, versions = random.Random(7), set()
    stores = [tmp_path / f"killed {n}" for n in range(3)]
    for kill in range(KILLS):
        root = stores[kill % len(stores)]
        # The first commits of a run that begins anew, then later ones: each store dies at a different one every time.
        run_killed(PROGRAM, str(market), str(root), commit=1 + kill // len(stores), delay=0.03 * chance.random())
        assert_whole(Store(root))
        versions.add(tuple(sorted(Store(root).versions(Store(root).tables()).items())))
    assert len(versions) > 3  # the kills fell at different moments
    for root in stores:
        ingest_whole(market, root)
        got = content(Store(root))
        assert got.keys() == expected.keys()
        for table, frame in expected.items():
            assert_frame_equal(got[table], frame)
