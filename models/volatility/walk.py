"""Walk-forward forecasts of one series by one model: fitted every so often on a rolling window, filtered daily.

The grid of fits hangs on the first return of the series, so that a walk that is carried on later is the walk that
would have gone through at once. Nothing at or before an origin depends on what comes after it.
Source  spec 04 §5
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from features.panel import Float64Array, IntArray
from models.base import FitError
from models.volatility import restore
from models.volatility.base import FittedVolatility, Returns, VolatilitySpec
from models.volatility.failure import FAILED, KEPT, fit_or_fall_back
from models.volatility.risk import next_session

_NORMAL_MAD = 1.4826


@dataclass(frozen=True)
class Plan:
    """How a series is walked: observations of a fit (at most, at least), sessions between fits, what is forecast.

    winsor    clip at so many MADs about the median, in the fit alone; None: no
    horizons  sessions ahead, rising; levels: of one-session value at risk and shortfall, e.g. 0.99
    """

    window: int = 1000
    min_window: int = 500
    refit: int = 20
    winsor: float | None = 8.0
    horizons: tuple[int, ...] = (1, 5, 10, 20, 60)
    levels: tuple[float, ...] = (0.95, 0.975, 0.99)


@dataclass(frozen=True)
class Refit:
    """A fit of the walk: the origin it was made at, how it came about, returns that were clipped for it.

    status  as of Attempt; kept: ... where the fit before stands; failed: ... where there is none
    """

    origin: int
    status: str
    clipped: int
    fitted: FittedVolatility | None = field(repr=False)

    def describe(self) -> dict[str, Any]:
        """As plain JSON values."""
        told = {"origin": self.origin, "status": self.status, "clipped": self.clipped}
        return {**told, "fitted": None if self.fitted is None else self.fitted.describe()}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        fitted = None if told["fitted"] is None else restore(told["fitted"])
        return cls(told["origin"], told["status"], told["clipped"], fitted)


@dataclass(frozen=True)
class Track:
    """The forecasts of a walk at n origins, consecutive positions in the returns.

    first           the first origin
    mean, variance  (n, H) of the return cumulated over each horizon; NaN where there is no fit
    var, es         (n, L) of the next session, log return, positive = loss
    fits            oldest first
    """

    first: int
    mean: Float64Array = field(repr=False)
    variance: Float64Array = field(repr=False)
    var: Float64Array = field(repr=False)
    es: Float64Array = field(repr=False)
    fits: tuple[Refit, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.variance)

    @property
    def origins(self) -> IntArray:
        """(n,) positions in the returns."""
        return np.arange(self.first, self.first + len(self), dtype=np.int64)

    def fit_at(self, origin: int) -> Refit | None:
        """The fit that the forecasts of an origin stand on."""
        return next((fit for fit in reversed(self.fits) if fit.origin <= origin), None)


def walk(spec: VolatilitySpec, returns: Returns, plan: Plan, *, carry_on: Track | None = None) -> Track:
    """Forecasts at every origin from the first that has plan.min_window returns to the last return.

    carry_on  a walk of the same spec and plan over the first of these returns: only what came since is computed
    """
    track = carry_on or _nothing(plan)
    rows: list[Track] = []
    fits = list(track.fits)
    at = track.first + len(track)
    while at < len(returns):
        grid = at - (at - (plan.min_window - 1)) % plan.refit
        if not fits or fits[-1].origin != grid:
            fits.append(_refit(spec, returns, plan, grid, fits))
        stop = min(grid + plan.refit, len(returns))
        rows.append(_stretch(returns, plan, at, stop, fits[-1]))
        at = stop
    parts = [track, *rows]
    joined = {name: np.concatenate([getattr(one, name) for one in parts]) for name in ("mean", "variance", "var", "es")}
    return Track(first=track.first, fits=tuple(fits), **joined)


def too_short(returns: Returns, plan: Plan) -> str:
    """Why a series has no origin at all; "" where it has."""
    return "" if len(returns) >= plan.min_window else f"too short: {len(returns)} returns of {plan.min_window}"


def fit_window(returns: Returns, plan: Plan, origin: int) -> tuple[Returns, int]:
    """What a fit at an origin sees, and how many of its returns were clipped."""
    part = returns.part(max(0, origin + 1 - plan.window), origin + 1)
    if plan.winsor is None:
        return part, 0
    middle = float(np.median(part.value))
    reach = plan.winsor * _NORMAL_MAD * float(np.median(np.abs(part.value - middle)))
    if reach == 0.0:
        return part, 0
    clipped = np.clip(part.value, middle - reach, middle + reach)
    return part.with_value(clipped), int(np.count_nonzero(clipped != part.value))


def _nothing(plan: Plan) -> Track:
    h, levels = np.empty((0, len(plan.horizons))), np.empty((0, len(plan.levels)))
    return Track(plan.min_window - 1, h, h, levels, levels, ())


def _refit(spec: VolatilitySpec, returns: Returns, plan: Plan, origin: int, fits: Sequence[Refit]) -> Refit:
    """The fit at an origin; where nothing can be estimated the fit before stands, unless the returns do not vary."""
    sample, clipped = fit_window(returns, plan, origin)
    before = next((one.fitted for one in reversed(fits) if one.fitted is not None), None)
    try:
        attempt = fit_or_fall_back(spec, sample, before)
    except FitError as error:
        why = f"{error.must}; found {error.found}"
        if before is None or float(np.ptp(sample.value)) == 0.0:
            return Refit(origin, f"{FAILED}: {why}", clipped, None)
        return Refit(origin, f"{KEPT}: {why}", clipped, before)
    return Refit(origin, attempt.status, clipped, attempt.fitted)


def _stretch(returns: Returns, plan: Plan, start: int, stop: int, fit: Refit) -> Track:
    """Forecasts of the origins from start to stop by one fit: the filter sees raw returns."""
    n, h, levels = stop - start, len(plan.horizons), len(plan.levels)
    if fit.fitted is None:
        empty, tails = np.full((n, h), np.nan), np.full((n, levels), np.nan)
        return Track(start, empty, empty, tails, tails, ())
    low = max(0, fit.origin + 1 - plan.window)
    origins = np.arange(start - low, stop - low, dtype=np.int64)
    wanted = plan.horizons if plan.horizons[0] == 1 else (1, *plan.horizons)
    found = fit.fitted.forecast(returns.part(low, stop), origins, wanted)
    var, es = next_session(fit.fitted, found, plan.levels)
    return Track(start, found.mean[:, -h:], found.variance[:, -h:], var, es, ())
