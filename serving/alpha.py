"""Scores of a registered alpha model: a row for every listed asset, with a score or a reason.

The same steps as in training, by the same functions: materialise, stack, score. Labels are asked for nothing but what
became of earlier scores, which sets mu_hat and the band; the scores themselves need none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import numpy as np
import polars as pl

from features.catalogue import Catalogue, catalogue
from features.matrix import factor_hashes, matrix
from features.operators import cs_rank
from features.panel import DataError, Float64Array, Matrix
from features.sessions import following
from features.store import Store
from serving.listing import Listing, listing
from serving.prediction import ALPHA, OUTLOOK, Prediction, Span
from training.band import BAND, Band
from training.fit import Scorer
from training.manifest import Manifest
from training.market import gather
from training.tracking import ModelRef
from training.uncertainty import Record, carry_on, history

UNDEFINED = "no factor of the model is defined"


@dataclass(frozen=True)
class ServedAlpha:
    """A scorer that is ready to score a store."""

    ref: ModelRef
    manifest: Manifest
    scorer: Scorer = field(repr=False)
    store: Store
    known: Catalogue = field(repr=False)

    @classmethod
    def load(cls, ref: ModelRef, manifest: Manifest, store: Store, model: str) -> Self:
        """The scorer; refused where the code computes a factor otherwise than when it was trained."""
        known = catalogue(manifest.asset_class).with_expressions(manifest.expressions)
        manifest.require_same_factors(factor_hashes(store, known, manifest.factors), f"model {model}")
        return cls(ref, manifest, Scorer.load(ref.folder), store, known)

    def between(
        self,
        start: np.datetime64,
        end: np.datetime64,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Span:
        """Scores of each session, made of its rows alone."""
        return _score(self, start, end, progress)


def uncertain(served: ServedAlpha, table: Matrix, score: Float64Array) -> dict[str, Float64Array]:
    """What the scores promise, by name of OUTLOOK: (M,) on the rows of the matrix, NaN where it is not known.

    What came of the scores since the fit counts, so that the sessions since then are scored as well.
    """
    config, folder = served.manifest.alpha, served.ref.folder
    kept = Record.load(folder)
    band = Band.load(folder / BAND) if (folder / BAND).is_dir() else None
    since = history(config, kept, served.store.calendar(), table.sessions[0])
    market = gather(config, served.store, since, table.sessions[-1])
    first = int(np.searchsorted(market.matrix.sessions, table.sessions[0]))
    rows = market.matrix
    asked = market.matrix.session >= first
    fresh = rows.sessions[rows.session] > np.datetime64(kept.trained_to, "D")
    scored = np.full(len(rows.session), np.nan)
    scored[fresh] = served.scorer.score(rows.values[fresh], rows.session[fresh])
    scored[asked] = score
    found = carry_on(config, kept, market, rows.unstack(scored), band, first)
    told = {"mu_hat": found.mu, "sigma_hat": market.sigma, "lo": found.lo, "hi": found.hi}
    # Windows that begin elsewhere round otherwise: to seven digits a session is the same alone and in a range.
    return {name: rows.pick(told[name])[asked].astype(np.float32).astype(np.float64) for name in OUTLOOK}


def _score(served: ServedAlpha, start: np.datetime64, end: np.datetime64, progress: Callable[[int, int], None]) -> Span:
    """One pass over the matrix of all sessions; the scores of each are made of its rows alone."""
    store, manifest, scorer = served.store, served.manifest, served.scorer
    table, universe, built = matrix(
        store, served.known, scorer.columns, start, end, manifest.tradable, progress=progress
    )
    if table.columns != scorer.columns:
        lost = sorted(set(scorer.columns) - set(table.columns))
        must, found = "its factors must be computable", f"{len(lost)} that are not"
        raise DataError(f"model {served.ref.name or served.ref.run_id}", must, found, lost[0])
    there = listing(store, manifest.asset_class, manifest.tradable, start, end, built.bars_version)
    if not np.array_equal(there.outside == 0, universe):
        raise DataError("prediction", "the store must not change while it is read", "another universe", help="Again.")
    starts = np.searchsorted(table.session, np.arange(len(table.sessions) + 1))
    parts = [slice(int(a), int(b)) for a, b in pairwise(starts)]
    score = np.full(len(table.session), np.nan)
    defined = np.zeros(len(table.session), dtype=bool)
    cells = np.zeros(len(parts))
    for t, rows in enumerate(parts):
        if rows.stop > rows.start:
            values = table.values[rows]
            score[rows] = scorer.score(values, table.session[rows])
            told = np.isfinite(values)
            defined[rows], cells[t] = told.any(axis=1), told.mean()
    # What the model makes of an asset of which nothing is known is not a prediction.
    score[~defined] = np.nan
    outlook = {name: np.where(defined, value, np.nan) for name, value in uncertain(served, table, score).items()}
    predictions = [
        _prediction(served, there, t, table.asset[rows], {"score": score[rows], **_part(outlook, rows)}, cells[t])
        for t, rows in enumerate(parts)
        if rows.stop > rows.start
    ]
    empty = tuple(table.sessions[t] for t, rows in enumerate(parts) if rows.stop == rows.start)
    return Span(tuple(predictions), empty)


def _part(columns: Mapping[str, Float64Array], rows: slice) -> dict[str, Float64Array]:
    return {name: column[rows] for name, column in columns.items()}


def _prediction(
    served: ServedAlpha,
    there: Listing,
    t: int,
    asset: np.ndarray,
    columns: Mapping[str, Float64Array],
    coverage: float,
) -> Prediction:
    """The frame of a session: its values laid out on the listed assets, and the reasons of those that have none."""
    manifest, ref = served.manifest, served.ref
    inside = np.zeros(len(there.assets), dtype=bool)
    inside[asset] = True
    shown = np.flatnonzero(there.listed[t] | inside)
    whole = {name: np.full(len(there.assets), np.nan) for name in ALPHA.values}
    for name, column in columns.items():
        whole[name][asset] = column
    whole["score_rank"] = cs_rank(whole["score"][None, :], np.isfinite(whole["score"])[None, :])[0]
    codes = there.outside[t][shown]
    reason = [there.reasons[code] if code else UNDEFINED for code in codes]
    count, session = len(shown), there.sessions[t]
    after = following(served.store.calendar(), session)
    frame = pl.DataFrame(
        {
            "asof": pl.Series([session.astype(object)] * count, dtype=pl.Date),
            "effective": pl.Series([after.astype(object)] * count, dtype=pl.Date),
            "asset": there.assets[shown],
            "target": [manifest.target] * count,
            "horizon": pl.Series([manifest.horizon] * count, dtype=pl.Int64),
            "run_id": [ref.run_id] * count,
            **{name: pl.Series(whole[name][shown], nan_to_null=True) for name in ALPHA.values},
        }
    )
    told = pl.when(pl.col("score").is_null()).then(pl.Series(reason, dtype=pl.String))
    frame = frame.with_columns(reason=told)
    counts = frame["reason"].drop_nulls().value_counts(sort=True).rows()
    return Prediction(ref, manifest, frame, dict(counts), float(coverage), served.store)
