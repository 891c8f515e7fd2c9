"""Interactive figures of term structures for the HTML page: curves, basis history, a term-structure model."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from training.evaluate import spread_series as series
from training.evaluate.charts import BLUE, GREEN, GREY, ORANGE, days, light, styled
from training.evaluate.spread_evidence import BasisHistory, CurveSnapshot, TermFit
from training.evaluate.volatility_series import PALETTE


def curve_snapshots(snapshots: Sequence[CurveSnapshot], name: str) -> go.Figure:
    """Prices over years to maturity, a line a session, the newest the darkest; hovering tells the contract."""
    figure = go.Figure()
    for i, one in enumerate(snapshots):
        last = i == len(snapshots) - 1
        years, price, text = one.years, one.price, [escape(contract) for contract in one.contracts]
        if np.isfinite(one.spot):
            years, price, text = np.insert(years, 0, 0.0), np.insert(price, 0, one.spot), ["spot 现货", *text]
        red, green, blue = curve_rgb(i, len(snapshots))
        look = {"color": f"rgb({red},{green},{blue})", "width": 3 if last else 1.6}
        figure.add_scatter(
            x=light(years),
            y=light(price),
            text=text,
            name=escape(one.session),
            mode="lines+markers",
            line=look,
            hovertemplate=f"{escape(one.session)} %{{text}}: %{{y:,.6g}}<extra></extra>",
        )
    styled(figure, f"{escape(name)}: the curve on some sessions 期限结构", "price", "years to maturity")
    return figure.update_layout(legend_y=-0.24)


def curve_rgb(position: int, count: int) -> tuple[int, int, int]:
    """From pale to blue, the last the darkest; parts of 255."""
    share = position / (count - 1) if count > 1 else 1.0
    red, green, blue = (round(a + (b - a) * share) for a, b in zip((201, 214, 229), (31, 95, 168), strict=True))
    return red, green, blue


def basis_history(found: BasisHistory, name: str, *, points: int) -> go.Figure:
    """The basis over its own trailing quantiles; the lowest and the highest are named."""
    figure = go.Figure()
    rows = series.drawn_rows(len(found.sessions), None, points)
    rows = np.unique(np.append(rows, series.extremes(found.basis))).astype(np.int64)
    x, bands = days(found.sessions[rows]), 100 * series.trailing_quantiles(found.basis)[rows]
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    for low, high, colour in ((0, 4, "#eef3f9"), (1, 3, "#d5e3f2")):
        label = f"{series.SHARES[low]:.0%} to {series.SHARES[high]:.0%} of {series.WINDOW} sessions"
        figure.add_scatter(x=x, y=light(bands[:, low]), showlegend=False, **edge)
        figure.add_scatter(x=x, y=light(bands[:, high]), fill="tonexty", fillcolor=colour, name=label, **edge)
    look = {"color": "#9dbfe3", "width": 1.2, "dash": "dot"}
    figure.add_scatter(x=x, y=light(bands[:, 2]), name="median 中位数", mode="lines", line=look)
    look = {"color": BLUE, "width": 1.4}
    basis = light(100 * found.basis[rows])
    figure.add_scatter(x=x, y=basis, name="basis 基差", mode="lines", line=look)
    for row in series.extremes(found.basis):
        value = 100 * float(found.basis[row])
        figure.add_annotation(
            x=str(found.sessions[row]), y=value, text=f"{value:+.1f} % on {found.sessions[row]}", font_size=11
        )
    figure.add_hline(y=0, line={"color": GREY, "width": 1})
    title = f"{escape(name)}: {escape(found.what)} 基差历史与分位"
    return styled(figure, title, "%; above 0: premium 升水", height=420)


def term_states(found: TermFit, *, points: int) -> go.Figure:
    """The level that stays, and the price at the level plus the deviation that dies out."""
    figure = go.Figure()
    rows = series.drawn_rows(len(found.sessions), None, points)
    x = days(found.sessions[rows])
    spot, stays = np.exp(found.short + found.long)[rows], np.exp(found.long)[rows]
    for values, label, look in (
        (spot, "spot by the model: exp(χ + ξ) 隐含现货", {"color": BLUE, "width": 1.6}),
        (stays, "level that stays: exp(ξ) 长期水平", {"color": ORANGE, "width": 1.6}),
    ):
        figure.add_scatter(x=x, y=light(values), name=label, mode="lines", line=look)
    return styled(figure, f"{escape(found.model)}: filtered states 状态", "price")


def term_deviation(found: TermFit, *, points: int) -> go.Figure:
    """The deviation that dies out, and the convenience yield that goes with it."""
    figure = go.Figure()
    rows = series.drawn_rows(len(found.sessions), None, points)
    x = days(found.sessions[rows])
    look = {"color": BLUE, "width": 1.5}
    deviation = light(100 * found.short[rows])
    figure.add_scatter(x=x, y=deviation, name="χ: deviation 短期偏离", mode="lines", line=look)
    if found.yields is not None:
        look = {"color": GREEN, "width": 1.2}
        label = "net convenience yield, % a year 便利收益"
        figure.add_scatter(x=x, y=light(100 * found.yields[rows]), name=label, mode="lines", line=look)
    figure.add_hline(y=0, line={"color": GREY, "width": 1})
    return styled(figure, "Short-term deviation and convenience yield 短期偏离与便利收益", "%")


def term_errors(found: TermFit, *, points: int) -> go.Figure:
    """ln(price / model) of each maturity over time."""
    figure = go.Figure()
    rows = series.drawn_rows(len(found.sessions), None, points)
    x, away = days(found.sessions[rows]), 1e4 * np.log(found.price / found.fitted)[rows]
    for column, label in enumerate(found.labels):
        look = {"size": 3.5, "color": PALETTE[column % len(PALETTE)]}
        figure.add_scatter(x=x, y=light(away[:, column]), name=escape(label), mode="markers", marker=look)
    figure.add_hline(y=0, line={"color": GREY, "width": 1})
    return styled(figure, "Prices less the model's 定价误差", "ln(price / model), bp")
