"""Value at risk and expected shortfall of futures returns: parametric for the next session, simulated beyond it.

Both are of log returns, positive = loss, at levels such as 0.99. Longer horizons are filtered historical simulation
(Barone-Adesi, Giannopoulos and Vosper 1999): standardised residuals are drawn with replacement, the model's own
recursion carries the variance, and the returns are cumulated.
Source  spec 04 §5
"""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from features.panel import Float64Array, IntArray
from models.base import FitError
from models.volatility.base import FittedVolatility, Forecasts, Returns

PATHS = 10_000


@dataclass(frozen=True)
class Tails:
    """Tails of the returns cumulated over horizons, and the paths that they were read from.

    value_at_risk, shortfall  (H, L) by horizon and level
    cumulated                 (P, H) returns of the paths over each horizon
    """

    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    value_at_risk: Float64Array = field(repr=False)
    shortfall: Float64Array = field(repr=False)
    cumulated: Float64Array = field(repr=False)


def next_session(
    fitted: FittedVolatility, ahead: Forecasts, levels: Sequence[float]
) -> tuple[Float64Array, Float64Array]:
    """Value at risk and shortfall (n, L) of the next session from the law of the innovations.

    ahead  forecasts whose first horizon is 1
    """
    below = _shares(levels)
    mean, sigma = ahead.mean[:, :1], np.sqrt(ahead.variance[:, :1])
    return -(mean + sigma * fitted.quantile(below)), -(mean + sigma * fitted.tail_mean(below))


def tails(
    fitted: FittedVolatility,
    returns: Returns,
    horizons: Sequence[int],
    levels: Sequence[float],
    *,
    paths: int = PATHS,
    seed: int,
) -> Tails:
    """Tails after the last return: of one session parametric, of more from one set of paths.

    returns  those that the residuals are drawn from, the fit's window with what came since
    seed     `seed_of` the product and the session
    """
    ahead = tuple(horizons)
    if not ahead or min(ahead) < 1 or sorted(set(ahead)) != list(ahead):
        raise FitError("tails", "horizons must rise from 1 session or more", f"{ahead}")
    cumulated = cumulate(simulate(fitted, returns, max(ahead), paths=paths, seed=seed), ahead)
    var, es = sample_tails(cumulated, levels)
    if ahead[0] == 1:
        last = np.array([len(returns) - 1], dtype=np.int64)
        one_var, one_es = next_session(fitted, fitted.forecast(returns, last, (1,)), levels)
        var[0], es[0] = one_var[0], one_es[0]
    return Tails(ahead, tuple(levels), var, es, cumulated)


def simulate(
    fitted: FittedVolatility, returns: Returns, sessions: int, *, paths: int = PATHS, seed: int
) -> Float64Array:
    """Returns of the sessions ahead by filtered historical simulation, (P, sessions)."""
    struck = np.flatnonzero(np.isfinite(fitted.filter(returns).residuals(returns)))
    if len(struck) == 0:
        raise FitError("simulation", "there must be standardised residuals to draw from", f"{len(returns)} returns")
    return fitted.draw(returns, struck[positions(len(struck), paths, sessions, seed)])


def positions(count: int, paths: int, sessions: int, seed: int) -> IntArray:
    """Positions below `count` drawn with replacement, (P, sessions)."""
    return np.random.default_rng(seed).integers(count, size=(paths, sessions), dtype=np.int64)


def seed_of(product: str, session: datetime.date) -> int:
    """The seed of a product on a session: a digest of both, so that it is the same everywhere and always."""
    told = f"{product} {session:%Y-%m-%d}".encode()
    return int.from_bytes(hashlib.blake2b(told, digest_size=6).digest(), "big")


def cumulate(drawn: Float64Array, horizons: Sequence[int]) -> Float64Array:
    """Returns of paths (P, sessions) summed over each horizon, (P, H)."""
    return np.cumsum(drawn, axis=1)[:, np.asarray(horizons) - 1]


def sample_tails(cumulated: Float64Array, levels: Sequence[float]) -> tuple[Float64Array, Float64Array]:
    """Value at risk and shortfall (H, L) of samples (P, H).

    Of P returns the k = ⌈(1 - level) P⌉ worst are the tail: the best of them is the value at risk, their mean the
    shortfall.
    """
    n = len(cumulated)
    # A level is no binary fraction: 1 - 0.99 is a little more than 1 %.
    worst = [max(1, math.ceil(round(share * n, 6))) for share in _shares(levels)]
    if max(worst) > n:
        raise FitError("tails", "there must be a path in every tail", f"{n} paths")
    sorted_tail = np.sort(np.partition(cumulated, max(worst) - 1, axis=0)[: max(worst)], axis=0)
    means = np.cumsum(sorted_tail, axis=0) / np.arange(1, max(worst) + 1)[:, None]
    at = np.array(worst) - 1
    return -sorted_tail[at].T, -means[at].T


def loss_probability(cumulated: Float64Array, exposure: float, buffer: float) -> tuple[float, float]:
    """How likely a position loses more than a buffer, for a long one and for a short one.

    cumulated  (P,) log returns over the horizon
    exposure   value of the position over the equity; buffer: share of the equity
    """
    if not exposure >= 0 or not buffer > 0:
        raise FitError(
            "loss probability", "exposure must not be negative, and buffer positive", f"{exposure}, {buffer}"
        )
    gain = exposure * np.expm1(cumulated)
    return float(np.mean(-gain > buffer)), float(np.mean(gain > buffer))


def _shares(levels: Sequence[float]) -> list[float]:
    if not levels or not all(0.5 < level < 1 for level in levels):
        raise FitError("tails", "levels must lie in (0.5, 1)", f"{tuple(levels)}")
    return [1 - level for level in levels]
