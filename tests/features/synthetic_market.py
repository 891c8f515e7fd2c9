"""A small random stock market as panels: limits, splits, late listings, suspensions, a delisting, panics."""

from __future__ import annotations

import numpy as np

from features.limits import limit_prices
from features.panel import Float64Array, Panels, SessionArray

SESSIONS, ASSETS = 620, 60
_BOARDS = np.array([0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 2.0, 0.0])
_WIDTHS = np.array([0.10, 0.20, 0.20, 0.30])
# The first days of May and of October.
_HOLIDAYS = [np.datetime64(f"{year}-{day}") for year in range(2021, 2031) for day in ("05-01", "05-02", "05-03")] + [
    np.datetime64(f"{year}-10-{day:02d}") for year in range(2021, 2031) for day in range(1, 8)
]


def stock_market(sessions: int = SESSIONS, assets: int = ASSETS, seed: int = 7) -> Panels:
    """Every field and reference fact that stock factors may ask for, NaN where a stock did not trade."""
    rng = np.random.default_rng(seed)
    shape = (sessions, assets)
    board = np.resize(_BOARDS, assets)[None, :]
    is_st = np.zeros(shape)
    is_st[:, assets // 2 : assets // 2 + assets // 3] = 1.0
    listed, traded = _life(shape, rng)
    width = np.where(is_st > 0, np.where(board == 0, 0.05, 0.20), _WIDTHS[board.astype(int)])
    fields = _prices(shape, width, np.where(is_st > 0, 0.06, 0.02), listed, rng)
    panic = np.nanmean(fields["close"] / fields["prev_close"], axis=1, keepdims=True) < 0.975
    per_trade = rng.lognormal(6.5, 0.4, shape) * np.where(panic, 0.5, 1.0)
    fields["num_trades"] = np.maximum(np.floor(fields["volume"] / per_trade), 1.0)
    fields["num_trades"][: sessions // 8] = np.nan
    fields["is_st"] = is_st
    masked = {name: np.where(traded > 0, panel, np.nan) for name, panel in fields.items()}
    facts = {
        "traded": traded,
        "listed_sessions": listed,
        "listed_count": np.sum(listed > 0, axis=1, keepdims=True).astype(np.float64),
        "board": board,
        "industry": (np.arange(assets) % 7).astype(np.float64)[None, :],
    }
    days = np.busday_offset(np.datetime64("2021-01-04"), np.arange(sessions + 1), holidays=_HOLIDAYS)
    facts |= _of_the_days(days.astype("datetime64[D]"))
    return Panels(days[:-1], np.array([f"{600000 + i}.XSHG" for i in range(assets)]), {**masked, **facts})


def _of_the_days(days: SessionArray) -> dict[str, Float64Array]:
    """Facts of each session but the last, from its date and that of the one behind it."""
    dates, behind = [d.item() for d in days[:-1]], [d.item() for d in days[1:]]
    pairs = list(zip(dates, behind, strict=True))
    facts = {
        "weekday": [d.isoweekday() for d in dates],
        "month": [d.month for d in dates],
        "month_end": [d.month != e.month for d, e in pairs],
        "before_holiday": [(e - d).days > (3 if d.isoweekday() == 5 else 1) for d, e in pairs],
    }
    return {name: np.array(fact, dtype=np.float64)[:, None] for name, fact in facts.items()}


def _life(shape: tuple[int, int], rng: np.random.Generator) -> tuple[Float64Array, Float64Array]:
    """Sessions since listing (0 before), and whether each stock traded."""
    sessions, assets = shape
    start = np.full(assets, -300)
    late = rng.choice(assets, assets // 5, replace=False)
    start[late] = rng.integers(0, max(sessions - 1, 1), len(late))
    listed = np.maximum(np.arange(sessions)[:, None] - start[None, :] + 1, 0).astype(np.float64)
    traded = (listed > 0).astype(np.float64)
    traded[rng.random(shape) < 0.01] = 0.0
    for asset in rng.choice(assets, assets // 2, replace=False):
        begin, length = rng.integers(0, sessions), rng.choice([5, 20, 21, 35, 90])
        traded[begin : begin + length, asset] = 0.0
    if assets > 1:
        traded[sessions // 2 :, 0] = 0.0
    return listed, traded


def _prices(
    shape: tuple[int, int], width: Float64Array, own: Float64Array, listed: Float64Array, rng: np.random.Generator
) -> dict[str, Float64Array]:
    """Walks in the log price within the day's limits, runs of limit-ups, and splits that halve the price."""
    sessions, assets = shape
    market = 0.012 * rng.standard_t(4, sessions) * np.where(rng.random(sessions) < 0.06, 3.0, 1.0)
    moves = market[:, None] * rng.uniform(0.5, 1.6, assets) + own * rng.standard_t(4, shape)
    out = {k: np.full(shape, np.nan) for k in ("open", "high", "low", "close", "prev_close", "limit_up", "limit_down")}
    close = np.round(rng.lognormal(2.5, 0.7, assets), 2)
    hot = np.zeros(assets, dtype=bool)
    for t in range(sessions):
        split = rng.random(assets) < 1 / 300
        prev = np.maximum(np.round(np.where(split, close / 2, close), 2), 1.0)
        free = (listed[t] > 0) & (listed[t] <= 5)
        up, down = limit_prices(prev, np.where(free, np.nan, width[t]))
        drift = (
            moves[t]
            + np.where(hot & (rng.random(assets) < 0.75), 2.5 * width[t], 0.0)
            - 0.04 * (rng.random(assets) < 0.1)
        )
        path = prev * np.exp(drift * np.linspace(0.2, 1.0, 8)[:, None] + 0.006 * rng.standard_normal((8, assets)))
        path = np.round(np.clip(path, np.where(free, 0.5, down), np.where(free, np.inf, up)), 2)
        locked = (rng.random(assets) < 0.5) & (hot | (drift < -1.5 * width[t])) & ~free
        path[:, locked] = np.where(drift[locked] > 0, up[locked], down[locked])
        close = path[-1]
        hot = close >= up - 0.005
        for name, value in zip(out, (path[0], path.max(axis=0), path.min(axis=0), close, prev, up, down), strict=True):
            out[name][t] = value
    volume = np.floor(rng.lognormal(16.0, 0.5, shape) * rng.lognormal(0, 1, assets))
    volume[:, -1] /= 1000
    middle = (out["high"] + out["low"] + out["close"]) / 3
    return {**out, "volume": volume, "total_turnover": volume * middle}
