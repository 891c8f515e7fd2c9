"""Futures out of a store: which products there are, what is read of them, on made-up bars and on real ones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.chain_check import check_chains
from features.futures import listing, products, read_chain, read_continuous
from features.ingest import ingest
from features.panel import DataError
from features.roles import roles
from features.rolls import hold
from features.sources.batch import Batch
from features.sources.files import files
from features.store import Store
from tests.command_line import Daybar

DAYS = [d for d in pl.date_range(dt.date(2024, 1, 2), dt.date(2024, 3, 29), eager=True) if d.weekday() < 5]
CALENDAR = Batch("reference/calendar", "calendar", pl.DataFrame({"date": DAYS}))


def bars(asset: str, days: list[dt.date] = DAYS, interest: float = 100.0, seed: int = 0) -> pl.DataFrame:
    close = 100 * np.exp(np.cumsum(0.01 * np.random.default_rng(seed).standard_normal(len(days))))
    price = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
    rest = {"settlement": close, "prev_settlement": close, "volume": 10.0, "open_interest": interest}
    return pl.DataFrame({"order_book_id": asset, "date": days, **price}).with_columns(
        *(pl.lit(v).alias(k) if isinstance(v, float) else pl.Series(k, v) for k, v in rest.items())
    )


def series(asset: str, days: list[dt.date] = DAYS) -> pl.DataFrame:
    return bars(asset, days).drop("settlement", "prev_settlement", "open_interest")


def stored(folder: Path, *frames: pl.DataFrame, instruments: pl.DataFrame | None = None) -> Store:
    store = Store(folder)
    more = [] if instruments is None else [Batch("reference/instruments", "instruments", instruments)]
    ingest([CALENDAR, *more, *(Batch("Future", "made up", frame) for frame in frames)], store)
    return store


def test_a_continuous_series_is_taken_without_settlement_and_open_interest(tmp_path):
    store = stored(tmp_path, series("A_MAIN"))
    found = read_continuous(store, "A")
    assert products(store) == ("A",)
    assert len(found) == len(DAYS)
    assert (found.next_contract, found.product) == ("A_MAIN", "A")
    assert "roll jumps are inside" in found.notes[0]
    assert np.isfinite(found.ret[1:]).all()
    assert np.isnan(found.open_interest).all()


@pytest.mark.parametrize(
    "frame", [series("RB2405"), pl.concat([series("RB2405"), series("RB88")])], ids=["one", "mixed"]
)
def test_contracts_still_need_a_settlement(tmp_path, frame):
    with pytest.raises(DataError, match="must have the column settlement"):
        stored(tmp_path, frame)


def test_a_series_beside_contracts_of_its_product_goes_by_its_own_id(tmp_path):
    store = stored(tmp_path, bars("RB2405"), series("RB88"), series("A_MAIN"), series("M888"), series("M889"))
    assert products(store) == ("A", "M888", "M889", "RB", "RB88")
    assert read_continuous(store, "RB").next_contract == "RB2405"
    assert read_continuous(store, "RB88").next_contract == "RB88"
    assert "distorted" in read_continuous(store, "M888").notes[1]
    with pytest.raises(DataError, match="contracts or one continuous series; found M888, M889"):
        read_continuous(store, "M")


def test_a_product_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    store = stored(tmp_path, bars("RB2405"))
    with pytest.raises(DataError, match="one of: RB; found 'RBB'"):
        read_continuous(store, "RBB")
    with pytest.raises(DataError, match="a continuous series alone"):
        read_chain(stored(tmp_path / "other", series("A_MAIN")), "A")


def test_what_is_held_does_not_depend_on_the_start_and_not_on_what_comes_after_the_end(tmp_path):
    store = stored(tmp_path, bars("RB2405", interest=50.0, seed=1), bars("RB2410", DAYS[20:], seed=2))
    whole = read_continuous(store, "RB")
    part = read_continuous(store, "RB", start=DAYS[30], end=DAYS[50])
    assert part.contract.tolist() == whole.contract[30:51].tolist()
    np.testing.assert_array_equal(part.ret, whole.ret[30:51])
    assert whole.rolls["to"].to_list() == ["RB2410"]
    assert (len(part.rolls), part.next_contract) == (0, "RB2410")
    nothing = read_continuous(store, "RB", start=dt.date(2024, 6, 3))
    assert (len(nothing), len(read_continuous(store, "RB", end=dt.date(2023, 6, 1)))) == (0, 0)
    assert "no bars from 2024-06-03" in nothing.notes[0]


def test_an_older_version_of_the_bars_is_read_on_request(tmp_path):
    store = stored(tmp_path, bars("RB2405", DAYS[:10]))
    versions = store.versions(["bars/Future", "reference/instruments"])
    ingest([Batch("Future", "later", bars("RB2405", DAYS[10:], seed=4))], store)
    assert (len(read_continuous(store, "RB", versions=versions)), len(read_continuous(store, "RB"))) == (10, len(DAYS))


def test_terms_come_from_the_instruments_before_the_code(tmp_path):
    told = pl.DataFrame(
        {
            "order_book_id": ["RB2405", "RB2410"],
            "type": ["Future", "Future"],
            "underlying_symbol": ["RB", "RB"],
            "listed_date": [dt.date(2023, 5, 16), dt.date(2023, 10, 17)],
            "maturity_date": [dt.date(2024, 5, 10), None],
            "contract_multiplier": [11.0, None],
        }
    )
    store = stored(tmp_path, bars("RB2405"), instruments=told)
    own = read_chain(store, "RB").contracts
    assert own.ids.tolist() == ["RB2405", "RB2410"]
    assert own.last_day.astype(str).tolist() == ["2024-05-10", "2024-10-15"]
    assert own.multiplier.tolist() == [11.0, 10.0]
    assert own.mismatched.tolist() == [True, False]


def test_a_store_without_instruments_and_calendar_is_read_by_the_codes(tmp_path):
    store = Store(tmp_path)
    ingest([Batch("Future", "made up", bars("RB2405", [d for d in DAYS if d < dt.date(2024, 2, 9)]))], store)
    found = read_chain(store, "RB")
    assert str(found.contracts.last_day[0]) == "2024-05-15"
    assert listing(store).rows["product"].to_list() == ["RB"]


def test_last_days_after_the_stored_calendar_follow_what_the_exchange_has_published(tmp_path):
    """The stored calendar ends in March 2024; the exchange has published all of the year, and some of the next ones."""
    told = pl.DataFrame(
        {
            "order_book_id": ["IF2405", "IF2406"],
            "type": "Future",
            "underlying_symbol": "IF",
            "maturity_date": [dt.date(2024, 5, 17), dt.date(2024, 6, 20)],
        }
    )
    store = stored(tmp_path, bars("IF2405"), bars("IF2406", seed=1), instruments=told)
    known = listing(store).calendar
    assert not known.contains("2024-05-01")  # Labour Day, a Wednesday
    own = read_chain(store, "IF").contracts
    assert own.mismatched.tolist() == [False, True]  # IF2406 ends on the 21st
    assert not own.provisional.any()


def test_last_days_past_the_published_holidays_are_provisional_and_contradicted_by_nobody(tmp_path):
    told = pl.DataFrame(
        {
            "order_book_id": ["IF2405", "IF8912"],
            "type": "Future",
            "underlying_symbol": "IF",
            "maturity_date": [dt.date(2024, 5, 17), dt.date(2089, 12, 14)],
        }
    )
    store = stored(tmp_path, bars("IF2405"), bars("IF8912", seed=1), instruments=told)
    known = listing(store).calendar
    assert not known.contains("2025-10-01")  # National Day, a Wednesday of the year after the last bar
    assert known.published >= np.datetime64("2025-12-31")
    own = read_chain(store, "IF").contracts
    assert own.mismatched.tolist() == [False, False]
    assert own.provisional.tolist() == [False, True]


def test_every_product_has_a_line_and_rolls_are_shown_of_those_named(tmp_path):
    store = stored(tmp_path, bars("RB2405", interest=50.0), bars("RB2410", DAYS[20:]), series("A_MAIN"))
    report = check_chains(store)
    assert report.products["product"].to_list() == ["A", "RB"]
    assert report.products["contracts"].to_list() == [0, 2]
    assert report.products["rolls"].to_list() == [0, 1]
    assert report.products["by"].to_list() == ["", "oi 1"]
    assert (report.rolls, list(report.notes)) == ({}, ["A", "RB"])
    one = check_chains(store, ("RB",))
    assert one.rolls["RB"]["to"].to_list() == ["RB2410"]


def test_the_command_prints_products_rolls_and_warnings(tmp_path, daybar: Daybar):
    stored(tmp_path / "store", bars("RB2405", interest=50.0), bars("RB2410", DAYS[20:]), series("A_MAIN"))
    whole = daybar("check", "chains", "--home", tmp_path)
    assert whole.code == 0
    assert "note: A: A_MAIN is spliced by its vendor" in whole.out
    one = daybar("check", "chains", "--product", "RB", "--home", tmp_path)
    assert "Rolls of RB" in one.out
    assert "RB2405  RB2410" in one.out
    assert daybar("check", "chains", "--product", "XX", "--home", tmp_path).code == 2


@pytest.fixture(scope="module")
def real(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The real futures."""
    store = Store(tmp_path_factory.mktemp("futures"))
    ingest(files(market, "Future"), store)
    return store


@pytest.mark.real
class TestRealFutures:
    @pytest.mark.parametrize(
        ("product", "contracts", "rolls", "missing"),
        [
            *[("IF", 156, 152, 0), ("IC", 96, 92, 0), ("IH", 94, 90, 42), ("IM", 9, 5, 0)],
            *[("T", 15, 12, 0), ("TF", 15, 12, 0), ("TS", 15, 12, 0), ("RB", 120, 27, 0)],
        ],
    )
    def test_rolls_and_returns_are_counted(self, real, product, contracts, rolls, missing):
        found = read_continuous(real, product)
        assert len(read_chain(real, product).contracts) == contracts
        assert len(found.rolls) == rolls
        # The first session holds nothing; before 2019 IH is the main contract only, without its last trading day.
        assert np.isnan(found.ret).sum() == missing + 1
        assert (found.span[np.isfinite(found.ret)] == 1).all()

    @pytest.mark.parametrize("product", ["IF", "IC", "IH", "IM", "T", "TF", "TS", "RB"])
    def test_no_return_has_two_contracts_in_it(self, real, product):
        """Closes of the contract named, out of the long bars and not out of the panels."""
        found = read_continuous(real, product)
        rows = real.scan("bars/Future").select("date", "order_book_id", "close", "volume").collect()
        close = {(d, a): c for d, a, c, v in rows.iter_rows() if v > 0}
        days = found.sessions.astype(object)
        for t in np.flatnonzero(np.isfinite(found.ret)):
            asset = str(found.contract[t])
            expected = np.log(close[days[t], asset] / close[days[t - 1], asset])
            assert found.ret[t] == pytest.approx(expected, rel=1e-12, abs=1e-15)

    def test_rolls_of_rebar_go_through_january_may_and_october(self, real):
        months = [code[-2:] for code in read_continuous(real, "RB").rolls["to"]]
        assert months[:6] == ["10", "01", "05", "10", "01", "05"]
        assert set(months) == {"01", "05", "10"}

    def test_index_futures_hold_the_month_at_hand_or_the_next(self, real):
        chain = read_chain(real, "IF")
        found = hold(chain)
        month = chain.contracts.month[found.held[1:]]
        assert ((month - chain.front[1:]).astype(int) <= 1).all()
        assert (chain.sessions_left()[np.arange(1, len(found.held)), found.held[1:]] >= 1).all()

    def test_the_four_names_of_index_futures_are_given_on_every_session(self, real):
        chain = read_chain(real, "IF")
        found = roles(chain, hold(chain))
        for name in ("next", "q1", "q2"):
            assert (found[name][:-1] >= 0).all()
        last_days = (found["current"][:-1] < 0).sum()
        assert last_days == (chain.contracts.last_day <= chain.sessions[-1]).sum()

    def test_in_july_2015_the_month_at_hand_is_held(self, real):
        found = read_continuous(real, "IF")
        t = int(np.searchsorted(found.sessions, np.datetime64("2015-07-08")))
        assert found.contract[t] == "IF1507"
        assert found.ret[t] < -0.05

    def test_treasuries_roll_by_the_date_and_say_so(self, real):
        found = read_continuous(real, "T")
        assert set(found.rolls["reason"]) == {"no_open_interest"}
        assert set(found.rolls["sessions_left"]) == {15}
        assert any("no open interest on 728 of 728 sessions" in note for note in found.notes)

    def test_maturities_of_rebar_are_settled(self, real):
        own = read_chain(real, "RB").contracts
        assert own.ids[own.mismatched].tolist() == ["RB1002", "RB1201", "RB1502", "RB1802"]
        assert str(own.last_day[own.ids == "RB1201"][0]) == "2012-01-16"
        assert str(own.last_day[own.ids == "RB1912"][0]) == "2019-12-16"

    def test_settlements_move_less_than_closes_by_what_is_averaged(self, real):
        """A quarter of the session for IF (.917), the whole of it for RB (.667), each within one contract."""
        for product, low, high in (("IF", 0.85, 0.97), ("RB", 0.55, 0.85)):
            chain = read_chain(real, product)
            held = hold(chain).held[1:-1]
            at = np.flatnonzero(held >= 0) + 1
            step = {n: np.diff(np.log(chain[n]), axis=0)[at - 1, held[at - 1]] for n in ("settlement", "close")}
            both = np.isfinite(step["settlement"]) & np.isfinite(step["close"])
            assert low < step["settlement"][both].var() / step["close"][both].var() < high

    def test_a_continuous_folder_is_ingested_as_it_is(self, market, tmp_path):
        store = Store(tmp_path)
        report = ingest(files(market.parent / "continuous", "Future"), store)
        assert report.quarantined < 0.002 * report.rows
        assert len(products(store)) == 46
        found = read_continuous(store, "CU")
        assert found.contract[0] == "CU_MAIN"
        assert np.isfinite(found.ret).sum() > 3600
        assert found.multiplier == 5.0
