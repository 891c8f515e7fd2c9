"""Walk-forward forecasts of one pair by one model: fitted every so often on what was known, filtered daily.

The grid of fits hangs on the first row of the pair, and forecasts are made of the fits anew, so that a walk that is
carried on later is the walk that would have gone through at once. Nothing at or before an origin depends on what comes
after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from features.panel import Float64Array
from models.base import FitError
from models.spread import restore
from models.spread.base import FittedSpread, Legs, SpreadSpec

OK, KEPT, FAILED = "ok", "kept", "failed"


@dataclass(frozen=True)
class Plan:
    """Rows of a fit (at most, at least), rows between two fits, sessions ahead."""

    train: int
    least: int
    test: int
    horizons: tuple[int, ...]


@dataclass(frozen=True)
class Refit:
    """A fit of the walk: the row that it was made at, and how it came about.

    status  ok; fell back to ...: a simpler model stands; kept: ... the fit before stands; failed: ... there is none
    """

    origin: int
    status: str
    fitted: FittedSpread | None = field(repr=False)

    def describe(self) -> dict[str, Any]:
        """As plain JSON values."""
        told = None if self.fitted is None else self.fitted.describe()
        return {"origin": self.origin, "status": self.status, "fitted": told}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        fitted = None if told["fitted"] is None else restore(told["fitted"])
        return cls(told["origin"], told["status"], fitted)


@dataclass(frozen=True)
class Track:
    """What a model said at each of the n rows of a pair; NaN before the first fit, or where it said nothing.

    change, error  (n, H) mean and standard deviation of the change of the log spread over each horizon
    centre, sd     (n,) where the spread was expected, and how far from there it usually is; z the distance in these
    half_life      (n,) sessions, of the fit that spoke
    hedge          (n,) units of the second leg that a position taken on the row holds against one of the first
    fits           oldest first
    """

    change: Float64Array = field(repr=False)
    error: Float64Array = field(repr=False)
    centre: Float64Array = field(repr=False)
    sd: Float64Array = field(repr=False)
    z: Float64Array = field(repr=False)
    half_life: Float64Array = field(repr=False)
    hedge: Float64Array = field(repr=False)
    fits: tuple[Refit, ...] = field(repr=False)

    def fit_at(self, row: int) -> Refit | None:
        """The fit that speaks at a row; None before the first."""
        return next((fit for fit in reversed(self.fits) if fit.origin <= row), None)


def walk(spec: SpreadSpec, legs: Legs, plan: Plan, known: Sequence[Refit] = ()) -> Track:
    """Walk a pair from its first row to its last.

    known  fits of an earlier walk over the same rows, which are not made again
    """
    n, many = len(legs), len(plan.horizons)
    change, error = np.full((n, many), np.nan), np.full((n, many), np.nan)
    centre, sd, z, half_life, hedge = (np.full(n, np.nan) for _ in range(5))
    made = {fit.origin: fit for fit in known}
    fits: list[Refit] = []
    for origin in range(plan.least - 1, n, plan.test):
        fit = made.get(origin) or _refit(spec, legs, plan, origin, fits[-1] if fits else None)
        fits.append(fit)
        if fit.fitted is None:
            continue
        begin, stop = max(0, origin + 1 - plan.train), min(origin + plan.test, n)
        part, rows = legs.part(begin, stop), np.arange(origin, stop)
        told = fit.fitted.forecast(part, rows - begin, plan.horizons)
        state = fit.fitted.filter(part)
        change[rows], error[rows] = told.change, told.sd
        told_of = (state.centre, state.sd, state.z, state.hedge)
        centre[rows], sd[rows], z[rows], hedge[rows] = (one[rows - begin] for one in told_of)
        half_life[rows] = fit.fitted.half_life
    return Track(change, error, centre, sd, z, half_life, hedge, tuple(fits))


def _refit(spec: SpreadSpec, legs: Legs, plan: Plan, origin: int, before: Refit | None) -> Refit:
    """The spec's fit on the last rows, else that of the first simpler one that can be made, else the one before."""
    window = legs.part(max(0, origin + 1 - plan.train), origin + 1)
    first: FitError | None = None
    current: SpreadSpec | None = spec
    while current is not None:
        try:
            fitted = current.fit(window)
        except FitError as refusal:
            first = first or refusal
        else:
            if fitted.converged and all(math.isfinite(fitted.params[name]) for name in _must_be_finite(fitted)):
                return Refit(origin, OK if current == spec else f"fell back to {current.kind}", fitted)
        current = current.simpler()
    why = "no estimate that converged" if first is None else f"{first.must}; found {first.found}"
    if before is not None and before.fitted is not None:
        return Refit(origin, f"{KEPT}: {why}", before.fitted)
    return Refit(origin, f"{FAILED}: {why}", None)


def _must_be_finite(fitted: FittedSpread) -> tuple[str, ...]:
    """Estimates but for those that say by infinity that nothing returns."""
    return tuple(name for name in fitted.params if name not in ("sigma_s", "kappa", "share_y", "share_x"))
