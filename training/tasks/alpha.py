"""The alpha task: from the store to judged scores and a scorer that serves.

prepare  store -> matrix, quotes, labels (training/market.py), split       (steps 3 to 7 of the road)
walk     each fold: preprocess and fit on its past, score its test sessions   (step 8)
judge    scores against labels and quotes -> numbers and results   (step 9)
final    the scorer that serves, given every label there is
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from features.panel import DataError, Float64Array, IntArray
from features.scratch import IN_MEMORY, Scratch
from features.store import Store
from models.blocks import release
from training.alpha_config import AlphaConfig
from training.band import Band, fit_band, quantiles, reach
from training.evaluate.costs import Costs
from training.evaluate.evidence import Judged
from training.evaluate.ic import ANN_DAYS, IcSummary, Method, daily_ic, ic_decay, ic_summary
from training.evaluate.orders import Orders, top_k_orders
from training.evaluate.portfolio import ENTRIES, PortfolioResult, by_entry, decile_portfolios
from training.evaluate.significance import (
    Interval,
    Mean,
    block_bootstrap,
    newey_west,
    overlap_lag,
    patton_timmermann,
)
from training.fills import Entry
from training.fit import Scorer, fit_scorer
from training.labels import Labels, paper_returns
from training.market import Market, gather, labels_of, warnings
from training.preprocess import Preprocess
from training.splits import Fold, Split, walk_forward

_DECAY = (1, 5, 10, 20)


@dataclass(frozen=True)
class AlphaData(Market):
    """What the folds draw from: the market of the config's span, and how its sessions are split."""

    split: Split


@dataclass(frozen=True)
class Scored:
    """One fold: its scorer, its scores on the test sessions (T, N), and how many rows it learnt from.

    lower, upper  (T, N) raw quantiles of outcome / sigma on the sessions that calibrate the band, and on the tests
    """

    fold: Fold
    scorer: Scorer = field(repr=False)
    score: Float64Array = field(repr=False)
    rows: int
    lower: Float64Array | None = field(default=None, repr=False)
    upper: Float64Array | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Judgement(Judged):
    """What scores were worth against the labels, and in portfolios; with what a report does not draw.

    ic         (T,) Pearson correlation of each session, NaN outside the tests
    rank, pearson  summaries of the RankIC and the IC
    paper      RankIC against returns that nobody could have earned in full: limits and halts are nothing to them
    mean       the mean RankIC with its Newey-West interval
    bootstrap  name -> block-bootstrap interval: rank_ic, net_excess (a year), net_excess_sharpe (a year)
    monotone   p-value against "the deciles' means do not rise throughout"
    orders     of the top k, to be traded with any capital
    """

    ic: Float64Array = field(repr=False)
    rank: IcSummary
    pearson: IcSummary
    paper: IcSummary
    mean: Mean
    bootstrap: dict[str, Interval]
    monotone: float
    orders: Orders = field(repr=False)

    @property
    def portfolio(self) -> PortfolioResult:
        """The top k at the headline's entry."""
        return next(iter(self.portfolios.values()))

    def metrics(self) -> dict[str, float]:
        """The numbers by name, in groups that the tracking UI folds."""
        out = {f"rank_ic/{k}": float(v) for k, v in vars(self.rank).items()}
        out |= {"rank_ic/lo": self.mean.lo, "rank_ic/hi": self.mean.hi}
        out |= {f"ic/{k}": float(v) for k, v in vars(self.pearson).items()}
        out |= {f"rank_ic_by_horizon/{h}": s.mean for h, s in self.by_horizon.items()}
        out |= {"paper/rank_ic": self.paper.mean, "paper/rank_ic_lost": self.paper.mean - self.rank.mean}
        out["deciles/monotonicity"], out["deciles/monotone_p"] = self.deciles.monotonicity, self.monotone
        out["deciles/long_short"], out["deciles/long_short_t"] = self.deciles.spread.mean, self.deciles.spread.t
        for name, found in self.bootstrap.items():
            out |= {f"bootstrap/{name}_lo": found.lo, f"bootstrap/{name}_hi": found.hi}
        for entry, result in self.portfolios.items():
            shown = ("annual_return", "excess_over_universe", "sharpe", "annual_cost")
            out |= {f"entries/{entry}_{name}": result.summary[name] for name in shown if name in result.summary}
        out |= {f"top_k/{k}": v for k, v in self.portfolio.summary.items()}
        return out | {"top_k/excess_sharpe": self.bootstrap["net_excess_sharpe"].estimate}


def prepare(
    config: AlphaConfig,
    store: Store,
    say: Callable[[str], None],
    progress: Callable[[int, int], None],
    *,
    scratch: Scratch = IN_MEMORY,
) -> AlphaData:
    """Steps 3 to 7: the market gathered, its sessions split."""
    span = config.data.start, config.data.end
    market = gather(config, store, *span, say, progress, scratch=scratch)
    wanted = config.split
    split = walk_forward(
        len(market.matrix.sessions),
        gap=market.labels.gap,
        embargo=wanted.embargo,
        train=wanted.train,
        test=wanted.test,
        kind=wanted.mode,
        window=wanted.window,
        holdout=wanted.holdout,
        first=int(market.matrix.session[0]),
    )
    notes = (*warnings(store, config.data.asset_class), *market.notes)
    return AlphaData(**{**vars(market), "notes": notes}, split=split)


def walk(
    config: AlphaConfig, data: AlphaData, fold: Fold, *, with_band: bool = False, scratch: Scratch = IN_MEMORY
) -> Scored:
    """Step 8: fit on the rows whose label was known before the fold's first test session, score the test sessions."""
    first, stop = int(fold.test[0]), int(fold.test[-1]) + 1
    scorer, rows = _fit(config, data, fold.train, first, scratch)
    table = data.matrix
    tested = slice(*np.searchsorted(table.session, [first, stop]).tolist())
    score = np.full(len(table.session), np.nan)
    score[tested] = scorer.score(table.values[tested], table.session[tested])
    scored = Scored(fold, scorer, table.unstack(score), rows)
    band = fit_band(config, data, fold.train, first, scratch) if with_band else None
    if band is None:
        return scored
    lower, upper = quantiles(band, data, first - reach(config), stop)
    return replace(scored, lower=lower, upper=upper)


def final(config: AlphaConfig, data: AlphaData, scratch: Scratch = IN_MEMORY) -> tuple[Scorer, Band | None, int]:
    """The scorer that serves: given every label that is known by the last session; and the band of its outcomes.

    Trees keep the last of its sessions to stop by and do not grow on them; linear models learn from all.
    """
    sessions = np.arange(len(data.matrix.sessions))
    scorer, rows = _fit(config, data, sessions, len(sessions), scratch)
    return scorer, fit_band(config, data, sessions, len(sessions), scratch), rows


def fit_on(
    config: AlphaConfig, data: AlphaData, sessions: IntArray, labels: Labels, scratch: Scratch = IN_MEMORY
) -> tuple[Scorer, int]:
    """A scorer fitted on the labels of some sessions, and how many they are; the caller answers for what is known."""
    table = data.matrix
    rows = np.isin(table.session, sessions)
    target = table.pick(labels.target)
    scorer = fit_scorer(
        config.model.spec(),
        Preprocess(**config.preprocess.model_dump()),
        table.values,
        table.session,
        target,
        table.pick(labels.weight),
        table.columns,
        labels.gap,
        config.seed,
        rows=rows,
        scratch=scratch,
    )
    return scorer, int(np.isfinite(target[rows]).sum())


def judge(config: AlphaConfig, data: AlphaData, score: Float64Array) -> Judgement:
    """Step 9: the scores (T, N) of test sessions against labels, by decile, and as portfolios net of costs."""
    horizon, least, value = config.label.horizon, config.evaluate.min_names, data.labels.value
    rank_ic = daily_ic(score, value, method="rank", min_names=least)
    ic = daily_ic(score, value, method="pearson", min_names=least)
    if not np.isfinite(rank_ic).any():
        names = int(np.isfinite(score).sum(axis=1).max())
        raise DataError(
            "evaluation",
            f"some session must have {least} names with a score and a label",
            f"at most {names}",
            help="lower evaluate.min_names for a small universe",
        )
    orders = top_k_orders(
        score,
        data.quotes,
        data.universe,
        horizon=horizon,
        k=config.evaluate.top_k,
        costs=Costs(),
        delisted=data.delisted,
        delist_haircut=config.label.delist_haircut,
    )
    portfolios = by_entry(
        orders,
        entries=_entries(config),
        capital=config.evaluate.capital,
        benchmark=None if data.benchmark is None else data.benchmark[:, 1],
    )
    traded = next(iter(portfolios.values()))
    deciles = decile_portfolios(score, value, horizon=horizon)
    return Judgement(
        rank_ic=rank_ic,
        by_horizon=ic_decay(score, _values_by_horizon(config, data), min_names=least),
        deciles=deciles,
        portfolios=portfolios,
        ic=ic,
        rank=ic_summary(rank_ic, horizon),
        pearson=ic_summary(ic, horizon),
        paper=_on_paper(config, data, score, rank_ic),
        mean=newey_west(rank_ic, overlap_lag(horizon, int(np.isfinite(rank_ic).sum()))),
        bootstrap=_bootstrap(config, rank_ic, traded.net - traded.universe),
        monotone=patton_timmermann(deciles.each, seed=config.seed, overlap=horizon),
        orders=orders,
    )


def _on_paper(config: AlphaConfig, data: AlphaData, score: Float64Array, rank_ic: Float64Array) -> IcSummary:
    """Against what a naive back-test would book, on the sessions that have a RankIC: the rows alone differ."""
    booked = paper_returns(data.quotes, data.universe, horizon=config.label.horizon, entry=config.label.entry)
    daily = daily_ic(score, booked, method="rank", min_names=config.evaluate.min_names)
    return ic_summary(np.where(np.isfinite(rank_ic), daily, np.nan), config.label.horizon)


def _entries(config: AlphaConfig) -> tuple[Entry, ...]:
    """All entries, the headline's first."""
    first = config.evaluate.entry or config.label.entry
    return (first, *(entry for entry in ENTRIES if entry != first))


def _bootstrap(config: AlphaConfig, rank_ic: Float64Array, excess: Float64Array) -> dict[str, Interval]:
    ic = block_bootstrap(rank_ic, "mean", seed=config.seed, overlap=config.label.horizon)
    mean = block_bootstrap(excess, "mean", seed=config.seed)
    sharpe = block_bootstrap(excess, "sharpe", seed=config.seed)
    return {
        "rank_ic": ic,
        "net_excess": _scaled(mean, ANN_DAYS),
        "net_excess_sharpe": _scaled(sharpe, math.sqrt(ANN_DAYS)),
    }


def _scaled(of: Interval, by: float) -> Interval:
    return replace(of, estimate=of.estimate * by, lo=of.lo * by, hi=of.hi * by)


def fold_summary(config: AlphaConfig, data: AlphaData, score: Float64Array) -> dict[str, float]:
    """A fold's own RankIC and IC: mean, hit rate and sessions; NaN where no session has enough names."""
    out: dict[str, float] = {}
    methods: dict[str, Method] = {"rank_ic": "rank", "ic": "pearson"}
    for name, method in methods.items():
        daily = daily_ic(score, data.labels.value, method=method, min_names=config.evaluate.min_names)
        found = ic_summary(daily, config.label.horizon)
        out |= {f"fold/{name}": found.mean, f"fold/{name}_hit": found.hit, f"fold/{name}_sessions": float(found.n)}
    return out


def coverage(data: AlphaData) -> Float64Array:
    """Share of the universe's rows of each session on which each factor is defined, (T, K); NaN without rows."""
    found = np.full((len(data.matrix.sessions), len(data.matrix.columns)), np.nan)
    starts = np.searchsorted(data.matrix.session, np.arange(len(data.matrix.sessions) + 1))
    for t in np.flatnonzero(np.diff(starts)):
        rows = data.matrix.values[starts[t] : starts[t + 1]]
        found[t] = 1 - np.isnan(rows).mean(axis=0)
        release(rows)
    return found


def _fit(
    config: AlphaConfig, data: AlphaData, sessions: IntArray, first_test: int, scratch: Scratch
) -> tuple[Scorer, int]:
    return fit_on(config, data, sessions, data.labels.known_before(first_test), scratch)


def _values_by_horizon(config: AlphaConfig, data: AlphaData) -> dict[int, Float64Array]:
    """The outcomes (T, N) of each horizon that the decay of the score is shown over."""
    own = config.label.horizon
    others = [h for h in _DECAY if h != own and h + 1 < len(data.matrix.sessions)]
    return {own: data.labels.value} | {h: labels_of(config, data, h).value for h in others}
