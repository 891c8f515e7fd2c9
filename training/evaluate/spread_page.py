"""The page of a run on spreads: what is foretold and what it earned first, then a folded section a pair and product."""

from __future__ import annotations

import numpy as np

from features.panel import Float64Array
from training.evaluate import spread_charts as charts
from training.evaluate.page import NOTHING, Block, Check, Checks, Drawing, Remark, Section, Table, number, page_html
from training.evaluate.spread_curve import curve_section
from training.evaluate.spread_evidence import PairEvidence, RuleTrading, SpreadEvidence
from training.evaluate.spread_pair import assumptions, pair_section
from training.evaluate.spread_score import CERTAIN, ENOUGH
from training.evaluate.spread_words import summary, verdict
from training.evaluate.volatility_page import points_per_line
from training.evaluate.volatility_words import p_value

FOOT = (
    "R²: 1 − squared errors over the base's, out of sample. p: one-sided; Clark–West where the base is nested in the "
    "model, else Diebold–Mariano (DM). The p of the best of several models is of one comparison chosen afterwards. "
    "Direction: Pesaran–Timmermann, by the regression that overlapping outcomes do not fool. IC: correlation over "
    "time, Newey–West. Sharpe ratios have 242 sessions a year, net of costs, sessions without a position counted; "
    "their p is Newey–West's. Deflated Sharpe: probability that it is more than the luck of the best rule tried. "
    "Returns are on the capital of one leg."
)
RULE_HEAD = (
    "pair, signal 组合",
    "trades",
    "net\u00a0a year",
    "costs a\u00a0year",
    "Sharpe",
    "p",
    "deflated",
    "deepest fall",
    "lose",
    "95\u00a0%",
    "worst trade",
    "worst 1/20",
    "carries, m\u00a0CNY",
)


def spread_html(evidence: SpreadEvidence) -> str:
    """The report as one text of HTML; parts that the evidence lacks are named, with the reason."""
    points = points_per_line(len(evidence.pairs) + len(evidence.curves))
    sections = [_summary(evidence)]
    if evidence.pairs:
        sections.append(_money(evidence))
    told = "Each opens by a click on its line, or from the links at the top; what is open is what is printed."
    if evidence.curves:
        sections.append(Section("curves", "Term structures", "期限结构", (Remark(told),)))
        sections += [curve_section(curve, points) for curve in evidence.curves]
    if evidence.pairs:
        sections.append(Section("pairs", "Pairs", "价差组合", (Remark(told),)))
        sections += [pair_section(pair, points) for pair in evidence.pairs]
    sections.append(_settings(evidence))
    return page_html(evidence.title, evidence.subtitle, sections, foot=FOOT)


def r2_table(pairs: tuple[PairEvidence, ...], models: list[str], horizon: int) -> Float64Array:
    """R² against nought (P, J), NaN where a model was not judged."""
    found = np.full((len(pairs), len(models)), np.nan)
    for row, pair in enumerate(pairs):
        for score in pair.scores.get(horizon, ()):
            found[row, models.index(score.model)] = score.zero.r2
    return found


def models_of(pairs: tuple[PairEvidence, ...], horizons: tuple[int, ...]) -> list[str]:
    """Models that were judged, in the order in which they first appear."""
    return list(dict.fromkeys(score.model for pair in pairs for h in horizons for score in pair.scores.get(h, ())))


def _summary(evidence: SpreadEvidence) -> Section:
    blocks: list[Block] = [Remark(warning, "warning") for warning in evidence.warnings]
    if not evidence.pairs and not evidence.curves:
        blocks.append(Remark("There is no pair and no product; the reasons stand below.", "warning"))
    if evidence.skipped:
        rows = tuple(evidence.skipped.items())
        blocks.append(Table(("left out 未纳入", "why"), rows, texts=2))
    if evidence.pairs:
        said = tuple((f"{h}", summary(evidence.pairs, h)) for h in evidence.horizons)
        blocks.append(Table(("sessions ahead", "is the return of the spread foretold?"), said, texts=2))
        blocks += _foretold(evidence)
    return Section("summary", "What is foretold", "预测", tuple(blocks))


def _foretold(evidence: SpreadEvidence) -> list[Block]:
    models = models_of(evidence.pairs, evidence.horizons)
    if not models:
        return [Remark("Not here: no forecast's horizon is over, so that nothing could be judged.", "absent")]
    labels = [_label(pair) for pair in evidence.pairs]
    figure = charts.r2_map(labels, models, {h: r2_table(evidence.pairs, models, h) for h in evidence.horizons})
    rows = tuple(
        (_label(pair), *(verdict(pair.scores.get(h, ())) for h in evidence.horizons)) for pair in evidence.pairs
    )
    head = ("pair 组合", *(f"{h} ahead" for h in evidence.horizons))
    return [Drawing(figure), Table(head, rows, "Pair by pair 各组合", texts=len(head))]


def _label(pair: PairEvidence) -> str:
    return f"{pair.name} {pair.zh}".strip()


def _money(evidence: SpreadEvidence) -> Section:
    rules = [(pair, one) for pair in evidence.pairs for one in pair.tradings]
    if not rules:
        absent = Remark("Not here: no pair was traded.", "absent")
        return Section("money", "What trading it earned", "交易", (absent,))
    rows = tuple(_rule(pair, one) for pair, one in rules)
    table = Table(RULE_HEAD, rows, "All rules, net of costs 扣费后")
    blocks = (_certain(rules), table, Remark(assumptions(rules[0][1])))
    return Section("money", "What trading it earned", "交易", blocks)


def _rule(pair: PairEvidence, one: RuleTrading) -> tuple[str, ...]:
    told = one.summary
    years = told.n / 242 if told.n else float("nan")
    span = f"{told.losing_lo:.0%}\u2060–\u2060{told.losing_hi:.0%}" if told.closed else NOTHING
    return (
        f"{pair.name}, {one.model}",
        f"{told.closed}",
        number(told.annual, "+.2%"),
        number(told.costs / years, ".2%") if told.n else NOTHING,
        number(told.sharpe, ".2f"),
        p_value(told.p),
        number(told.deflated, ".2f"),
        number(told.drawdown, ".2%"),
        number(told.losing, ".0%"),
        span,
        number(told.worst, "+.2%"),
        number(told.tail, "+.2%"),
        number(told.capacity / 1e6, ",.1f"),
    )


def _certain(rules: list[tuple[PairEvidence, RuleTrading]]) -> Checks:
    """Claim C-FUT-9: that a spread which goes back is arbitrage of high certainty."""
    told = [one.summary for _, one in rules if one.summary.closed]
    closed = sum(one.closed for one in told)
    if not told:
        return Checks((Check("Is it certain? 高确定性", "no trade has ended", f"deflated Sharpe > {CERTAIN}", None),))
    losing = sum(one.losing * one.closed for one in told) / closed
    sure = sum(one.is_certain for one in told)
    worst = min(one.worst for one in told)
    found = f"{sure} of {len(told)} rules; {losing:.0%} of {closed:,} trades lose, the worst {worst:+.2%}"
    must = f"deflated Sharpe > {CERTAIN} on every rule, in {ENOUGH} trades or more (C-FUT-9)"
    lucky = any(not one.deflated > CERTAIN for one in told)
    passed = False if lucky else True if sure == len(told) else None
    return Checks((Check("Is going back certain? 高确定性", found, must, passed),))


def _settings(evidence: SpreadEvidence) -> Section:
    texts = (("Config, resolved", evidence.settings), ("Data and code", evidence.environment))
    blocks = [block for title, text in texts if text for block in (Remark(title), Remark(text, "pre"))]
    return Section("settings", "Settings and versions", "配置与版本", tuple(blocks))
