"""The arithmetic of simulated bonds once more, as a plain loop over the rows of their tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from math import exp
from typing import Any

from features.sources.simulator import Simulation
from tests.simulated_futures import states

State = tuple[float, float, float]
Bond = Mapping[str, Any]


def curve_of(simulation: Simulation) -> dict[dt.date, State]:
    """Level, slope and curvature by day."""
    wide = states(simulation, "CGB", "level", "slope", "curvature")
    return {day: (a, b, c) for day, a, b, c in wide.select("date", "level", "slope", "curvature").iter_rows()}


def discount(state: State, years: float, decay: float = 3.0) -> float:
    """Nelson and Siegel as their paper writes it."""
    level, slope, curvature = state
    x = years / decay
    rate = level + slope * (1 - exp(-x)) / x + curvature * ((1 - exp(-x)) / x - exp(-x))
    return exp(-rate * years)


def payments(bond: Bond) -> list[tuple[dt.date, float]]:
    """Days and amounts of a row of the bond table, stepping back from the maturity."""
    out, day = [], bond["maturity_date"]
    while day > bond["carry_date"]:
        out.append((day, 100 * bond["cp_rate_1st"] / bond["inst_freq"]))
        month = day.year * 12 + day.month - 1 - 12 // bond["inst_freq"]
        day = day.replace(year=month // 12, month=month % 12 + 1)
    out[0] = (out[0][0], out[0][1] + 100)
    return out[::-1]


def accrued(bond: Bond, day: dt.date) -> float:
    """Interest since the last coupon, to seven decimals."""
    days = [bond["carry_date"], *(paid for paid, _ in payments(bond))]
    last, following = max(d for d in days if d <= day), min(d for d in days if d > day)
    return round(100 * bond["cp_rate_1st"] / bond["inst_freq"] * (day - last).days / (following - last).days, 7)
