"""The book of a spread run: the fits of all pairs by every model, and what they forecast of a session.

What it says of a session is out of sample, whether that session lies in the span of the training or after it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import polars as pl

from features.panel import DataError, Float64Array
from features.store import Store
from models.spread.base import Legs
from training.manifest import Manifest
from training.spread_config import SpreadConfig
from training.spread_cross import narrowed
from training.spread_data import Series, SpreadData, gather, name_of
from training.spread_panel import pooled_panel
from training.spread_pool import Pool, pool_of, pool_walks, tracks_of
from training.spread_walk import FAILED, Plan, Refit, Track, walk

_FILE, _POOL = "pairs.json", "pool"
SCHEMA: Final[Mapping[str, type[pl.DataType]]] = {
    "product": pl.String,
    "horizon": pl.Int64,
    "yhat": pl.Float64,
    "se": pl.Float64,
    "z": pl.Float64,
    "half_life": pl.Float64,
    "hedge": pl.Float64,
    "model": pl.String,
    "status": pl.String,
    "reason": pl.String,
}


@dataclass(frozen=True)
class PairWalk:
    """The walks of a pair by model.

    reached  first and last session that it was walked over; empty where there is none
    digest   of the rows that were walked; count of these
    fits     model -> fits, oldest first
    tracks   model -> what it said; empty before the pair is carried on over a store
    empty    why there is no forecast
    """

    name: str
    product: str
    reached: str
    count: int
    digest: str
    fits: Mapping[str, tuple[Refit, ...]] = field(repr=False)
    tracks: Mapping[str, Track] = field(default_factory=dict, repr=False)
    empty: str = ""

    def describe(self) -> dict[str, Any]:
        """As plain JSON values, without the tracks."""
        told = {name: getattr(self, name) for name in ("name", "product", "reached", "count", "digest", "empty")}
        return told | {"fits": {name: [fit.describe() for fit in fits] for name, fits in self.fits.items()}}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        fits = {name: tuple(Refit.restore(one) for one in found) for name, found in told["fits"].items()}
        return cls(**{**told, "fits": fits})


def plan_of(config: SpreadConfig) -> Plan:
    """How the config walks its pairs."""
    told = config.split
    return Plan(told.train, told.least, told.test, config.label.horizons)


def walked(
    config: SpreadConfig,
    series: Series,
    before: PairWalk | None = None,
    pooled: Mapping[str, Track] = MappingProxyType({}),
) -> PairWalk:
    """The walks of a pair, from nothing or on from those before, whose rows must be the first of the series.

    pooled  what regressions of all pairs said of it; a regression that is not among them says nothing
    """
    name, n, plan = series.name, len(series), plan_of(config)
    told = PairWalk(name, series.product, str(series.sessions[-1]), n, series.digest(n), {})
    if n < plan.least:
        return replace(told, empty=f"too short: {n} sessions of {plan.least}")
    known = {} if before is None else before.fits
    tracks: dict[str, Track] = {}
    for model, one in config.models.items():
        if not one.is_pooled:
            tracks[model] = walk(one.spec(), series.legs, plan, known.get(model, ()))
        elif model in pooled:
            tracks[model] = pooled[model]
    return replace(told, fits={model: track.fits for model, track in tracks.items()}, tracks=tracks)


@dataclass(frozen=True)
class SpreadBook:
    """The walks of a run by the name of the pair.

    data  what the walks were last carried on over; None before `extend`
    pool  the regressions of all pairs; None without one
    """

    config: SpreadConfig = field(repr=False)
    walks: Mapping[str, PairWalk] = field(repr=False)
    data: SpreadData | None = field(default=None, repr=False)
    pool: Pool | None = field(default=None, repr=False)

    @property
    def products(self) -> tuple[str, ...]:
        """Pairs that it was trained on, those without a forecast among them."""
        return tuple(self.walks)

    @property
    def horizons(self) -> tuple[int, ...]:
        """Sessions ahead that it forecasts, rising."""
        return self.config.label.horizons

    def save(self, folder: Path) -> None:
        """Write the fits of all pairs; the config stands in the manifest."""
        told = [one.describe() for one in self.walks.values()]
        (folder / _FILE).write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
        if self.pool is not None:
            self.pool.save(folder / _POOL)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` and the manifest's `save` wrote."""
        manifest = Manifest.load(folder)
        if manifest.task != "spread":
            raise DataError("book", "its manifest must be of the task spread", manifest.task, str(folder))
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        walks = (PairWalk.restore(one) for one in told)
        pool = Pool.load(folder / _POOL) if (folder / _POOL).is_dir() else None
        return cls(SpreadConfig.of_dump(manifest.settings), {one.name: one for one in walks}, pool=pool)

    def extend(self, store: Store, asof: np.datetime64, say: Callable[[str], None] = lambda line: None) -> SpreadBook:
        """The walks carried on to a session, refitted on the grid of the training; those that reach further stay.

        A pair whose history in the store is not the one that was walked has no forecast but a reason, and no part in
        later regressions. These are carried on where one of them is served.
        Errors  DataError where the factors of a regression are not what they were
        """
        reached = max((np.datetime64(one.reached) for one in self.walks.values() if one.reached), default=asof)
        products = tuple(dict.fromkeys(one.product for one in self.walks.values()))
        named = self.config.model_copy(
            update={"data": self.config.data.model_copy(update={"products": products, "end": None})}
        )
        if self.config.pairs.kind == "cross":
            ended = self.config.data.model_copy(update={"end": None})
            named = narrowed(self.config.model_copy(update={"data": ended}), tuple(self.walks))
        data = gather(named, store, max(asof, reached).astype(object), say)
        strange = {name: why for name, one in self.walks.items() if (why := _not_the_same(one, data))}
        panel, pools = None, {}
        same = {name: one for name, one in data.series.items() if name not in strange}
        if self.pool is not None and self.is_pooled and same:
            panel = pooled_panel(self.config, store, replace(data, series=same), say, self.pool.columns)
            self.pool.require_same_factors(panel.factors)
            pools = pool_walks(self.config, panel, self.pool)
        walks: dict[str, PairWalk] = {}
        for name, one in self.walks.items():
            if name in strange:
                walks[name] = replace(one, tracks={}, empty=strange[name])
            else:
                series = data.series[name]
                pooled = {} if panel is None else tracks_of(panel, pools, series)
                walks[name] = walked(self.config, series, one, pooled)
        pool = self.pool if panel is None else pool_of(panel, pools)
        return replace(self, walks=walks, data=data, pool=pool)

    def forecast(self, asof: np.datetime64) -> pl.DataFrame:
        """What it forecasts of a session that the walks have reached: a row a pair and horizon.

        yhat      spread excess return over the horizon: far leg less near leg, less what an unchanged curve earns
        se        standard deviation of it; z: distance of the spread from its mean in standard deviations
        half_life sessions; null where nothing is told to return
        hedge     value of the second leg that is sold against one of the first
        reason    null where there is a forecast
        Errors    DataError where the book was not carried on over a store yet
        """
        if self.data is None:
            raise DataError("book", "it must be carried on over a store before it forecasts", "none", help="extend it")
        rows = [row for name in self.walks for row in self._rows(name, asof, self.data)]
        return pl.DataFrame(rows, schema=dict(SCHEMA), orient="row")

    def project(self, pair: str, legs: Legs) -> pl.DataFrame:
        """What the last fit of the served model makes of other prices: horizon, change, se, z, model.

        change  of the log spread over the horizon; what an unchanged curve earns is in it
        Errors  DataError for a pair that it does not know, or cannot forecast
        """
        if self.is_pooled:
            must, help = "prices are projected by models of one pair", "Give it the columns of its rows."
            raise DataError(f"book, pair {pair}", must, f"a regression, {self.config.served}", help=help)
        one = self.walks.get(pair)
        fitted = None if one is None else self._last(one)
        if fitted is None:
            known = ", ".join(name for name, walks in self.walks.items() if self._last(walks) is not None)
            why = "none" if one is None else one.empty or "no fit"
            raise DataError(f"book, pair {pair}", "it must have a forecast", why, help=known)
        if fitted.fitted is None:
            raise DataError(f"book, pair {pair}", "it must have a fit", fitted.status)
        found = fitted.fitted.forecast(legs, np.array([len(legs) - 1]), self.horizons)
        told = {"horizon": self.horizons, "change": found.change[0], "se": found.sd[0]}
        z = float(fitted.fitted.filter(legs).z[-1])
        return pl.DataFrame(told).with_columns(z=pl.lit(z), model=pl.lit(self.config.served))

    def regress(self, X: Float64Array, deviation: Float64Array) -> pl.DataFrame:
        """What the last fits of the served regression make of rows: row, horizon, model, yhat, se.

        X          (M, K) columns of pool.columns, NaN where one is not known
        deviation  (M,) of each row's daily move of the spread
        Errors     DataError where no regression is served, or none was ever fitted
        """
        latest = {} if self.pool is None else self.pool.latest(self.config.served)
        if not latest:
            raise DataError("book", "a regression must be served and have been fitted", self.config.served)
        found = []
        for h, fit in latest.items():
            scale = deviation * math.sqrt(h)
            told = {"row": np.arange(len(X)), "horizon": np.full(len(X), h)}
            told |= {"yhat": fit.predict(X) * scale, "se": fit.error * scale}
            found.append(pl.DataFrame(told).with_columns(model=pl.lit(self.config.served)))
        return pl.concat(found).sort("row", "horizon")

    @property
    def is_pooled(self) -> bool:
        """Whether what it serves is a regression of all pairs."""
        return self.config.models[self.config.served].is_pooled

    def has_fit(self, pair: str) -> bool:
        """Whether the served model was ever fitted to a pair."""
        if self.is_pooled:
            return not self.walks[pair].empty and self.pool is not None and bool(self.pool.latest(self.config.served))
        return self._last(self.walks[pair]) is not None

    def _last(self, one: PairWalk) -> Refit | None:
        fits = one.fits.get(self.config.served, ())
        return next((fit for fit in reversed(fits) if fit.fitted is not None), None)

    def _rows(self, name: str, asof: np.datetime64, data: SpreadData) -> list[dict[str, Any]]:
        one, series, model = self.walks[name], data.series.get(name), self.config.served
        reason, row = one.empty, 0
        if not reason and series is not None:
            row = int(np.searchsorted(series.sessions, asof))
            if row >= len(series) or series.sessions[row] != asof:
                reason = f"no pair of contracts on {asof}"
            elif row + 1 < self.config.split.least:
                reason = f"too short: {row + 1} sessions of {self.config.split.least}"
            else:
                reason = series.reason(row)
        if reason or series is None:
            return [{"product": name, "horizon": h, "reason": reason} for h in self.horizons]
        track, carry = one.tracks[model], series.carry(self.horizons)[row]
        fit = track.fit_at(row)
        status = "" if fit is None else fit.status
        rows = []
        for k, h in enumerate(self.horizons):
            told: dict[str, Any] = {"product": name, "horizon": h, "model": model, "status": status}
            yhat = float(track.change[row, k] - carry[k])
            if math.isfinite(yhat):
                told |= {"yhat": yhat, "se": float(track.error[row, k])}
                of_level = {what: float(getattr(track, what)[row]) for what in ("z", "half_life", "hedge")}
                told |= {what: value for what, value in of_level.items() if math.isfinite(value)}
            else:
                told["reason"] = status if FAILED in status else self._why_nothing(series, track, row)
            rows.append(told)
        return rows

    def _why_nothing(self, series: Series, track: Track, row: int) -> str:
        """Why the served model says nothing of some horizon on a row that has a pair."""
        if not self.is_pooled or not series.legs.both[row]:
            return f"a leg has no price on {series.sessions[row]}"
        if track.fit_at(row) is None or np.isfinite(track.change[row]).any():
            return "too short: no regression over this horizon is fitted yet"
        return "the spread has no deviation: it hardly moved, or began within the quarter"


def _not_the_same(one: PairWalk, data: SpreadData) -> str:
    """Why a walk cannot be carried on over the data; empty where it can."""
    series = data.series.get(one.name)
    if series is None:
        return data.empty.get(one.name, "the store has no such pair")
    if one.count and (len(series) < one.count or series.digest(one.count) != one.digest):
        return "the store's history is not the one that was walked: train it again"
    return ""


def empty_walk(config: SpreadConfig, name: str, why: str) -> PairWalk:
    """A pair of which there is nothing."""
    if config.pairs.kind == "cross":
        return PairWalk(name, name.split("-", 1)[0], "", 0, "", {}, empty=why)
    product = name.split(" ", 1)[0]
    if name_of(config, product) != name:
        raise DataError("book", "a pair must be named by its product", name)
    return PairWalk(name, product, "", 0, "", {}, empty=why)
