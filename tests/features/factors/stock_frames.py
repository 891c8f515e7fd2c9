"""A small market as a pandas frame an asset, and the comparison of columns of the library with formulas on them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features.catalogue import catalogue
from features.panel import Float64Array
from features.plan import compute, plan
from tests.features.synthetic_market import stock_market

MARKET = stock_market(sessions=380, assets=16, seed=11)
SAMPLED = (4, 25, 59, 61, 90, 140, 200, 251, 290, 333, 379)
FIELDS = ("open", "high", "low", "close", "prev_close", "total_turnover", "volume", "num_trades")
# A formula is given the rows of the window, and those with the session before it too.
Formula = Callable[[pd.DataFrame, pd.DataFrame], float]


@functools.cache
def library() -> dict[str, Float64Array]:
    """Every column of the library, and the market's return that formulas need."""
    known = catalogue("CS")
    names = [n for n, f in known.items() if "library" in f.sets or n == "cs_market_return"]
    panels, _ = compute(plan(known, names, MARKET.values), MARKET)
    return panels.values  # noqa: PD011


@functools.cache
def frames() -> list[pd.DataFrame]:
    """A frame an asset: fields, r and m, adjusted prices, sessions of a warm-up after a long absence."""
    out = []
    for i in range(MARKET.shape[1]):
        frame = pd.DataFrame({k: MARKET[k][:, i] for k in (*FIELDS, "limit_up", "limit_down", "traded")})
        rows = frame[frame["traded"] > 0]
        adjusted = (rows["close"].shift() / rows["prev_close"]).fillna(1.0).cumprod().reindex(frame.index)
        for price in ("close", "high", "low"):
            frame[f"adj_{price}"] = frame[price] * adjusted
        frame["adj_vwap"] = frame["total_turnover"] / frame["volume"] * adjusted
        frame["r"] = np.log(frame["close"] / frame["prev_close"])
        frame["m"] = np.log1p(library()["cs_market_return"][:, 0])
        frame["V"] = frame["total_turnover"]
        frame["warm"] = [back_from_absence(frame["traded"].to_numpy(), t) for t in range(len(frame))]
        out.append(frame)
    return out


def back_from_absence(traded: Float64Array, t: int) -> bool:
    """Whether the asset came back within 60 sessions from more than 20 without a trade."""
    return any(traded[s] > 0 and s >= 21 and not traded[s - 21 : s].any() for s in range(max(t - 59, 0), t + 1))


def enough(values: pd.Series | Float64Array, n: int) -> Float64Array | None:
    """The valid ones; None where they are fewer than 60 % of the window."""
    valid = np.asarray(values, dtype=float)
    valid = valid[np.isfinite(valid)]
    return valid if len(valid) >= math.ceil(0.6 * n) else None


def over(n: int, values: Callable[[pd.DataFrame], pd.Series], of: Callable[[Float64Array], float] = np.mean) -> Formula:
    """What `of` makes of the valid values of a window of n sessions."""

    def formula(window: pd.DataFrame, before: pd.DataFrame) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            valid = enough(values(window), n)
        return np.nan if valid is None else float(of(valid))

    return formula


def assert_column_is(name: str, n: int, formula: Formula, tolerance: float = 1e-9) -> None:
    """The column is its formula on every asset at the sampled sessions, and blank where it has to be."""
    checked = 0
    for frame, column in zip(frames(), library()[name].T, strict=True):
        for t in SAMPLED:
            expected = np.nan
            if frame["traded"].iloc[t] > 0 and not frame["warm"].iloc[t]:
                expected = formula(frame.iloc[max(t - n + 1, 0) : t + 1], frame.iloc[max(t - n, 0) : t + 1])
            checked += np.isfinite(expected)
            assert column[t] == pytest.approx(expected, rel=tolerance, abs=1e-10, nan_ok=True), (name, t)
    assert checked > 40, name
