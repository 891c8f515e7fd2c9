"""Labels: the excess return that a decision at the close of t earns from the next session on.

The only part of daybar that looks ahead. A decision on t enters at t+1 and leaves h sessions later, at t+1+h, both at
the same kind of price; what could not have been traded has no label, and why is counted.
Source  09 §1; prices adjusted by the ex-right reference price (00 §3); weights: López de Prado 2018, ch. 4
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numba import njit

from features.operators import adjustment, cs_mean, cs_normal, cs_zscore
from features.panel import BoolArray, DataError, Float64Array, IntArray, Panels
from training.splits import purge

Entry = Literal["next_open", "next_vwap", "next_close"]
Excess = Literal["universe", "benchmark"]
Transform = Literal["rank_normal", "zscore", "raw"]

_ON_TIME, _DELAYED, _DELISTED, _NO_EXIT_YET, _BLOCKED = 1, 2, 3, -1, -2


@dataclass(frozen=True)
class Fills:
    """At what price a session trades, and on which side it could have been traded.

    price     (T, N) unadjusted price of the fill, NaN where nothing traded
    traded    (T, N) a row with volume, not suspended
    buyable   (T, N) traded and not held at limit up at the time of the fill
    sellable  (T, N) traded and not held at limit down at the time of the fill
    """

    price: Float64Array = field(repr=False)
    traded: BoolArray = field(repr=False)
    buyable: BoolArray = field(repr=False)
    sellable: BoolArray = field(repr=False)


@dataclass(frozen=True)
class Labels:
    """Forward excess returns; row t belongs to a decision at the close of t.

    value     (T, N) excess log return, NaN where there is no label
    total     (T, N) log return before the excess is taken, of every asset that could be entered and left
    target    (T, N) the value as a model is to see it, transformed per session
    entry_ok  (T, N) session t+1 could be bought
    exit      (T, N) row on which the label became known (the realised exit), -1 where there is no label
    weight    (T, N) 1/N_t times average uniqueness, 0 where there is no label; each session sums to about 1/horizon
    lost      reason -> rows; from `universe` the reasons lead down to `kept`; `delayed_exit` and `delisted` are kept
    gap       sessions between a decision and its exit when nothing is delayed: 1 + horizon
    excess, transform  how the value and the target were made
    """

    value: Float64Array = field(repr=False)
    total: Float64Array = field(repr=False)
    target: Float64Array = field(repr=False)
    entry_ok: BoolArray = field(repr=False)
    exit: IntArray = field(repr=False)
    weight: Float64Array = field(repr=False)
    lost: dict[str, int]
    gap: int
    excess: Excess = "universe"
    transform: Transform = "rank_normal"

    def known_before(self, row: int) -> Labels:
        """The labels as they stood before session `row`: those whose exit lay before it, judged among themselves.

        A label that is not known yet must not be in the mean, the ranks or the weights of its session either: a name
        whose exit is delayed past the first test session would tell the others of what happens then.
        """
        rows = np.broadcast_to(np.arange(len(self.exit))[:, None], self.exit.shape)
        known = purge(rows, self.exit, row)
        value = np.where(known, self.value, np.nan)
        if self.excess == "universe":
            value = value - cs_mean(value, known)
        exit_row = np.where(known, self.exit, -1)
        return replace(
            self,
            value=value,
            target=_transformed(value, known, self.transform),
            exit=exit_row,
            weight=_weights(exit_row),
        )


def fills(panels: Panels, entry: Entry, *, tick: float = 0.01) -> Fills:
    """Prices and tradability of each session, judged by the day's own limits.

    An open fill looks at the open alone, so that it knows nothing of the day that follows; a vwap or close fill is
    held at a limit only when the whole day was (no trade away from the limit). A session without volume traded
    nowhere. Limits that are absent or NaN do not bind.
    """
    if entry not in ("next_open", "next_vwap", "next_close"):
        raise DataError("label", "entry must be next_open, next_vwap or next_close", repr(entry))
    volume, close = panels["volume"], panels["close"]
    has_volume = volume > 0
    if entry == "next_vwap":
        price = np.divide(panels["total_turnover"], volume, out=np.full(panels.shape, np.nan), where=has_volume)
    else:
        price = panels["open"] if entry == "next_open" else close
    traded = has_volume & np.isfinite(close) & (price > 0)
    if "suspended" in panels:
        traded &= ~(panels["suspended"] > 0)
    above, below = ("open", "open") if entry == "next_open" else ("low", "high")
    at_top, at_bottom = np.zeros(panels.shape, bool), np.zeros(panels.shape, bool)
    if "limit_up" in panels:
        at_top = panels[above] >= panels["limit_up"] - tick / 2
    if "limit_down" in panels:
        at_bottom = panels[below] <= panels["limit_down"] + tick / 2
    return Fills(np.where(traded, price, np.nan), traded, traded & ~at_top, traded & ~at_bottom)


def adjusting(panels: Panels) -> Float64Array:
    """Cumulative factor that makes a price comparable over ex-dates and suspensions, (T, N); levels mean nothing."""
    close = panels["close"]
    return adjustment(close, np.where(np.isfinite(close), panels["prev_close"], np.nan))


@njit(cache=True, nogil=True)
def _walk_to_exit(
    value: Float64Array,
    buyable: BoolArray,
    sellable: BoolArray,
    delisted: IntArray,
    last_value: Float64Array,
    horizon: int,
    max_delay: int,
) -> tuple[Float64Array, IntArray, IntArray]:
    """Log return, exit row and outcome code of a decision on each (t, asset); value is the adjusted fill price."""
    t_count, n_count = value.shape
    total = np.full((t_count, n_count), np.nan)
    exit_row = np.full((t_count, n_count), -1, np.int64)
    outcome = np.full((t_count, n_count), _NO_EXIT_YET, np.int64)
    for t in range(t_count):
        due = t + 1 + horizon
        for n in range(n_count):
            if due >= t_count or not buyable[t + 1, n]:
                continue
            gone = delisted[n] + 1 if delisted[n] >= 0 else t_count
            row, stop = due, min(due + max_delay + 1, gone, t_count)
            while row < stop and not sellable[row, n]:
                row += 1
            if row < stop:
                total[t, n] = np.log(value[row, n] / value[t + 1, n])
                exit_row[t, n] = row
                outcome[t, n] = _ON_TIME if row == due else _DELAYED
            elif gone <= due + max_delay and gone < t_count:
                total[t, n] = np.log(last_value[n] / value[t + 1, n])
                exit_row[t, n] = max(due, gone)
                outcome[t, n] = _DELISTED
            elif due + max_delay < t_count:
                outcome[t, n] = _BLOCKED
    return total, exit_row, outcome


@njit(cache=True, nogil=True)
def _average_uniqueness(exit_row: IntArray) -> Float64Array:
    """Mean over a label's life of one over the number of labels of the same asset that are alive, (T, N)."""
    t_count, n_count = exit_row.shape
    out = np.zeros((t_count, n_count))
    alive = np.zeros(t_count + 1)
    shares = np.zeros(t_count + 1)
    for n in range(n_count):
        alive[:] = 0.0
        for t in range(t_count):
            if exit_row[t, n] >= 0:
                alive[t + 2] += 1
                alive[exit_row[t, n] + 1] -= 1
        running = 0.0
        for t in range(t_count):
            running += alive[t]
            shares[t + 1] = shares[t] + (1 / running if running > 0 else 0.0)
        for t in range(t_count):
            last = exit_row[t, n]
            if last >= 0:
                out[t, n] = (shares[last + 1] - shares[t + 2]) / (last - t - 1)
    return out


def _weights(exit_row: IntArray) -> Float64Array:
    """1/N_t times average uniqueness, 0 where there is no label, (T, N)."""
    return _average_uniqueness(exit_row) / np.maximum((exit_row >= 0).sum(axis=1, keepdims=True), 1)


def _last_values(close: Float64Array, adjust: Float64Array, delisted: IntArray) -> Float64Array:
    """Adjusted close of the last row up to the delisting, (N,); NaN for assets that are not delisted."""
    rows = np.arange(close.shape[0])[:, None]
    seen = np.isfinite(close) & (rows <= delisted)
    last = np.where(seen, rows, -1).max(axis=0, initial=-1)
    columns = np.arange(close.shape[1])
    return np.where(last >= 0, (close * adjust)[last, columns], np.nan)


def _transformed(value: Float64Array, kept: BoolArray, transform: Transform) -> Float64Array:
    """The target: normal scores of the mid-ranks, robust z clipped at three, or the value itself."""
    if transform == "raw":
        return value
    if transform == "zscore":
        return np.clip(cs_zscore(value, kept), -3.0, 3.0)
    return cs_normal(value, kept)


def _check_settings(panels: Panels, universe: BoolArray, horizon: int, delist_haircut: float) -> None:
    if horizon < 1:
        raise DataError("label", "horizon must be at least one session, for T+1 lets nothing sell sooner", f"{horizon}")
    if universe.shape != panels.shape:
        raise DataError("label", f"universe must have the shape {panels.shape}", f"{universe.shape}")
    if not 0 <= delist_haircut < 1:
        raise DataError("label", "delist_haircut must lie in [0, 1)", f"{delist_haircut}")


def last_sessions(panels: Panels, fill: Fills, delisted: IntArray | None) -> IntArray:
    """Row of each asset's last trading session, -1 while it is listed; refuses trades after it."""
    if delisted is None:
        return np.full(panels.shape[1], -1, np.int64)
    gone = np.asarray(delisted, np.int64)
    after = fill.traded & (gone >= 0) & (np.arange(panels.shape[0])[:, None] > gone)
    if after.any():
        t, n = np.argwhere(after)[0]
        where = f"{panels.assets[n]} on {panels.sessions[t]}"
        raise DataError("label", "no asset may trade after its delisting", f"{int(after.sum())} rows that do", where)
    return gone


def _benchmark_return(benchmark: Float64Array | None, exit_row: IntArray) -> Float64Array:
    """Log return of the benchmark between each label's own entry and exit, (T, N)."""
    if benchmark is None or benchmark.shape != exit_row.shape[:1]:
        found = "none" if benchmark is None else f"the shape {benchmark.shape}"
        raise DataError("label", f"excess over a benchmark needs its prices as ({len(exit_row)},)", found)
    log_price = np.log(np.where(benchmark > 0, benchmark, np.nan))
    entered = np.append(log_price[1:], np.nan)[:, None]
    return np.where(exit_row >= 0, log_price[exit_row] - entered, np.nan)


def make_labels(
    panels: Panels,
    universe: BoolArray,
    *,
    horizon: int,
    entry: Entry = "next_open",
    excess: Excess = "universe",
    benchmark: Float64Array | None = None,
    transform: Transform = "rank_normal",
    delisted: IntArray | None = None,
    delist_haircut: float = 0.5,
    max_exit_delay: int = 20,
    tick: float = 0.01,
) -> Labels:
    """Excess log return from the fill on t+1 to the first session from t+1+horizon on that could be sold.

    Shape   panels (T, N) with open high low close prev_close volume, total_turnover for vwap, limit_up, limit_down and
            suspended where there are such; universe (T, N); benchmark (T,) prices of the same kind;
            delisted (N,) row of the last trading session or -1
    Exit    waits at most `max_exit_delay` sessions for a sale; an asset delisted meanwhile is worth its last close
            times 1 - delist_haircut, known the session after (never before it was due); one that is still blocked
            has no label
    Excess  universe: less the mean over universe names that could be entered and left; benchmark: less its return
            over the same sessions
    NaN     not in the universe, no entry, no exit inside the data: a horizon is never shortened
    Source  09 §1
    """
    _check_settings(panels, universe, horizon, delist_haircut)
    fill = fills(panels, entry, tick=tick)
    gone = last_sessions(panels, fill, delisted)
    adjust = adjusting(panels)
    last_value = _last_values(panels["close"], adjust, gone) * (1 - delist_haircut)
    total, exit_row, outcome = _walk_to_exit(
        fill.price * adjust, fill.buyable, fill.sellable, gone, last_value, horizon, max_exit_delay
    )
    pool = universe & np.isfinite(total)
    if excess == "benchmark":
        value = np.where(pool, total - _benchmark_return(benchmark, exit_row), np.nan)
    else:
        value = np.where(pool, total - cs_mean(total, pool), np.nan)
    kept = np.isfinite(value)
    known = np.where(kept, exit_row, -1)
    entry_ok = _next(fill.buyable)
    return Labels(
        value=value,
        total=total,
        target=_transformed(value, kept, transform),
        entry_ok=entry_ok,
        exit=known,
        weight=_weights(known),
        lost=_waterfall(universe, _next(fill.traded), entry_ok, outcome, kept),
        gap=1 + horizon,
        excess=excess,
        transform=transform,
    )


def _next(panel: BoolArray) -> BoolArray:
    """The row of the session after, false on the last."""
    return np.vstack([panel[1:], np.zeros((1, panel.shape[1]), bool)])


def _waterfall(
    universe: BoolArray, traded: BoolArray, entry_ok: BoolArray, outcome: IntArray, kept: BoolArray
) -> dict[str, int]:
    """Rows lost on the way from the universe to the labels, by reason; of the last session nothing is known yet."""
    ahead = universe.copy()
    ahead[-1:] = False
    entered = ahead & entry_ok
    counts = {
        "universe": universe,
        "no_row_at_entry": ahead & ~traded,
        "limit_up_at_entry": ahead & traded & ~entry_ok,
        "no_exit_yet": (universe & ~ahead) | (entered & (outcome == _NO_EXIT_YET)),
        "exit_blocked": entered & (outcome == _BLOCKED),
        "no_benchmark": entered & (outcome > 0) & ~kept,
        "delayed_exit": kept & (outcome == _DELAYED),
        "delisted": kept & (outcome == _DELISTED),
        "kept": kept,
    }
    return {reason: int(rows.sum()) for reason, rows in counts.items()}
