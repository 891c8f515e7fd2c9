"""What trading costs: dated A-share fees, half the spread, and the impact of size.

Source  09 §5, 10 §3; spread: Corwin and Schultz 2012; impact: square-root law with coefficient .7
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from features.operators import ts_mean, ts_std
from features.operators.ranges import corwin_schultz
from features.panel import Float64Array, Panels

STAMP_HALVED = np.datetime64("2023-08-28", "D")
TRANSFER_FROM = np.datetime64("2015-08-01", "D")
TRANSFER_HALVED = np.datetime64("2022-04-29", "D")


def stamp_duty(session: ArrayLike) -> Float64Array:
    """Share of the value of a sale: .1 % until 2023-08-27, .05 % from 2023-08-28 on."""
    day = np.asarray(session, "datetime64[D]")
    return np.where(day < STAMP_HALVED, 0.001, 0.0005)


def transfer_fee(session: ArrayLike) -> Float64Array:
    """Share of the value of a purchase or a sale: .002 % from 2015-08-01, .001 % from 2022-04-29 on, before 0.

    Before 2015-08-01 the fee went by the number of shares, in Shanghai alone; it is left out.
    """
    day = np.asarray(session, "datetime64[D]")
    return np.where(day < TRANSFER_FROM, 0.0, np.where(day < TRANSFER_HALVED, 0.00002, 0.00001))


@dataclass(frozen=True)
class Costs:
    """The rates of a simulation; `Costs.none()` trades for nothing.

    commission   share of the value traded, each side
    fees         charge the dated stamp duty and transfer fee
    half_spread  how many half spreads a trade pays (1: crosses from the middle to the other side)
    impact       coefficient of sigma * sqrt(order value / average daily turnover)
    tick         smallest price step; half of it is the least half spread
    """

    commission: float = 0.00025
    fees: bool = True
    half_spread: float = 1.0
    impact: float = 0.7
    tick: float = 0.01

    @classmethod
    def none(cls) -> Costs:
        """No cost of any kind."""
        return cls(commission=0.0, fees=False, half_spread=0.0, impact=0.0)


class CostPanels(NamedTuple):
    """The rates of every session, and of every session and asset, as shares of the value traded.

    commission, stamp_duty, transfer_fee  (T,)
    slippage  (T, N) half spread over price
    impact    (T, N) to be multiplied by the square root of the order's value in CNY
    """

    commission: Float64Array
    stamp_duty: Float64Array
    transfer_fee: Float64Array
    slippage: Float64Array
    impact: Float64Array


def half_spread_share(spread: ArrayLike, price: ArrayLike, tick: float = 0.01) -> Float64Array:
    """Half the spread as a share of the price, no less than half a tick; a spread that is NaN counts as that."""
    least = tick / 2 / np.asarray(price, np.float64)
    return np.fmax(np.asarray(spread, np.float64) / 2, least)


def impact_share(order: ArrayLike, sigma: ArrayLike, turnover: ArrayLike, coefficient: float = 0.7) -> Float64Array:
    """Impact as a share of the price: coefficient * sigma * sqrt(order / turnover).

    order     value of the order in CNY
    sigma     daily volatility
    turnover  average daily turnover in CNY
    """
    ratio = np.asarray(order, np.float64) / np.asarray(turnover, np.float64)
    return coefficient * np.asarray(sigma, np.float64) * np.sqrt(ratio)


def cost_panels(panels: Panels, costs: Costs, window: int = 20) -> CostPanels:
    """Rates on every session; spread, volatility and turnover are means over the window that ended the session before.

    Where the history is too short for one, or its days hold a single price each, the mean over the assets of that
    session stands in for volatility, and the least spread for the spread; without turnover no impact can be told, and
    it is 0.
    """
    high, low, close, prev_close = (panels[name] for name in ("high", "low", "close", "prev_close"))
    flat = np.zeros(len(panels.sessions))
    spread = _before(ts_mean(corwin_schultz(high, low, close, prev_close), window))
    sigma = _before(ts_std(close / prev_close - 1, window))
    turnover = _before(ts_mean(panels["total_turnover"], window))
    some = np.isfinite(sigma)
    typical = np.where(some, sigma, 0.0).sum(axis=1) / np.maximum(some.sum(axis=1), 1)
    sigma = np.where(some, sigma, typical[:, None])
    per_root = np.where(turnover > 0, impact_share(1.0, sigma, np.where(turnover > 0, turnover, 1.0), 1.0), 0.0)
    days = panels.sessions
    return CostPanels(
        commission=flat + costs.commission,
        stamp_duty=stamp_duty(days) if costs.fees else flat,
        transfer_fee=transfer_fee(days) if costs.fees else flat,
        slippage=costs.half_spread * half_spread_share(spread, np.where(prev_close > 0, prev_close, close), costs.tick),
        impact=costs.impact * per_root,
    )


def _before(x: Float64Array) -> Float64Array:
    """The row of the session before, NaN on the first: what was known when the order was given."""
    out = np.full(x.shape, np.nan)
    out[1:] = x[:-1]
    return out
