"""Batch predictions: a registered model and a session in, a score for every asset of the universe out.

The same steps as in training, by the same functions: materialise, stack, score. Nothing is asked of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from features.catalogue import catalogue
from features.matrix import factor_hashes, matrix
from features.operators import cs_rank
from features.panel import ConfigError, DataError
from features.sessions import Day, as_day, following
from features.store import Store
from training.fit import Scorer
from training.manifest import Manifest
from training.tracking import ModelRef, Tracking


@dataclass(frozen=True)
class Prediction:
    """One session's predictions and where they come from.

    frame     keys asof, effective, asset, target, horizon, run_id; values score, score_rank (in (0, 1), 1 best)
    left_out  reason -> assets of the store that have no prediction
    coverage  share of the universe's cells that the factors define
    store     whose bars were scored
    """

    model: ModelRef
    manifest: Manifest
    frame: pl.DataFrame = field(repr=False)
    left_out: Mapping[str, int]
    coverage: float
    store: Store


def predict(
    home: Path,
    store: Store | None,
    model: str,
    asof: Day | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prediction:
    """Score the universe of a session by a registered model.

    store   whose bars to score (None: the store that the model was trained on)
    model   name@alias, name/version or runs:<run id>
    asof    the session to decide on (default: the last one with bars)
    Errors  ConfigError where no such model or session is; DataError where bars are missing, or where the code
            computes a factor otherwise than when the model was trained
    """
    ref = Tracking(home).resolve(model)
    manifest = Manifest.load(ref.folder)
    store = store or Store(home / manifest.store)
    bars = f"bars/{manifest.asset_class}"
    session = _session(store, bars, asof)
    known = catalogue(manifest.asset_class).with_expressions(manifest.expressions)
    manifest.require_same_factors(factor_hashes(store, known, manifest.factors), f"model {model}")
    scorer = Scorer.load(ref.folder)
    table, universe, _ = matrix(store, known, scorer.columns, session, session, manifest.tradable, progress=progress)
    if table.columns != scorer.columns:
        lost = sorted(set(scorer.columns) - set(table.columns))
        raise DataError(f"model {model}", "its factors must be computable", f"{len(lost)} that are not", lost[0])
    score = scorer.score(table.values, table.session)
    rank = cs_rank(score[None, :], np.ones((1, len(score))))[0]
    count = len(score)
    frame = pl.DataFrame(
        {
            "asof": pl.Series([session.astype(object)] * count, dtype=pl.Date),
            "effective": pl.Series([following(store.calendar(), session).astype(object)] * count, dtype=pl.Date),
            "asset": table.assets[table.asset],
            "target": [manifest.target] * count,
            "horizon": pl.Series([manifest.horizon] * count, dtype=pl.Int64),
            "run_id": [ref.run_id] * count,
            "score": score,
            "score_rank": rank,
        }
    )
    outside = {"not in the universe": int(universe.shape[1] - universe.sum())}
    return Prediction(ref, manifest, frame, outside, float(1 - np.isnan(table.values).mean()), store)


def _session(store: Store, bars: str, asof: Day | None) -> np.datetime64:
    first, last = store.span(bars)
    if asof is None:
        return as_day(last)
    day = _day(asof)
    if not as_day(first) <= day <= as_day(last):
        raise DataError(
            f"prediction as of {day}", f"{bars} must hold that session", f"sessions from {first} to {last}",
            help="Ingest the bars of that day first: daybar ingest.",
        )  # fmt: skip
    calendar = store.calendar()
    if not calendar.contains(day):
        before, after = calendar.at_or_before(day), calendar.next_after(day)
        raise ConfigError(
            f"prediction as of {day}", "asof must be a session", "a day without trading",
            help=f"The sessions around it are {before} and {after}.",
        )  # fmt: skip
    return day


def _day(asof: Day) -> np.datetime64:
    try:
        return as_day(asof)
    except DataError as error:
        raise ConfigError(f"prediction as of {asof}", error.must, error.found) from None
