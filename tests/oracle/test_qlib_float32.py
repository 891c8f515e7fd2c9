"""Why some columns of Alpha158 are farther from pyqlib's than the others: it computes between fields in float32.

Three columns, by pandas and qlib's formulas: in float32 they are pyqlib's numbers, in float64 they are ours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from features.factors.alpha158 import alpha158
from tests.features.factors import qlib_answers

# What a column of qlib's float32 output can hold, near nought and elsewhere.
STORED = {"rtol": 5e-6, "atol": 5e-7}
EXACT = {"rtol": 1e-8, "atol": 1e-9}


def corr(x: pd.Series, y: pd.Series, n: int) -> pd.Series:
    window = {"window": n, "min_periods": 1}
    flat = (x.rolling(**window).std() <= 2e-5) | (y.rolling(**window).std() <= 2e-5)
    return x.rolling(**window).corr(y).mask(flat)


def wvma(close: pd.Series, volume: pd.Series, n: int) -> pd.Series:
    moved = (close / close.shift(1) - 1).abs() * volume
    window = moved.rolling(n, min_periods=1)
    # Window by window: what pandas carries along loses digits behind a large volume.
    spread = window.apply(lambda v: np.nanstd(v, ddof=1) if np.isfinite(v).sum() > 1 else np.nan, raw=True)
    return spread / (window.mean() + 1e-12)


FORMULAS = {
    "CORR": lambda close, volume, n: corr(close, np.log(volume + 1), n),
    "CORD": lambda close, volume, n: corr(close / close.shift(1), np.log(volume / volume.shift(1) + 1), n),
    "WVMA": wvma,
}


@pytest.fixture(scope="module")
def answers():
    return qlib_answers.both("alpha158", alpha158)


def by_pandas(name: str, n: int, dtype: type) -> np.ndarray:
    """The column stock by stock, each from its first bar on, NaN where there is no bar."""
    bars = qlib_answers.panels(pl.read_parquet(qlib_answers.GOLDEN / "inputs_by_qlib.parquet"))
    out = np.full(bars["close"].shape, np.nan)
    for j in range(out.shape[1]):
        first = int(np.flatnonzero(np.isfinite(bars["close"][:, j]))[0])
        close, volume = (pd.Series(bars[f][first:, j]).astype(dtype) for f in ("close", "volume"))
        with np.errstate(divide="ignore", invalid="ignore"):
            out[first:, j] = FORMULAS[name](close, volume, n)
    return np.where(np.isfinite(bars["close"]) & np.isfinite(out), out, np.nan)


@pytest.mark.parametrize("n", [5, 20, 60])
@pytest.mark.parametrize("name", FORMULAS)
def test_float32_makes_the_difference(name, n, answers):
    ours, qlib = (panel[f"{name}{n}"] for panel in answers)
    single, double = by_pandas(name, n, np.float32), by_pandas(name, n, np.float64)
    # A sum of squares that is all rounding has no digits in common with another.
    told = np.isfinite(single) & np.isfinite(qlib)
    assert told.mean() > 0.3
    assert np.isclose(single[told], qlib[told], **STORED).mean() > 0.995
    told = np.isfinite(double) & np.isfinite(ours)
    assert np.isclose(double[told], ours[told], **EXACT).mean() > 0.995
