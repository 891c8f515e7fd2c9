"""One training of the volatility task, told once: config in, a tracked run and a registered book out.

1. the config says what; the store holds the chains
2. the task makes a series of each product, walks every model forward, judges (training/tasks/volatility.py)
3. a training that is interrupted goes on where it was: products that were walked lie in the scratch of the home
4. leaderboard, figures, rolls and the report are recorded; a product is a child run
5. the walks are saved as JSON and Parquet, logged as the model, and registered under the config's name
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from features.store import Store
from training.book import Book
from training.environment import environment
from training.evaluate import volatility_figures as figures
from training.evaluate.volatility_evidence import CHOSEN, COMBINED, ProductEvidence, VolatilityEvidence
from training.evaluate.volatility_page import ratios, volatility_html
from training.evaluate.volatility_words import forecasters
from training.futures_page import futures_manifest, record_settings
from training.manifest import Manifest
from training.packaged import packaged_volatility
from training.tasks import volatility
from training.tracking import RunLog, Tracking
from training.trained import Trained
from training.volatility_config import EXPERIMENT, VolatilityConfig
from training.volatility_data import VolatilityData
from training.walk_jobs import forget, scratch_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_READ = ("bars/Future", "reference/instruments", "reference/calendar")
_EXAMPLE = 600  # returns of the example that the logged model is tried on


def train_volatility(
    config: VolatilityConfig,
    home: Path,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    store: Store | None = None,
    replay_of: str | None = None,
) -> Trained:
    """Train what the config describes; `home` is where its store and mlruns live.

    say        called with a line at each step
    progress   called with products walked and to walk
    store      other tables than those of the config's store
    replay_of  id of the run that this one repeats: it registers nothing
    """
    store = store or Store(home / config.data.store)
    data = volatility.prepare(config, store, say)
    tracking = Tracking(home)
    with tracking.start(EXPERIMENT, config.name, {"replay_of": replay_of} if replay_of else None) as run:
        manifest = futures_manifest(
            config, store, _READ, "volatility", (one.sessions for one in data.series.values()), data.last
        )
        record_settings(config, store, manifest, sum(len(one.returns) for one in data.series.values()), run)
        _record_rolls(data, run)
        scratch = scratch_of(config, manifest.data, home)
        book = volatility.walk(config, data, scratch, say, progress)
        evidence = volatility.judge(config, data, book, say)
        numbers = volatility.metrics(evidence)
        run.metrics({name: value for name, value in numbers.items() if "/" not in name or name.count("/") == 1})
        _record_products(config, evidence, book, run)
        _record_judgement(config, evidence, manifest, run)
        _record_model(config, data, book, manifest, run)
        run.note(volatility.note(config, evidence, numbers))
        registered, version = config.registration, None
        if registered and not replay_of:
            version = tracking.register(run, registered.name, registered.alias)
        forget(scratch)
    named = registered if version is not None else None
    return Trained(
        run.run_id,
        numbers,
        evidence.warnings,
        {},
        named.name if named else None,
        version,
        named.alias if named else None,
        volatility.table(evidence),
    )


def _record_rolls(data: VolatilityData, run: RunLog) -> None:
    """Every roll of every series."""
    rolls = pl.concat(
        one.continuous.rolls.select(pl.lit(product).alias("product"), pl.all()) for product, one in data.series.items()
    )
    if len(rolls):
        run.frame("rolls.parquet", rolls)
        run.frame("rolls.csv", rolls)


def _record_products(config: VolatilityConfig, evidence: VolatilityEvidence, book: Book, run: RunLog) -> None:
    """A child run a product: its numbers, its estimates, its forecasts."""
    for one in evidence.products:
        with run.child(one.product, {"product": one.product}) as child:
            child.params({"contract": one.contract, "sessions": len(one.sessions), "first": str(one.sessions[0])})
            child.metrics(
                {
                    f"qlike_ratio_{h}/{row.model}": row.ratio
                    for h, rows in one.scores.items()
                    for row in rows
                    if np.isfinite(row.ratio)
                }
            )
            child.metrics({f"var_{row.level:g}/{row.model}_breaches": row.breaches for row in one.backtests})
            child.json("estimates.json", [vars(estimate) for estimate in one.estimates])
            child.frame("forecasts.parquet", _forecasts(config, one))
            child.frame("fits.csv", pl.DataFrame([vars(refit) for refit in one.refits]))
            child.json("notes.json", {"notes": one.notes, "left_out": dict(book.walks[one.product].left_out)})


def _forecasts(config: VolatilityConfig, one: ProductEvidence) -> pl.DataFrame:
    """Every forecast of a product as a table: variances of models and of what is served, VaR and ES of a session."""
    columns: dict[str, object] = {"session": one.sessions, "return": one.returns, "range_variance": one.range_variance}
    for k, h in enumerate(config.forecast.horizons):
        columns |= {f"{name}_{h}": values[:, k] for name, values in one.variance.items()}
        columns[f"served_{h}"] = one.served[:, k]
    for name, tail in (("var", one.var), ("es", one.es)):
        if tail is not None:
            columns |= {f"{name}_{level:g}": tail[:, k] for k, level in enumerate(config.forecast.levels)}
    return pl.DataFrame(columns)


def _record_judgement(config: VolatilityConfig, evidence: VolatilityEvidence, manifest: Manifest, run: RunLog) -> None:
    """Leaderboards as tables, figures, the report."""
    rows = [
        {"product": one.product, "horizon": h, **vars(row)}
        for one in evidence.products
        for h, scores in one.scores.items()
        for row in scores
    ]
    if rows:
        run.frame("leaderboard.json", pl.DataFrame(rows))
        run.frame("var_tests.json", pl.DataFrame(
            [{"product": one.product, **vars(row)} for one in evidence.products for row in one.backtests]
        ))  # fmt: skip
    for horizon in (h for h in (1, 5, 20) if h in evidence.horizons):
        _leaderboard_figure(evidence, horizon, run)
    for one in evidence.products:
        for name, figure in _drawn(config, one).items():
            run.figure(f"figures/{one.product}/{name}.png", figure)
        served = np.sqrt(one.served[:, 0] / config.forecast.horizons[0] * 242)
        run.series(f"sigma/{one.product}", one.sessions, served)
    told = json.dumps({"data": manifest.data, **environment().to_dict()}, indent=1)
    run.text("report.html", volatility_html(replace(evidence, environment=told)))


def _leaderboard_figure(evidence: VolatilityEvidence, horizon: int, run: RunLog) -> None:
    models = forecasters(one.scores.get(h, ()) for one in evidence.products for h in evidence.horizons)
    if not models:
        return
    run.figure(
        f"figures/leaderboard_{horizon:02d}.png",
        figures.leaderboard(
            [one.product for one in evidence.products],
            models,
            ratios(evidence, models)[horizon],
            base=evidence.base,
            base_name=evidence.base,
            horizon=horizon,
            made_of_others=[name in (CHOSEN, COMBINED) for name in models],
        ),
    )


def _drawn(config: VolatilityConfig, one: ProductEvidence) -> dict[str, Figure]:
    # matplotlib's own fonts have no Chinese: its names stand in the report.
    name, horizons = one.product, config.forecast.horizons
    base = one.variance.get(config.base)
    drawn = {
        "term_structure": figures.term_structure(horizons, one.served, one.variance, config.base, name=name),
    }
    if horizons[0] == 1:
        drawn["forecast_vs_range"] = figures.forecast_vs_range(
            one.sessions, one.range_variance, one.served[:, 0], None if base is None else base[:, 0],
            name=name, base_name=config.base,
        )  # fmt: skip
    if one.var is not None:
        drawn["var_breaches"] = figures.var_breaches(
            one.sessions, one.returns, one.var, config.forecast.levels, name=name
        )
    if one.news is not None:
        drawn["news_impact"] = figures.news_impact(one.news, config.base, name=name)
    return drawn


def _record_model(config: VolatilityConfig, data: VolatilityData, book: Book, manifest: Manifest, run: RunLog) -> None:
    """The book, its manifest beside it; the example is the last returns of a product that has a forecast."""
    product = next((name for name, walked in book.walks.items() if not walked.empty), None)
    if product is None:
        return
    series = data.series[product]
    part = series.returns.part(max(0, len(series.returns) - _EXAMPLE), len(series.returns))
    example: dict[str, object] = {
        "product": [product] * len(part),
        "session": [str(day) for day in series.sessions[len(series.sessions) - len(part) :]],
        "return": part.value,
    }
    if part.range_variance is not None:
        example["range_variance"] = part.range_variance
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "book"
        saved.mkdir()
        book.save(saved)
        manifest.save(saved)
        run.model(packaged_volatility(saved, pl.DataFrame(example | dict(part.regressors))))
