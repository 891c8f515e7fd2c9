"""The rows that regressions of spreads learn from: every pair of a run on every session, with what was known then.

Columns of the pair are computed from its chain (training/spread_columns.py); factors of its product come through the
store, as they do for any model: bars/Product is brought up to date, the factors are materialised and read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from features.catalogue import catalogue
from features.inputs import read_inputs
from features.matrix import factor_hashes, matrix
from features.panel import ConfigError, DataError, Float64Array, IntArray, Panels, SessionArray
from features.product_bars import refresh
from features.store import Store
from training.spread_columns import ProductFields, deviation, names, pair_columns
from training.spread_config import SpreadConfig
from training.spread_data import PairSeries, SpreadData

_ASSET_CLASS = "Product"
_FIELDS = ("open_interest", "sigma", "risk_free")


@dataclass(frozen=True)
class PooledPanel:
    """M rows of pairs, sorted by session, then pair; those without a spread or a deviation are left out.

    sessions   (S,) of the calendar, from the first session of any pair's chain to the last of the data
    session    (M,) position of each row on these
    pair, row  (M,) which pair of `pairs` it is, and which row of its series
    X          (M, K) NaN where a column is not known
    label      (M, H) spread excess return over each horizon, NaN where it is not known, or not yet
    deviation  (M,) of the pair's daily move, as known then
    factors    product factor -> hash of the definition that it was computed by
    notes      what a reader must know first: what is absent and why
    """

    sessions: SessionArray = field(repr=False)
    pairs: tuple[str, ...]
    session: IntArray = field(repr=False)
    pair: IntArray = field(repr=False)
    row: IntArray = field(repr=False)
    columns: tuple[str, ...]
    X: Float64Array = field(repr=False)
    label: Float64Array = field(repr=False)
    deviation: Float64Array = field(repr=False)
    horizons: tuple[int, ...]
    factors: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.session)

    def of(self, pair: str) -> IntArray:
        """The rows of a pair, oldest first."""
        return np.flatnonzero(self.pair == self.pairs.index(pair))


def pooled_panel(
    config: SpreadConfig,
    store: Store,
    data: SpreadData,
    say: Callable[[str], None] = lambda line: None,
    columns: Sequence[str] | None = None,
) -> PooledPanel:
    """The rows of all pairs of the data, their columns out of the store.

    columns  of a model that was trained before, in its order; None: those of the config that there are
    Errors   ConfigError for a column or a factor that nobody knows; DataError where a model's factor is absent
    """
    refresh(store, say)
    own = names(config.pairs.kind)
    for name in config.pool.columns or ():
        if name not in own:
            raise ConfigError("pool.columns", f"it must name columns of a pair: {', '.join(own)}", name)
    known = catalogue(_ASSET_CLASS)
    told = config.pool.factors if columns is None else tuple(c for c in columns if c not in own)
    for name in told:
        known.require(name)
    factors, absent = _factors(store, data, told, say)
    if columns is None:
        columns = (*(config.pool.columns or own), *(name for name in told if name not in absent))
    elif absent:
        found = "; ".join(f"{name} {why}" for name, why in absent.items())
        raise DataError("regressions of spreads", "the store must have the factors they were trained on", found)
    fields = read_inputs(store, _ASSET_CLASS, _FIELDS, *_span(data))
    parts = [
        _rows(config, series, _on_sessions(fields, series.product, series.pair.sessions), factors, columns)
        for series in _pairs(data).values()
    ]
    notes = tuple(f"factor {name} is absent: {why}" for name, why in absent.items())
    return stacked(data, config.label.horizons, tuple(columns), parts, factor_hashes(store, known, columns), notes)


@dataclass(frozen=True)
class PairRows:
    """What one pair brings: rows of its series (m,), columns (m, K), labels (m, H), deviations (m,)."""

    row: IntArray = field(repr=False)
    X: Float64Array = field(repr=False)
    label: Float64Array = field(repr=False)
    deviation: Float64Array = field(repr=False)


def stacked(
    data: SpreadData,
    horizons: tuple[int, ...],
    columns: tuple[str, ...],
    parts: Sequence[PairRows],
    factors: Mapping[str, str],
    notes: tuple[str, ...],
) -> PooledPanel:
    """The rows of all pairs, one under the other, sorted by session, then pair."""
    days = data.calendar.between(*_span(data))
    each = [days.searchsorted(s.sessions[p.row]) for s, p in zip(_pairs(data).values(), parts, strict=True)]
    session = np.concatenate(each).astype(np.int64)
    pair = np.repeat(np.arange(len(parts)), [len(one.row) for one in parts])
    order = np.lexsort((pair, session))

    def whole(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.concatenate([getattr(one, name) for one in parts])[order]

    return PooledPanel(
        days,
        tuple(_pairs(data)),
        session[order],
        pair[order],
        whole("row").astype(np.int64),
        columns,
        whole("X"),
        whole("label"),
        whole("deviation"),
        horizons,
        factors,
        notes,
    )


def _pairs(data: SpreadData) -> dict[str, PairSeries]:
    """The pairs that are held one for one."""
    return {name: one for name, one in data.series.items() if isinstance(one, PairSeries)}


def _span(data: SpreadData) -> tuple[np.datetime64, np.datetime64]:
    """First session of any chain, and the last one of the data."""
    return min(one.pair.sessions[0] for one in _pairs(data).values()), data.last


def _factors(
    store: Store, data: SpreadData, names: Sequence[str], say: Callable[[str], None]
) -> tuple[Panels | None, dict[str, str]]:
    """The factors that the store's fields give, (T, N) by product; and why others are absent."""
    if not names:
        return None, {}
    start, end = _span(data)
    table, keep, report = matrix(store, catalogue(_ASSET_CLASS), names, start, end, say=say)
    panels = {}
    for k, name in enumerate(table.columns):
        panels[name] = np.full(keep.shape, np.nan)
        panels[name][table.session, table.asset] = table.values[:, k]
    return Panels(table.sessions, table.assets, panels), report.absent


def _on_sessions(panels: Panels | None, product: str, sessions: SessionArray) -> dict[str, Float64Array]:
    """Panels of a product on other sessions, (T,) each; NaN where the panels have none of these."""
    if panels is None:
        return {}
    at = panels.sessions.searchsorted(sessions)
    inside = np.minimum(at, len(panels.sessions) - 1)
    there = (panels.sessions[inside] == sessions) & (product in panels.assets)
    asset = int(np.minimum(panels.assets.searchsorted(product), len(panels.assets) - 1))
    return {name: np.where(there, panels[name][inside, asset], np.nan) for name in panels.values}


def _rows(
    config: SpreadConfig,
    series: PairSeries,
    fields: Mapping[str, Float64Array],
    factors: Panels | None,
    columns: Sequence[str],
) -> PairRows:
    """The rows of a pair that have a spread and a deviation of it."""
    pair = series.pair
    told = pair_columns(pair, ProductFields(**{name: fields[name] for name in _FIELDS}))
    told |= _on_sessions(factors, series.product, pair.sessions)
    risk = deviation(pair)
    row = np.flatnonzero((np.isfinite(pair.spread) & np.isfinite(risk))[series.row])
    at = series.row[row]
    X = np.column_stack([told[name][at] for name in columns])
    label = np.column_stack([series.excess(h)[row] for h in config.label.horizons])
    return PairRows(row, np.where(np.isfinite(X), X, np.nan), label, risk[at])
