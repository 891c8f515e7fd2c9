"""Rows of simulated futures as tests want them: with their terms, with what is true of them, of the contract held."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from features.sources.simulator import Simulation
from features.sources.simulator.contracts import PRODUCTS, TREASURIES, contract_calendar

COMMODITIES = ("SC", "CU", "RB", "FU", "M")
ON_INDICES = ("IH", "IF", "IC", "IM")
ON_BONDS = ("TS", "TF", "T", "TL")
BY_SYMBOL = {product.symbol: product for product in (*PRODUCTS, *TREASURIES)}
CALENDAR = contract_calendar()


def named(simulation: Simulation) -> pl.DataFrame:
    """Futures bars with what the instruments say, by contract and day."""
    terms = simulation.reference["instruments"].filter(pl.col("type") == "Future")
    terms = terms.select("order_book_id", "underlying_symbol", "listed_date", "maturity_date", "contract_multiplier")
    bars = simulation.bars["Future"].join(terms, on="order_book_id")
    return bars.rename({"underlying_symbol": "product"}).sort("order_book_id", "date")


def states(simulation: Simulation, symbol: str, *names: str) -> pl.DataFrame:
    """States of a product as columns, by day."""
    truth = simulation.truth["truth_states"].filter(pl.col("object") == symbol, pl.col("name").is_in(names))
    return truth.pivot(on="name", index="date", values="value").sort("date")


def held(bars: pl.DataFrame) -> pl.DataFrame:
    """Rows of the contract that had most open interest on the session before, with its close and settlement returns."""
    leader = bars.sort("open_interest", "order_book_id").group_by("date").last().sort("date")
    leader = leader.select(pl.col("date").shift(-1), "order_book_id").drop_nulls()
    rows = bars.with_columns(
        r_close=pl.col("close").log().diff().over("order_book_id"),
        r_settle=pl.col("settlement").log().diff().over("order_book_id"),
    )
    return rows.join(leader, on=["date", "order_book_id"]).drop_nulls(["r_close", "r_settle"]).sort("date")


def lag_one(values: ArrayLike) -> float:
    """Autocorrelation of a series from one row to the next."""
    x = np.asarray(values)
    return float(np.corrcoef(x[1:], x[:-1])[0, 1])
