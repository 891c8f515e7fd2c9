"""Rolls of a product as a table: what near and far contract earned around each, what rolling cost, when a rule rolled.

Rolling at offset k is at the close of the session with k sessions left to the near contract's last trading day; the
return "at u" is that of the session that ends with u left.  Source  spec 04 §8
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from models.base import FitError

LONGEST: Final = 25
AROUND: Final = 12
IMPACT: Final = 0.01
_WHO: Final = "rolls"


def roll_cost(
    spread_near: Float64Array,
    spread_far: Float64Array,
    share_of_volume: Float64Array | float = 0.0,
    impact: float = IMPACT,
) -> Float64Array:
    """Half the bid-ask spreads of both contracts plus impact * sqrt(Q / volume), all relative to the price."""
    return np.asarray(0.5 * (spread_near + spread_far) + impact * np.sqrt(share_of_volume), dtype=np.float64)


@dataclass(frozen=True)
class Rolls:
    """The rolls of one product, oldest first: R of them, offsets 0 ... U - 1 sessions before the last trading day.

    near, far   (R,) which contracts
    last_day    (R,) the near contract's last trading day
    ret_near, ret_far  (R, U) log returns of the session that ends with u sessions left; NaN where not known
    share       (R, U) the near contract's part of the product's open interest, at the close with k left
    cost        (R, U) of rolling there, relative to the price
    default     (R,) offset at which the benchmark rule rolled; 0 <= least <= default <= most < U
    least, most (R,) offsets between which the near contract may be rolled: it may be held, and is held already
    """

    near: tuple[str, ...]
    far: tuple[str, ...]
    last_day: SessionArray = field(repr=False)
    ret_near: Float64Array = field(repr=False)
    ret_far: Float64Array = field(repr=False)
    share: Float64Array = field(repr=False)
    cost: Float64Array = field(repr=False)
    default: IntArray = field(repr=False)
    least: IntArray = field(repr=False)
    most: IntArray = field(repr=False)

    def __post_init__(self) -> None:
        shape = self.ret_near.shape
        if len(shape) != 2 or any(one.shape != shape for one in (self.ret_far, self.share, self.cost)):
            raise FitError(_WHO, "returns, shares and costs must have a row a roll and a column an offset", f"{shape}")
        many = [len(one) for one in (self.near, self.far, self.last_day, self.default, self.least, self.most)]
        if set(many) != {shape[0]}:
            raise FitError(_WHO, f"everything must be told of each of {shape[0]} rolls", f"{many}")
        inside = (self.least >= 0) & (self.least <= self.default) & (self.default <= self.most) & (self.most < shape[1])
        if not inside.all():
            row = int(np.argmin(inside))
            found = f"{self.least[row]}, {self.default[row]}, {self.most[row]} of {shape[1]}"
            raise FitError(_WHO, "least <= default <= most must be offsets", found, f"roll {self.near[row]}")
        if (np.diff(self.last_day) < np.timedelta64(0, "D")).any():
            raise FitError(_WHO, "rolls must be sorted by last trading day", "one that is not")

    def __len__(self) -> int:
        return len(self.near)

    def rows(self, chosen: BoolArray) -> Rolls:
        """The rolls that a mask names."""
        at = np.flatnonzero(chosen)
        arrays: dict[str, Any] = {name: getattr(self, name)[at] for name in _ARRAYS}
        return Rolls(tuple(self.near[i] for i in at), tuple(self.far[i] for i in at), **arrays)

    def saving(self, side: int) -> Float64Array:
        """What rolling at each offset would have gained over the benchmark after costs, (R, U); NaN outside its range.

        side  +1 long, -1 short
        """
        return self.from_default(side * self.ahead()) - (self.cost - self.at_default(self.cost))

    def ahead(self) -> Float64Array:
        """near - far, (R, U)."""
        return self.ret_near - self.ret_far

    def at_default(self, values: Float64Array) -> Float64Array:
        """Values (R, U) at the benchmark's offset, (R, 1)."""
        return np.take_along_axis(values, self.default[:, None], 1)

    def from_default(self, ahead: Float64Array) -> Float64Array:
        """Sums of near - far between each offset and the default, (R, U): positive sums where the roll is later."""
        offset = np.arange(ahead.shape[1])
        outside = (offset < self.least[:, None]) | (offset > self.most[:, None])
        out = np.full(ahead.shape, np.nan)
        for row, k0 in enumerate(self.default):
            # A return that is not known spoils the sums that it is part of, and no others.
            out[row, : k0 + 1] = np.append(np.cumsum(ahead[row, :k0][::-1])[::-1], 0.0)
            out[row, k0 + 1 :] = -np.cumsum(ahead[row, k0:-1])
        return np.where(outside, np.nan, out)


_ARRAYS: Final = ("last_day", "ret_near", "ret_far", "share", "cost", "default", "least", "most")


def rolls_of(
    names: Sequence[str],
    close: Float64Array,
    open_interest: Float64Array,
    spread: Float64Array,
    ends: IntArray,
    holdable: BoolArray,
    held: IntArray,
    sessions: SessionArray,
    share_of_volume: Float64Array | float = 0.0,
    impact: float = IMPACT,
    longest: int = LONGEST,
) -> Rolls:
    """The rolls of a chain under a benchmark's holding, those whose near contract has reached its last holdable day.

    names, ends   (N,) contracts by maturity, position of each last trading day on the axis of sessions
    close, open_interest, spread  (T, N); spread: bid to ask over the price, a tick where nobody quotes it
    holdable      (T, N) where a contract may be held
    held          (T,) position of the contract that the benchmark holds through each session, -1 for none
    share_of_volume  of the near contract's volume that is rolled, (T,) or one for all; see roll_cost
    """
    change = np.flatnonzero((held[1:] != held[:-1]) & (held[1:] >= 0) & (held[:-1] >= 0))  # decided at these closes
    change = change[ends[held[change]] < len(sessions)]
    k0 = ends[held[change]] - change
    width = int(max(longest, k0.max(initial=0) + AROUND)) + 2
    shape = (len(change), width)
    ret = np.full((len(close), len(names)), np.nan)
    ret[1:] = np.diff(np.log(np.where(close > 0, close, np.nan)), axis=0)
    total = np.nansum(open_interest, axis=1)
    part = np.broadcast_to(share_of_volume, len(close))
    near_ret, far_ret, share, costs = (np.full(shape, np.nan) for _ in range(4))
    least, most = np.zeros(len(change), dtype=np.int64), np.zeros(len(change), dtype=np.int64)
    for row, t in enumerate(change):
        near, far = int(held[t]), int(held[t + 1])
        at = int(ends[near]) - np.arange(width)
        there = at >= 0
        near_ret[row, there], far_ret[row, there] = ret[at[there], near], ret[at[there], far]
        with np.errstate(divide="ignore", invalid="ignore"):
            share[row, there] = open_interest[at[there], near] / total[at[there]]
        costs[row, there] = roll_cost(spread[at[there], near], spread[at[there], far], part[at[there]], impact)
        may = np.flatnonzero(holdable[:, near])
        least[row] = min(int(ends[near]) - int(may[-1]), int(k0[row])) if len(may) else int(k0[row])
        most[row] = min(max(int(ends[near]) - _taken(held, int(t)), int(k0[row])), width - 1)
    contracts = np.asarray(names)
    return Rolls(
        tuple(contracts[held[change]].tolist()),
        tuple(contracts[held[change + 1]].tolist()),
        sessions[ends[held[change]]],
        near_ret,
        far_ret,
        share,
        costs,
        k0.astype(np.int64),
        least,
        most,
    )


def _taken(held: IntArray, t: int) -> int:
    """The first session of the stretch through which the contract of session t is held."""
    others = np.flatnonzero(held[: t + 1] != held[t])
    return int(others[-1]) + 1 if len(others) else 0
