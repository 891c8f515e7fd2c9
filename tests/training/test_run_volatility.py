"""A volatility training, told once: what its run records, what it registers, and how an interrupted one goes on."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import training.walk_jobs
from features.panel import ConfigError, DataError
from features.store import Store
from tests.futures_market import PRODUCTS, futures_store, small_config
from training.book import Book
from training.run import Trained, train
from training.tasks import volatility
from training.tracking import Tracking
from training.volatility_config import VolatilityConfig
from training.volatility_data import Series
from training.walk_jobs import scratch_of


@pytest.fixture(scope="module")
def config() -> VolatilityConfig:
    return small_config()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    futures_store(folder / "store")
    return folder


@pytest.fixture(scope="module")
def trained(config: VolatilityConfig, home: Path) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return train(config, home)


def test_the_leaderboard_is_what_a_training_shows(trained: Trained) -> None:
    head, *rows = trained.headline()
    assert head[:5] == ("product", "forecasts", "best at 1", "ratio", "served")
    assert [row[0].split()[0] for row in rows] == list(PRODUCTS)
    for row in rows:
        assert row[2] in ("ewma", "garch_n", "har")
        assert 0.5 < float(row[3]) <= 1.0
        assert row[-1] in ("fine", "too few to tell", "too many breaches", "too few breaches", "clustered")


def test_numbers_are_ratios_to_the_base_s_loss_on_the_same_forecasts(trained: Trained, home: Path) -> None:
    told = pl.DataFrame(json.loads(Tracking(home).read_text(trained.run_id, "leaderboard.json"))["data"], orient="row")
    assert len(told) == 2 * 3 * 5  # products, horizons, three models and what is made of them
    for product in PRODUCTS:
        assert trained.metrics[f"{product}/qlike_ratio_1/ewma"] == 1.0
    means = [trained.metrics[f"{product}/qlike_ratio_5/har"] for product in PRODUCTS]
    assert trained.metrics["qlike_ratio_5/har"] == pytest.approx(float(np.sqrt(means[0] * means[1])), rel=1e-12)
    assert 0 <= trained.metrics["var_0.99/breach_rate"] < 0.05
    assert trained.metrics["fits/number"] == 2 * 3 * 11


def test_a_run_records_what_a_reader_asks_for(trained: Trained, home: Path) -> None:
    tracking = Tracking(home)
    record = tracking.record(trained.run_id)
    assert record.status == "FINISHED"
    assert record.params["walk.window"] == "250"
    assert json.loads(record.tags["data_version"])["bars/Future"] == 0
    report = tracking.read_text(trained.run_id, "report.html")
    for word in ("沪深300股指期货", "豆粕", "EWMA", "Leaderboard"):
        assert word in report
    assert "simulated" in report
    files = {one.path for one in tracking.client.list_artifacts(trained.run_id, "figures/IF")}
    names = ("forecast_vs_range", "news_impact", "term_structure", "var_breaches")
    assert files == {f"figures/IF/{name}.png" for name in names}
    rolls = pl.read_csv(tracking.read_text(trained.run_id, "rolls.csv").encode())
    assert set(rolls["product"]) == set(PRODUCTS)
    children = list(tracking.search("futvol", tags={"mlflow.parentRunId": trained.run_id}))
    assert {one.name for one in children} == set(PRODUCTS)


def test_the_book_that_is_registered_forecasts_the_last_session(trained: Trained, home: Path) -> None:
    ref = Tracking(home).resolve("small_vol@champion")
    assert (ref.version, ref.run_id) == (1, trained.run_id)
    store = Store(home / "store")
    last = np.datetime64(store.span("bars/Future")[1], "D")
    told = Book.load(ref.folder).extend(store, last).forecast(last)
    assert told["sigma"].null_count() == 0
    assert len(told) == 6


def test_a_repeated_training_gives_the_same_numbers(trained: Trained, config: VolatilityConfig, home: Path) -> None:
    again = train(config, home, replay_of=trained.run_id)
    assert again.metrics == trained.metrics
    assert again.version is None


def test_a_training_that_was_interrupted_goes_on_where_it_was(
    config: VolatilityConfig, home: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked = training.walk_jobs.walked
    seen: list[str] = []

    def dying(product: str, *rest: object) -> object:
        seen.append(product)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return walked(product, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("training.walk_jobs._cores", lambda: 1)
    monkeypatch.setattr("training.walk_jobs.walked", dying)
    named = config.model_copy(update={"name": "interrupted", "registration": None})
    with pytest.raises(KeyboardInterrupt):
        train(named, home)
    said: list[str] = []
    again = train(named, home, said.append)
    assert len(seen) == 3
    assert any(line.startswith("1 of 2 products were walked before an interruption") for line in said)
    assert again.metrics == trained.metrics
    assert not list((home / "scratch").glob("volatility-*"))
    killed = Tracking(home).search("futvol", finished=False)
    assert "KILLED" in {one.status for one in killed}


def test_walks_of_other_settings_or_data_are_not_taken_up(config: VolatilityConfig, tmp_path: Path) -> None:
    other = small_config(walk={"refit": 21})
    places = {scratch_of(one, {"bars/Future": v}, tmp_path) for one in (config, other) for v in (0, 1)}
    assert len(places) == 4


def test_two_processes_walk_as_one_does(config: VolatilityConfig, home: Path, tmp_path: Path) -> None:
    data = volatility.prepare(config, Store(home / "store"))
    alone = volatility.walk(config, data, tmp_path / "one", jobs=1)
    both = volatility.walk(config, data, tmp_path / "two", jobs=2)
    for product, one in alone.walks.items():
        for name, track in one.tracks.items():
            assert np.array_equal(track.variance, both.walks[product].tracks[name].variance)


def test_a_product_that_is_too_short_is_skipped_with_a_reason(config: VolatilityConfig, home: Path) -> None:
    long = small_config(walk={"window": 600, "min_window": 500}, register=None)
    found = train(long, home)
    assert found.headline()[1:] == []
    assert found.metrics["products/skipped"] == 2
    note = Tracking(home).record(found.run_id).tags["mlflow.note.content"]
    assert "skipped IF: too short: " in note


def test_a_model_that_lacks_its_input_is_left_out_with_a_reason(home: Path, tmp_path: Path) -> None:
    gjr_x = {"kind": "garch", "params": {"variance": "gjr", "regressors": ("nothing",)}}
    settings = small_config(models={"ewma": {"kind": "ewma"}, "gjr_x": gjr_x})
    data = volatility.prepare(settings, Store(home / "store"))
    book = volatility.walk(settings, data, tmp_path, jobs=1)
    assert book.walks["IF"].left_out == {"gjr_x": "needs nothing"}
    assert list(book.walks["IF"].tracks) == ["ewma"]


def test_memory_is_of_alpha_runs(config: VolatilityConfig, home: Path) -> None:
    with pytest.raises(ConfigError, match="--memory is for the matrix of an alpha run"):
        train(config, home, memory=1e9)


def test_a_span_without_bars_is_refused(home: Path) -> None:
    late = small_config(data={"start": date(2031, 1, 2)})
    with pytest.raises(DataError, match="some product must have returns"):
        volatility.prepare(late, Store(home / "store"))


def test_a_series_of_nought_has_a_status_and_no_forecast(config: VolatilityConfig, home: Path, tmp_path: Path) -> None:
    data = volatility.prepare(config, Store(home / "store"))
    dead = _without_moves(data.series["IF"])
    series = {"IF": dead, "M": data.series["M"]}
    book = volatility.walk(config, type(data)(series, {}, data.calendar, data.last), tmp_path, jobs=1)
    evidence = volatility.judge(config, book.data, book)  # type: ignore[arg-type]
    assert {one.product for one in evidence.products} | set(evidence.skipped) == {"IF", "M"}
    told = book.forecast(data.last).filter(product="IF")
    assert told["sigma"].null_count() == 3
    assert "vary" in told["reason"][0]


def _without_moves(one: Series) -> Series:
    nought = np.zeros(len(one.returns))
    returns = type(one.returns)(nought, nought, one.returns.regressors)
    return Series(one.product, one.continuous, one.sessions, one.row, returns, np.full(len(nought), np.nan))
