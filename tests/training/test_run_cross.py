"""A training of pairs of products, told once: what it records, and what its book serves of candidates and of others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest

from features.store import Store
from tests.futures_market import futures, futures_store
from tests.simulated_market import cut_after
from tests.spread_market import spread_config
from training.run_spread import train_spread
from training.spread_book import SpreadBook
from training.spread_cross import CrossSeries
from training.spread_data import gather
from training.tracking import Tracking
from training.trained import Trained

PAIR = "FU-SC"
MODELS = {"ar1": {"kind": "ou", "params": {"hedge": None}}, "ecm": {"kind": "ecm"}}
CONFIG = spread_config(
    data={"products": ()},
    pairs={"kind": "cross", "cross": (("FU", "SC"), ("RB", "CU"), ("A", "B"))},
    models=MODELS,
    screening={"level": 0.999, "johansen": False, "every": "month"},
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    futures_store(folder / "store")
    return folder


@pytest.fixture(scope="module")
def trained(home: Path) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return train_spread(CONFIG, home)


@pytest.fixture(scope="module")
def book(trained: Trained, home: Path) -> SpreadBook:
    return SpreadBook.load(Tracking(home).resolve("small_spread@champion").folder)


@pytest.fixture(scope="module")
def carried(book: SpreadBook, home: Path) -> SpreadBook:
    store = Store(home / "store")
    return book.extend(store, np.datetime64(store.span("bars/Future")[1], "D"))


def test_a_run_records_the_screenings_and_what_each_pair_came_to(trained: Trained, home: Path) -> None:
    head, *rows = trained.headline()
    assert [row[0].split()[0] for row in rows] == [PAIR, "RB-CU"]
    assert all(len(row) == len(head) for row in rows)
    report = Tracking(home).read_text(trained.run_id, "report.html")
    for word in (
        "Engle-Granger",
        "协整筛选",
        "entered only while they are candidates",
        "no contracts of A, B",
        "for two more fills",
    ):
        assert word in report
    table = json.loads(Tracking(home).read_text(trained.run_id, "leaderboard.json"))
    assert len(table["data"]) == 2 * 2 * 2  # pairs, horizons, models: nothing is unchanged where no curve is


def test_a_candidate_has_a_forecast_and_another_pair_a_reason(carried: SpreadBook, home: Path) -> None:
    series = gather(CONFIG, Store(home / "store")).series
    seen = set()
    for row in (200, 300, 380, 418):
        day = series[PAIR].sessions[row]
        told = carried.forecast(day)
        assert told["product"].to_list() == [PAIR, PAIR, "RB-CU", "RB-CU"]
        for name, one in series.items():
            rows, why = told.filter(product=name), one.reason(row)
            seen.add(why.split(":")[0])
            assert rows["reason"].to_list() == [why or None] * 2
            assert rows["yhat"].is_null().to_list() == [bool(why)] * 2
            held = carried.walks[name].tracks["ar1"].hedge[row]
            assert rows["hedge"].to_list() == [None if why else held] * 2
    assert seen == {"", "no candidate"}


def test_a_book_that_is_carried_on_says_what_one_training_would_have_said(
    carried: SpreadBook, home: Path, tmp_path: Path
) -> None:
    store = Store(home / "store")
    middle = gather(CONFIG, store).series[PAIR].sessions[330]
    earlier = futures_store(tmp_path / "home" / "store", cut_after(futures(), middle))
    short = train_spread(CONFIG, tmp_path / "home", store=earlier)
    begun = SpreadBook.load(Tracking(tmp_path / "home").resolve("small_spread@champion").folder)
    assert short.version == 1
    assert begun.walks[PAIR].count == 331
    last = np.datetime64(store.span("bars/Future")[1], "D")
    assert begun.extend(store, last).forecast(last).equals(carried.forecast(last))
    assert begun.extend(earlier, middle).forecast(middle).equals(carried.forecast(middle))


def test_the_logged_model_projects_levels_that_are_given(
    book: SpreadBook, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the store that MLflow may open there is none of ours
    series = gather(CONFIG, Store(home / "store")).series[PAIR]
    part = series.legs.part(len(series) - 60, len(series))
    days = [str(day) for day in part.session]
    given = pd.DataFrame({"pair": PAIR, "session": days, "log_near": part.x, "log_far": part.y})
    model = mlflow.pyfunc.load_model(str(Tracking(home).resolve("small_spread@champion").folder.parents[1]))
    assert model.predict(given)["change"].to_numpy() == pytest.approx(book.project(PAIR, part)["change"].to_numpy())


def test_a_pair_that_the_store_lost_has_a_reason(book: SpreadBook, home: Path) -> None:
    last = np.datetime64(Store(home / "store").span("bars/Future")[1], "D")
    lost = replace(book.walks[PAIR], name="A-B", product="A")
    told = replace(book, walks={**book.walks, "A-B": lost}).extend(Store(home / "store"), last).forecast(last)
    assert told.filter(product="A-B")["reason"].null_count() == 0
    assert told.filter(pl.col("product") != "A-B")["product"].n_unique() == 2


def test_forecasts_are_recorded_with_what_the_models_own_position_earned(trained: Trained, home: Path) -> None:
    tracking, series = Tracking(home), gather(CONFIG, Store(home / "store")).series[PAIR]
    assert isinstance(series, CrossSeries)
    runs = tracking.search("spread", tags={"mlflow.parentRunId": trained.run_id})
    child = next(one for one in runs if one.name == f"{PAIR} ecm")
    told = pl.read_parquet(tracking.client.download_artifacts(child.run_id, "forecasts.parquet"))
    hedge = (series.legs.y - told["spread"].to_numpy()) / series.legs.x
    known = np.isfinite(told["centre"].to_numpy()) & np.isfinite(told["excess_5"].to_numpy())
    assert known.sum() > 200
    np.testing.assert_allclose(told["excess_5"].to_numpy()[known], series.excess(5, hedge)[known], atol=1e-9)
    assert told["far"].n_unique() > 5
