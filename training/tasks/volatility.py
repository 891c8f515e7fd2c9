"""The volatility task: from the chains in the store to judged forecasts and a book that serves.

prepare  store -> a series of returns for each product (training/volatility_data.py)   (steps 3 and 4 of the road)
walk     each series by each model, forward: fitted every so often, filtered daily (training/walk_jobs.py)   (step 8)
judge    forecasts against ranges and returns -> leaderboards (training/volatility_judge.py)   (step 9)
final    the walks are the model: what serves carries them on (training/book.py)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.panel import DataError
from features.store import Store
from models.volatility.risk import seed_of
from training.book import Book, margin_call, seen_by, sized
from training.evaluate.volatility_evidence import CHOSEN, COMBINED, Position, ProductEvidence, VolatilityEvidence
from training.evaluate.volatility_words import summary, winner
from training.volatility_config import VolatilityConfig
from training.volatility_data import Series, VolatilityData, gather
from training.volatility_judge import judge_product
from training.volatility_served import ServedForecasts
from training.walk_jobs import walk_all
from training.walked import Walked

_HIGHEST = 0.99
_VOLUME_SESSIONS = 20


def prepare(config: VolatilityConfig, store: Store, say: Callable[[str], None] = lambda line: None) -> VolatilityData:
    """The series of the config's span; DataError where no product has one."""
    data = gather(config, store, say=say)
    if not data.series:
        why = "; ".join(f"{product}: {reason}" for product, reason in data.empty.items())
        raise DataError("volatility", "some product must have returns", why or "no product")
    return data


def walk(
    config: VolatilityConfig,
    data: VolatilityData,
    scratch: Path,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    jobs: int | None = None,
) -> Book:
    """Step 8: the walks of all products, those that an interrupted training left in `scratch` not again."""
    walks = walk_all(config, data.series, scratch, say, progress, jobs=jobs)
    nothing = np.empty(0, dtype="datetime64[D]"), np.empty(0)
    walks |= {product: Walked(product, *nothing, {}, {}, why) for product, why in data.empty.items()}
    return Book(config, dict(sorted(walks.items())), data)


def judge(
    config: VolatilityConfig, data: VolatilityData, book: Book, say: Callable[[str], None] = lambda line: None
) -> VolatilityEvidence:
    """Step 9: every product judged, and what is skipped with its reason."""
    judged = []
    for product, walked in book.walks.items():
        if not walked.empty:
            one = judge_product(config, walked, data.series[product], book.served[product])
            judged.append(_with_position(config, one, walked, data.series[product], book.served[product]))
            say(f"{product}: {headline_of(one, config)}")
    skipped = {product: walked.empty for product, walked in book.walks.items() if walked.empty}
    first = min((one.sessions[0] for one in judged), default=data.last)
    return VolatilityEvidence(
        title=f"{config.name}: volatility of futures",
        subtitle=f"{len(judged)} products, {len(config.models)} models, forecasts from {first} to {data.last}; "
        f"fitted on {config.walk.min_window} to {config.walk.window} sessions every {config.walk.refit}",
        base=config.base,
        served_as=CHOSEN if config.choice.serve == "best" else COMBINED,
        horizons=config.forecast.horizons,
        levels=config.forecast.levels,
        products=tuple(judged),
        skipped=skipped,
        warnings=tuple(_warnings(data)),
        settings=config.dump(),
    )


def headline_of(one: ProductEvidence, config: VolatilityConfig) -> str:
    """A product in a line: who is best at each horizon, and against the base."""
    best = {h: winner(rows, config.base) for h, rows in one.scores.items()}
    parts = [f"{h}: {row.model} {row.ratio:.3f}" for h, row in best.items() if row is not None]
    return f"QLIKE over {config.base}'s, sessions ahead " + ", ".join(parts)


def metrics(evidence: VolatilityEvidence) -> dict[str, float]:
    """The numbers of a run by name: means over products, and of each product."""
    out: dict[str, float] = {"products/judged": len(evidence.products), "products/skipped": len(evidence.skipped)}
    ratios: dict[tuple[int, str], list[float]] = {}
    for one in evidence.products:
        for h, rows in one.scores.items():
            for row in rows:
                if math.isfinite(row.ratio):
                    ratios.setdefault((h, row.model), []).append(row.ratio)
                    out[f"{one.product}/qlike_ratio_{h}/{row.model}"] = row.ratio
    for (h, model), found in ratios.items():
        out[f"qlike_ratio_{h}/{model}"] = float(np.exp(np.mean(np.log(found))))
    served = [row for one in evidence.products for row in one.backtests if row.model == "served"]
    for level in evidence.levels:
        tests = [row for row in served if row.level == level and row.n]
        if tests:
            out[f"var_{level:g}/breach_rate"] = sum(row.breaches for row in tests) / sum(row.n for row in tests)
            out[f"var_{level:g}/products_fine"] = float(np.mean([row.verdict == "fine" for row in tests]))
    statuses = [refit.status for one in evidence.products for refit in one.refits]
    if statuses:
        out["fits/share_by_chain"] = float(np.mean([status != "ok" for status in statuses]))
        out["fits/number"] = len(statuses)
    return out


def table(evidence: VolatilityEvidence) -> tuple[tuple[str, ...], ...]:
    """The leaderboard as text: a row a product, the best model and what is served at three horizons, the VaR."""
    shown = [h for h in evidence.horizons if h in (1, 5, 20)] or list(evidence.horizons[:1])
    level = max(evidence.levels)
    head = ["product", "forecasts"]
    for h in shown:
        head += [f"best at {h}", "ratio", "served"]
    rows = [(*head, f"VaR {level:.1%} breaches", "verdict")]
    for one in evidence.products:
        cells = [f"{one.product} {one.zh}".strip(), f"{len(one.sessions):,}"]
        for h in shown:
            best = winner(one.scores[h], evidence.base)
            made = next((row for row in one.scores[h] if row.model == evidence.served_as), None)
            cells += ["-", "-"] if best is None else [best.model, f"{best.ratio:.3f}"]
            cells.append("-" if made is None or not math.isfinite(made.ratio) else f"{made.ratio:.3f}")
        found = next((row for row in one.backtests if row.model == "served" and row.level == level), None)
        told = ("-", "-") if found is None else (f"{found.breaches} of {found.n:,}", found.verdict)
        rows.append((*cells, *told))
    return tuple(rows)


def note(config: VolatilityConfig, evidence: VolatilityEvidence, numbers: Mapping[str, float]) -> str:
    """The run's description in Markdown: who wins, by how much, what was skipped."""
    lines = [f"**{config.name}**: {evidence.subtitle}.", ""]
    lines += [f"- {h} session{'s' if h > 1 else ''} ahead: {summary(evidence, h)}" for h in evidence.horizons]
    text = table(evidence)
    lines += ["", "| " + " | ".join(text[0]) + " |", "|" + "---|" * len(text[0])]
    lines += ["| " + " | ".join(row) + " |" for row in text[1:]]
    lines += ["", f"Ratios are mean QLIKE over that of {config.base}; below 1 is better."]
    if "fits/share_by_chain" in numbers:
        lines.append(f"Fits that needed the chain of failure: {numbers['fits/share_by_chain']:.2%}.")
    lines += [f"- skipped {product}: {why}" for product, why in evidence.skipped.items()]
    lines += [f"- {one}" for one in evidence.warnings]
    return "\n".join(lines)


def _with_position(
    config: VolatilityConfig, one: ProductEvidence, walked: Walked, series: Series, served: ServedForecasts
) -> ProductEvidence:
    """The position of the next session, where the contract's price and multiplier are known."""
    found, origin = series.continuous, len(walked.sessions) - 1
    at, levels = int(series.row[origin]), list(config.forecast.levels)
    name = served.models[int(served.used[-1, 0])]
    fit = walked.tracks[name].fit_at(origin)
    why = ""
    if not math.isfinite(found.multiplier):
        why = "the contract's multiplier is not known"
    elif _HIGHEST not in levels:
        why = f"forecast.levels does not hold {_HIGHEST}"
    elif fit is None or fit.fitted is None or one.var is None:
        why = "the model has no fit"
    if why or fit is None or fit.fitted is None or one.var is None:
        return replace(one, absent={**one.absent, "position": why})
    sigma = math.sqrt(one.served[-1, 0] / config.forecast.horizons[0])
    volume = found.volume[max(0, at + 1 - _VOLUME_SESSIONS) : at + 1]
    price = float(found.close[at])
    position = sized(
        config.sizing, one.product, price, found.multiplier, sigma, float(one.var[-1, levels.index(_HIGHEST)]), volume
    )
    window = seen_by(config, series, fit.origin, origin)
    seed = seed_of(one.product, walked.sessions[origin].astype(object))
    call = margin_call(config.sizing, position, fit.fitted, window, paths=config.forecast.paths, seed=seed)
    told = Position(position.margin, position.leverage, position.contracts, position.binds, max(call))
    return replace(one, position=told)


def _warnings(data: VolatilityData) -> list[str]:
    """What a reader must see first: that the market is made up, series whose jumps at rolls are inside."""
    spliced = [name for name, one in data.series.items() if any("roll jumps" in note for note in one.notes)]
    if not spliced:
        return list(data.notes)
    return [*data.notes, f"series spliced by their vendor, with the jumps of their rolls inside: {', '.join(spliced)}"]
