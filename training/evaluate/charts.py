"""Interactive figures of scores and factors for the HTML pages: information, quantiles, series.

Each takes plain arrays or results and gives a plotly figure; dates stand on x axes. Names that a user has chosen are
escaped, since plotly reads markup in text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots
from scipy import stats

from features.panel import Float64Array, SessionArray
from training.evaluate.ic import IcSummary, monthly_ic
from training.evaluate.portfolio import Deciles

BLUE, ORANGE, GREY, RED, GREEN, PALE = "#1f5fa8", "#d9822b", "#7a7a7a", "#b5382f", "#3a8f5c", "#9dbfe3"
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
GRID = "#e6e6e6"
DIVERGING = ((0.0, RED), (0.5, "#ffffff"), (1.0, BLUE))


def days(sessions: SessionArray) -> list[str]:
    """Sessions as plotly reads dates."""
    return [str(day) for day in sessions.astype("datetime64[D]")]


def light(values: ArrayLike) -> NDArray[np.float32]:
    """Numbers as exact as a screen needs them."""
    return np.asarray(values, np.float32)


def styled(
    figure: go.Figure, title: str, y: str = "", x: str = "", *, height: int = 380, legend: bool = True
) -> go.Figure:
    """The common look: white, grey grid across, title on the left, legend below."""
    figure.update_layout(
        template="none",
        title={"text": title, "x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 8}, "font": {"size": 15}},
        font={"family": FONT, "size": 12, "color": "#222"},
        height=height,
        margin={"l": 70, "r": 30, "t": 48, "b": 50},
        showlegend=legend,
        legend={"orientation": "h", "y": -0.16, "x": 0, "yanchor": "top"},
        hovermode="closest",
        bargap=0.2,
    )
    figure.update_xaxes(showgrid=False, zeroline=False, linecolor="#bbb", showline=True, automargin=True)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor="#999", automargin=True)
    if y:
        figure.update_layout(yaxis_title={"text": y, "standoff": 8})
    if x:
        figure.update_xaxes(title={"text": x, "standoff": 8})
    return figure


def shade(figure: go.Figure, sessions: SessionArray, part: NDArray[np.bool_], name: str = "holdout 留出期") -> None:
    """Mark the sessions from the first to the last of a part."""
    rows = np.flatnonzero(part)
    if len(rows):
        first, last = str(sessions[rows[0]]), str(sessions[rows[-1]])
        figure.add_shape(
            type="rect", x0=first, x1=last, y0=0, y1=1, yref="paper", fillcolor="#f3ead9", line_width=0, layer="below"
        )
        figure.add_annotation(
            x=first, y=1, yref="paper", text=name, showarrow=False, xanchor="left", yanchor="bottom", font_size=11
        )


def rank_ic(sessions: SessionArray, daily: Float64Array, holdout: Float64Array | None = None) -> go.Figure:
    """Running sum of the daily RankIC over bars of its monthly means; the holdout shaded."""
    whole = daily if holdout is None else np.where(np.isfinite(daily), daily, holdout)
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    months = monthly_ic(whole, sessions)
    middle = [f"{month}-15" for month in months.month]
    figure.add_bar(x=middle, y=light(months.mean), marker_color=PALE, name="monthly mean (left)")
    valid = np.isfinite(whole)
    running = light(np.cumsum(whole[valid]))
    figure.add_scatter(
        x=days(sessions[valid]),
        y=running,
        name="cumulative (right)",
        line={"color": BLUE, "width": 2},
        secondary_y=True,
    )
    styled(figure, "RankIC 秩相关 by session", "monthly mean RankIC")
    left, right = _with_one_zero(months.mean, running)
    figure.update_yaxes(range=left, secondary_y=False)
    right_axis = {"title": "cumulative RankIC", "showgrid": False, "zeroline": False, "tickmode": "auto"}
    figure.update_yaxes(range=right, secondary_y=True, **right_axis)
    if holdout is not None:
        shade(figure, sessions, np.isfinite(holdout))
    return figure


def _with_one_zero(left: ArrayLike, right: ArrayLike) -> tuple[list[float], list[float]]:
    """Ranges of two y axes that hold their values and have 0 at one height."""
    reach = []
    for values in (left, right):
        known = np.append(np.asarray(values, np.float64), 0.0)
        low, high = float(known.min()), float(known.max())
        reach.append((low, high) if high > low else (0.0, 1.0))
    below = max(-low / (high - low) for low, high in reach)
    ranges = []
    for low, high in reach:
        size = 1.06 * max(high / (1 - below) if below < 1 else 0.0, -low / below if below > 0 else 0.0)
        ranges.append([-below * size, (1 - below) * size])
    return ranges[0], ranges[1]


def ic_distribution(daily: Float64Array, *, name: str = "RankIC") -> go.Figure:
    """Histogram of the daily IC, and its quantiles against those of a normal of the same mean and spread."""
    valid = daily[np.isfinite(daily)]
    titles = (f"{name}: how often", f"{name} against a normal (QQ)")
    figure = make_subplots(cols=2, subplot_titles=titles, horizontal_spacing=0.12)
    if len(valid) > 2:
        counts, edges = np.histogram(valid, bins=min(40, max(int(np.sqrt(len(valid))), 5)))
        figure.add_bar(x=light((edges[1:] + edges[:-1]) / 2), y=counts, marker_color=PALE, row=1, col=1)
        figure.add_vline(x=float(valid.mean()), line={"color": BLUE, "width": 2}, row=1, col=1)
        (theory, ordered), (slope, centre, _) = stats.probplot(valid)
        shown = np.unique(np.linspace(0, len(valid) - 1, min(len(valid), 400)).astype(int))
        dots = {"mode": "markers", "marker": {"size": 4, "color": BLUE}}
        figure.add_scatter(x=light(theory[shown]), y=light(ordered[shown]), **dots, row=1, col=2)
        ends = np.array([theory[0], theory[-1]])
        figure.add_scatter(x=light(ends), y=light(centre + slope * ends), line={"color": ORANGE}, row=1, col=2)
    styled(figure, "", legend=False, height=340)
    figure.update_layout(bargap=0.03, title_text="")
    figure.update_xaxes(title_text=f"daily {name}", row=1, col=1)
    figure.update_yaxes(title_text="sessions", row=1, col=1)
    figure.update_xaxes(title_text="standard normal quantile", row=1, col=2)
    figure.update_yaxes(title_text=f"daily {name}", row=1, col=2)
    return figure


def months_by_year(year: Sequence[str], values: Float64Array, title: str, *, form: str, unit: str) -> go.Figure:
    """A heat map of a number by calendar month, years in rows, (Y, 12); the number stands in its cell."""
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 1.0
    text = [["" if not np.isfinite(v) else format(v, form) for v in row] for row in values]
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    figure = go.Figure(
        go.Heatmap(
            z=light(values),
            x=list(names),
            y=list(year),
            text=text,
            texttemplate="%{text}",
            colorscale=[list(pair) for pair in DIVERGING],
            zmin=-largest,
            zmax=largest,
            colorbar={"title": {"text": unit, "side": "right"}, "thickness": 12},
            xgap=2,
            ygap=2,
            hovertemplate="%{y} %{x}: %{text}<extra></extra>",
        )
    )
    styled(figure, title, height=130 + 34 * len(year), legend=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure.update_xaxes(showline=False)
    return figure


def ic_months(sessions: SessionArray, daily: Float64Array, *, name: str = "RankIC") -> go.Figure:
    """Mean IC of each calendar month, years in rows."""
    months = monthly_ic(daily, sessions)
    number = months.month.astype(np.int64)
    years = np.unique(1970 + number // 12)
    table = np.full((len(years), 12), np.nan)
    table[np.searchsorted(years, 1970 + number // 12), number % 12] = months.mean
    return months_by_year([str(y) for y in years], table, f"Mean {name} by month", form="+.3f", unit=name)


def ic_by_horizon(parts: Mapping[str, Mapping[int, IcSummary]]) -> go.Figure:
    """Mean IC with its 95 % band (fixed-b) for labels of several horizons; one line for each part of the sessions."""
    figure = go.Figure()
    every = sorted({h for decay in parts.values() for h in decay})
    for shift, ((name, decay), colour) in enumerate(zip(parts.items(), (BLUE, ORANGE, GREEN), strict=False)):
        horizons = sorted(decay)
        summaries = [decay[h] for h in horizons]
        mean, t, critical = (np.array([getattr(s, f) for s in summaries]) for f in ("mean", "nw_t", "nw_crit"))
        band = np.abs(np.divide(mean * critical, t, out=np.full(len(mean), np.nan), where=(t != 0) & np.isfinite(t)))
        figure.add_scatter(
            x=[every.index(h) + 0.06 * (shift - (len(parts) - 1) / 2) for h in horizons],
            y=light(mean),
            error_y={"type": "data", "array": light(np.nan_to_num(band)), "color": colour, "thickness": 1.2},
            mode="lines+markers",
            line={"color": colour, "width": 2},
            name=f"{name}: mean and 95 % band",
        )
    styled(figure, "RankIC by horizon of the label 预测期", "mean RankIC", "horizon (sessions)")
    figure.update_xaxes(tickvals=list(range(len(every))), ticktext=[str(h) for h in every])
    return figure


def quantile_means(parts: Mapping[str, Deciles]) -> go.Figure:
    """Mean label of each group of the score with two standard errors, parts of the sessions side by side."""
    figure = go.Figure()
    for (name, found), colour in zip(parts.items(), (BLUE, ORANGE, GREEN, GREY), strict=False):
        figure.add_bar(
            x=[str(g + 1) for g in range(len(found.mean))],
            y=light(found.mean * 1e4),
            error_y={"type": "data", "array": light(2 * np.nan_to_num(found.se) * 1e4), "thickness": 1, "width": 3},
            marker_color=colour,
            name=f"{name} (± 2 s.e.)",
        )
    horizon = next(iter(parts.values())).horizon
    y = f"mean label over {horizon} session{'s' if horizon > 1 else ''} (bp)"
    styled(figure, "Mean return by group of the score 分组收益", y, "group (1: lowest score)")
    figure.update_xaxes(type="category")
    return figure


def quantile_means_by_horizon(found: Mapping[int, Deciles]) -> go.Figure:
    """Mean label of each quantile in basis points a session, horizons side by side, with two standard errors."""
    figure = go.Figure()
    for (horizon, one), colour in zip(found.items(), (BLUE, ORANGE, GREEN, GREY, RED, PALE), strict=False):
        scale = 1e4 / horizon
        figure.add_bar(
            x=[str(q + 1) for q in range(len(one.mean))],
            y=light(one.mean * scale),
            error_y={"type": "data", "array": light(2 * np.nan_to_num(one.se) * scale), "thickness": 1, "width": 3},
            marker_color=colour,
            name=f"{horizon} session{'s' if horizon > 1 else ''}",
        )
    styled(figure, "Mean return by quantile and horizon 分组收益 (± 2 s.e.)", "bp a session", "quantile (1: lowest)")
    figure.update_xaxes(type="category")
    return figure


def quantile_growth(sessions: SessionArray, found: Deciles, holdout: Deciles | None = None) -> go.Figure:
    """Running sum of each group's label, 1 / horizon of the money each session; the holdout goes on from its own 0."""
    figure, n = go.Figure(), len(found.mean)
    for part in (found, holdout):
        if part is None:
            continue
        has = np.isfinite(part.each).any(axis=1)
        for g in range(n):
            figure.add_scatter(
                x=days(sessions[has]),
                y=light(part.cumulative[has, g] * 100),
                name=f"{g + 1}" + (" lowest" if g == 0 else " highest" if g == n - 1 else ""),
                line={"color": _between(g / (n - 1)), "width": 2 if g in (0, n - 1) else 1},
                legendgroup=str(g),
                showlegend=part is found,
            )
    styled(figure, "Cumulative return by group 分组累计收益", "sum of excess log returns, %")
    if holdout is not None:
        shade(figure, sessions, np.asarray(np.isfinite(holdout.each).any(axis=1)), "holdout, from 0 again")
    return figure


def _between(share: float) -> str:
    """A colour from red over grey to blue."""
    ends = ((181, 56, 47), (170, 170, 170), (31, 95, 168))
    low, high, at = (ends[0], ends[1], share * 2) if share < 0.5 else (ends[1], ends[2], share * 2 - 1)
    red, green, blue = (round(a + (b - a) * at) for a, b in zip(low, high, strict=True))
    return f"rgb({red},{green},{blue})"


def lines(
    sessions: SessionArray, series: Mapping[str, Float64Array], title: str, y: str, *, smooth: int = 0
) -> go.Figure:
    """Series (T,) over the sessions; `smooth` draws their mean over so many sessions that have a value."""
    figure = go.Figure()
    for (name, values), colour in zip(series.items(), (BLUE, ORANGE, GREEN, GREY, RED, PALE), strict=False):
        valid = np.isfinite(values)
        shown, at = values[valid], sessions[valid]
        if smooth and len(shown) >= smooth:
            shown, at = np.convolve(shown, np.ones(smooth) / smooth, "valid"), at[smooth - 1 :]
        figure.add_scatter(x=days(at), y=light(shown), name=escape(name), line={"color": colour, "width": 1.8})
    return styled(figure, title, y)
