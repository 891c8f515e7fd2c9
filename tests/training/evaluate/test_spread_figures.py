"""The pictures of a spread run fill their pixels and show the numbers that they are given."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tests.training.evaluate.traded_world import basis, curve, pair, term
from training.evaluate import spread_figures as figures


@pytest.fixture(scope="module")
def one():
    return pair()


DRAWN = {
    "curve": lambda one: figures.curve_snapshots(curve().snapshots, name="IC"),
    "basis": lambda one: figures.basis_history(basis(), name="IC"),
    "spread": lambda one: figures.spread_trades(one, one.tradings[0]),
    "spread alone": lambda one: figures.spread_trades(one),
    "half-lives": lambda one: figures.half_lives(one.half_lives, name=one.name),
    "term": lambda one: figures.term_fit(term(), name="SC"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_fills_its_pixels_and_says_what_it_shows(name, one):
    figure = DRAWN[name](one)
    figure.savefig(buffer := io.BytesIO(), format="png")
    found = buffer.getvalue()
    assert (int.from_bytes(found[16:20]), int.from_bytes(found[20:24])) == (1200, 700)
    assert figure.axes[0].get_title(loc="left")
    assert all(ax.get_ylabel() for ax in figure.axes)


def test_the_crash_of_a_basis_is_named(one):
    found = basis()
    texts = [text.get_text() for text in DRAWN["basis"](one).axes[0].texts]
    row = int(np.nanargmin(found.basis))
    assert f"{found.basis[row]:+.1%} on {found.sessions[row]}" in texts


def test_what_trading_earned_stands_under_the_spread(one):
    rule = one.tradings[0]
    ax, below = DRAWN["spread"](one).axes
    net = below.get_lines()[0].get_ydata()
    assert net[-1] == pytest.approx(sum(t.net for t in rule.trading.trades) / 1e7)
    title = ax.get_title(loc="left")
    assert f"{rule.summary.closed} trades, Sharpe {rule.summary.sharpe:.2f} net" in title


def test_refits_without_reversion_are_counted(one):
    labels = [line.get_label() for line in DRAWN["half-lives"](one).axes[0].get_lines()]
    assert "no reversion found: 1" in labels


def test_pricing_errors_are_told_by_maturity(one):
    labels = [line.get_label() for line in DRAWN["term"](one).axes[1].get_lines()]
    assert labels[0] == "1st: 30"
