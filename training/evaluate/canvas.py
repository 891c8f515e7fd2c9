"""An empty picture of the common size and look, for the figures of a run; nothing is kept globally."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from features.panel import Float64Array, SessionArray

BLUE, ORANGE, GREY, RED, GREEN = "#1f5fa8", "#d9822b", "#7a7a7a", "#b5382f", "#3a8f5c"


def blank(rows: int = 1, ratios: Sequence[float] = (1.0,)) -> tuple[Figure, list[Axes]]:
    """An empty figure of the common size, its axes one below the other on one x axis."""
    figure = Figure(figsize=(12, 7), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=rows > 1, squeeze=False, gridspec_kw={"height_ratios": list(ratios)})[:, 0]
    for ax in axes:
        ax.grid(axis="y", color="#e3e3e3", linewidth=0.8)
        ax.set_axisbelow(True)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        ax.tick_params(labelsize=11)
    return figure, list(axes)


def titled(ax: Axes, title: str, y: str, x: str = "") -> None:
    """Title on the left, and what the axes are."""
    ax.set_title(title, fontsize=14, loc="left")
    ax.set_ylabel(y, fontsize=12)
    ax.set_xlabel(x, fontsize=12)


def dated(ax: Axes) -> None:
    """Dates on the x axis, as few as fit."""
    ax.xaxis.set_major_locator(mdates.AutoDateLocator(minticks=4, maxticks=10))
    low, high = ax.get_xlim()
    ax.xaxis.set_major_formatter(mdates.DateFormatter("%Y-%m" if high - low > 150 else "%Y-%m-%d"))


def day_numbers(sessions: SessionArray) -> Float64Array:
    """Sessions as matplotlib counts days."""
    return np.asarray(mdates.date2num(sessions.astype("datetime64[D]")), np.float64)
