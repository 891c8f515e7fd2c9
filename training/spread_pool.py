"""Walk-forward forecasts of all pairs by one regression: fitted each month or quarter on what had come true by then.

A fit is made at the close of the first session of a month or quarter, on rows of the sessions before of which the
outcome was known a session earlier, and it speaks until the next. Labels are learnt in deviations of their own pair
(daily deviation, known at the row, times the root of the horizon), so that a pair that moves little counts as much as
one that moves far; what is foretold is scaled back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np

from features.panel import DataError, Float64Array, IntArray, SessionArray
from models.base import FitError
from models.spread.regression import FittedSpreadRegression, SpreadRegression
from training.spread_config import SpreadConfig
from training.spread_data import PairSeries, Series
from training.spread_panel import PooledPanel
from training.spread_walk import FAILED, KEPT, OK, Refit, Track

_FILE: Final = "fits.json"


@dataclass(frozen=True)
class PoolPlan:
    """Sessions of a fit (at most, at least), how often it is made, the seed of what is drawn."""

    train: int
    least: int
    every: Literal["month", "quarter"]
    seed: int


@dataclass(frozen=True)
class PoolFit:
    """A regression of one horizon, as it was fitted on one session.

    origin  its session
    error   root mean squared error of the rows that it was fitted on, in deviations of the label
    rows, sessions  that it has seen
    status  ok; kept: ... the fit before stands; failed: ... there is none
    """

    origin: np.datetime64
    horizon: int
    status: str
    rows: int = 0
    sessions: int = 0
    error: float = math.nan
    fitted: FittedSpreadRegression | None = field(default=None, repr=False)

    def predict(self, X: Float64Array) -> Float64Array:
        """Expected label of rows (M, K) in their deviations, (M,); NaN where there is no fit."""
        return np.full(len(X), np.nan) if self.fitted is None else self.fitted.predict(X)

    def describe(self) -> dict[str, Any]:
        """As plain JSON values, without the regression but for what it decided."""
        told = {name: getattr(self, name) for name in ("horizon", "status", "rows", "sessions")}
        error = self.error if math.isfinite(self.error) else None
        chosen = None if self.fitted is None else self.fitted.told.get("strength")
        return {"origin": str(self.origin), **told, "error": error, "strength": chosen}


@dataclass(frozen=True)
class PoolWalk:
    """What a regression said of all rows of a panel, (M, H); NaN before the first fit.

    yhat   spread excess return over each horizon
    error  its root mean squared error on the rows of the fit, in the deviation of the row's own pair
    fits   oldest first, by horizon
    """

    fits: tuple[PoolFit, ...] = field(repr=False)
    yhat: Float64Array = field(repr=False)
    error: Float64Array = field(repr=False)

    def track(self, panel: PooledPanel, series: PairSeries) -> Track:
        """What it said of one pair: a return, and no level that the spread comes back to."""
        n, many = len(series), len(panel.horizons)
        change, error, unknown = np.full((n, many), np.nan), np.full((n, many), np.nan), np.full(n, np.nan)
        at = panel.of(series.name)
        row = panel.row[at]
        change[row] = self.yhat[at] + series.carry(panel.horizons)[row]
        error[row] = self.error[at]
        hedge = np.where(np.isfinite(change).any(axis=1), 1.0, np.nan)
        return Track(change, error, unknown, unknown, unknown, unknown, hedge, self._refits(series))

    def _refits(self, series: PairSeries) -> tuple[Refit, ...]:
        """One a session of fitting, at the first row of the pair that it speaks of; all horizons in one status."""
        told: dict[int, Refit] = {}
        for origin in dict.fromkeys(fit.origin for fit in self.fits):
            row = int(series.sessions.searchsorted(origin))
            if row < len(series):
                odd = [f"{f.horizon}: {f.status}" for f in self.fits if f.origin == origin and f.status != OK]
                told[row] = Refit(row, "; ".join(odd) or OK, None)
        return tuple(told.values())


def walk_pool(
    spec: SpreadRegression,
    panel: PooledPanel,
    plan: PoolPlan,
    known: Sequence[PoolFit] = (),
) -> PoolWalk:
    """Walk a panel from its first session to its last.

    known  fits of an earlier walk over the same rows, which are not made again
    """
    many = len(panel.horizons)
    yhat, error = np.full((len(panel), many), np.nan), np.full((len(panel), many), np.nan)
    made = {(fit.origin, fit.horizon): fit for fit in known}
    fits: list[PoolFit] = []
    before: dict[int, PoolFit] = {}
    grid = [*origins(panel, plan.every), len(panel.sessions)]
    for origin, stop in pairwise(grid):
        rows = np.flatnonzero((panel.session >= origin) & (panel.session < stop))
        for k, horizon in enumerate(panel.horizons):
            fit = made.get((panel.sessions[origin], horizon)) or _fit(spec, panel, plan, origin, k, before.get(horizon))
            if fit is None:
                continue
            before[horizon] = fit
            fits.append(fit)
            if len(rows):
                scale = panel.deviation[rows] * np.sqrt(horizon)
                yhat[rows, k], error[rows, k] = fit.predict(panel.X[rows]) * scale, fit.error * scale
    return PoolWalk(tuple(fits), yhat, error)


def origins(panel: PooledPanel, every: Literal["month", "quarter"]) -> list[int]:
    """Positions of the first sessions of months or quarters.

    That a month has begun is known at the close of its first session, from the month of the session before.
    """
    return [int(at) + 1 for at in np.flatnonzero(np.diff(period(panel.sessions, every)))]


def period(sessions: SessionArray, every: Literal["month", "quarter"]) -> IntArray:
    """Which month or quarter each session is of, as a rising number."""
    month = sessions.astype("datetime64[M]").astype(np.int64)
    return np.asarray(month if every == "month" else month // 3)


def _seen(panel: PooledPanel, plan: PoolPlan, origin: int, k: int) -> IntArray:
    """Rows that a fit at a session learns from: of which the outcome was known the session before."""
    last = origin - panel.horizons[k] - 1
    begin, stop = np.searchsorted(panel.session, [origin + 1 - plan.train, last + 1])
    rows = np.arange(begin, max(begin, stop))
    return np.asarray(rows[np.isfinite(panel.label[rows, k])])


def _fit(
    spec: SpreadRegression, panel: PooledPanel, plan: PoolPlan, origin: int, k: int, before: PoolFit | None
) -> PoolFit | None:
    """The regression of one horizon on the rows of a session; where it cannot be made the one before stands.

    None where there was none before and there are too few sessions yet.
    """
    horizon, day = panel.horizons[k], panel.sessions[origin]
    rows = _seen(panel, plan, origin, k)
    X, session, count = panel.X[rows], panel.session[rows], len(np.unique(panel.session[rows]))
    if count < plan.least and before is None:
        return None
    y = panel.label[rows, k] / (panel.deviation[rows] * np.sqrt(horizon))
    try:
        if count < plan.least:
            raise FitError("regression of spreads", f"it needs {plan.least} sessions with an outcome", f"{count}")
        fitted = spec.fit(X, y, session, panel.columns, horizon + 1, plan.seed)
    except FitError as refusal:
        why = f"{refusal.must}; found {refusal.found}"
        if before is None or before.fitted is None:
            return PoolFit(day, horizon, f"{FAILED}: {why}")
        kept = before.rows, before.sessions, before.error, before.fitted
        return PoolFit(day, horizon, f"{KEPT}: {why}", *kept)
    error = float(np.sqrt(np.mean((y - fitted.predict(X)) ** 2)))
    return PoolFit(day, horizon, OK, len(rows), count, error, fitted)


@dataclass(frozen=True)
class Pool:
    """The regressions of a run, as they are kept: columns and factors that they see, fits by model.

    factors  factor -> hash of the definition that the fits have learnt from
    """

    columns: tuple[str, ...]
    factors: Mapping[str, str]
    fits: Mapping[str, tuple[PoolFit, ...]] = field(repr=False)

    def latest(self, model: str) -> dict[int, PoolFit]:
        """Horizon -> the last fit of a model; those that have none are left out."""
        return {fit.horizon: fit for fit in self.fits.get(model, ()) if fit.fitted is not None}

    def importance(self, model: str) -> dict[int, dict[str, float]]:
        """Horizon -> mean over the fits of a model of each column's share in what they do."""
        out: dict[int, dict[str, float]] = {}
        for horizon in dict.fromkeys(fit.horizon for fit in self.fits[model]):
            own = [fit.fitted for fit in self.fits[model] if fit.horizon == horizon and fit.fitted is not None]
            shares = [one.importance() for one in own]
            out[horizon] = {name: float(np.mean([one[name] for one in shares])) for name in self.columns if shares}
        return out

    def require_same_factors(self, now: Mapping[str, str]) -> None:
        """Refuse to carry on where the code computes another number under the name of a factor."""
        changed = [name for name, told in self.factors.items() if now.get(name) != told]
        if changed:
            must = "the code must compute their factors as they were when they were trained"
            found, help = f"{len(changed)} that differ", "Train them again, or serve them with the version of then."
            raise DataError("regressions of spreads", must, found, ", ".join(changed), help)

    def save(self, folder: Path) -> None:
        """Write fits.json, and each regression into <model>/<origin>/<horizon>."""
        folder.mkdir(parents=True, exist_ok=True)
        for model, fits in self.fits.items():
            for fit in fits:
                if fit.fitted is not None and fit.status == OK:
                    fit.fitted.save(folder / model / str(fit.origin) / str(fit.horizon))
        told = {model: [fit.describe() for fit in fits] for model, fits in self.fits.items()}
        whole = {"columns": self.columns, "factors": dict(self.factors), "fits": told}
        (folder / _FILE).write_text(json.dumps(whole, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        whole = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        fits = {model: _loaded(folder / model, told) for model, told in whole["fits"].items()}
        return cls(tuple(whole["columns"]), whole["factors"], fits)


def _loaded(folder: Path, told: Sequence[Mapping[str, Any]]) -> tuple[PoolFit, ...]:
    """The fits of a model; one that was kept is the one before of its horizon."""
    out: list[PoolFit] = []
    latest: dict[int, FittedSpreadRegression] = {}
    for one in told:
        horizon = one["horizon"]
        if one["status"] == OK:
            latest[horizon] = FittedSpreadRegression.load(folder / one["origin"] / str(horizon))
        error = math.nan if one["error"] is None else one["error"]
        day = np.datetime64(one["origin"], "D")
        out.append(PoolFit(day, horizon, one["status"], one["rows"], one["sessions"], error, latest.get(horizon)))
    return tuple(out)


def pool_walks(config: SpreadConfig, panel: PooledPanel, known: Pool | None = None) -> dict[str, PoolWalk]:
    """The walk of each regression of the config over the rows of all pairs, from nothing or on from fits before."""
    told, made = config.pool, {} if known is None else known.fits
    plan = PoolPlan(told.train, told.least, told.every, config.seed)
    pooled = {model: one.regression() for model, one in config.models.items() if one.is_pooled}
    return {model: walk_pool(spec, panel, plan, made.get(model, ())) for model, spec in pooled.items()}


def pool_of(panel: PooledPanel, walks: Mapping[str, PoolWalk]) -> Pool:
    """What is kept of the walks of regressions."""
    return Pool(panel.columns, panel.factors, {model: one.fits for model, one in walks.items()})


def tracks_of(panel: PooledPanel, walks: Mapping[str, PoolWalk], series: Series) -> dict[str, Track]:
    """What each regression said of a pair."""
    if not isinstance(series, PairSeries) or series.name not in panel.pairs:
        return {}
    return {model: one.track(panel, series) for model, one in walks.items()}
