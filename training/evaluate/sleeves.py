"""The hot loop of the portfolio simulation: sleeves that are rebalanced in turn, order by order.

One sleeve is rebalanced a session; each holds cash and shares of its own. Shares grow by the ex-right factor on
ex-dates, so that dividends are reinvested and a share is always worth its last close. No sleeve sells what it bought
the same session: it rebalances `horizon` sessions apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from features.panel import BoolArray, Float64Array, IntArray
from training.evaluate.costs import CostPanels

BOUGHT, SOLD, COMMISSION, STAMP_DUTY, TRANSFER_FEE, SLIPPAGE, IMPACT = 0, 1, 2, 3, 4, 5, 6
BLOCKED_ENTRIES, BLOCKED_EXITS, POSITIONS, CASH, NAV = 7, 8, 9, 10, 11
LEDGER_COLUMNS = 12


class Market(NamedTuple):
    """What can be traded, and at which price; (T, N) but for the last three, which are (N,).

    price, buyable, sellable  of the fill
    close, prev_close         for marking and for ex-dates
    last_session              row of the last trading session, -1 while listed
    lot_least, lot_step       smallest purchase and its step in shares; a step of 0 buys fractions
    """

    price: Float64Array
    buyable: BoolArray
    sellable: BoolArray
    close: Float64Array
    prev_close: Float64Array
    last_session: IntArray
    lot_least: Float64Array
    lot_step: Float64Array


class Book(NamedTuple):
    """What the sleeves hold: cash (H,), shares (H, N), what is to be sold at the first chance (H, N), marks (N,)."""

    cash: Float64Array
    shares: Float64Array
    leaving: BoolArray
    mark: Float64Array


@njit(cache=True, nogil=True)
def _charge(rates: CostPanels, ledger: Float64Array, d: int, n: int, value: float, is_sale: bool) -> float:
    """Cost of trading so much of asset n on d, entered in the ledger by kind."""
    stamp = rates.stamp_duty[d] * value if is_sale else 0.0
    commission, transfer = rates.commission[d] * value, rates.transfer_fee[d] * value
    slippage, impact = rates.slippage[d, n] * value, rates.impact[d, n] * value * np.sqrt(value)
    ledger[d, COMMISSION] += commission
    ledger[d, STAMP_DUTY] += stamp
    ledger[d, TRANSFER_FEE] += transfer
    ledger[d, SLIPPAGE] += slippage
    ledger[d, IMPACT] += impact
    ledger[d, SOLD if is_sale else BOUGHT] += value
    return commission + stamp + transfer + slippage + impact


@njit(cache=True, nogil=True)
def _sell(
    book: Book, market: Market, rates: CostPanels, ledger: Float64Array, d: int, j: int, n: int, quantity: float
) -> None:
    """Sell, or count the order that could not be filled."""
    if not market.sellable[d, n]:
        ledger[d, BLOCKED_EXITS] += 1
        return
    value = quantity * market.price[d, n]
    book.shares[j, n] -= quantity
    book.cash[j] += value - _charge(rates, ledger, d, n, value, True)


@njit(cache=True, nogil=True)
def _carry(book: Book, market: Market, d: int, kept_of_delisted: float) -> None:
    """Bring holdings over the night: ex-dates, and the remains of what has been delisted."""
    for n in range(len(book.mark)):
        if market.close[d, n] > 0 and market.prev_close[d, n] > 0:
            if book.mark[n] > 0 and book.mark[n] != market.prev_close[d, n]:
                book.shares[:, n] *= book.mark[n] / market.prev_close[d, n]
            book.mark[n] = market.prev_close[d, n]
        if market.last_session[n] >= 0 and d == market.last_session[n] + 1:
            for j in range(len(book.cash)):
                if book.shares[j, n] > 0:
                    book.cash[j] += book.shares[j, n] * book.mark[n] * kept_of_delisted
                    book.shares[j, n] = 0.0
                    book.leaving[j, n] = False


@njit(cache=True, nogil=True)
def _leave(book: Book, market: Market, rates: CostPanels, ledger: Float64Array, d: int) -> None:
    """Sell all that is to be left, in every sleeve; what is blocked tries again the next session."""
    for j in range(len(book.cash)):
        for n in range(len(book.mark)):
            if book.leaving[j, n]:
                _sell(book, market, rates, ledger, d, j, n, book.shares[j, n])
                book.leaving[j, n] = book.shares[j, n] > 0


@njit(cache=True, nogil=True)
def _buy(
    book: Book,
    market: Market,
    rates: CostPanels,
    ledger: Float64Array,
    d: int,
    j: int,
    names: IntArray,
    goal: float,
) -> None:
    """Buy each name up to its goal, all scaled alike where the cash does not suffice, rounded down to lots."""
    lacking, total = np.zeros(len(names)), 0.0
    for i in range(len(names)):
        n = names[i]
        if not market.buyable[d, n]:
            held = book.shares[j, n] * book.mark[n]
            ledger[d, BLOCKED_ENTRIES] += 1 if held < goal else 0
            continue
        lacking[i] = max(goal - book.shares[j, n] * market.price[d, n], 0.0)
        rate = rates.commission[d] + rates.transfer_fee[d] + rates.slippage[d, n]
        total += lacking[i] * (1 + rate + rates.impact[d, n] * np.sqrt(lacking[i]))
    scale = min(book.cash[j] / total, 1.0) if total > 0 else 0.0
    for i in range(len(names)):
        n = names[i]
        if lacking[i] > 0:
            quantity, step = scale * lacking[i] / market.price[d, n], market.lot_step[n]
            if step > 0:
                quantity = np.floor(quantity / step) * step if quantity >= market.lot_least[n] else 0.0
            if quantity > 0:
                value = quantity * market.price[d, n]
                book.shares[j, n] += quantity
                book.cash[j] -= value + _charge(rates, ledger, d, n, value, False)


@njit(cache=True, nogil=True)
def _rebalance(
    book: Book, market: Market, rates: CostPanels, ledger: Float64Array, d: int, j: int, names: IntArray
) -> None:
    """Bring one sleeve to equal weights in the names, valued at the fill's prices; sales come first."""
    wanted = np.zeros(len(book.mark), np.bool_)
    wanted[names] = True
    for n in range(len(book.mark)):
        book.leaving[j, n] = book.shares[j, n] > 0 and not wanted[n]
    _leave(book, market, rates, ledger, d)
    value = book.cash[j]
    for n in range(len(book.mark)):
        if book.shares[j, n] > 0:
            traded = market.price[d, n] > 0
            value += book.shares[j, n] * (market.price[d, n] if traded else book.mark[n])
    goal = value / len(names)
    for i in range(len(names)):
        n = names[i]
        surplus = book.shares[j, n] - goal / market.price[d, n] if market.price[d, n] > 0 else 0.0
        if market.lot_step[n] > 0:
            surplus = np.floor(surplus / market.lot_step[n]) * market.lot_step[n]
        if surplus > 0:
            _sell(book, market, rates, ledger, d, j, n, surplus)
    _buy(book, market, rates, ledger, d, j, names, goal)


@njit(cache=True, nogil=True)
def run_sleeves(
    picks: IntArray,
    market: Market,
    rates: CostPanels,
    sleeves: int,
    capital: float,
    kept_of_delisted: float,
    first: int,
    stop: int,
) -> Float64Array:
    """The ledger of the sessions first ... stop - 1, in CNY, (T, columns); decisions of d - 1 trade on d.

    picks  (T, k) assets to hold, -1 behind the last one; a session without any leaves its sleeve as it is
    """
    n_count = market.close.shape[1]
    ledger = np.zeros((market.close.shape[0], LEDGER_COLUMNS))
    book = Book(
        np.full(sleeves, capital / sleeves),
        np.zeros((sleeves, n_count)),
        np.zeros((sleeves, n_count), np.bool_),
        np.full(n_count, np.nan),
    )
    ledger[first, CASH] = ledger[first, NAV] = capital
    for d in range(first, stop):
        _carry(book, market, d, kept_of_delisted)
        if d > first:
            names = picks[d - 1][picks[d - 1] >= 0]
            if len(names) > 0:
                _rebalance(book, market, rates, ledger, d, (d - 1 - first) % sleeves, names)
            else:
                _leave(book, market, rates, ledger, d)
        for n in range(n_count):
            if market.close[d, n] > 0:
                book.mark[n] = market.close[d, n]
        _close_books(book, ledger, d)
    return ledger


@njit(cache=True, nogil=True)
def _close_books(book: Book, ledger: Float64Array, d: int) -> None:
    """Cash, holdings at the close, and how many assets are held."""
    ledger[d, CASH] = ledger[d, NAV] = book.cash.sum()
    for n in range(len(book.mark)):
        held = book.shares[:, n].sum()
        if held > 0:
            ledger[d, NAV] += held * book.mark[n]
            ledger[d, POSITIONS] += 1
