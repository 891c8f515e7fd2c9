"""One training of the spread task, told once: config in, a tracked run and a registered book out.

1. the config says what; the store holds the chains
2. the task pairs the contracts of each product, walks every model forward, judges (training/tasks/spread.py)
3. leaderboard, figures and the report are recorded; a pair and a model are a child run
4. the fits are saved as JSON, logged as the model, and registered under the config's name
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from features.store import Store
from training.environment import environment
from training.evaluate import spread_figures as figures
from training.evaluate.spread_evidence import PairEvidence, SpreadEvidence
from training.evaluate.spread_page import spread_html
from training.futures_page import futures_manifest, record_settings
from training.manifest import Manifest
from training.packaged import Kind, Packaged
from training.spread_book import SpreadBook
from training.spread_config import EXPERIMENT, SpreadConfig
from training.spread_data import PairSeries, SpreadData
from training.spread_judge import foretold
from training.tasks import spread
from training.tracking import RunLog, Tracking
from training.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_READ: Final = ("bars/Future", "bars/INDX", "reference/instruments", "reference/calendar")
_EXAMPLE: Final = 300  # rows of the example that the logged model is tried on
_REQUIRES: Final = ("mlflow", "numpy", "pandas", "polars", "scipy", "numba", "statsmodels")


def train_spread(
    config: SpreadConfig,
    home: Path,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    store: Store | None = None,
    replay_of: str | None = None,
) -> Trained:
    """Train what the config describes; `home` is where its store and mlruns live.

    say        called with a line at each step
    progress   called with pairs walked and to walk
    store      other tables than those of the config's store
    replay_of  id of the run that this one repeats: it registers nothing
    """
    store = store or Store(home / config.data.store)
    data = spread.prepare(config, store, say)
    tracking = Tracking(home)
    with tracking.start(EXPERIMENT, config.name, {"replay_of": replay_of} if replay_of else None) as run:
        manifest = futures_manifest(
            config, store, _READ, "spread", (one.sessions for one in data.series.values()), data.last
        )
        record_settings(config, store, manifest, sum(len(one) for one in data.series.values()), run)
        book = spread.walk(config, data, say, progress)
        evidence = spread.judge(config, data, book, say)
        numbers = spread.metrics(evidence)
        run.metrics({_metric(name): value for name, value in numbers.items()})
        _record_pairs(config, data, book, evidence, run)
        _record_judgement(config, evidence, manifest, run)
        _record_model(data, book, manifest, run)
        run.note(spread.note(config, evidence, numbers))
        registered, version = config.registration, None
        if registered and not replay_of:
            version = tracking.register(run, registered.name, registered.alias)
    named = registered if version is not None else None
    return Trained(
        run.run_id,
        numbers,
        evidence.warnings,
        {},
        named.name if named else None,
        version,
        named.alias if named else None,
        spread.table(config, evidence),
    )


def packaged_spread(folder: Path, example: pl.DataFrame) -> Packaged:
    """A book of spread models: past log prices of pairs in, changes of their spreads by horizon out.

    folder   what the book wrote
    example  columns pair, session, log_near, log_far; fresh, gap where the models want them
    """
    number: dict[str, Kind] = dict.fromkeys(("log_near", "log_far", "fresh", "gap"), "double")
    text: dict[str, Kind] = {"pair": "string", "session": "string"}
    forecast: dict[str, Kind] = {"horizon": "long", "model": "string", **dict.fromkeys(("change", "se", "z"), "double")}
    return Packaged(
        "spread",
        Path(__file__).with_name("pyfunc_spread.py"),
        folder,
        example,
        text | number,
        text | forecast,
        frozenset({"fresh", "gap"}),
        _REQUIRES,
    )


def _metric(name: str) -> str:
    """A name as the tracking store takes it."""
    return name.replace(" ", "_")


def _record_pairs(
    config: SpreadConfig, data: SpreadData, book: SpreadBook, evidence: SpreadEvidence, run: RunLog
) -> None:
    """A child run a pair and model: its numbers, its fits, its forecasts, its trades."""
    for one in evidence.pairs:
        walk, series = book.walks[one.name], data.series[one.name]
        for model in config.models:
            with run.child(f"{one.name} {model}", {"pair": one.name, "model": model}) as child:
                child.params({"far": one.legs[0], "near": one.legs[1], "sessions": len(one.sessions)})
                child.metrics({_metric(name): value for name, value in spread.metrics_of(one, model).items()})
                child.json("fits.json", [fit.describe() for fit in walk.fits[model]])
                child.frame("forecasts.parquet", _forecasts(config, book, series, model))
                trades = next((rule.trading.trades for rule in one.tradings if rule.model == model), ())
                child.json("trades.json", [vars(trade) for trade in trades])


def _forecasts(config: SpreadConfig, book: SpreadBook, series: PairSeries, model: str) -> pl.DataFrame:
    """Every forecast of a pair by a model, with what came."""
    walk = book.walks[series.name]
    track, found = walk.tracks[model], foretold(config, walk, series)
    columns: dict[str, object] = {
        "session": series.sessions,
        "near": series.pair.near[series.row],
        "far": series.pair.far[series.row],
        "spread": series.legs.y - series.legs.x,
        "centre": track.centre,
        "z": track.z,
        "half_life": track.half_life,
    }
    for k, h in enumerate(config.label.horizons):
        columns |= {f"yhat_{h}": found.forecast[model][:, k], f"se_{h}": track.error[:, k]}
        columns[f"excess_{h}"] = found.outcome[:, k]
    return pl.DataFrame(columns)


def _record_judgement(config: SpreadConfig, evidence: SpreadEvidence, manifest: Manifest, run: RunLog) -> None:
    """The leaderboard as a table, figures, the report."""
    rows = [
        {
            "pair": one.name,
            "horizon": h,
            "model": row.model,
            "n": row.zero.n,
            "r2": row.zero.r2,
            "p": row.zero.p,
            "r2_ar1": None if row.ar1 is None else row.ar1.r2,
            "p_ar1": None if row.ar1 is None else row.ar1.p,
            "direction": row.direction.accuracy,
            "ic": row.ic.ic,
            "r2_holdout": row.holdout,
        }
        for one in evidence.pairs
        for h, scores in one.scores.items()
        for row in scores
    ]
    if rows:
        run.frame("leaderboard.json", pl.DataFrame(rows, infer_schema_length=None))
    for one in evidence.pairs:
        for name, figure in _drawn(one).items():
            run.figure(f"figures/{_metric(one.name)}/{name}.png", figure)
        if one.forecast is not None:
            run.series(f"yhat_{config.label.horizon}/{_metric(one.name)}", one.sessions, one.forecast)
    told = json.dumps({"data": manifest.data, **environment().to_dict()}, indent=1)
    run.text("report.html", spread_html(replace(evidence, environment=told)))


def _drawn(one: PairEvidence) -> dict[str, Figure]:
    drawn = {"spread_trades": figures.spread_trades(one, one.tradings[0] if one.tradings else None)}
    if one.half_lives is not None:
        drawn["half_lives"] = figures.half_lives(one.half_lives, name=one.name)
    return drawn


def _record_model(data: SpreadData, book: SpreadBook, manifest: Manifest, run: RunLog) -> None:
    """The book, its manifest beside it; the example is the last rows of a pair that has a forecast."""
    name = next((name for name in book.walks if book.has_fit(name)), None)
    if name is None:
        return
    legs = data.series[name].legs
    part = legs.part(max(0, len(legs) - _EXAMPLE), len(legs))
    example: dict[str, object] = {
        "pair": [name] * len(part),
        "session": [str(day) for day in part.session],
        "log_near": part.x,
        "log_far": part.y,
    }
    if part.fresh is not None:
        example["fresh"] = part.fresh.astype(np.float64)
    if part.gap is not None:
        example["gap"] = part.gap
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "book"
        saved.mkdir()
        book.save(saved)
        manifest.save(saved)
        run.model(packaged_spread(saved, pl.DataFrame(example)))
