"""The price and volume families of 09 §2 in plain pandas, as a notebook would have them: wide frames and rolling."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost as xgb

FIELDS = ("high", "low", "close", "prev_close", "volume", "total_turnover")
WINDOWS = (5, 10, 20, 60, 120, 250)
YEAR = 250


def read_wide(path: Path, last: int | None = None) -> dict[str, pd.DataFrame]:
    """The fields as frames of sessions by assets, of the last sessions where a number is given."""
    bars = pd.read_parquet(path, columns=["date", "order_book_id", *FIELDS])
    if last is not None:
        bars = bars[bars["date"] >= np.sort(bars["date"].unique())[-last:][0]]
    return {name: bars.pivot(index="date", columns="order_book_id", values=name) for name in FIELDS}  # noqa: PD010


def families(wide: dict[str, pd.DataFrame], market: pd.Series, windows: Iterable[int]) -> dict[str, pd.DataFrame]:
    """Name -> frame. `market` is the log return of the market by session."""
    close, turnover = wide["close"], wide["total_turnover"]
    r = np.log(close / wide["prev_close"])
    # The product of last close / prev_close: what ex-dates took out of the price.
    adjust = (close.ffill().shift() / wide["prev_close"]).where(close.notna()).fillna(1.0).cumprod()
    adj_close, adj_high, adj_low = (frame * adjust for frame in (close, wide["high"], wide["low"]))
    span = wide["high"] - wide["low"]
    place = (2 * close - wide["high"] - wide["low"]) / span.where(span > 0)
    dearness, change = r.abs() / turnover * 1e8, np.log(turnover).diff()
    over_vwap = np.log(close / (turnover / wide["volume"]))
    same = r.notna().mul(market, axis=0).where(r.notna())
    paired = r.where(same.notna())
    year = turnover.rolling(YEAR, min_periods=math.ceil(0.6 * YEAR)).mean()
    out = {}
    for n in windows:
        least = math.ceil(0.6 * n)
        pairs = max(least, 3)
        rolling = {"window": n, "min_periods": least}
        of_r, of_m = paired.rolling(n, min_periods=pairs), same.rolling(n, min_periods=pairs)
        beta = of_r.cov(same) / of_m.var()
        out[f"roc_{n}"] = np.log(adj_close / adj_close.shift(n))
        out[f"std_{n}"] = r.rolling(**rolling).std()
        out[f"ma_dev_{n}"] = np.log(adj_close / adj_close.rolling(**rolling).mean())
        out[f"clv_{n}"] = place.rolling(**rolling).mean()
        out[f"dist_high_{n}"] = np.log(adj_close / adj_high.rolling(**rolling).max())
        out[f"dist_low_{n}"] = np.log(adj_close / adj_low.rolling(**rolling).min())
        out[f"beta_{n}"] = beta
        if n >= 60:
            seen = paired.rolling(n, min_periods=1).count()
            out[f"idio_vol_{n}"] = np.sqrt((of_r.var() - beta * of_r.cov(same)) * (seen - 1) / (seen - 2))
        out[f"illiq_{n}"] = np.log(dearness.rolling(**rolling).mean())
        if n < YEAR:
            out[f"turn_ratio_{n}"] = np.log(turnover.rolling(**rolling).mean() / year)
        out[f"pv_corr_{n}"] = r.rolling(n, min_periods=pairs).corr(change)
        out[f"vwap_dev_{n}"] = over_vwap.rolling(**rolling).mean()
    return out


def predict_last(bars: Path, booster: Path, out: Path, history: int, windows: Iterable[int]) -> None:
    """Score the last session and write the file; fits and keeps 300 trees on random labels where there are none."""
    wide = read_wide(bars, history)
    market = np.log(wide["close"] / wide["prev_close"]).mean(axis=1)
    last = pd.DataFrame({name: frame.iloc[-1] for name, frame in families(wide, market, windows).items()})
    ranked = (last.rank() - 0.5) / last.count() - 0.5
    if not booster.exists():
        label = np.random.default_rng(0).standard_normal(len(ranked))
        xgb.train({"max_depth": 4}, xgb.DMatrix(ranked, label), 300).save_model(booster)
    model = xgb.Booster(model_file=booster)
    pd.DataFrame({"score": model.predict(xgb.DMatrix(ranked))}, index=ranked.index).to_parquet(out)
