"""The report's sections on money: portfolio, costs, capacity."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from training.evaluate import money_charts
from training.evaluate.capacity import Capacity
from training.evaluate.evidence import Evidence, Judged
from training.evaluate.money_charts import ENTRY_NAMES
from training.evaluate.page import NOTHING, Block, Drawing, Remark, Section, Table, number
from training.evaluate.performance import Drawdown, deepest_drawdown, relative
from training.evaluate.portfolio import PortfolioResult

_NUMBERS = (
    ("net return a year 年化收益", "annual_return", "+.2%"),
    ("universe, same fills, a year", "universe_annual_return", "+.2%"),
    ("net excess over universe a year 超额收益", "excess_over_universe", "+.2%"),
    ("information ratio over universe", "information_ratio_universe", "+.2f"),
    ("sessions ahead of universe 胜率", "hit_rate_universe", ".1%"),
    ("benchmark a year", "benchmark_annual_return", "+.2%"),
    ("net excess over benchmark a year", "excess_over_benchmark", "+.2%"),
    ("return before costs a year", "gross_annual_return", "+.2%"),
    ("costs a year 成本", "annual_cost", ".2%"),
    ("volatility a year 波动率", "annual_volatility", ".2%"),
    ("Sharpe ratio, net", "sharpe", "+.2f"),
    ("worst month", "worst_month", "+.2%"),
    ("months above 0", "months_above_zero", ".1%"),
    ("one-way turnover a year 换手, times", "annual_turnover", ".1f"),
    ("orders to buy that failed", "blocked_entries", ",.0f"),
    ("orders to sell that waited", "blocked_exits", ",.0f"),
    ("assets held, mean", "mean_positions", ".1f"),
    ("sessions", "sessions", ",.0f"),
)


def portfolio_section(evidence: Evidence) -> Section:
    """Entries side by side, growth, excess, drawdown, months."""
    first, sealed = _headline(evidence.development), _headline(evidence.holdout)
    if first is None:
        why = evidence.absent.get("portfolios", "no portfolio was simulated")
        return Section("portfolio", "Portfolio", "组合", (Remark(f"Not here: {why}.", "absent"),))
    held = None if evidence.holdout is None else evidence.holdout.portfolios
    blocks = (
        _entries(evidence),
        Drawing(money_charts.growth(first, sealed), _which(evidence)),
        Drawing(money_charts.excess_by_entry(evidence.development.portfolios, held)),
        Drawing(money_charts.drawdowns(first, sealed)),
        Drawing(money_charts.excess_months(first, sealed), "In brackets the year."),
    )
    return Section("portfolio", "Long-only portfolio", "多头组合", blocks)


def cost_section(evidence: Evidence) -> Section:
    """What trading cost, by kind, and how much was traded."""
    first = _headline(evidence.development)
    if first is None:
        return Section("costs", "Costs and turnover", "成本与换手", (Remark("Not here: no portfolio.", "absent"),))
    rows = tuple(
        (
            kind.replace("_", " "),
            f"{paid.sum() / 1e6:,.2f}",
            number(first.summary.get(f"annual_cost_{kind}", math.nan), ".3%"),
        )
        for kind, paid in first.costs.items()
    )
    whole = sum(float(paid.sum()) for paid in first.costs.values()) / 1e6
    rows += (("all", f"{whole:,.2f}", number(first.summary.get("annual_cost", math.nan), ".3%")),)
    blocks: tuple[Block, ...] = (
        Table(("walk-forward, headline entry", "million CNY", "of the value a year"), rows),
        Drawing(money_charts.costs(first), half=True),
        Drawing(money_charts.turnover(first), half=True),
    )
    return Section("costs", "Costs and turnover", "成本与换手", blocks)


def capacity_section(evidence: Evidence) -> Section:
    """How the net excess falls with the money that trades."""
    found = evidence.capacity
    if found is None:
        why = evidence.absent.get("capacity", "it was not computed for this run")
        return Section("capacity", "Capacity", "策略容量", (Remark(f"Not here: {why}.", "absent"),))
    rows = tuple(
        (f"{money:,.0f}", f"{excess:+.2%}", f"{impact:.2%}", number(share, ".2%"))
        for money, excess, impact, share in zip(
            found.capital, found.net_excess, found.impact, found.participation, strict=True
        )
    )
    head = ("capital, CNY", "net excess a year", "impact a year", "position over daily turnover, 95 % quantile")
    blocks = (
        Remark(_capacity_text(found)),
        Drawing(money_charts.capacity_curve(found)),
        Table(head, rows, texts=0),
    )
    return Section("capacity", "Capacity", "策略容量", blocks)


def _capacity_text(found: Capacity) -> str:
    if found.without_size <= 0:
        told = "even without impact, so that there is nothing for size to take away."
    else:
        told = f"without impact; it falls to half of that at {_money(found.half)}, and to 0 at {_money(found.zero)}."
    law = "Impact follows the square-root law; where a position nears a day's turnover it is a guess."
    return f"The net excess is {found.without_size:+.2%} a year {told} {law}"


def _money(value: float) -> str:
    if math.isnan(value):
        return "more than 1e13 CNY"
    return f"{value / 1e6:,.1f} million CNY"


def _headline(part: Judged | None) -> PortfolioResult | None:
    return next(iter(part.portfolios.values())) if part is not None and part.portfolios else None


def _which(evidence: Evidence) -> str:
    entry = next(iter(evidence.development.portfolios))
    name = ENTRY_NAMES.get(entry, entry)
    return f"Traded at the {name}; the universe holds every name by the same fills, free of costs."


def _entries(evidence: Evidence) -> Table:
    parts = (("walk-forward", evidence.development), ("holdout", evidence.holdout))
    columns = [
        (f"{name}, {ENTRY_NAMES.get(entry, entry)}", result)
        for name, part in parts
        if part is not None
        for entry, result in part.portfolios.items()
    ]
    rows = [
        (label, *(number(result.summary.get(key, math.nan), form) for _, result in columns))
        for label, key, form in _NUMBERS
        if any(key in result.summary for _, result in columns)
    ]
    deepest = [deepest_drawdown(result.net, result.sessions) for _, result in columns]
    behind = [deepest_drawdown(relative(result.net, result.universe), result.sessions) for _, result in columns]
    for label, found in (("drawdown 回撤", deepest), ("drawdown against universe", behind)):
        rows.append((f"deepest {label}", *(f"{one.depth:.2%}" for one in found)))
        rows += [(f"    {what}", *(tell(one) for one in found)) for what, tell in _DATES]
    return Table(("", *(name for name, _ in columns)), tuple(rows))


def _day(day: np.datetime64) -> str:
    return str(day.astype("datetime64[D]"))


def _recovered(fall: Drawdown) -> str:
    if fall.depth == 0:
        return NOTHING
    return "not yet" if fall.recovered is None else _day(fall.recovered)


_DATES: tuple[tuple[str, Callable[[Drawdown], str]], ...] = (
    ("from", lambda fall: _day(fall.peak)),
    ("lowest", lambda fall: _day(fall.trough)),
    ("recovered", _recovered),
    ("sessions under water", lambda fall: f"{fall.length:,}"),
)
