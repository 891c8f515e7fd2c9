"""All that a report on spreads and term structures is made from: plain values and results, no store, no tracking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from training.evaluate.spread_score import TradingSummary
from training.evaluate.spread_tests import Direction, HalfLifeStability, OutOfSample, TimeIc
from training.evaluate.spread_trading import Trading


@dataclass(frozen=True)
class ForecastScore:
    """How one model foretold a pair's return over one horizon.

    zero, ar1  against a forecast of nought, and against an AR(1) of the spread; None for the AR(1) itself
    holdout    R² against nought on the holdout alone
    """

    model: str
    zero: OutOfSample
    ar1: OutOfSample | None
    direction: Direction
    ic: TimeIc
    holdout: float = float("nan")


@dataclass(frozen=True)
class RuleTrading:
    """What trading on one model's signal made of a pair."""

    model: str
    trading: Trading
    summary: TradingSummary


@dataclass(frozen=True)
class HalfLives:
    """Half-lives of the refits of a pair, (R,) in sessions; NaN or inf where a refit found no reversion.

    low, high  an interval of each, None where there is none
    """

    model: str
    sessions: SessionArray = field(repr=False)
    half_life: Float64Array = field(repr=False)
    stability: HalfLifeStability
    low: Float64Array | None = field(default=None, repr=False)
    high: Float64Array | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PairTest:
    """A test of the pair before it was modelled: on training data; q allows for all pairs tested."""

    name: str
    statistic: float
    p: float
    q: float = float("nan")


@dataclass(frozen=True)
class PairScreening:
    """What a screening of all pairs said of one, on what was known at the close of its session.

    trace, critical  Johansen's statistic of no relation, and its 5 % value
    reason           why it is no candidate until the next one; empty where it is one
    """

    session: np.datetime64
    p: float
    q: float
    trace: float
    critical: float
    beta: float
    half_life: float
    reason: str

    @property
    def is_candidate(self) -> bool:
        """Whether the pair may be entered until the next one."""
        return not self.reason


@dataclass(frozen=True)
class PairEvidence:
    """One pair. Row t is a session; what stands there was known at its close, but for the outcome.

    kind      calendar, basis or cross-product
    legs      what a long position buys, and what it sells
    spread    (n,) log spread, not annualised, of two products its distance from the mean; lines break where `life`
              changes
    mean, sd  (n,) of the spread as the signal's model saw them then
    life      (n,) which pair of contracts it is
    horizon   sessions of forecast and outcome
    forecast  (n,) of the model that is served, and outcome (n,), its return over the sessions ahead
    scores    horizon -> rows
    screenings  of two products, oldest first
    now       what is said at the last session: label -> text, numbers with their unit
    notes, absent  what a reader must know; part -> why it is not there
    """

    name: str
    zh: str
    kind: str
    legs: tuple[str, str]
    sessions: SessionArray = field(repr=False)
    spread: Float64Array = field(repr=False)
    life: IntArray = field(repr=False)
    mean: Float64Array | None = field(default=None, repr=False)
    sd: Float64Array | None = field(default=None, repr=False)
    horizon: int = 5
    forecast: Float64Array | None = field(default=None, repr=False)
    outcome: Float64Array | None = field(default=None, repr=False)
    scores: Mapping[int, tuple[ForecastScore, ...]] = field(default_factory=dict, repr=False)
    tradings: tuple[RuleTrading, ...] = field(default=(), repr=False)
    half_lives: HalfLives | None = field(default=None, repr=False)
    tests: tuple[PairTest, ...] = ()
    screenings: tuple[PairScreening, ...] = field(default=(), repr=False)
    holdout: BoolArray | None = field(default=None, repr=False)
    now: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CurveSnapshot:
    """The curve of a product on one session, contracts in the order of their maturity, (K,) each.

    years  to maturity
    spot   of the index, NaN where there is none
    """

    session: str
    contracts: tuple[str, ...]
    years: Float64Array = field(repr=False)
    price: Float64Array = field(repr=False)
    spot: float = float("nan")


@dataclass(frozen=True)
class BasisHistory:
    """The basis of a product over time, as a decimal; positive: the future is dearer (premium).

    what  which basis it is, in words
    """

    what: str
    sessions: SessionArray = field(repr=False)
    basis: Float64Array = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TermFit:
    """A term-structure model of a product: its states, and its prices against those seen.

    model       what it is called (Schwartz-Smith; one-factor where the data are too thin)
    labels      of the J columns of price and fitted: rank of maturity, or contract
    price, fitted  (n, J), NaN where a contract is missing
    short, long (n,) filtered: deviation that dies out, and level that stays; logs
    yields      (n,) instantaneous net convenience yield, per year; None without
    params      name -> (estimate, standard error or None)
    status      how the fit ended: "ok", or in words
    """

    model: str
    sessions: SessionArray = field(repr=False)
    labels: tuple[str, ...]
    price: Float64Array = field(repr=False)
    fitted: Float64Array = field(repr=False)
    short: Float64Array = field(repr=False)
    long: Float64Array = field(repr=False)
    params: Mapping[str, tuple[float, float | None]]
    loglik: float
    status: str = "ok"
    yields: Float64Array | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProductCurve:
    """The term structure of one product; parts that are not there are None or empty, `absent` says why."""

    product: str
    zh: str
    snapshots: tuple[CurveSnapshot, ...] = field(default=(), repr=False)
    basis: BasisHistory | None = field(default=None, repr=False)
    term: TermFit | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SpreadEvidence:
    """Everything that the report shows.

    skipped   pair or product -> why there is nothing of it
    warnings  sentences that a reader must see first
    settings, environment  text: the resolved config; versions of data and code
    """

    title: str
    subtitle: str
    horizons: tuple[int, ...]
    pairs: tuple[PairEvidence, ...] = field(default=(), repr=False)
    curves: tuple[ProductCurve, ...] = field(default=(), repr=False)
    skipped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    settings: str = ""
    environment: str = ""
