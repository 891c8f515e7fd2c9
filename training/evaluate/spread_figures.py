"""Figures of a run on spreads for its page in MLflow, each from evidence to a Figure.

Sized and styled as the other figures of runs; English alone, for the fonts that are there everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from features.panel import Float64Array
from training.evaluate import spread_series as series
from training.evaluate.canvas import BLUE, GREEN, GREY, ORANGE, RED, blank, dated, day_numbers, titled
from training.evaluate.spread_charts import band
from training.evaluate.spread_evidence import BasisHistory, CurveSnapshot, HalfLives, PairEvidence, RuleTrading, TermFit
from training.evaluate.spread_tests import HALF_LIVES
from training.evaluate.term_charts import curve_rgb
from training.evaluate.volatility_series import PALETTE


def curve_snapshots(snapshots: Sequence[CurveSnapshot], *, name: str) -> Figure:
    """Prices over years to maturity, a line a session, the newest the darkest."""
    figure, (ax,) = blank()
    for i, one in enumerate(snapshots):
        years, price = one.years, one.price
        if np.isfinite(one.spot):
            years, price = np.insert(years, 0, 0.0), np.insert(price, 0, one.spot)
        colour = tuple(part / 255 for part in curve_rgb(i, len(snapshots)))
        width = 3 if i == len(snapshots) - 1 else 1.8
        ax.plot(years, price, "o-", color=colour, linewidth=width, label=one.session)
    titled(ax, f"{name}: the curve on {len(snapshots)} sessions", "price", "years to maturity (0: spot)")
    if snapshots:
        ax.legend(fontsize=11, loc="best", ncols=2)
    return figure


def basis_history(found: BasisHistory, *, name: str) -> Figure:
    """The basis over the quantiles of its last 250 sessions; the lowest and the highest are named."""
    figure, (ax,) = blank()
    days, bands = day_numbers(found.sessions), series.trailing_quantiles(found.basis)
    for low, high, colour in ((0, 4, "#e3ebf5"), (1, 3, "#c4d7ec")):
        label = f"{series.SHARES[low]:.0%} to {series.SHARES[high]:.0%} of the last {series.WINDOW} sessions"
        ax.fill_between(days, bands[:, low], bands[:, high], color=colour, linewidth=0, label=label)
    ax.plot(days, found.basis, color=BLUE, linewidth=1.3, label="basis")
    ax.axhline(0, color=GREY, linewidth=1)
    for row in series.extremes(found.basis):
        value = float(found.basis[row])
        text = f"{value:+.1%} on {found.sessions[row]}"
        late = row > 0.7 * len(days)
        at, side = (-8 if late else 8, 0), "right" if late else "left"
        ax.annotate(text, (days[row], value), at, textcoords="offset points", fontsize=11, va="center", ha=side)
        ax.plot(days[row], value, "o", color=RED, markersize=5)
    known = found.basis[np.isfinite(found.basis)]
    where = f", now {known[-1]:+.2%} (at or above {series.share_below(found.basis):.0%} of its last year)"
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    titled(ax, f"{name}: {found.what}{where if len(known) else ''}", "above 0: the future is dearer")
    dated(ax)
    figure.legend(loc="outside lower center", ncols=3, fontsize=10.5, frameon=False)
    return figure


def spread_trades(pair: PairEvidence, rule: RuleTrading | None = None) -> Figure:
    """The spread with its mean, its bands and the trades of a rule, over what the rule earned."""
    figure, (ax, below) = blank(2, (3.0, 1.3))
    rows = np.arange(len(pair.sessions))
    days = day_numbers(series.broken_sessions(rows, pair.life, pair.sessions))

    def broken(values: Float64Array) -> Float64Array:
        return series.broken(rows, pair.life, values)

    ax.plot(days, broken(pair.spread), color=BLUE, linewidth=1.2, label="log spread")
    if pair.mean is not None:
        ax.plot(days, broken(pair.mean), ":", color=GREY, linewidth=1.2, label=f"mean, and {band(rule):g} s.d.")
        if pair.sd is not None:
            for sign in (-1, 1):
                ax.plot(days, broken(pair.mean + sign * band(rule) * pair.sd), color="#c9a36b", linewidth=1)
    told = ""
    if rule is not None:
        told = _trades(figure, pair, rule)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    titled(ax, f"{pair.name}: spread, bands{told}", "log spread")
    titled(below, "", "sum of returns")
    below.yaxis.set_major_formatter(PercentFormatter(1.0))
    dated(below)
    ax.margins(y=0.12)
    ax.legend(fontsize=10.5, loc="upper left", ncols=6)
    return figure


def _trades(figure: Figure, pair: PairEvidence, rule: RuleTrading) -> str:
    """Draw the trades of a rule and what they earned, and say it in a few words."""
    ax, below = figure.axes
    day, trading = day_numbers(pair.sessions), rule.trading
    for side, mark, colour, label in ((1, "^", GREEN, "bought"), (-1, "v", RED, "sold")):
        at = [one.entered for one in trading.trades if one.side == side]
        told = f"{len(at)} {label}"
        ax.plot(day[at], pair.spread[at], mark, color=colour, markersize=8, markeredgecolor="white", label=told)
    at = [one.left for one in trading.trades if one.reason != "open"]
    ax.plot(day[at], pair.spread[at], "o", markersize=5, markerfacecolor="white", markeredgecolor="#444", label="left")
    below.plot(day, np.cumsum(trading.net), color=BLUE, linewidth=1.6, label="net")
    gross = np.cumsum(trading.gross) / trading.rule.capital
    below.plot(day, gross, ":", color=BLUE, linewidth=1.2, label="before costs")
    below.axhline(0, color=GREY, linewidth=1)
    below.legend(fontsize=10.5, loc="upper left", ncols=2)
    found = rule.summary
    sharpe = f", Sharpe {found.sharpe:.2f} net" if np.isfinite(found.sharpe) else ""
    losing = f", {found.losing:.0%} lose" if found.closed else ""
    return f"; {rule.model}: {found.closed} trades{sharpe}{losing}"


def half_lives(found: HalfLives, *, name: str) -> Figure:
    """Half-life of every refit with its interval, and the range that a pair may have; log axis."""
    figure, (ax,) = blank()
    reverts = np.isfinite(found.half_life) & (found.half_life > 0)
    days = day_numbers(found.sessions)
    top = 10 * HALF_LIVES[1]
    if found.low is not None and found.high is not None:
        high = np.where(np.isfinite(found.high), found.high, top)
        low = found.low[reverts]
        ax.fill_between(days[reverts], low, high[reverts], color="#dbe6f3", linewidth=0, label="interval")
    ax.plot(days[reverts], found.half_life[reverts], "o-", color=BLUE, linewidth=1.6, markersize=4, label="half-life")
    if not reverts.all():
        lost = days[~reverts]
        ax.plot(lost, np.full(len(lost), HALF_LIVES[1]), "x", color=RED, label=f"no reversion found: {len(lost)}")
    for limit in HALF_LIVES:
        ax.axhline(limit, color=ORANGE, linewidth=1, linestyle=":")
    highest = max(1.6 * HALF_LIVES[1], 1.6 * float(found.half_life[reverts].max(initial=1.0)))
    ax.set_ylim(0.8, min(highest, 2 * top))
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 60, 200, 600]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    steady = found.stability
    inside = f": {steady.inside:.0%} of {steady.n} refits within 2 to 60 sessions" if steady.n else ""
    titled(ax, f"{name}: half-life by refit of {found.model}{inside}", "sessions (log axis)")
    dated(ax)
    ax.legend(fontsize=11, loc="upper left", ncols=3)
    return figure


def term_fit(found: TermFit, *, name: str) -> Figure:
    """The states of a term-structure model in prices, over its pricing errors by maturity."""
    figure, (ax, below) = blank(2, (2.2, 1.4))
    days = day_numbers(found.sessions)
    ax.plot(days, np.exp(found.short + found.long), color=BLUE, linewidth=1.5, label="spot: exp(chi + xi)")
    ax.plot(days, np.exp(found.long), color=ORANGE, linewidth=1.5, label="level that stays: exp(xi)")
    ax.legend(fontsize=11, loc="best", ncols=2)
    square, _, _ = series.pricing_errors(found.price, found.fitted)
    away = 1e4 * np.log(found.price / found.fitted)
    for column, label in enumerate(found.labels):
        text = f"{label}: {1e4 * square[column]:.0f}" if np.isfinite(square[column]) else f"{label}: no price"
        colour = PALETTE[column % len(PALETTE)]
        below.plot(days, away[:, column], ".", color=colour, markersize=3, label=text, rasterized=True)
    below.axhline(0, color=GREY, linewidth=1)
    status = "" if found.status == "ok" else f" ({found.status})"
    kappa = f", kappa {found.params['kappa'][0]:.2f}" if "kappa" in found.params else ""
    titled(ax, f"{name}: {found.model}, filtered states{kappa}{status}", "price")
    titled(below, "", "ln(price / model), bp")
    dated(below)
    below.legend(title="RMSE, bp", fontsize=10, loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=3)
    return figure
