"""What a term-structure book says of a session: filtered by what was known, the same alone and among others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.panel import DataError
from features.store import Store
from models.spread.term_curve import Curve
from tests.futures_market import futures_store
from tests.training.small_term import PRODUCTS, small_term
from training.manifest import Manifest
from training.tasks import term_structure
from training.term_book import TermBook
from training.term_config import TermConfig
from training.term_data import TermData, clock, gather
from training.term_fit import TermProduct
from training.term_states import TermStates, Track


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return futures_store(tmp_path_factory.mktemp("home") / "store")


@pytest.fixture(scope="module")
def config() -> TermConfig:
    return small_term(curves={"every": "week"})


@pytest.fixture(scope="module")
def data(config: TermConfig, store: Store) -> TermData:
    return gather(config, store)


@pytest.fixture(scope="module")
def found(config: TermConfig, data: TermData) -> dict[str, TermProduct]:
    return term_structure.fit(config, data)


@pytest.fixture(scope="module")
def book(config: TermConfig, data: TermData, found: dict[str, TermProduct]) -> TermStates:
    return TermStates(config, term_structure.book(data, found))


@pytest.fixture(scope="module")
def days(data: TermData) -> np.ndarray:
    """The last 30 sessions, all of them of the holdout."""
    return data.series["SC"].sessions[-30:]


@pytest.fixture(scope="module")
def extended(book: TermStates, store: Store, days: np.ndarray) -> TermStates:
    return book.extend(store, days[-1])


def of(rows: pl.DataFrame, product: str) -> dict[str, float]:
    return rows.row(by_predicate=pl.col("asset") == product, named=True)


def test_a_session_is_told_the_same_whatever_else_is_asked(book, store, extended, days):
    for day in days[[0, 3, 11, 12, 13, 14, 15, 29]]:
        alone = book.extend(store, day).forecast(day)
        assert alone["chi"].count() == len(PRODUCTS)
        assert_frame_equal(alone, extended.forecast(day), check_exact=True)


def test_no_session_needs_its_future(book, store, extended, days, tmp_path):
    for at in (12, 14):
        past = Store(tmp_path / f"past{at}")
        for table in store.tables():
            rows, keys = store.scan(table).collect(), ("order_book_id",) if table == "reference/instruments" else None
            if table.startswith("bars/"):
                past.upsert(table, rows.filter(pl.col("date") <= days[at]))
            elif table in ("reference/calendar", "reference/instruments"):
                past.upsert(table, rows, keys=keys or ("date",))
            elif table == "reference/rates":
                past.upsert(table, rows, keys=("date", "curve", "tenor"))
        assert_frame_equal(
            book.extend(past, days[at]).forecast(days[at]), extended.forecast(days[at]), check_exact=True
        )


def test_the_last_session_of_a_week_is_what_the_training_made_of_it(extended, found, days):
    checked = 0
    for product, one in found.items():
        for row, day in enumerate(one.series.dates):
            if day < days[0]:
                continue
            told = of(extended.forecast(day), product)
            assert told["chi"] == one.model.seen.chi[row]
            assert told["xi_se"] == one.model.seen.covariance[row, 2] ** 0.5
            expected = one.model.fitted.convenience_yield(one.model.seen.chi, one.series.rate[one.series.row])[row]
            assert told["convenience_yield"] == pytest.approx(expected, rel=1e-12)
            checked += 1
    assert checked >= 10


def test_a_session_within_a_week_follows_the_weeks_before_alone(extended, data, found, days):
    series, fitted = data.series["SC"], found["SC"].model.fitted
    inside = 0
    for day in days:
        t = int(np.searchsorted(series.sessions, day))
        monday = day - (day.astype(np.int64) + 3) % 7
        ends = [row for row in series.row if series.sessions[row] < monday]
        own = [*ends, t]
        curve = Curve(clock(series.sessions[own]), series.price[own], series.years[own])
        seen = fitted.filter(curve)
        rows = extended.forecast(day)
        assert of(rows, "SC")["chi"] == pytest.approx(seen.chi[-1], rel=1e-12)
        contracts = rows.filter(pl.col("product") == "SC", pl.col("asset") != "SC")
        measured = np.flatnonzero(np.isfinite(seen.residual[-1]))
        assert contracts["asset"].to_list() == [series.contracts[i] for i in measured]
        assert contracts["z"].to_list() == pytest.approx(seen.z[-1, measured].tolist(), rel=1e-9)
        inside += t not in series.row
    assert inside > 20


def test_every_session_may_be_the_grid(store, days):
    config = small_term(curves={"every": "session"})
    data = gather(config, store)
    found = term_structure.fit(config, data)
    states = TermStates(config, term_structure.book(data, found)).extend(store, days[-1])
    seen = found["SC"].model.seen
    told = [of(states.forecast(day), "SC")["chi"] for day in days]
    assert told == seen.chi[-30:].tolist()


def test_a_contract_is_told_with_its_month_and_how_far_it_stands_from_the_model(extended, found, days):
    rows = extended.forecast(days[-1])
    contracts = rows.filter(pl.col("asset") != pl.col("product"))
    assert len(contracts) >= 8
    assert contracts["month"].to_list() == [200000 + int(asset[-4:]) for asset in contracts["asset"]]
    away = (contracts["quoted"] / contracts["model_price"]).log()
    assert away.to_list() == pytest.approx(contracts["residual"].to_list(), abs=1e-12)
    for product, one in found.items():
        told = of(rows, product)
        fitted = one.model.fitted
        kappa, sigma_chi, premium, _, sigma_xi, rho, drift = fitted.theta
        assert told["model_price"] == pytest.approx(np.exp(told["chi"] + told["xi"]))
        variance = sigma_chi**2 + sigma_xi**2 + 2 * rho * sigma_chi * sigma_xi
        expected = kappa * told["chi"] + premium + one.series.rate[-1] - drift - variance / 2
        assert told["convenience_yield"] == pytest.approx(expected, rel=1e-12)


def reasons(states: TermStates, day: np.datetime64) -> dict[str, str | None]:
    rows = states.forecast(day)
    assert rows.filter(pl.col("reason").is_not_null())["model_price"].null_count() == rows["reason"].count()
    return dict(rows.filter(pl.col("asset") == pl.col("product")).select("product", "reason").rows())


def test_a_session_that_the_fit_has_learnt_from_has_a_reason(extended, book, found):
    series = found["SC"].series
    last = np.datetime64(book.book.learnt["SC"])
    assert last == series.dates[~found["SC"].model.holdout][-1]
    assert reasons(extended, last)["SC"] == f"the fit has learnt from curves up to {last}"
    after = series.sessions[series.sessions > last][0]
    assert reasons(extended, after)["SC"] is None
    old = replace(extended, book=replace(book.book, learnt={}))
    assert reasons(old, after)["SC"] == "the model does not say what it has learnt from: train it again"


def test_what_is_not_there_has_a_reason(book, store, days):
    fits = {**book.book.fits, "XX": book.book.fits["SC"]}
    learnt = {**book.book.learnt, "XX": book.book.learnt["SC"]}
    odd = replace(book, book=TermBook(fits, {"AG": "no curve"}, learnt)).extend(store, days[-1])
    assert odd.products == (*PRODUCTS, "XX", "AG")
    told = reasons(odd, days[-1])
    assert (told["XX"], told["AG"]) == ("the store holds none of its contracts", "no curve")
    sunday = days[-1] + 4
    assert reasons(odd, sunday)["SC"] == f"no contract is liquid on {sunday}"


def test_a_fit_that_did_not_settle_tells_no_states(book, store, days):
    lost = {**book.book.fits, "SC": replace(book.book.fits["SC"], converged=False)}
    odd = replace(book, book=replace(book.book, fits=lost)).extend(store, days[-1])
    told = odd.forecast(days[-1])
    assert reasons(odd, days[-1])["SC"].startswith("the search did not settle")
    assert len(told.filter(pl.col("product") == "SC")) == 1  # and of no contract of it


def test_a_price_without_a_log_ends_the_states_and_not_those_before(extended, found, days):
    series, fitted = extended.tracks["SC"].series, found["SC"].model.fitted
    end = int(series.row[-4])
    price = series.price.copy()
    price[end, np.flatnonzero(np.isfinite(price[end]))[2]] = -1.0
    broken = replace(series, price=price, curve=replace(series.curve, price=price[series.row]))
    states = replace(extended, tracks={**extended.tracks, "SC": Track.of(fitted, broken)})
    for day in series.sessions[end - 4 : end]:
        assert of(states.forecast(day), "SC")["chi"] == of(extended.forecast(day), "SC")["chi"]
    for day in series.sessions[end:]:
        told = reasons(states, day)
        assert "positive" in str(told["SC"])
        assert told["IF"] is None


def test_it_is_read_back_from_its_folder_and_asked_only_over_a_store(book, config, store, extended, days, tmp_path):
    book.book.save(tmp_path)
    told = Manifest("term_structure", "Future", {}, config.dump(), "term_structure", config.hash, {}, ("a", "b"))
    told.save(tmp_path)
    loaded = TermStates.load(tmp_path)
    with pytest.raises(DataError, match="it must be carried on over a store first"):
        loaded.forecast(days[-1])
    assert_frame_equal(loaded.extend(store, days[-1]).forecast(days[-1]), extended.forecast(days[-1]), check_exact=True)
    replace(told, task="spread").save(tmp_path)
    with pytest.raises(DataError, match="of the task term_structure"):
        TermStates.load(tmp_path)
