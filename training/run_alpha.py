"""One training of the alpha task, told once: config in, a tracked run and a registered model out.

1. the config says what; the store holds the data
2. the task prepares the matrix and the labels, walks forward, judges (training/tasks/alpha.py)
3. the holdout is scored by runs that register a model, and by no other; the ledger counts who has looked
4. everything that a reader of the run will ask for is recorded (training/page.py, training/evidence.py)
5. the scorer that serves is given all labels, saved in native form, logged, and registered under its name
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from features.panel import Float64Array
from features.scratch import IN_MEMORY, Scratch
from features.store import Store
from models.alpha.importance import importance_stability
from training import page
from training.alpha_config import AlphaConfig
from training.environment import environment
from training.evaluate import figures
from training.evaluate.evidence import Evidence
from training.evaluate.report import report_html
from training.evidence import evidence, factor_table, groups, significance
from training.explain import explained
from training.ledger import EXPERIMENT, SHARPE, Ledger, look_tags, market_of, net_excess_moments, trial_hash, trial_tags
from training.market import factors_of, require
from training.page import headline
from training.tasks import alpha
from training.tracking import RunLog, Tracking
from training.trained import Trained
from training.uncertainty import Outlook, Walk, record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["train_alpha"]


def train_alpha(
    config: AlphaConfig,
    home: Path,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    memory: float | None = None,
    store: Store | None = None,
    replay_of: str | None = None,
) -> Trained:
    """Train what the config describes; `home` is where its store and mlruns live.

    say        called with a line at each step
    progress   called with sessions built and to build
    memory     bytes that the matrix may take, and its standardised copy; larger ones lie in files under the home
    store      other tables than those of the config's store
    replay_of  id of the run that this one repeats: it registers nothing, and its look at the holdout is not a new one
    """
    store = store or Store(home / config.data.store)
    scratch = IN_MEMORY if memory is None else Scratch(memory, home / "scratch")
    require(config, store)
    tracking = Tracking(home)
    data = alpha.prepare(config, store, say, progress, scratch=scratch)
    _tell(data, say)
    registered = config.registration
    with tracking.start(EXPERIMENT, config.name, {"replay_of": replay_of} if replay_of else None) as run:
        manifest = page.manifest_of(config, store, data)
        page.record_settings(config, store, data, manifest, run)
        run.tags(trial_tags(config, data.matrix.sessions, data.split))
        if registered and not replay_of:
            run.tags(look_tags(data.matrix.sessions, data.split))
        walked = _walk(config, data, run, say, scratch)
        scorer, band, rows = alpha.final(config, data, scratch)
        say(f"final fit: given {rows:,} labelled rows")
        metrics, found = _judge(
            config, data, walked, scorer.model.importance(), manifest.data, tracking, run, bool(replay_of)
        )
        for warning in found.warnings[len(data.notes) :]:
            say(f"note: {warning}")
        metrics |= {f"rows/{k}": float(v) for k, v in (*data.labels.lost.items(), ("final_fit", rows))}
        run.metrics({k: v for k, v in metrics.items() if np.isfinite(v)})
        _record_judgement(data, found, walked, run)
        run.frame("importance.json", explained(config, data, walked.last, factors_of(config)[0]))
        kept = record(config, data, walked.score, walked.outlook.level)
        page.record_model(data, scorer, band, kept, manifest, run)
        run.note(page.note(config, data, metrics, list(found.warnings)))
        version = None
        if registered and not replay_of:
            version = tracking.register(run, registered.name, registered.alias)
    named = registered if version is not None else None
    return Trained(
        run.run_id,
        metrics,
        tuple(found.warnings),
        data.labels.lost,
        named.name if named else None,
        version,
        named.alias if named else None,
        (("", "walk-forward", "holdout"), *headline(metrics)),
    )


@dataclass(frozen=True)
class _Walked:
    """Out-of-sample scores (T, N): of the development tests, of the holdout (None: sealed), of both.

    last       the last development fold; stability  agreement of the folds on what matters, Kendall's tau
    """

    developed: Float64Array
    sealed: Float64Array | None
    outlook: Outlook
    last: alpha.Scored
    stability: float

    @property
    def score(self) -> Float64Array:
        """Of both; their sessions do not meet."""
        if self.sealed is None:
            return self.developed
        return np.where(np.isfinite(self.sealed), self.sealed, self.developed)


def _tell(data: alpha.AlphaData, say: Callable[[str], None]) -> None:
    table = data.matrix
    say(
        f"matrix: {len(table.session):,} rows x {len(table.columns)} factors, "
        f"{len(table.sessions)} sessions {table.sessions[0]} to {table.sessions[-1]}, {len(table.assets)} assets, "
        f"{table.values.nbytes / 1e6:,.0f} MB"
    )
    for note in data.notes:
        say(f"note: {note}")


def _walk(
    config: AlphaConfig, data: alpha.AlphaData, run: RunLog, say: Callable[[str], None], scratch: Scratch
) -> _Walked:
    """Each fold fitted and scored, a child run each; the holdout last, and only where a model is registered."""
    scores = {False: np.full(data.universe.shape, np.nan), True: np.full(data.universe.shape, np.nan)}
    opened = config.registration is not None
    bands, days = Walk(config, data), data.matrix.sessions
    importances: list[dict[str, float]] = []
    for fold in (*data.split.folds, *([data.split.sealed] if opened else [])):
        is_sealed = fold is data.split.sealed
        scored = alpha.walk(config, data, fold, with_band=config.intervals is not None, scratch=scratch)
        if scored.lower is not None and scored.upper is not None:
            bands.add(scored.lower, scored.upper, int(fold.test[0]), int(fold.test[-1]) + 1)
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
        if not is_sealed:
            run.metrics({k: v for k, v in summary.items() if np.isfinite(v)}, step=fold.number)
            importances.append(scored.scorer.model.importance())
            last = scored
        scores[is_sealed] = np.where(np.isfinite(scored.score), scored.score, scores[is_sealed])
        say(
            f"{name}: {scored.rows:,} rows to {days[fold.train[-1]]}, test {span['test']}, "
            f"RankIC {summary['fold/rank_ic']:+.4f}"
        )
    both = np.where(np.isfinite(scores[True]), scores[True], scores[False])
    sealed = scores[True] if opened else None
    return _Walked(scores[False], sealed, bands.outlook(both), last, importance_stability(importances))


def _judge(
    config: AlphaConfig,
    data: alpha.AlphaData,
    walked: _Walked,
    importance: dict[str, float],
    data_versions: dict[str, int],
    tracking: Tracking,
    run: RunLog,
    is_replay: bool,
) -> tuple[dict[str, float], Evidence]:
    """Every number of the run by name, and the evidence for its report."""
    judged = alpha.judge(config, data, walked.developed)
    holdout = None if walked.sealed is None else alpha.judge(config, data, walked.sealed)
    metrics = judged.metrics() | walked.outlook.metrics(data, np.isfinite(judged.rank_ic))
    if holdout is not None:
        sealed = holdout.metrics() | walked.outlook.metrics(data, np.isfinite(holdout.rank_ic))
        metrics |= {f"holdout_{k}": v for k, v in sealed.items()}
    ledger = Ledger.of(tracking, market_of(config), own=run.run_id)
    moments = net_excess_moments(judged.portfolio.net, judged.portfolio.universe)
    trials = ledger.trials(trial_hash(config), moments.sr)
    span = look_tags(data.matrix.sessions, data.split)["holdout_span"]
    looks = 0 if holdout is None else ledger.looks(span) - is_replay
    told = significance(judged, trials, trials.deflated(moments), looks)
    metrics["importance/stability"] = walked.stability
    metrics |= {"ledger/trials": trials.n, "ledger/holdout_looks": looks, SHARPE: moments.sr}
    if told.dsr is not None:
        metrics["ledger/dsr"] = told.dsr
    metrics = {name: metrics[key] for _, key, _, name in page.HEADLINE if name and key in metrics} | metrics
    by_group = groups(config, data, judged, walked.developed)
    metrics |= {f"rank_ic_by_{k}/{name}": one.mean for k, told_of in by_group.items() for name, one in told_of.items()}
    warnings = list(data.notes)
    if looks > 1:
        warnings.append(f"the holdout has been looked at {looks} times, this time included: it proves less each time")
    known, _ = factors_of(config)
    share = alpha.coverage(data)
    found = evidence(
        config,
        data,
        judged,
        holdout,
        metrics=metrics,
        told=told,
        outlook=walked.outlook,
        by_group=by_group,
        factors=factor_table(config, data, known, share),
        share=share,
        importance=importance,
        zh={name: known[name].zh for name in data.matrix.columns},
        warnings=warnings,
        environment=json.dumps({"data": data_versions, **environment().to_dict()}, indent=1),
    )
    return metrics, found


def _record_judgement(data: alpha.AlphaData, found: Evidence, walked: _Walked, run: RunLog) -> None:
    """Step 10, second half: series by date, figures, tables, the report."""
    days, developed, holdout = data.matrix.sessions, found.development, found.holdout
    both = developed.rank_ic
    if holdout is not None:
        both = np.where(np.isfinite(both), both, holdout.rank_ic)
    run.series("by_session/rank_ic", days, both)
    run.series("by_session/rank_ic_cumulative", days, np.where(np.isfinite(both), np.nancumsum(both), np.nan))
    traded = next(iter(developed.portfolios.values()))
    value = np.where(np.isfinite(traded.net), np.cumprod(1 + np.nan_to_num(traded.net)), np.nan)
    run.series("by_session/top_k_net_value", days, value)
    run.series("by_session/band_coverage", days, walked.outlook.coverage)
    for name, figure in _drawn(data, found).items():
        run.figure(f"figures/{name}.png", figure)
    run.json("rows_lost.json", data.labels.lost)
    if found.factors is not None:
        run.frame("factor_ic.json", found.factors)
    run.frame("band_by_session.parquet", pl.DataFrame(
        {"date": days, "coverage": walked.outlook.coverage, "width": walked.outlook.width}
    ))  # fmt: skip
    run.text("report.html", report_html(found))


def _drawn(data: alpha.AlphaData, found: Evidence) -> dict[str, Figure]:
    days, developed, holdout, horizon = data.matrix.sessions, found.development, found.holdout, found.horizon
    traded = next(iter(developed.portfolios.values()))
    drawn = {
        "01_rank_ic": figures.cumulative_ic(developed.rank_ic, days, developed.by_horizon[horizon]),
        "02_rank_ic_months": figures.ic_months(developed.rank_ic, days),
        "03_top_k": figures.portfolio_curve(traded),
        "04_entries": figures.entries_side_by_side(developed.portfolios),
        "05_deciles": figures.decile_bars(developed.deciles),
        "06_ic_by_horizon": figures.ic_by_horizon(developed.by_horizon),
        "07_importance": figures.feature_importance(found.importance or {}),
        "08_rows_lost": figures.rows_lost(found.lost),
        "09_turnover": figures.turnover_curve(traded),
    }
    if found.coverage is not None:
        drawn["10_coverage"] = figures.coverage_map(found.coverage.share, found.coverage.columns, days)
    if found.bands is not None and np.isfinite(found.bands.rolling).any():
        drawn["11_band"] = figures.band_coverage(
            found.bands.rolling, found.bands.width, days, target=found.bands.target
        )
    if holdout is not None:
        name = "Holdout RankIC"
        drawn["12_holdout_rank_ic"] = figures.cumulative_ic(
            holdout.rank_ic, days, holdout.by_horizon[horizon], name=name
        )
        drawn["13_holdout_top_k"] = figures.portfolio_curve(next(iter(holdout.portfolios.values())))
    return drawn
