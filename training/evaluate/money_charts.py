"""Interactive figures of simulated portfolios for the HTML pages: growth, excess, drawdown, costs, capacity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from features.panel import Float64Array
from training.evaluate.capacity import Capacity
from training.evaluate.charts import BLUE, GREEN, GREY, ORANGE, PALE, RED, days, light, months_by_year, shade, styled
from training.evaluate.performance import drawdown, monthly_returns, relative
from training.evaluate.portfolio import PortfolioResult
from training.fills import Entry

ENTRY_NAMES = {
    "next_open": "next open 次日开盘",
    "next_vwap": "next vwap 次日均价",
    "next_close": "next close 次日收盘",
}
_COLOURS = {"next_open": BLUE, "next_vwap": GREEN, "next_close": ORANGE}


def _grown(returns: Float64Array) -> Float64Array:
    """What simple returns compound to since the start, in per cent."""
    return np.asarray((np.cumprod(1 + np.nan_to_num(returns)) - 1) * 100, np.float64)


def growth(result: PortfolioResult, holdout: PortfolioResult | None = None) -> go.Figure:
    """The portfolio after and before costs against universe and benchmark; the holdout starts again at 0."""
    figure = go.Figure()
    for part in (result, holdout):
        if part is None:
            continue
        alive = np.isfinite(part.net)
        drawn = (
            ("top k, net of costs", part.net, BLUE, 2.4),
            ("top k, before costs", part.gross, PALE, 1.4),
            ("universe, equal weights", part.universe, ORANGE, 1.8),
            ("benchmark", part.benchmark, GREY, 1.8),
        )
        for name, returns, colour, width in drawn:
            if np.isfinite(returns).any():
                figure.add_scatter(
                    x=days(part.sessions[alive]),
                    y=light(_grown(returns[alive])),
                    name=name,
                    line={"color": colour, "width": width},
                    legendgroup=name,
                    showlegend=part is result,
                )
    styled(figure, "Growth of the long-only portfolio 净值", "growth since start, %", height=420)
    if holdout is not None:
        shade(figure, holdout.sessions, np.isfinite(holdout.net), "holdout, from 0 again")
    return figure


def excess_by_entry(
    results: Mapping[Entry, PortfolioResult], holdouts: Mapping[Entry, PortfolioResult] | None = None
) -> go.Figure:
    """Relative wealth of the portfolio over its universe, net of costs, for each price of entry."""
    figure = go.Figure()
    for parts, is_first in ((results, True), (holdouts or {}, False)):
        for entry, part in parts.items():
            alive = np.isfinite(part.net) & np.isfinite(part.universe)
            ahead = relative(part.net, part.universe)[alive]
            figure.add_scatter(
                x=days(part.sessions[alive]),
                y=light(_grown(ahead)),
                name=ENTRY_NAMES.get(entry, entry),
                line={"color": _COLOURS.get(entry, GREY), "width": 2},
                legendgroup=entry,
                showlegend=is_first,
            )
    styled(figure, "Net excess over the universe by price of entry 超额收益", "relative growth, %")
    for part in (holdouts or {}).values():
        shade(figure, part.sessions, np.isfinite(part.net), "holdout, from 0 again")
        break
    return figure


def drawdowns(result: PortfolioResult, holdout: PortfolioResult | None = None) -> go.Figure:
    """How far the portfolio, and its lead over the universe, lie below their highest so far."""
    figure = go.Figure()
    for part in (result, holdout):
        if part is None:
            continue
        alive = np.isfinite(part.net)
        ahead = relative(part.net, part.universe)[alive]
        drawn = (("net value", part.net[alive], RED, True), ("lead over the universe", ahead, BLUE, False))
        for name, returns, colour, is_filled in drawn:
            figure.add_scatter(
                x=days(part.sessions[alive]),
                y=light(drawdown(returns) * 100),
                name=name,
                line={"color": colour, "width": 1.2},
                fill="tozeroy" if is_filled else None,
                legendgroup=name,
                showlegend=part is result,
            )
    styled(figure, "Drawdown 回撤", "below the high, %", height=320)
    if holdout is not None:
        shade(figure, holdout.sessions, np.isfinite(holdout.net))
    return figure


def excess_months(result: PortfolioResult, holdout: PortfolioResult | None = None) -> go.Figure:
    """Net excess over the universe by calendar month, in per cent; years in rows, the last column the year."""
    ahead = relative(result.net, result.universe)
    if holdout is not None:
        ahead = np.where(np.isfinite(ahead), ahead, relative(holdout.net, holdout.universe))
    months = monthly_returns(ahead, result.sessions)
    years = [f"{y}  ({w:+.1%})" for y, w in zip(months.year, months.whole, strict=True)]
    title = "Net excess over the universe by month 月度超额, %"
    return months_by_year(years, months.month * 100, title, form="+.1f", unit="%")


def turnover(result: PortfolioResult, *, window: int = 20) -> go.Figure:
    """One-way turnover of each session as a share of the value, and its mean over a window."""
    alive = np.isfinite(result.turnover)
    shown, at = result.turnover[alive] * 100, result.sessions[alive]
    figure = go.Figure()
    figure.add_scatter(x=days(at), y=light(shown), name="session", line={"color": PALE, "width": 1}, fill="tozeroy")
    if len(shown) >= window:
        smooth = np.convolve(shown, np.ones(window) / window, "valid")
        name = f"mean of {window} sessions"
        figure.add_scatter(x=days(at[window - 1 :]), y=light(smooth), name=name, line={"color": BLUE, "width": 2})
    return styled(figure, "One-way turnover 换手 by session", "% of the value", height=340)


def costs(result: PortfolioResult) -> go.Figure:
    """Costs paid so far, by kind."""
    figure = go.Figure()
    alive = np.isfinite(result.net)
    for (kind, paid), colour in zip(result.costs.items(), (BLUE, ORANGE, GREY, GREEN, RED), strict=True):
        figure.add_scatter(
            x=days(result.sessions[alive]),
            y=light(np.cumsum(paid[alive]) / 1e6),
            name=f"{kind.replace('_', ' ')} {paid[alive].sum() / 1e6:,.2f}",
            stackgroup="costs",
            line={"color": colour, "width": 0.5},
        )
    return styled(figure, "Costs paid so far 交易成本", "million CNY", height=340)


def capacity_curve(found: Capacity) -> go.Figure:
    """Net excess a year against the capital that trades, on a log scale, with where it is halved and gone."""
    figure = go.Figure()
    marks = {"mode": "lines+markers", "line": {"width": 2}}
    figure.add_scatter(x=found.capital, y=light(found.net_excess * 100), name="net excess a year", **marks)
    figure.add_scatter(
        x=found.capital, y=light(found.impact * 100), name="impact a year", mode="lines+markers", line_color=ORANGE
    )
    figure.data[0].line.color = BLUE
    figure.add_hline(y=found.without_size * 100, line={"color": GREEN, "dash": "dot"})
    styled(figure, "Capacity 策略容量", "% a year", "capital, CNY", height=360)
    figure.update_xaxes(type="log", tickformat=".0e", dtick=1)
    for name, at in (("half", found.half), ("zero", found.zero)):
        if np.isfinite(at) and at > 0:
            figure.add_vline(x=at, line={"color": RED, "dash": "dash", "width": 1})
            figure.add_annotation(
                x=np.log10(at), y=1, yref="paper", text=f"{name}: {at:.2g} CNY", showarrow=False, yanchor="bottom"
            )
    figure.add_annotation(
        x=0.01, xref="paper", y=found.without_size * 100, text="without impact", showarrow=False, yanchor="bottom",
        xanchor="left", font_color=GREEN,
    )  # fmt: skip
    return figure
