"""Figures of a run, each from plain arrays or results to a Figure; nothing is drawn on screen or kept globally.

Sized for 1200 x 700 pixels (12 x 7 inches at 100 dpi). Dates stand on x axes, returns in per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from features.panel import Float64Array, SessionArray
from training.evaluate.canvas import BLUE, GREEN, GREY, ORANGE, RED, blank, dated, day_numbers, titled
from training.evaluate.ic import IcSummary, monthly_ic
from training.evaluate.performance import drawdown, relative
from training.evaluate.portfolio import Deciles, PortfolioResult
from training.evaluate.waterfall import notes, waterfall
from training.fills import Entry


def _share_zero(left: Axes, right: Axes) -> None:
    """Give both y axes their zero at one height."""
    limits = [(min(ax.get_ylim()[0], 0.0), max(ax.get_ylim()[1], 0.0)) for ax in (left, right)]
    below = max(-low / (high - low) for low, high in limits)
    for ax, (low, high) in zip((left, right), limits, strict=True):
        reach = max(high / (1 - below) if below < 1 else 0.0, -low / below if below > 0 else 0.0)
        ax.set_ylim(-below * reach, (1 - below) * reach)


def cumulative_ic(ic: Float64Array, sessions: SessionArray, summary: IcSummary, *, name: str = "RankIC") -> Figure:
    """Running sum of the daily IC (T,) over bars of its mean in each month."""
    figure, (ax,) = blank()
    months = monthly_ic(ic, sessions)
    middle = day_numbers(months.month.astype("datetime64[D]")) + 14
    colours = np.where(months.mean >= 0, "#9dbfe3", "#e3b0a8")
    ax.bar(middle, months.mean, width=24, color=list(colours), label=f"monthly mean {name} (left)")
    ax.axhline(0, color=GREY, linewidth=1)
    valid = np.isfinite(ic)
    right = ax.twinx()
    right.plot(
        day_numbers(sessions[valid]), np.cumsum(ic[valid]), color=BLUE, linewidth=2, label=f"cumulative {name} (right)"
    )
    right.set_ylabel(f"cumulative {name} (sum over sessions)", fontsize=12)
    right.spines["top"].set_visible(False)
    right.tick_params(labelsize=11)
    facts = f"mean {summary.mean:.4f}   ICIR {summary.icir:.2f}   t {summary.nw_t:.2f} (5 %: {summary.nw_crit:.2f})"
    titled(ax, f"{name} by session:  {facts}   positive {summary.hit:.0%} of {summary.n}", f"monthly mean {name}")
    dated(ax)
    _share_zero(ax, right)
    figure.legend(loc="outside lower center", ncols=2, fontsize=11, frameon=False)
    return figure


def ic_months(ic: Float64Array, sessions: SessionArray, *, name: str = "RankIC") -> Figure:
    """Mean of the daily IC (T,) in each calendar month, years in rows; the number stands in its cell."""
    figure, (ax,) = blank()
    months = monthly_ic(ic, sessions)
    number = months.month.astype(np.int64)
    years = np.unique(1970 + number // 12)
    table = np.full((max(len(years), 1), 12), np.nan)
    table[np.searchsorted(years, 1970 + number // 12), number % 12] = months.mean
    largest = float(np.abs(months.mean).max(initial=1e-3))
    mesh = ax.pcolormesh(table, cmap="RdBu", vmin=-largest, vmax=largest, edgecolors="white", linewidth=2)
    for row, column in np.argwhere(np.isfinite(table)):
        colour = "white" if abs(table[row, column]) > 0.6 * largest else "#222222"
        cell = f"{table[row, column]:+.3f}"
        ax.text(column + 0.5, row + 0.5, cell, ha="center", va="center", fontsize=11, color=colour)
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    ax.set_xticks(np.arange(12) + 0.5, names)
    ax.set_yticks(np.arange(len(years)) + 0.5, [str(year) for year in years])
    ax.invert_yaxis()
    ax.grid(visible=False)
    figure.colorbar(mesh, ax=ax, pad=0.01).set_label(f"mean {name}", fontsize=12)
    titled(ax, f"Mean {name} by month", "", "month")
    return figure


def ic_by_horizon(decay: Mapping[int, IcSummary], *, name: str = "RankIC") -> Figure:
    """Mean IC with its 95 % band (fixed-b) for labels of several horizons."""
    figure, (ax,) = blank()
    horizons = sorted(decay)
    mean = np.array([decay[h].mean for h in horizons])
    t = np.array([decay[h].nw_t for h in horizons])
    se = np.divide(np.abs(mean), np.abs(t), out=np.zeros(len(mean)), where=np.isfinite(t) & (t != 0))
    band = se * np.array([decay[h].nw_crit for h in horizons])
    at = np.arange(len(horizons))
    ax.errorbar(at, mean, yerr=np.nan_to_num(band), fmt="o-", color=BLUE, capsize=5, label="mean and 95 % band")
    ax.axhline(0, color=GREY, linewidth=1)
    ax.set_xticks(at, [str(h) for h in horizons])
    titled(ax, f"{name} by horizon of the label", f"mean {name}", "horizon (sessions)")
    ax.legend(fontsize=11)
    return figure


def decile_bars(deciles: Deciles) -> Figure:
    """Mean label of each group of the score, with two standard errors."""
    figure, (ax,) = blank()
    at = np.arange(1, len(deciles.mean) + 1)
    colours = np.where(deciles.mean >= 0, BLUE, RED)
    error = 2 * np.nan_to_num(deciles.se)
    ax.bar(at, deciles.mean, color=list(colours))
    ax.errorbar(at, deciles.mean, yerr=error, fmt="none", ecolor="#333333", capsize=5, label="mean ± 2 s.e.")
    ax.axhline(0, color=GREY, linewidth=1)
    ax.set_xticks(at)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=2))
    title = (
        f"Return by score group:  monotonicity {deciles.monotonicity:.2f}   top less bottom {deciles.spread.mean:.2%}"
    )
    y = f"mean label over {deciles.horizon} sessions (log return)"
    titled(ax, f"{title} (t {deciles.spread.t:.2f})", y, "group of the score (1 lowest)")
    ax.legend(fontsize=11, loc="upper left")
    return figure


def portfolio_curve(result: PortfolioResult) -> Figure:
    """Growth of the portfolio net of costs against the universe and the benchmark, and its drawdown below."""
    figure, (ax, below) = blank(2, (2.6, 1.0))
    alive = np.isfinite(result.net)
    days = day_numbers(result.sessions[alive])
    numbers = result.summary
    lines = [("top k, net", result.net, BLUE, 2.4), ("top k, before costs", result.gross, "#9dbfe3", 1.4)]
    lines += [("universe", result.universe, ORANGE, 1.8), ("benchmark", result.benchmark, GREY, 1.8)]
    for label, returns, colour, width in lines:
        if np.isfinite(returns).any():
            growth = np.cumprod(1 + np.nan_to_num(returns[alive])) - 1
            ax.plot(days, growth, color=colour, linewidth=width, label=f"{label}: {growth[-1]:+.1%}")
    ax.axhline(0, color=GREY, linewidth=1)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    facts = f"{numbers['annual_return']:+.1%} a year   Sharpe {numbers['sharpe']:.2f}"
    titled(
        ax, f"Long-only portfolio:  {facts}   turnover {numbers['annual_turnover']:.1f} x a year", "growth since start"
    )
    ax.legend(fontsize=11, loc="upper left")
    deep = drawdown(result.net[alive])
    below.fill_between(days, deep, 0, color=RED, alpha=0.45, linewidth=0)
    below.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    below.yaxis.set_major_locator(MaxNLocator(4))
    titled(below, f"Drawdown of the net value, deepest {deep.min():.1%}", "drawdown")
    dated(below)
    return figure


def entries_side_by_side(results: Mapping[Entry, PortfolioResult]) -> Figure:
    """Relative wealth over the universe, net of costs, of one score traded at several prices of entry."""
    figure, (ax,) = blank()
    for (entry, result), colour in zip(results.items(), (BLUE, GREEN, ORANGE), strict=False):
        ahead = relative(result.net, result.universe)
        alive = np.isfinite(ahead)
        growth = np.cumprod(1 + ahead[alive]) - 1
        yearly = result.summary["excess_over_universe"]
        label = f"{entry.replace('_', ' ')}: {yearly:+.1%} a year"
        ax.plot(day_numbers(result.sessions[alive]), growth, color=colour, linewidth=2, label=label)
    ax.axhline(0, color=GREY, linewidth=1)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    titled(ax, "Net excess over the universe by price of entry", "relative growth since start")
    ax.legend(fontsize=11, loc="upper left")
    dated(ax)
    return figure


def band_coverage(
    rolling: Float64Array, width: Float64Array, sessions: SessionArray, *, target: float, slack: float = 0.03
) -> Figure:
    """Share of outcomes inside the prediction band, rolling, (T,), with what is accepted; its mean width below."""
    figure, (ax, below) = blank(2, (1.6, 1.0))
    told = np.isfinite(rolling)
    ax.axhspan(target - slack, target + slack, color="#dcebdc", label=f"accepted: {target:.0%} ± {slack:.0%}")
    ax.axhline(target, color=GREEN, linewidth=1)
    ax.plot(day_numbers(sessions[told]), rolling[told], color=BLUE, linewidth=2, label="rolling coverage")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    inside = (np.abs(rolling[told] - target) <= slack).mean() if told.any() else 0.0
    titled(ax, f"Coverage of the prediction band: accepted on {inside:.0%} of the sessions", "share of outcomes")
    ax.legend(fontsize=11, loc="lower left")
    wide = np.isfinite(width)
    below.plot(day_numbers(sessions[wide]), width[wide], color=ORANGE, linewidth=1.5)
    titled(below, "Mean width of the band", "log return")
    dated(below)
    return figure


def turnover_curve(result: PortfolioResult, *, window: int = 20) -> Figure:
    """One-way turnover of each session with its mean over a window, and the costs that it has led to."""
    figure, (ax, below) = blank(2, (1.3, 1.0))
    alive = np.isfinite(result.turnover)
    days, turnover = day_numbers(result.sessions[alive]), result.turnover[alive]
    ax.fill_between(days, turnover, step="mid", color="#9dbfe3", linewidth=0, label="session")
    if len(turnover) >= window:
        smooth = np.convolve(turnover, np.ones(window) / window, "valid")
        ax.plot(days[window - 1 :], smooth, color=BLUE, linewidth=2, label=f"mean of {window} sessions")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    titled(ax, f"One-way turnover, mean {turnover.mean():.1%} of the value a session", "turnover")
    ax.legend(fontsize=11, loc="upper right")
    paid = {kind: np.cumsum(cost[alive]) / 1e6 for kind, cost in result.costs.items()}
    labels = [f"{kind.replace('_', ' ')}: {total[-1]:,.2f}" for kind, total in paid.items()]
    below.stackplot(days, list(paid.values()), labels=labels, colors=(BLUE, ORANGE, GREY, GREEN, RED), alpha=0.85)
    titled(below, "Costs paid so far, million CNY", "million CNY")
    below.legend(fontsize=10, loc="upper left", ncols=2)
    dated(below)
    return figure


def feature_importance(importance: Mapping[str, float], *, top: int = 30) -> Figure:
    """The largest shares of the total importance, largest on top."""
    figure, (ax,) = blank()
    total = sum(abs(value) for value in importance.values()) or 1.0
    largest = sorted(importance.items(), key=lambda item: -abs(item[1]))[:top][::-1]
    shares = [abs(value) / total for _, value in largest]
    ax.barh(np.arange(len(largest)), shares, color=BLUE)
    ax.set_yticks(np.arange(len(largest)), [name for name, _ in largest], fontsize=9)
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", color="#e3e3e3")
    ax.set_ylim(-0.6, len(largest) - 0.4)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    title = f"Feature importance: {len(largest)} of {len(importance)}, {sum(shares):.0%} of the total"
    titled(ax, title, "", "share of the total importance")
    return figure


def coverage_map(coverage: Float64Array, columns: Sequence[str], sessions: SessionArray, *, most: int = 60) -> Figure:
    """Share of the universe for which each factor is defined, (T, K); the worst covered factors where many.

    A cell is the mean of the sessions under it: no more than 240 of them stand side by side.
    """
    figure, (ax,) = blank()
    order = np.argsort(np.nan_to_num(coverage).mean(axis=0), kind="stable")[:most][::-1]
    edges = np.unique(np.linspace(0, len(sessions), min(len(sessions), 240) + 1).astype(int))
    shown = np.add.reduceat(np.nan_to_num(coverage[:, order]), edges[:-1], axis=0) / np.diff(edges)[:, None]
    days = day_numbers(sessions)
    bounds = np.append(days[edges[:-1]], days[-1] + 1)
    mesh = ax.pcolormesh(bounds, np.arange(len(order) + 1), shown.T, cmap="RdYlGn", vmin=0, vmax=1, rasterized=True)
    size = 11 if len(order) <= 25 else 7
    ax.set_yticks(np.arange(len(order)) + 0.5, [columns[i] for i in order], fontsize=size)
    ax.grid(visible=False)
    bar = figure.colorbar(mesh, ax=ax, format=PercentFormatter(1.0), pad=0.01)
    bar.set_label("assets with a value", fontsize=12)
    what = (
        f"the {len(order)} least covered of {len(columns)} factors" if len(columns) > most else f"{len(order)} factors"
    )
    titled(ax, f"Coverage of the universe, {what} (worst on top)", "")
    dated(ax)
    return figure


def rows_lost(lost: Mapping[str, int]) -> Figure:
    """The way from the universe's rows to the labelled ones, reason by reason.

    lost  as Labels.lost has it: the first is the whole, `kept` what is left; `delayed_exit`, `delisted` are kept rows
    """
    figure, (ax,) = blank()
    steps = waterfall(lost)
    whole = max(steps[0].rows, 1)
    for at, (_, count, left, is_total) in enumerate(steps):
        ax.bar(at, count, bottom=0 if is_total else left, color=BLUE if is_total else ORANGE, width=0.7)
        top = count if is_total else left + count
        ax.annotate(
            f"{count:,}\n{count / whole:.2%}", (at, top), (0, 4), textcoords="offset points", ha="center", fontsize=11
        )
    ax.set_xticks(np.arange(len(steps)), [step.reason.replace("_", "\n") for step in steps], fontsize=11)
    ax.set_ylim(0, whole * 1.14)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    kept = ", ".join(f"{count:,} {note.replace('_', ' ')}" for note, count in notes(lost).items())
    titled(
        ax,
        "Rows lost between the universe and the labels" + (f"  (kept: {kept})" if kept else ""),
        "rows (session, asset)",
    )
    return figure
