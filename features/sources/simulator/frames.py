"""Arrays to long rows: bars and reference tables under the contract's names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from features.sources.simulator.bonds import FACE
from features.sources.simulator.contracts import Contract
from features.sources.simulator.futures import Futures
from features.sources.simulator.indices import INDICES, Index
from features.sources.simulator.roster import Life
from features.sources.simulator.stocks import Stocks
from features.sources.simulator.treasuries import Treasuries
from features.sources.simulator.world import STEPS

SOURCE = "simulated"


def stock_bars(sessions: SessionArray, stocks: Stocks) -> pl.DataFrame:
    """One row per stock and session with a trade, sorted by date, then asset; null where a field is not known."""
    quotes, ids = stocks.quotes, np.array([life.order_book_id for life in stocks.roster])
    order = np.argsort(ids)
    rows = stocks.rows[order].T

    def column(panel: Float64Array | IntArray | NDArray[np.int32] | BoolArray) -> Float64Array:
        return panel[order].T[rows].astype(np.float64)

    def price(panel: IntArray | NDArray[np.int32]) -> Float64Array:
        ticks = column(panel)
        return np.where(ticks > 0, ticks / 100.0, np.nan)

    at, asset = np.nonzero(rows)
    values = {
        "open": price(quotes.grid[:, :, 0]),
        "high": price(quotes.high),
        "low": price(quotes.low),
        "close": price(quotes.grid[:, :, STEPS]),
        "prev_close": price(quotes.prev),
        "limit_up": price(quotes.upper),
        "limit_down": price(quotes.lower),
        "volume": column(stocks.volume),
        "total_turnover": column(stocks.turnover),
        "num_trades": column(stocks.trades),
        "suspended": np.zeros(len(at)),
        "is_st": column(np.stack([life.st for life in stocks.roster])),
    }
    return _bars(ids[order][asset], sessions[at], values)


def index_bars(sessions: SessionArray, indices: Sequence[Index]) -> pl.DataFrame:
    """One row per index and session, sorted by date, then asset."""
    ranked = sorted(indices, key=lambda index: index.order_book_id)
    fields = ("open", "high", "low", "close", "prev_close", "volume", "turnover")
    values = {name: np.stack([getattr(i, name) for i in ranked], axis=1).ravel() for name in fields}
    values["total_turnover"] = values.pop("turnover")
    ids = np.tile([i.order_book_id for i in ranked], len(sessions))
    return _bars(ids, np.repeat(sessions, len(ranked)), values)


def future_bars(sessions: SessionArray, futures: Sequence[Futures]) -> pl.DataFrame:
    """One row per contract and session, sorted by date, then asset."""
    frames = []
    for product in futures:
        tick, tape = product.product.tick, product.tape
        ticks = {
            "open": tape.open,
            "high": tape.high,
            "low": tape.low,
            "close": tape.close,
            "settlement": tape.settlement,
            "prev_settlement": tape.prev_settlement,
            "limit_up": tape.upper,
            "limit_down": tape.lower,
        }
        values = {name: given * tick.numerator / tick.denominator for name, given in ticks.items()}
        values["volume"], values["total_turnover"] = product.volume, product.turnover
        values["open_interest"] = product.open_interest
        ids = np.array([contract.order_book_id for contract in product.contracts])
        frames.append(_bars(ids[product.contract], sessions[product.at], values))
    return pl.concat(frames).sort("date", "order_book_id")


def instruments(sessions: SessionArray, stocks: Stocks, futures: Sequence[Futures]) -> pl.DataFrame:
    """One row per asset: what it is and when it was listed; de_listed_date is the first day that a stock is gone."""
    spot = [_instrument(k + 1, life, int(stocks.last[k]), sessions) for k, life in enumerate(stocks.roster)]
    for name, order_book_id in INDICES.items():
        spot.append((order_book_id, "INDX", "XSHG", None, None, sessions[0].astype(object), None, f"模拟指数{name}"))
    text = ("order_book_id", "type", "exchange", "industry", "board")
    schema = {**dict.fromkeys(text, pl.String), "listed_date": pl.Date, "de_listed_date": pl.Date, "symbol": pl.String}
    frame = pl.DataFrame(spot, schema=schema, orient="row")
    terms = [_terms(contract) for product in futures for contract in product.contracts]
    dated = {"listed_date": pl.Date, "maturity_date": pl.Date, "contract_multiplier": pl.Float64}
    words = ("order_book_id", "type", "exchange", "symbol", "underlying_symbol", "underlying_order_book_id")
    contracts = pl.DataFrame(terms, schema={**dict.fromkeys(words, pl.String), **dated}, orient="row")
    return pl.concat([frame, contracts], how="diagonal").sort("order_book_id")


def _terms(contract: Contract) -> tuple[object, ...]:
    product, code = contract.product, contract.order_book_id
    days = (contract.listed.astype(object), contract.maturity.astype(object))
    of = (product.exchange, f"模拟{code}", product.symbol, product.underlying or None)
    return (code, "Future", *of, *days, product.multiplier)


def _instrument(number: int, life: Life, last: int, sessions: SessionArray) -> tuple[object, ...]:
    gone = sessions[last + 1].astype(object) if last + 1 < len(sessions) else None
    exchange = life.order_book_id.partition(".")[2]
    industry = f"行业{life.industry:02d}"
    listed = life.listed.astype("datetime64[D]").astype(object)
    return (life.order_book_id, "CS", exchange, industry, life.board, listed, gone, f"模拟{number:04d}")


def dividends_index(sessions: SessionArray, indices: Sequence[Index], announced: int) -> pl.DataFrame:
    """Cash dividends in index points by index and ex-date, with the session they were announced on."""
    frames = []
    for index in indices:
        at = np.flatnonzero(index.points > 0)
        frames.append(
            pl.DataFrame(
                {
                    "order_book_id": np.full(len(at), index.order_book_id),
                    "date": sessions[at],
                    "points": index.points[at],
                    "announcement_date": sessions[np.maximum(at - announced, 0)],
                },
                schema_overrides={"order_book_id": pl.String},
            )
        )
    return pl.concat(frames).with_columns(pl.lit(SOURCE).alias("source")).sort("date", "order_book_id")


def bonds(treasuries: Treasuries) -> pl.DataFrame:
    """One row per government bond: terms and days, under the names of the vendor's bond table."""
    given = treasuries.bonds
    code = [name.partition(".")[0] for name in given.code]
    frame = pl.DataFrame(
        {
            "bond_code": given.code.astype(object),
            "mkt": "IB",
            "abbr": [f"{name[:2]}模拟国债{name[3:]}" for name in code],
            "par_value": FACE,
            "cp_type": "Coupon_Bear",
            "interest_type": "Fixed",
            "cp_rate_1st": given.coupon,
            "base_rate": pl.Series([None] * len(code), dtype=pl.Float64),
            "rate_spread": pl.Series([None] * len(code), dtype=pl.Float64),
            "inst_freq": given.frequency,
            "carry_date": given.issued,
            "maturity_date": given.maturity,
            "day_count": "ACT/ACT",
            "code": code,
        },
        schema_overrides={"bond_code": pl.String},
    )
    return frame.with_columns(pl.lit(SOURCE).alias("source")).sort("bond_code")


def bond_prices(sessions: SessionArray, treasuries: Treasuries) -> pl.DataFrame:
    """One row per bond and session of its life: prices at the close per 100 face."""
    prices = treasuries.prices
    frame = pl.DataFrame(
        {
            "date": sessions[prices.at],
            "bond_code": treasuries.bonds.code[prices.bond].astype(object),
            "clean_price": prices.clean,
            "accrued_interest": prices.accrued,
        },
        schema_overrides={"bond_code": pl.String},
    )
    return frame.with_columns(pl.lit(SOURCE).alias("source")).sort("date", "bond_code")


def _bars(ids: np.ndarray, dates: SessionArray, values: dict[str, Float64Array]) -> pl.DataFrame:
    frame = pl.DataFrame(
        {"order_book_id": ids.astype(object), "date": dates, **values}, schema_overrides={"order_book_id": pl.String}
    )
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None), pl.lit(SOURCE).alias("source"))
