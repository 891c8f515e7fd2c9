"""Regressions of spreads from a store to a served book: nothing known early, carried on as at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest

from features.panel import ConfigError, DataError
from features.store import Store
from tests.futures_market import futures, futures_store
from tests.simulated_market import cut_after
from tests.spread_market import BASIS, spread_config
from training.manifest import Manifest
from training.replay import replay
from training.run_spread import train_spread
from training.spread_book import SpreadBook
from training.spread_columns import names
from training.spread_config import SpreadConfig
from training.spread_data import gather
from training.spread_judge import foretold
from training.spread_panel import PooledPanel, pooled_panel
from training.tasks import spread
from training.tracking import Tracking
from training.trained import Trained

POOLED: dict[str, Any] = {
    "models": {
        "ar1": {"kind": "ou"},
        "net": {"kind": "regression", "params": {"strengths": (0.01, 0.1), "folds": 2}},
        "trees": {"kind": "regression", "params": {"model": "xgboost", "rounds": 20, "min_child_weight": 10.0}},
    },
    "pool": {"train": 250, "least": 120, "every": "month", "factors": ("fut_ts_curvature", "fut_flow_intensity_adj")},
}
NET, TREES = spread_config(**POOLED, serve="net"), spread_config(**POOLED, serve="trees")
OF_BASIS = spread_config(**POOLED, **BASIS, serve="net")
EACH = pytest.mark.parametrize("config", [NET, TREES, OF_BASIS], ids=["net", "trees", "basis"])
PAIR = "M dominant-sub_dominant"


def days_of(store: Store) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return np.unique(store.scan("bars/Future").select("date").collect()["date"].to_numpy()).astype("datetime64[D]")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    futures_store(folder / "store")
    return folder


@pytest.fixture(scope="module")
def store(home: Path) -> Store:
    return Store(home / "store")


@pytest.fixture(scope="module")
def middle(store: Store) -> np.datetime64:
    return days_of(store)[350]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory, middle: np.datetime64) -> Store:
    return futures_store(tmp_path_factory.mktemp("earlier"), cut_after(futures(), middle))


def panel_of(config: SpreadConfig, store: Store) -> PooledPanel:
    found = spread.pool(config, store, gather(config, store))
    assert found is not None
    return found


def book_of(config: SpreadConfig, store: Store) -> SpreadBook:
    data = gather(config, store)
    return spread.walk(config, data, panel=spread.pool(config, store, data))


def saved(book: SpreadBook, folder: Path) -> SpreadBook:
    config = book.config
    manifest = Manifest(config.task, "Future", {}, config.dump(), "spread", config.hash, {}, ("", ""))
    folder.mkdir()
    manifest.save(folder)
    book.save(folder)
    return SpreadBook.load(folder)


@pytest.fixture(scope="module")
def trained(home: Path) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return train_spread(NET, home)


def test_rows_are_those_of_all_pairs_with_their_labels(store: Store) -> None:
    data = gather(NET, store)
    panel = panel_of(NET, store)
    assert panel.pairs == tuple(data.series)
    assert panel.columns == (*names("calendar"), "fut_ts_curvature", "fut_flow_intensity_adj")
    assert (np.diff(panel.session) >= 0).all()
    for name, series in data.series.items():
        at = panel.of(name)
        assert len(at) > 300
        assert (panel.sessions[panel.session[at]] == series.sessions[panel.row[at]]).all()
        np.testing.assert_array_equal(panel.label[at, 1], series.excess(5)[panel.row[at]])


def test_factors_are_those_of_the_store(store: Store) -> None:
    panel = panel_of(NET, store)
    told = store.scan("factors/Product").filter(pl.col("order_book_id") == "M").collect()
    known = dict(zip(told["date"].to_numpy().astype("datetime64[D]"), told["fut_flow_intensity_adj"], strict=True))
    at = panel.of(PAIR)
    values = panel.X[at, panel.columns.index("fut_flow_intensity_adj")]
    there = np.isfinite(values)
    assert there.sum() > 100
    expected = [known[day] for day in panel.sessions[panel.session[at]][there]]
    np.testing.assert_array_equal(values[there], np.array(expected, np.float64))
    assert set(panel.factors) == {"fut_ts_curvature", "fut_flow_intensity_adj"}


@EACH
def test_no_row_knows_what_comes(config: SpreadConfig, store: Store, earlier: Store) -> None:
    now, then = panel_of(config, store), panel_of(config, earlier)
    n = len(then)
    assert n > 300
    for name in ("session", "pair", "row", "X", "deviation"):
        np.testing.assert_array_equal(getattr(then, name), getattr(now, name)[:n], err_msg=name)


def test_a_factor_without_its_field_is_told_and_left_out(store: Store) -> None:
    pool = {**POOLED["pool"], "factors": ("fut_ts_curvature", "fut_vol_forecast_5")}
    panel = panel_of(spread_config(**{**POOLED, "pool": pool}), store)
    assert "fut_vol_forecast_5" not in panel.columns
    assert any("factor fut_vol_forecast_5 is absent: needs" in note for note in panel.notes)


def test_a_forecast_of_volatility_comes_through_the_store(tmp_path: Path) -> None:
    own = futures_store(tmp_path / "store")
    days = days_of(own)[200:]
    said = {"asof": days, "asset": "M", "target": "volatility", "horizon": 5, "run_id": "r"}
    sigma = 0.1 + 0.001 * np.arange(len(days))
    rows = pl.DataFrame(said | {"sigma": sigma}).with_columns(pl.col("asof").cast(pl.Date))
    own.upsert("pred_vol", rows, keys=("asof", "asset", "target", "horizon", "run_id"))
    pool = {**POOLED["pool"], "factors": ("fut_vol_forecast_5",)}
    config = spread_config(**{**POOLED, "pool": pool})
    panel = panel_of(config, own)
    assert panel.notes == ()
    at = panel.of(PAIR)
    told = panel.X[at, panel.columns.index("fut_vol_forecast_5")]
    known = dict(zip(days, sigma, strict=True))
    expected = [known.get(day, np.nan) for day in panel.sessions[panel.session[at]]]
    np.testing.assert_array_equal(told, np.array(expected, np.float32))
    assert np.isfinite(told).sum() > 150
    assert book_of(config, own).walks[PAIR].fits["net"][-1].status == "ok"


def test_columns_that_nobody_knows_are_refused(store: Store) -> None:
    for more, said in (({"columns": ("basis",)}, "columns"), ({"factors": ("fut_nothing",)}, "fut_nothing")):
        config = spread_config(**{**POOLED, "pool": {**POOLED["pool"], **more}})
        with pytest.raises(ConfigError, match=said):
            panel_of(config, store)
    few = spread_config(**{**POOLED, "pool": {**POOLED["pool"], "columns": ("spread_z", "oi_5"), "factors": ()}})
    assert panel_of(few, store).columns == ("spread_z", "oi_5")


@EACH
def test_forecasts_are_those_of_a_day_that_knows_nothing_later(
    config: SpreadConfig, store: Store, earlier: Store, middle: np.datetime64
) -> None:
    then, now = book_of(config, earlier), book_of(config, store)
    seen = 0
    for day in days_of(earlier)[-60:]:
        told = then.forecast(day)
        assert told.equals(now.forecast(day))
        seen += told["yhat"].count()
    assert seen > 60
    last = now.forecast(middle).drop_nulls("yhat")
    assert last["z"].null_count() == last["half_life"].null_count() == len(last) > 0
    assert (last["se"] > 0).all()


@EACH
def test_what_is_saved_and_carried_on_is_what_was_at_once(
    config: SpreadConfig, store: Store, earlier: Store, middle: np.datetime64, tmp_path: Path
) -> None:
    then, once = saved(book_of(config, earlier), tmp_path / "book"), book_of(config, store)
    last = days_of(store)[-1]
    carried = then.extend(store, last)
    for day in (middle, middle + 30, last):
        assert carried.forecast(day).equals(once.forecast(day))
    assert then.pool is not None
    assert carried.pool is not None
    kept = then.pool.fits[config.served]
    assert carried.pool.fits[config.served][: len(kept)] == kept
    assert len(carried.pool.fits[config.served]) > len(kept)


def test_a_forecast_is_the_return_that_the_regression_expects(store: Store) -> None:
    panel, book = panel_of(NET, store), book_of(NET, store)
    data = book.data
    assert data is not None
    series, at = data.series[PAIR], panel.of(PAIR)[-1]
    fit = [one for one in book.pool.fits["net"] if one.horizon == 5][-1] if book.pool else None
    assert fit is not None
    scale = panel.deviation[at] * np.sqrt(5)
    told = book.forecast(series.sessions[panel.row[at]]).filter(product=PAIR, horizon=5)
    assert told["yhat"][0] == pytest.approx(fit.predict(panel.X[[at]])[0] * scale, abs=1e-15)
    assert told["se"][0] == pytest.approx(fit.error * scale)
    found = foretold(NET, book.walks[PAIR], series)
    assert found.forecast["net"][panel.row[at], 1] == pytest.approx(told["yhat"][0], abs=1e-15)


def test_before_the_first_fit_there_is_a_reason(store: Store) -> None:
    late = spread_config(**{**POOLED, "pool": {**POOLED["pool"], "least": 240}}, serve="net")
    told = book_of(late, store).forecast(days_of(store)[200])
    assert set(told["reason"]) == {"too short: no regression over this horizon is fitted yet"}


def test_a_history_that_is_another_takes_no_part(store: Store, tmp_path: Path) -> None:
    saved(book_of(NET, store), tmp_path / "book")
    told = json.loads((tmp_path / "book" / "pairs.json").read_text(encoding="utf-8"))
    told[0]["digest"] = "0" * 16
    (tmp_path / "book" / "pairs.json").write_text(json.dumps(told), encoding="utf-8")
    last = days_of(store)[-1]
    found = SpreadBook.load(tmp_path / "book").extend(store, last).forecast(last)
    mine = found.filter(product=told[0]["name"])
    assert set(mine["reason"]) == {"the store's history is not the one that was walked: train it again"}
    assert found.filter(pl.col("product") != told[0]["name"])["yhat"].null_count() == 0


def test_factors_that_are_computed_otherwise_are_refused(store: Store, tmp_path: Path) -> None:
    book = saved(book_of(NET, store), tmp_path / "book")
    assert book.pool is not None
    other = replace(book, pool=replace(book.pool, factors={**book.pool.factors, "fut_ts_curvature": "0"}))
    with pytest.raises(DataError, match="fut_ts_curvature"):
        other.extend(store, days_of(store)[-1])
    gone = replace(book, pool=replace(book.pool, columns=(*book.pool.columns, "fut_vol_forecast_5")))
    with pytest.raises(DataError, match="fut_vol_forecast_5"):
        gone.extend(store, days_of(store)[-1])


def test_a_book_that_serves_another_model_needs_no_factors(store: Store, tmp_path: Path) -> None:
    config = spread_config(**POOLED, serve="ar1")
    book = saved(book_of(config, store), tmp_path / "book")
    assert book.pool is not None
    other = replace(book, pool=replace(book.pool, factors={"fut_ts_curvature": "0"}))
    last = days_of(store)[-1]
    assert other.extend(store, last).forecast(last)["yhat"].null_count() == 0


def test_a_run_records_fits_and_what_matters(trained: Trained, home: Path, store: Store) -> None:
    tracking = Tracking(home)
    table = json.loads(tracking.read_text(trained.run_id, "pool/net/importance.json"))
    assert len(table["data"]) == 2 * len(panel_of(NET, store).columns)
    fits = json.loads(tracking.read_text(trained.run_id, "pool/trees/fits.json"))
    assert {fit["status"] for fit in fits} == {"ok"}
    told = json.loads(tracking.read_text(trained.run_id, "leaderboard.json"))
    models = {row[told["columns"].index("model")] for row in told["data"]}
    assert models == {"ar1", "net", "trees", "unchanged"}
    assert "bars/Product" in json.loads(tracking.record(trained.run_id).tags["data_version"])
    again = train_spread(NET, home, replay_of=trained.run_id)
    assert again.metrics == trained.metrics


def test_the_logged_regression_runs_from_its_code(
    trained: Trained, home: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the store that MLflow may open there is none of ours
    ref = Tracking(home).resolve("small_spread@champion")
    assert ref.run_id == trained.run_id
    assert Manifest.load(ref.folder).factors == panel_of(NET, store).factors
    model = mlflow.pyfunc.load_model(str(ref.folder.parents[1]))
    panel, last = panel_of(NET, store), days_of(store)[-1]
    at = panel.of(PAIR)[-1]
    given = {name: panel.X[at, k] for k, name in enumerate(panel.columns)} | {"deviation": panel.deviation[at]}
    rows = pl.DataFrame({"pair": [PAIR], "session": [str(last)], **{n: [v] for n, v in given.items()}}).to_pandas()
    told = model.predict(rows)
    expected = SpreadBook.load(ref.folder).extend(store, last).forecast(last).filter(product=PAIR)
    assert told["yhat"].to_numpy() == pytest.approx(expected["yhat"].to_numpy(), abs=1e-15)
    assert list(told["horizon"]) == [1, 5]
    book = SpreadBook.load(ref.folder)
    with pytest.raises(DataError, match="a regression, net"):
        book.project(PAIR, gather(NET, store).series[PAIR].legs)
    few = model.predict(rows.drop(columns=["spread_z"]))
    assert np.isfinite(few["yhat"]).all()


def test_pooled_panels_are_of_pairs_that_are_held_one_for_one(store: Store) -> None:
    data = gather(NET, store)
    one = replace(data, series={PAIR: data.series[PAIR]})
    panel = pooled_panel(NET, store, one)
    assert panel.pairs == (PAIR,)


@pytest.mark.parametrize(
    "told", [{}, {**BASIS, "pairs": {"kind": "basis", "far": "dominant"}}], ids=["calendar", "basis"]
)
def test_a_run_is_repeated_to_the_last_digit_from_its_data_versions(tmp_path: Path, told: dict[str, Any]) -> None:
    store = futures_store(tmp_path / "store")
    config = spread_config(**POOLED, **told, split={"train": 120, "least": 80, "test": 20})
    run = train_spread(config, tmp_path)
    # What comes later changes rates, dividends and index; the run is repeated on what it read.
    for table in ("reference/rates", "reference/dividends_index"):
        rows = store.scan(table).collect()
        numbers = [name for name in ("rate", "points") if name in rows.columns]
        store.rewrite(table, rows.with_columns(2 * pl.col(name) for name in numbers))
    again = replay(run.run_id, tmp_path)
    assert again.compared > 40
    assert again.differences == {}
