"""Mean reversion of one spread: an autoregression about a line, a season or the other leg; AR(1) is an OU process."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Final, Self

import numpy as np
from scipy.signal import lfilter
from statsmodels.regression.linear_model import OLS

from features.panel import Float64Array, IntArray
from models.base import FitError, Trial
from models.spread.base import Forecasts, Legs, State, require_horizons, require_rows, require_varied
from models.spread.reversion import (
    half_life_of,
    least_squares_bias,
    slowest_root,
    speed_of,
    stationary_variance,
    weights,
)
from models.spread.season import SEASON_TERMS, Season, dates_ahead, require_whole_season, season_design

_SPARE: Final = 30  # sessions that a fit needs, however few its parameters are
_STEP: Final = 1e-6  # of φ, in the derivative of the slowest root
_NORMAL: Final = 1.959963984540054
_HEDGE: Final = "beta"


@dataclass(frozen=True)
class Ou:
    """s_t - μ_t = Σ φ_j (s_{t-j} - μ_{t-j}) + ε_t with s = y - β x; φ is corrected for the bias of least squares.

    The line μ is least squares of the levels, which for an autoregression loses nothing to weighing in the long run
    and stays put where φ is near one, as constant / (1 - φ) would not.
    order       lags p; None: by BIC, up to `most`
    season      what μ is: a constant, a mean of each month, a constant and two waves a year
    hedge       β; None: by least squares with μ (Engle and Granger), for two products
    annualised  the autoregression is of s / gap: pairs of other maturities have one mean per year, not one mean
    Source      spec 04 §6.2, 02 §3.2
    """

    kind: ClassVar[str] = "ou"

    order: int | None = 1
    season: Season = "none"
    hedge: float | None = 1.0
    annualised: bool = False
    most: int = 5

    def __post_init__(self) -> None:
        if (self.order is not None and self.order < 1) or self.most < 1 or self.season not in SEASON_TERMS:
            must = f"order and most must be 1 or more, season one of {', '.join(SEASON_TERMS)}"
            raise FitError("model ou", must, f"{self.order}, {self.most} and {self.season}")
        if self.annualised and self.hedge != 1.0:
            raise FitError("model ou", "a spread per year has a hedge of 1", f"{self.hedge}")

    @property
    def least(self) -> int:
        """Rows beyond what the parameters take."""
        return _SPARE + 5 * (len(SEASON_TERMS[self.season]) + (self.order or self.most) + (self.hedge is None))

    def fit(self, legs: Legs) -> FittedOu:
        """Least squares of the levels on the line, then of its residuals on their lags, then the correction."""
        who = f"model {self.kind}"
        scale = self._scale(who, legs)
        known = legs.both
        require_rows(who, int(np.count_nonzero(known)), self.least)
        require_whole_season(who, self.season, legs.session[known])
        design = self.design(legs)
        s = self._level(legs) / scale
        line = np.asarray(np.linalg.lstsq(design[known], s[known], rcond=None)[0], dtype=np.float64)
        deviation = s - design @ line
        require_varied(who, deviation[known], np.r_[legs.y[known], legs.x[known]])
        order = self.order or _best_order(who, legs, deviation, self.most)
        rows = np.flatnonzero(legs.linked(order))
        require_rows(who, len(rows), self.least)
        lagged = np.stack([deviation[rows - k] for k in range(1, order + 1)], axis=1)
        found = OLS(deviation[rows], lagged).fit(cov_type="HC1")
        raw = np.asarray(found.params, dtype=np.float64)
        # An estimate that does not return is no small sample's bias away from one that does.
        stays = slowest_root(raw) >= 1
        phi = raw if stays else raw - least_squares_bias(raw, design[rows])
        left = deviation[rows] - lagged @ phi
        spare = len(rows) - order - design.shape[1]
        return FittedOu(
            spec=self,
            line=line,
            phi=phi,
            raw_phi=raw,
            covariance=np.asarray(found.cov_params(), dtype=np.float64),
            line_covariance=_line_covariance(design[known], phi, float(left @ left) / spare),
            innovation=math.sqrt(float(left @ left) / spare),
            loglik=-0.5 * len(rows) * (math.log(2 * math.pi * float(np.mean(left**2))) + 1)
            - float(np.sum(np.log(scale[rows]))),
            nobs=len(rows),
        )

    def simpler(self) -> Ou | None:
        """A constant line and one lag; None where this is that."""
        plain = replace(self, order=1, season="none")
        return None if plain == self else plain

    def space(self, trial: Trial) -> Self:
        """The lags and the season."""
        return replace(
            self,
            order=trial.suggest_int("order", 1, 3),
            season=trial.suggest_categorical("season", list(SEASON_TERMS)),
        )

    def design(self, legs: Legs) -> Float64Array:
        """Regressors of the line, (T, k); the last is x where the hedge is to be found."""
        season = season_design(self.season, legs.session)
        return season if self.hedge is not None else np.column_stack([season, legs.x])

    def _level(self, legs: Legs) -> Float64Array:
        """What the line explains, before the gap, (T,)."""
        return legs.y - self.hedge * legs.x if self.hedge is not None else legs.y

    def _scale(self, who: str, legs: Legs) -> Float64Array:
        """What the autoregression's units are in log prices, (T,)."""
        if not self.annualised:
            return np.ones(len(legs))
        if legs.gap is None:
            raise FitError(who, "a spread per year needs the gap of the maturities", "legs without one")
        return legs.gap


@dataclass(frozen=True)
class FittedOu:
    """An autoregression of one spread.

    line        (k,) terms of the season, and the hedge where it was found
    line_covariance  (k, k) of the line, as the memory of the deviations has it; nought where they do not return
    phi         (p,) corrected; raw_phi (p,) of least squares, covariance (p, p) of these, robust to unequal variances
    innovation  standard deviation of a session's surprise, in the units of the autoregression
    """

    kind: ClassVar[str] = "ou"
    converged: ClassVar[bool] = True

    spec: Ou
    line: Float64Array = field(repr=False)
    phi: Float64Array = field(repr=False)
    raw_phi: Float64Array = field(repr=False)
    covariance: Float64Array = field(repr=False)
    line_covariance: Float64Array = field(repr=False)
    innovation: float
    loglik: float
    nobs: int

    @property
    def params(self) -> Mapping[str, float]:
        """The line, φ, the speed κ per year and both standard deviations."""
        told = dict(zip(self._line_names, self.line.tolist(), strict=True))
        told |= {f"phi_{j}": value for j, value in enumerate(self.phi.tolist(), 1)}
        told |= {"kappa": speed_of(self.half_life), "sigma_e": self.innovation, "sigma_s": self.sigma}
        return told

    @property
    def errors(self) -> Mapping[str, float]:
        """Of φ (those of least squares), of the half-life, and of the line by the memory of the deviations."""
        told = {f"phi_{j}": math.sqrt(v) for j, v in enumerate(np.diag(self.covariance).tolist(), 1)}
        root, error = self._root
        slope = math.log(2) / (root * math.log(root) ** 2) if 0 < root < 1 else math.nan
        told["half_life"] = slope * error
        line = np.sqrt(np.diag(self.line_covariance)) if root < 1 else np.full(len(self.line), math.nan)
        told |= dict(zip(self._line_names, line.tolist(), strict=True))
        return told

    @property
    def half_life(self) -> float:
        """Sessions in which half of a distance is gone, by the corrected φ; inf where it is 1 or more."""
        return half_life_of(self._root[0])

    @property
    def half_life_interval(self) -> tuple[float, float]:
        """95 % interval of the half-life, the image of that of the slowest root; it often reaches to infinity."""
        root, error = self._root
        return half_life_of(root - _NORMAL * error), half_life_of(root + _NORMAL * error)

    @property
    def sigma(self) -> float:
        """Standard deviation of the deviations in the long run, in the units of the autoregression; inf for none."""
        return self.innovation * math.sqrt(stationary_variance(self.phi))

    @property
    def notes(self) -> tuple[str, ...]:
        """Where no mean reversion can be told."""
        if self._root[0] < 1:
            return ()
        return (f"no mean reversion: φ is {self._root[0]:.4f} after the correction for its bias",)

    def filter(self, legs: Legs) -> State:
        """Distances from the line; z is 0 where nothing is told to return, since sd is infinite there."""
        scale = self.spec._scale("model ou", legs)
        hedge = np.full(len(legs), self._hedge)
        centre = season_design(self.spec.season, legs.session) @ self._season * scale
        sd = np.where(legs.both, self.sigma * scale, np.nan)
        return State(legs.y - hedge * legs.x, centre, sd, hedge)

    def forecast(self, legs: Legs, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        """The line's change and what is left of the distance, by the lags of one pair; without them NaN.

        The interval is that of the innovations and of the line's error; φ is taken for the truth.
        """
        require_horizons("model ou", horizons)
        ahead = np.asarray(horizons, dtype=np.int64)
        scale = self.spec._scale("model ou", legs)[origins, None]
        state, p = self.filter(legs), len(self.phi)
        deviation = (state.value - state.centre)[:, None]
        known_rows = legs.linked(p - 1)[origins, None]
        lagged = np.concatenate([deviation[np.maximum(origins - k, 0)] for k in range(p)], axis=1)
        now = np.where(known_rows, lagged / scale, np.nan)
        later = dates_ahead(legs.session[origins], ahead)
        moved = np.stack([season_design(self.spec.season, later[:, j]) for j in range(len(ahead))], axis=1)
        here = season_design(self.spec.season, legs.session[origins])
        line = (moved - here[:, None, :]) @ self._season
        if self._root[0] >= 1:  # a walk: no way that it goes is likelier than the other
            spread = self.innovation * np.sqrt(ahead.astype(np.float64))
            return Forecasts(np.where(known_rows, line * scale, np.nan), np.where(known_rows, spread * scale, np.nan))
        left, share = np.empty((len(origins), int(ahead.max()))), np.empty(int(ahead.max()))
        current, whole = now.copy(), np.ones(p)
        for h in range(left.shape[1]):
            left[:, h], share[h] = current @ self.phi, whole @ self.phi
            current, whole = np.column_stack([left[:, h], current[:, :-1]]), np.r_[share[h], whole[:-1]]
        change = (line + left[:, ahead - 1] - now[:, :1]) * scale
        psi = weights(self.phi, left.shape[1])
        # What of an error in the line is in the forecast: all of it ahead, less what the distance has of it.
        terms = moved - share[ahead - 1][:, None] * here[:, None, :]
        if self.spec.hedge is None:  # x is taken to stay where it is
            stays = (1 - share[ahead - 1]) * legs.x[origins, None]
            terms = np.concatenate([terms, stays[:, :, None]], axis=2)
        doubt = np.einsum("nhi,ij,nhj->nh", terms, self.line_covariance, terms)
        sd = np.sqrt(self.innovation**2 * np.cumsum(psi**2)[ahead - 1] + doubt)
        return Forecasts(change, np.where(known_rows, sd * scale, np.nan))

    def describe(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values."""
        told: dict[str, Any] = {"kind": self.kind, "spec": asdict(self.spec)}
        told |= {name: getattr(self, name).tolist() for name in _ARRAYS}
        return told | {name: getattr(self, name) for name in _PLAIN}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        parts: dict[str, Any] = {name: np.asarray(told[name], dtype=np.float64) for name in _ARRAYS}
        return cls(spec=Ou(**told["spec"]), **parts, **{name: told[name] for name in _PLAIN})

    @property
    def _line_names(self) -> tuple[str, ...]:
        names = SEASON_TERMS[self.spec.season]
        return names if self.spec.hedge is not None else (*names, _HEDGE)

    @property
    def _season(self) -> Float64Array:
        return self.line[: len(SEASON_TERMS[self.spec.season])]

    @property
    def _hedge(self) -> float:
        return self.spec.hedge if self.spec.hedge is not None else float(self.line[-1])

    @property
    def _root(self) -> tuple[float, float]:
        """The slowest root and its standard error, by the slope of the root in φ."""
        root = slowest_root(self.phi)
        slope = np.array([(slowest_root(self.phi + _STEP * one) - root) / _STEP for one in np.eye(len(self.phi))])
        return root, math.sqrt(float(slope @ self.covariance @ slope))


_ARRAYS: Final = ("line", "phi", "raw_phi", "covariance", "line_covariance")
_PLAIN: Final = ("innovation", "loglik", "nobs")


def _best_order(who: str, legs: Legs, deviation: Float64Array, most: int) -> int:
    """Lags with the least BIC on the rows that all orders have."""
    rows = np.flatnonzero(legs.linked(most))
    require_rows(who, len(rows), _SPARE)
    lagged = np.stack([deviation[rows - k] for k in range(1, most + 1)], axis=1)
    bic = [float(OLS(deviation[rows], lagged[:, :p]).fit().bic) for p in range(1, most + 1)]
    return int(np.argmin(bic)) + 1


def _line_covariance(design: Float64Array, phi: Float64Array, variance: float) -> Float64Array:
    """Of least squares of levels whose deviations are an autoregression: (Z'Z)⁻¹ Z'ΩZ (Z'Z)⁻¹.

    The covariance Ω of the deviations is that of the filter 1 / φ(L) run over the rows; nought where it has no limit.
    """
    k = design.shape[1]
    if slowest_root(phi) >= 1:
        return np.zeros((k, k))
    # What the innovations of each row, and of those before the first, are in Z'deviations.
    before = math.ceil(min(40 / (1 - slowest_root(phi)), 5000))
    padded = np.concatenate([design[::-1], np.zeros((before, k))])
    across = lfilter([1.0], np.r_[1.0, -phi], padded, axis=0)
    inverse = np.linalg.inv(design.T @ design)
    return np.asarray(variance * inverse @ (across.T @ across) @ inverse)
