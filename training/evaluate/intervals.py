"""Bands that learn from their misses, and the return that a score has lately been worth.

Both know on a session only outcomes that were complete by then.
Source  09 §4, §5; Romano, Patterson and Candès 2019 (CQR); Gibbs and Candès 2021 (adaptive conformal inference);
        Grinold 1994 (IC x volatility x score)
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from features.panel import BoolArray, DataError, Float64Array, IntArray
from training.evaluate.significance import newey_west, overlap_lag

MIN_SESSIONS: Final = 20  # complete sessions without which there is no margin
LEVEL_RANGE: Final = (0.001, 0.5)  # what the level is clipped to: half of the outcomes outside is no band any more
IC_SESSIONS: Final = 250


@dataclass(frozen=True)
class Bands:
    """Bands of the sessions first ... stop - 1; NaN elsewhere and where nothing could be told.

    margin      (T,) what was added to both ends of the raw band; negative: it was too wide
    level       (T,) share of misses that the margin was set for
    lo, hi      (T, N) the band
    missed      (T,) share of a session's outcomes outside its band, where all were known by the last session
    next_level  the level of session `stop`
    """

    margin: Float64Array = field(repr=False)
    level: Float64Array = field(repr=False)
    lo: Float64Array = field(repr=False)
    hi: Float64Array = field(repr=False)
    missed: Float64Array = field(repr=False)
    next_level: float


def adaptive_bands(
    lo: Float64Array,
    hi: Float64Array,
    y: Float64Array,
    exit: IntArray,
    *,
    first: int,
    stop: int,
    coverage: float = 0.9,
    calibration: int = 120,
    rate: float = 0.01,
    level: float | None = None,
    margin: Float64Array | None = None,
) -> Bands:
    """Raw quantiles widened or narrowed, session by session, by how they did on outcomes known by then.

    A session is complete once all its labels are. On t the margin is the ceil((n + 1)(1 - level))-th smallest of the n
    scores max(lo - y, y - hi) of the last `calibration` complete sessions (the largest score, where n is too small for
    the level), and then the level moves by rate * (1 - coverage - misses) for every session that became complete on t,
    its misses judged by the band that it was given. The level stays within [.001, .5].

    lo, hi  (T, N) raw lower and upper quantile of decisions on t, NaN where there is none
    y       (T, N) outcomes in the unit of the quantiles
    exit    (T, N) row on which the outcome became known, -1 where there is none. One that is still to come must hold a
            row that is still to come (T will do): with -1 its session would count as complete without it
    level   of session `first`; 1 - coverage by default. With `margin` (T,) of the sessions before, a run from first to
            mid and one from mid on, given next_level and margin of the other, are one run
    NaN     fewer than 20 complete sessions: no margin, no band
    Source  09 §5
    """
    target = 1 - coverage
    start = target if level is None else level
    _refuse_settings(lo.shape, first, stop, coverage, calibration, rate, start)
    score, usable = _scores(lo, hi, y, exit)
    t_count = len(lo)
    known = _known_from(exit)
    margins = np.full(t_count, np.nan) if margin is None else margin.astype(np.float64)
    margins[first:] = np.nan
    levels, missed = np.full(t_count, np.nan), np.full(t_count, np.nan)
    some, now = usable.any(axis=1), float(np.clip(start, *LEVEL_RANGE))
    complete: list[int] = np.flatnonzero(some & (known < first)).tolist()
    for t in range(first, stop):
        fresh = np.flatnonzero(some & (known == t)).tolist()
        for s in fresh:
            insort(complete, s)
        levels[t] = now
        if len(complete) >= MIN_SESSIONS:
            margins[t] = _margin(score[complete[-calibration:]], now)
        for s in fresh:
            if math.isfinite(margins[s]):
                missed[s] = (score[s, usable[s]] > margins[s]).mean()
                now = float(np.clip(now + rate * (target - missed[s]), *LEVEL_RANGE))
    return Bands(margins, levels, *_widened(lo, hi, margins, first), missed, now)


def _refuse_settings(
    shape: tuple[int, ...], first: int, stop: int, coverage: float, calibration: int, rate: float, level: float
) -> None:
    if not (len(shape) == 2 and 0 <= first <= stop <= shape[0]):
        raise DataError("bands", "0 <= first <= stop <= T must hold", f"{first} and {stop} of {shape}")
    if not (0 < coverage < 1 and calibration >= MIN_SESSIONS and 0 <= rate < 1 and 0 < level < 1):
        raise DataError(
            "bands",
            f"coverage, level in (0, 1), calibration >= {MIN_SESSIONS}, rate in [0, 1) must hold",
            f"coverage {coverage}, level {level}, calibration {calibration}, rate {rate}",
        )


def _scores(lo: Float64Array, hi: Float64Array, y: Float64Array, exit: IntArray) -> tuple[Float64Array, BoolArray]:
    """How far each outcome lies outside its raw band (negative: inside), inf where there is none; and where it is."""
    if not lo.shape == hi.shape == y.shape == exit.shape:
        raise DataError("bands", f"lo, hi, y and exit must share the shape {lo.shape}", f"{y.shape} and {exit.shape}")
    crossed = lo > hi
    if crossed.any():
        t, n = np.argwhere(crossed)[0]
        raise DataError("bands", "lo must not be above hi", f"{lo[t, n]} and {hi[t, n]}", f"row {t}, column {n}")
    early = (exit >= 0) & (exit <= np.arange(len(exit))[:, None])
    if early.any():
        t, n = np.argwhere(early)[0]
        raise DataError("bands", "an outcome is known after its decision", f"{exit[t, n]}", f"row {t}, column {n}")
    away = np.maximum(lo - y, y - hi)
    usable = (exit >= 0) & np.isfinite(away)
    return np.where(usable, away, np.inf), usable


def _known_from(exit: IntArray) -> IntArray:
    """Row from which on all labels of a session are known, (T,); beyond all rows where it has none."""
    latest = exit.max(axis=1, initial=-1)
    return np.where(latest >= 0, latest, np.iinfo(np.int64).max)


def _margin(scores: Float64Array, level: float) -> float:
    pool = scores.ravel()
    n = int(np.isfinite(pool).sum())
    # Rounding must not push a whole number, such as 10 * .9, to the next.
    rank = min(math.ceil((n + 1) * (1 - level) - 1e-9), n)
    return float(np.partition(pool, rank - 1)[rank - 1])


def _widened(lo: Float64Array, hi: Float64Array, margin: Float64Array, first: int) -> tuple[Float64Array, Float64Array]:
    """The bands of the sessions from `first` on; ends that a negative margin would make cross meet in the middle."""
    lower, upper = np.full(lo.shape, np.nan), np.full(hi.shape, np.nan)
    lower[first:], upper[first:] = lo[first:] - margin[first:, None], hi[first:] + margin[first:, None]
    middle = (lo + hi) / 2
    crossed = lower > upper
    return np.where(crossed, middle, lower), np.where(crossed, middle, upper)


def coverage_by_session(bands: Bands, y: Float64Array, exit: IntArray) -> Float64Array:
    """Share of a session's outcomes within its band, ends included, (T,); NaN without both."""
    judged = (exit >= 0) & np.isfinite(y) & np.isfinite(bands.lo) & np.isfinite(bands.hi)
    within = judged & (y >= bands.lo) & (y <= bands.hi)
    return _row_mean(within.astype(np.float64), judged)


def mean_width(bands: Bands) -> Float64Array:
    """Mean width of a session's bands, (T,), in the unit of the outcomes; NaN without one."""
    return _row_mean(bands.hi - bands.lo, np.isfinite(bands.hi - bands.lo))


def _row_mean(values: Float64Array, chosen: BoolArray) -> Float64Array:
    n = chosen.sum(axis=1)
    total = np.where(chosen, values, 0.0).sum(axis=1)
    return np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)


def rolling_coverage(coverage: Float64Array, window: int = 60) -> Float64Array:
    """Mean coverage (T,) of the last `window` sessions that have one; NaN before there are so many."""
    told = np.flatnonzero(np.isfinite(coverage))
    out = np.full(len(coverage), np.nan)
    if len(told) >= window:
        out[told[window - 1 :]] = np.lib.stride_tricks.sliding_window_view(coverage[told], window).mean(axis=1)
    return out


def share_within(rolling: Float64Array, lo: float = 0.87, hi: float = 0.93) -> float:
    """Share of the rolling coverages (T,) within [lo, hi]; NaN without one."""
    told = rolling[np.isfinite(rolling)]
    return float(((told >= lo) & (told <= hi)).mean()) if len(told) else math.nan


def shrunk_ic(ic: Float64Array, horizon: int) -> float:
    """Mean of the last 250 daily RankICs, shrunk towards nought by how well it is told from nought.

    The factor is the positive part of 1 - 1/t² (James and Stein) with the Newey-West t of overlapping outcomes.
    ic      (n,) oldest first, of sessions whose outcomes are all known; NaN are left out
    Source  09 §4
    """
    lately = ic[np.isfinite(ic)][-IC_SESSIONS:]
    mean = newey_west(lately, overlap_lag(horizon, len(lately)))
    # An IC that cannot be told from nought promises nothing.
    return mean.mean * max(0.0, 1 - 1 / mean.t**2) if abs(mean.t) > 0 else 0.0


def mu_hat(score: Float64Array, sigma: Float64Array, ic: float) -> Float64Array:
    """Expected outcome ic * sigma * z(score), z over the assets of each session that have a score; (N,) or (T, N).

    sigma   volatility of the outcome of each asset, whose unit the result has
    NaN     no score or no sigma; a session whose scores are all the same
    Source  09 §4
    """
    told = np.isfinite(score)
    n = np.maximum(told.sum(axis=-1, keepdims=True), 1)
    away = np.where(told, score, 0.0)
    away = np.where(told, away - away.sum(axis=-1, keepdims=True) / n, 0.0)
    spread = np.sqrt((away**2).sum(axis=-1, keepdims=True) / n)
    top = np.where(told, score, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    varies = told & (top > np.where(told, score, np.inf).min(axis=-1, keepdims=True, initial=np.inf)) & (spread > 0)
    z = np.divide(away, spread, out=np.full(score.shape, np.nan), where=varies)
    return ic * sigma * z + 0.0  # an IC of nought promises 0, not -0
