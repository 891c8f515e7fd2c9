"""The book of a volatility run: the walks of all products, and what they forecast of a session.

What it says of a session is out of sample, whether that session lies in the span of the training or after it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from features.panel import DataError
from features.store import Store
from models.volatility.base import FittedVolatility, Returns
from models.volatility.risk import loss_probability, seed_of, tails
from models.volatility.sizing import SESSIONS_A_YEAR, Limits, Position, size
from models.volatility.walk import Refit
from training.manifest import Manifest
from training.volatility_config import Sizing, VolatilityConfig, level_name
from training.volatility_data import Series, VolatilityData, gather, plan_of
from training.volatility_judge import served_tails
from training.volatility_served import ServedForecasts, served_forecasts
from training.walk_jobs import specs_of
from training.walked import Walked, walked

_FOLDER: Final = "products"
_LAST: Final = "chosen.json"
_MARGIN_LEVEL: Final = 0.99
_CALL_SESSIONS: Final = 5
_VOLUME_SESSIONS: Final = 20


@dataclass(frozen=True)
class Book:
    """The walks of a run by product.

    walks  product -> its walks, those without a forecast among them
    data   what the walks were last carried on over; None before `extend`
    last   product -> the model that was best of late at each horizon when the book was saved
    """

    config: VolatilityConfig = field(repr=False)
    walks: Mapping[str, Walked] = field(repr=False)
    data: VolatilityData | None = field(default=None, repr=False)
    last: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def products(self) -> tuple[str, ...]:
        """Products that it was trained on, those without a forecast among them."""
        return tuple(self.walks)

    @property
    def horizons(self) -> tuple[int, ...]:
        """Sessions ahead that it forecasts, rising."""
        return self.config.forecast.horizons

    def save(self, folder: Path) -> None:
        """Write the products into a folder of the folder; the config stands in the manifest."""
        (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
        for one in self.walks.values():
            one.save(folder / _FOLDER)
        last: Mapping[str, Sequence[str]] = self.last
        if self.data is not None:
            last = {name: [one.models[used] for used in one.used[-1]] for name, one in self.served.items()}
        (folder / _LAST).write_text(json.dumps(last, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` and the manifest's `save` wrote."""
        config = Manifest.load(folder).config
        if not isinstance(config, VolatilityConfig):
            raise DataError("book", "its manifest must be of the task volatility", config.task, str(folder))
        found = (Walked.load(path) for path in sorted((folder / _FOLDER).glob("*.json")))
        last = json.loads((folder / _LAST).read_text(encoding="utf-8"))
        return cls(config, {one.product: one for one in found}, last={name: tuple(one) for name, one in last.items()})

    def extend(self, store: Store, asof: np.datetime64, say: Callable[[str], None] = lambda line: None) -> Book:
        """The walks carried on to a session, refitted on the grid of the training; those that reach further stay.

        A product whose history in the store is not the one that was walked has no forecast but a reason.
        """
        reached = max((one.sessions[-1] for one in self.walks.values() if len(one.sessions)), default=asof)
        named = self.config.model_copy(update={"data": self.config.data.model_copy(update={"products": self.products})})
        data = gather(named, store, max(asof, reached).astype(object), say)
        specs, plan = specs_of(self.config), plan_of(self.config)
        walks = {}
        for product, one in self.walks.items():
            series = data.series.get(product)
            if series is None:
                walks[product] = replace(one, empty=data.empty[product])
            elif not one.tracks:
                walks[product] = walked(product, specs, plan, series)
            else:
                walks[product] = one.carried_on(specs, plan, series)
        return replace(self, walks=walks, data=data)

    def forecast(self, asof: np.datetime64) -> pl.DataFrame:
        """What it forecasts of a session that the walks have reached: a row a product and horizon.

        product, horizon, model, status, reason (null where there is a forecast); sigma (a year), sigma_h and mu_h (of
        the horizon), var_* and es_* by level, persistence, dof, margin, leverage, contracts: null where not known
        Errors  DataError where the book was not carried on over a store yet
        """
        rows = [row for product in self.walks for row in self._rows(product, asof)]
        return pl.DataFrame(rows, schema=self._schema(), orient="row")

    def project(self, product: str, returns: Returns) -> pl.DataFrame:
        """What the last fits of a product make of other returns: horizon, sigma (a year), sigma_h, model.

        Each horizon is forecast by the model that was best of late when the book was saved.
        Errors  DataError for a product that it does not know, or cannot forecast; FitError where the returns lack what
                a model needs
        """
        one = self.walks.get(product)
        if one is None or not one.tracks:
            known = ", ".join(name for name, walks in self.walks.items() if walks.tracks)
            raise DataError(
                f"book, product {product}", "it must have a forecast", one.empty if one else "none", help=known
            )
        origin = np.array([len(returns) - 1], dtype=np.int64)
        found = [
            float(_last(one.tracks[name].fits).forecast(returns, origin, (h,)).variance[0, 0])
            for name, h in zip(self.last[product], self.horizons, strict=True)
        ]
        sigma_h = np.sqrt(found)
        sigma = sigma_h * np.sqrt(SESSIONS_A_YEAR / np.array(self.horizons))
        told = {"horizon": self.horizons, "sigma": sigma, "sigma_h": sigma_h, "model": self.last[product]}
        return pl.DataFrame(told)

    @cached_property
    def served(self) -> dict[str, ServedForecasts]:
        """Product -> what of its walks is served at every origin; DataError before the book was carried on."""
        return {product: self._served_since(product, 0, True) for product, one in self.walks.items() if not one.empty}

    @cached_property
    def _asked(self) -> dict[str, tuple[int, ServedForecasts]]:
        """Product -> the first row that was asked about, and what is served from there on."""
        return {}

    def _served_at(self, product: str, row: int) -> ServedForecasts:
        """What is served at an origin, and later: an evening is spared the choices of all evenings before it."""
        if "served" in vars(self):
            return self.served[product]
        if product not in self._asked or self._asked[product][0] > row:
            found = self._served_since(product, row, self.config.choice.serve == "combination")
            self._asked[product] = row, found
        return self._asked[product][1]

    def _served_since(self, product: str, row: int, with_sets: bool) -> ServedForecasts:
        series = self._data.series[product]
        return served_forecasts(self.config, self.walks[product], series, since=row, with_sets=with_sets)

    @property
    def _data(self) -> VolatilityData:
        if self.data is None:
            raise DataError("book", "it must be carried on over a store before it forecasts", "none", help="extend it")
        return self.data

    def _schema(self) -> dict[str, Any]:
        tail = [f"{what}_{level_name(level)}" for what in ("var", "es") for level in self.config.forecast.levels]
        numbers = ("sigma", "sigma_h", "mu_h", *tail, "persistence", "dof", "margin", "leverage")
        return {
            "product": pl.String,
            "horizon": pl.Int64,
            **dict.fromkeys(numbers, pl.Float64),
            "contracts": pl.Int64,
            "model": pl.String,
            "status": pl.String,
            "reason": pl.String,
        }

    def _rows(self, product: str, asof: np.datetime64) -> list[dict[str, Any]]:
        one = self.walks[product]
        reason = _untold(one, asof, self.config.walk.min_window)
        if reason:
            return [{"product": product, "horizon": h, "reason": reason} for h in self.horizons]
        series = self._data.series[product]
        origin = int(np.searchsorted(one.sessions, asof))
        row = origin - one.first
        served = self._served_at(product, row)
        combined = self.config.choice.serve == "combination"
        variance = (served.combined if combined else served.best)[row]
        fits = [one.tracks[served.models[used]].fit_at(origin) for used in served.used[row]]
        if fits[0] is None or not np.isfinite(variance).all() or any(fit is None or not fit.fitted for fit in fits):
            why = fits[0].status if fits[0] is not None else "no fit"
            return [{"product": product, "horizon": h, "reason": why} for h in self.horizons]
        window = seen_by(self.config, series, fits[0].origin, origin)
        risk = self._risk(product, asof, served, row, variance, [fit.fitted for fit in fits if fit], window)
        position = self._position(product, one, served, row, origin, math.sqrt(variance[0] / self.horizons[0]))
        rows = []
        for k, h in enumerate(self.horizons):
            used = int(served.used[row, k])
            fit = fits[k]
            rows.append(
                {
                    "product": product,
                    "horizon": h,
                    "sigma": math.sqrt(variance[k] / h * SESSIONS_A_YEAR),
                    "sigma_h": math.sqrt(variance[k]),
                    "mu_h": float(served.mean[row, used, k]),
                    **risk[k],
                    **_fit_told(fit),
                    **position,
                    "model": self._model_told(served, row, k, combined),
                }
            )
        return rows

    def _model_told(self, served: ServedForecasts, row: int, k: int, combined: bool) -> str:
        if combined and served.member[row, :, k].any():
            members = [name for name, inside in zip(served.models, served.member[row, :, k], strict=True) if inside]
            return "+".join(members)
        return served.models[int(served.used[row, k])]

    def _risk(
        self,
        product: str,
        asof: np.datetime64,
        served: ServedForecasts,
        row: int,
        variance: np.ndarray[Any, Any],
        fitted: list[FittedVolatility | None],
        window: Returns,
    ) -> list[dict[str, float]]:
        """Value at risk and shortfall of each horizon, by the model that serves it, at the variance that is served."""
        told = self.config.forecast
        seed = seed_of(product, asof.astype("datetime64[D]").astype(object))
        out: list[dict[str, float]] = []
        known: dict[int, Any] = {}
        for k, model in enumerate(fitted):
            used = int(served.used[row, k])
            if used not in known and model is not None:
                known[used] = tails(model, window, self.horizons, told.levels, paths=told.paths, seed=seed)
            mean = served.mean[row, used, k]
            scale = math.sqrt(variance[k] / served.variance[row, used, k])
            found = known[used]
            out.append(
                {
                    f"var_{level_name(x)}": (found.value_at_risk[k, i] + mean) * scale - mean
                    for i, x in enumerate(told.levels)
                }
                | {
                    f"es_{level_name(x)}": (found.shortfall[k, i] + mean) * scale - mean
                    for i, x in enumerate(told.levels)
                }
            )
        return out

    def _position(
        self, product: str, one: Walked, served: ServedForecasts, row: int, origin: int, sigma: float
    ) -> dict[str, Any]:
        """Margin, leverage and contracts of the contract that is held next; nothing where its price is not known."""
        series = self._data.series[product]
        found, at = series.continuous, int(series.row[origin])
        var, _ = served_tails(self.config, one, served)
        levels = list(self.config.forecast.levels)
        if _MARGIN_LEVEL not in levels or not math.isfinite(found.multiplier):
            return {}
        position = sized(
            self.config.sizing, product, float(found.close[at]), found.multiplier, sigma,
            float(var[row, levels.index(_MARGIN_LEVEL)]), found.volume[max(0, at + 1 - _VOLUME_SESSIONS) : at + 1],
        )  # fmt: skip
        return {"margin": position.margin, "leverage": position.leverage, "contracts": position.contracts}


def seen_by(config: VolatilityConfig, series: Series, fitted_at: int, origin: int) -> Returns:
    """The returns that a filter runs over at an origin: from the first that the fit saw."""
    return series.returns.part(max(0, fitted_at + 1 - config.walk.window), origin + 1)


def sized(
    told: Sizing,
    product: str,
    price: float,
    multiplier: float,
    sigma: float,
    var_99: float,
    volume: np.ndarray[Any, Any],
) -> Position:
    """The position of a product by the config's limits; volume of the last sessions, whose mean caps it."""
    margin = told.exchange_margin.get(product, told.exchange_margin.get("default", Limits.exchange_margin))
    settings = told.model_dump(exclude={"exchange_margin"})
    mean_volume = float(np.nanmean(volume)) if np.isfinite(volume).any() else None
    return size(price, multiplier, sigma, var_99, mean_volume, Limits(exchange_margin=margin, **settings))


def margin_call(
    told: Sizing, position: Position, fitted: FittedVolatility, window: Returns, *, paths: int, seed: int
) -> tuple[float, float]:
    """How likely five sessions lose more than the buffer, for the position held long and held short."""
    found = tails(fitted, window, (_CALL_SESSIONS,), (_MARGIN_LEVEL,), paths=paths, seed=seed)
    return loss_probability(found.cumulated[:, 0], position.exposure, told.buffer)


def _untold(one: Walked, asof: np.datetime64, least: int) -> str:
    """Why there is no forecast of a session, as it was known then; "" where there is one."""
    if not len(one.sessions):
        return one.empty
    at = int(np.searchsorted(one.sessions, asof))
    if at >= len(one.sessions) or one.sessions[at] != asof:
        before = one.sessions[:at]
        last = f"the last one on {before[-1]}" if len(before) else "none before"
        return f"no return on {asof}: {last}"
    return f"too short: {at + 1} returns of {least}" if at + 1 < least else one.empty


def _fit_told(fit: Refit | None) -> dict[str, Any]:
    if fit is None or fit.fitted is None:
        return {}
    return {"persistence": fit.fitted.persistence, "dof": fit.fitted.dof, "status": fit.status}


def _last(fits: tuple[Refit, ...]) -> FittedVolatility:
    for fit in reversed(fits):
        if fit.fitted is not None:
            return fit.fitted
    raise DataError("book", "a model must have a fit", "none")
