"""One product's term structure: a model fitted on the development span, filtered on; its basis, yields and rolls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from features.operators import ts_percentile
from features.panel import BoolArray, Float64Array, IntArray
from features.roles import roles
from models.base import FitError
from models.spread.convenience_yield import (
    InterestEffect,
    ShortageSigns,
    implied_yield,
    interest_effect,
    literal_yield,
    shortage_signs,
    standard_interest,
)
from models.spread.optimal_roll import Choice, Walked, choose, delay_roll, walk_rolls
from models.spread.roll_table import Rolls, rolls_of
from models.spread.schwartz_smith import FittedSchwartzSmith
from models.spread.term_curve import Filtered, rows
from training.evaluate.spread_series import WINDOW
from training.term_config import TermConfig
from training.term_data import TermSeries

_SIDES = {"long": 1, "short": -1}


@dataclass(frozen=True)
class TermModel:
    """A model that has seen the development span, and what its filter makes of all n dates.

    seen      states and residuals of each date, by what was known on it; parameters are of the development span
    holdout   (n,) dates that the fit has not seen
    order     (n, J) contracts by maturity rank, positions in the chain; count: how many of each date are measured
    """

    fitted: FittedSchwartzSmith = field(repr=False)
    seen: Filtered = field(repr=False)
    holdout: BoolArray = field(repr=False)
    order: IntArray = field(repr=False)
    count: IntArray = field(repr=False)

    def ranked(self, panel: Float64Array) -> Float64Array:
        """Values (n, N) of contracts by their rank of maturity, (n, J), NaN beyond a date's last one."""
        taken = np.take_along_axis(panel, self.order, 1)
        return np.where(np.arange(self.order.shape[1]) < self.count[:, None], taken, np.nan)

    def errors(self, holdout: bool) -> tuple[float, float]:
        """Root mean squares of ln(price / model) and of the standardised one-step surprises, in or out of sample."""
        part = self.holdout == holdout
        return _rms(self.seen.residual[part]), _rms(self.seen.innovation[part])


@dataclass(frozen=True)
class YieldTable:
    """Convenience yields of each session, (T,).

    near, far   positions of the two contracts in the chain; near is -1 where the index stands for it
    delta       implied by the two; literal: the seed's, where it was asked for
    interest_z  open interest of the product, standardised over a trailing window
    delay       the seed's flag: the farther pair yields less than the nearer one
    effect      of open interest on the yield, on the development span; None where it cannot be told
    """

    near: IntArray = field(repr=False)
    far: IntArray = field(repr=False)
    delta: Float64Array = field(repr=False)
    literal: Float64Array = field(repr=False)
    interest_z: Float64Array = field(repr=False)
    delay: Float64Array = field(repr=False)
    signs: ShortageSigns = field(repr=False)
    effect: InterestEffect | None


@dataclass(frozen=True)
class RollTable:
    """The rolls of the benchmark rule, and the optimiser against it year by year."""

    rolls: Rolls = field(repr=False)
    choice: Choice | None
    walked: Walked | None


@dataclass(frozen=True)
class TermProduct:
    """All that was found of one product; parts that are not there are None, `absent` says why.

    basis, rank  (T,) of index futures: next-month close over the index less 1, and its share of the last 250 sessions
    """

    series: TermSeries = field(repr=False)
    model: TermModel | None
    yields: YieldTable
    rolls: RollTable | None
    basis: Float64Array | None = field(repr=False)
    rank: Float64Array | None = field(repr=False)
    absent: Mapping[str, str]


def analysed(config: TermConfig, series: TermSeries) -> TermProduct:
    """Everything on one product; what fails is left out with its reason."""
    absent: dict[str, str] = {}
    try:
        model = term_model(config, series)
    except FitError as error:
        model, absent["term"] = None, _reason(error)
    yields = yield_table(config, series, absent)
    rolls = roll_table(config, series, absent)
    basis = rank = None
    if np.isfinite(series.spot).any():
        basis = series.panels["close_next"] / series.spot - 1.0
        rank = ts_percentile(np.ascontiguousarray(basis[:, None]), WINDOW)[:, 0]
    else:
        absent["basis"] = "no index lies under its contracts in the store"
    return TermProduct(series, model, yields, rolls, basis, rank, absent)


def cut_of(config: TermConfig, n: int) -> int:
    """The first of n dates that belongs to the holdout."""
    return n - int(np.ceil(config.holdout * n))


def term_model(config: TermConfig, series: TermSeries) -> TermModel:
    """Fit on the development span, filter through all of it; FitError where the span is too thin."""
    spec, curve = config.spec, series.curve
    cut = cut_of(config, len(curve))
    fitted = spec.fit(curve.part(0, cut))
    measured = rows(curve, spec.contracts, spec.years, spec.shift)
    seen = fitted.filter(curve)
    return TermModel(fitted, seen, np.arange(len(curve)) >= cut, measured.order, measured.count)


def yield_table(config: TermConfig, series: TermSeries, absent: dict[str, str]) -> YieldTable:
    """Yields of the two nearest liquid contracts, by their settlements; of the index and next month's, by closes."""
    pair = _of_index(series) if np.isfinite(series.spot).any() else _of_contracts(series)
    near, far, prices, years = pair
    delta, behind = (implied_yield(prices[i], prices[i + 1], years[i], years[i + 1], series.rate) for i in range(2))
    interest = series.panels["open_interest"]
    z = standard_interest(interest, config.yields.window)
    gap = years[1] - years[0]
    last = config.yields.literal
    literal = literal_yield(prices[0], prices[1], gap, series.rate, interest, config.yields.window, last=last)
    cut = int(series.row[cut_of(config, len(series.row)) - 1]) + 1
    effect = None
    try:
        effect = interest_effect(delta[:cut], z[:cut], gap=gap[:cut])
    except FitError as error:
        absent["interest"] = _reason(error)
    return YieldTable(
        near, far, delta, literal, z, delay_roll(delta, behind), shortage_signs(delta, series.rate), effect
    )


def roll_table(config: TermConfig, series: TermSeries, absent: dict[str, str]) -> RollTable | None:
    """Past rolls of the benchmark rule, what they say now, and what they would have said year by year."""
    chain, tick = series.chain, config.tick(series.product)
    if tick is None:
        absent["rolls"] = f"nobody says what a tick of {series.product} is: set rolls.ticks"
        return None
    part, told = slice(series.first, None), config.rolls
    rolls = rolls_of(
        series.contracts,
        np.where(chain.traded, chain["close"], np.nan)[part],
        chain["open_interest"][part],
        (tick / chain["settlement"])[part],
        chain.ends - series.first,
        chain.holdable()[:-1][part],
        series.holding.held[:-1][part],
        series.sessions,
        told.share_of_volume,
    )
    side = _SIDES[told.side]
    choice = walked = None
    try:
        choice = choose(rolls, side, least_rolls=told.least_rolls, least_share=told.least_share)
        walked = walk_rolls(rolls, side, least_rolls=told.least_rolls, least_share=told.least_share)
    except FitError as error:
        absent["rolls"] = _reason(error)
    return RollTable(rolls, choice, walked)


_Pair = tuple[IntArray, IntArray, list[Float64Array], list[Float64Array]]


def _of_contracts(series: TermSeries) -> _Pair:
    """The near and the far contract, and prices and years of these and of the one behind, (T,) each."""
    ranked = [_ranked(series, rank) for rank in range(3)]
    return ranked[0], ranked[1], [_at(series.price, at) for at in ranked], [_at(series.years, at) for at in ranked]


def _of_index(series: TermSeries) -> _Pair:
    """The index, next month's contract, the next quarter's behind it: the front month has too few days left."""
    panels, nobody = series.panels, np.full(len(series.sessions), -1)
    far = roles(series.chain, series.holding)["next"][:-1][series.first :]
    years = [np.where(np.isfinite(series.spot), 0.0, np.nan), panels["ttm_next"], panels["ttm_q1"]]
    return nobody, far, [series.spot, panels["close_next"], panels["close_q1"]], years


def _ranked(series: TermSeries, rank: int) -> IntArray:
    """The liquid contract of so many nearer ones on each session, (T,), -1 where there is none."""
    there = np.isfinite(series.price)
    found = there & (np.cumsum(there, axis=1) == rank + 1)
    return np.where(found.any(axis=1), found.argmax(axis=1), -1)


def _at(panel: Float64Array, column: IntArray) -> Float64Array:
    return np.where(column >= 0, panel[np.arange(len(panel)), np.maximum(column, 0)], np.nan)


def _rms(values: Float64Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else float("nan")


def _reason(error: FitError) -> str:
    where = f" at {error.where}" if error.where else ""
    return f"{error.must}; found {error.found}{where}" + (f". {error.help}" if error.help else "")
