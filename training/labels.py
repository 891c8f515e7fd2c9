"""Labels: the excess return that a decision at the close of t earns from the next session on.

The only part of daybar that looks ahead. A decision on t enters at t+1 and leaves h sessions later, at t+1+h, both at
the same kind of price; what could not have been traded has no label, and why is counted.
Source  09 §1
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from features.operators import cs_normal, cs_zscore, previous_valid
from features.panel import BoolArray, DataError, Float64Array, IntArray, Panels
from training.excess import Excess, Yardstick, yardstick
from training.fills import BLOCKED, DELAYED, DELISTED, NO_EXIT_YET, Entry, Fills, Holdings, adjusting, fills, holdings
from training.splits import purge, purge_between
from training.weights import label_weights

Transform = Literal["rank_normal", "zscore", "raw"]


@dataclass(frozen=True)
class Labels:
    """Forward excess returns; row t belongs to a decision at the close of t.

    value      (T, N) excess log return, NaN where there is no label
    total      (T, N) log return before the excess is taken, of every asset that could be entered and left
    target     (T, N) the value as a model is to see it, transformed per session
    entry_ok   (T, N) session t+1 could be bought
    exit       (T, N) row on which the label became known (the realised exit), -1 where there is no label
    left       (T, N) row of the realised exit of every asset that has a `total`, label or not, -1 elsewhere
    weight     (T, N) 1/N_t times average uniqueness times age, 0 where there is no label; without ageing each session
               sums to about 1/horizon
    lost       reason -> rows of all labels; from `universe` the reasons lead down to `kept`; `delayed_exit` and
               `delisted` are kept
    gap        sessions between a decision and its exit when nothing is delayed: 1 + horizon
    universe, yardstick, transform, half_life  how value, target and weight follow from total and left
    """

    value: Float64Array = field(repr=False)
    total: Float64Array = field(repr=False)
    target: Float64Array = field(repr=False)
    entry_ok: BoolArray = field(repr=False)
    exit: IntArray = field(repr=False)
    left: IntArray = field(repr=False)
    weight: Float64Array = field(repr=False)
    lost: dict[str, int]
    gap: int
    universe: BoolArray = field(repr=False)
    yardstick: Yardstick
    transform: Transform
    half_life: float | None

    def known_before(self, row: int) -> Labels:
        """The labels as they stood before session `row`: those whose exit lay before it, judged among themselves.

        A label that is not known yet must not be in the means, the ranks or the weights of its session either: a name
        whose exit is delayed past the first test session would tell the others of what happens then.
        """
        return self._among(purge(self._sessions(), self.left, row))

    def apart_from(self, test: IntArray) -> Labels:
        """The labels that meet none of the test sessions' labels, before or after them, judged among themselves.

        test  positions of sessions, of a CombinatorialFold say
        """
        tested = np.zeros(len(self.exit), bool)
        tested[test] = True
        sessions = self._sessions()
        return self._among(purge_between(sessions, self.left, sessions[tested], self.exit[tested]))

    def with_outcomes(self, outcome: Float64Array) -> Labels:
        """Other outcomes in the place of the labels, each known when due, less their session's mean: for placebos.

        Shape  outcome (T, N) log returns, NaN where there is to be no label
        """
        due = self._sessions() + self.gap
        kept = np.isfinite(outcome) & (due < len(outcome))
        total, left = np.where(kept, outcome, np.nan), np.where(kept, due, -1)
        return _judged(replace(self, total=total, left=left, universe=kept, yardstick=Yardstick("universe")))

    def _sessions(self) -> IntArray:
        return np.broadcast_to(np.arange(len(self.left), dtype=np.int64)[:, None], self.left.shape)

    def _among(self, known: BoolArray) -> Labels:
        total = np.where(known, self.total, np.nan)
        left = np.where(known & np.isfinite(total), self.left, -1)
        return _judged(replace(self, total=total, left=left))


def _judged(labels: Labels) -> Labels:
    """The same with value, target, exit and weight as they follow from total and left."""
    value = labels.yardstick.over(labels.total, labels.universe & np.isfinite(labels.total))
    kept = np.isfinite(value)
    exit = np.where(kept, labels.left, -1)
    target = _transformed(value, kept, labels.transform)
    return replace(labels, value=value, target=target, exit=exit, weight=label_weights(exit, labels.half_life))


def _transformed(value: Float64Array, kept: BoolArray, transform: Transform) -> Float64Array:
    """The target: normal scores of the mid-ranks, robust z clipped at three, or the value itself."""
    if transform == "raw":
        return value
    if transform == "zscore":
        return np.clip(cs_zscore(value, kept), -3.0, 3.0)
    return cs_normal(value, kept)


def make_labels(
    panels: Panels,
    universe: BoolArray,
    *,
    horizon: int,
    entry: Entry = "next_open",
    excess: Excess = "universe",
    benchmark: Float64Array | None = None,
    benchmark_close: Float64Array | None = None,
    industry: Float64Array | IntArray | None = None,
    transform: Transform = "rank_normal",
    half_life: float | None = None,
    delisted: IntArray | None = None,
    delist_haircut: float = 0.5,
    max_exit_delay: int = 20,
    tick: float = 0.01,
) -> Labels:
    """Excess log return from the fill on t+1 to the first session from t+1+horizon on that could be sold.

    Shape   panels (T, N) with open high low close prev_close volume, total_turnover for vwap, limit_up, limit_down and
            suspended where there are such; universe (T, N); benchmark (T,) prices of the same kind (an index has no
            vwap: what stands for it, its close say, is the caller's choice), benchmark_close (T,) its daily closes;
            industry (T, N) or (1, N) codes, NaN or negative where unknown; delisted (N,) row of the last trading
            session or -1
    Exit    waits at most `max_exit_delay` sessions for a sale; an asset delisted meanwhile is worth its last close
            times 1 - delist_haircut, known the session after (never before it was due); one that is still blocked
            has no label
    Excess  universe: less the mean over universe names that could be entered and left; benchmark: less its return
            over the same sessions; industry: less the mean of its industry, of the universe where fewer than eight of
            it have a return; beta: less beta (training/excess.py) times the benchmark's return, or the universe's mean
            without one. A beta needs 252 sessions of panels before the first label
    Weight  1/N_t times average uniqueness, halved for every `half_life` sessions before the newest label
    NaN     not in the universe, no entry, no exit inside the data: a horizon is never shortened
    Source  09 §1
    """
    _check_settings(panels, universe, horizon)
    if not 0 <= delist_haircut < 1:
        raise DataError("label", "delist_haircut must lie in [0, 1)", f"{delist_haircut}")
    if half_life is not None and not half_life > 0:
        raise DataError("label", "half_life must be above 0 sessions, or none", f"{half_life}")
    fill = fills(panels, entry, tick=tick)
    held = holdings(
        panels, fill, delisted, horizon=horizon, delist_haircut=delist_haircut, max_exit_delay=max_exit_delay
    )
    against = yardstick(
        excess,
        panels,
        fill.traded,
        universe,
        held.exit,
        benchmark=benchmark,
        benchmark_close=benchmark_close,
        industry=industry,
    )
    nothing = np.full(panels.shape, np.nan)
    unjudged = Labels(
        value=nothing,
        total=held.total,
        target=nothing,
        entry_ok=_next(fill.buyable),
        exit=held.exit,
        left=held.exit,
        weight=nothing,
        lost={},
        gap=1 + horizon,
        universe=universe,
        yardstick=against,
        transform=transform,
        half_life=half_life,
    )
    labels = _judged(unjudged)
    return replace(labels, lost=_waterfall(labels, fill, held))


def paper_returns(
    panels: Panels, universe: BoolArray, *, horizon: int, entry: Entry = "next_open", tick: float = 0.01
) -> Float64Array:
    """Log return that a naive back-test would book: whatever traded on t+1 is bought, and sold exactly when due.

    It buys at limit up, sells at limit down, and takes an asset that does not trade when due at its last close, gone
    or not. Beside the labels it shows how much of a RankIC nobody could have earned; nothing may be trained on it.

    Shape   panels, universe (T, N) -> (T, N)
    NaN     not in the universe; no trade on t+1; due after the data end
    """
    _check_settings(panels, universe, horizon)
    fill = fills(panels, entry, tick=tick)
    adjust = adjusting(panels)
    bought = fill.price * adjust
    last_close = previous_valid(np.where(fill.traded, panels["close"] * adjust, np.nan))
    sold = np.where(fill.traded, bought, last_close)
    out = np.full(panels.shape, np.nan)
    entries = max(panels.shape[0] - 1 - horizon, 0)
    out[:entries] = np.log(sold[1 + horizon :] / bought[1 : 1 + entries])
    return np.where(universe, out, np.nan)


def _check_settings(panels: Panels, universe: BoolArray, horizon: int) -> None:
    if horizon < 1:
        raise DataError("label", "horizon must be at least one session, for T+1 lets nothing sell sooner", f"{horizon}")
    if universe.shape != panels.shape:
        raise DataError("label", f"universe must have the shape {panels.shape}", f"{universe.shape}")


def _next(panel: BoolArray) -> BoolArray:
    """The row of the session after, false on the last."""
    return np.vstack([panel[1:], np.zeros((1, panel.shape[1]), bool)])


def _waterfall(labels: Labels, fill: Fills, held: Holdings) -> dict[str, int]:
    """Rows lost on the way from the universe to the labels, by reason; of the last session nothing is known yet."""
    universe, traded, entry_ok = labels.universe, _next(fill.traded), labels.entry_ok
    ahead = universe.copy()
    ahead[-1:] = False
    entered = ahead & entry_ok
    returned, kept = universe & np.isfinite(held.total), labels.exit >= 0
    index = labels.yardstick.index
    measured = returned if index is None else returned & np.isfinite(index)
    counts = {
        "universe": universe,
        "no_row_at_entry": ahead & ~traded,
        "limit_up_at_entry": ahead & traded & ~entry_ok,
        "no_exit_yet": (universe & ~ahead) | (entered & (held.outcome == NO_EXIT_YET)),
        "exit_blocked": entered & (held.outcome == BLOCKED),
        "no_benchmark": returned & ~measured,
        "no_beta": measured & ~kept,
        "delayed_exit": kept & (held.outcome == DELAYED),
        "delisted": kept & (held.outcome == DELISTED),
        "kept": kept,
    }
    return {reason: int(rows.sum()) for reason, rows in counts.items()}
