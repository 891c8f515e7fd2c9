"""The book: walks that are kept, carried on, and asked about a session."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.panel import DataError
from features.store import Store
from models.volatility.sizing import Limits, size
from tests.futures_market import PRODUCTS, futures, futures_store, small_config
from tests.simulated_market import cut_after, noise_after
from training.book import Book
from training.manifest import Manifest
from training.tasks import volatility
from training.volatility_config import VolatilityConfig
from training.walked import Walked

DAY = np.datetime64("2025-11-21")


@pytest.fixture(scope="module")
def config() -> VolatilityConfig:
    return small_config()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return futures_store(tmp_path_factory.mktemp("futures"))


@pytest.fixture(scope="module")
def book(config: VolatilityConfig, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Book:
    return volatility.walk(config, volatility.prepare(config, store), tmp_path_factory.mktemp("scratch"), jobs=1)


def saved(book: Book, folder: Path) -> Path:
    folder.mkdir(parents=True)
    book.save(folder)
    Manifest("volatility", "Future", {}, book.config.dump(), "volatility", "x", {}, ("", "")).save(folder)
    return folder


def same(one: Walked, other: Walked) -> bool:
    parts = ("mean", "variance", "var", "es")
    return one.tracks.keys() == other.tracks.keys() and all(
        np.array_equal(getattr(track, part), getattr(other.tracks[name], part), equal_nan=True)
        for name, track in one.tracks.items()
        for part in parts
    )


def test_a_book_that_is_read_back_says_the_same(book: Book, store: Store, tmp_path: Path) -> None:
    loaded = Book.load(saved(book, tmp_path / "book"))
    assert loaded.products == PRODUCTS
    assert loaded.horizons == (1, 5, 10)
    for product, one in book.walks.items():
        back = loaded.walks[product]
        assert same(one, back)
        assert np.array_equal(one.sessions, back.sessions)
        for name, track in one.tracks.items():
            assert [(fit.origin, fit.status) for fit in track.fits] == [
                (fit.origin, fit.status) for fit in back.tracks[name].fits
            ]
    last = max(one.sessions[-1] for one in book.walks.values())
    extended = loaded.extend(store, last)
    assert extended.forecast(last).equals(book.forecast(last))


def test_a_book_carried_on_is_the_one_that_was_trained_later(
    config: VolatilityConfig, store: Store, book: Book, tmp_path: Path
) -> None:
    early_store = futures_store(tmp_path / "store", cut_after(futures(), np.datetime64("2025-09-05")))
    early = volatility.walk(config, volatility.prepare(config, early_store), tmp_path / "scratch", jobs=1)
    loaded = Book.load(saved(early, tmp_path / "book"))
    last = max(one.sessions[-1] for one in book.walks.values())
    carried = loaded.extend(store, last)
    for product, one in book.walks.items():
        assert len(carried.walks[product].sessions) > len(early.walks[product].sessions) + 50
        assert same(one, carried.walks[product])
    assert carried.forecast(last).equals(book.forecast(last))


@pytest.mark.parametrize("future", ["cut", "noise"])
def test_no_forecast_hangs_on_what_comes_later(
    config: VolatilityConfig, book: Book, tmp_path: Path, future: str
) -> None:
    other = cut_after(futures(), DAY) if future == "cut" else noise_after(futures(), DAY, 2)
    then = config.model_copy(update={"data": config.data.model_copy(update={"end": DAY.astype(object)})})
    there = futures_store(tmp_path / "store", other)
    early = volatility.walk(then, volatility.prepare(then, there), tmp_path / "scratch", jobs=1)
    for product, one in book.walks.items():
        n = int(np.searchsorted(one.sessions, DAY, "right")) - one.first
        for name, track in one.tracks.items():
            assert np.array_equal(early.walks[product].tracks[name].variance, track.variance[:n])
        assert np.array_equal(early.served[product].best, book.served[product].best[:n])
        assert np.array_equal(early.served[product].combined, book.served[product].combined[:n])
    assert early.forecast(DAY).equals(book.forecast(DAY))


def test_a_row_a_product_and_horizon_with_what_is_served(book: Book) -> None:
    told = book.forecast(DAY)
    assert told.select("product", "horizon").rows() == [(p, h) for p in PRODUCTS for h in (1, 5, 10)]
    assert told["reason"].null_count() == len(told)
    for row in told.iter_rows(named=True):
        one, served = book.walks[row["product"]], book.served[row["product"]]
        at, k = int(np.searchsorted(one.sessions, DAY)) - one.first, (1, 5, 10).index(row["horizon"])
        assert row["sigma_h"] == pytest.approx(math.sqrt(served.best[at, k]), rel=1e-14)
        assert row["sigma"] == pytest.approx(row["sigma_h"] * math.sqrt(242 / row["horizon"]), rel=1e-14)
        assert row["model"] == served.models[served.used[at, k]]
        assert row["es_95"] > row["var_95"] > 0
        assert row["var_99"] > row["var_95"]
        if row["horizon"] == 1:
            assert row["var_99"] == one.tracks[row["model"]].var[at, 1]


def test_margin_and_contracts_follow_from_the_next_session_s_forecast(book: Book) -> None:
    row = book.forecast(DAY).filter(product="IF", horizon=1).row(0, named=True)
    found = book.data.series["IF"].continuous  # type: ignore[union-attr]
    at = int(np.searchsorted(found.sessions, DAY))
    volume = float(found.volume[at - 19 : at + 1].mean())
    position = size(float(found.close[at]), 300.0, row["sigma_h"], row["var_99"], volume, Limits())
    assert (row["margin"], row["leverage"], row["contracts"]) == (
        pytest.approx(position.margin), pytest.approx(position.leverage), position.contracts
    )  # fmt: skip


def test_a_combination_is_of_the_confidence_set(config: VolatilityConfig, book: Book) -> None:
    joined = replace(
        book, config=config.model_copy(update={"choice": config.choice.model_copy(update={"serve": "combination"})})
    )
    for row in joined.forecast(DAY).iter_rows(named=True):
        one, served = book.walks[row["product"]], book.served[row["product"]]
        at, k = int(np.searchsorted(one.sessions, DAY)) - one.first, (1, 5, 10).index(row["horizon"])
        members = served.member[at, :, k]
        assert members.any()
        assert row["model"] == "+".join(n for n, inside in zip(served.models, members, strict=True) if inside)
        logs = np.log(served.variance[at, members, k])
        assert row["sigma_h"] == pytest.approx(math.exp(logs.mean() / 2), rel=1e-12)
        assert row["es_99"] > row["var_99"] > row["var_95"] > 0


def test_what_has_no_forecast_says_why(book: Book) -> None:
    first = next(iter(book.walks.values())).sessions[150]
    for day, why in ((np.datetime64("2025-10-04"), "no return on 2025-10-04: the last one on 2025-09-30"),
                     (first, "too short: 151 returns of 200")):  # fmt: skip
        told = book.forecast(day).filter(product="IF")
        assert told["sigma"].null_count() == 3
        assert set(told["reason"]) == {why}


def test_a_book_that_was_not_carried_on_refuses_to_forecast(book: Book, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="carried on over a store"):
        Book.load(saved(book, tmp_path / "book")).forecast(DAY)


@pytest.mark.parametrize("change", ["gone", "other"])
def test_a_product_whose_history_was_restated_says_so_and_the_others_forecast(
    book: Book, tmp_path: Path, change: str
) -> None:
    loaded, other = Book.load(saved(book, tmp_path / "book")), futures()
    hit = (pl.col("date") == pl.date(2025, 3, 12)) & pl.col("order_book_id").str.starts_with("IF")
    whole = other.bars["Future"]
    close = pl.when(hit).then((pl.col("high") + pl.col("low")) / 2).otherwise("close")
    bars = whole.filter(~hit) if change == "gone" else whole.with_columns(close=close)
    there = futures_store(tmp_path / "store", replace(other, bars={**other.bars, "Future": bars}))
    told = loaded.extend(there, DAY).forecast(DAY)
    assert set(told.filter(product="IF")["reason"]) == {"its history was restated at 2025-03-12: train again"}
    assert told.filter(product="M").equals(book.forecast(DAY).filter(product="M"))


def test_a_product_is_projected_on_other_returns(book: Book, tmp_path: Path) -> None:
    loaded = Book.load(saved(book, tmp_path / "book"))
    series, served = book.data.series["M"], book.served["M"]  # type: ignore[union-attr]
    told = loaded.project("M", series.returns)
    assert told["horizon"].to_list() == [1, 5, 10]
    assert told["model"].to_list() == [served.models[used] for used in served.used[-1]]
    # The filter has run over all returns, not over those of the fit's window alone.
    assert np.allclose(told["sigma_h"], np.sqrt(served.best[-1]), rtol=1e-3)
    with pytest.raises(DataError, match="product XX: it must have a forecast"):
        loaded.project("XX", series.returns)
