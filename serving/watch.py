"""Is a model still what was registered: drift of its factors and scores, coverage, and its RankIC as labels arrive.

The reference are the sessions that it was trained on, the present is the last `window` sessions. Factors are compared
by their raw values, since ranks within a session look the same whatever happens; many that measure the market's own
state (volatility, turnover) move with it, so a factor alone raises no more than a yellow flag.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from features.panel import BoolArray, DataError, Float64Array, IntArray, Matrix, SessionArray
from features.scratch import Scratch
from features.store import Store
from serving.alpha import ServedAlpha
from serving.drift import ANOTHER, SHIFTED, Decay, bin_counts, decay, decile_edges, psi
from serving.flags import Colour, Flag
from serving.predict import load_served
from serving.prediction import ALPHA, require_task
from serving.sink import stored
from serving.watch_volatility import VolatilityWatch, watch_volatility
from training.evaluate.ic import daily_ic
from training.market import Market, gather
from training.records import RunRecord
from training.tracking import ModelRef, Tracking

_REFERENCE_ROWS: Final = 250_000  # that deciles are taken from: sessions are left out evenly beyond
_MEMORY: Final = 4e9  # bytes that the matrix may take; a larger one lies in a file
_LOST: Final = 0.2  # share of a factor's values that must be missing more than then, to be red
_BAND: Final = 0.03  # distance of an interval's coverage from its target that is accepted (spec 09 §5)
_CROWD: Final = 0.25  # change of the universe's size that is yellow; twice that is red where names are lost
_LEAST: Final = 20  # sessions that a verdict on coverage needs


@dataclass(frozen=True)
class Watch:
    """What a model meets now against what it was trained on.

    present, reference  sessions that are compared
    factors        a row a factor: psi, and the share of missing values then and now; the largest psi first
    score_psi      of the scores; those of the training are in sample, which makes them a little wider
    names          median size of the universe, then and now
    live           sessions since the training whose labels it cannot have learnt from, (L,); decay is judged on them
    rank_ic        (L,) NaN where no label is known yet
    recomputed     how many of the live sessions had no stored prediction and were scored now
    covered        share of outcomes inside the stored intervals of the window, NaN without; `target` what is promised
    """

    model: ModelRef
    present: SessionArray = field(repr=False)
    reference: SessionArray = field(repr=False)
    factors: pl.DataFrame = field(repr=False)
    score_psi: float
    names: tuple[float, float]
    live: SessionArray = field(repr=False)
    rank_ic: Float64Array = field(repr=False)
    decay: Decay
    recomputed: int
    covered: float
    target: float
    flags: tuple[Flag, ...]

    @property
    def red(self) -> bool:
        """Whether anything is red."""
        return any(flag.colour == "red" for flag in self.flags)

    def metrics(self) -> dict[str, float]:
        """The numbers by name, those that are known."""
        found = {
            "psi/score": self.score_psi,
            "psi/factors_shifted": float((self.factors["psi"] >= ANOTHER).sum()),
            "psi/factors_median": float(self.factors["psi"].drop_nans().median() or 0.0),  # type: ignore[arg-type]
            "universe/then": self.names[0],
            "universe/now": self.names[1],
            "rank_ic/live": self.decay.mean,
            "rank_ic/live_sessions": float(self.decay.n),
            "rank_ic/promised": self.decay.promised,
            "rank_ic/cusum": self.decay.cusum,
            "intervals/covered": self.covered,
            "flags/red": float(sum(flag.colour == "red" for flag in self.flags)),
            "flags/yellow": float(sum(flag.colour == "yellow" for flag in self.flags)),
        }
        return {name: value for name, value in found.items() if math.isfinite(value)}


def watch(
    home: Path,
    store: Store | None,
    model: str,
    window: int = 60,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Watch | VolatilityWatch:
    """Watch a registered model on the last `window` sessions of a store, and log what was seen to experiment "watch".

    store   as in `predict`
    Errors  as `predict`; DataError where the training has no sessions before the window
    """
    served = load_served(home, store, model)
    tracking = Tracking(home)
    require_task(served.manifest, ("alpha", "volatility"), "watch")
    if not isinstance(served, ServedAlpha):
        return watch_volatility(served, tracking, model, window, progress)
    record = tracking.record(served.ref.run_id)
    config = served.manifest.alpha
    scratch = Scratch(_MEMORY, home / "scratch")
    market = gather(config, served.store, config.data.start, None, progress=progress, scratch=scratch)
    found = _watch(served, record, market, window)
    with tracking.start("watch", model, {"watched_run": served.ref.run_id, "model": model}) as run:
        run.params({"window": window, "last_session": str(found.present[-1]), "reference": _span(found.reference)})
        run.metrics(found.metrics())
        run.series("by_session/rank_ic", found.live, found.rank_ic)
        run.series("by_session/rank_ic_rolling", found.live, found.decay.rolling)
        run.frame("factors.json", found.factors)
        run.json("flags.json", [vars(flag) for flag in found.flags])
    return found


def _watch(served: ServedAlpha, record: RunRecord, market: Market, window: int) -> Watch:
    config, table, days, labels = served.manifest.alpha, market.matrix, market.matrix.sessions, market.labels
    first = max(len(days) - window, 0)
    trained = int(np.searchsorted(days, np.datetime64(served.manifest.trained[1]), side="right"))
    reference = np.unique(table.session[: np.searchsorted(table.session, min(trained, first))])
    if not len(reference):
        raise DataError(
            f"watch of {served.ref.name or served.ref.run_id}",
            "the training must have sessions before the window",
            f"none before {days[first]}",
            help="Give a shorter --window.",
        )
    sample = reference[:: math.ceil(np.searchsorted(table.session, reference[-1] + 1) / _REFERENCE_ROWS)]
    then = np.concatenate([_values_scored(served, table, t)[1] for t in sample])
    begin = min(trained + labels.gap, len(days))
    now, stale = _scores_now(served, table, min(begin, first))
    rank_ic = daily_ic(now[begin:], labels.value[begin:], min_names=config.evaluate.min_names)
    promised = [record.metrics.get(f"rank_ic/{name}", math.nan) for name in ("mean", "std", "nw_t")]
    edges, counts = decile_edges(then), market.universe.sum(axis=1)
    found = Watch(
        model=served.ref,
        present=days[first:],
        reference=days[reference],
        factors=_factor_drift(served.scorer.columns, table, sample, first),
        score_psi=psi(bin_counts(then, edges), bin_counts(now[first:], edges)),
        names=(float(np.median(counts[reference])), float(np.median(counts[first:]))),
        live=days[begin:],
        rank_ic=rank_ic,
        decay=decay(rank_ic, window, config.label.horizon, *promised),
        recomputed=int(stale[begin:].sum()),
        covered=_covered(served, market, first),
        target=config.intervals.coverage if config.intervals else math.nan,
        flags=(),
    )
    return replace(found, flags=tuple(_flags(found)))


def _flags(seen: Watch) -> Iterator[Flag]:
    """What is out of its bounds, the worst first."""
    if seen.decay.told and seen.decay.mean < seen.decay.lo:
        told = f"{seen.decay.mean:+.4f} over {seen.decay.n} sessions, below {seen.decay.lo:+.4f}"
        yield Flag("red", "RankIC", f"{told}, the band of the walk-forward's {seen.decay.promised:+.4f}")
    if seen.decay.alarm >= 0:
        yield Flag("red", "RankIC", f"its CUSUM passed the alarm on {seen.live[seen.decay.alarm]}")
    lost = seen.factors.filter(pl.col("missing_now") - pl.col("missing_then") > _LOST)
    if len(lost):
        yield Flag("red", "coverage", f"much more is missing than in the training: {_listed(lost)}")
    if seen.score_psi >= SHIFTED:
        colour: Colour = "red" if seen.score_psi >= ANOTHER else "yellow"
        yield Flag(colour, "score", f"PSI {seen.score_psi:.2f} against the sessions of the training")
    change = seen.names[1] / seen.names[0] - 1
    if abs(change) > _CROWD:
        told = f"{seen.names[1]:,.0f} names a session, {seen.names[0]:,.0f} in the training"
        yield Flag("red" if change < -2 * _CROWD else "yellow", "universe", told)
    if abs(seen.covered - seen.target) > _BAND:
        told = f"the intervals held {seen.covered:.1%} of the outcomes, {seen.target:.0%} were promised"
        yield Flag("red", "intervals", told)
    shifted = seen.factors.filter(pl.col("psi") >= ANOTHER)
    if len(shifted):
        yield Flag("yellow", "factors", f"a PSI of {ANOTHER} or more: {_listed(shifted)}")


def _listed(factors: pl.DataFrame) -> str:
    names = factors["factor"].to_list()
    return f"{len(names)} of them, " + ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _rows(table: Matrix, t: int) -> slice:
    """The rows of a session."""
    return slice(*(int(row) for row in np.searchsorted(table.session, [t, t + 1])))


def _values_scored(served: ServedAlpha, table: Matrix, t: int) -> tuple[slice, Float64Array]:
    rows = _rows(table, t)
    return rows, served.scorer.score(table.values[rows], table.session[rows])


def _scores_now(served: ServedAlpha, table: Matrix, begin: int) -> tuple[Float64Array, BoolArray]:
    """Scores (T, N) of the sessions from row `begin` on, as they were given or else as they are made now; which are."""
    days, score = table.sessions, np.full((len(table.sessions), len(table.assets)), np.nan)
    fresh = np.zeros(len(days), dtype=np.bool_)
    if begin < len(days):
        given = _given(served, days[begin]).drop_nulls("score").filter(pl.col("asset").is_in(table.assets))
        at = np.searchsorted(days, given["asof"].to_numpy().astype("datetime64[D]"))
        score[at, np.searchsorted(table.assets, given["asset"].to_numpy())] = given["score"].to_numpy()
    for t in range(begin, len(days)):
        if not np.isfinite(score[t]).any() and _rows(table, t).stop > _rows(table, t).start:
            rows, values = _values_scored(served, table, t)
            score[t, table.asset[rows]], fresh[t] = values, True
    return score, fresh


def _given(served: ServedAlpha, first: np.datetime64) -> pl.DataFrame:
    rows = stored(served.store, ALPHA, served.ref.run_id)
    return rows.filter(pl.col("asof") >= first.astype(object)).collect()


def _factor_drift(columns: tuple[str, ...], table: Matrix, sample: IntArray, first: int) -> pl.DataFrame:
    """PSI and missing values of each factor: rows of the sampled sessions against those from row `first` on."""
    then = np.concatenate([table.values[_rows(table, t)] for t in sample])
    now = table.values[int(np.searchsorted(table.session, first)) :]
    found = []
    for k, name in enumerate(columns):
        edges = decile_edges(then[:, k])
        index = psi(bin_counts(then[:, k], edges), bin_counts(now[:, k], edges))
        missing = [float(np.isnan(part[:, k]).mean()) if len(part) else math.nan for part in (then, now)]
        found.append((name, index, *missing))
    schema = {"factor": pl.String, **dict.fromkeys(("psi", "missing_then", "missing_now"), pl.Float64)}
    return pl.DataFrame(found, schema, orient="row").sort(
        pl.col("psi").fill_nan(-1.0), "factor", descending=[True, False]
    )


def _covered(served: ServedAlpha, market: Market, first: int) -> float:
    """Share of the known outcomes since row `first` that lie inside their stored intervals; NaN of too few sessions."""
    days, assets = market.matrix.sessions, market.matrix.assets
    given = _given(served, days[first]).drop_nulls(["lo", "hi"]).filter(pl.col("asset").is_in(assets))
    at = np.searchsorted(days, given["asof"].to_numpy().astype("datetime64[D]"))
    value = market.labels.value[at, np.searchsorted(assets, given["asset"].to_numpy())]
    known = np.isfinite(value)
    if len(np.unique(at[known])) < _LEAST:
        return math.nan
    inside = (given["lo"].to_numpy() <= value) & (value <= given["hi"].to_numpy())
    return float(inside[known].mean())


def _span(sessions: SessionArray) -> str:
    return f"{sessions[0]} to {sessions[-1]}"
