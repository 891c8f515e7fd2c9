"""How long a set of factors takes into the store, and one new session of all sets after it; with the peak of memory.

    python benchmarks/bench_store.py --stocks 5000 --sessions 2500 --memory 4GB      (nine minutes, 12 GB of disk)

The bars are walks without a meaning. All sets are built on the last sessions alone, as if the years before had been
built by an older definition; the new session is what an evening adds to them.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from features.catalogue import catalogue
from features.chunk import compute_chunk
from features.inputs import available
from features.materialise import materialise, memory_bytes
from features.plan import plan
from features.sessions import exchange_calendar
from features.store import Store

_LAST = "2023-12-29"


def filled(root: Path, stocks: int, sessions: int) -> Store:
    """A store of bars of so many stocks, 2 % of them missing, a year a commit."""
    store, rng = Store(root), np.random.default_rng(0)
    days = exchange_calendar("2010-01-04", _LAST).sessions[-sessions:]
    ids = [f"{600000 + i}.XSHG" for i in range(stocks)]
    log = 2.5 + 0.02 * np.cumsum(rng.standard_normal((sessions, stocks)), axis=0)
    close = np.exp(np.clip(log, 0.0, 6.0))
    before = np.vstack([close[:1], close[:-1]])
    opened = before * np.exp(0.005 * rng.standard_normal(close.shape))
    high = np.maximum(opened, close) * np.exp(0.01 * rng.random(close.shape))
    low = np.minimum(opened, close) * np.exp(-0.01 * rng.random(close.shape))
    volume = np.exp(14 + 0.5 * rng.standard_normal(close.shape))
    fields = {"open": opened, "high": high, "low": low, "close": close, "prev_close": before, "volume": volume}
    fields |= {"limit_up": before * 1.1, "limit_down": before * 0.9, "num_trades": volume / 500}
    fields["total_turnover"] = volume * (high + low + close) / 3
    kept, years = rng.random(close.shape) > 0.02, days.astype("datetime64[Y]")
    for year in np.unique(years):
        rows = years == year
        session, asset = np.nonzero(kept[rows])
        frame = {"date": pl.Series(days[rows][session]).cast(pl.Date), "order_book_id": pl.Series(ids).gather(asset)}
        store.upsert("bars/CS", pl.DataFrame(frame | {n: v[rows][session, asset] for n, v in fields.items()}))
    instruments = pl.DataFrame({"order_book_id": ids, "symbol": ids}).with_columns(
        type=pl.lit("CS"), listed_date=pl.lit((days[0] - np.timedelta64(1000, "D")).astype(object))
    )
    store.upsert("reference/instruments", instruments, keys=("order_book_id",))
    return store


def peak() -> float:
    """Largest resident size of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def build(store: Store, which: str, memory: float) -> None:
    """A whole set into the store."""
    known = catalogue("CS")
    start = time.perf_counter()
    report = materialise(store, known, known.select(sets=[which]), memory=memory)
    seconds = time.perf_counter() - start
    print(
        f"| {which}, {report.rows:,} rows x {len(report.columns)} columns | {seconds:.0f} | {peak():.1f} |", flush=True
    )


def evening(store: Store) -> None:
    """Every set on twenty sessions, then one session more, twice; the second is quoted."""
    known, readable = catalogue("CS"), available(store, "CS")
    days = store.calendar().between(*store.span("bars/CS"))
    wanted = plan(known, known.stored(), readable)
    version = store.version("bars/CS")
    frame = compute_chunk(store, wanted, days[-22], days[-3], version)
    reach = {c: {"hash": wanted.hashes[c], "through": str(days[-3]), "bars": version} for c in wanted.wanted}
    if store.exists("factors/CS"):
        raise SystemExit("the evening needs a store without factors")
    store.replace("factors/CS", frame, days[-22], days[-3], meta={"columns": reach})
    for day in (days[-2], days[-1]):
        start = time.perf_counter()
        report = materialise(store, known, known.stored(), end=day)
        seconds = time.perf_counter() - start
    print(f"| one session of all sets, {len(report.columns)} columns | {seconds:.1f} | {peak():.1f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--set", dest="which", default="alpha158")
    parser.add_argument("--memory", default="4GB")
    given = parser.parse_args()
    print(f"{given.stocks} stocks, {given.sessions} sessions\n\n| what | seconds | peak, GB |\n|---|---|---|")
    for part in ("evening", "build"):
        with tempfile.TemporaryDirectory() as folder:
            store = filled(Path(folder) / "store", given.stocks, given.sessions)
            if part == "evening":
                evening(store)
            else:
                build(store, given.which, memory_bytes(given.memory))


if __name__ == "__main__":
    main()
