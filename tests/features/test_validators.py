"""Every rule catches what it is for, and nothing that is merely unusual."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from features.batch_checks import missing_rows, refuse_foreign_units, refuse_unadjusted_prev_close
from features.conform import conform
from features.fields import ASSET_CLASSES
from features.panel import DataError
from features.sessions import Calendar
from features.sources.batch import Batch
from features.validators import VALIDATORS, applicable, with_context

D = dt.date
DAYS = [D(2024, 1, 2), D(2024, 1, 3), D(2024, 1, 4)]
CALENDAR = Calendar(np.array([np.datetime64(d) for d in DAYS]))
INF = float("inf")
PRICES = {"open": 10.0, "high": 10.5, "low": 9.8, "close": 10.2}
STOCK = {
    **PRICES,
    "prev_close": 10.0,
    "limit_up": 11.0,
    "limit_down": 9.0,
    "volume": 1000.0,
    "total_turnover": 10100.0,
    "num_trades": 9.0,
    "suspended": False,
    "is_st": False,
}
INDEX = {**PRICES, "prev_close": 10.0, "volume": 1.0, "total_turnover": 5.0}
DERIVATIVE = {
    **PRICES,
    "settlement": 10.1,
    "prev_settlement": 10.1,
    "open_interest": 50.0,
    "volume": 7.0,
    "limit_up": 12.0,
    "limit_down": 8.0,
}
CLEAN = {
    "CS": STOCK,
    "ETF": {**{k: v for k, v in STOCK.items() if k != "is_st"}, "iopv": 10.0},
    "INDX": INDEX,
    "Future": {**DERIVATIVE, "contract_multiplier": 300.0, "total_turnover": 7 * 300 * 10.1},
    "Option": {**DERIVATIVE, "contract_multiplier": 1e4, "total_turnover": 7e4 * 10.1, "strike_price": 3.0},
}
NO_TRADE = {"volume": 0.0, "total_turnover": 0.0}
# reason: (class, what is changed on the second of three rows, what else it breaks)
BROKEN: dict[str, tuple[str, dict[str, object], set[str]]] = {
    "missing_key": ("CS", {"order_book_id": None}, set()),
    "duplicate_key": ("CS", {"_superseded": True}, set()),
    "unreadable_value": ("CS", {"_unreadable": True}, set()),
    "infinite_value": ("CS", {"num_trades": INF}, set()),
    "date_not_a_session": ("Future", {"date": D(2024, 1, 6)}, {"missing_rows"}),
    "missing_price": ("CS", {"open": None}, {"no_price"}),
    "missing_close": ("INDX", {"close": None}, {"no_price"}),
    "nonpositive_price": ("Future", {"low": 0.0}, {"outside_limits"}),
    "nonpositive_prev_close": ("ETF", {"prev_close": 0.0}, set()),
    "nonpositive_settlement": ("Future", {"settlement": 0.0}, {"settlement_outside_range"}),
    "negative_settlement": ("Option", {"settlement": -0.1}, set()),
    "nonpositive_terms": ("Option", {"strike_price": 0.0}, set()),
    "high_below_low": ("INDX", {"high": 9.7, "open": None, "close": 9.75}, {"index_close_outside_range", "no_price"}),
    "open_outside_range": ("CS", {"open": 10.51}, set()),
    "close_outside_range": ("CS", {"close": 9.79}, set()),
    "index_close_outside_range": ("INDX", {"close": 10.6}, set()),
    "outside_limits": ("CS", {"limit_up": 10.49}, set()),
    "negative_volume": ("CS", {"volume": -1.0}, set()),
    "negative_turnover": ("CS", {"total_turnover": -1.0, **{"volume": 0.0}}, {"no_trade"}),
    "negative_open_interest": ("Option", {"open_interest": -1.0}, set()),
    "volume_unit": ("Future", {"total_turnover": 7 * 10.1}, set()),
    "no_trade": ("CS", {**NO_TRADE, "suspended": True}, set()),
    "no_price": ("Option", {"open": None, "high": None, "low": None, **NO_TRADE}, {"no_trade", "stale_settlement"}),
    "stale_settlement": ("Future", NO_TRADE, {"no_trade"}),
    "zero_settlement": ("Option", {"settlement": 0.0}, set()),
    "settlement_outside_range": ("Future", {"settlement": 10.6}, set()),
    "prev_settlement_mismatch": ("Future", {"prev_settlement": 10.3}, set()),
    "iopv_bad": ("ETF", {"iopv": 0.0}, set()),
    "missing_limits": ("CS", {"limit_up": None, "limit_down": None}, set()),
    "missing_prev_close": ("CS", {"prev_close": None}, set()),
    "missing_settlement": ("Option", {"settlement": None}, set()),
    "missing_prev_settlement": ("Future", {"prev_settlement": None}, set()),
    "missing_iopv": ("ETF", {"iopv": float("nan")}, set()),
    "missing_strike_price": ("Option", {"strike_price": None}, set()),
    "missing_volume": ("CS", {"volume": None, "suspended": True}, set()),
    "missing_total_turnover": ("CS", {"total_turnover": None}, set()),
    "missing_num_trades": ("CS", {"num_trades": None}, set()),
    "missing_open_interest": ("Future", {"open_interest": None}, set()),
    "missing_contract_multiplier": ("Future", {"contract_multiplier": None}, set()),
    "missing_suspended": ("ETF", {"suspended": None}, set()),
    "missing_is_st": ("CS", {"is_st": None}, set()),
}


def broken_of(asset_class: str, change: dict[str, object], before: pl.DataFrame | None = None) -> dict[str, int]:
    rows = [{"order_book_id": "x", "date": day, **CLEAN[asset_class]} for day in DAYS]
    rows[1] |= {k: v for k, v in change.items() if not k.startswith("_")}
    frame = conform(Batch(asset_class, "here", pl.DataFrame(rows, strict=False))).frame.with_columns(_superseded=False)
    marks = {k: [False, v, False] for k, v in change.items() if k.startswith("_")}
    judged = with_context(
        frame.with_columns(**{k: pl.Series(v) for k, v in marks.items()}), asset_class, CALENDAR, None, before
    )
    rules = applicable(asset_class, judged.columns)
    return {rule.reason: n for rule in rules if (n := int(judged.select(rule.broken.sum()).item()))}


def test_every_rule_has_an_example_here() -> None:
    assert {rule.reason for rule in VALIDATORS} == set(BROKEN)


@pytest.mark.parametrize("reason", BROKEN)
def test_a_rule_catches_the_row_it_is_for_and_no_other_rule_does(reason: str) -> None:
    asset_class, change, also = BROKEN[reason]
    found = broken_of(asset_class, change)
    assert found.pop(reason) == 1
    # What follows on the next row from a settlement that is not there to compare with is not at stake here.
    assert set(found) - {"prev_settlement_mismatch"} <= also


@pytest.mark.parametrize("asset_class", ASSET_CLASSES)
def test_clean_rows_break_nothing(asset_class: str) -> None:
    assert broken_of(asset_class, {}) == {}


@pytest.mark.parametrize(
    ("asset_class", "change"),
    [
        ("CS", {"high": 11.0, "low": 9.0}),  # touches both limits
        ("CS", {"total_turnover": 1000 * 10.5 * 1.0009}),  # within the vendor's rounding
        ("CS", {"volume": 1.0, "total_turnover": 9.0}),  # an odd share, turnover cut to yuan
        ("CS", {"open": 10.5 + 1e-9}),  # float dust
        ("Future", {"prev_settlement": 10.1 + 5e-4}),  # settlement published with fewer decimals
        (
            "Option",
            {"strike_price": 2.9, "prev_settlement": 9.9, "contract_multiplier": 10220.0, "total_turnover": 7.2e5},
        ),
    ],
)
def test_what_is_merely_unusual_breaks_nothing(asset_class: str, change: dict[str, object]) -> None:
    assert broken_of(asset_class, change) == {}


def test_the_settlement_before_is_looked_up_in_what_is_stored_and_only_on_the_session_before() -> None:
    stored = pl.DataFrame({"order_book_id": ["x"], "date": [DAYS[0]], "settlement": [10.9], "strike_price": [3.0]})
    rows = pl.DataFrame([{"order_book_id": "x", "date": day, **CLEAN["Option"]} for day in DAYS[1:]])
    frame = conform(Batch("Option", "here", rows)).frame
    judged = with_context(frame, "Option", CALENDAR, None, stored)
    assert judged["_last_settlement"].to_list() == [10.9, 10.1]
    late = with_context(frame.tail(1), "Option", CALENDAR, None, stored)
    assert late["_last_settlement"].to_list() == [None]


@pytest.mark.parametrize(
    ("volume", "turnover", "says"),
    [(0.01, 1.0, "手"), (1.0, 0.001, "千元"), (0.01, 0.001, "手.*千元"), (1.0, 0.0001, "万元"), (0.0001, 1.0, "万股")],
)
def test_a_file_in_lots_or_thousands_is_refused_as_a_whole(volume: float, turnover: float, says: str) -> None:
    rows = pl.DataFrame([{"order_book_id": "x", "date": day, **STOCK} for day in DAYS])
    rows = rows.with_columns(pl.col("volume") * volume, pl.col("total_turnover") * turnover)
    judged = with_context(conform(Batch("CS", "lots.csv", rows)).frame, "CS", CALENDAR)
    with pytest.raises(DataError, match=says) as refused:
        refuse_foreign_units(judged, "lots.csv")
    assert "lots.csv" in str(refused.value)
    assert "Multiply" in str(refused.value)


def test_a_few_wrong_rows_do_not_make_a_file_of_wrong_units() -> None:
    rows = pl.DataFrame([{"order_book_id": "x", "date": day, **STOCK} for day in DAYS])
    rows = rows.with_columns(pl.when(pl.col("date") == DAYS[0]).then(10.0).otherwise("volume").alias("volume"))
    refuse_foreign_units(with_context(conform(Batch("CS", "x", rows)).frame, "CS", CALENDAR), "x")


def test_prev_close_that_always_repeats_the_close_is_refused_for_many_stocks_and_days() -> None:
    days = [D(2020, 1, 1) + dt.timedelta(n) for n in range(260)]
    keys = [(f"{n:06d}", day) for n in range(250) for day in days]
    rows = pl.DataFrame(keys, {"order_book_id": pl.String, "date": pl.Date}, orient="row")
    rows = rows.with_columns(close=pl.lit(10.0), prev_close=pl.lit(10.0))
    with pytest.raises(DataError, match="PrevCloseNotAdjusted"):
        refuse_unadjusted_prev_close(rows, "x")
    one = (pl.col("order_book_id") == "000007") & (pl.col("date") == days[99])
    refuse_unadjusted_prev_close(
        rows.with_columns(pl.when(one).then(9.5).otherwise("prev_close").alias("prev_close")), "x"
    )
    refuse_unadjusted_prev_close(rows.filter(pl.col("order_book_id") != "000000"), "x")


def test_sessions_without_a_row_are_counted_within_each_life() -> None:
    rows = pl.DataFrame(
        {"order_book_id": ["a", "a", "b", "c", "c"], "date": [DAYS[0], DAYS[2], DAYS[1], DAYS[0], DAYS[1]]}
    )
    assert missing_rows(rows, CALENDAR).rows() == [("a", 1)]
    lives = pl.DataFrame(
        {
            "order_book_id": ["a", "b", "c"],
            "listed_date": [D(2023, 5, 1)] * 3,
            "maturity_date": [None, D(2024, 6, 1), DAYS[1]],
        }
    )
    assert missing_rows(rows, CALENDAR, lives).rows() == [("a", 1), ("b", 2)]
