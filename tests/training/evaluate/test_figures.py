from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from features.panel import Panels
from training.evaluate import figures
from training.evaluate.ic import ic_summary
from training.evaluate.portfolio import decile_portfolios, simulate_topk

SESSIONS = np.arange("2023-01-02", "2023-12-30", dtype="datetime64[D]")
SESSIONS = SESSIONS[np.is_busday(SESSIONS)]


def result():
    rng = np.random.default_rng(0)
    shape = (len(SESSIONS), 30)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=0))
    prev_close = np.vstack([np.full((1, 30), 20.0), close[:-1]])
    values = {"open": prev_close, "close": close, "prev_close": prev_close, "volume": np.full(shape, 1e7)}
    values |= {"high": np.maximum(prev_close, close), "low": np.minimum(prev_close, close)}
    panels = Panels(SESSIONS, np.array([f"{600000 + n}.XSHG" for n in range(30)]), values)
    panels = panels.joined({"total_turnover": 1e7 * close})
    return simulate_topk(rng.normal(size=shape), panels, np.ones(shape, bool), k=5, horizon=5, benchmark=close[:, 0])


def daily():
    ic = np.random.default_rng(1).normal(0.03, 0.1, len(SESSIONS))
    ic[:20] = np.nan
    return ic


def deciles():
    score = np.random.default_rng(2).normal(size=(50, 40))
    return decile_portfolios(score, 0.01 * score, horizon=5)


LOST = {"universe": 100, "no_row_at_entry": 3, "no_exit_yet": 7, "delayed_exit": 4, "delisted": 1, "kept": 90}
DRAWN = {
    "cumulative_ic": lambda: figures.cumulative_ic(daily(), SESSIONS, ic_summary(daily(), 5)),
    "ic_months": lambda: figures.ic_months(daily(), SESSIONS),
    "entries_side_by_side": lambda: figures.entries_side_by_side({"next_open": result(), "next_vwap": result()}),
    "band_coverage": lambda: figures.band_coverage(
        np.linspace(0.8, 0.95, len(SESSIONS)), np.full(len(SESSIONS), 0.1), SESSIONS, target=0.9
    ),
    "ic_by_horizon": lambda: figures.ic_by_horizon({h: ic_summary(daily(), h) for h in (1, 5, 10)}),
    "decile_bars": lambda: figures.decile_bars(deciles()),
    "portfolio_curve": lambda: figures.portfolio_curve(result()),
    "turnover_curve": lambda: figures.turnover_curve(result()),
    "feature_importance": lambda: figures.feature_importance({f"factor_{i}": i**0.5 for i in range(50)}),
    "coverage_map": lambda: figures.coverage_map(
        np.random.default_rng(3).random((len(SESSIONS), 5)), [f"factor_{i}" for i in range(5)], SESSIONS
    ),
    "rows_lost": lambda: figures.rows_lost(LOST),
}


@pytest.fixture(scope="module", params=DRAWN)
def drawn(request):
    return request.param, DRAWN[request.param]()


def test_every_figure_fills_its_pixels_and_says_what_it_shows(drawn):
    _, figure = drawn
    assert isinstance(figure, Figure)
    figure.savefig(buffer := io.BytesIO(), format="png")
    assert int.from_bytes(buffer.getvalue()[16:20]) == 1200
    assert int.from_bytes(buffer.getvalue()[20:24]) == 700
    first = figure.axes[0]
    assert first.get_title(loc="left")
    assert first.get_ylabel() or first.get_xlabel() or len(figure.axes) > 1


@pytest.mark.parametrize(
    "name",
    ["cumulative_ic", "portfolio_curve", "turnover_curve", "coverage_map", "entries_side_by_side", "band_coverage"],
)
def test_time_axes_carry_dates(name):
    figure = DRAWN[name]()
    figure.canvas.draw()
    bottom = figure.axes[1] if name in ("portfolio_curve", "turnover_curve", "band_coverage") else figure.axes[0]
    labels = [label.get_text() for label in bottom.get_xticklabels()]
    assert labels
    assert all(label.startswith(("2022-", "2023-", "2024-")) for label in labels)


def test_a_curve_ends_at_what_was_earned():
    outcome = result()
    line = figures.portfolio_curve(outcome).axes[0].get_lines()[0]
    assert line.get_ydata()[-1] == pytest.approx(outcome.nav[-1] / 1e8 - 1)


def test_months_stand_in_their_own_cells():
    texts = [text.get_text() for text in figures.ic_months(daily(), SESSIONS).axes[0].texts]
    ic = daily()
    march = ic[SESSIONS.astype("datetime64[M]") == np.datetime64("2023-03")]
    assert len(texts) == 12
    assert texts[2] == f"{march[np.isfinite(march)].mean():+.3f}"


def test_the_coverage_figure_counts_the_accepted_sessions():
    rolling = np.full(len(SESSIONS), np.nan)
    rolling[:4] = [0.86, 0.88, 0.92, 0.94]
    figure = figures.band_coverage(rolling, rolling, SESSIONS, target=0.9)
    assert "accepted on 50% of" in figure.axes[0].get_title(loc="left")


def test_the_waterfall_descends_to_what_is_kept():
    bars = figures.rows_lost(LOST).axes[0].patches
    assert [bar.get_height() for bar in bars] == [100, 3, 7, 90]
    assert [bar.get_y() for bar in bars] == [0, 97, 90, 0]


def test_the_most_important_features_stand_on_top():
    axes = figures.feature_importance({"low": 1.0, "high": 3.0, "none": 0.0}, top=2).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["low", "high"]
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.75]


def test_drawing_leaves_no_figure_open_and_no_setting_changed():
    before = dict(matplotlib.rcParams)
    for draw in DRAWN.values():
        draw()
    assert dict(matplotlib.rcParams) == before
    pyplot = pytest.importorskip("matplotlib.pyplot")
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("ic", [np.full(len(SESSIONS), np.nan), np.full(len(SESSIONS), 0.0)])
def test_an_ic_of_nothing_is_drawn_without_failing(ic):
    figures.cumulative_ic(ic, SESSIONS, ic_summary(ic, 5)).savefig(io.BytesIO(), format="png")
