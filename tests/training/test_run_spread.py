"""A spread training, told once: what its run records and registers, and that it repeats."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest

from features.panel import DataError
from features.store import Store
from tests.futures_market import futures_store
from tests.spread_market import spread_config
from training.run_spread import train_spread
from training.spread_book import SpreadBook
from training.spread_data import gather
from training.tracking import Tracking
from training.trained import Trained

PAIRS = ("IF near-next", "M dominant-sub_dominant")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    futures_store(folder / "store")
    return folder


@pytest.fixture(scope="module")
def trained(home: Path) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return train_spread(spread_config(), home)


def test_the_leaderboard_has_a_row_a_pair(trained: Trained) -> None:
    head, *rows = trained.headline()
    assert head[2:8] == ("best at 5", "its R²", "its holdout", "ar1 R²", "ar1 holdout", "ar1 beyond unchanged")
    assert [" ".join(row[0].split()[:2]) for row in rows] == list(PAIRS)
    assert all(len(row) == len(head) for row in rows)
    for pair, row in zip(PAIRS, rows, strict=True):
        for model, columns in ((row[2], (3, 4)), ("ar1", (5, 6))):
            told = [trained.metrics[f"{pair}/{what}_5/{model}"] for what in ("r2", "r2_holdout")]
            assert [row[at] for at in columns] == [f"{one:+.2%}" for one in told]


def test_a_run_records_what_a_reader_asks_for(trained: Trained, home: Path) -> None:
    tracking = Tracking(home)
    record = tracking.record(trained.run_id)
    assert record.status == "FINISHED"
    assert record.params["split.train"] == "250"
    assert json.loads(record.tags["data_version"])["bars/Future"] == 0
    report = tracking.read_text(trained.run_id, "report.html")
    for word in ("沪深300股指期货", "豆粕", "unchanged", "simulated"):
        assert word in report
    files = {one.path for one in tracking.client.list_artifacts(trained.run_id, "figures/IF_near-next")}
    names = ("half_lives", "spread_trades")
    assert files == {f"figures/IF_near-next/{name}.png" for name in names}
    table = json.loads(tracking.read_text(trained.run_id, "leaderboard.json"))
    assert len(table["data"]) == 2 * 2 * 4
    children = list(tracking.search("spread", tags={"mlflow.parentRunId": trained.run_id}))
    assert {one.name for one in children} == {f"{pair} {model}" for pair in PAIRS for model in ("ar1", "ou", "ecm")}


def test_forecasts_are_recorded_with_what_came(trained: Trained, home: Path) -> None:
    tracking = Tracking(home)
    runs = tracking.search("spread", tags={"mlflow.parentRunId": trained.run_id})
    child = next(one for one in runs if one.name == f"{PAIRS[1]} ecm")
    kept = tracking.client.download_artifacts(child.run_id, "forecasts.parquet")
    told = pl.read_parquet(kept).filter(pl.col("yhat_5").is_finite() & pl.col("excess_5").is_finite())
    assert len(told) > 150
    assert told["near"].n_unique() > 1


def test_the_book_that_is_registered_forecasts_the_last_session(trained: Trained, home: Path) -> None:
    ref = Tracking(home).resolve("small_spread@champion")
    assert (ref.version, ref.run_id) == (1, trained.run_id)
    store = Store(home / "store")
    last = np.datetime64(store.span("bars/Future")[1], "D")
    told = SpreadBook.load(ref.folder).extend(store, last).forecast(last)
    assert told["yhat"].null_count() == 0
    assert len(told) == 4


def test_the_book_projects_prices_that_are_given(trained: Trained, home: Path) -> None:
    book = SpreadBook.load(Tracking(home).resolve("small_spread@champion").folder)
    store = Store(home / "store")
    last = np.datetime64(store.span("bars/Future")[1], "D")
    series = gather(spread_config(), store).series[PAIRS[0]]
    told = book.extend(store, last).forecast(last).filter(product=PAIRS[0])
    legs = series.legs.part(len(series) - 100, len(series))
    found = book.project(PAIRS[0], legs)
    expected = told["yhat"].to_numpy() + series.carry((1, 5))[-1]
    assert found["change"].to_numpy() == pytest.approx(expected, abs=1e-12)
    with pytest.raises(DataError, match="pair XX"):
        book.project("XX", legs)


def test_the_logged_model_runs_from_its_code(
    trained: Trained, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the store that MLflow may open there is none of ours
    ref = Tracking(home).resolve("small_spread@champion")
    model = mlflow.pyfunc.load_model(str(ref.folder.parents[1]))
    series = gather(spread_config(), Store(home / "store")).series[PAIRS[0]]
    part = series.legs.part(len(series) - 60, len(series))
    assert part.fresh is not None
    given = pd.DataFrame(
        {
            "pair": PAIRS[0],
            "session": [str(day) for day in part.session],
            "log_near": part.x,
            "log_far": part.y,
            "fresh": part.fresh.astype(np.float64),
        }
    )
    told = model.predict(given.sample(frac=1.0, random_state=1))
    book = SpreadBook.load(ref.folder)
    assert told["change"].to_numpy() == pytest.approx(book.project(PAIRS[0], part)["change"].to_numpy())
    assert list(told["horizon"]) == [1, 5]


def test_a_repeated_training_gives_the_same_numbers(trained: Trained, home: Path) -> None:
    again = train_spread(spread_config(), home, replay_of=trained.run_id)
    assert again.metrics == trained.metrics
    assert again.version is None


def test_a_span_without_bars_is_refused(home: Path) -> None:
    late = spread_config(data={"start": date(2031, 1, 2), "products": ("M",)})
    with pytest.raises(DataError, match="some product must have a pair"):
        train_spread(late, home)
