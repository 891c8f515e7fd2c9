"""Interactive figures of spreads for the HTML page; names that a user has chosen are escaped.

Each draws at most about `points` rows of a line; every trade, roll and refit is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from features.panel import Float64Array
from training.evaluate import spread_series as series
from training.evaluate.charts import BLUE, DIVERGING, GREEN, GREY, ORANGE, RED, days, light, shade, styled
from training.evaluate.spread_evidence import HalfLives, PairEvidence, RuleTrading
from training.evaluate.spread_tests import HALF_LIVES
from training.evaluate.spread_words import WHY_LEFT
from training.evaluate.volatility_charts import buttons
from training.evaluate.volatility_series import PALETTE


def r2_map(labels: Sequence[str], models: Sequence[str], tables: dict[int, Float64Array]) -> go.Figure:
    """R² against nought, pairs in rows, models in columns, (P, J) a horizon; a star marks the best of a row."""
    figure = go.Figure()
    for shown, (horizon, values) in enumerate(tables.items()):
        text = [["" if not np.isfinite(v) else f"{v:+.2%}" for v in row] for row in values]
        for row, cells in zip(values, text, strict=True):
            if np.isfinite(row).any() and np.nanmax(row) > 0:
                cells[int(np.nanargmax(row))] = "★ " + cells[int(np.nanargmax(row))]
        figure.add_heatmap(
            z=light(values),
            x=[escape(model) for model in models],
            y=[escape(label) for label in labels],
            text=text,
            texttemplate="%{text}",
            colorscale=[list(pair) for pair in DIVERGING],
            zmin=-0.05,
            zmax=0.05,
            colorbar={"tickformat": "+.0%"},
            xgap=2,
            ygap=2,
            visible=shown == 0,
            hovertemplate=f"%{{y}}, %{{x}}, {horizon} ahead: %{{text}}<extra></extra>",
        )
    title = "R² against a forecast of nought 样本外R²: blue is better than nought, ★ the best of a row"
    styled(figure, title, height=(150 if len(tables) > 1 else 100) + 27 * len(labels), legend=False)
    steps = [
        {"label": f"{h} ahead", "method": "restyle", "args": ["visible", [h == other for other in tables]]}
        for h in tables
    ]
    if len(steps) > 1:
        figure.update_layout(updatemenus=[buttons(steps, y=1, top=34)], margin_t=118)
        figure.update_layout(title_yref="container", title_y=1, title_yanchor="top", title_pad_t=14)
    figure.update_layout(margin_b=12)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, ticks="")
    figure.update_xaxes(type="category", side="top", showline=False, ticks="")
    return figure


def spread_and_trades(pair: PairEvidence, rule: RuleTrading | None, *, points: int) -> go.Figure:
    """The spread with its mean and the band beyond which a rule enters, entries and exits of the rule on it.

    Lines break at the rolls: another pair of contracts begins.
    """
    figure, n = go.Figure(), len(pair.sessions)
    rows = series.drawn_rows(n, pair.life, points)
    x = days(series.broken_sessions(rows, pair.life, pair.sessions))

    def line(values: Float64Array, name: str, **look: object) -> None:
        y = light(100 * series.broken(rows, pair.life, values))
        figure.add_scatter(x=x, y=y, name=name, mode="lines", line=look, connectgaps=False)

    line(pair.spread, "spread 价差", color=BLUE, width=1.5)
    if pair.mean is not None:
        line(pair.mean, "mean 均值", color=GREY, width=1, dash="dot")
        if pair.sd is not None:
            for sign in (-1, 1):
                beyond = sign * band(rule)
                line(pair.mean + beyond * pair.sd, f"{beyond:+g} s.d.", color="#c9a36b", width=1)
    if rule is not None:
        _marks(figure, pair, rule)
    traded = f", trades of {escape(rule.model)}" if rule is not None else ""
    styled(figure, f"Spread with bands{traded} 价差、区间与交易", "log spread, %", height=430)
    if pair.holdout is not None and pair.holdout.any():
        shade(figure, pair.sessions, pair.holdout)
    for first, last in series.candidacies(pair):
        ends = {"x0": str(pair.sessions[first]), "x1": str(pair.sessions[last]), "y0": 0, "y1": 0.03, "yref": "paper"}
        figure.add_shape(type="rect", fillcolor=GREEN, line_width=0, opacity=0.6, **ends)
    return figure


def band(rule: RuleTrading | None) -> float:
    """Deviations of the band that is drawn: those at which the rule enters, two without a rule."""
    return 2.0 if rule is None else rule.trading.rule.enter_z


def _marks(figure: go.Figure, pair: PairEvidence, rule: RuleTrading) -> None:
    capital = rule.trading.rule.capital
    kinds = ((1, "bought 买入价差", GREEN, "triangle-up"), (-1, "sold 卖出价差", RED, "triangle-down"))
    for side, name, colour, symbol in kinds:
        chosen = [one for one in rule.trading.trades if one.side == side]
        if not chosen:
            continue
        at = [one.entered for one in chosen]
        figure.add_scatter(
            x=days(pair.sessions[at]),
            y=light(100 * pair.spread[at]),
            text=[f"{one.lots[0]:+d} / {one.lots[1]:+d} lots" for one in chosen],
            name=f"{len(chosen)} {name}",
            mode="markers",
            marker={"size": 8, "color": colour, "symbol": symbol, "line": {"width": 1, "color": "#fff"}},
            hovertemplate="%{x}: %{text} at %{y:.2f} %<extra></extra>",
        )
    left = [one for one in rule.trading.trades if one.reason != "open"]
    if left:
        at = [one.left for one in left]
        figure.add_scatter(
            x=days(pair.sessions[at]),
            y=light(100 * pair.spread[at]),
            text=[f"{WHY_LEFT[one.reason]}, {one.net / capital:+.2%} net in {one.sessions} sessions" for one in left],
            name="left 平仓",
            mode="markers",
            marker={"size": 6, "color": "#fff", "line": {"width": 1.5, "color": "#444"}},
            hovertemplate="%{x}: %{text}<extra></extra>",
        )


def money(tradings: Sequence[RuleTrading], *, points: int) -> go.Figure:
    """Running sum of each rule's net returns, and of the first one's gross returns."""
    figure = go.Figure()
    for i, one in enumerate(tradings):
        run = one.trading
        rows = series.drawn_rows(len(run.net), None, points)
        x = days(run.pair.sessions[rows])
        colour = BLUE if i == 0 else PALETTE[(i - 1) % len(PALETTE)]
        look = {"color": colour, "width": 2 if i == 0 else 1.4}
        figure.add_scatter(x=x, y=light(100 * np.cumsum(run.net)[rows]), name=f"{escape(one.model)}, net", line=look)
        if i == 0:
            gross = 100 * np.cumsum(run.gross)[rows] / run.rule.capital
            look = {"color": colour, "width": 1.2, "dash": "dot"}
            figure.add_scatter(x=x, y=light(gross), name=f"{escape(one.model)}, before costs", line=look)
    figure.update_traces(mode="lines")
    figure.add_hline(y=0, line={"color": GREY, "width": 1})
    return styled(figure, "What trading it earned 交易净值", "sum of returns on the capital, %")


def calibration(pair: PairEvidence) -> go.Figure:
    """Mean outcome over mean forecast of ten groups of the served forecasts, and the line of a true forecast."""
    figure = go.Figure()
    if pair.forecast is not None and pair.outcome is not None:
        said, came = series.binned(pair.forecast, pair.outcome)
        look = {"size": 8, "color": BLUE}
        figure.add_scatter(x=light(1e4 * said), y=light(1e4 * came), name="a tenth each", mode="markers", marker=look)
        if len(said):
            ends = 1e4 * np.array([said.min(), said.max()])
            dash = {"color": GREY, "width": 1, "dash": "dot"}
            figure.add_scatter(x=light(ends), y=light(ends), name="as foretold", mode="lines", line=dash)
    name = f"Outcome by forecast, {pair.horizon} ahead 预测与实际"
    styled(figure, name, "mean outcome, bp", "mean forecast, bp")
    return figure.update_layout(legend_y=-0.24)


def half_lives(found: HalfLives) -> go.Figure:
    """Half-life of every refit, its interval, and the range that a pair may have; crosses: no reversion found."""
    figure = go.Figure()
    reverts = np.isfinite(found.half_life) & (found.half_life > 0)
    x = days(found.sessions[reverts])
    if found.low is not None and found.high is not None:
        edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        top = np.where(np.isfinite(found.high), found.high, 10 * HALF_LIVES[1])
        figure.add_scatter(x=x, y=light(found.low[reverts]), showlegend=False, **edge)
        fill = {"fill": "tonexty", "fillcolor": "#dbe6f3", "name": "interval 区间"}
        figure.add_scatter(x=x, y=light(top[reverts]), **fill, **edge)
    look = {"color": BLUE, "width": 1.6}
    values = light(found.half_life[reverts])
    figure.add_scatter(x=x, y=values, name="half-life 半衰期", mode="lines+markers", line=look, marker_size=4)
    if not reverts.all():
        lost = days(found.sessions[~reverts])
        cross = {"symbol": "x", "size": 7, "color": RED}
        name = f"no reversion found 不回归: {len(lost)}"
        figure.add_scatter(x=lost, y=[HALF_LIVES[1]] * len(lost), name=name, mode="markers", marker=cross)
    for limit in HALF_LIVES:
        figure.add_hline(y=limit, line={"color": ORANGE, "width": 1, "dash": "dot"})
    styled(figure, f"Half-life by refit, {escape(found.model)} 半衰期稳定性", "sessions (log axis)")
    known = values[np.isfinite(values)]
    highest = np.log10(1.6 * max(HALF_LIVES[1], float(known.max(initial=1.0))))
    figure.update_yaxes(type="log", range=[np.log10(0.8), min(highest, 3.2)], tickvals=[1, 2, 5, 10, 20, 60, 200, 600])
    return figure
