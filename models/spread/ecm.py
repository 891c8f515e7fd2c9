"""Error correction of two log prices: which leg comes back to the other, and how fast (VECM of rank one)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Final, Self

import numpy as np
from statsmodels.regression.linear_model import OLS
from statsmodels.tsa.vector_ar.vecm import VECM

from features.panel import Float64Array, IntArray
from models.base import FitError, Trial
from models.spread.base import Forecasts, Legs, SpreadSpec, State, require_horizons, require_rows, require_varied
from models.spread.ou import Ou
from models.spread.reversion import half_life_of, least_squares_bias

_HAC_LAGS: Final = 5
_LEAST: Final = 120


@dataclass(frozen=True)
class Ecm:
    """Δy and Δx on u₋₁ = y₋₁ - β x₋₁ - μ and on `lags` changes of both, without a drift (deterministic 'ci').

    beta   hedge; None: with μ by maximum likelihood (Johansen), on one pair of series without rolls between contracts
    lags   changes of both legs; None: by BIC, up to `most`
    Source spec 04 §6.2 and 02 §3.2; Johansen 1991
    """

    kind: ClassVar[str] = "ecm"
    least: ClassVar[int] = _LEAST

    beta: float | None = None
    lags: int | None = 1
    most: int = 5

    def __post_init__(self) -> None:
        if (self.lags is not None and self.lags < 0) or self.most < 0:
            raise FitError("model ecm", "lags and most must not be negative", f"{self.lags} and {self.most}")

    def fit(self, legs: Legs) -> FittedEcm:
        """Maximum likelihood of β and μ where they are asked for, then least squares of each leg."""
        who = f"model {self.kind}"
        known = legs.both
        require_rows(who, int(np.count_nonzero(known)), self.least)
        lags = self.lags if self.lags is not None else self._best_lags(who, legs)
        beta, mu = self._relation(who, legs, lags)
        require_varied(who, legs.y[known] - beta * legs.x[known] - mu, np.r_[legs.y[known], legs.x[known]])
        rows = _rows(who, legs, lags, self.least)
        X, Y = _regressors(legs, rows, lags, beta, mu), _changes(legs, rows)
        found = [OLS(Y[:, leg], X).fit(cov_type="HAC", cov_kwds={"maxlags": _HAC_LAGS}) for leg in range(2)]
        left = np.stack([np.asarray(one.resid) for one in found], axis=1)
        by_speed = np.array([-1.0, beta]) * np.array([one.params[0] for one in found])
        # The speed is less the coefficient of u₋₁ in Δ(y - β x): its error is that of one regression.
        together = OLS(Y @ np.array([1.0, -beta]), X).fit(cov_type="HAC", cov_kwds={"maxlags": _HAC_LAGS})
        speed, design = float(by_speed.sum()), np.ones((len(rows), 1))
        if self.beta is None:  # the price of the other leg was fitted too, and takes of the memory
            design = np.column_stack([design, legs.x[rows] - legs.x[rows].mean()])
        raw = np.array([1 - speed])
        corrected = raw - least_squares_bias(raw, design) if abs(raw[0]) < 1 else raw
        covariance = left.T @ left / len(rows)
        return FittedEcm(
            spec=replace(self, lags=lags),
            beta=beta,
            mu=mu,
            loading=np.array([one.params[0] for one in found]),
            short_run=np.stack([np.asarray(one.params[1:]) for one in found]),
            covariance=covariance,
            spread_sd=float(np.std(legs.y[known] - beta * legs.x[known] - mu)),
            corrected=float(corrected[0]),
            loading_error=np.array([one.bse[0] for one in found]),
            speed_error=float(together.bse[0]),
            loglik=-0.5 * len(rows) * (2 * (math.log(2 * math.pi) + 1) + float(np.linalg.slogdet(covariance)[1])),
            nobs=len(rows),
        )

    def simpler(self) -> SpreadSpec | None:
        """Mean reversion of the spread alone."""
        return Ou(hedge=self.beta)

    def space(self, trial: Trial) -> Self:
        """The lags."""
        return replace(self, lags=trial.suggest_int("lags", 0, 3))

    def _best_lags(self, who: str, legs: Legs) -> int:
        """Lags with the least BIC on the rows that all of them have, by the relation of the most lags."""
        beta, mu = self._relation(who, legs, self.most)
        rows = _rows(who, legs, self.most, self.least)
        X, Y = _regressors(legs, rows, self.most, beta, mu), _changes(legs, rows)
        bic = []
        for lags in range(self.most + 1):
            part = X[:, : 1 + 2 * lags]
            left = Y - part @ np.linalg.lstsq(part, Y, rcond=None)[0]
            told = float(np.linalg.slogdet(left.T @ left / len(rows))[1])
            bic.append(told + 2 * part.shape[1] * math.log(len(rows)) / len(rows))
        return int(np.argmin(bic))

    def _relation(self, who: str, legs: Legs, lags: int) -> tuple[float, float]:
        """β and μ of y = μ + β x + u."""
        known = legs.both
        y, x = legs.y[known], legs.x[known]
        if self.beta is not None:
            return self.beta, float(np.mean(y - self.beta * x))
        if legs.fresh is not None and legs.fresh[known][1:].any():
            cure = "set params.beta to 1: contracts of one product are held one for one"
            raise FitError(
                who, "a chain of pairs has no one relation to estimate", "a roll within the sample", "", cure
            )
        for leg in (y, x):
            require_varied(who, leg - leg.mean(), leg)
        slope, constant = np.polyfit(x, y, 1)
        require_varied(who, y - slope * x - constant, np.r_[y, x])
        # In units of their changes and about their means: the likelihood's matrices are well-conditioned there.
        scale = float(np.std(np.diff(x))) or 1.0
        levels = np.column_stack([y - y.mean(), x - x.mean()]) / scale
        try:
            found = VECM(levels, k_ar_diff=lags, coint_rank=1, deterministic="ci").fit()
        except np.linalg.LinAlgError as reason:
            raise FitError(who, "the legs must not be sums of each other", str(reason)) from reason
        by_y, by_x = float(found.beta[0, 0]), float(found.beta[1, 0])
        constant = float(np.asarray(found.const_coint).ravel()[0]) * scale
        beta = -by_x / by_y
        if not math.isfinite(beta):
            raise FitError(who, "y must stand in the relation", f"weights of {by_y} and {by_x}")
        return beta, float(y.mean() - beta * x.mean()) - constant / by_y


@dataclass(frozen=True)
class FittedEcm:
    """Error correction of one pair.

    loading    (2,) what Δy and Δx take of u₋₁, with their errors by HAC(5)
    short_run  (2, 2 lags) of Δy₋₁, Δx₋₁, Δy₋₂ ...
    covariance (2, 2) of the surprises of a session
    spread_sd  standard deviation of u in the fit
    corrected  1 - speed, corrected for the bias of least squares; the half-life is of this
    """

    kind: ClassVar[str] = "ecm"
    converged: ClassVar[bool] = True

    spec: Ecm
    beta: float
    mu: float
    loading: Float64Array = field(repr=False)
    short_run: Float64Array = field(repr=False)
    covariance: Float64Array = field(repr=False)
    spread_sd: float
    corrected: float
    loading_error: Float64Array = field(repr=False)
    speed_error: float
    loglik: float
    nobs: int

    @property
    def speed(self) -> float:
        """Share of a distance that goes in a session, α_x β - α_y, as least squares has it."""
        return float(self.beta * self.loading[1] - self.loading[0])

    @property
    def shares(self) -> tuple[float, float]:
        """What of the return y does, and x: -α_y / s and α_x β / s; they sum to 1, NaN where nothing returns."""
        if self.speed == 0:
            return math.nan, math.nan
        return float(-self.loading[0] / self.speed), float(self.beta * self.loading[1] / self.speed)

    @property
    def params(self) -> Mapping[str, float]:
        """β, μ, loadings, speed and shares."""
        told = {"beta": self.beta, "mu": self.mu, "alpha_y": float(self.loading[0]), "alpha_x": float(self.loading[1])}
        told |= {"speed": self.speed, "phi": self.corrected, "sigma_s": self.spread_sd}
        return told | dict(zip(("share_y", "share_x"), self.shares, strict=True))

    @property
    def errors(self) -> Mapping[str, float]:
        """Of loadings and speed, by HAC(5)."""
        told = dict(zip(("alpha_y", "alpha_x"), self.loading_error.tolist(), strict=True))
        return {**told, "speed": self.speed_error}

    @property
    def half_life(self) -> float:
        """By the corrected 1 - speed; inf where it is 1 or more."""
        return half_life_of(abs(self.corrected))

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the legs are not told to return to each other, or shoot over."""
        if self.corrected >= 1:
            return (f"no error correction: speed {self.speed:.4f} is within its bias of nought",)
        return () if self.speed < 1 else (f"the legs shoot over: speed {self.speed:.4f} is 1 or more",)

    def filter(self, legs: Legs) -> State:
        """Distances from the relation; z is 0 where nothing is told to return, since sd is infinite there."""
        hedge = np.full(len(legs), self.beta)
        sd = np.where(legs.both, self.spread_sd if self.corrected < 1 else np.inf, np.nan)
        return State(legs.y - self.beta * legs.x, np.full(len(legs), self.mu), sd, hedge)

    def forecast(self, legs: Legs, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        """The recursion of both legs, NaN where a change that it needs is not known.

        The loadings are those of least squares times what the correction for its bias leaves of the speed. The
        interval is that of the surprises: estimates are taken for the truth.
        """
        require_horizons("model ecm", horizons)
        ahead, lags = np.asarray(horizons, dtype=np.int64), self._lags
        known, n = legs.linked(lags)[origins, None], len(origins)
        turn = self._transition()
        now = np.zeros((n, len(turn)))
        spread = legs.y - self.beta * legs.x - self.mu
        now[:, 0] = spread[origins]
        for lag in range(lags):
            for leg, level in enumerate((legs.y, legs.x)):
                change = level[np.maximum(origins - lag, 0)] - level[np.maximum(origins - lag - 1, 0)]
                now[:, 1 + 2 * lag + leg] = change
        now = np.where(known, now, np.nan)
        shock = np.zeros((len(turn), 2))
        shock[0] = 1.0, -self.beta
        if lags:
            shock[1:3] = np.eye(2)
        path, variance = np.empty((n, int(ahead.max()))), np.empty(int(ahead.max()))
        total, current = 0.0, now
        for h in range(path.shape[1]):
            current = current @ turn.T
            path[:, h] = current[:, 0] - now[:, 0]
            total += float(shock[0] @ self.covariance @ shock[0])
            variance[h] = total
            shock = turn @ shock
        return Forecasts(path[:, ahead - 1], np.where(known, np.sqrt(variance[ahead - 1]), np.nan))

    def describe(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values."""
        told: dict[str, Any] = {"kind": self.kind, "spec": asdict(self.spec)}
        told |= {name: getattr(self, name).tolist() for name in _ARRAYS}
        return told | {name: getattr(self, name) for name in _PLAIN}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        parts: dict[str, Any] = {name: np.asarray(told[name], dtype=np.float64) for name in _ARRAYS}
        parts["short_run"] = parts["short_run"].reshape(2, -1)
        return cls(spec=Ecm(**told["spec"]), **parts, **{name: told[name] for name in _PLAIN})

    @property
    def _lags(self) -> int:
        return self.short_run.shape[1] // 2

    def _transition(self) -> Float64Array:
        """What a session makes of (u, Δy, Δx, Δy₋₁ ...), (1 + 2 lags, same)."""
        size = 1 + 2 * self._lags
        turn = np.zeros((size, size))
        kept = max(1 - self.corrected, 0.0) / self.speed if self.speed != 0 else 1.0
        change = np.column_stack([kept * self.loading, self.short_run])  # (2, size)
        turn[0] = change[0] - self.beta * change[1]
        turn[0, 0] += 1.0
        if self._lags:
            turn[1:3] = change
            turn[3:, 1:-2] = np.eye(size - 3)
        return turn


_ARRAYS: Final = ("loading", "short_run", "covariance", "loading_error")
_PLAIN: Final = ("beta", "mu", "spread_sd", "corrected", "speed_error", "loglik", "nobs")


def _rows(who: str, legs: Legs, lags: int, least: int) -> IntArray:
    """Rows whose change, and the `lags` changes before it, are of one pair with all prices."""
    rows = np.flatnonzero(legs.linked(lags + 1))
    require_rows(who, len(rows), least - lags - 1)
    return rows


def _changes(legs: Legs, rows: IntArray) -> Float64Array:
    """Δy and Δx, (m, 2)."""
    return np.stack([leg[rows] - leg[rows - 1] for leg in (legs.y, legs.x)], axis=1)


def _regressors(legs: Legs, rows: IntArray, lags: int, beta: float, mu: float) -> Float64Array:
    """u₋₁, Δy₋₁, Δx₋₁, Δy₋₂ ..., (m, 1 + 2 lags)."""
    columns = [legs.y[rows - 1] - beta * legs.x[rows - 1] - mu]
    for lag in range(1, lags + 1):
        columns += [leg[rows - lag] - leg[rows - lag - 1] for leg in (legs.y, legs.x)]
    return np.stack(columns, axis=1)
