"""The spread task: from the chains in the store to judged forecasts of spread excess returns and a book that serves.

prepare  store -> the pair of each product (training/spread_data.py)
pool     where a regression is among the models: the rows of all pairs, with their columns (training/spread_panel.py)
walk     each pair by each model, forward: fitted every so often, filtered daily (training/spread_walk.py); regressions
         on the rows of all pairs (training/spread_pool.py)
judge    forecasts against what came, trades net of costs (training/spread_judge.py)
final    the fits are the model: what serves carries them on (training/spread_book.py)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from features.panel import DataError
from features.store import Store
from training.evaluate.spread_evidence import PairEvidence, SpreadEvidence
from training.evaluate.spread_words import best, summary
from training.spread_book import SpreadBook, empty_walk, walked
from training.spread_config import SpreadConfig
from training.spread_data import PairSeries, SpreadData, gather
from training.spread_judge import UNCHANGED, judge_pair
from training.spread_panel import PooledPanel, pooled_panel
from training.spread_pool import pool_of, pool_walks, tracks_of


def prepare(config: SpreadConfig, store: Store, say: Callable[[str], None] = lambda line: None) -> SpreadData:
    """The pairs of the config's span; DataError where no product has one."""
    data = gather(config, store, say=say)
    if not data.series:
        why = "; ".join(f"{name}: {reason}" for name, reason in data.empty.items())
        raise DataError("spread", "some product must have a pair", why or "no product")
    return data


def pool(
    config: SpreadConfig, store: Store, data: SpreadData, say: Callable[[str], None] = lambda line: None
) -> PooledPanel | None:
    """The rows that regressions learn from; None where the config has none."""
    if not any(model.is_pooled for model in config.models.values()):
        return None
    panel = pooled_panel(config, store, data, say)
    say(f"regressions: {len(panel):,} rows of {len(panel.pairs)} pairs, {len(panel.columns)} columns")
    return panel


def walk(
    config: SpreadConfig,
    data: SpreadData,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    panel: PooledPanel | None = None,
) -> SpreadBook:
    """The walks of all pairs, those without a forecast among them.

    panel  what `pool` gave; without it regressions say nothing
    """
    walks = {name: empty_walk(config, name, why) for name, why in data.empty.items()}
    pools = {} if panel is None else pool_walks(config, panel)
    for model, found in pools.items():
        odd = _odd([fit.status for fit in found.fits])
        say(f"{model}: {len(found.fits):,} fits on all pairs, {odd} not plainly well")
    for done, (name, series) in enumerate(data.series.items(), 1):
        pooled = {} if panel is None else tracks_of(panel, pools, series)
        walks[name] = one = walked(config, series, pooled=pooled)
        fits = [fit.status for found in one.fits.values() for fit in found]
        say(f"{name}: {one.empty}" if one.empty else f"{name}: {len(fits):,} fits, {_odd(fits)} not plainly well")
        progress(done, len(data.series))
    kept = None if panel is None else pool_of(panel, pools)
    return SpreadBook(config, dict(sorted(walks.items())), data, kept)


def judge(
    config: SpreadConfig,
    data: SpreadData,
    book: SpreadBook,
    say: Callable[[str], None] = lambda line: None,
    notes: tuple[str, ...] = (),
) -> SpreadEvidence:
    """Every pair judged, and what is skipped with its reason; notes: what else a reader must know first."""
    judged = []
    for name, one in book.walks.items():
        if not one.empty:
            judged.append(judge_pair(config, one, data.series[name]))
            say(f"{name}: {headline_of(judged[-1])}")
    skipped = {name: one.empty for name, one in book.walks.items() if one.empty}
    first = min((one.sessions[config.split.least - 1] for one in judged), default=data.last)
    words = {"calendar": "calendar spreads", "basis": "bases", "cross": "products against each other"}
    return SpreadEvidence(
        title=f"{config.name}: {words[config.pairs.kind]} of futures",
        subtitle=f"{len(judged)} pairs, {len(config.models)} models, forecasts from {first} to {data.last}; "
        f"fitted on {config.split.least} to {config.split.train} sessions every {config.split.test}; "
        f"the last {config.split.holdout:.0%} judged apart",
        horizons=config.label.horizons,
        pairs=tuple(judged),
        skipped=skipped,
        warnings=(*data.notes, *notes, *_warnings(config, data)),
        settings=config.dump(),
    )


def headline_of(one: PairEvidence) -> str:
    """A pair in a line: the highest R² at each horizon, and what the served model's trades earned."""
    parts = []
    for h, rows in one.scores.items():
        row = best(rows)
        parts += [] if row is None else [f"{h}: {row.model} {row.zero.r2:+.2%}"]
    told = "R² by sessions ahead " + ", ".join(parts) if parts else "nothing to judge"
    if one.tradings and math.isfinite(one.tradings[0].summary.sharpe):
        told += f"; {one.tradings[0].model} trades at a Sharpe ratio of {one.tradings[0].summary.sharpe:.2f} net"
    return told


def metrics(evidence: SpreadEvidence) -> dict[str, float]:
    """The numbers of a run by name, means over pairs first: R² by horizon and model, and what trading earned."""
    counts: dict[str, float] = {"pairs/judged": len(evidence.pairs), "pairs/skipped": len(evidence.skipped)}
    out: dict[str, float] = {}
    means: dict[str, list[float]] = {}
    for one in evidence.pairs:
        for name, value in metrics_of(one).items():
            out[f"{one.name}/{name}"] = value
            means.setdefault(name, []).append(value)
    return counts | {f"mean/{name}": sum(found) / len(found) for name, found in means.items()} | out


def metrics_of(one: PairEvidence, model: str | None = None) -> dict[str, float]:
    """The finite numbers of a pair; of one model alone, if it is named."""
    out: dict[str, float] = {}
    for h, rows in one.scores.items():
        still = next((row.zero.r2 for row in rows if row.model == UNCHANGED), math.nan)
        for row in rows:
            if model in (None, row.model):
                if row.model != UNCHANGED and still < 1:
                    out[f"r2_unchanged_{h}/{row.model}"] = 1 - (1 - row.zero.r2) / (1 - still)
                out[f"r2_{h}/{row.model}"] = row.zero.r2
                out[f"r2_holdout_{h}/{row.model}"] = row.holdout
                out[f"direction_{h}/{row.model}"] = row.direction.accuracy
                out[f"ic_{h}/{row.model}"] = row.ic.ic
                out |= {} if row.ar1 is None else {f"r2_ar1_{h}/{row.model}": row.ar1.r2}
    for rule in one.tradings:
        if model in (None, rule.model):
            told = rule.summary
            numbers = {"sharpe": told.sharpe, "deflated": told.deflated, "annual": told.annual, "trades": told.closed}
            numbers |= {"losing": told.losing, "tail": told.tail, "drawdown": told.drawdown}
            out |= {f"{name}/{rule.model}": float(value) for name, value in numbers.items()}
    return {name: value for name, value in out.items() if math.isfinite(value)}


def table(config: SpreadConfig, evidence: SpreadEvidence) -> tuple[tuple[str, ...], ...]:
    """The leaderboard as text: a row a pair, the best model, what is served against nought and AR(1), its trades."""
    h = config.label.horizon
    of_best = (f"best at {h}", "its R²", "its holdout")
    of_served = (
        f"{config.served} {what}" for what in ("R²", "holdout", "beyond unchanged", "trades", "Sharpe", "lose")
    )
    head = ("pair", "sessions", *of_best, *of_served)
    rows: list[tuple[str, ...]] = [head]
    for one in evidence.pairs:
        top = best(one.scores.get(h, ()))
        mine = next((row for row in one.scores.get(h, ()) if row.model == config.served), None)
        cells = [f"{one.name} {one.zh}".strip(), f"{len(one.sessions):,}"]
        cells += ["-"] * 3 if top is None else [top.model, f"{top.zero.r2:+.2%}", _percent(top.holdout)]
        beyond = metrics_of(one).get(f"r2_unchanged_{h}/{config.served}", math.nan)
        cells += ["-"] * 3 if mine is None else [_percent(mine.zero.r2), _percent(mine.holdout), _percent(beyond)]
        if one.tradings:
            told = one.tradings[0].summary
            cells += [f"{told.closed}", f"{told.sharpe:.2f}" if math.isfinite(told.sharpe) else "-"]
            cells += [f"{told.losing:.0%}" if told.closed else "-"]
        else:
            cells += ["-", "-", "-"]
        rows.append(tuple(cells))
    return tuple(rows)


def note(config: SpreadConfig, evidence: SpreadEvidence, numbers: Mapping[str, float]) -> str:
    """The run's description in Markdown: what is foretold, by how much, what was skipped."""
    lines = [f"**{config.name}**: {evidence.subtitle}.", ""]
    lines += [f"- {h} session{'s' if h > 1 else ''} ahead: {summary(evidence.pairs, h)}" for h in evidence.horizons]
    text = table(config, evidence)
    lines += ["", "| " + " | ".join(text[0]) + " |", "|" + "---|" * len(text[0])]
    lines += ["| " + " | ".join(row) + " |" for row in text[1:]]
    lines += ["", f"{numbers['pairs/judged']:.0f} pairs judged; R² against a forecast of nought, out of sample."]
    lines += [f"- skipped {name}: {why}" for name, why in evidence.skipped.items()]
    lines += [f"- {one}" for one in evidence.warnings]
    return "\n".join(lines)


def _warnings(config: SpreadConfig, data: SpreadData) -> tuple[str, ...]:
    if config.pairs.kind == "basis":
        without = [name for name, one in data.series.items() if isinstance(one, PairSeries) and one.paid is None]
        season = f"dividends are not taken off the index of {', '.join(without)}: it returns with their seasons"
        return (
            *([season] if without else []),
            "an index cannot be sold, and until 2016 its futures closed a quarter of an hour behind it: what a basis "
            "gave back on the session after could not all be earned",
        )
    if config.pairs.kind == "cross":
        return (
            "pairs of products are entered only while they are candidates; forecasts are judged on all sessions",
            "R² against the AR(1) stands only where a model holds the AR(1)'s hedge",
        )
    return (
        "the label is less what an unchanged curve earns, by three prices at the close: R² of the row 'unchanged' lies "
        "in the label; what a model foretells is what it has beyond that row",
    )


def _odd(statuses: list[str]) -> int:
    return sum(status != "ok" for status in statuses)


def _percent(value: float) -> str:
    return f"{value:+.2%}" if math.isfinite(value) else "-"
