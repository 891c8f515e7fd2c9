"""What is drawn of spreads and curves, for the page and for the pictures alike: the same numbers twice."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from features.panel import Float64Array, IntArray, SessionArray
from training.evaluate.spread_evidence import PairEvidence

SHARES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
WINDOW: Final = 250  # sessions whose quantiles are drawn behind a basis
_LEAST: Final = 60  # of them that must have a value


def trailing_quantiles(values: Float64Array, window: int = WINDOW) -> Float64Array:
    """Quantiles (n, 5) of the last sessions, this one included; NaN with fewer than 60 values among them."""
    column = pl.Series(values, dtype=pl.Float64).fill_nan(None)
    least = min(_LEAST, window)
    found = [column.rolling_quantile(share, "linear", window, min_samples=least) for share in SHARES]
    return np.column_stack([one.fill_null(np.nan).to_numpy() for one in found])


def share_below(values: Float64Array, window: int = WINDOW) -> float:
    """Share of the last sessions' values that lie at or below the last one; NaN without any."""
    known = values[-window:][np.isfinite(values[-window:])]
    return float((known <= known[-1]).mean()) if len(known) else float("nan")


def drawn_rows(n: int, life: IntArray | None, points: int) -> IntArray:
    """Rows to draw: evenly spread, at most about so many, and the first and last of every life and of all."""
    step = max(1, -(-n // max(points, 1)))
    rows = [np.arange(0, n, step), np.array([n - 1] if n else [], np.int64)]
    if life is not None and n:
        turns = np.flatnonzero(np.diff(life))
        rows += [turns, turns + 1]
    return np.unique(np.concatenate(rows)).astype(np.int64)


def broken(rows: IntArray, life: IntArray, values: Float64Array) -> Float64Array:
    """Values (m,) of the rows with a NaN put in front of every new life, so that no line leads across a roll."""
    taken = values[rows]
    return np.insert(taken, np.flatnonzero(np.diff(life[rows])) + 1, np.nan)


def broken_sessions(rows: IntArray, life: IntArray, sessions: SessionArray) -> SessionArray:
    """The sessions that `broken` values stand over; a break stands on the session of the new life."""
    taken = sessions[rows]
    at = np.flatnonzero(np.diff(life[rows])) + 1
    return np.insert(taken, at, taken[at])


def candidacies(pair: PairEvidence) -> tuple[tuple[int, int], ...]:
    """First and last row of every span over which a pair of products was a candidate; none of other pairs."""
    if not pair.screenings or not len(pair.sessions):
        return ()
    days = np.array([one.session for one in pair.screenings])
    holds = np.searchsorted(days, pair.sessions, side="right") - 1
    told = np.append([one.is_candidate for one in pair.screenings], False)[holds]
    turns = np.flatnonzero(np.diff(np.concatenate([[False], told, [False]]).astype(np.int64)))
    return tuple((int(first), int(last) - 1) for first, last in turns.reshape(-1, 2))


def extremes(values: Float64Array) -> tuple[int, ...]:
    """Rows of the lowest and of the highest value; none without any."""
    if not np.isfinite(values).any():
        return ()
    return int(np.nanargmin(values)), int(np.nanargmax(values))


def binned(forecast: Float64Array, outcome: Float64Array, bins: int = 10) -> tuple[Float64Array, Float64Array]:
    """Mean forecast and mean outcome (b,) of groups of equal size by the forecast; empty with fewer rows."""
    both = np.isfinite(forecast) & np.isfinite(outcome)
    if both.sum() < bins:
        return np.zeros(0), np.zeros(0)
    order = np.argsort(forecast[both], kind="stable")
    groups = np.array_split(order, bins)
    said, came = forecast[both], outcome[both]
    return np.array([said[g].mean() for g in groups]), np.array([came[g].mean() for g in groups])


def pricing_errors(price: Float64Array, fitted: Float64Array) -> tuple[Float64Array, Float64Array, IntArray]:
    """Root mean square and mean of ln(price / fitted), and how many, of each column (J,)."""
    away = np.log(price / fitted)
    known = np.isfinite(away)
    count = known.sum(axis=0)
    empty = np.full(away.shape[1], np.nan)
    square = np.divide(np.where(known, away**2, 0).sum(axis=0), count, out=empty.copy(), where=count > 0)
    mean = np.divide(np.where(known, away, 0).sum(axis=0), count, out=empty, where=count > 0)
    return np.sqrt(square), mean, count.astype(np.int64)
