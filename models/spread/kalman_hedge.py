"""A hedge ratio that moves: y = α_t + β_t x + e by a Kalman filter, its variances by maximum likelihood."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, NamedTuple, Self

import numpy as np
from scipy.optimize import minimize
from statsmodels.tools.numdiff import approx_hess3

from features.panel import Float64Array, IntArray
from models.base import FitError, Trial
from models.spread.base import Forecasts, Legs, SpreadSpec, State, require_horizons, require_rows, require_varied
from models.spread.ecm import Ecm
from models.spread.hedge_kernels import filtered, log_likelihood
from models.spread.reversion import half_life_of, least_squares_bias

_NAMES: Final = ("sigma_alpha", "sigma_beta", "sigma_e")
_LOW, _HIGH = (-18.0, -26.0, -14.0), (2.0, 0.0, 9.0)  # logs of the variances, in units of a session's changes
_STARTS: Final = tuple((a, b, e) for a in (-7.0, -1.0) for b in (-18.0, -10.0) for e in (-1.0, 3.0))
_TRIED: Final = 3  # of the starts, the likeliest
_FLAT: Final = 1e-4  # of log-likelihood, that a walk must bring to be one
_VAGUE: Final = 10.0  # times the covariance of the first rows' line, as in 01 §3.2


@dataclass(frozen=True)
class KalmanHedge:
    """y_t = α_t + β_t (x_t - m) + e_t; α and β walk, m is the mean of x over the first `warm` rows.

    The line of the first `warm` rows on which both legs have a price is where the filter begins; it has seen them, so
    that they have no state. A session without a price is predicted only.
    alpha   `fixed`: the constant does not walk, so that innovations are distances from the relation; else they are
            surprises of a session
    huber   innovations beyond so many standard deviations weigh less: their noise grows with the square of the size
    burn    rows after the first `warm` that the likelihood leaves out
    Source  spec 04 §6.2, engine 01 §3.2
    """

    kind: ClassVar[str] = "kalman_hedge"

    alpha: Literal["walk", "fixed"] = "walk"
    huber: float = 4.0
    warm: int = 120
    burn: int = 20

    def __post_init__(self) -> None:
        if self.alpha not in ("walk", "fixed") or self.huber <= 0 or self.warm < 10 or self.burn < 0:
            must = "alpha must be walk or fixed, huber positive, warm 10 or more and burn not negative"
            raise FitError("model kalman_hedge", must, f"{self.alpha}, {self.huber}, {self.warm} and {self.burn}")

    @property
    def least(self) -> int:
        """What the filter begins with and the likelihood leaves out, and a quarter of a year."""
        return self.warm + self.burn + 60

    def fit(self, legs: Legs) -> FittedKalmanHedge:
        """The three variances, by simplices from the likeliest starts; a walk that brings nothing is nought."""
        who = f"model {self.kind}"
        require_rows(who, int(np.count_nonzero(legs.both)), self.least)
        known = legs.both
        for leg in (legs.y[known], legs.x[known]):
            require_varied(who, leg - leg.mean(), leg)
        begin = self._begin(legs)
        unit = _units(who, legs)
        problem = _Problem(legs.y[begin.row :], legs.x[begin.row :] - begin.centre, begin.state, unit, self)
        point, loglik, converged = problem.search()
        variance = problem.natural(point)
        fitted = FittedKalmanHedge(
            spec=self,
            variance=variance,
            error=problem.standard_errors(point),
            memory=0.0,
            loglik=loglik,
            nobs=int(np.count_nonzero(known[begin.row + self.burn :])),
            converged=converged,
        )
        return replace(fitted, memory=fitted._memory_of(legs))

    def simpler(self) -> SpreadSpec | None:
        """A relation that stays."""
        return Ecm()

    def space(self, trial: Trial) -> Self:
        """Whether the constant walks, and how far an outlier is."""
        return replace(
            self,
            alpha=trial.suggest_categorical("alpha", ["walk", "fixed"]),
            huber=trial.suggest_float("huber", 2.5, 6.0),
        )

    def _begin(self, legs: Legs) -> _Begin:
        """Where the filter begins, by the line of the first rows; a row beyond the last where there are too few."""
        if legs.fresh is not None and legs.fresh[1:].any():
            cure = "use the roll-adjusted series of both products, or an ou of the chain"
            raise FitError("model kalman_hedge", "both legs must be one series", "a roll between contracts", "", cure)
        known = np.flatnonzero(legs.both)
        if len(known) < self.warm:
            return _Begin(len(legs), 0.0, np.zeros(5))
        first = known[: self.warm]
        y, x = legs.y[first], legs.x[first]
        centre, across = float(x.mean()), float(np.sum((x - x.mean()) ** 2))
        if across <= (1e-12 * max(abs(centre), 1e-300)) ** 2 * len(x):
            raise FitError("model kalman_hedge", "x must vary in its first rows", f"{self.warm} rows that do not")
        slope = float((x - centre) @ y) / across
        left = y - y.mean() - slope * (x - centre)
        noise = float(left @ left) / (len(first) - 2)
        if noise <= (1e-12 * float(np.max(np.abs(y)))) ** 2:
            raise FitError("model kalman_hedge", "y must not be a line of x", "no noise in the first rows")
        spread = _VAGUE * noise
        state = np.array([y.mean(), slope, spread / len(first), 0.0, spread / across])
        return _Begin(int(first[-1]) + 1, centre, state)


class _Begin(NamedTuple):
    """The first row that is filtered, the mean of x before it, and the state there."""

    row: int
    centre: float
    state: Float64Array


@dataclass(frozen=True)
class FittedKalmanHedge:
    """A moving hedge of one pair.

    variance  (3,) of a session's step of α and of β, and of e; nought where a part brings no likelihood
    error     (3,) standard errors of their roots, NaN for those that are nought
    memory    autocorrelation of the innovations at one session, corrected for its bias; about 0 if the model is right
    """

    kind: ClassVar[str] = "kalman_hedge"

    spec: KalmanHedge
    variance: Float64Array = field(repr=False)
    error: Float64Array = field(repr=False)
    memory: float
    loglik: float
    nobs: int
    converged: bool

    @property
    def params(self) -> Mapping[str, float]:
        """Standard deviations of the steps of α and β, and of e; the memory of the innovations."""
        return {**dict(zip(_NAMES, np.sqrt(self.variance).tolist(), strict=True)), "phi": self.memory}

    @property
    def errors(self) -> Mapping[str, float]:
        """Of the standard deviations, by the curvature of the likelihood."""
        return dict(zip(_NAMES, self.error.tolist(), strict=True))

    @property
    def half_life(self) -> float:
        """Of the innovations, by their autocorrelation; 0 where they have none, as where the model is right."""
        return half_life_of(max(self.memory, 0.0))

    @property
    def notes(self) -> tuple[str, ...]:
        """Which part there is none of."""
        told = [] if self.converged else ["the likelihood's top was not found"]
        told += ["β does not walk"] if self.variance[1] == 0 else []
        told += ["α does not walk"] if self.variance[0] == 0 and self.spec.alpha == "walk" else []
        told += ["there is no noise beside the walk of α"] if self.variance[2] == 0 else []
        return tuple(told)

    def filter(self, legs: Legs) -> State:
        """Innovations as distances: z is the innovation over its standard deviation; NaN in the first `warm` rows."""
        begin, path = self._path(legs)
        out = {name: np.full(len(legs), np.nan) for name in ("value", "centre", "sd", "hedge")}
        rows = slice(begin.row, None)
        hedge, seen = path.before[:, 1], np.isfinite(path.innovation)
        out["value"][rows] = legs.y[rows] - hedge * legs.x[rows]
        out["centre"][rows] = np.where(seen, path.before[:, 0] - hedge * begin.centre, np.nan)
        out["sd"][rows] = np.sqrt(path.expected)
        out["hedge"][rows] = path.after[:, 1]
        return State(**out)

    def states(self, legs: Legs) -> tuple[Float64Array, Float64Array]:
        """α and β of y = α + β x as known on each session, and their standard errors: (T, 2) each."""
        begin, path = self._path(legs)
        mean, error = np.full((len(legs), 2), np.nan), np.full((len(legs), 2), np.nan)
        m, after = begin.centre, path.after
        mean[begin.row :] = np.column_stack([after[:, 0] - m * after[:, 1], after[:, 1]])
        at_nought = after[:, 2] - 2 * m * after[:, 3] + m * m * after[:, 4]
        error[begin.row :] = np.sqrt(np.column_stack([at_nought, after[:, 4]]))
        return mean, error

    def forecast(self, legs: Legs, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        """What is left of y above the line goes, by the memory of the innovations; with none it goes in a session.

        The interval holds the steps of α and β, the doubt about them and the noise, with x where it is.
        """
        require_horizons("model kalman_hedge", horizons)
        ahead = np.asarray(horizons, dtype=np.float64)
        begin, path = self._path(legs)
        row = np.maximum(origins - begin.row, 0)
        if len(path.innovation) == 0:
            empty = np.full((len(origins), len(ahead)), np.nan)
            return Forecasts(empty, empty.copy())
        seen = (origins >= begin.row) & np.isfinite(path.innovation[row])
        a, b, p_aa, p_ab, p_bb = (path.after[row, i][:, None] for i in range(5))
        x = (legs.x[origins] - begin.centre)[:, None]
        above = legs.y[origins][:, None] - a - b * x
        stays = max(self.memory, 0.0) ** ahead
        q_a, q_b, noise = self.variance
        variance = p_aa + 2 * x * p_ab + x * x * p_bb + ahead * (q_a + q_b * x * x) + noise * (1 - stays**2)
        known = seen[:, None]
        return Forecasts(np.where(known, -(1 - stays) * above, np.nan), np.where(known, np.sqrt(variance), np.nan))

    def describe(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values."""
        told: dict[str, Any] = {"kind": self.kind, "spec": asdict(self.spec), "variance": self.variance.tolist()}
        told["error"] = [None if math.isnan(one) else one for one in self.error.tolist()]
        return told | {name: getattr(self, name) for name in _PLAIN}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        error = np.array([math.nan if one is None else one for one in told["error"]])
        parts = {name: told[name] for name in _PLAIN}
        return cls(spec=KalmanHedge(**told["spec"]), variance=np.array(told["variance"]), error=error, **parts)

    def _path(self, legs: Legs) -> tuple[_Begin, _Path]:
        begin = self.spec._begin(legs)
        y, x = legs.y[begin.row :], legs.x[begin.row :] - begin.centre
        innovation, expected, before, after = filtered(y, x, begin.state, *self.variance.tolist(), self.spec.huber)
        return begin, _Path(innovation, expected, before, after)

    def _memory_of(self, legs: Legs) -> float:
        """Autocorrelation of the standardised innovations of sessions that follow each other; outliers count less."""
        z = np.clip(self.filter(legs).z, -self.spec.huber, self.spec.huber)
        pairs = np.isfinite(z[1:]) & np.isfinite(z[:-1])
        before, now = z[:-1][pairs], z[1:][pairs]
        raw = float(before @ now) / float(before @ before)
        if abs(raw) >= 1:
            return raw
        phi = np.array([raw])
        return float((phi - least_squares_bias(phi, np.ones((len(now), 1))))[0])


class _Path(NamedTuple):
    innovation: Float64Array
    expected: Float64Array
    before: Float64Array
    after: Float64Array


_PLAIN: Final = ("memory", "loglik", "nobs", "converged")


@dataclass(frozen=True)
class _Problem:
    """The likelihood in the logs of the variances, in units of the legs' changes."""

    y: Float64Array
    x: Float64Array
    start: Float64Array
    unit: Float64Array
    spec: KalmanHedge

    def natural(self, point: Float64Array) -> Float64Array:
        """Variances of the legs' units, (3,); -inf stands for nought."""
        return self.unit * np.exp(point)

    def loss(self, point: Float64Array) -> float:
        """Log-likelihood, less."""
        q_a, q_b, noise = self.natural(point).tolist()
        found = log_likelihood(self.y, self.x, self.start, q_a, q_b, noise, self.spec.huber, self.spec.burn)
        return -float(found) if math.isfinite(found) else 1e100

    def search(self) -> tuple[Float64Array, float, bool]:
        """The likeliest point, its log-likelihood, and whether the search came to rest."""
        free = np.array([self.spec.alpha == "walk", True, True])

        def loss(part: Float64Array) -> float:
            point = np.where(free, 0.0, -np.inf)
            point[free] = part
            return self.loss(point)

        bounds = [pair for pair, one in zip(zip(_LOW, _HIGH, strict=True), free, strict=True) if one]
        starts = dict.fromkeys(tuple(np.array(start)[free].tolist()) for start in _STARTS)
        rough = sorted(starts, key=lambda start: loss(np.array(start)))
        # Simplices, not slopes: three coordinates need no more, and slopes by differences end early where it is flat.
        settings = {"xatol": 1e-6, "fatol": 1e-9, "maxfev": 2000}
        found = [minimize(loss, s, method="Nelder-Mead", bounds=bounds, options=settings) for s in rough[:_TRIED]]
        last = min(found, key=lambda one: float(one.fun))
        point, value = np.full(3, -np.inf), float(last.fun)
        point[free] = last.x
        for part in np.flatnonzero(free):
            without = point.copy()
            without[part] = -np.inf
            moves = np.isfinite(without[0]) or np.isfinite(without[2])  # else nothing is left for y to do
            if moves and self.loss(without) <= value + _FLAT:
                point, value = without, self.loss(without)
        return point, -value, bool(last.success)

    def standard_errors(self, point: Float64Array) -> Float64Array:
        """Of the standard deviations, (3,): those of the logs times half of it."""
        free, out = np.isfinite(point), np.full(3, np.nan)

        def loss(part: Float64Array) -> float:
            whole = np.full(3, -np.inf)
            whole[free] = part
            return self.loss(whole)

        curvature = approx_hess3(point[free], loss, epsilon=np.full(int(free.sum()), 1e-3))
        if not np.isfinite(curvature).all() or np.linalg.eigvalsh(curvature)[0] <= 0:
            return out
        out[free] = np.sqrt(np.diag(np.linalg.inv(curvature))) * 0.5 * np.sqrt(self.natural(point)[free])
        return out


def _units(who: str, legs: Legs) -> Float64Array:
    """What the variances are measured in, (3,): squared changes of y, those over squared changes of x, and again."""
    known = legs.both
    y, x = np.diff(legs.y[known]), np.diff(legs.x[known])
    moved = float(np.mean(y**2)), float(np.mean(x**2))
    if min(moved) <= 0:
        raise FitError(who, "both legs must move", "prices that do not change")
    return np.array([moved[0], moved[0] / moved[1], moved[0]])
