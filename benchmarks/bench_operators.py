"""How long daybar's operators take against pandas' wide rolling windows, in one process on the same panels.

Each repetition runs both, one after the other, so that a busy machine slows both alike; medians are printed as a
Markdown table. Results are compared first: a ratio is of two ways to one number.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features import operators as ops
from features.operators.blocks import threads
from features.panel import Float64Array


@dataclass(frozen=True)
class Case:
    """Two ways to one panel, called without arguments."""

    name: str
    daybar: Callable[[], Float64Array]
    pandas: Callable[[], pd.DataFrame]


def cases(x: Float64Array, y: Float64Array, n: int, w: int) -> list[Case]:
    """The operators measured, on panels (T, N); n is the window, w that of the percentile."""
    wide, other = pd.DataFrame(x), pd.DataFrame(y)
    everyone = np.ones(x.shape, dtype=np.bool_)
    groups = (np.arange(x.shape[1]) % 30).astype(np.float64)[None, :]
    least, half = math.ceil(0.6 * n), max(60, math.ceil(w / 2))
    short, long = wide.rolling(n, min_periods=least), wide.rolling(w, min_periods=half)
    return [
        Case(f"ts_mean {n}", lambda: ops.ts_mean(x, n), short.mean),
        Case(f"ts_std {n}", lambda: ops.ts_std(x, n), short.std),
        Case(f"ts_corr {n}", lambda: ops.ts_corr(x, y, n), lambda: short.corr(other)),
        Case(f"ts_max {n}", lambda: ops.ts_max(x, n), short.max),
        Case(f"ts_median {n}", lambda: ops.ts_median(x, n), short.median),
        Case(
            f"ts_percentile {n}", lambda: ops.ts_percentile(x, n, least), lambda: (short.rank() - 0.5) / short.count()
        ),
        Case(f"ts_percentile {w}", lambda: ops.ts_percentile(x, w), lambda: (long.rank() - 0.5) / long.count()),
        Case(f"ts_quantile {n}", lambda: ops.ts_quantile(x, n, 0.8), lambda: short.quantile(0.8)),
        Case(f"ts_rank {n}", lambda: ops.ts_rank(x, n), lambda: short.rank(pct=True)),
        Case(f"ts_skew {n}", lambda: ops.ts_skew(x, n), short.skew),
        Case(f"ts_ema {n}", lambda: ops.ts_ema(x, n, 1), lambda: wide.ewm(span=n, min_periods=1).mean()),
        Case("cs_rank", lambda: ops.cs_rank(x, everyone), lambda: _cross_rank(wide)),
        Case("group_demean", lambda: ops.group_demean(x, groups, everyone), lambda: _group_demeaned(wide, groups[0])),
    ]


def _cross_rank(wide: pd.DataFrame) -> pd.DataFrame:
    return (wide.rank(axis=1) - 0.5).div(wide.count(axis=1), axis=0)


def _group_demeaned(wide: pd.DataFrame, group: Float64Array) -> pd.DataFrame:
    return (wide.T - wide.T.groupby(group).transform("mean")).T


def seconds(way: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def measured(case: Case, repeats: int) -> tuple[float, float]:
    """Median seconds of daybar and of pandas over interleaved repetitions, after one of each that checks the values."""
    np.testing.assert_allclose(case.daybar(), case.pandas().to_numpy(), rtol=1e-7, atol=1e-9)
    pairs = [(seconds(case.daybar), seconds(case.pandas)) for _ in range(repeats)]
    ours, theirs = np.median(np.array(pairs), axis=0)
    return float(ours), float(theirs)


def panels(sessions: int, assets: int) -> tuple[Float64Array, Float64Array]:
    """Two panels of returns with 3 % of their cells missing at random."""
    rng = np.random.default_rng(0)
    x = 0.02 * rng.standard_normal((sessions, assets))
    y = 0.02 * rng.standard_normal((sessions, assets))
    missing = rng.random(x.shape) < 0.03
    x[missing], y[missing] = np.nan, np.nan
    return x, y


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=2500)
    parser.add_argument("--assets", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--window", type=int, default=60)
    parser.add_argument("--percentile-window", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="measure the operators whose name begins so")
    given = parser.parse_args()
    print(f"{given.sessions} sessions, {threads()} threads, medians of {given.repeats}\n")
    print("| operator | assets | daybar, s | pandas, s | pandas / daybar |\n|---|---|---|---|---|")
    for assets in given.assets:
        for case in cases(*panels(given.sessions, assets), given.window, given.percentile_window):
            if case.name.startswith(given.only):
                ours, theirs = measured(case, given.repeats)
                print(f"| `{case.name}` | {assets} | {ours:.3f} | {theirs:.2f} | {theirs / ours:.1f} |", flush=True)


if __name__ == "__main__":
    main()
