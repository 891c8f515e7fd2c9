"""When pairs of products are candidates: all are tested at once at the turn of a quarter, on what a fit would see.

A screening knows the closes of its session and holds until the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from features.panel import BoolArray, IntArray, SessionArray
from models.spread.base import Legs
from models.spread.screening import Screened, Screening, screen

Every = Literal["month", "quarter"]
_MONTHS: Final[Mapping[Every, int]] = {"month": 1, "quarter": 3}
NOT_YET: Final = "no candidate: it has not been screened yet"


@dataclass(frozen=True)
class Screens:
    """The screenings of a family of pairs; each is made when it is asked for, once.

    legs   of every pair of the family, in their order: how many there are is in the q of each
    every  screened on the first session of each, told by the session before, which lies in another one
    train, least  rows that a test sees at most, and must have
    """

    legs: Mapping[tuple[str, str], Legs] = field(repr=False)
    rule: Screening
    every: Every
    train: int
    least: int
    _made: dict[int, Mapping[tuple[str, str], Screened]] = field(default_factory=dict, repr=False)

    @property
    def days(self) -> SessionArray:
        """Sessions on which the family is screened."""
        sessions = np.unique(np.concatenate([one.session for one in self.legs.values()]))
        turn = sessions.astype("datetime64[M]").astype(np.int64) // _MONTHS[self.every]
        return np.asarray(sessions[1:][turn[1:] != turn[:-1]])

    def last(self, day: np.datetime64) -> int:
        """Which screening holds at the close of a day, by its place in `days`; -1 before the first."""
        return int(np.searchsorted(self.days, day, side="right")) - 1

    def at(self, which: int, pair: tuple[str, str]) -> Screened | None:
        """What a screening says of a pair; None where it had too few rows, or ended before."""
        if which < 0:
            return None
        if which not in self._made:
            self._made[which] = self._screened(self.days[which])
        return self._made[which].get(pair)

    def reason(self, pair: tuple[str, str], day: np.datetime64) -> str:
        """Why a pair is no candidate at the close of a day; empty where it is one."""
        found = self.at(self.last(day), pair)
        if found is None:
            return NOT_YET
        return f"no candidate: {found.reason}" if found.reason else ""

    def candidate(self, pair: tuple[str, str]) -> BoolArray:
        """Whether a pair is a candidate at the close of each of its sessions, (n,)."""
        told = [one is not None and one.is_candidate for one in self.history(pair)]
        return np.asarray(np.append(told, False)[self._holding(pair)], np.bool_)

    def history(self, pair: tuple[str, str]) -> tuple[Screened | None, ...]:
        """What every screening says of a pair, in the order of `days`."""
        return tuple(self.at(which, pair) for which in range(len(self.days)))

    def _holding(self, pair: tuple[str, str]) -> IntArray:
        """Which screening holds at each session of a pair, (n,); -1 before the first."""
        return np.asarray(np.searchsorted(self.days, self.legs[pair].session, side="right") - 1, np.int64)

    def _screened(self, day: np.datetime64) -> Mapping[tuple[str, str], Screened]:
        parts = {}
        for pair, legs in self.legs.items():
            stop = int(np.searchsorted(legs.session, day, side="right"))
            if stop >= self.least and legs.session[stop - 1] == day:
                parts[pair] = legs.part(max(0, stop - self.train), stop)
        return {(one.y, one.x): one for one in screen(parts, self.rule)}
