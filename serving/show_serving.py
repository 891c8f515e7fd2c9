"""What the terminal shows of serving: predictions, comparisons, candidates, what was watched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from features.panel import SessionArray
from features.store import Store, Written
from serving import show_spread, show_term, show_volatility
from serving.compare import Comparison, VolatilityComparison
from serving.prediction import Prediction, Span
from serving.promote import Candidates
from serving.show import console, frame_table, line
from serving.watch import Watch
from serving.watch_volatility import VolatilityWatch
from training.tracking import ModelRef

_SHOWN = 10


def predicted(prediction: Prediction, written: Written, path: Path, store: Store) -> None:
    """What was predicted, how many rows went where, how many have no value and why."""
    asof, effective = prediction.frame["asof"][0], prediction.frame["effective"][0]
    if prediction.manifest.task == "volatility":
        show_volatility.predicted(prediction, _model(prediction.model))
        line(f"as of {asof}, for the sessions from {effective} on")
        show_volatility.left_out(prediction)
    elif prediction.manifest.task == "spread":
        show_spread.predicted(prediction, _model(prediction.model))
        line(f"as of {asof}, for the sessions from {effective} on")
        show_volatility.left_out(prediction)
    elif prediction.manifest.task == "term_structure":
        show_term.predicted(prediction, _model(prediction.model))
        line(f"as of the settlement of {asof}, tradable from {effective}")
        show_volatility.left_out(prediction)
    else:
        _best_and_worst(prediction, store)
        line(f"as of {asof}, tradable from {effective}, {prediction.coverage:.1%} of cells defined")
        _in_sample(prediction)
        line("without a score: " + _counted(prediction.left_out))
    _stored(written)
    line(f"file: {path}")


def _best_and_worst(prediction: Prediction, store: Store) -> None:
    scored = prediction.scored
    columns = ["asset", "score", "score_rank", *(n for n in ("mu_hat", "lo", "hi") if scored[n].count())]
    named = _named(scored.sort("score", descending=True).select(columns), store, prediction.manifest.asset_class)
    shown = named if len(named) <= _SHOWN else pl.concat([named.head(5), named.tail(5)])
    title = f"{_model(prediction.model)}: best and worst of {len(scored)}"
    console.print(frame_table(shown.with_columns(pl.col("score", "score_rank").round(4)), title))


def predicted_range(span: Span, written: Written, paths: Sequence[Path]) -> None:
    """A row a session, the sessions without anybody to score, and where everything went."""
    first, last = span.predictions[0], span.predictions[-1]
    if first.manifest.task == "volatility":
        show_volatility.predicted_range(span, _model(first.model))
    elif first.manifest.task == "spread":
        show_spread.predicted_range(span, _model(first.model))
    elif first.manifest.task == "term_structure":
        show_term.predicted_range(span, _model(first.model))
    else:
        _sessions_scored(span)
        _in_sample(first, last)
    if span.empty:
        line(f"no asset was in the universe on {len(span.empty)} sessions: {_days(span.empty)}")
    _stored(written)
    line(f"files: {paths[0].parent}, {paths[0].stem} to {paths[-1].stem}")


def _sessions_scored(span: Span) -> None:
    rows = [
        {
            "as of": one.frame["asof"][0],
            "scored": len(one.scored),
            "without": len(one.frame) - len(one.scored),
            "defined": f"{one.coverage:.1%}",
            "best": one.scored.sort("score")["asset"].last() if len(one.scored) else None,
        }
        for one in span.predictions
    ]
    shown = rows if len(rows) <= _SHOWN else [*rows[:5], *rows[-5:]]
    title = f"{_model(span.predictions[0].model)}: {len(rows)} sessions"
    more = ", the first and the last" if len(rows) > _SHOWN else ""
    console.print(frame_table(pl.DataFrame(shown), title + more))


def compared(found: Comparison | VolatilityComparison, ref: ModelRef, origins: tuple[str, str]) -> None:
    """What two sessions have in common, and what has changed."""
    line(f"{_model(ref)}: {found.then} ({origins[0]}) and {found.now} ({origins[1]})")
    if isinstance(found, VolatilityComparison):
        show_volatility.compared(found)
    else:
        _scores_compared(found)


def _scores_compared(found: Comparison) -> None:
    """The correlation of two sessions' scores, the top's coming and going, the moves, who lost or gained a score."""
    correlation = "-" if math.isnan(found.rank_correlation) else f"{found.rank_correlation:.4f}"
    line(f"rank correlation of scores {correlation} over {found.both:,} assets with a score on both")
    changed = len(found.entering)
    line(f"top {found.k}: {changed} entered, {len(found.leaving)} left")
    tables = {
        f"Entered the top {found.k}": found.entering.select("asset", "rank_then", "rank_now", "reason_then"),
        f"Left the top {found.k}": found.leaving.select("asset", "rank_then", "rank_now", "reason_now"),
        "Largest moves": found.moves.select("asset", "rank_then", "rank_now", "change"),
        "Lost their score": found.lost.select("asset", "rank_then", "reason_now"),
        "Gained a score": found.gained.select("asset", "rank_now", "reason_then"),
    }
    for title, rows in tables.items():
        if len(rows):
            console.print()
            more = f", {_SHOWN} of {len(rows)}" if len(rows) > _SHOWN else ""
            console.print(frame_table(rows.head(_SHOWN), title + more))


def candidates(found: Candidates) -> None:
    """The recorded numbers of champion and challenger side by side, and what makes them hard to compare."""
    console.print(frame_table(found.table(), found.name))
    if found.champion is None:
        line(f"note: {found.name} has no champion so far")
    for warning in found.warnings:
        line(f"warning: {warning}")


def watched(seen: Watch | VolatilityWatch) -> None:
    """What was seen, then the flags."""
    if isinstance(seen, VolatilityWatch):
        show_volatility.watched(seen, _model(seen.model))
    else:
        _alpha_watched(seen)
    for flag in seen.flags:
        line(f"{flag.colour}: {flag.what}: {flag.text}")
    if not seen.flags:
        line("no flags")


def _alpha_watched(seen: Watch) -> None:
    """Drift, coverage and decay."""
    line(f"{_model(seen.model)}: {_reach(seen.present)} against {len(seen.reference):,} sessions of its training")
    drifted = seen.factors.head(_SHOWN).with_columns(
        pl.col("psi").round(3), pl.col("missing_then", "missing_now").map_elements(_share, pl.String)
    )
    console.print(frame_table(drifted, f"Drift of raw factors, the largest of {len(seen.factors)}"))
    line(f"PSI of scores {seen.score_psi:.3f}; {seen.names[1]:,.0f} names a session, {seen.names[0]:,.0f} in training")
    found = seen.decay
    if found.n:
        band = f"promised {found.promised:+.4f}, band {found.lo:+.4f} to {found.hi:+.4f}, CUSUM {found.cusum:.1f}"
        line(f"RankIC of the last {found.n} sessions with a label, out of sample: {found.mean:+.4f}, {band}")
        line(f"scores: {seen.recomputed} of {len(seen.live)} sessions had none in the store and were scored now")
    else:
        line("RankIC since the training: no session that it has not learnt from has a known label yet")
    if math.isfinite(seen.covered):
        line(f"intervals held {seen.covered:.1%} of outcomes, {seen.target:.0%} promised")


def _model(ref: ModelRef) -> str:
    return f"{ref.name or 'run'} {ref.version or ref.run_id}"


def _named(rows: pl.DataFrame, store: Store, asset_class: str) -> pl.DataFrame:
    names = store.instruments(asset_class)
    if "symbol" not in names.columns:
        return rows
    return rows.join(names.select(asset="order_book_id", 名称="symbol"), on="asset", how="left", maintain_order="left")


def _in_sample(first: Prediction, last: Prediction | None = None) -> None:
    seen = first.manifest.trained[1]
    if str(first.frame["asof"][0]) <= seen:
        what = "this session is" if last is None else "sessions up to that day are"
        line(f"note: the model has learnt from labels up to {seen}, so {what} not out of sample")


def _stored(written: Written) -> None:
    line(f"{written.new:,} new, {written.restated:,} restated, {written.unchanged:,} unchanged rows in the store")


def _counted(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{reason} {count:,}" for reason, count in reasons.items()) or "none"


def _days(days: Sequence[object]) -> str:
    return ", ".join(map(str, days[:3])) + (f" ... {days[-1]}" if len(days) > 3 else "")


def _reach(sessions: SessionArray) -> str:
    return f"{len(sessions)} sessions {sessions[0]} to {sessions[-1]}"


def _share(value: float) -> str:
    return f"{value:.1%}"
