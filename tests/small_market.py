"""A small random market as long rows, for tests of what stands between the bars and the matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from features.store import Store

FIELDS = ("open", "high", "low", "close", "prev_close", "limit_up", "limit_down", "volume", "total_turnover")


def sessions(count: int) -> np.ndarray:
    """Weekdays from 2020-01-02 on."""
    days = np.datetime64("2020-01-02") + np.arange(2 * count + 10).astype("timedelta64[D]")
    return days[np.is_busday(days)][:count]


def bars(stocks: int = 12, count: int = 150, seed: int = 1) -> pl.DataFrame:
    """Random walks with a late listing, a suspension of 25 sessions without rows and days without volume."""
    rng = np.random.default_rng(seed)
    days = sessions(count)
    close = 10 * np.exp(np.cumsum(rng.normal(0, 0.02, (count, stocks)), axis=0)).round(4)
    before = np.vstack([close[:1], close[:-1]])
    high, low = np.maximum(close, before) * 1.004, np.minimum(close, before) * 0.996
    volume = rng.integers(2e6, 9e6, (count, stocks)).astype(float)
    volume[rng.random(volume.shape) < 0.01] = 0
    frame = pl.DataFrame(
        {
            "date": np.repeat(days, stocks),
            "order_book_id": [f"{600000 + i}.XSHG" for i in range(stocks)] * count,
            "open": before.ravel(),
            "high": high.ravel(),
            "low": low.ravel(),
            "close": close.ravel(),
            "prev_close": before.ravel(),
            "limit_up": (before * 1.1).ravel(),
            "limit_down": (before * 0.9).ravel(),
            "volume": volume.ravel(),
            "total_turnover": (volume * (close + before) / 2).ravel(),
        }
    ).with_columns(pl.col("date").cast(pl.Date))
    late = (pl.col("order_book_id") == "600001.XSHG") & (pl.col("date") < days[40])
    away = (pl.col("order_book_id") == "600002.XSHG") & pl.col("date").is_between(days[60], days[84])
    return frame.filter(~late & ~away)


def reference(frame: pl.DataFrame) -> pl.DataFrame:
    """Instruments of the bars, listed on their first row; those of the first day long before."""
    listed = frame.group_by("order_book_id").agg(listed_date=pl.col("date").min()).sort("order_book_id")
    first = frame["date"].min()
    old = pl.when(pl.col("listed_date") == first).then(pl.date(2010, 1, 4)).otherwise(pl.col("listed_date"))
    return listed.with_columns(listed_date=old, type=pl.lit("CS"))


def calendar(count: int = 150) -> pl.DataFrame:
    """The sessions as a reference table, some more than the bars have."""
    return pl.DataFrame({"date": sessions(count + 30)}).with_columns(pl.col("date").cast(pl.Date))


def small_store(root: Path, frame: pl.DataFrame | None = None) -> Store:
    """A store that holds the market."""
    frame = bars() if frame is None else frame
    store = Store(root)
    store.upsert("reference/calendar", calendar(), keys=("date",))
    store.upsert("reference/instruments", reference(frame), keys=("order_book_id",))
    store.upsert("bars/CS", frame)
    return store
