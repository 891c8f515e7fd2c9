"""Who must get a row on a session, and why some get no score, by the facts that the universe is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from features.inputs import read_inputs
from features.panel import AssetArray, BoolArray, Float64Array, Panels, SessionArray
from features.sessions import Day
from features.store import Store
from features.universe import TURNOVER_FACTOR, CodeArray, Universe, exclusions

RECENT = 250  # sessions within which an asset that the reference does not know must have had a bar


@dataclass(frozen=True)
class Listing:
    """The assets of a store on some sessions, T x N.

    listed   asset is listed by the reference and has had a bar by then; without reference: a bar in RECENT sessions
    outside  code of the first reason that keeps it out of the universe, 0 inside
    reasons  what the codes say
    """

    sessions: SessionArray
    assets: AssetArray
    listed: BoolArray = field(repr=False)
    outside: CodeArray = field(repr=False)
    reasons: tuple[str, ...]


def listing(store: Store, asset_class: str, settings: Universe, start: Day, end: Day, version: int) -> Listing:
    """Who is listed, and who is out of the universe, on the sessions from start to end.

    version  of the bars; the factors must have been built on it up to `end`
    """
    facts = read_inputs(store, asset_class, ("listed_sessions", "is_st"), start, end, version=version)
    outside = exclusions(
        facts["traded"],
        facts["listed_sessions"],
        _mean_turnover(store, asset_class, facts),
        facts.get("is_st"),
        settings,
    )
    listed = _listed(store, asset_class, facts, version)
    return Listing(facts.sessions, facts.assets, listed, outside, settings.reasons())


def _mean_turnover(store: Store, asset_class: str, facts: Panels) -> Float64Array:
    """The factor that liquidity is judged by, on the axes of the facts."""
    name = TURNOVER_FACTOR[asset_class]
    found = store.read_table(f"factors/{asset_class}", [name], facts.sessions[0], facts.sessions[-1])
    out = np.full(facts.shape, np.nan)
    shared = np.isin(found.assets, facts.assets)
    columns = np.searchsorted(facts.assets, found.assets[shared])
    out[np.ix_(np.searchsorted(facts.sessions, found.sessions), columns)] = found[name][:, shared]
    return out


def _listed(store: Store, asset_class: str, facts: Panels, version: int) -> BoolArray:
    bars = store.scan(f"bars/{asset_class}", version).select("date", "order_book_id")
    known = np.isin(facts.assets, store.instruments(asset_class)["order_book_id"].to_numpy())
    began = bars.group_by("order_book_id").agg(pl.col("date").min()).sort("order_book_id").collect()
    seen = facts.sessions[:, None] >= began["date"].to_numpy().astype("datetime64[D]")
    listed = np.asarray((facts["listed_sessions"] > 0) & seen & known)
    if not known.all():
        listed[:, ~known] = _recent(store, asset_class, facts, version)[:, ~known]
    return listed


def _recent(store: Store, asset_class: str, facts: Panels, version: int) -> BoolArray:
    """Whether the asset has had a close within RECENT sessions, the session itself included."""
    span = facts.sessions[0], facts.sessions[-1]
    quotes = store.read(asset_class, ["close"], *span, lookback=RECENT - 1, version=version)
    count = np.cumsum(np.isfinite(quotes["close"]), axis=0)
    before = np.vstack([np.zeros((RECENT, count.shape[1]), dtype=count.dtype), count])[: len(count)]
    return np.asarray((count - before)[quotes.first :] > 0)
