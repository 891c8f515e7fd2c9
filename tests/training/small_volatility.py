"""Products of a simulated market on which a trial of a volatility model takes a fraction of a second."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from features.panel import Float64Array, SessionArray
from features.store import Store
from models.volatility.base import Returns
from training.tracking import Tracking
from training.volatility_config import VolatilityConfig
from training.volatility_data import Series, VolatilityData

N = 400
SERIES = ("CU888", "RB888")
SETTINGS: dict[str, Any] = {
    "name": "small_vol",
    "seed": 5,
    "walk": {"window": 250, "min_window": 150},
    "forecast": {"horizons": (1, 5)},
    "models": {"ewma": {"kind": "ewma"}, "flat": {"kind": "ewma", "params": {"decay": 0.99}}},
    "tune": {"model": "ewma", "trials": 6, "startup": 3},
    "register": {"name": "small_vol"},
}


def small_config(**sections: object) -> VolatilityConfig:
    told = dict(SETTINGS)
    for name, changes in sections.items():
        told[name] = {**told.get(name, {}), **changes} if isinstance(changes, dict) else changes
    return VolatilityConfig.model_validate(told)


def small_data(products: int = 4, n: int = 1250, tail: float = 1.0) -> VolatilityData:
    """Products whose variance is an EWMA of decay .85; the returns of the holdout times `tail`."""
    series = {}
    for number in range(products):
        days, returns, proxy = world(seed=number, n=n)
        late = np.where(np.arange(n) >= n - 210, tail, 1.0)
        value, name = returns.value * late, f"P{number}"
        series[name] = Series(name, None, days, np.arange(n), Returns(value), proxy * late**2)  # type: ignore[arg-type]
    return VolatilityData(series, {"XX": "no return"}, None, np.datetime64("2020-01-01"))  # type: ignore[arg-type]


def world(seed: int = 1, decay: float = 0.85, n: int = N) -> tuple[SessionArray, Returns, Float64Array]:
    """Sessions, returns whose variance follows an EWMA, and a proxy of it with the noise of a range."""
    rng = np.random.default_rng(seed)
    h, r = np.full(n, 1e-4), np.empty(n)
    for t in range(n):
        if t:
            h[t] = decay * h[t - 1] + (1 - decay) * r[t - 1] ** 2 + 2e-6
        r[t] = math.sqrt(h[t]) * rng.standard_normal()
    days = np.arange("2015-01-05", "2035-01-01", dtype="datetime64[D]")
    return days[np.is_busday(days)][:n], Returns(r), h * rng.chisquare(8, n) / 8


def small_home(home: Path, n: int = 700) -> Path:
    """A home whose store holds two continuous series, and the tables of its tracking database."""
    store = Store(home / "store")
    days, *_ = world(n=n)
    calendar = np.concatenate([days, days[-1] + np.arange(3, 150) * np.timedelta64(7, "D")])
    store.upsert("reference/calendar", pl.DataFrame({"date": calendar}), keys=("date",))
    store.upsert("bars/Future", pl.concat(_bars(name, number, n) for number, name in enumerate(SERIES)))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Tracking(home)
    return home


def _bars(name: str, seed: int, n: int) -> pl.DataFrame:
    days, returns, proxy = world(seed=seed, n=n)
    close = 3000 * np.exp(np.cumsum(returns.value))
    opened, reach = np.append(3000.0, close[:-1]), np.exp(0.8 * np.sqrt(proxy))
    return pl.DataFrame(
        {
            "date": days,
            "order_book_id": [name] * n,
            "open": opened,
            "high": np.maximum(opened, close) * reach,
            "low": np.minimum(opened, close) / reach,
            "close": close,
            "settlement": close,
            "volume": 1e5 * np.exp(np.abs(returns.value)),
            "open_interest": np.full(n, 2e5),
        }
    )
