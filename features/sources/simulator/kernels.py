"""The hot loops: one stock, session by session and sub-step by sub-step, compiled.

Prices are quoted in ticks of .01, counted by integers; the latent price is a logarithm that knows no limits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.limits import band_ticks
from features.panel import BoolArray, Float64Array, IntArray

FAR = 1 << 40
FACE_VALUE, FACE_SESSIONS = 100, 20
ANNOUNCED = 20

_band_ticks = njit(cache=True)(band_ticks)


class Course(NamedTuple):
    """What befalls one stock. T sessions, 17 sub-steps (overnight first).

    first, last     positions of its first and last session
    price           log price at the close before the first session (the issue price of a new listing)
    surprise        log return of a new listing on its first morning, 0 for others
    trading         (T,) not suspended
    common, spread  (T, 17) log moves that it shares with others, and their variances
    idio            (T, 17) standard normals of its own; mixing (T,) scales a session to Student's t
    target          its own daily variance in the long run; alpha, beta of its GARCH(1,1)
    bridge          (T, 16, 2) exponentials for the extremes within sub-steps
    overnight, intraday   (T,) planted drift
    up, down        (T,) limits in basis points, 0 where none holds
    dividend, bonus (T,) dividend yield and new shares per old one, on ex-dates
    """

    first: int
    last: int
    price: float
    surprise: float
    trading: BoolArray
    common: Float64Array
    spread: Float64Array
    idio: Float64Array
    mixing: Float64Array
    target: float
    alpha: float
    beta: float
    bridge: Float64Array
    overnight: Float64Array
    intraday: Float64Array
    up: IntArray
    down: IntArray
    dividend: Float64Array
    bonus: Float64Array


class Quotes(NamedTuple):
    """What the exchange shows of one stock, in ticks; 0 where it is not listed.

    grid            (T, 17) the price after each sub-step, the open first and the close last
    high, low, prev, upper, lower   (T,); upper and lower are 0 where no limit holds
    cash, bonus     (T,) ticks and shares per old share, on the session that traded ex
    locked          (T,) 1 where the latent price lay beyond a limit all session
    latent, variance (T,) log latent price at the close, own variance expected for the session
    """

    grid: NDArray[np.int32]
    high: IntArray
    low: IntArray
    prev: IntArray
    upper: IntArray
    lower: IntArray
    cash: IntArray
    bonus: Float64Array
    locked: NDArray[np.int8]
    latent: Float64Array
    variance: Float64Array


@njit(cache=True)
def autoregress(shocks: Float64Array, persistence: float) -> Float64Array:
    """A stationary AR(1) of unit variance from standard normals, (T,)."""
    out = np.empty_like(shocks)
    out[0] = shocks[0]
    scale = np.sqrt(1.0 - persistence * persistence)
    for t in range(1, len(shocks)):
        out[t] = persistence * out[t - 1] + scale * shocks[t]
    return out


@njit(cache=True)
def variance_path(
    shocks: Float64Array, steps: Float64Array, theta: Float64Array, kappa: float, vol: float, rho: float
) -> Float64Array:
    """Variance at the start of each sub-step, (T, 17): CIR by full truncation Euler, starting at theta[0].

    shocks (T, 17, 2): the price's and the variance's own; steps (17,) in years; theta (T,) may switch regimes.
    """
    out = np.empty(shocks.shape[:2])
    v = theta[0]
    for t in range(shocks.shape[0]):
        for u in range(shocks.shape[1]):
            out[t, u] = max(v, 0.0)
            both = rho * shocks[t, u, 0] + np.sqrt(1.0 - rho * rho) * shocks[t, u, 1]
            v += kappa * (theta[t] - out[t, u]) * steps[u] + vol * np.sqrt(out[t, u] * steps[u]) * both
    return out


@njit(cache=True)
def walk(path: Float64Array, moves: Float64Array, spread: Float64Array, bridge: Float64Array) -> tuple[float, float]:
    """Write a session's log prices after each sub-step into path; return its extremes.

    path[0] holds the last log price on entry, the open on exit. Between sub-steps the extremes are drawn from the
    Brownian bridge of variance spread: (x0 + x1 +- sqrt((x1 - x0)^2 + 2 s^2 E)) / 2, E exponential.
    Source  11 §1
    """
    path[0] += moves[0]
    high = low = path[0]
    for u in range(1, len(path)):
        path[u] = path[u - 1] + moves[u]
        middle, square = path[u - 1] + path[u], moves[u] * moves[u]
        high = max(high, (middle + np.sqrt(square + 2.0 * spread[u] * bridge[u - 1, 0])) / 2.0)
        low = min(low, (middle - np.sqrt(square + 2.0 * spread[u] * bridge[u - 1, 1])) / 2.0)
    return high, low


@njit(cache=True)
def _clip_tick(log_price: float, lower: int, upper: int) -> int:
    return min(max(int(np.rint(np.exp(log_price) * 100.0)), lower), upper)


@njit(cache=True)
def _quote(q: Quotes, t: int, path: Float64Array, high: float, low: float, up: int, down: int) -> None:
    """Show a session's path within its limits; the latent path stays what it is."""
    lower, upper = 1, FAR
    if up > 0:
        upper, lower = _band_ticks(q.prev[t], up, down)
        q.upper[t], q.lower[t] = upper, lower
    above, below = path.min() > np.log(upper / 100.0), path.max() < np.log(lower / 100.0)
    if up > 0 and (above or below):
        limit = upper if above else lower
        q.grid[t, :] = limit
        q.high[t], q.low[t], q.locked[t] = limit, limit, 1
        return
    for u in range(len(path)):
        q.grid[t, u] = _clip_tick(path[u], lower, upper)
    q.high[t] = _clip_tick(high, lower, upper)
    q.low[t] = _clip_tick(low, lower, upper)


@njit(cache=True)
def _go_ex(c: Course, q: Quotes, t: int, close: int, dividend: float, bonus: float) -> float:
    """Set the ex-right reference price of a session; return the log drop of the price.

    The cash was announced some sessions before, as a share of the close of then.
    """
    announced = q.grid[max(t - ANNOUNCED, c.first), 16]
    cash = min(int(dividend * announced), close // 5)
    q.cash[t], q.bonus[t] = cash, bonus
    q.prev[t] = max(int(np.floor((close - cash) / (1.0 + bonus) + 0.5 + 1e-6)), 1)
    return np.log((close - cash) / (close * (1.0 + bonus)))


@njit(cache=True)
def trade(c: Course, q: Quotes) -> int:
    """Run one stock through its sessions, filling its quotes; return the position of its last session.

    A suspended stock keeps its last price while the latent price moves on. A stock that closes below its face value
    on 20 sessions in a row is delisted at once.
    """
    path, moves, spread = np.empty(17), np.empty(17), np.empty(17)
    close = int(np.rint(np.exp(c.price) * 100.0))
    latent, variance = np.log(close / 100.0) + c.surprise, c.target
    dividend, bonus, cheap = 0.0, 0.0, 0
    for t in range(c.first, c.last + 1):
        scale, own = variance * c.mixing[t] * c.mixing[t], 0.0
        for u in range(17):
            share = 0.25 if u == 0 else 0.75 / 16
            step = np.sqrt(scale * share) * c.idio[t, u]
            own += step
            moves[u] = c.common[t, u] + step + (c.overnight[t] if u == 0 else c.intraday[t] / 16)
            spread[u] = c.spread[t, u] + scale * share
        q.variance[t] = variance
        variance = c.target * (1.0 - c.alpha - c.beta) + c.alpha * own * own + c.beta * variance
        dividend, bonus = dividend + c.dividend[t], bonus + c.bonus[t]
        q.prev[t] = close
        path[0] = latent
        if c.trading[t]:
            if dividend > 0.0 or bonus > 0.0:
                path[0] += _go_ex(c, q, t, close, dividend, bonus)
                dividend, bonus = 0.0, 0.0
            high, low = walk(path, moves, spread, c.bridge[t])
            _quote(q, t, path, high, low, c.up[t], c.down[t])
            close = int(q.grid[t, 16])
            cheap = cheap + 1 if close < FACE_VALUE else 0
        else:
            walk(path, moves, spread, c.bridge[t])
            q.grid[t, :] = close
        latent = q.latent[t] = path[16]
        if cheap >= FACE_SESSIONS:
            return t
    return c.last
