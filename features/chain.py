"""The chain of a product: all contracts on every session, in the order of their maturity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from features.contracts import Contracts
from features.expiries import CHAINS, LAUNCHES, ONE_MONTH, expiry
from features.panel import BoolArray, DataError, Float64Array, IntArray, SessionArray
from features.sessions import Calendar

DAYS_A_YEAR = 365.0
# Sessions before the last trading day on which a contract leaves `near`: see `Chain.holdable`.
INDEX_SESSIONS, COMMODITY_SESSIONS = 1, 20
# Exchanges that CHAINS describes as two months in a row and two quarter months.
_INDEX_CHAIN = (2, 2)


@dataclass(frozen=True)
class Chain:
    """One product: contracts by maturity, sessions, what each contract did on each.

    sessions  (T,) datetime64[D]
    coming    the session after the last one, for which roles are decided too
    begins    (N,) where each contract's first session lies on the axis of sessions, negative before the first
    ends      (N,) where its last trading day lies, T - 1 and beyond for contracts that outlive the data
    front     (T + 1,) datetime64[M], the first month whose last trading day has not passed, of the next session too
    fields    name -> (T, N), NaN where there is no row or no value
    """

    contracts: Contracts
    sessions: SessionArray = field(repr=False)
    coming: np.datetime64
    begins: IntArray = field(repr=False)
    ends: IntArray = field(repr=False)
    front: SessionArray = field(repr=False)
    fields: Mapping[str, Float64Array] = field(repr=False)

    def __post_init__(self) -> None:
        who, shape = f"chain {self.product}", (len(self.sessions), len(self.contracts))
        for name, panel in self.fields.items():
            if panel.shape != shape:
                raise DataError(who, f"{name} must have the shape {shape}", f"{panel.shape}")
        if (np.diff(self.ends) < 0).any():
            raise DataError(who, "contracts must stand by maturity", "one that matures before the one on its left")

    def __getitem__(self, name: str) -> Float64Array:
        """The panel (T, N) of a field, all NaN where the store has no such column."""
        found = self.fields.get(name)
        return np.full((len(self.sessions), len(self.contracts)), np.nan) if found is None else found

    @property
    def product(self) -> str:
        """The product."""
        return self.contracts.product

    @cached_property
    def traded(self) -> BoolArray:
        """Where a contract has a close and traded, (T, N); a volume that is not known does not speak against it."""
        close, volume = self["close"], self["volume"]
        return np.asarray((close > 0) & ~(volume <= 0) & self.alive[:-1])

    def sessions_left(self) -> IntArray:
        """Sessions to each last trading day, 0 on it, negative behind it, (T + 1, N) with the coming session."""
        return np.asarray(self.ends[None, :] - np.arange(len(self.sessions) + 1)[:, None])

    def ttm(self) -> Float64Array:
        """Calendar days to each last trading day over 365, (T, N); NaN before the listing and behind the last day."""
        days = (self.contracts.last_day[None, :] - self.sessions[:, None]).astype(np.float64)
        return np.where(self.alive[:-1], days / DAYS_A_YEAR, np.nan)

    @cached_property
    def alive(self) -> BoolArray:
        """Where a contract is listed and not over, its last trading day included, (T + 1, N)."""
        here = np.arange(len(self.sessions) + 1)[:, None]
        return np.asarray((self.begins[None, :] <= here) & (here <= self.ends[None, :]))

    def holdable(self) -> BoolArray:
        """Where a contract may have a role, (T + 1, N).

        Index futures leave with their last trading day; treasuries and commodities before their delivery month, and
        those that end before it (FU, SC, LU) with fewer than 20 sessions left.  Source  04 §1, 10 §1
        """
        left = self.sessions_left()
        if self.contracts.kind == "index":
            return np.asarray(self.alive & (left >= INDEX_SESSIONS))
        now = np.append(self.sessions, self.coming).astype("datetime64[M]")[:, None]
        early = self.contracts.last_day.astype("datetime64[M]") < self.contracts.month
        due = np.where(early[None, :], left < COMMODITY_SESSIONS, now >= self.contracts.month[None, :])
        return np.asarray(self.alive & ~due & (left >= 1))

    def choosable(self) -> BoolArray:
        """Where a contract may be the dominant one, (T + 1, N): of index futures the current month and the next."""
        fit = self.holdable()
        if self.contracts.kind == "index":
            front = self.front[:, None]
            fit &= (self.contracts.month == front) | (self.contracts.month == front + ONE_MONTH)
        return fit


def chain(
    contracts: Contracts, sessions: SessionArray, fields: Mapping[str, Float64Array], calendar: Calendar
) -> Chain:
    """A chain on consecutive sessions of the calendar, which must reach past every last trading day.

    fields  name -> (T, N) in the order of `contracts`
    """
    coming = calendar.next_after(sessions[-1])
    first = int(calendar.sessions.searchsorted(sessions[0]))
    begins = calendar.sessions.searchsorted(contracts.listed) - first
    ends = calendar.sessions.searchsorted(contracts.last_day) - first
    front = _front(contracts, np.append(sessions, coming), calendar)
    return Chain(contracts, sessions, coming, begins.astype(np.int64), ends.astype(np.int64), front, fields)


def _front(contracts: Contracts, sessions: SessionArray, calendar: Calendar) -> SessionArray:
    """The first delivery month that has not passed its last trading day, (T + 1,) months; a launch skips its own."""
    month = sessions.astype("datetime64[M]")
    if CHAINS.get(contracts.product) != _INDEX_CHAIN:
        return month
    stated = dict(zip(contracts.month.tolist(), contracts.last_day, strict=True))
    names, at = np.unique(month, return_inverse=True)
    last = np.array(
        [stated.get(m) or expiry(contracts.product, m.year, m.month, calendar) for m in names.tolist()],
        dtype="datetime64[D]",
    )
    front = np.where(sessions > last[at], month + ONE_MONTH, month)
    if contracts.product in LAUNCHES:
        launched = np.datetime64(LAUNCHES[contracts.product], "M")
        front = np.maximum(front, launched + ONE_MONTH)
    return np.asarray(front)
