"""Curves out of the store, and what is made of a product: nothing of the future, numbers that a hand finds again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from features.panel import ConfigError, DataError
from features.store import Store
from tests.futures_market import futures, futures_store
from tests.simulated_market import cut_after, noise_after
from tests.training.small_term import small_term
from training.tasks import term_structure
from training.term_book import TermBook
from training.term_data import TermData, clock, gather
from training.term_fit import TermProduct, analysed, cut_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return futures_store(tmp_path_factory.mktemp("term"))


@pytest.fixture(scope="module")
def data(store: Store) -> TermData:
    return gather(small_term(), store)


@pytest.fixture(scope="module")
def found(data: TermData) -> dict[str, TermProduct]:
    return term_structure.fit(small_term(), data)


def test_the_curve_of_simulated_oil_is_found_again(found):
    """Source  spec 11 §9 a; closes, as a settlement is an average over the session"""
    fitted = found["SC"].model.fitted
    assert fitted.converged
    assert fitted.factors == 2
    for name, true in (("kappa", 1.5), ("sigma_chi", 0.28), ("sigma_xi", 0.15), ("rho", 0.3)):
        assert abs(fitted.params[name] - true) < 3 * fitted.errors[name], name
    truth = futures().truth["truth_states"].filter(pl.col("object") == "SC")
    seen = found["SC"].model.seen
    for name, values in (("chi", seen.chi), ("xi", seen.xi)):
        own = truth.filter(pl.col("name") == name).sort("date")
        days = own["date"].to_numpy().astype("datetime64[D]")
        true = own["value"].to_numpy()[np.searchsorted(days, found["SC"].series.dates)]
        assert np.corrcoef(true, values)[0, 1] > 0.97, name


def test_the_holdout_is_priced_as_well_as_what_the_fit_has_seen(found):
    inside, outside = (found["SC"].model.errors(part) for part in (False, True))
    assert outside[0] == pytest.approx(inside[0], rel=0.15)
    assert outside[1] == pytest.approx(1.0, abs=0.1)
    assert found["SC"].model.holdout.sum() == np.ceil(0.2 * len(found["SC"].series.row))


def test_no_price_of_the_holdout_moves_the_fit_nor_what_was_told_before(data, found, tmp_path):
    config = small_term()
    dates = data.series["SC"].dates
    last = dates[cut_of(config, len(dates)) - 1]
    other = futures_store(tmp_path, noise_after(futures(), last, 5))
    series = gather(config, other).series["SC"]
    again = config.spec.fit(series.curve.part(0, cut_of(config, len(dates))))
    assert again.describe() == found["SC"].model.fitted.describe()
    upto = series.sessions <= last
    changed = analysed(config, series)
    for name in ("delta", "interest_z", "delay"):
        then, now = (getattr(one.yields, name) for one in (found["SC"], changed))
        assert np.array_equal(then[: upto.sum()], now[: upto.sum()], equal_nan=True), name
    assert not np.array_equal(found["SC"].yields.delta, changed.yields.delta, equal_nan=True)


def test_what_was_known_on_an_evening_gives_the_same_curves(data, tmp_path):
    sessions = data.series["IF"].sessions
    day = sessions[300]
    cut = gather(small_term(), futures_store(tmp_path, cut_after(futures(), day)))
    for product, whole in data.series.items():
        short = cut.series[product]
        n, names = len(short.sessions), short.contracts
        assert short.sessions[-1] == day
        there = [whole.contracts.index(name) for name in names]  # one that is listed later may mature earlier
        for name in ("price", "years"):
            assert np.array_equal(getattr(short, name), getattr(whole, name)[:n, there], equal_nan=True)
        for name in ("close_next", "open_interest"):
            assert np.array_equal(short.panels[name], whole.panels[name][:n], equal_nan=True)
        assert np.array_equal(short.spot, whole.spot[:n], equal_nan=True)


def test_a_week_is_told_by_its_last_session(store, data):
    weekly = gather(small_term(curves={"every": "week"}), store).series["SC"]
    days = weekly.dates.astype(object)
    every = data.series["SC"].sessions.astype(object)
    weeks = {}
    for day in every:
        weeks[day.isocalendar()[:2]] = day
    assert list(days) == list(weeks.values())


def test_a_basis_and_yields_are_those_of_a_hand(store, found):
    """From the bars themselves, on a session in the middle."""
    bars = store.scan("bars/Future").collect()
    index = store.scan("bars/INDX").filter(pl.col("order_book_id") == "000300.XSHG").collect()
    one = found["IF"]
    t = 200
    day = one.series.sessions[t]
    name = one.series.contracts[one.yields.far[t]]
    future = bars.filter(pl.col("order_book_id") == name, pl.col("date") == day.astype(object))["close"][0]
    spot = index.filter(pl.col("date") == day.astype(object))["close"][0]
    left = (one.series.chain.contracts.last_day[one.yields.far[t]] - day).astype(int) / 365
    assert 20 / 365 < left < 75 / 365
    assert one.basis[t] == pytest.approx(future / spot - 1, abs=1e-14)
    assert one.yields.delta[t] == pytest.approx(one.series.rate[t] - np.log(future / spot) / left, abs=1e-12)
    oil = found["SC"]
    near, far = oil.yields.near[t], oil.yields.far[t]
    assert near < far
    assert not np.isfinite(oil.series.price[t, :near]).any()
    own = [
        bars.filter(pl.col("order_book_id") == oil.series.contracts[i], pl.col("date") == day.astype(object))
        for i in (near, far)
    ]
    gap = (oil.series.chain.contracts.last_day[far] - oil.series.chain.contracts.last_day[near]).astype(int) / 365
    slope = np.log(own[1]["close"][0] / own[0]["close"][0]) / gap
    assert oil.yields.delta[t] == pytest.approx(oil.series.rate[t] - slope, abs=1e-12)


def test_the_rank_of_the_basis_is_its_place_among_the_last_250(found):
    one = found["IF"]
    t = len(one.basis) - 1
    known = one.basis[t - 249 :]
    place = np.mean(known < known[-1]) + 0.5 * np.mean(known == known[-1])
    assert one.rank[t] == pytest.approx(place, abs=0.01)


def test_rolls_are_those_of_the_rule_and_each_year_rests_on_those_before(found):
    table = found["IF"].rolls
    held = found["IF"].series.holding.held[:-1]
    changes = np.flatnonzero((held[1:] != held[:-1]) & (held[:-1] >= 0))
    ends = found["IF"].series.chain.ends[held[changes]]
    over = ends < len(held)
    assert (ends - changes)[over].tolist() == table.rolls.default.tolist()
    assert table.walked is not None
    assert len(table.walked.roll) < len(table.rolls)


def test_a_product_without_a_tick_has_no_rolls_and_says_so(data):
    config = small_term()
    series = data.series["SC"]
    unknown = replace(series, chain=replace(series.chain, contracts=replace(series.chain.contracts, product="XX")))
    told = analysed(config, replace(unknown, product="XX"))
    assert told.rolls is None
    assert "rolls.ticks" in told.absent["rolls"]


def test_too_few_dates_give_no_model_and_a_reason(store):
    data = gather(small_term(data={"start": date(2025, 12, 1)}), store)
    one = analysed(small_term(), data.series["SC"])
    assert one.model is None
    assert "30 dates" in one.absent["term"]
    assert term_structure.book(data, {"SC": one}).empty == {"SC": one.absent["term"]}


def test_a_product_that_no_contract_of_is_liquid_is_left_out(store):
    strict = small_term(curves={"volume": 1e12})
    assert "no contract is liquid" in gather(strict, store).empty["SC"]
    with pytest.raises(DataError, match="some product must have a curve"):
        term_structure.prepare(strict, store)
    with pytest.raises(ConfigError, match="the store must hold its contracts"):
        gather(small_term(data={"products": ("ZZ",)}), store)


@pytest.mark.parametrize(
    ("sections", "must"),
    [
        ({"params": {"factors": 3}}, "params"),
        ({"params": {"contracts": 0}}, "contracts and years must be positive"),
        ({"rolls": {"ticks": {"IF": 0.0}}}, "rolls.ticks"),
        ({"curves": {"every": "day"}}, "curves.every"),
        ({"data": {"start": date(2025, 2, 3), "end": date(2025, 2, 3)}}, "the start must lie before the end"),
    ],
)
def test_a_setting_that_is_wrong_is_refused(sections, must):
    with pytest.raises(ValidationError, match=must):
        small_term(**sections)


@pytest.fixture(scope="module")
def book(data, found, tmp_path_factory) -> TermBook:
    folder: Path = tmp_path_factory.mktemp("book")
    term_structure.book(data, found).save(folder)
    return TermBook.load(folder)


def rows(series, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t, at = np.nonzero(np.isfinite(series.curve.price[first:last]))
    return series.dates[first:last][t], series.curve.price[first + t, at], series.curve.years[first + t, at]


def test_a_book_read_back_prices_what_was_judged(data, found, book):
    series, seen = data.series["SC"], found["SC"].model.seen
    told = book.priced("SC", *rows(series, 0, len(series.row)))
    t, at = np.nonzero(np.isfinite(series.curve.price))
    assert np.array_equal(told["residual"].to_numpy(), seen.residual[t, at], equal_nan=True)
    assert np.array_equal(told["xi"].to_numpy(), seen.xi[t])
    residual = np.log(series.curve.price[t, at] / told["model"].to_numpy())
    near = np.isfinite(seen.residual[t, at])
    assert np.allclose(residual[near], seen.residual[t, at][near], atol=1e-12)


def test_a_book_carried_on_says_what_a_filter_at_once_says(data, found, book):
    series, model = data.series["SC"], found["SC"].model
    part = series.curve.part(0, 300)
    early = TermBook({"SC": replace(model.fitted, state=model.fitted.filter(part).state)}, {})
    days, price, years = rows(series, 300, len(series.row))
    shuffled = np.random.default_rng(1).permutation(len(days))
    told = early.priced("SC", days[shuffled], price[shuffled], years[shuffled])
    whole = book.priced("SC", *rows(series, 0, len(series.row)))[-len(days) :]
    for name in ("chi", "xi", "residual", "z", "model"):
        assert np.allclose(told[name], whole[name].to_numpy()[shuffled], atol=1e-12, equal_nan=True), name


def test_what_a_book_cannot_price_is_refused(book, tmp_path):
    day = np.array(["2030-01-02"] * 2, dtype="datetime64[D]")
    with pytest.raises(DataError, match="must have a model of XX"):
        book.priced("XX", day, np.array([1.0, 2.0]), np.array([0.1, 0.2]))
    with pytest.raises(DataError, match="must have one price a date"):
        book.priced("SC", day, np.array([1.0, 2.0]), np.array([0.1, 0.1]))
    with pytest.raises(DataError, match=r"must hold term_structure\.json"):
        TermBook.load(tmp_path)


def test_a_clock_counts_weekdays():
    days = np.array(["2026-01-02", "2026-01-05", "2026-01-06", "2027-01-05"], dtype="datetime64[D]")
    friday, monday, tuesday, next_year = clock(days)
    assert monday - friday == pytest.approx(tuesday - monday)
    assert next_year - monday == pytest.approx(1.0, abs=0.01)
    whole = clock(np.array(["1970-01-01", "2018-01-01"], dtype="datetime64[D]"))
    assert whole[1] - whole[0] == pytest.approx(48.0, abs=0.01)


def test_a_reader_is_told_what_one_factor_means_and_how_the_holdout_was_priced(data):
    config = small_term(params={"factors": 1})
    one = analysed(config, data.series["SC"])
    told = term_structure.curve_of(config, one).term
    assert told.model == "one factor (Schwartz 1997)"
    assert "In one factor the level is constant: xi is its estimate." in told.notes
    begins = one.series.dates[one.model.holdout][0]
    assert any(note.startswith(f"The fit ends before {begins}") for note in told.notes)
    assert set(told.params) == {"kappa", "sigma_chi", "lambda_chi", "noise"}
