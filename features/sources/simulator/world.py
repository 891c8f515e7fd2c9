"""Settings of a simulated market: its size, what is planted in it, and the noise around that."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from features.panel import DataError
from features.sessions import Calendar, exchange_calendar

SESSIONS_PER_YEAR = 242
FIRST_SESSION, LAST_SESSION = "2019-07-01", "2025-12-31"

STEPS = 16
"""Intraday sub-steps of a session; the overnight step comes before them."""

VARIANCE_SHARES = np.array([0.25] + [0.75 / STEPS] * STEPS)
"""How a session's variance is spread over the overnight step and the intraday ones, (17,)."""


@dataclass(frozen=True)
class Size:
    """How many stocks and sessions; from `start` where it is given, else the last sessions of the default calendar."""

    stocks: int
    sessions: int
    start: str | None = None


SIZES = {"tiny": Size(60, 400, "2020-06-01"), "demo": Size(300, 1500), "full": Size(800, 1581)}


@dataclass(frozen=True)
class Yields:
    """How the zero curve of government bonds moves, and how treasury futures are priced on it.

    means, persistence  of level, slope and curvature (Nelson and Siegel): AR(1) from one session to the next
    sizes     how large their shocks are, the level's being 1; all are scaled so that
    vol       is the daily standard deviation of the zero yield of ten years; 0 keeps the curve where it is
    decay     years over which slope and curvature fade
    premium   by how much the forward yields of futures lie above those of the curve (`tp`), a year
    pricing   "ctd": the cheapest bond to deliver; "notional": exact 3 % bonds with a coupon on the delivery day
    Source    11 §10
    """

    means: tuple[float, float, float] = (0.022, -0.008, -0.005)
    persistence: tuple[float, float, float] = (0.999, 0.995, 0.99)
    sizes: tuple[float, float, float] = (1.0, 1.5, 2.0)
    vol: float = 2.5e-4
    decay: float = 3.0
    premium: float = 0.0
    pricing: Literal["ctd", "notional"] = "ctd"

    def __post_init__(self) -> None:
        if not all(0 <= phi < 1 for phi in self.persistence) or self.vol < 0 or self.decay <= 0:
            found = f"persistence {self.persistence}, vol {self.vol}, decay {self.decay}"
            raise DataError("simulated yields", "persistence in [0, 1), vol at least 0 and decay above 0", found)
        if self.pricing not in ("ctd", "notional"):
            raise DataError("simulated yields", "pricing must be ctd or notional", repr(self.pricing))


@dataclass(frozen=True)
class World:
    """What is true in a simulated market.

    stocks, sessions  override the size's counts
    target_ic         Pearson IC of the planted signal against open-to-open returns over `horizon` sessions
    persistence       AR(1) coefficient of the signal from one session to the next
    alpha_decay_date  from here the signal's strength halves every `alpha_half_life` sessions
    alpha_off_after   after this day the signal moves no price
    stress            whether the calm/stress regime is on; its expected spells last 1 / calm_per_session sessions
    jumps_per_year    overnight jumps of the market, N(-2 %, 2 %)
    theta, kappa, vol_of_vol, leverage, drift   of the market's variance and price, per year (CIR)
    industry_vol      daily standard deviation of each industry's own return
    yields            of government bonds, and of the futures on them
    Source  11 §2-§5, §10
    """

    name: str = "planted"
    stocks: int | None = None
    sessions: int | None = None
    target_ic: float = 0.05
    horizon: int = 5
    persistence: float = 0.9
    alpha_decay_date: dt.date | None = None
    alpha_half_life: int = 60
    alpha_off_after: dt.date | None = None
    stress: bool = True
    stress_per_session: float = 1 / 250
    calm_per_session: float = 1 / 25
    stress_theta: float = 3.0
    stress_beta: float = 1.25
    stress_turnover: float = 0.5
    lead: int = 5
    lead_probability: float = 0.7
    jumps_per_year: float = 2.0
    drift: float = 0.05
    kappa: float = 4.0
    theta: float = 0.04
    vol_of_vol: float = 0.5
    leverage: float = -0.6
    industry_vol: float = 0.004
    garch_alpha: float = 0.06
    garch_beta: float = 0.92
    listing_share: float = 0.10
    delistings_per_year: float = 0.01
    suspensions_per_year: float = 0.3
    suspension_sessions: float = 8.0
    st_share: float = 0.04
    splits_per_year: float = 0.03
    rate: float = 0.015
    stress_carry: float = 0.06
    flow_effect: float = 0.0
    yields: Yields = Yields()

    def __post_init__(self) -> None:
        for name in ("stocks", "sessions"):
            count = getattr(self, name)
            if count is not None and count < 2:
                raise DataError("simulated world", f"{name} must be at least 2", repr(count))
        if not 0 <= self.persistence < 1 or self.horizon < 1:
            found = f"persistence {self.persistence}, horizon {self.horizon}"
            raise DataError("simulated world", "persistence must lie in [0, 1) and horizon be positive", found)
        if self.garch_alpha + self.garch_beta >= 1:
            raise DataError("simulated world", "garch_alpha + garch_beta must be below 1", f"{self.garch_alpha}")

    def one_session_ic(self) -> float:
        """IC over one session that gives target_ic over the horizon: IC_h (1 - phi) sqrt(h) / (1 - phi^h)."""
        return self.target_ic * (1 - self.persistence) * math.sqrt(self.horizon) / (1 - self.persistence**self.horizon)

    def strength(self, sessions: np.ndarray) -> np.ndarray:
        """One-session IC on each session, (T,), after decay and switching off."""
        ic = np.full(len(sessions), self.one_session_ic())
        if self.alpha_decay_date is not None:
            since = np.arange(len(sessions)) - np.searchsorted(sessions, np.datetime64(self.alpha_decay_date, "D"))
            ic *= 0.5 ** (np.maximum(since, 0) / self.alpha_half_life)
        if self.alpha_off_after is not None:
            ic[sessions > np.datetime64(self.alpha_off_after, "D")] = 0.0
        return ic


PLANTED = World()
NULL = World(name="null", target_ic=0.0, stress=False, jumps_per_year=0.0)
WORLDS = {"planted": PLANTED, "null": NULL}


def resolve(size: str, world: str | World) -> tuple[World, Calendar]:
    """The world with its counts filled in, and its sessions.

    Errors  DataError for a size or a world that is not known, or more sessions than the default calendar has
    """
    if size not in SIZES:
        raise DataError("simulate", f"the size must be one of {', '.join(SIZES)}", repr(size))
    if isinstance(world, str):
        if world not in WORLDS:
            raise DataError("simulate", f"the world must be one of {', '.join(WORLDS)}", repr(world))
        world = WORLDS[world]
    chosen = SIZES[size]
    n, t = world.stocks or chosen.stocks, world.sessions or chosen.sessions
    days = exchange_calendar(FIRST_SESSION, LAST_SESSION).sessions
    days = days[days >= np.datetime64(chosen.start)][:t] if chosen.start else days[-t:]
    if len(days) < t:
        start = chosen.start or FIRST_SESSION
        raise DataError("simulate", f"at most {len(days)} sessions lie between {start} and {LAST_SESSION}", f"{t}")
    return replace(world, stocks=n, sessions=t), Calendar(days)
