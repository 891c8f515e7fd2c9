"""All that a report on a run is made from: plain values and results, no store, no tracking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from features.panel import Float64Array, SessionArray
from training.evaluate.capacity import Capacity
from training.evaluate.ic import IcSummary
from training.evaluate.portfolio import Deciles, PortfolioResult
from training.fills import Entry


@dataclass(frozen=True)
class Judged:
    """Scores judged on one part of the sessions: the development tests, or the sealed holdout.

    rank_ic     (T,) each session's, NaN outside the part
    by_horizon  horizon -> summary of the RankIC against labels of that horizon
    portfolios  entry -> the top k traded at it; the headline's entry first
    """

    rank_ic: Float64Array = field(repr=False)
    by_horizon: Mapping[int, IcSummary]
    deciles: Deciles = field(repr=False)
    portfolios: Mapping[Entry, PortfolioResult] = field(repr=False)


@dataclass(frozen=True)
class Headline:
    """One row of the headline, as text: what, its walk-forward value and 95 % interval, its value on the holdout."""

    name: str
    walked: str
    interval: str = ""
    holdout: str = ""


@dataclass(frozen=True)
class Significance:
    """What is left of the numbers when the search for them is taken into account; None where it was not computed.

    trials      how many configurations the ledger knows, this one included
    looks       how often the holdout has been scored, this time included
    dsr         deflated Sharpe ratio: the probability that the true Sharpe ratio is above 0 after so many trials
    pbo         probability of backtest overfitting, from combinatorial splits of the trials
    intervals   name -> 95 % interval (low, high): "mean RankIC, Newey-West", "net Sharpe, block bootstrap", ...
    placebos    name -> RankIC of the same procedure on labels that mean nothing
    remarks     name -> any other number worth a row, as text
    """

    trials: int | None = None
    looks: int | None = None
    dsr: float | None = None
    pbo: float | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    placebos: Mapping[str, IcSummary] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BandEvidence:
    """How the prediction bands have held: (T,) rolling share of outcomes inside, mean width; and what was wanted."""

    rolling: Float64Array = field(repr=False)
    width: Float64Array = field(repr=False)
    target: float
    window: int = 60


@dataclass(frozen=True)
class FactorCoverage:
    """Share of the universe on which each factor is defined, each (T, K), and the K names."""

    share: Float64Array = field(repr=False)
    columns: Sequence[str] = field(repr=False)


@dataclass(frozen=True)
class Evidence:
    """A run's evidence. What is None was not computed; the report says so, and why if `absent` tells.

    title, subtitle  what the run is; the subtitle may have several lines
    warnings         what a reader of any number must know first
    horizon          of the label, in sessions
    lost             why rows of the universe have no label
    rank_ic_lost     RankIC over every row less that over those that could have been traded
    importance       column -> share; zh: column -> Chinese name
    factors          a row a factor: factor, 中文, and numbers such as ic, t, q, coverage
    by_group         kind of group -> group -> summary of the RankIC, development sessions
    settings         the resolved config; environment: versions of data and libraries
    absent           section ("significance", "capacity", "bands", ...) -> why it is not there
    """

    title: str
    subtitle: str
    warnings: Sequence[str]
    headline: Sequence[Headline]
    sessions: SessionArray = field(repr=False)
    horizon: int
    development: Judged
    holdout: Judged | None
    lost: Mapping[str, int]
    settings: str = field(repr=False)
    environment: str = field(repr=False)
    significance: Significance | None = None
    rank_ic_lost: float | None = None
    importance: Mapping[str, float] | None = field(default=None, repr=False)
    zh: Mapping[str, str] = field(default_factory=dict, repr=False)
    factors: pl.DataFrame | None = field(default=None, repr=False)
    coverage: FactorCoverage | None = field(default=None, repr=False)
    bands: BandEvidence | None = field(default=None, repr=False)
    by_group: Mapping[str, Mapping[str, IcSummary]] | None = None
    capacity: Capacity | None = field(default=None, repr=False)
    absent: Mapping[str, str] = field(default_factory=dict)
