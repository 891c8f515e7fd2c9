"""The page of a run of volatility forecasts: a leaderboard over all products first, then a folded section a product."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from features.panel import Float64Array
from training.evaluate import volatility_charts as charts
from training.evaluate.page import NOTHING, Block, Drawing, Remark, Section, Table, number, page_html
from training.evaluate.volatility_evidence import CHOSEN, COMBINED, Backtest, VolatilityEvidence
from training.evaluate.volatility_product import product_section
from training.evaluate.volatility_words import (
    SHOWN_AS,
    SIGNIFICANT,
    Standing,
    fits_ended,
    forecasters,
    shown,
    standings,
    summary,
    verdict,
    ways_ended,
)

# Points that the lines of one figure kind share over all products, and the bounds of what a line gets of them.
POINTS_IN_ALL, LEAST_POINTS, MOST_POINTS = 12_000, 200, 1_500
FOOT = (
    "QLIKE 拟似然损失: p/f − ln(p/f) − 1 of the range proxy p and the forecast f; less is better. DM: Diebold–Mariano "
    "with Harvey's correction, negative where the model is better; the p of the best of several models is of one "
    "comparison chosen afterwards: the confidence set allows for the choice. MSE: mean squared error over the "
    "base's. MZ: Mincer–Zarnowitz, p of a = 0 and b = 1. Years have 242 sessions. All forecasts are "
    "walk-forward. chosen: the model with the least QLIKE of late, as it was known then; combined: the mean of the log "
    "variances of the confidence set, as it was known then."
)


def volatility_html(evidence: VolatilityEvidence) -> str:
    """The report as one text of HTML; parts that the evidence lacks are named, with the reason."""
    points = points_per_line(len(evidence.products))
    sections = [_leaderboard(evidence), _risk(evidence), _fitting(evidence)]
    if evidence.products:
        told = "Each opens by a click on its line, or from the links at the top; what is open is what is printed."
        sections.append(Section("products", "Products", "各品种", (Remark(told),)))
    sections += [product_section(product, evidence, points) for product in evidence.products]
    sections.append(_settings(evidence))
    return page_html(evidence.title, evidence.subtitle, sections, foot=FOOT)


def points_per_line(products: int) -> int:
    """Points that a line may have, so that a page of many products stays readable and small."""
    return int(np.clip(POINTS_IN_ALL // max(products, 1), LEAST_POINTS, MOST_POINTS))


def ratios(evidence: VolatilityEvidence, models: list[str]) -> dict[int, Float64Array]:
    """horizon -> (P, J) mean QLIKE over the base's, NaN where a forecaster was not judged."""
    found = {}
    for horizon in evidence.horizons:
        table = np.full((len(evidence.products), len(models)), np.nan)
        for row, product in enumerate(evidence.products):
            for score in product.scores.get(horizon, ()):
                table[row, models.index(score.model)] = score.ratio
        found[horizon] = table
    return found


def _leaderboard(evidence: VolatilityEvidence) -> Section:
    blocks: list[Block] = [Remark(warning, "warning") for warning in evidence.warnings]
    if not evidence.products:
        blocks.append(Remark("No product has a forecast; the reasons stand below.", "warning"))
        return Section("leaderboard", "Leaderboard", "排行榜", (*blocks, *_skipped(evidence)))
    said = tuple((f"{h}", summary(evidence, h)) for h in evidence.horizons)
    blocks.append(Table(("sessions ahead", "who has the least QLIKE"), said, texts=2))
    blocks += [Remark(_reach(evidence)), *_skipped(evidence), _map(evidence)]
    blocks += [_standings(evidence, horizon) for horizon in evidence.horizons]
    blocks.append(_where(evidence))
    return Section("leaderboard", "Leaderboard", "排行榜", tuple(blocks))


def _reach(evidence: VolatilityEvidence) -> str:
    sessions = [len(product.sessions) for product in evidence.products]
    first = min(product.sessions[0] for product in evidence.products if len(product.sessions))
    last = max(product.sessions[-1] for product in evidence.products if len(product.sessions))
    return (
        f"{len(sessions)} product{'s' if len(sessions) > 1 else ''}, {sum(sessions):,} sessions with forecasts at "
        f"{len(evidence.horizons)} horizons, {first} to {last}; served: {shown(evidence.served_as)}."
    )


def _skipped(evidence: VolatilityEvidence) -> list[Block]:
    if not evidence.skipped:
        return []
    rows = tuple(evidence.skipped.items())
    return [Table(("product without forecasts", "why"), rows, f"{len(rows)} left out 未预测", texts=2)]


def _map(evidence: VolatilityEvidence) -> Block:
    models = forecasters(product.scores.get(h, ()) for product in evidence.products for h in evidence.horizons)
    if not models:
        return Remark("Not here: no forecast's horizon is over, so that nothing could be judged.", "absent")
    labels = [f"{product.product} {product.zh}".strip() for product in evidence.products]
    table = ratios(evidence, models)
    base = shown(evidence.base, evidence.base)
    own = [model in SHOWN_AS for model in models]
    figure = charts.leaderboard(labels, models, table, evidence.base, base, made_of_others=own)
    remark = (
        f"Mean QLIKE of each forecaster over that of {base} on the same forecasts. ★: the best model of the row, "
        f"{CHOSEN} and {COMBINED} (made of the models, walk-forward) apart."
    )
    return Drawing(figure, remark)


def _standings(evidence: VolatilityEvidence, horizon: int) -> Table:
    base = shown(evidence.base, evidence.base)
    rows = tuple(_standing(one, evidence.base) for one in standings(evidence, horizon))
    head = ("median ratio", "has the least", f"beats {base} (5 %)", f"loses to {base} (5 %)", "in the confidence set")
    name = f"{horizon} session{'s' if horizon > 1 else ''} ahead"
    return Table((name, *head, "products", "forecasts"), rows)


def _standing(one: Standing, base: str) -> tuple[str, ...]:
    own = one.model == base
    return (
        shown(one.model, base),
        number(one.median, ".3f"),
        f"{one.wins}",
        NOTHING if own else f"{one.beats}",
        NOTHING if own else f"{one.loses}",
        f"{one.in_set} of {one.in_set_of}" if one.in_set_of else NOTHING,
        f"{one.products}",
        f"{one.forecasts:,}",
    )


def _where(evidence: VolatilityEvidence) -> Table:
    rows = tuple(
        (
            f"{product.product} {product.zh}".strip(),
            *(verdict(product.scores.get(h, ()), evidence.base) for h in evidence.horizons),
        )
        for product in evidence.products
    )
    head = ("product 品种", *(f"{h} ahead" for h in evidence.horizons))
    return Table(head, rows, "Who wins where 各品种胜者", texts=len(head))


def _risk(evidence: VolatilityEvidence) -> Section:
    tests = [test for product in evidence.products for test in product.backtests]
    if not tests:
        absent = Remark("Not here: no product has a backtest of its value at risk.", "absent")
        return Section("risk", "Value at risk", "在险价值", (absent,))
    keys = list(dict.fromkeys((test.model, test.level) for test in tests))
    rows = tuple(
        _pooled(shown(model, evidence.base), level, [t for t in tests if (t.model, t.level) == (model, level)])
        for model, level in keys
    )
    head = ("level", "breaches", "expected", "rate", "Kupiec", "Christoffersen", "DQ", "ES Z₂", "products")
    told = "Rejected at 5 %: on how many products. By chance alone it is one in twenty."
    blocks = (Table(("over all products", *head), rows, "Breaches, and products on which a test rejects"), Remark(told))
    return Section("risk", "Value at risk", "在险价值", blocks)


def _pooled(name: str, level: float, tests: list[Backtest]) -> tuple[str, ...]:
    breaches, n = sum(test.breaches for test in tests), sum(test.n for test in tests)

    def rejected(values: list[float]) -> str:
        known = [value for value in values if math.isfinite(value)]
        return f"{sum(value < SIGNIFICANT for value in known)} of {len(known)}" if known else NOTHING

    short = [t.z2 - t.z2_critical for t in tests if math.isfinite(t.z2) and math.isfinite(t.z2_critical)]
    return (
        name,
        f"{level:.1%}",
        f"{breaches:,}",
        f"{sum(test.expected for test in tests):,.1f}",
        f"{breaches / n:.2%}" if n else NOTHING,
        rejected([test.kupiec_p for test in tests]),
        rejected([test.christoffersen_p for test in tests]),
        rejected([test.dq_p for test in tests]),
        f"{sum(value < 0 for value in short)} of {len(short)}" if short else NOTHING,
        f"{len(tests)}",
    )


def _fitting(evidence: VolatilityEvidence) -> Section:
    ended: dict[str, Counter[str]] = {}
    for product in evidence.products:
        for model, counts in fits_ended(product).items():
            ended.setdefault(model, Counter()).update(counts)
    if not ended:
        absent = Remark("Not here: the evidence holds no fits.", "absent")
        return Section("fits", "Fits", "估计", (absent,))
    kinds = ways_ended(ended.values())
    rows = tuple(
        (model, f"{counts.total():,}", *(_share(counts[kind], counts.total()) for kind in kinds))
        for model, counts in ended.items()
    )
    caption = "How the fits of the walk ended, all products"
    return Section("fits", "Fits", "估计", (Table(("model", "fits", *kinds), rows, caption),))


def _share(count: int, whole: int) -> str:
    return f"{count:,} ({count / whole:.1%})"


def _settings(evidence: VolatilityEvidence) -> Section:
    texts = (("Config, resolved", evidence.settings), ("Data and code", evidence.environment))
    blocks = [block for title, text in texts if text for block in (Remark(title), Remark(text, "pre"))]
    return Section("settings", "Settings and versions", "配置与版本", tuple(blocks))
