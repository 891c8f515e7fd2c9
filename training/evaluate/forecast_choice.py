"""One forecast made of those of many models, by what their losses were when it was made.

Row t of a loss is that of the forecast made at t, over t + 1 to t + h: it is known at t + h and not before. What is
chosen at t looks at rows up to t - h alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from features.panel import BoolArray, DataError, Float64Array, IntArray
from training.evaluate.forecast_tests import compared, eliminate, resampled

_LEAST: Final = 60  # forecasts that a choice needs


def choose(
    loss: Float64Array,
    horizon: int,
    window: int = 250,
    *,
    least: int | None = None,
    available: BoolArray | None = None,
    since: int = 0,
) -> IntArray:
    """Model of least mean loss over the last `window` forecasts whose horizon has ended, at every origin, (n,).

    loss       (n, J); NaN where a model has no forecast, or the horizon is not over
    least      forecasts that a choice needs (60, or the window where it is shorter); -1 where there are fewer. A model
               with a tenth fewer than the fullest is not chosen; the others are compared on forecasts that all have
    available  (n, J) models that have a forecast at the origin; None: all. -1 where none that is compared has one
    since      the first origin that is asked about; -1 before it
    Ties       the first of the models
    """
    least = _least(loss, horizon, window, least)
    chosen = np.full(len(loss), -1)
    for t, seen in _windows(loss, horizon, window, 1, least, since):
        rows, models = compared(seen, least)
        if available is not None:
            models = models & available[t]
        if models.any():
            names = np.flatnonzero(models)
            chosen[t] = names[np.argmin(seen[np.ix_(rows, models)].mean(axis=0))]
    return chosen


def confidence_sets(
    loss: Float64Array,
    horizon: int,
    window: int = 250,
    *,
    every: int = 20,
    size: float = 0.10,
    block: float = 10,
    reps: int = 1000,
    seed: int,
    least: int | None = None,
    since: int = 0,
) -> BoolArray:
    """Model confidence set of the last `window` forecasts whose horizon has ended, at every origin, (n, J).

    A set is made anew every `every` origins and holds in between; no model is in one before `least` forecasts are over.
    block  mean length of the resampled blocks; at least the horizon, over which losses overlap
    least  forecasts that a set needs, as in `choose`
    since  the first origin that is asked about; what stands before it says nothing
    """
    least = _least(loss, horizon, window, least)
    member = np.zeros(loss.shape, bool)
    draws: dict[int, Float64Array] = {}  # the same resamples for every window of one length
    for t, seen in _windows(loss, horizon, window, every, least, since):
        rows, models = compared(seen, least)
        n = int(np.count_nonzero(rows))
        if n and n not in draws:
            draws[n] = resampled(n, min(max(block, horizon), n), reps, seed)
        stays = np.zeros(len(models), bool)
        if n:
            stays[models] = eliminate(seen[np.ix_(rows, models)], draws[n]) > size
        member[t : t + every] = stays
    return member


def chosen(variance: Float64Array, choice: IntArray) -> Float64Array:
    """Of variances (n, J) those of the chosen models, (n,); NaN where none is chosen."""
    picked = np.take_along_axis(variance, np.maximum(choice, 0)[:, None], axis=1)[:, 0]
    return np.where(choice >= 0, picked, np.nan)


def combined(variance: Float64Array, members: BoolArray) -> Float64Array:
    """Geometric mean of the members' variances, (n, J) -> (n,); of those that have a forecast, NaN where none has."""
    used = members & np.isfinite(variance)
    count = used.sum(axis=1)
    logs = np.log(variance, out=np.zeros_like(variance), where=used).sum(axis=1)
    return np.exp(np.divide(logs, count, out=np.full(len(variance), np.nan), where=count > 0))


def _windows(
    loss: Float64Array, horizon: int, window: int, every: int, least: int, since: int
) -> Iterator[tuple[int, Float64Array]]:
    """Origins at which enough forecasts are over, every so many, with the losses known then.

    A row that no model has a loss in (a proxy of nought) is no forecast: windows count over it.
    """
    told = np.flatnonzero(np.isfinite(loss).any(axis=1))
    dense = loss[told]
    if len(told) < least:
        return
    first = int(told[least - 1]) + horizon
    over = np.searchsorted(told, np.arange(len(loss)) - horizon, side="right")
    # The grid hangs on the first window, whatever is asked about.
    start = first + max(0, since - first) // every * every
    for t in range(start, len(loss), every):
        end = int(over[t])
        yield t, dense[max(end - window, 0) : end]


def _least(loss: Float64Array, horizon: int, window: int, least: int | None) -> int:
    least = min(_LEAST, window) if least is None else least
    if loss.ndim != 2 or horizon < 1 or not 1 <= least <= window:
        found = f"{loss.shape}, horizon {horizon}, window {window}, least {least}"
        must = "losses must be (n, models), the horizon positive and 1 <= least <= window"
        raise DataError("choice of a model", must, found)
    return least
