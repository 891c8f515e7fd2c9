"""A home with a small registered book of volatilities, which several tests of serving predict from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from filelock import FileLock

from features.store import Store
from training.book import Book
from training.config import of_dump
from training.manifest import Manifest
from training.mlruns import relocate
from training.packaged import packaged_volatility
from training.tracking import Tracking
from training.volatility_config import VolatilityConfig
from training.volatility_data import gather, plan_of
from training.walk_jobs import specs_of
from training.walked import walked

SETTINGS = {
    "name": "small",
    "data": {"store": "store"},
    "walk": {"window": 120, "min_window": 60, "refit": 20},
    "forecast": {"horizons": (1, 5, 20), "levels": (0.95, 0.99), "paths": 200},
    "models": {"ewma": {"kind": "ewma"}, "slow": {"kind": "ewma", "params": {"decay": 0.97}}},
    "choice": {"window": 40, "reps": 100},
}
TRAINED_TO = 200  # sessions of 260


def futures_bars(count: int = 260, seed: int = 4) -> pl.DataFrame:
    """Three spliced series: A calm and then wild, B steady and without its last 3 sessions, C from session 170 on."""
    rng = np.random.default_rng(seed)
    days = np.datetime64("2020-01-02") + np.arange(2 * count).astype("timedelta64[D]")
    days = days[np.is_busday(days)][:count]
    parts = []
    for name, first, last, scale in (("A", 0, count, 0.01), ("B", 0, count - 3, 0.02), ("C", 170, count, 0.015)):
        wild = np.where(np.arange(count) > 230, 2.5, 1.0) if name == "A" else np.ones(count)
        close = 3000 * np.exp(np.cumsum(rng.normal(0, scale, count) * wild))
        before = np.append(3000.0, close[:-1])
        opened = before * np.exp(rng.normal(0, scale / 3, count))
        high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, scale / 2, count)))
        low = np.minimum(opened, close) / np.exp(np.abs(rng.normal(0, scale / 2, count)))
        frame = pl.DataFrame({"date": days, "open": opened, "high": high, "low": low, "close": close})
        told = {"order_book_id": pl.lit(f"{name}_MAIN"), "volume": pl.lit(1e5), "open_interest": pl.lit(2e5)}
        parts.append(frame.slice(first, last - first).with_columns(pl.col("date").cast(pl.Date), **told))
    return pl.concat(parts).sort("date", "order_book_id")


def registered(home: Path) -> None:
    """A store of futures_bars, a book that was walked to TRAINED_TO, registered as vol_small@champion."""
    store, bars = Store(home / "store"), futures_bars()
    store.upsert("bars/Future", bars)
    days = bars["date"].unique().sort()
    store.upsert("reference/calendar", pl.DataFrame({"date": days}), keys=("date",))
    terms = {"type": "Future", "contract_multiplier": 10.0}
    names = pl.DataFrame({"order_book_id": [f"{p}_MAIN" for p in "ABC"], "underlying_symbol": list("ABC")})
    told = names.with_columns(pl.lit(value).alias(name) for name, value in terms.items())
    store.upsert("reference/instruments", told, keys=("order_book_id",))
    config = of_dump(VolatilityConfig.model_validate(SETTINGS).dump())
    assert isinstance(config, VolatilityConfig)
    data = gather(config, store, days[TRAINED_TO - 1])
    specs, plan = specs_of(config), plan_of(config)
    walks = {name: walked(name, specs, plan, one) for name, one in data.series.items()}
    folder = home / "book"
    folder.mkdir()
    span = str(days[0]), str(days[TRAINED_TO - 1])
    manifest = Manifest("volatility", "Future", {}, config.dump(), "volatility", config.hash, {}, span)
    manifest.save(folder)
    Book(config, walks, data).save(folder)
    one = data.series["A"]
    example = pl.DataFrame({"product": "A", "session": one.sessions[:80], "return": one.returns.value[:80]})
    tracking = Tracking(home)
    with tracking.start("futvol", "small", {"asset_class": "Future"}) as run:
        run.metrics({"qlike_ratio_1/chosen": 0.98, "qlike_ratio_5/chosen": 0.97, "products/judged": 2})
        run.model(packaged_volatility(folder, example))
        tracking.register(run, "vol_small", "champion")


@pytest.fixture(scope="session")
def trained_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of `registered`, made once for all workers, to be left as it is."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    home = shared / "small_book"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with FileLock(shared / "small_book.lock"):
            if not (home / "done").exists():
                home.mkdir()
                registered(home)
                (home / "done").touch()
    return home


@pytest.fixture
def book_home(trained_book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may change."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = tmp_path / "home"
    shutil.copytree(trained_book, home)
    relocate(home)
    return home
