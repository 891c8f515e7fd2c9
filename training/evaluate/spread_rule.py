"""What is traded as a pair, what a model says of it, and when it is entered and left.

Source  spec 04 §6.2
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from features.panel import BoolArray, DataError, Float64Array, IntArray, SessionArray

By = Literal["z", "forecast", "either"]


@dataclass(frozen=True)
class Leg:
    """One leg of a pair: the contract that stands in the pair on each session, and what its trading costs.

    close       (T,) points; NaN where it has none
    step        (T,) points that what is held moved since its close before, NaN where it has none; None: what the
                closes differ by, as where one contract is held to the end of the life
    rolled      (T,) sessions at whose close what is held is sold for as many lots of another contract, two more fills
                with fees by the close of the one sold; None for never
    multiplier  CNY a point and lot
    tick        points
    fee_rate    share of the value traded, each side
    fee_lot     CNY a lot, each side
    volume      (T,) lots; None where nobody says
    """

    close: Float64Array = field(repr=False)
    multiplier: float
    tick: float
    fee_rate: float = 0.0
    fee_lot: float = 0.0
    volume: Float64Array | None = field(default=None, repr=False)
    step: Float64Array | None = field(default=None, repr=False)
    rolled: BoolArray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class TradedPair:
    """Two legs over the same sessions; long the spread buys the first and sells the second.

    life      (T,) which pair of contracts it is, as a number; -1 where there is none. The last session of a life is
              taken as known on that session: a calendar fact where the near contract leaves by the calendar
    hedge     (T,) value of the second leg against that of the first; NaN where it is not known
    tradable  (T,) sessions on which an order is filled; None for all that have both closes
    """

    sessions: SessionArray = field(repr=False)
    life: IntArray = field(repr=False)
    first: Leg
    second: Leg
    hedge: Float64Array = field(repr=False)
    tradable: BoolArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        n = len(self.sessions)
        named = {"life": self.life, "hedge": self.hedge, "tradable": self.tradable}
        for name, leg in (("first", self.first), ("second", self.second)):
            named |= {f"{name}.{part}": getattr(leg, part) for part in ("close", "volume", "step", "rolled")}
            if not leg.multiplier > 0 or min(leg.tick, leg.fee_rate, leg.fee_lot) < 0:
                found = f"{leg.multiplier}, {leg.tick}, {leg.fee_rate}, {leg.fee_lot}"
                raise DataError(f"{name} leg", "multiplier must be positive, tick and fees not negative", found)
            if (leg.close <= 0).any():
                row = int(np.argmax(leg.close <= 0))
                raise DataError(f"{name} leg", "closes must be positive", f"{leg.close[row]}", f"{self.sessions[row]}")
        for name, values in named.items():
            if values is not None and values.shape != (n,):
                raise DataError("pair", f"{name} must have a value per session, ({n},)", f"{values.shape}")

    @property
    def ready(self) -> BoolArray:
        """Sessions (T,) on which an order is filled."""
        both = np.isfinite(self.first.close) & np.isfinite(self.second.close)
        return np.asarray(both if self.tradable is None else both & self.tradable, np.bool_)

    @property
    def last(self) -> IntArray:
        """The last row (T,) of the life that each row is in."""
        n = len(self.life)
        ends = np.append(np.flatnonzero(np.diff(self.life)), n - 1) if n else np.zeros(0, np.int64)
        return np.asarray(ends[np.searchsorted(ends, np.arange(n))], np.int64)


@dataclass(frozen=True)
class Signal:
    """What a model says at each session; NaN where it says nothing.

    z          (T,) deviation of the spread from its mean, in standard deviations
    half_life  (T,) sessions, as estimated by then
    forecast   (T,) expected return of the spread over the horizon, per value of the first leg
    allowed    (T,) sessions on which the pair may be entered; None for all. What is held is left by its signal all the
               same
    """

    z: Float64Array = field(repr=False)
    half_life: Float64Array = field(repr=False)
    forecast: Float64Array | None = field(default=None, repr=False)
    allowed: BoolArray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class TradingRule:
    """When a pair is entered and left, and with how much.

    by          what enters: |z| > enter_z against the deviation, |forecast| > margin * cost with the forecast, or
                either of the two (none where they disagree)
    exit_z      left once the deviation that was bet against is below it, on whichever side of the mean
    half_lives  left after so many half-lives, as estimated at the entry; without a half-life nothing is entered, nor
                where it is nought: what goes within a session is gone before the order is filled.
                After such an exit the same side is entered again only once its condition has ceased
    delay       sessions from the decision to the close at which it is filled
    capital     CNY, the value of the first leg; the second is sized to it by the hedge, both in whole lots
    ticks       that each fill of a leg loses
    """

    by: By = "z"
    enter_z: float = 2.0
    exit_z: float = 0.5
    half_lives: float = 2.0
    margin: float = 1.0
    delay: int = 1
    capital: float = 1e7
    ticks: float = 1.0

    def __post_init__(self) -> None:
        if self.by not in ("z", "forecast", "either"):
            raise DataError("trading rule", "by must be z, forecast or either", repr(self.by))
        if not 0 <= self.exit_z < self.enter_z or self.delay < 0:
            found = f"{self.exit_z}, {self.enter_z}, delay {self.delay}"
            raise DataError("trading rule", "0 <= exit_z < enter_z must hold, delay not be negative", found)
        if min(self.half_lives, self.margin, self.capital) <= 0 or self.ticks < 0:
            found = f"{self.half_lives}, {self.margin}, {self.capital}, {self.ticks}"
            raise DataError("trading rule", "half_lives, margin, capital must be positive, ticks not negative", found)


def round_trip_cost(pair: TradedPair, rule: TradingRule) -> Float64Array:
    """Cost (T,) of entering and leaving both legs, as a share of the first leg's value."""
    shares = []
    for leg in (pair.first, pair.second):
        lot = leg.close * leg.multiplier
        shares.append(2 * (leg.fee_rate + (rule.ticks * leg.tick * leg.multiplier + leg.fee_lot) / lot))
    return np.asarray(shares[0] + np.abs(pair.hedge) * shares[1], np.float64)
