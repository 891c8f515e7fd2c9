"""How much money a portfolio carries before its own impact eats what it earns.

Source  09 §5; impact by the square-root law of training/evaluate/costs.py
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.operators import ts_mean
from features.panel import DataError, Float64Array
from training.evaluate import sleeves
from training.evaluate.ic import ANN_DAYS
from training.evaluate.orders import Orders
from training.fills import Entry

CAPITALS = (1e7, 1e8, 1e9, 1e10)
_MOST = 1e13


@dataclass(frozen=True)
class Capacity:
    """Net excess return over the universe by the capital that trades; money in CNY, returns per year.

    capital        (C,) as asked for, and further powers of ten until the excess has fallen below 0
    net_excess     (C,) mean excess over the universe, net of all costs
    impact         (C,) what of the costs is impact
    participation  (C,) a whole position over the asset's mean turnover of 20 sessions: the 95 % quantile of the picks
    without_size   net excess where orders are so small that they move nothing
    half, zero     capital at which the net excess has fallen to half of that, and to 0; 0 where there is nothing to
                   lose, NaN where more than 1e13 CNY would be needed
    """

    capital: Float64Array
    net_excess: Float64Array
    impact: Float64Array
    participation: Float64Array
    without_size: float
    half: float
    zero: float


def capacity(orders: Orders, entry: Entry = "next_open", *, capitals: Sequence[float] = CAPITALS) -> Capacity:
    """Run the same orders with more and more money.

    Shares are bought in fractions, so that size alone makes the difference. Between two capitals the excess is
    interpolated on the root of the capital, on which the impact law is a straight line.
    """
    asked = sorted(set(map(float, capitals)))
    if not asked or asked[0] <= 0:
        raise DataError("capacity", "capitals must be positive, and there must be one", f"{list(capitals)}")
    market = orders.market(entry, lots=False)
    # The universe trades for nothing and in fractions: its returns are the same for any capital.
    whole = _returns(orders.hold_everything(market, 1.0), orders.span)
    at = _participation(orders)

    def told(money: float, *, moves: bool = True) -> tuple[float, float]:
        rates = orders.rates if moves else orders.rates._replace(impact=np.zeros_like(orders.rates.impact))
        ledger = orders.hold_picks(market, money, rates=rates)
        nav = ledger[:, sleeves.NAV]
        excess = float(np.nanmean(_returns(nav, orders.span) - whole)) * ANN_DAYS
        inside = slice(orders.first + 1, orders.stop)
        paid = ledger[inside, sleeves.IMPACT] / nav[orders.first : orders.stop - 1]
        return excess, float(paid.mean()) * ANN_DAYS

    without_size, _ = told(asked[0], moves=False)
    found = {money: told(money) for money in asked}
    while without_size > 0 and found[asked[-1]][0] > 0 and asked[-1] * 10 <= _MOST:
        asked.append(asked[-1] * 10)
        found[asked[-1]] = told(asked[-1])
    excess = np.array([found[money][0] for money in asked])
    roots = np.sqrt(np.array([0.0, *asked]))
    curve = np.array([without_size, *excess])
    return Capacity(
        np.array(asked),
        excess,
        np.array([found[money][1] for money in asked]),
        at * np.array(asked),
        without_size,
        _falls_to(without_size / 2, roots, curve) if without_size > 0 else 0.0,
        _falls_to(0.0, roots, curve) if without_size > 0 else 0.0,
    )


def _returns(nav: Float64Array, span: slice) -> Float64Array:
    """Returns inside the span, whose first session holds the capital, (T - 1,)."""
    held = nav[span]
    return held[1:] / held[:-1] - 1


def _falls_to(level: float, roots: Float64Array, curve: Float64Array) -> float:
    """Capital at which the curve first comes down to a level; NaN where it does not."""
    below = np.flatnonzero(curve <= level)
    if not len(below):
        return math.nan
    i = int(below[0])
    share = (curve[i - 1] - level) / (curve[i - 1] - curve[i])
    return float((roots[i - 1] + share * (roots[i] - roots[i - 1])) ** 2)


def _participation(orders: Orders, window: int = 20) -> float:
    """95 % quantile over the picks of a whole position over mean turnover, for a capital of one CNY."""
    turnover = ts_mean(orders.panels["total_turnover"], window)
    held = orders.picks >= 0
    day = np.broadcast_to(np.arange(len(orders.picks))[:, None], orders.picks.shape)
    names = np.maximum(held.sum(axis=1), 1)
    share = 1 / (orders.horizon * names[:, None] * np.where(held, turnover[day, orders.picks], np.nan))
    known = share[np.isfinite(share)]
    return float(np.quantile(known, 0.95)) if len(known) else math.nan
