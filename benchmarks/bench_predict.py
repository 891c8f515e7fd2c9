"""How long an evening's prediction takes: whole processes, from the start of Python to the file of predictions.

built    `daybar predict` where the factors of the session are in the store
evening  the same where the bars of the session have just arrived: the factors' increment is built on the way
pandas   plain pandas and xgboost: reads the bars of the last 260 sessions, rolls the price and volume families over
         as many windows, ranks the last row, scores it, writes the file

The market is simulated; at 5,000 stocks further windows bring the matrix to about 190 columns. The model is 300 trees
on labels drawn at random: what it predicts does not matter here. Repetitions take turns; medians are printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from pandas_families import WINDOWS

import features.factors
from features.catalogue import catalogue
from features.ingest import ingest
from features.panel import Matrix
from features.sources.batch import Batch
from features.sources.simulator import PLANTED, batches, simulate
from features.store import Store
from training.alpha_config import AlphaConfig, Features, Model
from training.band import BAND, fit_band
from training.fit import fit_scorer
from training.market import gather
from training.packaged import packaged_alpha
from training.page import manifest_of
from training.preprocess import Preprocess
from training.tracking import Tracking
from training.uncertainty import Record

HERE = Path(__file__).resolve().parent
MORE = HERE / "windows"
MORE_WINDOWS = (15, 25, 30, 40, 50, 80, 100, 150, 200)
HISTORY, LEARNT, ROUNDS = 260, 20, 300
NAME = "bench_predict"
DAYBAR = """
import sys
if sys.argv[1]:
    import features.factors
    features.factors.__path__.append(sys.argv[1])
from serving.cli import main
del sys.argv[1]
main()
"""
PANDAS = """
import sys
from pathlib import Path
from pandas_families import predict_last
predict_last(*(Path(a) for a in sys.argv[1:4]), *(int(a) for a in sys.argv[4:5]), [int(a) for a in sys.argv[5:]])
"""


def make_market(home: Path, stocks: int, sessions: int) -> pl.DataFrame:
    """Ingest a simulated market but for its last session, whose bars are given back; bars.parquet has all of them."""
    simulation = simulate("demo", replace(PLANTED, stocks=stocks, sessions=sessions), seed=1)
    bars = simulation.bars["CS"]
    last = pl.col("date") == bars["date"].max()
    bars.write_parquet(home / "bars.parquet")
    earlier = (
        batch if batch.table != "CS" else Batch("CS", batch.origin, bars.filter(~last)) for batch in batches(simulation)
    )
    ingest(earlier, Store(home / "store"))
    return bars.filter(last).drop("source")


def register(home: Path, names: tuple[str, ...]) -> Matrix:
    """Build the factors, fit 300 trees to random labels and a band to real ones, and register them."""
    store, tracking = Store(home / "store"), Tracking(home)
    config = AlphaConfig(
        name=NAME,
        features=Features(sets=(), names=names),
        model=Model(kind="xgboost", params={"rounds": ROUNDS, "early_stopping": ROUNDS}),
    )
    sessions = store.calendar().sessions
    market = gather(config, store, sessions[-min(HISTORY, len(sessions) - 1)], None)
    table, count = market.matrix, len(market.matrix.sessions)
    latest = table.session >= count - LEARNT
    label = np.random.default_rng(0).standard_normal(len(table.session))
    given = table.values, table.session, label, np.ones(len(label)), table.columns
    scorer = fit_scorer(config.model.spec(), Preprocess(), *given, gap=1, seed=0, rows=latest)
    band = fit_band(config, market, np.arange(count), count)
    with tracking.start("alpha", NAME) as run:
        scorer.save(home / "scorer")
        manifest_of(config, store, market).save(home / "scorer")
        Record(str(table.sessions[-1]), 0.1, {}).save(home / "scorer")
        if band is not None:
            band.save(home / "scorer" / BAND)
        rows = table.take(table.session == table.session[-1])
        example = pl.DataFrame(rows.values, schema=list(table.columns))
        run.model(packaged_alpha(home / "scorer", example, table.columns))
        tracking.register(run, NAME, "champion")
    return rows


def seconds(program: str, *arguments: str) -> float:
    """Wall-clock time of a program run as a process of its own."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program, *arguments], cwd=HERE, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def linked(source: Path, target: Path) -> None:
    """A copy of a store that shares its files, which are never changed."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=os.link)


def measured(stocks: int, sessions: int, more: bool, repeats: int) -> tuple[int, list[float]]:
    """Columns of the matrix, and the median seconds of built, evening and pandas."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        evening = make_market(home, stocks, sessions)
        names = catalogue("CS").select(sets=("stock_core", "more_windows") if more else ("stock_core",))
        columns = register(home, names).columns
        linked(home / "store", home / "before")
        daybar = (DAYBAR, str(MORE) if more else "", "predict", f"{NAME}@champion", "--home", folder)
        windows = (HISTORY, *WINDOWS, *(MORE_WINDOWS if more else ()))
        files = (str(home / name) for name in ("bars.parquet", "trees.json", "out.parquet"))
        pandas = (PANDAS, *files, *(str(n) for n in windows))
        times = []
        for repeat in range(repeats + 1):
            linked(home / "before", home / "store")
            Store(home / "store").upsert("bars/CS", evening)
            arrived = seconds(*daybar)
            taken = [seconds(*daybar), arrived, seconds(*pandas)]
            if repeat:  # the first one warms caches, and fits the trees of pandas
                times.append(taken)
        return len(columns), [float(t) for t in np.median(np.array(times), axis=0)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, nargs="+", default=[300])
    parser.add_argument("--sessions", type=int, default=750)
    parser.add_argument("--more-from", type=int, default=5000, help="stocks from which further windows are added")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    features.factors.__path__.append(str(MORE))
    print("| stocks | columns | built, s | evening, s | pandas and xgboost, s | pandas / evening |")
    print("|---|---|---|---|---|---|")
    for stocks in given.stocks:
        columns, (built, evening, plain) = measured(stocks, given.sessions, stocks >= given.more_from, given.repeats)
        ratio = plain / evening
        print(f"| {stocks} | {columns} | {built:.1f} | {evening:.1f} | {plain:.1f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
