"""One training, told once: config in, a tracked run and a registered model out.

1. the config says what; the store holds the data
2. the task prepares the matrix and the labels, walks forward, judges (training/tasks/alpha.py)
3. everything that a reader of the run will ask for is recorded: settings, data version, numbers, figures, factors
4. the scorer that serves is given all labels, saved in native form, logged, and registered under its name
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from features.matrix import factor_hashes
from features.panel import Float64Array
from features.store import Store
from training.config import Config
from training.evaluate import figures
from training.fit import Scorer
from training.manifest import Manifest
from training.tasks import alpha
from training.tracking import RunLog, Tracking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EXPERIMENTS = {"alpha": "alpha"}

# What a reader asks first: label, metric, format, and the name it also has outside its group, to sort runs by.
HEADLINE = (
    ("RankIC, mean", "rank_ic/mean", "+.4f", "rank_ic"),
    ("RankIC, Newey-West t", "rank_ic/nw_t", "+.2f", "rank_ic_t"),
    ("ICIR a year", "rank_ic/icir", "+.2f", "icir"),
    ("IC (Pearson), mean", "ic/mean", "+.4f", ""),
    ("decile monotonicity", "deciles/monotonicity", "+.2f", ""),
    ("top k: net return a year", "top_k/annual_return", "+.2%", ""),
    ("universe: return a year", "top_k/universe_annual_return", "+.2%", ""),
    ("top k: net excess over universe a year", "top_k/excess_over_universe", "+.2%", "net_excess"),
    ("top k: net excess over benchmark a year", "top_k/excess_over_benchmark", "+.2%", ""),
    ("top k: net Sharpe", "top_k/sharpe", "+.2f", ""),
    ("top k: costs a year", "top_k/annual_cost", ".2%", ""),
    ("top k: turnover a year", "top_k/annual_turnover", ".1f", "turnover"),
)


@dataclass(frozen=True)
class Trained:
    """A finished run: its id, its headline numbers, and the registered name and version if it has one."""

    run_id: str
    metrics: dict[str, float]
    notes: tuple[str, ...]
    lost: dict[str, int]
    name: str | None
    version: int | None
    alias: str | None

    def headline(self) -> list[tuple[str, str, str]]:
        """Label, walk-forward value and holdout value of the headline numbers, with a first line that names them."""
        return [("", "walk-forward", "holdout"), *headline(self.metrics)]


def train(
    config: Config,
    home: Path,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Trained:
    """Train what the config describes; `home` is where its store and mlruns live.

    say       called with a line at each step
    progress  called with sessions built and to build
    """
    store = Store(home / config.data.store)
    alpha.require(config, store)
    tracking = Tracking(home)
    data = alpha.prepare(config, store, say, progress)
    table = data.matrix
    say(
        f"matrix: {len(table.session):,} rows x {len(table.columns)} factors, "
        f"{len(table.sessions)} sessions {table.sessions[0]} to {table.sessions[-1]}, {len(table.assets)} assets, "
        f"{table.values.nbytes / 1e6:,.0f} MB"
    )
    for note in data.notes:
        say(f"note: {note}")
    with tracking.start(_EXPERIMENTS[config.task], config.name) as run:
        manifest = _manifest(config, store, data)
        _record_settings(config, store, data, manifest, run)
        developed, sealed = _walk(config, data, run, say)
        judged = alpha.judge(config, data, developed)
        holdout = alpha.judge(config, data, sealed)
        scorer, rows = alpha.final(config, data)
        say(f"final fit: given {rows:,} labelled rows")
        metrics = judged.metrics() | {f"holdout_{k}": v for k, v in holdout.metrics().items()}
        metrics = {name: metrics[key] for _, key, _, name in HEADLINE if name and key in metrics} | metrics
        lost = {f"rows/{k}": float(v) for k, v in (*data.labels.lost.items(), ("final_fit", rows))}
        run.metrics({k: v for k, v in (metrics | lost).items() if np.isfinite(v)})
        _record_judgement(data, judged, holdout, scorer, run)
        _record_model(data, scorer, manifest, run)
        run.note(_note(config, data, metrics))
        version = None
        if config.registration is not None:
            version = tracking.register(run, config.registration.name, config.registration.alias)
    registered = config.registration
    return Trained(
        run.run_id,
        metrics,
        data.notes,
        data.labels.lost,
        registered.name if registered else None,
        version,
        registered.alias if registered else None,
    )


def _walk(
    config: Config, data: alpha.AlphaData, run: RunLog, say: Callable[[str], None]
) -> tuple[Float64Array, Float64Array]:
    """Scores (T, N) of the development tests and of the sealed holdout; a child run a fold."""
    developed = sealed = np.full(data.universe.shape, np.nan)
    for fold in (*data.split.folds, data.split.sealed):
        is_sealed = fold is data.split.sealed
        scored = alpha.walk(config, data, fold)
        days = data.matrix.sessions
        name = "holdout" if is_sealed else f"fold {fold.number}"
        span = {
            "train": f"{days[fold.train[0]]} to {days[fold.train[-1]]}",
            "test": f"{days[fold.test[0]]} to {days[fold.test[-1]]}",
        }
        summary = alpha.fold_summary(config, data, scored.score)
        with run.child(name, {"fold": str(fold.number), "sealed": str(is_sealed).lower()}) as child:
            child.params({**span, "rows": scored.rows, **scored.scorer.model.effective})
            child.metrics({k: v for k, v in summary.items() if np.isfinite(v)})
            child.json("importance.json", scored.scorer.model.importance())
            child.json("dropped_columns.json", dict(scored.scorer.preprocess.dropped))
        if is_sealed:
            sealed = scored.score
        else:
            run.metrics({k: v for k, v in summary.items() if np.isfinite(v)}, step=fold.number)
            developed = np.where(np.isfinite(scored.score), scored.score, developed)
        say(
            f"{name}: {scored.rows:,} rows to {days[fold.train[-1]]}, test {span['test']}, "
            f"RankIC {summary['fold/rank_ic']:+.4f}"
        )
    return developed, sealed


def _manifest(config: Config, store: Store, data: alpha.AlphaData) -> Manifest:
    asset_class = config.data.asset_class
    tables = [t for t in (f"bars/{asset_class}", "bars/INDX", "reference/instruments") if store.exists(t)]
    labelled = np.flatnonzero((data.labels.exit >= 0).any(axis=1))
    days = data.matrix.sessions
    return Manifest(
        task=config.task,
        asset_class=asset_class,
        factors=factor_hashes(store, alpha.factors_of(config)[0], data.matrix.columns),
        universe=config.data.universe.model_dump(),
        target=f"{config.label.kind}_{config.label.excess}",
        horizon=config.label.horizon,
        entry=config.label.entry,
        config_hash=config.hash,
        data={**store.versions(tables), f"bars/{asset_class}": data.build.bars_version},
        trained=(str(days[labelled[0]]), str(days[labelled[-1]])) if len(labelled) else ("", ""),
        store=config.data.store,
        expressions=config.features.expressions,
    )


def _record_settings(config: Config, store: Store, data: alpha.AlphaData, manifest: Manifest, run: RunLog) -> None:
    """Step 10, first half: what the run was told, and on what."""
    run.params({k: v for k, v in config.settings().items() if k != "register"})
    run.text("config.yaml", config.dump())
    versions = json.dumps(manifest.data, sort_keys=True)
    digest = hashlib.sha256(versions.encode()).hexdigest()[:12]
    run.tags(
        {
            "asset_class": manifest.asset_class,
            "config_hash": manifest.config_hash,
            "factor_hash": manifest.factor_hash,
            "data_version": versions,
            "holdout_scored": "true",
        }
    )
    for name, version in manifest.data.items():
        rows = len(data.matrix.session) if name == f"bars/{manifest.asset_class}" else None
        run.dataset(name, store.root / name, version, f"{digest}-v{version}", rows=rows)
    run.environment()
    known, _ = alpha.factors_of(config)
    run.frame(
        "factors.json",
        pl.DataFrame(
            [
                {"factor": n, "中文": known[n].zh, "unit": known[n].unit, "family": known[n].family, "hash": h}
                for n, h in manifest.factors.items()
            ]
        ),
    )


def _record_judgement(
    data: alpha.AlphaData, judged: alpha.Judgement, holdout: alpha.Judgement, scorer: Scorer, run: RunLog
) -> None:
    """Step 10, second half: series by date, figures, tables."""
    days = data.matrix.sessions
    both = np.where(np.isfinite(judged.rank_ic), judged.rank_ic, holdout.rank_ic)
    run.series("by_session/rank_ic", days, both)
    run.series("by_session/rank_ic_cumulative", days, np.where(np.isfinite(both), np.nancumsum(both), np.nan))
    net = judged.portfolio.net
    value = np.where(np.isfinite(net), np.cumprod(1 + np.nan_to_num(net)), np.nan)
    run.series("by_session/top_k_net_value", days, value)
    drawn: dict[str, Figure] = {
        "1_rank_ic": figures.cumulative_ic(judged.rank_ic, days, judged.rank),
        "2_top_k": figures.portfolio_curve(judged.portfolio),
        "3_deciles": figures.decile_bars(judged.deciles),
        "4_ic_by_horizon": figures.ic_by_horizon(judged.decay),
        "5_importance": figures.feature_importance(scorer.model.importance()),
        "6_rows_lost": figures.rows_lost(data.labels.lost),
        "7_turnover": figures.turnover_curve(judged.portfolio),
        "8_coverage": figures.coverage_map(alpha.coverage(data), data.matrix.columns, days),
        "9_holdout_rank_ic": figures.cumulative_ic(holdout.rank_ic, days, holdout.rank, name="Holdout RankIC"),
        "9_holdout_top_k": figures.portfolio_curve(holdout.portfolio),
    }
    for name, figure in drawn.items():
        run.figure(f"figures/{name}.png", figure)
    run.json("rows_lost.json", data.labels.lost)


def _record_model(data: alpha.AlphaData, scorer: Scorer, manifest: Manifest, run: RunLog) -> None:
    """The scorer in native form with the manifest beside it; the example is the universe of the last session."""
    last = data.matrix.take(data.matrix.session == data.matrix.session[-1])
    example = pl.DataFrame(last.values, schema=list(last.columns))
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "scorer"
        scorer.save(saved)
        manifest.save(saved)
        run.model(saved, example, last.columns)


def headline(metrics: dict[str, float]) -> list[tuple[str, str, str]]:
    """Label, walk-forward value and holdout value of each headline number, as text."""
    shown = {k: format(metrics[k], spec) for _, m, spec, _ in HEADLINE for k in (m, f"holdout_{m}") if k in metrics}
    return [(label, shown.get(m, "-"), shown.get(f"holdout_{m}", "-")) for label, m, _, _ in HEADLINE]


def _note(config: Config, data: alpha.AlphaData, metrics: dict[str, float]) -> str:
    """The run's description: the numbers that a researcher asks for first, in Markdown."""
    table, lost = data.matrix, data.labels.lost
    lines = [
        f"**{config.name}**: {config.model.kind} on {len(table.columns)} factors, {config.label.horizon}-session "
        f"excess return over the {config.label.excess}, entry {config.label.entry}.",
        f"{table.sessions[0]} to {table.sessions[-1]}, {len(table.assets)} assets, {len(data.split.folds)} folds, "
        f"holdout of {len(data.split.holdout)} sessions.",
        "",
        "| | walk-forward | holdout |",
        "|---|---:|---:|",
    ]
    lines += [f"| {label} | {walked} | {sealed} |" for label, walked, sealed in headline(metrics)]
    lines += ["", "Rows: " + ", ".join(f"{k} {v:,}" for k, v in lost.items()) + "."]
    lines += [f"- {note}" for note in data.notes]
    return "\n".join(lines)
