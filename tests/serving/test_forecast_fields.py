"""What is predicted of volatilities comes back as fields and factors of products, by the command line alone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.product_bars import TABLE
from features.store import Store
from tests.command_line import Daybar
from tests.serving.conftest import futures_bars

MODEL = "vol_small@champion"
DAYS = futures_bars()["date"].unique().sort().to_list()
FACTORS = ("fut_vol_forecast_5", "fut_vol_forecast_20", "fut_vol_forecast_change", "fut_vol_forecast_slope")


def predicted(daybar: Daybar, home: Path, first: dt.date, last: dt.date) -> None:
    answer = daybar("predict", MODEL, "--from", first, "--to", last, "--home", home)
    assert answer.code == 0, answer.err


def built(daybar: Daybar, home: Path) -> str:
    answer = daybar("build", "--asset-class", "Product", "--store", "store", "--home", home)
    assert answer.code == 0, answer.err
    return answer.out


def factor(home: Path, name: str) -> pl.DataFrame:
    rows = Store(home / "store").scan("factors/Product").select("date", "order_book_id", name).collect()
    return rows.drop_nulls().rename({"date": "asof", "order_book_id": "asset"}).sort("asof", "asset")


def said(home: Path, horizon: int) -> pl.DataFrame:
    rows = Store(home / "store").scan("pred_vol").filter(pl.col("horizon") == horizon).collect()
    return rows.select("asof", "asset", "sigma").drop_nulls().sort("asof", "asset")


def test_predictions_become_factors_with_the_next_build(daybar: Daybar, book_home: Path) -> None:
    first = built(daybar, book_home)
    assert all(f"absent: {name} needs vol_forecast" in first for name in FACTORS)
    predicted(daybar, book_home, DAYS[200], DAYS[219])
    second = built(daybar, book_home)
    assert f"{TABLE}: 0 rows new, " in second
    assert not any(f"absent: {name}" in second for name in FACTORS)
    for horizon in (5, 20):
        found, expected = factor(book_home, f"fut_vol_forecast_{horizon}"), said(book_home, horizon)
        assert found.select("asof", "asset").equals(expected.select("asof", "asset"))
        assert len(found) == 40
        assert found[f"fut_vol_forecast_{horizon}"].to_list() == pytest.approx(expected["sigma"].to_list(), rel=1e-6)
    change = factor(book_home, "fut_vol_forecast_change").filter(pl.col("asset") == "A")
    sigma = said(book_home, 5).filter(pl.col("asset") == "A")["sigma"].to_numpy()
    assert change["fut_vol_forecast_change"].to_list() == pytest.approx(
        np.log(sigma[5:] / sigma[:-5]).tolist(), rel=1e-5
    )


def test_what_is_predicted_later_restates_only_its_sessions(daybar: Daybar, book_home: Path) -> None:
    predicted(daybar, book_home, DAYS[200], DAYS[219])
    built(daybar, book_home)
    predicted(daybar, book_home, DAYS[220], DAYS[229])
    assert f"{TABLE}: 0 rows new, 20 restated, 3 products" in built(daybar, book_home)
    assert len(factor(book_home, "fut_vol_forecast_5")) == len(said(book_home, 5)) == 60
    assert "restated" not in built(daybar, book_home)
