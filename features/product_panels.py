"""A product of futures as one row a session: its dominant contract, its roles, its whole curve.

Roles are decided from the sessions before (features.roles), so a row never changes when later ones come.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from features.chain import Chain
from features.continuous import Continuous
from features.operators import ewma
from features.panel import BoolArray, Float64Array, IntArray
from features.roles import FAR_INTEREST, FAR_VOLUME, roles
from features.rolls import Holding

# The daily volatility, begun at the mean of the first 20 squared returns.  Source  00 §2
DECAY, START = 0.94, 20
# Fewer contracts have no slope, or no curvature.
_LINE, _BEND = 2, 3


def product_panels(one: Chain, holding: Holding, series: Continuous) -> dict[str, Float64Array]:
    """Field -> its values on the chain's sessions, (T,); NaN where there is none. Fields are those of "Product".

    series  the roll-adjusted series of the chain under the holding
    """
    traded = np.where(one.traded, 1.0, np.nan)
    settled = np.where(worthy(one), one["settlement"], np.nan)
    before = {name: _shifted(one[name]) for name in ("settlement", "open_interest")}
    told = np.where(np.isfinite(one["prev_settlement"]), one["prev_settlement"], before["settlement"])
    months = one.contracts.month.astype(np.int64)
    panels = {
        "close": one["close"] * traded,
        "settlement": settled,
        "volume": one["volume"],
        "open_interest": one["open_interest"],
        "ttm": one.ttm(),
        "month": np.broadcast_to((months // 12 + 1970) * 100.0 + months % 12 + 1, one["close"].shape),
    }
    out = {
        f"{name}_{role}": _of(panel, at[:-1])
        for role, at in roles(one, holding).items()
        for name, panel in panels.items()
    }
    held = holding.held[:-1]
    out |= {name: _of(one[name] * traded, held) for name in ("open", "high", "low", "close")}
    out |= {"settlement": _of(one["settlement"], held), "prev_settlement": _of(told, held)}
    out["prev_open_interest"] = _of(before["open_interest"], held)
    return out | of_series(series) | _curve(one, settled) | {"roll_slope": _roll_slope(one, series)}


def of_series(series: Continuous) -> dict[str, Float64Array]:
    """What a roll-adjusted series tells of its product: all that there is of one that a vendor spliced."""
    return {
        "close": series.close,
        "settlement": series.settlement,
        "open_interest": series.open_interest,
        "volume": series.volume,
        "ret": series.ret,
        "sigma": np.sqrt(ewma(series.ret[:, None] ** 2, DECAY, START)[0][:, 0]),
        "is_roll": series.is_roll.astype(np.float64),
    }


def worthy(one: Chain) -> BoolArray:
    """Where a contract's settlement belongs to the curve, (T, N).

    Not in its final session, nor without open interest, nor where it stands still without a trade (E-EXP, E-STALE). An
    interest that nobody publishes does not speak against it.  Source  04 §1, 00 §4
    """
    left = one.sessions_left()[:-1] >= 1
    unmoved = (one["settlement"] == _shifted(one["settlement"])) | (one["settlement"] == one["prev_settlement"])
    stale = unmoved & (one["volume"] == 0)
    return np.asarray(one.alive[:-1] & left & (one["settlement"] > 0) & ~(one["open_interest"] <= 0) & ~stale)


def _of(panel: Float64Array, at: IntArray) -> Float64Array:
    """The cell of each session's contract, (T,); NaN where there is none."""
    if not panel.shape[1]:
        return np.full(len(at), np.nan)
    return np.where(at >= 0, panel[np.arange(len(at)), np.maximum(at, 0)], np.nan)


def _shifted(panel: Float64Array) -> Float64Array:
    """The session before, of the same contract."""
    return np.concatenate([np.full((1, panel.shape[1]), np.nan), panel[:-1]])


def _curve(one: Chain, settled: Float64Array) -> dict[str, Float64Array]:
    """Slope and curvature of ln F over T on all liquid contracts that may have a role.  Source  FUT-07, 04 §3"""
    interest = one["open_interest"]
    silent = ~np.asarray(np.isfinite(interest).any(axis=1, keepdims=True))
    liquid = (one["volume"] >= FAR_VOLUME) & ((interest >= FAR_INTEREST) | silent)
    fit = liquid & one.holdable()[:-1] & np.isfinite(settled)
    years, level = one.ttm(), np.log(settled)
    count = fit.sum(axis=1)
    return {
        "chain_contracts": count.astype(np.float64),
        "chain_slope": np.where(count >= _LINE, _slope(years, level, fit), np.nan),
        "chain_curvature": _curvature(years, level, fit),
    }


def _slope(years: Float64Array, level: Float64Array, fit: BoolArray) -> Float64Array:
    """Least squares over the contracts that fit, (T,)."""
    x, y = np.where(fit, years, 0.0), np.where(fit, level, 0.0)
    many = np.maximum(fit.sum(axis=1, keepdims=True), 1)
    off = np.where(fit, x - x.sum(axis=1, keepdims=True) / many, 0.0)
    from_mean = y - y.sum(axis=1, keepdims=True) / many
    spread = (off**2).sum(axis=1)
    return np.where(spread > 0, (off * from_mean).sum(axis=1) / np.where(spread > 0, spread, 1.0), np.nan)


def _curvature(years: Float64Array, level: Float64Array, fit: BoolArray) -> Float64Array:
    """Twice the second divided difference of the nearest, the farthest and the one nearest to their middle, (T,)."""
    out = np.full(len(fit), np.nan)
    for t in np.flatnonzero(fit.sum(axis=1) >= _BEND):
        own = np.flatnonzero(fit[t])
        first, *between, last = own
        middle = (years[t, first] + years[t, last]) / 2
        mid = min(between, key=lambda c: abs(years[t, c] - middle))
        (a, b, c), (u, v, w) = years[t, [first, mid, last]], level[t, [first, mid, last]]
        if a < b < c:
            out[t] = 2 * ((w - v) / (c - b) - (v - u) / (b - a)) / (c - a)
    return out


def _roll_slope(one: Chain, series: Continuous) -> Float64Array:
    """ln(new / old) of the last roll over the time between their maturities, carried to the next, (T,)."""
    out = np.full(len(one.sessions), np.nan)
    ends = dict(zip(one.contracts.ids.tolist(), one.contracts.last_day, strict=True))
    for roll in series.rolls.filter(pl.col("spread").is_not_null()).iter_rows(named=True):
        years = float((ends[roll["to"]] - ends[roll["from"]]).astype(np.float64)) / 365.0
        if years > 0:
            out[int(one.sessions.searchsorted(np.datetime64(roll["date"]))) :] = roll["spread"] / years
    return out
