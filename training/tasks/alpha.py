"""The alpha task: from the store to judged scores and a scorer that serves.

require  what can be refused at once
prepare  store -> matrix, quotes, labels, split                 (steps 3 to 7 of the road)
walk     each fold: preprocess and fit on its past, score its test sessions   (step 8)
judge    scores against labels and quotes -> numbers and results   (step 9)
final    the scorer that serves, given every label there is
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from features.catalogue import Catalogue, catalogue
from features.check import simulation, survivorship
from features.inputs import available
from features.materialise import BuildReport
from features.matrix import matrix
from features.panel import BoolArray, DataError, Float64Array, IntArray, Matrix, Panels
from features.plan import plan
from features.store import Store
from features.universe import Universe
from training.config import Config
from training.evaluate.ic import IcSummary, Method, daily_ic, ic_decay, ic_summary
from training.evaluate.portfolio import Deciles, PortfolioResult, decile_portfolios, simulate_topk
from training.fit import Scorer, fit_scorer
from training.labels import Labels, make_labels
from training.preprocess import Preprocess
from training.splits import Fold, Split, walk_forward

_QUOTES = ("open", "high", "low", "close", "prev_close", "volume", "total_turnover")
_OPTIONAL_QUOTES = ("limit_up", "limit_down", "suspended")
_DECAY = (1, 5, 10, 20)


@dataclass(frozen=True)
class AlphaData:
    """What the folds draw from, all on the axes of the matrix: T sessions, N assets, M rows of the universe.

    benchmark  (T, 2) open and close of the index, None without one
    delisted   (N,) row of the last trading session, -1 while listed
    """

    matrix: Matrix
    universe: BoolArray = field(repr=False)
    quotes: Panels = field(repr=False)
    benchmark: Float64Array | None = field(repr=False)
    delisted: IntArray = field(repr=False)
    labels: Labels = field(repr=False)
    split: Split
    build: BuildReport
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Scored:
    """One fold: its scorer, its scores on the test sessions (T, N), and how many rows it learnt from."""

    fold: Fold
    scorer: Scorer = field(repr=False)
    score: Float64Array = field(repr=False)
    rows: int


@dataclass(frozen=True)
class Judgement:
    """What scores were worth against the labels, and in a simulated portfolio.

    rank_ic, ic  (T,) each session's, NaN outside the tests
    """

    rank_ic: Float64Array = field(repr=False)
    ic: Float64Array = field(repr=False)
    rank: IcSummary
    pearson: IcSummary
    decay: dict[int, IcSummary]
    deciles: Deciles = field(repr=False)
    portfolio: PortfolioResult = field(repr=False)

    def metrics(self) -> dict[str, float]:
        """The numbers by name, in groups that the tracking UI folds."""
        out = {f"rank_ic/{k}": float(v) for k, v in vars(self.rank).items()}
        out |= {f"ic/{k}": float(v) for k, v in vars(self.pearson).items()}
        out |= {f"rank_ic_by_horizon/{h}": s.mean for h, s in self.decay.items()}
        out["deciles/monotonicity"] = self.deciles.monotonicity
        out["deciles/long_short"], out["deciles/long_short_t"] = self.deciles.spread.mean, self.deciles.spread.t
        return out | {f"top_k/{k}": v for k, v in self.portfolio.summary.items()}


def factors_of(config: Config) -> tuple[Catalogue, tuple[str, ...]]:
    """The catalogue with the config's own expressions, and the names of the factors that it asks for."""
    asked = config.features.model_dump()
    known = catalogue(config.data.asset_class).with_expressions(asked.pop("expressions"))
    return known, known.select(**asked)


def require(config: Config, store: Store) -> None:
    """Refuse at once, before anything is made: unknown factors, factors that look ahead, bars that give none."""
    known, names = factors_of(config)
    store.version(f"bars/{config.data.asset_class}")
    whole = plan(known, names, available(store, config.data.asset_class))
    if not whole.wanted:
        why = [f"{name} {reason}" for name, reason in whole.absent.items()]
        raise DataError(
            "features", "a factor must be computable from the store's bars", "none", help="; ".join(why[:3]) + "."
        )


def prepare(
    config: Config, store: Store, say: Callable[[str], None], progress: Callable[[int, int], None]
) -> AlphaData:
    """Steps 3 to 7: factors materialised and stacked, quotes read, labels made, sessions split."""
    data = config.data
    known, names = factors_of(config)
    settings = Universe(**data.universe.model_dump())
    stacked, universe, build = matrix(store, known, names, data.start, data.end, settings, say=say, progress=progress)
    notes = [
        *_warnings(store, data.asset_class),
        *known.notes(),
        *(f"{name} left out: {why}" for name, why in build.absent.items()),
    ]
    quotes = _quotes(store, data.asset_class, stacked, build.bars_version)
    benchmark = _benchmark(config, store, stacked, notes)
    delisted = _delisted(store, data.asset_class, stacked, quotes)
    labels = make_labels(
        quotes,
        universe,
        horizon=config.label.horizon,
        entry=config.label.entry,
        excess=config.label.excess,
        benchmark=None if benchmark is None else benchmark[:, 0 if config.label.entry == "next_open" else 1],
        transform=config.label.transform,
        delisted=delisted,
    )
    wanted = config.split
    split = walk_forward(
        len(stacked.sessions),
        gap=labels.gap,
        embargo=wanted.embargo,
        train=wanted.train,
        test=wanted.test,
        kind=wanted.mode,
        window=wanted.window,
        holdout=wanted.holdout,
        first=int(stacked.session[0]),
    )
    return AlphaData(stacked, universe, quotes, benchmark, delisted, labels, split, build, tuple(notes))


def walk(config: Config, data: AlphaData, fold: Fold) -> Scored:
    """Step 8: fit on the rows whose label was known before the fold's first test session, score the test sessions."""
    scorer, rows = _fit(config, data, fold.train, int(fold.test[0]))
    tested = np.isin(data.matrix.session, fold.test)
    score = np.full(len(tested), np.nan)
    score[tested] = scorer.score(data.matrix.values[tested], data.matrix.session[tested])
    return Scored(fold, scorer, data.matrix.unstack(score), rows)


def final(config: Config, data: AlphaData) -> tuple[Scorer, int]:
    """The scorer that serves: given every label that is known by the last session.

    Trees keep the last of its sessions to stop by and do not grow on them; linear models learn from all.
    """
    sessions = len(data.matrix.sessions)
    return _fit(config, data, np.arange(sessions), sessions)


def judge(config: Config, data: AlphaData, score: Float64Array) -> Judgement:
    """Step 9: the scores (T, N) of test sessions against labels, by decile, and as a portfolio net of costs."""
    horizon, least = config.label.horizon, config.evaluate.min_names
    value = data.labels.value
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
    entry = config.evaluate.entry or config.label.entry
    portfolio = simulate_topk(
        score,
        data.quotes,
        data.universe,
        horizon=horizon,
        k=config.evaluate.top_k,
        entry=entry,
        capital=config.evaluate.capital,
        benchmark=None if data.benchmark is None else data.benchmark[:, 1],
        delisted=data.delisted,
    )
    return Judgement(
        rank_ic=rank_ic,
        ic=ic,
        rank=ic_summary(rank_ic, horizon),
        pearson=ic_summary(ic, horizon),
        decay=ic_decay(score, _values_by_horizon(config, data), min_names=least),
        deciles=decile_portfolios(score, value, horizon=horizon),
        portfolio=portfolio,
    )


def fold_summary(config: Config, data: AlphaData, score: Float64Array) -> dict[str, float]:
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
        found[t] = 1 - np.isnan(data.matrix.values[starts[t] : starts[t + 1]]).mean(axis=0)
    return found


def _fit(config: Config, data: AlphaData, sessions: IntArray, first_test: int) -> tuple[Scorer, int]:
    table, labels = data.matrix, data.labels.known_before(first_test)
    rows = np.isin(table.session, sessions)
    target = table.pick(labels.target)[rows]
    settings = config.preprocess
    preprocess = Preprocess(**settings.model_dump())
    scorer = fit_scorer(
        config.model.spec(),
        preprocess,
        table.values[rows],
        table.session[rows],
        target,
        table.pick(labels.weight)[rows],
        table.columns,
        labels.gap,
        config.seed,
    )
    return scorer, int(np.isfinite(target).sum())


def _values_by_horizon(config: Config, data: AlphaData) -> dict[int, Float64Array]:
    label = config.label
    values = {label.horizon: data.labels.value}
    for horizon in _DECAY:
        if horizon not in values and horizon + 1 < len(data.matrix.sessions):
            made = make_labels(
                data.quotes, data.universe, horizon=horizon, entry=label.entry, transform="raw", delisted=data.delisted
            )
            values[horizon] = made.value
    return values


def _warnings(store: Store, asset_class: str) -> list[str]:
    """What a reader of any number must know of the data first: that they are simulated, or chosen with hindsight."""
    origin = simulation(store)
    rows = store.scan(f"bars/{asset_class}").select("order_book_id", "date").collect()
    found = survivorship(rows, store.calendar(), asset_class, store.instruments(asset_class)).warnings
    return [*([f"the market is {origin}"] if origin else []), *found]


def _quotes(store: Store, asset_class: str, stacked: Matrix, version: int) -> Panels:
    """Prices and limits of the version that the factors were computed from, whatever was ingested meanwhile."""
    columns = store.scan(f"bars/{asset_class}", version).collect_schema().names()
    names = (*_QUOTES, *(n for n in _OPTIONAL_QUOTES if n in columns))
    return store.read(asset_class, names, stacked.sessions[0], stacked.sessions[-1], version=version)


def _benchmark(config: Config, store: Store, stacked: Matrix, notes: list[str]) -> Float64Array | None:
    """Open and close of the index (T, 2); without its bars a note, unless the label cannot do without."""
    name = config.data.benchmark
    if name is None:
        return None
    if store.exists("bars/INDX"):
        panels = store.read("INDX", ("open", "close"), stacked.sessions[0], stacked.sessions[-1])
        at = np.flatnonzero(panels.assets == name)
        if len(at) and np.isfinite(panels["close"][:, at[0]]).any():
            return np.column_stack([panels["open"][:, at[0]], panels["close"][:, at[0]]])
    if config.label.excess == "benchmark":
        raise DataError(
            f"benchmark {name}",
            "its bars must be in the store",
            "none",
            help="Ingest the index, or set label.excess=universe.",
        )
    notes.append(f"benchmark {name} is not in the store: returns are judged against the universe alone")
    return None


def _delisted(store: Store, asset_class: str, stacked: Matrix, quotes: Panels) -> IntArray:
    """Row of the last trading session of assets that the reference says have left by the last session."""
    gone = np.full(len(stacked.assets), -1, dtype=np.int64)
    instruments = store.instruments(asset_class)
    if "de_listed_date" not in instruments.columns:
        return gone
    left = instruments.filter(instruments["de_listed_date"].is_not_null())
    position = {a: i for i, a in enumerate(stacked.assets)}
    for asset, day in zip(
        left["order_book_id"], left["de_listed_date"].to_numpy().astype("datetime64[D]"), strict=True
    ):
        at = position.get(asset)
        if at is not None and day <= stacked.sessions[-1]:
            rows = np.flatnonzero(np.isfinite(quotes["close"][:, at]))
            gone[at] = rows[-1] if len(rows) else -1
    return gone
