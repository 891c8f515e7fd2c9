"""Interactive figures of factors and rows for the HTML pages: rows lost, importance, coverage, prediction bands.

Names that a user has chosen are escaped, since plotly reads markup in text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from features.panel import Float64Array, SessionArray
from training.evaluate.charts import BLUE, GREEN, GRID, ORANGE, RED, days, light, lines, styled
from training.evaluate.waterfall import waterfall


def rows_lost(lost: Mapping[str, int]) -> go.Figure:
    """The way from the whole to the rows that are kept, by the reasons that took any."""
    steps = [step for step in waterfall(lost) if step.rows or step.is_total]
    whole = max(steps[0].rows, 1)
    figure = go.Figure(
        go.Waterfall(
            x=[escape(step.reason.replace("_", " ")) for step in steps],
            y=[step.rows if step.is_total else -step.rows for step in steps],
            measure=["absolute" if step.is_total else "relative" for step in steps],
            text=[f"{step.rows:,}<br>{step.rows / whole:.2%}" for step in steps],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": GREEN}},
            decreasing={"marker": {"color": ORANGE}},
            totals={"marker": {"color": BLUE}},
            connector={"line": {"color": "#bbb", "width": 1}},
        )
    )
    styled(figure, "Rows lost by reason 样本流失", "rows (session, asset)", legend=False, height=400)
    figure.update_yaxes(range=[0, whole * 1.18])
    return figure


def importance(shares: Mapping[str, float], zh: Mapping[str, str], *, top: int = 30) -> go.Figure:
    """The largest shares of the total importance, largest on top, with the factors' Chinese names."""
    total = sum(abs(value) for value in shares.values()) or 1.0
    largest = sorted(shares.items(), key=lambda item: -abs(item[1]))[:top][::-1]
    names = [escape(f"{name}  {zh.get(name, '')}".strip()) for name, _ in largest]
    figure = go.Figure(go.Bar(x=light([abs(v) / total * 100 for _, v in largest]), y=names, orientation="h"))
    figure.update_traces(marker_color=BLUE)
    covered = sum(abs(value) for _, value in largest) / total
    title = f"Importance 因子重要性: {len(largest)} of {len(shares)} columns, {covered:.0%} of the total"
    styled(figure, title, "", "share of the total importance, %", legend=False, height=110 + 21 * len(largest))
    figure.update_xaxes(showgrid=True, gridcolor=GRID)
    return figure


def coverage_map(
    coverage: Float64Array, columns: Sequence[str], sessions: SessionArray, zh: Mapping[str, str], *, most: int = 40
) -> go.Figure:
    """Share of the universe on which each factor is defined, (T, K): the worst covered ones, at most 200 cells each."""
    order = np.argsort(np.nanmean(np.nan_to_num(coverage), axis=0), kind="stable")[:most]
    edges = np.unique(np.linspace(0, len(sessions), min(len(sessions), 200) + 1).astype(int))
    shown = np.add.reduceat(np.nan_to_num(coverage[:, order]), edges[:-1], axis=0) / np.diff(edges)[:, None]
    figure = go.Figure(
        go.Heatmap(
            z=light(shown.T),
            x=days(sessions[edges[:-1]]),
            y=[escape(f"{columns[i]}  {zh.get(columns[i], '')}".strip()) for i in order],
            zmin=0,
            zmax=1,
            colorscale=[[0, RED], [0.6, "#f0d9a0"], [1, GREEN]],
            colorbar={
                "title": {"text": "share of the universe", "side": "right"},
                "thickness": 12,
                "tickformat": ".0%",
            },
        )
    )
    which = f"the {len(order)} least covered of {len(columns)}" if len(columns) > most else f"{len(order)}"
    styled(figure, f"Coverage 覆盖率: {which} factors", height=130 + 16 * len(order), legend=False)
    figure.update_yaxes(autorange="reversed", tickfont_size=10, showgrid=False)
    return figure


def band_coverage(sessions: SessionArray, rolling: Float64Array, target: float, *, slack: float = 0.03) -> go.Figure:
    """Share of outcomes inside the prediction band, rolling, with the span in which it is accepted."""
    figure = lines(
        sessions, {"rolling coverage": rolling}, "Coverage of the prediction band 区间覆盖率", "share of outcomes"
    )
    figure.add_hrect(y0=target - slack, y1=target + slack, fillcolor="#dcebdc", line_width=0, layer="below")
    figure.add_hline(y=target, line={"color": GREEN, "dash": "dot"})
    figure.update_yaxes(tickformat=".0%")
    figure.update_layout(showlegend=False, height=320)
    return figure
