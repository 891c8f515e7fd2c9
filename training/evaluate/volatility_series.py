"""What is drawn of volatility forecasts, for the page and for the pictures alike: the same numbers twice.

A forecast made at row t is about row t + 1; `ahead` moves it there, so that it stands over what it was about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from training.evaluate.ic import ANN_DAYS

SERVED_COLOUR, BASE_COLOUR = "#1f5fa8", "#7a7a7a"
PALETTE = ("#d9822b", "#3a8f5c", "#7b5ea7", "#b5382f", "#2a9d9d", "#a0783c", "#c65b9c", "#5d6d1e")
VAR_COLOURS = ("#d9822b", "#b5382f", "#6b1f19")
BAND_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def annualised(variance: Float64Array, horizon: int | IntArray = 1) -> Float64Array:
    """Volatility a year, in per cent, of variances of the return over some sessions."""
    return np.asarray(100 * np.sqrt(variance * ANN_DAYS / horizon), np.float64)


def ahead(values: Float64Array) -> Float64Array:
    """Forecasts (n, ...) made at each row, at the row that they are about; the first row has none."""
    moved = np.full_like(values, np.nan)
    moved[1:] = values[:-1]
    return moved


def breached(returns: Float64Array, var: Float64Array) -> BoolArray:
    """Sessions (n, L) whose loss went beyond the value at risk (n, L) of the session before."""
    return np.asarray(returns[:, None] < -ahead(var), np.bool_)


def block_size(n: int, points: int) -> int:
    """Sessions that one point stands for, so that no more than so many points are drawn."""
    return max(1, -(-n // max(points, 1)))


def block_mean(values: Float64Array, size: int) -> Float64Array:
    """Means (m,) of what is known in each block of rows, NaN where nothing is."""
    known = np.isfinite(values)
    starts = np.arange(0, len(values), size)
    count = np.add.reduceat(known.astype(np.int64), starts)
    total = np.add.reduceat(np.where(known, values, 0.0), starts)
    return np.divide(total, count, out=np.full(len(starts), np.nan), where=count > 0)


def block_worst(values: Float64Array, size: int) -> Float64Array:
    """The least (m,) of what is known in each block of rows, NaN where nothing is."""
    least = np.minimum.reduceat(np.where(np.isfinite(values), values, np.inf), np.arange(0, len(values), size))
    return np.where(np.isfinite(least), least, np.nan)


def block_last(sessions: SessionArray, size: int) -> SessionArray:
    """The last session (m,) of each block of rows."""
    stops = np.minimum(np.arange(0, len(sessions), size) + size, len(sessions))
    return sessions[stops - 1]


def gains(loss: Float64Array, base: Float64Array) -> Float64Array:
    """Running sum (n,) of the base's loss less the forecaster's; flat where one of them has none, NaN before both have.

    Rising: the forecaster does better than the base
    """
    ahead_by = base - loss
    known = np.isfinite(ahead_by)
    running = np.cumsum(np.where(known, ahead_by, 0.0))
    return np.where(np.logical_or.accumulate(known), running, np.nan)


def bands(served: Float64Array, horizons: Sequence[int]) -> Float64Array:
    """Quantiles (5, H) of the served forecasts' own history, annualised per cent; NaN without a forecast."""
    found = np.full((len(BAND_SHARES), len(horizons)), np.nan)
    for column, horizon in enumerate(horizons):
        known = served[np.isfinite(served[:, column]), column]
        if len(known):
            found[:, column] = np.quantile(annualised(known, horizon), BAND_SHARES)
    return found


def standing(served: Float64Array) -> Float64Array:
    """Share (H,) of the served forecasts' own history that lies at or below the last one."""
    last = latest(served)
    known = np.isfinite(served)
    below = ((served <= last) & known).sum(axis=0)
    shares = np.divide(below, known.sum(axis=0), out=np.full(len(last), np.nan), where=known.any(axis=0))
    return np.where(np.isfinite(last), shares, np.nan)


def latest(values: Float64Array) -> Float64Array:
    """What the last row (n, ...) says; NaN without rows."""
    return np.full(values.shape[1:], np.nan) if not len(values) else values[-1]


def colours(models: Iterable[str], base: str) -> dict[str, str]:
    """A colour for each model: grey for the base, the others in their order."""
    others = [model for model in models if model != base]
    found = {model: PALETTE[i % len(PALETTE)] for i, model in enumerate(others)}
    return found | {base: BASE_COLOUR}


def reach(values: Iterable[Float64Array]) -> float:
    """What the ends of the colours stand for, beyond 1: a single wild ratio must not wash out the others."""
    found = np.concatenate([np.abs(np.ravel(one) - 1) for one in values])
    found = found[np.isfinite(found) & (found > 0)]
    return float(np.clip(np.quantile(found, 0.9), 0.01, 0.5)) if len(found) else 0.01


def cell_texts(
    values: Float64Array, models: Sequence[str], base: str, base_wins: str, made_of_others: Sequence[bool] = ()
) -> list[list[str]]:
    """The ratios (P, J) as text, the least of each row starred; the base wins a tie."""
    texts = []
    apart = np.asarray(made_of_others or [False] * len(models), np.bool_)
    for row in values:
        cells = ["" if not np.isfinite(v) else f"{v:.3f}" for v in row]
        running = np.where(np.isfinite(row) & ~apart, row, np.inf)
        best = int(np.argmin(running))
        at_base = models.index(base) if base in models else best
        if running[at_base] <= running[best] and base in models and np.isfinite(running[at_base]):
            cells[at_base] = base_wins
        elif np.isfinite(running[best]):
            cells[best] = f"★ {cells[best]}"
        texts.append(cells)
    return texts


def var_colour(position: int, levels: int) -> str:
    """The colour of a level of value at risk: the highest level is the darkest."""
    return VAR_COLOURS[max(position + len(VAR_COLOURS) - levels, 0)]
