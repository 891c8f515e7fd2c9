"""A world where the best score is known: AR(.9) columns, and a label that follows two of them (09 §5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtri

from models.base import FittedAlpha, Sample

COLUMNS = tuple(f"x{i}" for i in range(20))
GAP = 5


@dataclass(frozen=True)
class World:
    train: Sample
    test: Sample
    truth: np.ndarray  # (M of test,) what an oracle would score


def ranks(x: np.ndarray) -> np.ndarray:
    """(rank - ½)/n over the assets; there are no ties."""
    return (x.argsort(axis=1).argsort(axis=1) + 0.5) / x.shape[1]


def make_world(
    seed: int,
    assets: int,
    sessions: int,
    train: int,
    ic: float,
    interaction: float = 0.0,
    noise: bool = False,
    until: int | None = None,
) -> World:
    """Noise alone if asked for, and from the session `until` on; what comes before it does not depend on it."""
    rng = np.random.default_rng(seed)
    shocks = rng.standard_normal((sessions, assets, len(COLUMNS)))
    shocks[1:] *= np.sqrt(1 - 0.9**2)
    x = lfilter([1.0], [1.0, -0.9], shocks, axis=0)
    signal = x[..., 0] + x[..., 1] + interaction * x[..., 2] * x[..., 3]
    strength = np.full((sessions, 1), 0.0 if noise else ic)
    strength[until if until is not None else sessions :] = 0.0
    ret = strength * signal / signal.std() + np.sqrt(1 - strength**2) * rng.standard_normal((sessions, assets))
    X, y = (ranks(x) - 0.5).astype(np.float32), ndtri(ranks(ret))
    later = slice(train + GAP, sessions)
    return World(_sample(X, y, slice(0, train)), _sample(X, y, later), signal[later].ravel())


def _sample(X: np.ndarray, y: np.ndarray, days: slice) -> Sample:
    n = X.shape[1]
    session = np.repeat(np.arange(len(X))[days], n)
    return Sample(X[days].reshape(-1, X.shape[2]), y[days].ravel(), session, np.full(len(session), 1 / n), COLUMNS, GAP)


def scored(fitted: FittedAlpha, sample: Sample) -> np.ndarray:
    """Scores of the rows of a sample, (M,)."""
    return fitted.predict(sample.X, sample.session)


def daily_rank_ic(score: np.ndarray, world: World) -> np.ndarray:
    """Rank correlation of each test session, (T,); the label is ranked already but for a monotone map."""
    days = len(np.unique(world.test.session))
    a, b = ranks(score.reshape(days, -1)), ranks(world.test.y.reshape(days, -1))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    return (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
