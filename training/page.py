"""A run's page in MLflow: settings and data first, then numbers, series, figures, the report, the model."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from features.matrix import factor_hashes
from features.store import Store
from training.alpha_config import AlphaConfig
from training.band import BAND, Band
from training.fit import Scorer
from training.manifest import Manifest
from training.market import Market, factors_of
from training.packaged import packaged_alpha
from training.tracking import RunLog
from training.uncertainty import Record

if TYPE_CHECKING:
    from training.tasks.alpha import AlphaData

# What a reader asks first: label, metric, format, and the name it also has outside its group, to sort runs by.
HEADLINE = (
    ("RankIC, mean", "rank_ic/mean", "+.4f", "rank_ic"),
    ("RankIC, 95 % from", "rank_ic/lo", "+.4f", ""),
    ("RankIC, 95 % to", "rank_ic/hi", "+.4f", ""),
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
    ("net excess: deflated Sharpe (probability)", "ledger/dsr", ".3f", "dsr"),
    ("band: share of outcomes inside", "band/coverage", ".1%", "coverage"),
)


def manifest_of(config: AlphaConfig, store: Store, data: Market) -> Manifest:
    """What serving must know of the run, with the versions of every table that it may have read."""
    asset_class = config.data.asset_class
    read = [t for t in store.tables() if t.startswith(("bars/", "reference/"))]
    labelled = np.flatnonzero((data.labels.exit >= 0).any(axis=1))
    days = data.matrix.sessions
    return Manifest(
        task=config.task,
        asset_class=asset_class,
        factors=factor_hashes(store, factors_of(config)[0], data.matrix.columns),
        settings=config.dump(),
        target=f"{config.label.kind}_{config.label.excess}",
        config_hash=config.hash,
        data={**store.versions(read), f"bars/{asset_class}": data.build.bars_version},
        trained=(str(days[labelled[0]]), str(days[labelled[-1]])) if len(labelled) else ("", ""),
    )


def record_settings(config: AlphaConfig, store: Store, data: AlphaData, manifest: Manifest, run: RunLog) -> None:
    """What the run was told, and on what."""
    run.params({k: v for k, v in config.settings().items() if k != "register"})
    run.text("config.yaml", config.dump())
    run.tags(
        {
            "asset_class": manifest.asset_class,
            "config_hash": manifest.config_hash,
            "factor_hash": manifest.factor_hash,
            "data_version": json.dumps(manifest.data, sort_keys=True),
        }
    )
    record_datasets(store, data, manifest, run)
    run.environment()
    known, _ = factors_of(config)
    facts = [
        {"factor": n, "中文": known[n].zh, "unit": known[n].unit, "family": known[n].family, "hash": h}
        for n, h in manifest.factors.items()
    ]
    run.frame("factors.json", pl.DataFrame(facts))


def record_datasets(store: Store, data: Market, manifest: Manifest, run: RunLog) -> None:
    """The versions of the tables that the numbers stand on, where the tracking UI looks for them."""
    bars = f"bars/{manifest.asset_class}"
    digest = hashlib.sha256(json.dumps(manifest.data, sort_keys=True).encode()).hexdigest()[:12]
    shown = (bars, "bars/INDX", "reference/instruments", "reference/calendar")
    for name in (n for n in shown if n in manifest.data):
        version = manifest.data[name]
        rows = len(data.matrix.session) if name == bars else None
        run.dataset(name, store.root / name, version, f"{digest}-v{version}", rows=rows)


def record_model(
    data: AlphaData, scorer: Scorer, band: Band | None, record: Record, manifest: Manifest, run: RunLog
) -> None:
    """The scorer in native form, manifest, record and band beside it; the example is the last session's universe."""
    last = data.matrix.take(data.matrix.session == data.matrix.session[-1])
    example = pl.DataFrame(last.values, schema=list(last.columns))
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "scorer"
        scorer.save(saved)
        manifest.save(saved)
        record.save(saved)
        if band is not None:
            band.save(saved / BAND)
        run.model(packaged_alpha(saved, example, last.columns))


def headline(metrics: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """Label, walk-forward value and holdout value of each headline number, as text."""
    shown = {k: format(metrics[k], spec) for _, m, spec, _ in HEADLINE for k in (m, f"holdout_{m}") if k in metrics}
    return [(label, shown.get(m, "-"), shown.get(f"holdout_{m}", "-")) for label, m, _, _ in HEADLINE]


def note(config: AlphaConfig, data: AlphaData, metrics: Mapping[str, float], warnings: list[str]) -> str:
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
    lines += [f"- {one}" for one in warnings]
    return "\n".join(lines)
