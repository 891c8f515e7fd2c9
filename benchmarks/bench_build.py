"""How long the price and volume families take from the bars on disk, by daybar and by plain pandas, in one process.

daybar reads its store and computes the factors on panels, as a build does before it writes; pandas reads a Parquet
file, pivots it and rolls. Both make one pass over the whole history. Each repetition runs both, one after the other;
medians are printed. The values are compared first. The market's return, which two families need, is given to pandas.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from pandas_families import WINDOWS, families, read_wide

from features.catalogue import catalogue
from features.ingest import ingest
from features.inputs import available, read_inputs
from features.operators.blocks import threads
from features.panel import Panels
from features.plan import compute, plan
from features.sources.simulator import PLANTED, batches, simulate
from features.store import Store

FAMILIES = ("roc", "std", "ma_dev", "clv", "dist_high", "dist_low", "beta", "idio_vol", "illiq", "turn_ratio")
NAMES = catalogue("CS").select(families=[f"cs_f_{f}" for f in (*FAMILIES, "pv_corr", "vwap_dev")])


def by_daybar(store: Store, names: tuple[str, ...] = NAMES) -> Panels:
    """The families as panels."""
    wanted = plan(catalogue("CS"), names, available(store, "CS"))
    first, last = store.span("bars/CS")
    return compute(wanted, read_inputs(store, "CS", wanted.fields, first, last))[0]


def by_pandas(path: Path, market: pd.Series) -> dict[str, pd.DataFrame]:
    """The families as frames."""
    return families(read_wide(path), market, WINDOWS)


def compared(ours: Panels, theirs: dict[str, pd.DataFrame]) -> None:
    """Refuse values that differ; after a long absence daybar has none, and pandas leaves rounding in windows."""
    assert {f"cs_f_{name}" for name in theirs} == set(NAMES)
    for name, frame in theirs.items():
        a, b = ours[f"cs_f_{name}"], frame.to_numpy()
        assert np.isfinite(a).sum() >= 0.9 * np.isfinite(b).sum() > 0, name
        both = np.isfinite(a) & np.isfinite(b)
        np.testing.assert_allclose(a[both], b[both], rtol=1e-5, atol=1e-7, err_msg=name)


def seconds(way: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, nargs="+", default=[300])
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print(f"{len(NAMES)} columns, {given.sessions} sessions, {threads()} threads, medians of {given.repeats}\n")
    print("| stocks | daybar, s | pandas, s | pandas / daybar |\n|---|---|---|---|")
    for stocks in given.stocks:
        with TemporaryDirectory() as folder:
            world = replace(PLANTED, stocks=stocks, sessions=given.sessions)
            simulation = simulate("demo", world, seed=1)
            store, path = Store(Path(folder) / "store"), Path(folder) / "bars.parquet"
            ingest(batches(simulation), store)
            simulation.bars["CS"].write_parquet(path)
            returns = by_daybar(store, ("cs_market_return",))
            index = pd.Index(returns.sessions.astype("datetime64[us]"))
            market = pd.Series(np.log1p(returns["cs_market_return"][:, 0]), index=index)
            compared(by_daybar(store), by_pandas(path, market))
            pairs = [
                (seconds(lambda s=store: by_daybar(s)), seconds(lambda p=path, m=market: by_pandas(p, m)))
                for _ in range(given.repeats)
            ]
            ours, theirs = np.median(np.array(pairs), axis=0)
            print(f"| {stocks} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.1f} |", flush=True)


if __name__ == "__main__":
    main()
