"""Batch predictions: a registered model and sessions in, a row for every listed asset out, with a score or a reason.

The same steps as in training, by the same functions: materialise, stack, score. Labels are asked for nothing but what
became of earlier scores, which sets mu_hat and the band; the scores themselves need none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from features.catalogue import Catalogue, catalogue
from features.matrix import factor_hashes, matrix
from features.operators import cs_rank
from features.panel import ConfigError, DataError, Float64Array, Matrix
from features.sessions import Day, as_day, following
from features.store import Store
from serving.listing import Listing, listing
from training.band import BAND, Band
from training.fit import Scorer
from training.manifest import Manifest
from training.market import gather
from training.tracking import ModelRef, Tracking
from training.uncertainty import Record, carry_on, history

KEYS = ("asof", "effective", "asset", "target", "horizon", "run_id")
OUTLOOK = ("mu_hat", "sigma_hat", "lo", "hi")
VALUES = ("score", "score_rank", *OUTLOOK)
UNDEFINED = "no factor of the model is defined"


@dataclass(frozen=True)
class Prediction:
    """One session's predictions and where they come from.

    frame     keys KEYS; values VALUES (score_rank in (0, 1), 1 best); reason: why a row has no score, null where it has
    left_out  reason -> assets that have a row without a score
    coverage  share of the universe's cells that the factors define
    store     whose bars were scored
    """

    model: ModelRef
    manifest: Manifest
    frame: pl.DataFrame = field(repr=False)
    left_out: Mapping[str, int]
    coverage: float
    store: Store

    @property
    def scored(self) -> pl.DataFrame:
        """The rows that have a score."""
        return self.frame.filter(pl.col("score").is_not_null())


@dataclass(frozen=True)
class Span:
    """The predictions of a range, session by session, and the sessions on which nobody was in the universe."""

    predictions: tuple[Prediction, ...]
    empty: tuple[np.datetime64, ...]


@dataclass(frozen=True)
class Served:
    """A model that is ready to score a store."""

    ref: ModelRef
    manifest: Manifest
    scorer: Scorer = field(repr=False)
    store: Store
    known: Catalogue = field(repr=False)

    @property
    def bars(self) -> str:
        """The table that it scores."""
        return f"bars/{self.manifest.asset_class}"


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
    served = load_served(home, store, model)
    return predict_served(served, asof_session(served, asof), progress)


def predict_served(
    served: Served, session: np.datetime64, progress: Callable[[int, int], None] = lambda done, total: None
) -> Prediction:
    """Score the universe of one session."""
    return _score(served, session, session, progress).predictions[0]


def predict_range(
    home: Path,
    store: Store | None,
    model: str,
    start: Day,
    end: Day,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Span:
    """Score the universe of each session from start to end; each is what `predict` gives for that session alone.

    Errors  as `predict`; ConfigError where the range ends before it starts or holds no session
    """
    served = load_served(home, store, model)
    first, last = _day(start), _day(end)
    who = f"predictions from {first} to {last}"
    if first > last:
        raise ConfigError(who, "a range must not end before it starts", f"{first} after {last}", help="Swap them.")
    for day in (first, last):
        _require_bars(served, day, who)
    if not len(served.store.calendar().between(first, last)):
        raise ConfigError(who, "a range must hold a session", "days without trading alone", help="Widen it.")
    return _score(served, first, last, progress)


def load_served(home: Path, store: Store | None, model: str) -> Served:
    """The model that the text means, with its store; refused where the code computes a factor otherwise than then."""
    ref = Tracking(home).resolve(model)
    manifest = Manifest.load(ref.folder)
    there = store or Store(home / manifest.store)
    there.version(f"bars/{manifest.asset_class}")
    known = catalogue(manifest.asset_class).with_expressions(manifest.expressions)
    manifest.require_same_factors(factor_hashes(there, known, manifest.factors), f"model {model}")
    return Served(ref, manifest, Scorer.load(ref.folder), there, known)


def uncertain(served: Served, table: Matrix, score: Float64Array) -> dict[str, Float64Array]:
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


def _score(served: Served, start: np.datetime64, end: np.datetime64, progress: Callable[[int, int], None]) -> Span:
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
    served: Served,
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
    whole = {name: np.full(len(there.assets), np.nan) for name in VALUES}
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
            **{name: pl.Series(whole[name][shown], nan_to_null=True) for name in VALUES},
        }
    )
    told = pl.when(pl.col("score").is_null()).then(pl.Series(reason, dtype=pl.String))
    frame = frame.with_columns(reason=told)
    counts = frame["reason"].drop_nulls().value_counts(sort=True).rows()
    return Prediction(ref, manifest, frame, dict(counts), float(coverage), served.store)


def asof_session(served: Served, asof: Day | None) -> np.datetime64:
    """The session that is asked for, the last one with bars where none is; refused where it is none or has no bars."""
    if asof is None:
        return as_day(served.store.span(served.bars)[1])
    day, calendar = _day(asof), served.store.calendar()
    _require_bars(served, day, f"prediction as of {day}")
    if not calendar.contains(day):
        before, after = calendar.at_or_before(day), calendar.next_after(day)
        raise ConfigError(
            f"prediction as of {day}", "asof must be a session", "a day without trading",
            help=f"The sessions around it are {before} and {after}.",
        )  # fmt: skip
    return day


def _require_bars(served: Served, day: np.datetime64, who: str) -> None:
    first, last = served.store.span(served.bars)
    if not as_day(first) <= day <= as_day(last):
        raise DataError(
            who, f"{served.bars} must hold that session", f"sessions from {first} to {last}",
            help="Ingest the bars of that day first: daybar ingest.",
        )  # fmt: skip


def _day(asof: Day) -> np.datetime64:
    try:
        return as_day(asof)
    except DataError as error:
        raise ConfigError(f"prediction as of {asof}", error.must, error.found) from None
