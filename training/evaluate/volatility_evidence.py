"""All that a report on volatility forecasts is made from: plain values and results, no store, no tracking."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from features.panel import BoolArray, Float64Array, IntArray, SessionArray

# What a forecast made of those of the models is called where it stands beside them.
CHOSEN, COMBINED = "chosen", "combined"


@dataclass(frozen=True)
class Score:
    """How one forecaster did at one horizon on one product: a row of the leaderboard.

    n           forecasts judged
    qlike       mean loss
    ratio       mean QLIKE over that of the base model on the same forecasts: below 1 is better than the base
    dm_t, dm_p  Diebold-Mariano against the base, corrected as Harvey, Leybourne and Newbold do; t < 0 is better
    in_set      whether it is in the model confidence set; None where none was estimated or it takes no part
    mse_ratio   mean squared error over the base's
    mz_a, mz_b, mz_p  Mincer-Zarnowitz: intercept (variance of the horizon), slope, p of a = 0 and b = 1
    better      share of forecasts with a smaller loss than the base's
    holdout     ratio on the holdout alone
    """

    model: str
    n: int
    qlike: float
    ratio: float
    mse_ratio: float = float("nan")
    dm_t: float = float("nan")
    dm_p: float = float("nan")
    in_set: bool | None = None
    mz_a: float = float("nan")
    mz_b: float = float("nan")
    mz_p: float = float("nan")
    better: float = float("nan")
    holdout: float = float("nan")


@dataclass(frozen=True)
class Backtest:
    """How often losses went beyond one forecaster's value at risk of one session, and whether that is by chance.

    p values: kupiec of the number, christoffersen of independence, dq of the dynamic quantile; z2 is the expected
    shortfall's (Acerbi and Szekely), below `z2_critical` too small a shortfall was forecast
    """

    model: str
    level: float
    n: int
    breaches: int
    expected: float
    kupiec_p: float
    christoffersen_p: float
    dq_p: float
    z2: float
    z2_critical: float
    verdict: str


@dataclass(frozen=True)
class NewsImpact:
    """The variance of the next session after a shock to this one, all else at its long run (Engle and Ng 1993).

    shocks    (G,) in standard deviations of a session
    variance  model -> (G,) per session, decimals squared
    """

    shocks: Float64Array = field(repr=False)
    variance: Mapping[str, Float64Array] = field(repr=False)


@dataclass(frozen=True)
class Estimate:
    """The last fit of a model: its parameters with standard errors (None where there are none)."""

    model: str
    fitted: datetime.date
    status: str
    params: Mapping[str, tuple[float, float | None]]
    loglik: float
    persistence: float
    dof: float
    nobs: int


@dataclass(frozen=True)
class Refit:
    """One fit of the walk and how it ended: "ok", or in words what had to be done."""

    date: datetime.date
    model: str
    status: str


@dataclass(frozen=True)
class ResidualCheck:
    """What the standardised residuals of a model still hold: p values."""

    model: str
    n: int
    ljung_box_p: float
    ljung_box_squares_p: float
    sign_bias_p: float
    uniform_p: float
    nyblom_p: float = float("nan")


@dataclass(frozen=True)
class Position:
    """Margin and size of the next session's position (ML-06): CNY a contract, multiple, lots, and which cap binds."""

    margin: float
    leverage: float
    contracts: int
    cap: str
    margin_call: float = float("nan")


@dataclass(frozen=True)
class ProductEvidence:
    """The forecasts of one product and how they did. Row t is a session t; row t + 1 the next one of the series.

    contract        held after the last session
    returns         (n,) log return of each session
    range_variance  (n,) range proxy of each session's variance, scaled to the mean of the squared returns
    holdout         (n,) sessions of the holdout
    variance        model -> (n, H) forecast at the close of t of the variance of the return over the h sessions ahead
    chosen          (n, H) which model was chosen at t: a position in `variance`, -1 for none yet
    served          (n, H) the variance that is predicted: of the chosen model, or combined, as the run says
    losses          forecaster -> (n, H) QLIKE of the forecasts at t, NaN where the horizon is not over; the base among
                    them, and CHOSEN and COMBINED
    scores          horizon -> rows of the leaderboard
    var, es         (n, L) value at risk and shortfall of the next session at t, positive for a loss
    level_sessions, level  (T,) of the whole roll-adjusted series
    rolls           date, product, from, to, spread, and what the rule saw
    status          model -> how its last fit ended
    notes           what a reader must know of this series
    absent          part -> why it is not there
    """

    product: str
    zh: str
    contract: str
    sessions: SessionArray = field(repr=False)
    returns: Float64Array = field(repr=False)
    range_variance: Float64Array = field(repr=False)
    variance: Mapping[str, Float64Array] = field(repr=False)
    served: Float64Array = field(repr=False)
    losses: Mapping[str, Float64Array] = field(repr=False)
    scores: Mapping[int, tuple[Score, ...]] = field(repr=False)
    chosen: IntArray | None = field(default=None, repr=False)
    holdout: BoolArray | None = field(default=None, repr=False)
    backtests: tuple[Backtest, ...] = field(default=(), repr=False)
    var: Float64Array | None = field(default=None, repr=False)
    es: Float64Array | None = field(default=None, repr=False)
    news: NewsImpact | None = field(default=None, repr=False)
    estimates: tuple[Estimate, ...] = field(default=(), repr=False)
    refits: tuple[Refit, ...] = field(default=(), repr=False)
    residuals: tuple[ResidualCheck, ...] = field(default=(), repr=False)
    level_sessions: SessionArray | None = field(default=None, repr=False)
    level: Float64Array | None = field(default=None, repr=False)
    rolls: pl.DataFrame | None = field(default=None, repr=False)
    position: Position | None = None
    status: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VolatilityEvidence:
    """Everything that the report shows, for every product of a run.

    base        the model that all are measured against (EWMA)
    served_as   CHOSEN or COMBINED: which forecast is predicted
    horizons, levels  what the axes H and L of the products' arrays are
    skipped     product -> why there are no forecasts of it
    warnings    sentences that a reader must see first
    settings, environment  text: the resolved config; versions of data and code
    """

    title: str
    subtitle: str
    base: str
    served_as: str
    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    products: tuple[ProductEvidence, ...] = field(repr=False)
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    settings: str = ""
    environment: str = ""
