"""Trading a spread by its signal: who enters when, what it costs, and what every close makes of it.

A decision at row t knows the close of t; it is filled `delay` sessions later at the close, and earns from there on.
Source  spec 04 §6.2
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from features.panel import BoolArray, DataError, Float64Array, IntArray
from training.evaluate.spread_rule import By, Leg, Signal, TradedPair, TradingRule, round_trip_cost

Reason = Literal["converged", "turned", "time", "roll", "stranded", "open"]
REASONS: tuple[Reason, ...] = ("converged", "turned", "time", "roll", "stranded", "open")


@dataclass(frozen=True)
class Trade:
    """One stay in a pair; money in CNY, places are rows.

    side       1 long the spread, -1 short
    left       row of the close at which it ended; of the last close where it is still open
    lots       of the first and of the second leg, signed
    by         what entered: z, forecast, or either where both said so
    reason     converged, turned (the forecast that entered it changed its sign), time, roll (the last session of the
               pair), stranded (the same without a close: at the last one known), open
    worst      the lowest net result at a close while it was held
    """

    side: int
    decided: int
    entered: int
    left: int
    lots: tuple[int, int]
    by: By
    reason: Reason
    gross: float
    costs: float
    worst: float

    @property
    def net(self) -> float:
        """After costs."""
        return self.gross - self.costs

    @property
    def sessions(self) -> int:
        """Sessions that it was held."""
        return self.left - self.entered


@dataclass(frozen=True)
class Trading:
    """What a rule made of a pair; CNY a session, (T,).

    position  side that is held from this close to the next
    start     first row on which the signal speaks; what is before it is not judged
    missed    why orders were not filled -> how many
    """

    pair: TradedPair = field(repr=False)
    rule: TradingRule
    trades: tuple[Trade, ...] = field(repr=False)
    gross: Float64Array = field(repr=False)
    costs: Float64Array = field(repr=False)
    position: IntArray = field(repr=False)
    start: int
    missed: Mapping[str, int] = field(default_factory=dict)

    @property
    def net(self) -> Float64Array:
        """Return (T,) of each session on the capital, after costs; profits are not reinvested."""
        return np.asarray((self.gross - self.costs) / self.rule.capital, np.float64)


def trade(pair: TradedPair, signal: Signal, rule: TradingRule) -> Trading:
    """Trade a pair by its signal: one position at a time, never past the last session of the pair's contracts.

    A position that is still held on the last session of all stays open, is marked at its close, and pays no exit.
    Errors  DataError for arrays that do not match, a rule that needs a forecast without one
    """
    wishes = _wishes(pair, signal, rule)
    missed: Counter[str] = Counter()
    n, row = len(pair.sessions), 0
    gross, costs, position = np.zeros(n), np.zeros(n), np.zeros(n, np.int64)
    trades: list[Trade] = []
    stopped: Trade | None = None
    candidates = np.flatnonzero(wishes.side if signal.allowed is None else wishes.side * signal.allowed)
    while (i := int(np.searchsorted(candidates, row))) < len(candidates):
        at = int(candidates[i])
        if stopped is not None and not _rearmed(wishes, pair.life, stopped, at):
            row = at + 1
            continue
        lots, why = _order(pair, rule, wishes, at)
        if why:
            missed[why] += 1
            row = at + 1
            continue
        done = _held(pair, signal, rule, wishes, at, lots)
        span = slice(done.trade.entered, done.trade.left + 1)
        gross[span] += done.gross
        costs[span] += done.costs
        position[done.trade.entered : done.trade.left] = done.trade.side
        trades.append(done.trade)
        stopped = done.trade if done.trade.reason == "time" else None
        if done.trade.reason == "open":
            position[done.trade.left] = done.trade.side
            break
        row = done.trade.left + (rule.delay == 0)
    known = np.flatnonzero(wishes.known)
    start = int(known[0]) if len(known) else n
    return Trading(pair, rule, tuple(trades), gross, costs, position, start, dict(missed))


class _Wishes(NamedTuple):
    """What the rule would do at each row: the side, why, and whether the signal says anything at all."""

    side: IntArray
    by_z: BoolArray
    by_forecast: BoolArray
    known: BoolArray


def _wishes(pair: TradedPair, signal: Signal, rule: TradingRule) -> _Wishes:
    n = len(pair.sessions)
    forecast = np.full(n, np.nan) if signal.forecast is None else signal.forecast
    if signal.forecast is None and rule.by != "z":
        raise DataError("trading", f"a rule by {rule.by} needs a forecast", "none")
    given = {"z": signal.z, "half_life": signal.half_life, "forecast": forecast, "allowed": signal.allowed}
    for name, values in given.items():
        if values is not None and values.shape != (n,):
            raise DataError("trading", f"{name} must have a value per session, ({n},)", f"{values.shape}")
    reverts = np.isfinite(signal.half_life) & (signal.half_life > 0) & (pair.life >= 0)
    cost = round_trip_cost(pair, rule)
    by_z = reverts & (np.abs(signal.z) > rule.enter_z) & (rule.by != "forecast")
    by_forecast = reverts & (np.abs(forecast) > rule.margin * cost) & (rule.by != "z")
    against, along = np.where(by_z, -np.sign(signal.z), 0), np.where(by_forecast, np.sign(forecast), 0)
    side = np.where(against * along < 0, 0, np.sign(against + along)).astype(np.int64)
    told = {"z": np.isfinite(signal.z), "forecast": np.isfinite(forecast)}
    told["either"] = told["z"] | told["forecast"]
    return _Wishes(side, by_z, by_forecast, told[rule.by] & reverts)


def _rearmed(wishes: _Wishes, life: IntArray, stopped: Trade, at: int) -> bool:
    """Whether a side that was left by time may be entered: its condition has ceased since, or the pair is another."""
    if wishes.side[at] != stopped.side or life[at] != life[stopped.entered]:
        return True
    since = slice(stopped.left, at)
    return bool((wishes.known[since] & (wishes.side[since] != stopped.side)).any())


def _order(pair: TradedPair, rule: TradingRule, wishes: _Wishes, at: int) -> tuple[tuple[int, int], str]:
    """Lots of the two legs by the closes of the decision, or why there is no order."""
    filled, none = at + rule.delay, (0, 0)
    if filled >= len(pair.sessions):
        return none, "the sessions end"
    if filled >= pair.last[at] and pair.last[at] < len(pair.sessions) - 1:
        return none, "the pair rolls"
    if not (pair.ready[filled] and np.isfinite(pair.first.close[at] + pair.second.close[at])):
        return none, "no close"
    if not np.isfinite(pair.hedge[at]) or pair.hedge[at] == 0:
        return none, "no hedge ratio"
    value = pair.first.close[at] * pair.first.multiplier
    first = math.floor(rule.capital / value)
    second = round(first * value * float(pair.hedge[at]) / (pair.second.close[at] * pair.second.multiplier))
    if first == 0 or second == 0:
        return none, "less than a lot"
    side = int(wishes.side[at])
    return (side * first, -side * second), ""


class _Done(NamedTuple):
    """A trade with what each of its sessions earned and paid."""

    trade: Trade
    gross: Float64Array
    costs: Float64Array


def _held(
    pair: TradedPair, signal: Signal, rule: TradingRule, wishes: _Wishes, at: int, lots: tuple[int, int]
) -> _Done:
    entered = at + rule.delay
    left, reason = _exit(pair, signal, rule, wishes, at)
    gross, costs = np.zeros(left - entered + 1), np.zeros(left - entered + 1)
    for leg, count in zip((pair.first, pair.second), lots, strict=True):
        marks = _carried(leg.close[entered : left + 1])
        gross[1:] += count * leg.multiplier * _steps(leg, marks, entered, left)
        each = abs(count) * (rule.ticks * leg.tick * leg.multiplier + leg.fee_lot)
        fills = np.zeros(len(marks), np.int64)
        fills[0] = 1
        fills[-1] += reason != "open"
        for row in leg_rolls(leg, entered, left, is_open=reason == "open"):
            fills[row - entered] += 2
        costs += fills * (each + abs(count) * leg.fee_rate * leg.multiplier * marks)
    held = np.cumsum(gross) - np.cumsum(costs)
    by: By = "either" if wishes.by_z[at] and wishes.by_forecast[at] else "z" if wishes.by_z[at] else "forecast"
    side, total, paid = int(wishes.side[at]), float(gross.sum()), float(costs.sum())
    return _Done(Trade(side, at, entered, left, lots, by, reason, total, paid, float(held.min())), gross, costs)


def _exit(pair: TradedPair, signal: Signal, rule: TradingRule, wishes: _Wishes, at: int) -> tuple[int, Reason]:
    """The row of the closes at which a position that was decided at a row ends, and why."""
    entered, end, side = at + rule.delay, int(pair.last[at]), int(wishes.side[at])
    begin = entered + (rule.delay == 0)
    found: list[tuple[int, Reason]] = []
    if -side * signal.z[at] >= rule.exit_z:
        found += [(row, "converged") for row in _first(-side * signal.z[begin : end + 1] < rule.exit_z, begin)]
    if signal.forecast is not None and not wishes.by_z[at]:
        found += [(row, "turned") for row in _first(side * signal.forecast[begin : end + 1] < 0, begin)]
    stop = entered + max(1, math.ceil(rule.half_lives * float(signal.half_life[at])))
    found.append((max(begin, stop - rule.delay), "time"))
    decided, reason = min(found, key=lambda one: one[0])
    fills = _first(pair.ready[decided + rule.delay : end + 1], decided + rule.delay)
    if fills:
        return fills[0], reason
    if end == len(pair.sessions) - 1:
        return end, "open"
    return end, "roll" if pair.ready[end] else "stranded"


def leg_rolls(leg: Leg, entered: int, left: int, *, is_open: bool) -> list[int]:
    """Rows of the closes at which a position in a leg changes its contract.

    What is entered at such a close is of the new contract from the start, what is left there never gets it.
    """
    if leg.rolled is None:
        return []
    return [int(row) for row in entered + 1 + np.flatnonzero(leg.rolled[entered + 1 : left + is_open])]


def _steps(leg: Leg, marks: Float64Array, entered: int, left: int) -> Float64Array:
    """Points that a position in a leg gains from each close to the next, (left - entered,)."""
    if leg.step is None:
        return np.diff(marks)
    step = leg.step[entered + 1 : left + 1]
    return np.where(np.isfinite(step), step, 0.0)


def _first(holds: BoolArray, begin: int) -> list[int]:
    """The first row that holds, none where none does."""
    rows = np.flatnonzero(holds)
    return [begin + int(rows[0])] if len(rows) else []


def _carried(close: Float64Array) -> Float64Array:
    """Closes of a position, the last known one where there is none."""
    at = np.maximum.accumulate(np.where(np.isfinite(close), np.arange(len(close)), 0))
    return close[at]
