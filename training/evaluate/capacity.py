"""How much money a portfolio carries before its own impact eats what it earns.

Source  09 §5; impact by the square-root law of training/evaluate/costs.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

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

    Shares are bought in fractions, so that size alone makes the difference.
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
    nodes = [(0.0, without_size), *((money, found[money][0]) for money in asked)]
    half = zero = 0.0
    if without_size > 0:
        half, zero = (_falls_to(level, nodes, lambda money: told(money)[0]) for level in (without_size / 2, 0.0))
    return Capacity(
        np.array(asked),
        np.array([found[money][0] for money in asked]),
        np.array([found[money][1] for money in asked]),
        at * np.array(asked),
        without_size,
        half,
        zero,
    )


def _returns(nav: Float64Array, span: slice) -> Float64Array:
    """Returns inside the span, whose first session holds the capital, (T - 1,)."""
    held = nav[span]
    return held[1:] / held[:-1] - 1


def _falls_to(level: float, nodes: Sequence[tuple[float, float]], told: Callable[[float], float]) -> float:
    """Capital at which the excess first comes down to a level, to half a per cent; NaN where it does not.

    nodes  (capital, excess) ascending, from a capital of 0 on
    """
    below = [i for i, (_, excess) in enumerate(nodes) if excess <= level]
    if not below:
        return math.nan
    (least, _), (most, _) = nodes[below[0] - 1], nodes[below[0]]

    # On the root of the capital the impact law is nearly a straight line, so that few runs are needed.
    def above(root: float) -> float:
        return (told(root**2) if root > 0 else nodes[0][1]) - level

    root = brentq(above, math.sqrt(least), math.sqrt(most), rtol=0.0025)
    return float(root**2)


def _participation(orders: Orders, window: int = 20) -> float:
    """95 % quantile over the picks of a whole position over mean turnover, for a capital of one CNY."""
    turnover = ts_mean(orders.panels["total_turnover"], window)
    held = orders.picks >= 0
    day = np.broadcast_to(np.arange(len(orders.picks))[:, None], orders.picks.shape)
    names = np.maximum(held.sum(axis=1), 1)
    share = 1 / (orders.horizon * names[:, None] * np.where(held, turnover[day, orders.picks], np.nan))
    known = share[np.isfinite(share)]
    return float(np.quantile(known, 0.95)) if len(known) else math.nan
