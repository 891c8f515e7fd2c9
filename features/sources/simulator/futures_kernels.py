"""The hot loops of futures: mean-reverting states sub-step by sub-step, and the tape of a contract, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from features.limits import band_ticks
from features.panel import BoolArray, Float64Array, IntArray

_band_ticks = njit(cache=True)(band_ticks)


class Rows(NamedTuple):
    """What the quotes of M rows are made of, contract after contract, session after session. 17 sub-steps.

    lead    (M,) True on the session before a contract's first one, of which only the close is used
    path    (M, 17) log price after each sub-step, the open first, in ticks; spread (M, 17) variance of each step
    bridge  (M, 16, 2) exponentials for the extremes within sub-steps
    settle  (M, 16) weights of the sub-steps in the settlement; tape (16,) in the average price
    band    (M,) limit in basis points of the settlement before
    """

    lead: BoolArray
    path: Float64Array
    spread: Float64Array
    bridge: Float64Array
    settle: Float64Array
    tape: Float64Array
    band: IntArray


class Tape(NamedTuple):
    """Quotes of M rows in ticks, (M,) each; mean is the average price, locked is 1 or -1 at a limit all session."""

    open: IntArray
    high: IntArray
    low: IntArray
    close: IntArray
    settlement: IntArray
    prev_settlement: IntArray
    upper: IntArray
    lower: IntArray
    mean: Float64Array
    locked: IntArray


@njit(cache=True)
def revert(shocks: Float64Array, decay: Float64Array, start: float) -> Float64Array:
    """A state that falls back to 0, after each sub-step: x = decay[u] x + shocks[t, u]; (T, U) and (U,) -> (T, U)."""
    out, x = np.empty_like(shocks), start
    for t in range(shocks.shape[0]):
        for u in range(shocks.shape[1]):
            x = decay[u] * x + shocks[t, u]
            out[t, u] = x
    return out


@njit(cache=True)
def gjr_path(z: Float64Array, omega: float, alpha: float, gamma: float, beta: float) -> Float64Array:
    """Variance of each session, (T,), of a GJR-GARCH that is driven by z (T,) and starts at its mean."""
    out = np.empty_like(z)
    h = omega / (1.0 - alpha - gamma / 2.0 - beta)
    for t in range(len(z)):
        out[t] = h
        square = h * z[t] * z[t]
        h = omega + (alpha + (gamma if z[t] < 0.0 else 0.0)) * square + beta * h
    return out


@njit(cache=True)
def _tick(log_price: float, lower: int, upper: int) -> int:
    return min(max(int(np.rint(np.exp(log_price))), lower), upper)


@njit(cache=True)
def tape(rows: Rows) -> Tape:
    """Show every contract's path within its day's limits, and settle it; the path itself knows no limits.

    Settlement and average price weigh the middles of the sub-steps. Source  11 §1 (extremes), §8, §9 (settlement)
    """
    m = len(rows.path)
    ints = np.zeros((9, m), np.int64)
    out = Tape(ints[0], ints[1], ints[2], ints[3], ints[4], ints[5], ints[6], ints[7], np.zeros(m), ints[8])
    grid = np.empty(17, np.int64)
    settled = 0
    for k in range(m):
        path = rows.path[k]
        if rows.lead[k]:
            settled = int(np.rint(np.exp(path[16])))
            continue
        upper, lower = _band_ticks(settled, rows.band[k], rows.band[k])
        top = bottom = path[0]
        grid[0] = _tick(path[0], lower, upper)
        settlement, mean = 0.0, 0.0
        for u in range(1, 17):
            middle, square = path[u - 1] + path[u], (path[u] - path[u - 1]) ** 2
            top = max(top, (middle + np.sqrt(square + 2.0 * rows.spread[k, u] * rows.bridge[k, u - 1, 0])) / 2.0)
            bottom = min(bottom, (middle - np.sqrt(square + 2.0 * rows.spread[k, u] * rows.bridge[k, u - 1, 1])) / 2.0)
            grid[u] = _tick(path[u], lower, upper)
            settlement += rows.settle[k, u - 1] * (grid[u - 1] + grid[u]) / 2.0
            mean += rows.tape[u - 1] * (grid[u - 1] + grid[u]) / 2.0
        above, below = path.min() > np.log(upper), path.max() < np.log(lower)
        if above or below:
            top = bottom = np.log(upper if above else lower)
            out.locked[k] = 1 if above else -1
        out.open[k], out.close[k] = grid[0], grid[16]
        out.high[k], out.low[k] = _tick(top, lower, upper), _tick(bottom, lower, upper)
        out.upper[k], out.lower[k], out.prev_settlement[k] = upper, lower, settled
        settled = int(np.floor(settlement + 0.5))
        out.settlement[k] = settled
        out.mean[k] = min(max(mean, out.low[k]), out.high[k])
    return out
