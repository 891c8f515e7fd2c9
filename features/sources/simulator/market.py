"""What all stocks share: the market's price and variance, regimes and jumps, style and industry returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import SeedSequence, default_rng

from features.panel import BoolArray, Float64Array, IntArray
from features.sources.simulator.kernels import variance_path
from features.sources.simulator.world import SESSIONS_PER_YEAR, VARIANCE_SHARES, World

STYLE_VOLS = np.array([0.003, 0.0065, 0.01])
STYLE_PREMIA = np.array([0.0, 0.0002, 0.0001])
INDUSTRIES = 10


@dataclass(frozen=True)
class Market:
    """The common course. T sessions, 17 sub-steps (overnight first).

    moves      (T, 17) log moves of the market, jumps included
    variance   (T, 17) its variance per year at the start of each sub-step
    factors    (T, 17, 13) log moves of three styles, then of ten industries
    stress, precursor   (T,) regime, and the warning that rises before most of its spells, in [0, 1]
    jumps      (T,) log size of an overnight jump, 0 on most sessions
    """

    moves: Float64Array = field(repr=False)
    variance: Float64Array = field(repr=False)
    factors: Float64Array = field(repr=False)
    stress: BoolArray = field(repr=False)
    precursor: Float64Array = field(repr=False)
    jumps: Float64Array = field(repr=False)


def factor_vols(world: World) -> Float64Array:
    """Daily standard deviation of the styles and the industries, (13,)."""
    return np.concatenate([STYLE_VOLS, np.full(INDUSTRIES, world.industry_vol)])


def simulate_market(world: World, sessions: int, seed: SeedSequence) -> Market:
    """Draw the market of a world.

    Source  11 §2: CIR variance by full truncation Euler on the sub-step grid, Markov regime, overnight jumps
    """
    path, regime, jump, style = (default_rng(s) for s in seed.spawn(4))
    stress, precursor = _regime(world, sessions, regime)
    steps = VARIANCE_SHARES / SESSIONS_PER_YEAR
    shocks = path.standard_normal((sessions, len(steps), 2))
    theta = world.theta * np.where(stress, world.stress_theta, 1.0)
    variance = variance_path(shocks, steps, theta, world.kappa, world.vol_of_vol, world.leverage)
    moves = world.drift * steps + np.sqrt(variance * steps) * shocks[:, :, 0]
    struck = jump.random(sessions) < world.jumps_per_year / SESSIONS_PER_YEAR
    jumps = np.where(struck, jump.normal(-0.02, 0.02, sessions), 0.0)
    moves[:, 0] += jumps
    premia = np.concatenate([STYLE_PREMIA, np.zeros(INDUSTRIES)])
    draws = style.standard_normal((sessions, len(steps), len(premia)))
    share = VARIANCE_SHARES[:, None]
    factors = premia * share + factor_vols(world) * np.sqrt(share) * draws
    return Market(moves, variance, factors, stress, precursor, jumps)


def spells(flag: BoolArray) -> IntArray:
    """Start and stop (one past the end) of every run of True, (S, 2)."""
    edges = np.diff(np.concatenate([[0], flag.astype(np.int8), [0]]))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def _regime(world: World, sessions: int, rng: np.random.Generator) -> tuple[BoolArray, Float64Array]:
    draws, warned = rng.random(sessions), rng.random(sessions)
    stress = np.zeros(sessions, np.bool_)
    if world.stress:
        for t in range(1, sessions):
            stress[t] = draws[t] >= world.calm_per_session if stress[t - 1] else draws[t] < world.stress_per_session
    precursor = stress.astype(np.float64)
    for start, _ in spells(stress):
        if warned[start] < world.lead_probability:
            for ahead in range(1, min(world.lead, start) + 1):
                rise = 1.0 - (ahead - 1) / world.lead
                precursor[start - ahead] = max(precursor[start - ahead], rise)
    return stress, precursor
