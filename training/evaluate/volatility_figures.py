"""Figures of a run of volatility forecasts for its page in MLflow, each from plain arrays to a Figure.

Sized and styled as the other figures of runs, a leaderboard of many products taller; English alone, for the fonts that
are there everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from features.panel import Float64Array, SessionArray
from training.evaluate import volatility_series as series
from training.evaluate.canvas import BLUE, GREY, RED, blank, dated, day_numbers, titled
from training.evaluate.volatility_evidence import NewsImpact

_MOST_ROWS = 60


def leaderboard(
    products: Sequence[str],
    models: Sequence[str],
    ratios: Float64Array,
    *,
    base: str,
    base_name: str,
    horizon: int,
    made_of_others: Sequence[bool] = (),
) -> Figure:
    """Mean QLIKE over the base's (P, J): blue cells are better than the base; a star marks the best model of a row."""
    figure, (ax,) = blank()
    shown, values = products[:_MOST_ROWS], ratios[:_MOST_ROWS]
    figure.set_size_inches(12, max(7.0, 1.2 + 0.24 * len(shown)))
    reach = series.reach([values])
    colours = LinearSegmentedColormap.from_list("ratio", [BLUE, "#ffffff", RED])
    ax.pcolormesh(values - 1, cmap=colours, vmin=-reach, vmax=reach, edgecolors="white", linewidth=1.5)
    size = 11 if len(shown) <= 24 else 10
    texts = series.cell_texts(values, models, base, f"{base_name} wins", made_of_others)
    for row, cells in enumerate(texts):
        for column, text in enumerate(cells):
            dark = np.isfinite(values[row, column]) and abs(values[row, column] - 1) > 0.65 * reach
            # The star is in few fonts: bold says it here.
            weight = "bold" if text.startswith("★") or text == f"{base_name} wins" else "normal"
            drawn = ax.text(column + 0.5, row + 0.5, text.removeprefix("★ "), ha="center", va="center", weight=weight)
            drawn.set(fontsize=size, color="white" if dark else "#222222")
    ax.set_yticks(np.arange(len(shown)) + 0.5, list(shown), fontsize=size)
    ax.set_xticks(np.arange(len(models)) + 0.5, [base_name if model == base else model for model in models])
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.grid(visible=False)
    won = sum(f"{base_name} wins" in cells for cells in texts)
    rest = f", the first {_MOST_ROWS} of {len(products)}" if len(products) > _MOST_ROWS else ""
    title = f"QLIKE over {base_name}'s, {horizon} ahead: below 1 (blue) is better; {base_name} wins on {won} of"
    titled(ax, f"{title} {len(shown)} (best in bold){rest}", "")
    return figure


def forecast_vs_range(
    sessions: SessionArray,
    range_variance: Float64Array,
    served: Float64Array,
    base: Float64Array | None,
    *,
    name: str,
    base_name: str,
) -> Figure:
    """The served forecast (n,) of the next session, and the base's, over the range's volatility; log axis."""
    figure, (ax,) = blank()
    days = day_numbers(sessions)
    seen = series.annualised(np.where(range_variance > 0, range_variance, np.nan))
    label = "range of the session (scaled to squared returns)"
    ax.plot(days, seen, ".", color="#b9c0c9", markersize=3, label=label, rasterized=True)
    if base is not None:
        ax.plot(days, series.annualised(series.ahead(base)), color=GREY, linewidth=1.2, label=base_name)
    ax.plot(days, series.annualised(series.ahead(served)), color=BLUE, linewidth=1.8, label="served forecast")
    known = seen[np.isfinite(seen)]
    if len(known):
        ax.set_yscale("log")
        # A session of hardly any range lies far below the rest and would flatten what matters.
        ax.set_ylim(bottom=max(float(known.min()), float(np.quantile(known, 0.01)) / 2))
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0, 7.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    last = series.latest(series.annualised(served))
    now = f", now {float(last):.1f} %" if np.isfinite(last) else ""
    titled(ax, f"{name}: forecast of one session against its range{now}", "volatility, % a year (log axis)")
    dated(ax)
    ax.legend(fontsize=11, loc="upper left", ncols=3)
    return figure


def var_breaches(
    sessions: SessionArray, returns: Float64Array, var: Float64Array, levels: Sequence[float], *, name: str
) -> Figure:
    """Returns (n,) against the value at risk (n, L) told at the close before; breaches marked and counted."""
    figure, (ax,) = blank()
    days, hit, told = day_numbers(sessions), series.breached(returns, var), series.ahead(var)
    covered = np.isfinite(told).any(axis=1)
    ax.plot(days[covered], returns[covered], ".", color="#b9c0c9", markersize=3, rasterized=True)
    for column, level in enumerate(levels):
        colour = series.var_colour(column, len(levels))
        n, count = int(np.isfinite(told[:, column]).sum()), int(hit[:, column].sum())
        label = f"VaR {level:.1%}: {count} breaches, {n * (1 - level):.1f} expected"
        ax.plot(days, -told[:, column], color=colour, linewidth=1.2, alpha=0.75, label=label)
        worse = hit[:, column] & ~hit[:, column + 1 :].any(axis=1)
        ax.plot(days[worse], returns[worse], "o", color=colour, markersize=5, markeredgecolor="white", zorder=4)
    ax.axhline(0, color=GREY, linewidth=1)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    titled(
        ax, f"{name}: value at risk of a long position in {int(covered.sum()):,} sessions", "log return of a session"
    )
    dated(ax)
    figure.legend(loc="outside lower center", ncols=len(levels), fontsize=10.5, frameon=False)
    return figure


def news_impact(news: NewsImpact, base: str, *, name: str) -> Figure:
    """Volatility of the next session after a shock to this one, a line a model."""
    figure, (ax,) = blank()
    palette = series.colours(news.variance, base)
    for model, values in news.variance.items():
        ax.plot(news.shocks, series.annualised(values), color=palette[model], linewidth=2, label=model)
    ax.set_ylim(bottom=0)
    x = "return of this session, standard deviations"
    titled(ax, f"{name}: news impact, last fit of each model", "volatility of the next session, % a year", x)
    if news.variance:
        ax.legend(fontsize=11, loc="upper center", ncols=3)
    return figure


def term_structure(
    horizons: Sequence[int], served: Float64Array, variance: Mapping[str, Float64Array], base: str, *, name: str
) -> Figure:
    """Volatility forecast now by horizon, each model (n, H), over the history of the served forecast."""
    figure, (ax,) = blank()
    quantiles = series.bands(served, horizons)
    for low, high, colour in ((0, 4, "#eef3f9"), (1, 3, "#d5e3f2")):
        label = f"{series.BAND_SHARES[low]:.0%} to {series.BAND_SHARES[high]:.0%} of history"
        ax.fill_between(horizons, quantiles[low], quantiles[high], color=colour, linewidth=0, label=label)
    ax.plot(horizons, quantiles[2], ":", color="#6f9bd1", linewidth=1.5, label="median of history")
    palette, at = series.colours(variance, base), np.asarray(horizons)
    for model, values in variance.items():
        now = series.annualised(series.latest(values), at)
        ax.plot(horizons, now, "o-", color=palette[model], linewidth=1.5, markersize=5, label=model)
    now = series.annualised(series.latest(served), at)
    ax.plot(horizons, now, "o-", color=BLUE, linewidth=3, label="served forecast")
    ax.set_xlim(0.93 * horizons[0], 1.07 * horizons[-1])  # before the log axis, which needs limits above 0
    ax.set_xscale("log")
    ax.set_xticks(list(horizons), [str(h) for h in horizons])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(which="minor", length=0)
    share = series.standing(served)[0] if len(horizons) else np.nan
    where = f", at {horizons[0]} ahead not below {share:.0%} of its history" if np.isfinite(share) else ""
    titled(ax, f"{name}: term structure now{where}", "volatility, % a year", "sessions ahead")
    ax.legend(fontsize=11, loc="best", ncols=2)
    return figure
