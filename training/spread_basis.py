"""What a basis stands on: closes of the index under a product's contracts, and the dividends that it goes without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from features.chain import Chain
from features.dividends import Dividends, expected, of_index
from features.pairs import Pair, basis_pair
from features.panel import Float64Array, IntArray, SessionArray
from features.product_bars import INDICES, index_closes, read_dividends, read_rates
from features.rates import risk_free
from features.store import KEYS, Store


@dataclass(frozen=True)
class Underlying:
    """An index on the sessions of a chain.

    close      (T,) NaN where it has none
    dividends  None where the store has no table of them
    rate       (T,) p.a., by which they are discounted
    """

    index: str
    close: Float64Array = field(repr=False)
    dividends: Dividends | None = field(default=None, repr=False)
    rate: Float64Array | None = field(default=None, repr=False)

    def pair(self, chain: Chain, contract: IntArray) -> Pair:
        """The basis of the contract that each session decides on, (T + 1,).

        With dividends, sessions on which not even last year's are known have no level: a level with and one without
        them are two things.
        """
        if self.dividends is None or self.rate is None:
            return basis_pair(chain, contract, self.close, self.index)
        to_come = _until_it_ends(self.dividends, chain, contract[1:], self.rate)
        due = _due(self.dividends, chain.sessions, self.rate)
        return basis_pair(chain, contract, self.close, self.index, to_come, due)

    def paid(self, sessions: SessionArray) -> Float64Array:
        """Points that went ex on each session, (T,): what whoever is short the index pays."""
        out = np.zeros(len(sessions))
        if self.dividends is not None:
            # What goes ex on a day without trading is missed by the first session after it.
            at = sessions.searchsorted(self.dividends.ex)
            inside = (at < len(sessions)) & (self.dividends.ex >= sessions[0])
            np.add.at(out, at[inside], self.dividends.points[inside])
        return out


def underlying(store: Store, chain: Chain, index: str, with_dividends: bool) -> Underlying | None:
    """The index under a chain, with its dividends if they are wanted; None where the store has no index at all."""
    if not store.exists(INDICES):
        return None
    rows = store.scan(INDICES).select(*KEYS, "close").filter(pl.col("order_book_id") == index).collect()
    close = index_closes(rows, index, chain.sessions)
    paid = read_dividends(store) if with_dividends else None
    found = None if paid is None else of_index(paid, index)
    if found is None or not len(found.ex):
        return Underlying(index, close)
    return Underlying(index, close, found, risk_free(read_rates(store), chain.sessions))


def _until_it_ends(of: Dividends, chain: Chain, decided: IntArray, rate: Float64Array) -> Float64Array:
    """Points to come before each contract ends, (T, N): on the sessions on which it is decided on, and those before."""
    out = np.full(chain["close"].shape, np.nan)
    for contract in np.unique(decided[decided >= 0]):
        rows = np.flatnonzero(decided == contract)
        rows = np.unique(np.concatenate([rows, np.maximum(rows - 1, 0)]))
        days = chain.sessions[rows]
        until = np.full(len(rows), chain.contracts.last_day[contract])
        out[rows, contract] = expected(of, days, until, rate[rows])[0]
    return out


def _due(of: Dividends, sessions: SessionArray, rate: Float64Array) -> Callable[[int], Float64Array]:
    """Points to go ex over the next sessions, (T,); NaN where these end."""

    def due(horizon: int) -> Float64Array:
        until = np.full(len(sessions), np.datetime64("NaT", "D"))
        until[: max(0, len(sessions) - horizon)] = sessions[horizon:]
        return expected(of, sessions, until, rate)[0]

    return due
