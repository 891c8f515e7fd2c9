"""How much memory a training takes whose matrix would not fit: from the store to scores, with the matrix in a file.

    python benchmarks/bench_stream.py --stocks 5120 --sessions 2500         (22 GB of disk; half an hour on two cores)

Bars are walks without a meaning; factor values are drawn, stored under the names and hashes of real factors, and
written by a process of its own. What is measured reads the store block by block, fits XGBoost to a label with a little
signal in three columns, and scores the last sessions. `--raw` also fits in memory: xgboost alone on the same rows, with
the same parameters, in a process of its own; the scores must be the same, and the ratio of processor times is told.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from bench_store import filled
from bench_training import by_daybar, by_xgboost

from features.catalogue import catalogue
from features.inputs import available
from features.matrix import matrix
from features.panel import Float64Array, Matrix
from features.plan import plan
from features.scratch import Scratch
from features.store import Store
from features.universe import Universe
from models.alpha.xgboost import XGBoost
from models.base import Sample
from models.blocks import blocks
from training.fit import Scorer, fit_scorer
from training.preprocess import Preprocess

_LIMIT = 12.0  # GB
_TURNOVER = "cs_turnover20"
_CHUNK = 40  # sessions of factors that are written at a time
_GAP = 6


def factors(store: Store, columns: int) -> dict[str, str]:
    """Names and hashes of so many factors of the catalogue that the bars can give, the universe's among them."""
    known = catalogue("CS")
    names = dict.fromkeys((_TURNOVER, *known.select(sets=["stock_core", "library", "alpha158"])))
    whole = plan(known, names, available(store, "CS"))
    chosen = [n for n in names if n in whole.wanted and known[n].scope != "market"][:columns]
    return {name: whole.hashes[name] for name in chosen}


def make_store(root: Path, stocks: int, sessions: int, columns: int) -> None:
    """Bars, and drawn factor values as if they had been built: 3 % of the cells are gaps."""
    store, rng = filled(root, stocks, sessions), np.random.default_rng(1)
    days, version = store.calendar().between(*store.span("bars/CS")), store.version("bars/CS")
    ids, hashes = pl.Series(store.assets("bars/CS")), factors(store, columns)
    for first in range(0, len(days), _CHUNK):
        part = days[first : first + _CHUNK]
        date = pl.Series(np.repeat(part, stocks)).cast(pl.Date)
        frame = {"date": date, "order_book_id": pl.concat([ids] * len(part))}
        for name in hashes:
            cells = rng.standard_normal(len(date), dtype=np.float32)
            cells[rng.random(len(date), dtype=np.float32) < 0.03] = np.nan
            frame[name] = np.exp(np.nan_to_num(cells)) if name == _TURNOVER else cells
        reach = {n: {"hash": h, "through": str(part[-1]), "bars": version} for n, h in hashes.items()}
        store.replace("factors/CS", pl.DataFrame(frame), part[0], part[-1], meta={"columns": reach})


def label(table: Matrix) -> Float64Array:
    """Noise, with a little of one column and of the product of two, (M,)."""
    y = np.random.default_rng(2).standard_normal(len(table.session))
    for part in blocks(table.values):
        x = np.nan_to_num(table.values[part, 1:4].astype(np.float64))
        y[part] += 0.05 * x[:, 0] + 0.05 * x[:, 1] * x[:, 2]
    return y


def status(name: str) -> float:
    """A line of what Linux tells of this process, GB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e9
    raise SystemExit(f"/proc/self/status has no {name}")


@contextmanager
def measured(what: str, table: list[str]) -> Generator[None]:
    """A row more: seconds, largest resident size of the process so far, and of its own memory alone meanwhile."""
    over, anonymous = threading.Event(), [status("RssAnon")]

    def sample() -> None:
        while not over.wait(0.05):
            anonymous[0] = max(anonymous[0], status("RssAnon"))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    start, cpu = time.perf_counter(), time.process_time()
    yield
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    over.set()
    sampler.join()
    table.append(f"| {what} | {seconds:.0f} | {cpu:.0f} | {status('VmHWM'):.1f} | {anonymous[0]:.1f} |")


def fitted(table: Matrix, spec: XGBoost, scratch: Scratch) -> Scorer:
    """A scorer of all sessions, as the last step of a training fits it."""
    y, ones = label(table), np.ones(len(table.session))
    return fit_scorer(
        spec, Preprocess(), table.values, table.session, y, ones, table.columns, _GAP, 0, scratch=scratch, say=print
    )


def stream(root: Path, spec: XGBoost, memory: float, columns: int) -> None:
    """The measured road, against the limit."""
    store, known = Store(root), catalogue("CS")
    scratch = Scratch(memory=memory, folder=root.parent / "scratch")
    names = factors(store, columns)
    rows = ["\n| what | seconds | CPU s | peak RSS, GB | peak of own memory, GB |", "|---|---|---|---|---|"]
    with measured("matrix", rows):
        settings = Universe(min_listed=0, min_turnover=0.0)
        table, _, _ = matrix(store, known, names, universe=settings, scratch=scratch, say=print)
    with measured(f"fit, {spec.rounds} rounds, {len(table.session):,} rows x {len(table.columns)} columns", rows):
        scorer = fitted(table, spec, scratch)
    with measured("scores of the last 60 sessions", rows):
        last = table.session >= table.session[-1] - 59
        score = scorer.score(table.values, table.session, rows=last)
    print("\n".join(rows))
    found = np.corrcoef(score[last], np.nan_to_num(table.values[last][:, 1].astype(np.float64)))[0, 1]
    print(f"\ncorrelation of the scores with the column that tells: {found:.2f}; the limit is {_LIMIT} GB", flush=True)
    if status("VmHWM") > _LIMIT:
        raise SystemExit(f"{status('VmHWM'):.1f} GB are more than {_LIMIT}")


def raw(root: Path, spec: XGBoost, columns: int) -> None:
    """Processor seconds of daybar's fit to rows in a file, and of xgboost's to the same rows in memory, by turns."""
    store, known = Store(root), catalogue("CS")
    table, _, _ = matrix(store, known, factors(store, columns), universe=Universe(min_listed=0, min_turnover=0.0))
    made = Preprocess().fit(table.values, table.session, table.columns)
    X = made.transform(table.values, table.session)
    given = label(table), table.session, np.ones(len(X)), made.out_columns, _GAP
    outside = Scratch(memory=0, folder=root.parent / "scratch").stack("standardised rows", *X.shape, [X])
    seconds = []
    for repeat in range(4):
        ours, score = by_daybar(spec, Sample(outside, *given))
        theirs, other = by_xgboost(spec, Sample(X, *given))
        np.testing.assert_array_equal(score, other)
        if repeat:
            seconds.append((ours, theirs))
    ours, theirs = np.median(seconds, axis=0)
    print("\n| rows x columns | daybar, from a file, CPU s | xgboost, in memory, CPU s | daybar / xgboost |")
    print(f"|---|---|---|---|\n| {len(X):,} x {X.shape[1]} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.3f} |")


def main() -> None:
    """Make the store in one process, then measure in others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--columns", type=int, default=190)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--memory", type=float, default=1.0, help="GB above which an array goes to a file")
    parser.add_argument("--folder", type=Path, help="of store and scratch files; kept, and used again if it is there")
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--part", choices=("make", "stream", "raw"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    spec = XGBoost(rounds=given.rounds, early_stopping=given.rounds)
    if given.part is None:
        with tempfile.TemporaryDirectory() as folder:
            where = given.folder or Path(folder)
            parts = [*([] if (where / "store").exists() else ["make"]), "stream", *(["raw"] if given.raw else [])]
            for part in parts:
                subprocess.run([sys.executable, *sys.argv, "--part", part, "--folder", str(where)], check=True)
    elif given.part == "make":
        make_store(given.folder / "store", given.stocks, given.sessions, given.columns)
    elif given.part == "stream":
        stream(given.folder / "store", spec, given.memory * 1e9, given.columns)
    else:
        raw(given.folder / "store", spec, given.columns)


if __name__ == "__main__":
    main()
