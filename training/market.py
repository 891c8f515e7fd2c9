"""What a stock task stands on: the matrix, and on its axes the universe, quotes, benchmark, industries and labels.

Training gathers the span of its config, serving the sessions that a prediction leans on; both through `gather`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from features.catalogue import Catalogue, catalogue
from features.check import simulation, survivorship
from features.inputs import available, read_inputs
from features.materialise import BuildReport
from features.matrix import matrix
from features.operators import cs_mean, ts_std
from features.panel import BoolArray, ConfigError, DataError, Float64Array, IntArray, Matrix, Panels
from features.plan import plan
from features.scratch import IN_MEMORY, Scratch
from features.sessions import Day
from features.store import Store
from features.universe import Universe
from training.alpha_config import AlphaConfig, Label
from training.fills import adjusting
from training.labels import Labels, make_labels

_QUOTES = ("open", "high", "low", "close", "prev_close", "volume", "total_turnover")
_OPTIONAL_QUOTES = ("limit_up", "limit_down", "suspended")
_SIGMA_WINDOW = 60


@dataclass(frozen=True)
class Market:
    """All on the axes of the matrix: T sessions, N assets, M rows of the universe.

    benchmark  (T, 2) open and close of the index, None without one
    industry   (1, N) codes, None unless the label needs them
    delisted   (N,) row of the last trading session, -1 while listed
    sigma      (T, N) standard deviation of the excess return over the label's horizon, from the 60 sessions up to t
    """

    matrix: Matrix
    universe: BoolArray = field(repr=False)
    quotes: Panels = field(repr=False)
    benchmark: Float64Array | None = field(repr=False)
    industry: Float64Array | None = field(repr=False)
    delisted: IntArray = field(repr=False)
    sigma: Float64Array = field(repr=False)
    labels: Labels = field(repr=False)
    build: BuildReport
    notes: tuple[str, ...]


def factors_of(config: AlphaConfig) -> tuple[Catalogue, tuple[str, ...]]:
    """The catalogue with the config's own expressions, and the names of the factors that it asks for."""
    asked = config.features.model_dump()
    known = catalogue(config.data.asset_class).with_expressions(asked.pop("expressions"))
    return known, known.select(**asked)


def gather(
    config: AlphaConfig,
    store: Store,
    start: Day | None,
    end: Day | None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    scratch: Scratch = IN_MEMORY,
) -> Market:
    """Factors materialised and stacked, quotes read, labels made, on the sessions from start to end.

    scratch  how large the matrix may be in memory, and where a larger one lies
    """
    data = config.data
    known, names = factors_of(config)
    settings = Universe(**data.universe.model_dump())
    stacked, universe, build = matrix(
        store, known, names, start, end, settings, scratch=scratch, say=say, progress=progress
    )
    notes = [
        *known.notes(),
        *(f"{name} left out: {why}" for name, why in build.absent.items()),
    ]
    whole = _quotes(store, data.asset_class, stacked, build.bars_version)
    quotes = whole.rows(whole.first, len(whole.sessions))
    benchmark = _benchmark(config, store, stacked, notes)
    industry = _industry(config, store, stacked, build.bars_version)
    delisted = _delisted(store, data.asset_class, stacked, quotes)
    return Market(
        matrix=stacked,
        universe=universe,
        quotes=quotes,
        benchmark=benchmark,
        industry=industry,
        delisted=delisted,
        sigma=_sigma(whole)[whole.first :] * np.sqrt(config.label.horizon),
        labels=_labels(config.label, quotes, universe, benchmark, industry, delisted),
        build=build,
        notes=tuple(notes),
    )


def labels_of(config: AlphaConfig, market: Market, horizon: int) -> Labels:
    """The labels of the config, but of another horizon: for a study of decay."""
    label = config.label.model_copy(update={"horizon": horizon})
    return _labels(label, market.quotes, market.universe, market.benchmark, market.industry, market.delisted)


def _labels(
    label: Label,
    quotes: Panels,
    universe: BoolArray,
    benchmark: Float64Array | None,
    industry: Float64Array | None,
    delisted: IntArray,
) -> Labels:
    # An index has no volume-weighted price: its close stands in.
    column = 0 if label.entry == "next_open" else 1
    return make_labels(
        quotes,
        universe,
        horizon=label.horizon,
        entry=label.entry,
        excess=label.excess,
        benchmark=None if benchmark is None else benchmark[:, column],
        benchmark_close=None if benchmark is None else benchmark[:, 1],
        industry=industry,
        transform=label.transform,
        half_life=label.half_life,
        delisted=delisted,
        delist_haircut=label.delist_haircut,
        max_exit_delay=label.max_exit_delay,
    )


def require(config: AlphaConfig, store: Store) -> None:
    """Refuse at once, before anything is made: unknown factors, factors that look ahead, bars that give none."""
    known, names = factors_of(config)
    asset_class = config.data.asset_class
    store.version(f"bars/{asset_class}")
    readable = available(store, asset_class)
    whole = plan(known, names, readable)
    if not whole.wanted:
        why = [f"{name} {reason}" for name, reason in whole.absent.items()]
        raise DataError(
            "features", "a factor must be computable from the store's bars", "none", help="; ".join(why[:3]) + "."
        )
    if config.label.excess == "industry" and "industry" not in readable:
        raise ConfigError(
            "label.excess",
            "an excess over the industry needs the column industry in the reference's instruments",
            "none in this store",
            help="Ingest instruments with industry, or set label.excess=universe.",
        )


def warnings(store: Store, asset_class: str) -> list[str]:
    """What a reader of any number must know of the data first: that they are simulated, or chosen with hindsight."""
    origin = simulation(store)
    rows = store.scan(f"bars/{asset_class}").select("order_book_id", "date").collect()
    found = survivorship(rows, store.calendar(), asset_class, store.instruments(asset_class)).warnings
    return [*([f"the market is {origin}"] if origin else []), *found]


def _quotes(store: Store, asset_class: str, stacked: Matrix, version: int) -> Panels:
    """Prices and limits of the version that the factors were computed from, whatever was ingested meanwhile."""
    columns = store.scan(f"bars/{asset_class}", version).collect_schema().names()
    names = (*_QUOTES, *(n for n in _OPTIONAL_QUOTES if n in columns))
    span = stacked.sessions[0], stacked.sessions[-1]
    return store.read(asset_class, names, *span, lookback=_SIGMA_WINDOW, version=version)


def _sigma(quotes: Panels) -> Float64Array:
    """Standard deviation a session of daily log returns in excess of their mean over the assets, (T, N); never 0."""
    log_price = np.log(quotes["close"] * adjusting(quotes))
    daily = np.full(quotes.shape, np.nan)
    daily[1:] = log_price[1:] - log_price[:-1]
    found = ts_std(daily - cs_mean(daily, np.isfinite(daily)), _SIGMA_WINDOW)
    return np.where(found > 0, found, np.nan)


def _industry(config: AlphaConfig, store: Store, stacked: Matrix, version: int) -> Float64Array | None:
    asset_class = config.data.asset_class
    if config.label.excess != "industry":
        return None
    facts = read_inputs(store, asset_class, ("industry",), stacked.sessions[0], stacked.sessions[-1], version=version)
    return np.broadcast_to(facts["industry"], facts.shape)


def _benchmark(config: AlphaConfig, store: Store, stacked: Matrix, notes: list[str]) -> Float64Array | None:
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
