"""How the prices of each futures product move: its states sub-step by sub-step, and its curve over maturities.

States lie on an axis of T + 1 sessions, the first of which is the evening before the sample: a contract that is listed
needs a price to settle from. Commodities have no overnight step: a session opens where the last one closed.
Source  11 §8 (index futures), §9 (commodities), 04 §7.1 (the curve of Schwartz and Smith)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.random import Generator

from features.panel import Float64Array, IntArray, SessionArray
from features.sources.simulator.futures_kernels import gjr_path, revert
from features.sources.simulator.indices import BASE, Index, step_variance
from features.sources.simulator.market import Market
from features.sources.simulator.world import SESSIONS_PER_YEAR, STEPS, VARIANCE_SHARES, World

INTRADAY_SHARES = np.array([0.0] + [1.0 / STEPS] * STEPS)
"""A commodity's variance over its sub-steps, (17,): all of it after the open."""

QUOTE_NOISE = 0.0003
DISCOUNTS = {"IH": 0.005, "IF": 0.02, "IC": 0.05, "IM": 0.08}
DISCOUNT_KAPPA, DISCOUNT_SD = 6.0, 0.03
INTEREST_KAPPA = 7.0


@dataclass(frozen=True)
class SchwartzSmith:
    """SC: short-term deviation and long-term level of the log price, per year; noise per contract and close."""

    kappa: float = 1.5
    sigma_chi: float = 0.28
    lambda_chi: float = 0.10
    mu_xi: float = 0.03
    sigma_xi: float = 0.15
    rho: float = 0.3
    mu_xi_star: float = 0.01
    noise: float = 0.003
    level: float = 450.0

    def drift(self, years: Float64Array) -> Float64Array:
        """A(T) of ln F = exp(-kappa T) chi + xi + A(T), any shape. Source  04 §7.1"""
        k, gone = self.kappa, 1.0 - np.exp(-self.kappa * years)
        chi = (1.0 - np.exp(-2.0 * k * years)) * self.sigma_chi**2 / (2.0 * k)
        both = 2.0 * gone * self.rho * self.sigma_chi * self.sigma_xi / k
        convexity = (chi + self.sigma_xi**2 * years + both) / 2.0
        return np.asarray(self.mu_xi_star * years - gone * self.lambda_chi / k + convexity, np.float64)


@dataclass(frozen=True)
class Copper:
    """CU: a spot price of constant volatility; a convenience yield that moves `slope` per sd of log open interest."""

    vol: float = 0.18
    drift: float = 0.03
    level: float = 70_000.0
    convenience: float = 0.06
    slope: float = -0.02


@dataclass(frozen=True)
class Rebar:
    """RB: GJR-GARCH-t in per cent, and the log variance of the path within a session, xi + phi ln h + tau(z) + u.

    carry  slope of the curve in maturity, per year. The measurement is that of a realised GARCH; its term in z squared
    counts z up to `z_cap`, since its exponential has no mean under Student's t.
    """

    omega: float = 0.02
    alpha: float = 0.05
    gamma: float = 0.06
    beta: float = 0.90
    dof: float = 6.0
    xi: float = -0.1
    phi: float = 1.0
    tau_1: float = -0.05
    tau_2: float = 0.08
    sigma_u: float = 0.35
    z_cap: float = 3.0
    level: float = 4000.0
    carry: float = -0.04


@dataclass(frozen=True)
class FuelOil:
    """FU: each contract at `beta` times SC's of the same month, and an OU deviation that is the same for all."""

    beta: float = 0.9
    half_life: float = 8.0
    deviation: float = 0.03
    level: float = 3000.0


@dataclass(frozen=True)
class Meal:
    """M: a factor of constant volatility, and a season of maturities that peaks `peak` days into the year."""

    vol: float = 0.20
    drift: float = 0.0
    level: float = 3500.0
    carry: float = 0.02
    amplitude: float = 0.06
    peak: float = 200.0


SC, CU, RB, FU, M = SchwartzSmith(), Copper(), Rebar(), FuelOil(), Meal()
PARAMETERS: Mapping[str, dict[str, float]] = {
    **{name: asdict(p) for name, p in (("SC", SC), ("CU", CU), ("RB", RB), ("FU", FU), ("M", M))},
    **{name: {"psi": psi, "kappa": DISCOUNT_KAPPA, "sd": DISCOUNT_SD} for name, psi in DISCOUNTS.items()},
}


@dataclass(frozen=True)
class Where:
    """Which prices are asked for: M rows.

    at        (M,) position on the axis of T + 1 sessions
    years     (M, 17) to maturity, calendar days over 365
    maturity  (M,) last trading day
    """

    at: IntArray
    years: Float64Array
    maturity: SessionArray


@dataclass(frozen=True)
class Course:
    """A product's course.

    log_price  the log of each row's price, without the contract's own noise, (M, 17)
    spread     variance of each sub-step of that, (M, 17)
    noise      standard deviation of a contract's own log price noise at each close
    states     what is true at each close, (T + 1,) by name
    """

    log_price: Callable[[Where], Float64Array] = field(repr=False)
    spread: Callable[[Where], Float64Array] = field(repr=False)
    noise: float
    states: dict[str, Float64Array] = field(repr=False)


def reverting(rng: Generator, sessions: int, kappa: float, sd: float, shares: Float64Array) -> Float64Array:
    """A stationary Ornstein-Uhlenbeck state after each sub-step, (T, 17); kappa per year."""
    decay = np.exp(-kappa * shares / SESSIONS_PER_YEAR)
    shocks = sd * np.sqrt(1.0 - decay**2) * rng.standard_normal((sessions, STEPS + 1))
    return revert(shocks, decay, float(sd * rng.standard_normal()))


def index_course(world: World, name: str, days: SessionArray, market: Market, index: Index, rng: Generator) -> Course:
    """Index futures: F = (S - PV(D)) exp((r - psi) T), where D are the dividend points until maturity.

    days (T + 1,). What goes ex after the sample is no part of D: nobody will ever see it.
    """
    stress = np.concatenate([[False], market.stress])
    psi = DISCOUNTS[name] + reverting(rng, len(days), DISCOUNT_KAPPA, DISCOUNT_SD, VARIANCE_SHARES)
    psi += np.where(stress, world.stress_carry, 0.0)[:, None]
    spot = np.concatenate([np.full((1, STEPS + 1), BASE), index.grid])
    variance = step_variance(world, market)
    variance = np.concatenate([variance[:1], variance])
    since = (days - days[0]).astype(np.float64) / 365.0
    discounted = np.cumsum(np.concatenate([[0.0], index.points]) * np.exp(-world.rate * since))

    def log_price(where: Where) -> Float64Array:
        until = np.searchsorted(days, where.maturity, "right") - 1
        held = (discounted[until] - discounted[where.at]) * np.exp(world.rate * since[where.at])
        return np.asarray(np.log(spot[where.at] - held[:, None]) + (world.rate - psi[where.at]) * where.years)

    return Course(log_price, lambda where: variance[where.at], QUOTE_NOISE, {"psi": psi[:, STEPS]})


def oil_course(sessions: int, rng: Generator) -> Course:
    """SC: the two factors of Schwartz and Smith, drawn exactly from one sub-step to the next."""
    step = 1.0 / SESSIONS_PER_YEAR / STEPS
    decay = np.exp(-SC.kappa * step)
    chi_chi = (1.0 - decay**2) * SC.sigma_chi**2 / (2.0 * SC.kappa)
    chi_xi = (1.0 - decay) * SC.rho * SC.sigma_chi * SC.sigma_xi / SC.kappa
    root = np.linalg.cholesky(np.array([[chi_chi, chi_xi], [chi_xi, SC.sigma_xi**2 * step]]))
    shocks = rng.standard_normal((sessions, STEPS + 1, 2)) @ root.T
    shocks[:, 0] = 0.0
    decays = np.where(INTRADAY_SHARES > 0, decay, 1.0)
    chi = revert(shocks[:, :, 0].copy(), decays, float(SC.sigma_chi / np.sqrt(2.0 * SC.kappa) * rng.standard_normal()))
    drift = SC.mu_xi * INTRADAY_SHARES / SESSIONS_PER_YEAR
    xi = np.log(SC.level) + np.cumsum((shocks[:, :, 1] + drift).ravel()).reshape(chi.shape)

    def log_price(where: Where) -> Float64Array:
        return np.asarray(np.exp(-SC.kappa * where.years) * chi[where.at] + xi[where.at] + SC.drift(where.years))

    def spread(where: Where) -> Float64Array:
        short = np.exp(-SC.kappa * where.years) * SC.sigma_chi
        yearly = short**2 + SC.sigma_xi**2 + 2.0 * SC.rho * short * SC.sigma_xi
        return np.asarray(yearly * INTRADAY_SHARES / SESSIONS_PER_YEAR)

    return Course(log_price, spread, SC.noise, {"chi": chi[:, STEPS], "xi": xi[:, STEPS]})


def fuel_course(sessions: int, oil: Course, rng: Generator) -> Course:
    """FU: cointegrated with SC, contract by contract."""
    kappa = np.log(2.0) / FU.half_life * SESSIONS_PER_YEAR
    apart = reverting(rng, sessions, kappa, FU.deviation, INTRADAY_SHARES)
    constant = np.log(FU.level) - FU.beta * np.log(SC.level)
    own = 2.0 * kappa * FU.deviation**2 * INTRADAY_SHARES / SESSIONS_PER_YEAR

    def log_price(where: Where) -> Float64Array:
        return np.asarray(constant + FU.beta * oil.log_price(where) + apart[where.at], np.float64)

    return Course(
        log_price,
        lambda where: np.asarray(FU.beta**2 * oil.spread(where) + own, np.float64),
        QUOTE_NOISE,
        {"spread": apart[:, STEPS]},
    )


def copper_course(world: World, interest: Float64Array, rng: Generator) -> Course:
    """CU: a convenience yield that open interest sets. interest (T + 1, 17): log open interest, standardised."""
    sd = np.full(len(interest), CU.vol / np.sqrt(SESSIONS_PER_YEAR))
    moves = sd[:, None] * np.sqrt(INTRADAY_SHARES) * rng.standard_normal(interest.shape)
    moves += CU.drift * INTRADAY_SHARES / SESSIONS_PER_YEAR
    spot = np.log(CU.level) + with_flow(moves, sd, interest[:, STEPS], world.flow_effect)
    delta = CU.convenience + CU.slope * interest

    def log_price(where: Where) -> Float64Array:
        return np.asarray(spot[where.at] + (world.rate - delta[where.at]) * where.years, np.float64)

    states = {"log_spot": spot[:, STEPS], "delta": delta[:, STEPS]}
    return Course(log_price, _spread_of(sd**2), QUOTE_NOISE, states)


def rebar_course(world: World, interest: Float64Array, rng: Generator) -> Course:
    """RB: one factor, GJR-GARCH-t from close to close; within a session a bridge to the close of a variance of its own.

    No noise: every contract's return is the factor's, less what the curve gives up by a shorter maturity.
    """
    sessions = len(interest)
    z = rng.standard_t(RB.dof, sessions) * np.sqrt((RB.dof - 2.0) / RB.dof)
    h = gjr_path(z, RB.omega, RB.alpha, RB.gamma, RB.beta) / 10_000.0
    square = np.minimum(z**2, RB.z_cap**2) - 1.0
    u = RB.sigma_u * rng.standard_normal(sessions)
    realised = np.exp(RB.xi + RB.phi * np.log(h) + RB.tau_1 * z + RB.tau_2 * square + u)
    own = rng.standard_normal((sessions, STEPS))
    bridge = np.sqrt(realised / STEPS)[:, None] * (own - own.mean(axis=1, keepdims=True))
    moves = np.concatenate([np.zeros((sessions, 1)), (np.sqrt(h) * z / STEPS)[:, None] + bridge], axis=1)
    spot = np.log(RB.level) + with_flow(moves, np.sqrt(h), interest[:, STEPS], world.flow_effect)

    def log_price(where: Where) -> Float64Array:
        return np.asarray(spot[where.at] + RB.carry * where.years, np.float64)

    states = {"log_spot": spot[:, STEPS], "variance": h, "innovation": z, "realised_variance": realised}
    return Course(log_price, _spread_of(realised), 0.0, states)


def meal_course(world: World, interest: Float64Array, rng: Generator) -> Course:
    """M: one factor and a season: a contract costs more the nearer its maturity lies to the peak of the year."""
    sd = np.full(len(interest), M.vol / np.sqrt(SESSIONS_PER_YEAR))
    moves = sd[:, None] * np.sqrt(INTRADAY_SHARES) * rng.standard_normal(interest.shape)
    moves += M.drift * INTRADAY_SHARES / SESSIONS_PER_YEAR
    factor = np.log(M.level) + with_flow(moves, sd, interest[:, STEPS], world.flow_effect)

    def log_price(where: Where) -> Float64Array:
        day = (where.maturity - where.maturity.astype("datetime64[Y]")).astype(np.float64)
        season = M.amplitude * np.cos(2.0 * np.pi * (day - M.peak) / 365.25)
        return np.asarray(factor[where.at] + M.carry * where.years + season[:, None], np.float64)

    return Course(log_price, _spread_of(sd**2), QUOTE_NOISE, {"log_factor": factor[:, STEPS]})


def with_flow(moves: Float64Array, sd: Float64Array, interest: Float64Array, effect: float) -> Float64Array:
    """Moves (T, 17) summed up, with the planted flow effect: (T, 17).

    After a session whose average price rose (fell) while open interest grew, the next one drifts by `effect` standard
    deviations up (down). sd, interest (T,). Source  11 §8; states long_build and short_build of 04 FUT-01
    """
    within = np.cumsum(moves, axis=1)
    middles = (within[:, 1:] + within[:, :-1]).mean(axis=1) / 2.0
    drift = np.zeros(len(moves))
    start, average = 0.0, 0.0
    starts = np.zeros(len(moves))
    for t in range(len(moves)):
        starts[t] = start
        now = start + middles[t] + drift[t] / 2.0
        if 0 < t < len(moves) - 1 and interest[t] > interest[t - 1]:
            drift[t + 1] = effect * sd[t + 1] * np.sign(now - average)
        start, average = start + within[t, STEPS] + drift[t], now
    return np.asarray(starts[:, None] + within + drift[:, None] * np.cumsum(INTRADAY_SHARES), np.float64)


def _spread_of(daily: Float64Array) -> Callable[[Where], Float64Array]:
    return lambda where: np.asarray(daily[where.at][:, None] * INTRADAY_SHARES, np.float64)
