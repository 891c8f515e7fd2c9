"""Interactive figures of volatility forecasts for the HTML page; names that a user has chosen are escaped.

Each thins its lines to `points` points; a point then stands for a block of sessions, by its mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
import polars as pl

from features.panel import BoolArray, Float64Array, SessionArray
from training.evaluate import volatility_series as series
from training.evaluate.charts import DIVERGING, days, light, shade, styled
from training.evaluate.volatility_evidence import NewsImpact


def leaderboard(
    labels: Sequence[str],
    models: Sequence[str],
    ratios: Mapping[int, Float64Array],
    base: str,
    base_name: str,
    *,
    made_of_others: Sequence[bool] = (),
) -> go.Figure:
    """Mean QLIKE over the base's, products in rows, models in columns, (P, J) a horizon; buttons choose the horizon.

    A star marks the least of each row; where that is the base, its cell says that it wins.

    made_of_others  (J,) forecasters that take no star, for they are made of the models
    """
    figure = go.Figure()
    reach = series.reach(ratios.values())
    for shown, (horizon, values) in enumerate(ratios.items()):
        figure.add_trace(
            go.Heatmap(
                z=light(values - 1),
                x=[escape(base_name if model == base else model) for model in models],
                y=[escape(label) for label in labels],
                text=series.cell_texts(values, models, base, f"★ {base_name} wins", made_of_others),
                texttemplate="%{text}",
                colorscale=[[1 - at, colour] for at, colour in reversed(DIVERGING)],
                zmin=-reach,
                zmax=reach,
                colorbar={"title": {"text": f"QLIKE against {base_name}", "side": "right"}, "tickformat": "+.0%"},
                xgap=2,
                ygap=2,
                visible=shown == 0,
                hovertemplate=f"%{{y}}, %{{x}}, horizon {horizon}: %{{text}}<extra></extra>",
            )
        )
    title = f"QLIKE over {base_name}'s 损失比: below 1 (blue) is better than {base_name}"
    styled(figure, title, height=(136 if len(ratios) > 1 else 84) + 27 * len(labels), legend=False)
    steps = [
        {"label": _sessions(h), "method": "restyle", "args": ["visible", [h == other for other in ratios]]}
        for h in ratios
    ]
    if len(steps) > 1:
        figure.update_layout(updatemenus=[buttons(steps, y=1, top=34)], margin_t=118)
        figure.update_layout(title_yref="container", title_y=1, title_yanchor="top", title_pad_t=14)
    figure.update_layout(margin_b=12)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, ticks="")
    figure.update_xaxes(type="category", side="top", showline=False, ticks="")
    return figure


def forecast_against_range(
    sessions: SessionArray,
    range_variance: Float64Array,
    served: Float64Array,
    variance: Mapping[str, Float64Array],
    *,
    base: str,
    points: int,
    holdout: BoolArray | None = None,
) -> go.Figure:
    """Forecasts (n,) of the next session against the range's volatility of that session; log axis on a button.

    Models other than the base are hidden until their name below is clicked.
    """
    figure = go.Figure()
    size = series.block_size(len(sessions), points)
    x = days(series.block_last(sessions, size))
    seen = series.annualised(series.block_mean(range_variance, size))
    figure.add_scatter(x=x, y=light(seen), name="range 极差", mode="markers", marker={"size": 3.5, "color": "#c3c9d1"})
    drawn = [(base, variance[base])] if base in variance else []
    drawn += [(name, values) for name, values in variance.items() if name != base]
    palette = series.colours(variance, base)
    for name, values in drawn:
        line = series.annualised(series.block_mean(series.ahead(values), size))
        look = {"color": palette[name], "width": 1.4}
        hidden = True if name == base else "legendonly"
        figure.add_scatter(x=x, y=light(line), name=escape(name), mode="lines", line=look, visible=hidden)
    line = series.annualised(series.block_mean(series.ahead(served), size))
    figure.add_scatter(
        x=x, y=light(line), name="served 发布", mode="lines", line={"color": series.SERVED_COLOUR, "width": 2.2}
    )
    styled(figure, "Forecast of one session against its range 预测与极差波动率", "volatility, % a year")
    steps = [{"label": t, "method": "relayout", "args": ["yaxis.type", t]} for t in ("linear", "log")]
    figure.update_layout(updatemenus=[buttons(steps, x=1, y=1, top=8)])
    _shaded(figure, sessions, holdout)
    return figure


def value_at_risk(
    sessions: SessionArray,
    returns: Float64Array,
    var: Float64Array,
    es: Float64Array | None,
    levels: Sequence[float],
    *,
    points: int,
    holdout: BoolArray | None = None,
) -> go.Figure:
    """Returns (n,) against the value at risk (n, L) that was told the session before; every breach is marked.

    Beyond `points` a dot is the worst return of its block, a line the mean of it.
    """
    figure = go.Figure()
    size = series.block_size(len(sessions), points)
    x = days(series.block_last(sessions, size))
    covered = np.isfinite(series.ahead(var)).any(axis=1)
    dots = series.block_worst(np.where(covered, returns, np.nan), size)
    figure.add_scatter(
        x=x, y=light(dots * 100), name="return", mode="markers", marker={"size": 3.5, "color": "#c3c9d1"}
    )
    hit = series.breached(returns, var)
    for column, level in enumerate(levels):
        colour = series.var_colour(column, len(levels))
        line = series.block_mean(-series.ahead(var[:, column]), size)
        rows = np.flatnonzero(hit[:, column])
        told = int(np.isfinite(series.ahead(var[:, column])).sum())
        name = f"VaR {level:.1%}: {len(rows)} breaches of {told:,}, {told * (1 - level):.1f} expected"
        look = {"color": colour, "width": 1.0}
        figure.add_scatter(
            x=x, y=light(line * 100), opacity=0.7, name=name, mode="lines", line=look, legendgroup=f"{level}"
        )
        worse = rows if column == len(levels) - 1 else rows[~hit[rows, column + 1 :].any(axis=1)]
        figure.add_scatter(
            x=days(sessions[worse]),
            y=light(returns[worse] * 100),
            mode="markers",
            marker={"size": 7, "color": colour, "symbol": "circle", "line": {"width": 1, "color": "#fff"}},
            legendgroup=f"{level}",
            showlegend=False,
            hovertemplate=f"%{{x}}: %{{y:.2f}} %, beyond VaR {level:.1%}<extra></extra>",
        )
    if es is not None and len(levels):
        line = series.block_mean(-series.ahead(es[:, -1]), size)
        look = {"color": series.VAR_COLOURS[-1], "width": 1, "dash": "dot"}
        figure.add_scatter(x=x, y=light(line * 100), name=f"ES {levels[-1]:.1%} 预期损失", mode="lines", line=look)
    styled(figure, "Value at risk of a long position, with breaches 在险价值", "log return of a session, %", height=420)
    _shaded(figure, sessions, holdout)
    return figure


def news_impact(news: NewsImpact, base: str) -> go.Figure:
    """Volatility of the next session after a shock to this one, a line a model."""
    figure = go.Figure()
    palette = series.colours(news.variance, base)
    for name, values in news.variance.items():
        look = {"color": palette[name], "width": 1.8}
        figure.add_scatter(x=light(news.shocks), y=light(series.annualised(values)), name=escape(name), line=look)
    styled(figure, "News impact 信息冲击曲线", "next session, % a year", "return of this session, standard deviations")
    return _legend_below_the_axis_title(figure)


def term_structure(
    horizons: Sequence[int], served: Float64Array, variance: Mapping[str, Float64Array], base: str
) -> go.Figure:
    """Volatility forecast now by horizon, a line a model (n, H), over the quantiles of the served one's own history."""
    figure = go.Figure()
    x = list(horizons)
    quantiles = series.bands(served, horizons)
    for low, high, colour in ((0, 4, "#eef3f9"), (1, 3, "#d5e3f2")):
        name = f"{series.BAND_SHARES[low]:.0%} to {series.BAND_SHARES[high]:.0%} of history"
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_scatter(x=x, y=light(quantiles[low]), showlegend=False, **edge)
        figure.add_scatter(x=x, y=light(quantiles[high]), fill="tonexty", fillcolor=colour, name=name, **edge)
    look = {"color": "#9dbfe3", "width": 1.4, "dash": "dot"}
    figure.add_scatter(x=x, y=light(quantiles[2]), name="median of history", mode="lines", line=look)
    palette = series.colours(variance, base)
    drawn = [(name, values, palette[name], 1.4) for name, values in variance.items()]
    drawn.append(("served 发布", served, series.SERVED_COLOUR, 3.0))
    for name, values, colour, width in drawn:
        now = series.annualised(series.latest(values), np.asarray(horizons))
        figure.add_scatter(
            x=x, y=light(now), name=escape(name), mode="lines+markers", line={"color": colour, "width": width}
        )
    styled(figure, "Term structure now 波动率期限结构", "volatility, % a year", "sessions ahead")
    figure.update_xaxes(type="log", tickvals=x, ticktext=[str(h) for h in x])
    return _legend_below_the_axis_title(figure)


def loss_against_base(
    sessions: SessionArray,
    losses: Mapping[str, Float64Array],
    *,
    base: str,
    base_name: str,
    horizon: int,
    points: int,
    holdout: BoolArray | None = None,
) -> go.Figure:
    """Running sum of the base's QLIKE less each forecaster's, (n,) by session of decision: rising is better."""
    figure = go.Figure()
    size = series.block_size(len(sessions), points)
    at = np.append(np.arange(size - 1, len(sessions) - 1, size), len(sessions) - 1)[: len(sessions)]
    palette = series.colours(losses, base)
    for name, values in losses.items():
        if name != base:
            line = series.gains(values, losses[base])[at]
            look = {"color": palette[name], "width": 1.6}
            figure.add_scatter(x=days(sessions[at]), y=light(line), name=escape(name), mode="lines", line=look)
    figure.add_hline(y=0, line={"color": series.BASE_COLOUR, "width": 1})
    title = f"QLIKE saved against {base_name}, {_sessions(horizon)} ahead 累计损失差"
    styled(figure, title, f"sum of {base_name}'s loss less the model's")
    _shaded(figure, sessions, holdout)
    return figure


def rolls(sessions: SessionArray, level: Float64Array, rolled: pl.DataFrame | None, *, points: int) -> go.Figure:
    """The roll-adjusted level (T,) with every roll marked; hovering tells the contracts and the spread."""
    figure = go.Figure()
    size = series.block_size(len(sessions), points)
    x = days(series.block_last(sessions, size))
    line = series.block_mean(level, size)
    figure.add_scatter(x=x, y=light(line), name="level, adjusted by ratio 复权价格", mode="lines", line={"width": 1.5})
    figure.data[0].line.color = series.SERVED_COLOUR
    if rolled is not None and rolled.height:
        dates = rolled["date"].cast(pl.Date).to_numpy().astype("datetime64[D]")
        at = np.clip(np.searchsorted(sessions, dates, side="right") - 1, 0, len(sessions) - 1)
        told = [
            f"{escape(str(old))} → {escape(str(new))}, spread {'not known' if spread is None else f'{spread:+.2%}'}"
            for old, new, spread in rolled.select("from", "to", "spread").iter_rows()
        ]
        figure.add_scatter(
            x=[str(day) for day in dates],
            y=light(level[at]),
            text=told,
            mode="markers",
            name=f"{rolled.height} rolls 换月",
            marker={"size": 5, "color": "#d9822b"},
            hovertemplate="%{x}: %{text}<extra></extra>",
        )
    return styled(
        figure, "The series that is forecast, with its rolls 连续序列与换月", "CNY, at the last price's scale"
    )


def _sessions(horizon: int) -> str:
    return f"{horizon} session{'s' if horizon > 1 else ''}"


def buttons(steps: Sequence[Mapping[str, object]], *, y: float, top: int, x: float = 0) -> dict[str, object]:
    """A row of buttons over the drawing."""
    side = "right" if x else "left"
    pad = {"b": top, "t": 0, "l": 0, "r": 0}
    look = {"type": "buttons", "direction": "right", "showactive": True, "font": {"size": 11}, "pad": pad}
    return look | {"buttons": list(steps), "x": x, "y": y, "xanchor": side, "yanchor": "bottom"}


def _shaded(figure: go.Figure, sessions: SessionArray, holdout: BoolArray | None) -> None:
    if holdout is not None and holdout.any():
        shade(figure, sessions, holdout)


def _legend_below_the_axis_title(figure: go.Figure) -> go.Figure:
    return figure.update_layout(legend_y=-0.24)
