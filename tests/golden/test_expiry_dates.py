"""Expiries, chains and rebalancing days against worked dates. Source  10 §1, spec IDX-04."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.expiries import contract_months, expiry, settle_expiry
from features.rebalancing import is_rebalance_day
from features.sessions import Calendar, exchange_calendar, third_friday

INDEX_PRODUCTS = ("IF", "IH", "IC", "IM", "IO", "HO", "MO")
TREASURY_PRODUCTS = ("TS", "TF", "T", "TL")


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return exchange_calendar("2010-01-01", "2026-12-31")


@pytest.mark.parametrize(
    ("third", "postponed"),
    [
        ("2013-02-15", "2013-02-18"),
        ("2013-09-20", "2013-09-23"),
        ("2015-02-20", "2015-02-25"),
        ("2016-09-16", "2016-09-19"),
        ("2018-02-16", "2018-02-22"),
        ("2024-02-16", "2024-02-19"),
        ("2026-02-20", "2026-02-24"),
        ("2026-06-19", "2026-06-22"),
        ("2025-12-19", "2025-12-19"),
        ("2026-01-16", "2026-01-16"),
        ("2026-03-20", "2026-03-20"),
    ],
)
def test_index_futures_and_options_expire_on_the_third_friday_or_the_session_after(third, postponed, calendar):
    year, month = int(third[:4]), int(third[5:7])
    assert third_friday(year, month) == np.datetime64(third)
    for product in INDEX_PRODUCTS:
        assert expiry(product, year, month, calendar) == np.datetime64(postponed)


@pytest.mark.parametrize(("year", "month", "last"), [(2016, 6, "2016-06-13"), (2019, 9, "2019-09-16")])
def test_treasury_futures_expire_on_the_second_friday_or_the_session_after(year, month, last, calendar):
    for product in TREASURY_PRODUCTS:
        assert expiry(product, year, month, calendar) == np.datetime64(last)


@pytest.mark.parametrize(
    ("year", "month", "last"),
    [(2023, 1, "2023-01-30"), (2025, 12, "2025-12-24"), (2026, 1, "2026-01-28"), (2026, 3, "2026-03-25")],
)
def test_etf_options_expire_on_the_fourth_wednesday_or_the_session_after(year, month, last, calendar):
    for fund in ("510050.XSHG", "510300.XSHG", "159915.XSHE", "588000"):
        assert expiry(fund, year, month, calendar) == np.datetime64(last)


@pytest.mark.parametrize(
    ("product", "year", "month", "last"),
    [
        ("RB", 2012, 1, "2012-01-16"),  # 10 §1: its last bar is of 01-13
        ("CU", 2024, 6, "2024-06-17"),  # the 15th is a Saturday
        ("FU", 2024, 3, "2024-02-29"),  # the last session of the month before
        ("SC", 2024, 11, "2024-10-31"),
        ("M", 2024, 5, "2024-05-17"),  # the 10th session, after a holiday to the 5th
        ("SR", 2024, 10, "2024-10-21"),  # the 10th session, after a holiday to the 7th
        ("LH", 2024, 1, "2024-01-26"),  # the 4th session from the end
        ("WH", 2024, 1, "2024-01-23"),  # the 7th session from the end
    ],
)
def test_commodities_expire_by_the_rule_of_their_exchange(product, year, month, last, calendar):
    assert expiry(product, year, month, calendar) == np.datetime64(last)


@pytest.mark.parametrize(
    ("product", "year", "month", "vendor", "used", "mismatch"),
    [
        ("IH", 2016, 9, "2016-09-16", "2016-09-19", False),  # a vendor's date on a holiday is itself postponed
        ("IH", 2018, 2, "2018-02-16", "2018-02-22", False),
        ("T", 2019, 9, "2019-09-16", "2019-09-16", False),
        ("IF", 2024, 5, "2024-05-16", "2024-05-16", True),  # the vendor prevails, and is told of
        ("IF", 2024, 5, None, "2024-05-17", False),
        ("XX", 2024, 5, "2024-05-16", "2024-05-16", False),  # no rule to compare with
    ],
)
def test_the_vendors_expiry_prevails_over_the_rule(product, year, month, vendor, used, mismatch, calendar):
    assert settle_expiry(vendor, product, year, month, calendar) == (np.datetime64(used), mismatch)


def test_a_rule_past_the_published_holidays_contradicts_nobody(calendar):
    """The third Friday of February 2024 is a holiday that a calendar which ends in 2023 does not know."""
    known = calendar.between(calendar.first_day, "2023-12-29")
    short = Calendar(known).extended("2024-06-30")
    assert expiry("IF", 2024, 2, short) == np.datetime64("2024-02-16")
    assert settle_expiry("2024-02-19", "IF", 2024, 2, short) == (np.datetime64("2024-02-19"), False)
    assert settle_expiry("2023-12-18", "IF", 2023, 12, short) == (np.datetime64("2023-12-18"), True)


@pytest.mark.parametrize(
    ("product", "day", "months"),
    [
        ("IF", "2025-12-31", "2601 2602 2603 2606"),
        ("T", "2025-12-31", "2603 2606 2609"),
        ("510300.XSHG", "2025-12-31", "2601 2602 2603 2606"),
        ("IO", "2025-12-31", "2601 2602 2603 2606 2609 2612"),
        ("IF", "2025-12-19", "2512 2601 2603 2606"),  # on the last trading day the old chain still stands
        ("IF", "2025-12-22", "2601 2602 2603 2606"),
        ("IF", "2010-04-16", "1005 1006 1009 1012"),  # launches: no contract of their own month
        ("IH", "2015-04-16", "1505 1506 1509 1512"),
        ("IC", "2015-04-16", "1505 1506 1509 1512"),
        ("IF", "2010-04-15", ""),
    ],
)
def test_chains_list_the_months_that_the_exchange_lists(product, day, months, calendar):
    chain = " ".join(f"{year % 100:02d}{month:02d}" for year, month in contract_months(product, day, calendar))
    assert chain == months


@pytest.mark.parametrize(
    ("family", "year", "days"),
    [
        ("CSI", 2023, ["2023-06-09", "2023-12-08"]),
        ("CSI", 2016, ["2016-06-08", "2016-12-09"]),  # Friday 2016-06-10 was a holiday, Thursday too
        ("MSCI", 2024, ["2024-02-29", "2024-05-31", "2024-08-30", "2024-11-29"]),
        ("FTSE", 2024, ["2024-03-15", "2024-06-21", "2024-09-20", "2024-12-20"]),
        ("FTSE", 2026, ["2026-03-20", "2026-06-18", "2026-09-18", "2026-12-18"]),  # 2026-06-19 is a holiday
    ],
)
def test_indices_rebalance_on_the_last_session_before_the_effective_day(family, year, days, calendar):
    sessions = calendar.between(f"{year}-01-01", f"{year}-12-31")
    found = sessions[is_rebalance_day(family, sessions, calendar)]
    assert [str(day) for day in found] == days


@pytest.mark.real
def test_the_packages_sessions_are_those_of_the_market(market: Path):
    sessions = pl.read_parquet(market / "reference" / "calendar.parquet")["date"].to_numpy().astype("datetime64[D]")
    package = exchange_calendar(sessions[0], sessions[-1])
    assert np.array_equal(package.sessions, sessions)


@pytest.mark.real
def test_vendors_maturities_agree_with_the_rules(market: Path, calendar: Calendar):
    listed = pl.read_parquet(market / "reference" / "instruments.parquet").filter(
        pl.col("maturity_date").is_not_null(), pl.col("underlying_symbol").fill_null("") != "RB"
    )
    wrong = []
    for code, symbol, fund, maturity in listed.select(
        "order_book_id", "underlying_symbol", "underlying_order_book_id", pl.col("maturity_date").dt.date()
    ).iter_rows():
        # A treasury or index contract may be dated by its holiday, never by another month than its own.
        _, mismatch = settle_expiry(maturity, symbol or fund, maturity.year, maturity.month, calendar)
        if mismatch:
            wrong.append(code)
    assert len(listed) > 1000
    assert wrong == []
