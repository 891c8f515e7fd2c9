"""Made-up pairs of legs whose truth is known."""

from __future__ import annotations

import numpy as np

from models.spread.base import Legs


def sessions(count: int, first: str = "2013-01-04") -> np.ndarray:
    start = np.datetime64(first)
    days = start + np.arange(int(count * 1.6) + 10)
    return days[np.is_busday(days)][:count]


def autoregression(rng: np.random.Generator, count: int, phi: tuple[float, ...], sd: float) -> np.ndarray:
    """Innovations of standard deviation `sd`, after 300 that are forgotten."""
    out = np.zeros(count + 300)
    shocks = rng.normal(0, sd, count + 300)
    for t in range(len(phi), count + 300):
        out[t] = sum(p * out[t - j] for j, p in enumerate(phi, 1)) + shocks[t]
    return out[300:]


def ou_pair(
    seed: int, count: int = 750, half_life: float = 13.5, sd: float = 0.02, mean: float = 0.03, beta: float = 1.0
) -> Legs:
    """y = mean + beta x + OU, x a random walk."""
    rng = np.random.default_rng(seed)
    phi = 0.5 ** (1 / half_life)
    u = autoregression(rng, count, (phi,), sd * np.sqrt(1 - phi**2))
    x = 8 + np.cumsum(rng.normal(0, 0.012, count))
    return Legs(mean + beta * x + u, x, sessions(count))


def priced_pair(seed: int, speed: float, count: int = 750, sd: float = 0.003) -> Legs:
    """Price and value of spec 02 §3.2: the value walks by 1.2 % a session, the premium is an AR(1) of its own."""
    rng = np.random.default_rng(seed)
    phi = 1 - speed
    premium = autoregression(rng, count, (phi,), sd * np.sqrt(1 - phi**2))
    value = np.cumsum(rng.normal(0, 0.012, count))
    return Legs(value + premium, value, sessions(count))


def moving_pair(
    seed: int, count: int = 1000, walk: float = 0.0, half_life: float = 8.0, sd: float = 0.03
) -> tuple[Legs, np.ndarray]:
    """FU on SC as 11 §9 (d) has them, ln y = 1 + beta ln x + OU, and the path of beta from .9."""
    rng = np.random.default_rng(seed)
    phi = 0.5 ** (1 / half_life)
    u = autoregression(rng, count, (phi,), sd * np.sqrt(1 - phi**2))
    x = 4 + np.cumsum(rng.normal(0, 0.02, count))
    beta = 0.9 + np.cumsum(rng.normal(0, walk, count)) if walk else np.full(count, 0.9)
    return Legs(1 + beta * x + u, x, sessions(count)), beta


def chain_of_pairs(seed: int, count: int = 1000, length: int = 40) -> Legs:
    """Contract pairs of `length` sessions each whose spread per year is one OU about .06."""
    rng = np.random.default_rng(seed)
    carry = 0.06 + autoregression(rng, count, (0.93,), 0.01)
    pair = np.arange(count) // length
    gap = np.where(pair % 2 == 0, 31, 92) / 365.0
    fresh = np.r_[False, np.diff(pair) > 0]
    x = 8 + np.cumsum(rng.normal(0, 0.012, count))
    return Legs(x + carry * gap, x, sessions(count), fresh, gap)
