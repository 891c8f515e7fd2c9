"""What the fits of a term-structure run say of a session: states, convenience yield, and each contract's mispricing.

Parameters are those of the training. A fit has learnt from the dates before its holdout, so it is asked of later ones
alone. The states of a session are filtered through the curves of the training's grid before it (the last session of
each earlier week, or every session) and its own curve: what they are is the same whatever else is asked, and on the
last session of a week it is what the training would have made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from features.futures import listing
from features.panel import DataError, Float64Array
from features.store import Store
from models.base import FitError
from models.spread.schwartz_smith import FittedSchwartzSmith
from models.spread.term_curve import Curve, Filtered, TermState
from training.manifest import Manifest
from training.term_book import TermBook
from training.term_config import TermConfig
from training.term_data import TermSeries, clock, gather

NOW: Final = 0  # the horizon of a state: it is no forecast
SCHEMA: Final[Mapping[str, type[pl.DataType]]] = {
    "product": pl.String,
    "asset": pl.String,
    "horizon": pl.Int64,
    "month": pl.Int64,
    **dict.fromkeys(("years", "quoted", "model_price", "residual", "z"), pl.Float64),
    **dict.fromkeys(("chi", "chi_se", "xi", "xi_se", "convenience_yield"), pl.Float64),
    "model": pl.String,
    "status": pl.String,
    "reason": pl.String,
}


@dataclass(frozen=True)
class Track:
    """A product over a store: its series, and its states on the dates of the grid, up to a price without a log."""

    series: TermSeries = field(repr=False)
    seen: Filtered = field(repr=False)

    @classmethod
    def of(cls, fitted: FittedSchwartzSmith, series: TermSeries) -> Self:
        """The dates of the grid, filtered from the first one on."""
        low = np.flatnonzero((series.curve.price + fitted.spec.shift <= 0).any(axis=1))
        end = int(low[0]) if len(low) else len(series.curve)
        return cls(series, fitted.filter(series.curve.part(0, end)))

    def before(self, asof: np.datetime64) -> TermState | None:
        """The state after the grid's last date before a session; None without one.

        Errors  FitError where a price on the grid before it has no log
        """
        # The series ends on the session or later, so the date that ends a session's own week is never before it.
        at = int(np.searchsorted(self.series.dates, asof)) - 1
        if at >= len(self.seen.time):
            day = self.series.dates[len(self.seen.time)]
            raise FitError("term structure", "a model of log prices needs positive ones", f"another on {day}")
        if at < 0 or not np.isfinite(self.seen.chi[at]):
            return None
        chi, xi, p00, p01, p11 = (
            float(one) for one in (self.seen.chi[at], self.seen.xi[at], *self.seen.covariance[at])
        )
        return TermState(float(self.seen.time[at]), chi, xi, (p00, p01, p11))


@dataclass(frozen=True)
class TermStates:
    """The fits of a run by product, as they are asked of sessions.

    tracks  product -> its series, or why it has none; empty before `extend`
    """

    config: TermConfig = field(repr=False)
    book: TermBook = field(repr=False)
    tracks: Mapping[str, Track | str] = field(default_factory=dict, repr=False)

    @property
    def products(self) -> tuple[str, ...]:
        """Products that it was trained on, those without a model among them."""
        return (*self.book.fits, *self.book.empty)

    @property
    def horizons(self) -> tuple[int, ...]:
        """None ahead: states are of the session itself."""
        return (NOW,)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what the book and the manifest have written."""
        manifest = Manifest.load(folder)
        if manifest.task != "term_structure":
            raise DataError("book", "its manifest must be of the task term_structure", manifest.task, str(folder))
        return cls(TermConfig.of_dump(manifest.settings), TermBook.load(folder))

    def extend(self, store: Store, asof: np.datetime64, say: Callable[[str], None] = lambda line: None) -> TermStates:
        """The fits over the store's curves up to a session."""
        held = listing(store).products
        named = tuple(name for name in self.book.fits if name in held)
        tracks: dict[str, Track | str] = dict.fromkeys(self.book.fits, "the store holds none of its contracts")
        if named:
            told = self.config.data.model_copy(update={"products": named, "end": asof.astype(object)})
            data = gather(self.config.model_copy(update={"data": told}), store, say)
            tracks |= data.empty
            tracks |= {name: Track.of(self.book.fits[name], one) for name, one in data.series.items()}
        return replace(self, tracks=tracks)

    def forecast(self, asof: np.datetime64) -> pl.DataFrame:
        """What is said of a session: a row a product, and one a contract that its curve is measured by.

        product, asset (the product itself, or its contract), horizon (0), month (yyyymm) and years to maturity
        model_price  of a contract, in its own units; of a product: of a contract that matures now
        quoted       price of the contract; residual: its log less the model's, z: in its standard deviations
        chi, xi      the states of the product, with their standard errors; convenience_yield: net of storage, p.a.
        reason       of a product that has no states, null else
        Errors       DataError where it was not carried on over a store yet
        """
        if self.book.fits and not self.tracks:
            raise DataError("book", "it must be carried on over a store first", "none", help="extend it")
        rows = [row for product in self.products for row in self._rows(product, asof)]
        return pl.DataFrame(rows, schema=dict(SCHEMA), orient="row")

    def _rows(self, product: str, asof: np.datetime64) -> list[dict[str, Any]]:
        named = {"product": product, "asset": product, "horizon": NOW}
        found = self._told(product, asof)
        if isinstance(found, str):
            return [named | {"reason": found}]
        return [{"product": product, "horizon": NOW} | row for row in found]

    def _told(self, product: str, asof: np.datetime64) -> list[dict[str, Any]] | str:
        """The rows of a product, or why there are none."""
        if product not in self.book.fits:
            return self.book.empty[product]
        fitted, track = self.book.fits[product], self.tracks[product]
        if not fitted.converged:
            return "the search did not settle: the states of such a fit say nothing"
        learnt = self.book.learnt.get(product)
        if learnt is None:
            return "the model does not say what it has learnt from: train it again"
        if asof <= np.datetime64(learnt):
            return f"the fit has learnt from curves up to {learnt}"
        if isinstance(track, str):
            return track
        series = track.series
        t = int(np.searchsorted(series.sessions, asof))
        if t >= len(series.sessions) or series.sessions[t] != asof or not np.isfinite(series.price[t]).any():
            return f"no contract is liquid on {asof}"
        try:
            state = track.before(asof)
            seen = fitted.filter(Curve(clock(series.sessions[t : t + 1]), *_row(series, t)), state)
        except FitError as error:
            return f"{error.must}; found {error.found}"
        if not np.isfinite(seen.chi[0]):
            return f"no contract within {fitted.spec.years:g} years is liquid on {asof}"
        return [_of_product(product, fitted, seen, float(series.rate[t])), *_of_contracts(fitted, series, t, seen)]


def _row(series: TermSeries, t: int) -> tuple[Float64Array, Float64Array]:
    return series.price[t : t + 1], series.years[t : t + 1]


def _of_product(product: str, fitted: FittedSchwartzSmith, seen: Filtered, rate: float) -> dict[str, Any]:
    return {
        "asset": product,
        "model_price": float(fitted.price(seen.chi, seen.xi, np.zeros(1))[0]),
        "chi": float(seen.chi[0]),
        "chi_se": float(np.sqrt(seen.covariance[0, 0])),
        "xi": float(seen.xi[0]),
        "xi_se": float(np.sqrt(seen.covariance[0, 2])),
        "convenience_yield": float(fitted.convenience_yield(seen.chi, rate)[0]),
        "model": "schwartz_smith" if fitted.factors == 2 else "one factor",
        "status": "ok",
    }


def _of_contracts(fitted: FittedSchwartzSmith, series: TermSeries, t: int, seen: Filtered) -> list[dict[str, Any]]:
    """The contracts that are measured, by maturity."""
    measured = np.flatnonzero(np.isfinite(seen.residual[0]))
    years = series.years[t, measured]
    prices = fitted.price(seen.chi, seen.xi, years)
    months = series.chain.contracts.month[measured].astype("datetime64[M]").astype(np.int64)
    columns = {
        "asset": [series.contracts[i] for i in measured],
        "month": ((months // 12 + 1970) * 100 + months % 12 + 1).tolist(),
        "years": years.tolist(),
        "quoted": series.price[t, measured].tolist(),
        "model_price": prices.tolist(),
        "residual": seen.residual[0, measured].tolist(),
        "z": seen.z[0, measured].tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
