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

from features.product_bars import DIVIDENDS, INDICES, MADE_FROM, RATES, TABLE
from features.store import Store
from training.environment import environment
from training.evaluate import spread_figures as figures
from training.evaluate.figures import feature_importance
from training.evaluate.spread_evidence import PairEvidence, SpreadEvidence
from training.evaluate.spread_page import spread_html
from training.futures_page import futures_manifest, record_settings
from training.manifest import Manifest
from training.packaged_spread import packaged_regression, packaged_spread, prices_of, rows_of
from training.spread_book import SpreadBook
from training.spread_config import EXPERIMENT, SpreadConfig
from training.spread_data import Series, SpreadData
from training.spread_judge import foretold
from training.spread_panel import PooledPanel
from training.tasks import spread
from training.tracking import RunLog, Tracking
from training.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_READ: Final = ("bars/Future", INDICES, RATES, DIVIDENDS, "reference/instruments", "reference/calendar")
# Regressions see factors of products, whose bars are made of more: a run is repeated on all of it.
_READ_BY_REGRESSIONS: Final = tuple(dict.fromkeys((*_READ, *MADE_FROM, TABLE)))


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
    panel = spread.pool(config, store, data, say)
    tracking = Tracking(home)
    with tracking.start(EXPERIMENT, config.name, {"replay_of": replay_of} if replay_of else None) as run:
        manifest = futures_manifest(
            config,
            store,
            _READ if panel is None else _READ_BY_REGRESSIONS,
            "spread",
            (one.sessions for one in data.series.values()),
            data.last,
        )
        if panel is not None:
            manifest = replace(manifest, factors=dict(panel.factors))
        record_settings(config, store, manifest, sum(len(one) for one in data.series.values()), run)
        book = spread.walk(config, data, say, progress, panel)
        evidence = spread.judge(config, data, book, say, () if panel is None else panel.notes)
        numbers = spread.metrics(evidence)
        run.metrics({_metric(name): value for name, value in numbers.items()})
        _record_pairs(config, data, book, evidence, run)
        _record_judgement(config, evidence, manifest, run)
        _record_pool(config, book, run)
        _record_model(data, book, panel, manifest, run)
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


def _forecasts(config: SpreadConfig, book: SpreadBook, series: Series, model: str) -> pl.DataFrame:
    """Every forecast of a pair by a model, with what came."""
    walk = book.walks[series.name]
    track, found = walk.tracks[model], foretold(config, walk, series)
    columns: dict[str, object] = {
        "session": series.sessions,
        "near": series.near,
        "far": series.far,
        "spread": series.legs.y - np.where(np.isfinite(track.hedge), track.hedge, 1.0) * series.legs.x,
        "centre": track.centre,
        "z": track.z,
        "half_life": track.half_life,
    }
    for k, h in enumerate(config.label.horizons):
        columns |= {f"yhat_{h}": found.forecast[model][:, k], f"se_{h}": track.error[:, k]}
        columns[f"excess_{h}"] = found.outcome_of(model)[:, k]
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


def _record_pool(config: SpreadConfig, book: SpreadBook, run: RunLog) -> None:
    """Of each regression: what it was fitted on, and the share of each column in what it does."""
    if book.pool is None:
        return
    for model, fits in book.pool.fits.items():
        run.json(f"pool/{model}/fits.json", [fit.describe() for fit in fits])
        shares = book.pool.importance(model)
        rows = [{"horizon": h, "column": name, "share": v} for h, found in shares.items() for name, v in found.items()]
        if rows:
            run.frame(f"pool/{model}/importance.json", pl.DataFrame(rows))
        if shares.get(config.label.horizon):
            drawn = feature_importance(shares[config.label.horizon])
            run.figure(f"figures/pool/{model}_{config.label.horizon}.png", drawn)


def _record_model(
    data: SpreadData, book: SpreadBook, panel: PooledPanel | None, manifest: Manifest, run: RunLog
) -> None:
    """The book, its manifest beside it; the example is the last rows of a pair that has a forecast."""
    name = next((name for name in book.walks if book.has_fit(name)), None)
    if name is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "book"
        saved.mkdir()
        book.save(saved)
        manifest.save(saved)
        if book.is_pooled and panel is not None:
            run.model(packaged_regression(saved, rows_of(panel, name)))
        else:
            run.model(packaged_spread(saved, prices_of(data.series[name])))
