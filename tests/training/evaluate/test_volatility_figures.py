"""The pictures of a volatility run fill their pixels and show the numbers that they are given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.training.evaluate.volatility_world import HORIZONS, LEVELS, product
from training.evaluate import volatility_figures as figures

MODELS = ["ewma", "gjr_t", "chosen"]


def board(rows, ratios=None):
    values = np.tile([1.0, 0.95, 0.9], (rows, 1)) if ratios is None else np.array(ratios)
    names = [f"P{i}" for i in range(rows)]
    apart = [False, False, True]
    return figures.leaderboard(names, MODELS, values, base="ewma", base_name="EWMA", horizon=5, made_of_others=apart)


@pytest.fixture(scope="module")
def one():
    return product(n=400)


def range_figure(one):
    base = one.variance["ewma"][:, 0]
    return figures.forecast_vs_range(
        one.sessions, one.range_variance, one.served[:, 0], base, name="IF", base_name="EWMA"
    )


DRAWN = {
    "leaderboard": lambda one: board(4),
    "forecast_vs_range": range_figure,
    "var_breaches": lambda one: figures.var_breaches(one.sessions, one.returns, one.var, LEVELS, name="IF"),
    "news_impact": lambda one: figures.news_impact(one.news, "ewma", name="IF"),
    "term_structure": lambda one: figures.term_structure(HORIZONS, one.served, one.variance, "ewma", name="IF"),
}


def pixels(figure):
    figure.savefig(buffer := io.BytesIO(), format="png")
    found = buffer.getvalue()
    return int.from_bytes(found[16:20]), int.from_bytes(found[20:24])


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_fills_its_pixels_and_says_what_it_shows(name, one):
    figure = DRAWN[name](one)
    assert isinstance(figure, Figure)
    assert pixels(figure) == (1200, 700)
    ax = figure.axes[0]
    assert ax.get_title(loc="left")
    assert name == "leaderboard" or "%" in ax.get_ylabel() or "return" in ax.get_ylabel()


def test_a_leaderboard_of_many_products_is_taller_and_of_hundreds_cut():
    assert pixels(board(53))[1] > 1200
    cut = board(200)
    assert len(cut.axes[0].get_yticklabels()) == 60
    assert "the first 60 of 200" in cut.axes[0].get_title(loc="left")


def test_the_leaderboard_says_where_ewma_wins_and_sets_the_best_in_bold():
    figure = board(3, [[1.0, 0.9, 0.8], [1.0, 1.1, 0.8], [1.0, np.nan, np.nan]])
    texts = figure.axes[0].texts
    bold = [text.get_text() for text in texts if text.get_weight() == "bold"]
    assert bold == ["0.900", "EWMA wins", "EWMA wins"]
    assert "EWMA wins on 2 of 3" in figure.axes[0].get_title(loc="left")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["EWMA", "gjr_t", "chosen"]


def test_forecasts_stand_over_their_session_on_a_log_axis(one):
    ax = range_figure(one).axes[0]
    served = ax.get_lines()[-1].get_ydata()
    wanted = 100 * np.sqrt(242 * one.served[299, 0])
    assert served[300] == pytest.approx(wanted)
    assert ax.get_yscale() == "log"


def test_sessions_without_a_range_leave_no_dot_and_no_warning(one):
    none = np.zeros(len(one.sessions))
    figure = figures.forecast_vs_range(one.sessions, none, one.served[:, 0], None, name="IF", base_name="EWMA")
    assert np.isnan(figure.axes[0].get_lines()[0].get_ydata()).all()
    assert pixels(figure) == (1200, 700)


def test_breaches_are_marked_and_counted(one):
    figure = DRAWN["var_breaches"](one)
    for level, column in zip(LEVELS, range(3), strict=True):
        count = sum(one.returns[i] < -one.var[i - 1, column] for i in range(1, 400))
        labels = [line.get_label() for line in figure.axes[0].get_lines()]
        assert any(label.startswith(f"VaR {level:.1%}: {count} breaches") for label in labels)
    marked = [line.get_ydata() for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    assert sum(map(len, marked)) == sum(one.returns[i] < -one.var[i - 1, 0] for i in range(1, 400))


def test_pictures_of_a_product_without_a_forecast_are_empty_not_broken(one):
    nothing = np.full_like(one.served, np.nan)
    term = figures.term_structure(HORIZONS, nothing, {}, "ewma", name="IF")
    assert pixels(term) == (1200, 700)
    var = np.full_like(one.var, np.nan)
    assert pixels(figures.var_breaches(one.sessions, one.returns, var, LEVELS, name="IF")) == (1200, 700)
