"""The evidence of a run: its judgements put beside the ledger, the factors, the groups, as the report takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from features.factor import Factor
from features.panel import Float64Array, Matrix
from models.blocks import release
from training.alpha_config import AlphaConfig
from training.evaluate.capacity import capacity
from training.evaluate.evidence import BandEvidence, Evidence, FactorCoverage, Headline, Significance
from training.evaluate.ic import IcSummary, by_board, by_size, daily_ic, ic_by_group, ic_by_year
from training.evaluate.intervals import rolling_coverage
from training.evaluate.significance import benjamini_hochberg, newey_west, overlap_lag, p_value
from training.ledger import Trials
from training.page import HEADLINE
from training.tasks.alpha import AlphaData, Judgement
from training.uncertainty import Outlook

_INTERVALS = {
    "rank_ic/mean": "rank_ic",
    "top_k/excess_over_universe": "net_excess",
}


def factor_table(
    config: AlphaConfig, data: AlphaData, known: Mapping[str, Factor], share: Float64Array
) -> pl.DataFrame:
    """Each factor's own RankIC before the holdout, with q-values over all of them (Benjamini and Hochberg).

    On every horizon-th session, whose outcomes do not overlap; strongest first.
    share  (T, K) of the universe on which a factor is defined
    """
    table, value = data.matrix, data.labels.known_before(int(data.split.holdout[0])).value
    sessions = np.arange(int(table.session[0]), int(data.split.holdout[0]), config.label.horizon)
    daily = _ics(table, value, sessions, config.evaluate.min_names)
    found = [newey_west(ic, overlap_lag(1, int(np.isfinite(ic).sum()))) for ic in daily]
    p = np.array([p_value(one) for one in found])
    columns = {
        "factor": list(table.columns),
        "中文": [known[name].zh for name in table.columns],
        "ic": [one.mean for one in found],
        "t": [one.t for one in found],
        "p": p,
        "q": benjamini_hochberg(p),
        "sessions": [one.n for one in found],
        "coverage": np.nanmean(share, axis=0),
    }
    return pl.DataFrame(columns, nan_to_null=True).sort(pl.col("t").abs(), descending=True, nulls_last=True)


def _ics(table: Matrix, value: Float64Array, sessions: np.ndarray, least: int) -> list[Float64Array]:
    """Daily RankIC of each column on the sessions, (S,) each."""
    starts = np.searchsorted(table.session, sessions)
    stops = np.searchsorted(table.session, sessions + 1)
    out = np.full((len(table.columns), len(sessions)), np.nan)
    for i, (t, a, b) in enumerate(zip(sessions, starts, stops, strict=True)):
        if b - a >= least:
            rows = np.ascontiguousarray(table.values[a:b].T, dtype=np.float64)
            outcome = np.broadcast_to(value[t, table.asset[a:b]], rows.shape)
            out[:, i] = daily_ic(rows, outcome, min_names=least)
            release(table.values[a:b])
    return list(out)


def groups(
    config: AlphaConfig, data: AlphaData, judged: Judgement, score: Float64Array
) -> dict[str, dict[str, IcSummary]]:
    """RankIC inside boards, inside thirds by turnover, and by year."""
    value, least = data.labels.value, max(config.evaluate.min_names // 10, 5)
    size = by_size(data.quotes["total_turnover"], data.universe)
    kinds = {"board": by_board(data.matrix.assets), "size": size}
    horizon = config.label.horizon
    found = {kind: ic_by_group(score, value, group, horizon=horizon, min_names=least) for kind, group in kinds.items()}
    found["year"] = ic_by_year(judged.rank_ic, data.matrix.sessions, horizon=horizon)
    return {kind: {name: one for name, one in told.items() if one.n} for kind, told in found.items()}


def significance(judged: Judgement, trials: Trials, dsr: float, looks: int) -> Significance:
    """What is left of the numbers when the search for them is taken into account."""
    boot = judged.bootstrap
    return Significance(
        trials=trials.n,
        looks=looks,
        dsr=dsr if np.isfinite(dsr) else None,
        intervals={
            "mean RankIC, Newey–West": (judged.mean.lo, judged.mean.hi),
            "mean RankIC, block bootstrap": (boot["rank_ic"].lo, boot["rank_ic"].hi),
            "net excess a year, block bootstrap": (boot["net_excess"].lo, boot["net_excess"].hi),
            "Sharpe of the net excess, block bootstrap": (boot["net_excess_sharpe"].lo, boot["net_excess_sharpe"].hi),
        },
        remarks={"deciles rise throughout (Patton–Timmermann p)": f"{judged.monotone:.3f}"},
    )


def headlines(judged: Judgement, metrics: Mapping[str, float]) -> list[Headline]:
    """The rows that the report begins with."""
    rows = []
    for label, metric, spec, _ in HEADLINE:
        if metric not in metrics or metric in ("rank_ic/lo", "rank_ic/hi"):
            continue
        sealed = metrics.get(f"holdout_{metric}")
        interval = ""
        if metric in _INTERVALS:
            found = judged.bootstrap[_INTERVALS[metric]]
            interval = f"{found.lo:{spec}} to {found.hi:{spec}}"
        rows.append(
            Headline(label, f"{metrics[metric]:{spec}}", interval, "" if sealed is None else f"{sealed:{spec}}")
        )
    return rows


def evidence(
    config: AlphaConfig,
    data: AlphaData,
    judged: Judgement,
    holdout: Judgement | None,
    *,
    metrics: Mapping[str, float],
    told: Significance,
    outlook: Outlook,
    by_group: Mapping[str, Mapping[str, IcSummary]],
    factors: pl.DataFrame,
    share: Float64Array,
    importance: Mapping[str, float],
    zh: Mapping[str, str],
    warnings: Sequence[str],
    environment: str,
) -> Evidence:
    """All of it, as the report takes it."""
    days, label = data.matrix.sessions, config.label
    tests = data.split.folds
    spans = f"walk-forward {days[tests[0].test[0]]} to {days[tests[-1].test[-1]]}"
    if holdout is not None:
        spans += f", holdout {days[data.split.holdout[0]]} to {days[data.split.holdout[-1]]}"
    absent = {"significance": "", "holdout": "it stays sealed until the model is registered"}
    if config.intervals is None:
        absent["bands"] = "the config asks for no intervals"
    return Evidence(
        title=config.name,
        subtitle=f"{config.model.kind} on {len(data.matrix.columns)} factors of {len(data.matrix.assets)} assets; "
        f"{label.horizon}-session excess return over the {label.excess}, entry {label.entry}\n{spans}",
        warnings=warnings,
        headline=headlines(judged, metrics),
        sessions=days,
        horizon=label.horizon,
        development=judged,
        holdout=holdout,
        lost=data.labels.lost,
        settings=config.dump(),
        environment=environment,
        significance=told,
        rank_ic_lost=judged.paper.mean - judged.rank.mean,
        importance=importance,
        zh=zh,
        factors=factors,
        coverage=FactorCoverage(share, data.matrix.columns),
        bands=None if config.intervals is None else _bands(outlook, config.intervals.coverage),
        by_group=by_group,
        capacity=capacity(judged.orders, next(iter(judged.portfolios))),
        absent={part: why for part, why in absent.items() if why},
    )


def _bands(outlook: Outlook, target: float) -> BandEvidence:
    return BandEvidence(rolling_coverage(outlook.coverage), outlook.width, target)
