"""How long a fit of daybar's XGBoost model takes against xgboost itself, on the same prepared matrix and parameters.

Both bin the same rows, grow all rounds and judge each on the last sessions; daybar adds its checks, the purged split,
and the scores of the training rows. The scores of the two are compared: they are one and the same model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import xgboost as xgb

from features.panel import Float64Array
from models.alpha.validation import latest_sessions
from models.alpha.xgboost import XGBoost
from models.base import Sample

Given = TypeVar("Given")


def drawn(sessions: int, assets: int, columns: int) -> Sample:
    """A sample of standard normal columns whose label holds a little of the first and of a product."""
    rng = np.random.default_rng(0)
    rows = sessions * assets
    x = rng.standard_normal((rows, columns), dtype=np.float32)
    y = 0.05 * x[:, 0] + 0.05 * x[:, 1] * x[:, 2] + rng.standard_normal(rows)
    names = tuple(f"column_{i}" for i in range(columns))
    return Sample(x, y, np.repeat(np.arange(sessions), assets), np.ones(rows), names, gap=6)


def by_daybar(spec: XGBoost, sample: Sample) -> tuple[float, Float64Array]:
    """Processor seconds of the fit, and the scores that it leads to."""
    seconds, fitted = timed(lambda: spec.fit(sample, seed=0))
    return seconds, fitted.predict(sample.X, sample.session)


def by_xgboost(spec: XGBoost, sample: Sample) -> tuple[float, Float64Array]:
    """The same of xgb.train, given the rows already split."""
    earlier, later = latest_sessions(sample, spec.valid_share)
    params = {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "max_depth": spec.max_depth,
        "learning_rate": spec.learning_rate,
        "min_child_weight": spec.min_child_weight,
        "subsample": spec.subsample,
        "colsample_bytree": spec.colsample_bytree,
        "reg_lambda": spec.reg_lambda,
        "max_bin": spec.max_bin,
        "nthread": spec.threads,
        "seed": 0,
    }

    def train() -> xgb.Booster:
        rows = xgb.QuantileDMatrix(earlier.X, earlier.y, max_bin=spec.max_bin, nthread=spec.threads)
        judged = xgb.QuantileDMatrix(later.X, later.y, max_bin=spec.max_bin, nthread=spec.threads, ref=rows)
        stop = xgb.callback.EarlyStopping(rounds=spec.early_stopping, save_best=True)
        return xgb.train(params, rows, spec.rounds, evals=[(judged, "later")], callbacks=[stop], verbose_eval=False)

    seconds, booster = timed(train)
    return seconds, np.asarray(booster.inplace_predict(sample.X), dtype=np.float64)


def timed(way: Callable[[], Given]) -> tuple[float, Given]:
    """Processor seconds of one call over all threads, which other processes hardly disturb, and what it gave."""
    start = time.process_time()
    given = way()
    return time.process_time() - start, given


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--assets", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--columns", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    # As many rounds of patience as rounds: both grow all of them, and the times are of equal work.
    spec = XGBoost(rounds=given.rounds, early_stopping=given.rounds, threads=given.threads)
    print(f"{given.columns} columns, {given.rounds} rounds, {given.threads} threads, medians of {given.repeats}\n")
    print("| rows | daybar, CPU s | xgboost, CPU s | daybar / xgboost |\n|---|---|---|---|")
    for assets in given.assets:
        sample = drawn(given.sessions, assets, given.columns)
        # Threads that wait for work must not spin (OMP_WAIT_POLICY=passive, as in the Makefile): spinning counts here.
        pairs = [(by_daybar(spec, sample), by_xgboost(spec, sample)) for _ in range(given.repeats + 1)]
        for (_, ours), (_, theirs) in pairs:
            np.testing.assert_array_equal(ours, theirs)
        a, b = np.median([(a, b) for (a, _), (b, _) in pairs[1:]], axis=0)
        print(f"| {len(sample.y):,} | {a:.2f} | {b:.2f} | {a / b:.3f} |", flush=True)


if __name__ == "__main__":
    main()
