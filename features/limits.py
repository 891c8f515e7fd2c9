"""Price limits of the Shanghai, Shenzhen and Beijing exchanges: boards, dated percentages, exact limit prices.

Prices are counted in ticks and percentages in basis points, so that a limit price is decimal half-up rounding and
never that of binary floats. Source  10 §2 (rules of the three exchanges).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.panel import BoolArray, DataError, Float64Array, IntArray, SessionArray

STOCK_TICK = 0.01
FUND_TICK = 0.001

MAIN_LIMITS_FROM = np.datetime64("1996-12-16", "D")
STAR_FROM = np.datetime64("2019-07-22", "D")
CHINEXT_FROM = np.datetime64("2009-10-30", "D")
CHINEXT_REFORM = np.datetime64("2020-08-24", "D")
BSE_FROM = np.datetime64("2021-11-15", "D")
MAIN_REGISTRATION = np.datetime64("2023-04-10", "D")
MAIN_ST_CHANGE = np.datetime64("2026-07-06", "D")

FIRST_DAY_UP, FIRST_DAY_DOWN = 4400, 3600
"""Basis points of the issue price on the first session, before a board went over to registration."""

_BASIS = 10_000
_PREFIXES = {
    "XSHG": (
        ("688", "star"),
        ("689", "star"),
        ("60", "main"),
        ("588", "fund_star"),
        ("589", "fund_star"),
        ("5", "fund"),
    ),
    "XSHE": (
        ("300", "chinext"),
        ("301", "chinext"),
        ("302", "chinext"),
        ("00", "main"),
        ("15", "fund"),
        ("16", "fund"),
    ),
    "BJSE": (("8", "bse"), ("4", "bse"), ("92", "bse")),
}


def board(order_book_id: str) -> str:
    """The board that sets an asset's price limits, told from its code.

    Gives   main, star, chinext, bse for stocks; fund, fund_star for ETFs and LOFs. A fund on an index of ChiNext
            stocks cannot be told from its code: pass "fund_chinext" to limit_pct for it.
    Errors  DataError for a code of another kind (an index, a bond, a B share)
    """
    code, _, exchange = order_book_id.partition(".")
    for prefix, name in _PREFIXES.get(exchange, ()):
        if code.startswith(prefix):
            return name
    raise DataError(
        "board",
        "the code must be a stock's or a fund's, such as 600000.XSHG",
        repr(order_book_id),
        help="Indices, bonds and B shares have no board.",
    )


def boards(order_book_ids: Sequence[str] | NDArray[np.str_]) -> NDArray[np.str_]:
    """The board of each asset, (N,)."""
    return np.array([board(str(i)) for i in order_book_ids], dtype=np.str_)


def band_ticks(prev: IntArray, up: IntArray, down: IntArray) -> tuple[IntArray, IntArray]:
    """Upper and lower limit in ticks from the reference price in ticks and two percentages in basis points.

    Integers of any one shape (plain numbers too, so that a compiled kernel may call it). A limit that would round
    to the reference price stands one tick away from it; the lower one is at least a tick.
    """
    upper = np.maximum((prev * (_BASIS + up) + _BASIS // 2) // _BASIS, prev + 1)
    lower = np.minimum((prev * (_BASIS - down) + _BASIS // 2) // _BASIS, prev - 1)
    return upper, np.maximum(lower, 1)


def limit_prices(prev_close: ArrayLike, pct: ArrayLike, tick: float = STOCK_TICK) -> tuple[Float64Array, Float64Array]:
    """The day's (limit_up, limit_down): prev_close x (1 +- pct), rounded half-up to the tick.

    Shape   any two shapes that broadcast
    Unit    prices in the asset's currency; pct a decimal, .1 for ten per cent, exact to a basis point
    NaN     prev_close missing or not positive; pct NaN (no limit holds)
    Errors  DataError if the tick is not positive
    Source  10 §2; |limit - prev_close| < tick gives prev_close +- tick, limit_down >= tick
    """
    if not tick > 0:
        raise DataError("limit_prices", "the tick must be positive", repr(tick))
    return _limit_prices(prev_close, pct, pct, tick)


def first_day_limit_prices(issue_price: ArrayLike, tick: float = STOCK_TICK) -> tuple[Float64Array, Float64Array]:
    """Limits of a first session before registration: 44 % above, 36 % below the issue price.

    Shape   any; NaN where the issue price is missing. Which sessions: first_day_band.
    """
    return _limit_prices(issue_price, FIRST_DAY_UP / _BASIS, FIRST_DAY_DOWN / _BASIS, tick)


def _limit_prices(
    prev_close: ArrayLike, up: ArrayLike, down: ArrayLike, tick: float
) -> tuple[Float64Array, Float64Array]:
    exact = Fraction(str(tick))
    prev, above, below = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (prev_close, up, down)))
    held = (prev > 0) & np.isfinite(prev) & np.isfinite(above) & np.isfinite(below)
    ticks = np.rint(np.where(held, prev, 1.0) * exact.denominator / exact.numerator).astype(np.int64)
    points = [np.rint(np.where(held, p, 0.0) * _BASIS).astype(np.int64) for p in (above, below)]
    upper, lower = band_ticks(ticks, points[0], points[1])
    return (
        np.where(held, upper * exact.numerator / exact.denominator, np.nan),
        np.where(held, lower * exact.numerator / exact.denominator, np.nan),
    )


def ex_right_price(
    close: ArrayLike,
    cash: ArrayLike = 0.0,
    bonus: ArrayLike = 0.0,
    rights: ArrayLike = 0.0,
    rights_price: ArrayLike = 0.0,
    tick: float = STOCK_TICK,
) -> Float64Array:
    """The reference price on an ex-date, (C - D + K k) / (1 + s + k), rounded half-up to the tick.

    Shape   any that broadcast; cash D and rights price K per old share, bonus s and rights k new shares per old one
    NaN     close NaN
    Source  10 §2
    """
    old = np.asarray(close, np.float64) - np.asarray(cash) + np.asarray(rights_price) * np.asarray(rights)
    price = old / (1.0 + np.asarray(bonus) + np.asarray(rights))
    per = Fraction(str(tick))
    # a millionth of a tick lifts decimal halves that binary division left just below
    return np.floor(price * per.denominator / per.numerator + 0.5 + 1e-6) * per.numerator / per.denominator


def limit_pct(
    boards: NDArray[np.str_],
    sessions: SessionArray,
    is_st: BoolArray | Float64Array,
    listed_sessions: IntArray | Float64Array,
    no_limit: BoolArray | None = None,
    main_st_change: np.datetime64 = MAIN_ST_CHANGE,
) -> Float64Array:
    """The percentage that bounds each asset's price on each session, (T, N).

    Inputs  boards (N,) as `board` names them; sessions (T,); is_st (T, N), NaN counts as not ST; listed_sessions
            (T, N), 1 on the session of the listing; no_limit (T, N), further sessions that a loader knows to be
            free: the first of a relisting, the first of a delisting period
    Unit    decimal
    NaN     no such limit holds: not listed yet, the board not yet open, the first five sessions of an IPO on STAR,
            on ChiNext from 2020-08-24 and on the main board from 2023-04-10, the first session on the BSE; also
            the first session before those dates, when 44 % / 36 % of the issue price held (first_day_band)
    Errors  DataError for an unknown board or shapes that do not agree
    Source  10 §2
    """
    days, shape = np.asarray(sessions, "datetime64[D]"), (len(sessions), len(boards))
    age = np.nan_to_num(np.asarray(listed_sessions, np.float64), nan=0.0)
    st = np.nan_to_num(np.asarray(is_st, np.float64), nan=0.0) > 0
    for name, panel in (("is_st", st), ("listed_sessions", age), ("no_limit", no_limit)):
        if panel is not None and panel.shape != shape:
            raise DataError("limit_pct", f"{name} must have the shape {shape}", f"{panel.shape}")
    out = np.full(shape, np.nan)
    for name in np.unique(boards):
        columns = boards == name
        pct, free = _board_pct(str(name), days, main_st_change)
        out[:, columns] = np.where(st[:, columns], pct[1][:, None], pct[0][:, None])
        out[:, columns] = np.where(age[:, columns] <= free[:, None], np.nan, out[:, columns])
    return out if no_limit is None else np.where(no_limit, np.nan, out)


def first_day_band(
    boards: NDArray[np.str_], sessions: SessionArray, listed_sessions: IntArray | Float64Array
) -> BoolArray:
    """Where the +44 % / -36 % band of the issue price holds: first sessions before registration, (T, N)."""
    days = np.asarray(sessions, "datetime64[D]")[:, None]
    before = ((boards == "main") & (days < MAIN_REGISTRATION)) | ((boards == "chinext") & (days < CHINEXT_REFORM))
    return before & (np.asarray(listed_sessions) == 1)


def _board_pct(name: str, days: SessionArray, main_st_change: np.datetime64) -> tuple[Float64Array, IntArray]:
    """Percentages (2, T) without and with ST, and the number of first sessions (T,) that they do not bind."""
    t = len(days)
    if name == "main":
        plain = np.where(days >= MAIN_LIMITS_FROM, 0.10, np.nan)
        st = np.where(days >= main_st_change, plain, plain / 2)
        return np.stack([plain, st]), np.where(days >= MAIN_REGISTRATION, 5, 1)
    if name == "star":
        return np.tile(np.where(days >= STAR_FROM, 0.20, np.nan), (2, 1)), np.full(t, 5)
    if name == "chinext":
        reformed = days >= CHINEXT_REFORM
        return np.tile(np.where(reformed, 0.20, 0.10), (2, 1)), np.where(reformed, 5, 1)
    if name == "bse":
        return np.tile(np.where(days >= BSE_FROM, 0.30, np.nan), (2, 1)), np.full(t, 1)
    if name == "fund":
        return np.full((2, t), 0.10), np.zeros(t, np.int64)
    if name == "fund_star":
        return np.full((2, t), 0.20), np.zeros(t, np.int64)
    if name == "fund_chinext":
        return np.tile(np.where(days >= CHINEXT_REFORM, 0.20, 0.10), (2, 1)), np.zeros(t, np.int64)
    known = "main, star, chinext, bse, fund, fund_star, fund_chinext"
    raise DataError("limit_pct", f"a board must be one of {known}", repr(name))
