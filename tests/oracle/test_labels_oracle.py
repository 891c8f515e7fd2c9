"""Labels a second way: one decision at a time, in plain Python, from the definition."""

from __future__ import annotations

import math
from statistics import NormalDist, mean

import numpy as np
import pytest
from a_share_market import random_market

from training.labels import make_labels


def factor(panels, n, start, stop):
    """Product of last close / prev_close over the rows of one asset in (start, stop]."""
    out, last = 1.0, None
    for t in range(stop + 1):
        close = panels["close"][t, n]
        if math.isnan(close):
            continue
        if last is not None and t > start:
            out *= last / panels["prev_close"][t, n]
        last = close
    return out


def price(panels, entry, t, n):
    if entry == "next_open":
        return panels["open"][t, n]
    if entry == "next_close":
        return panels["close"][t, n]
    return panels["total_turnover"][t, n] / panels["volume"][t, n]


def traded(panels, t, n):
    return panels["volume"][t, n] > 0 and not panels["suspended"][t, n] > 0


def total_return(panels, delisted, entry, horizon, t, n, delay=20, haircut=0.5):
    """(log return, exit row) of a decision, or None."""
    last_row = len(panels.sessions) - 1
    into, due = t + 1, t + 1 + horizon
    if due > last_row or not traded(panels, into, n):
        return None
    watched = panels["open"] if entry == "next_open" else panels["low"]
    if watched[into, n] >= panels["limit_up"][into, n] - 0.005:
        return None
    paid = price(panels, entry, into, n)
    for row in range(due, due + delay + 1):
        if 0 <= delisted[n] < row:
            if row > last_row:
                return None
            ends = [s for s in range(row) if not math.isnan(panels["close"][s, n])]
            final = panels["close"][ends[-1], n] * factor(panels, n, into, ends[-1]) / factor(panels, n, ends[-1], into)
            return math.log(final * (1 - haircut) / paid), max(row, due)
        if row > last_row:
            return None
        watched = panels["open"] if entry == "next_open" else panels["high"]
        if traded(panels, row, n) and watched[row, n] > panels["limit_down"][row, n] + 0.005:
            return math.log(price(panels, entry, row, n) * factor(panels, n, into, row) / paid), row
    return None


@pytest.mark.parametrize("entry", ["next_open", "next_vwap", "next_close"])
@pytest.mark.parametrize(("seed", "horizon"), [(1, 1), (2, 5), (3, 10)])
def test_labels_equal_a_plain_loop_over_decisions(entry, seed, horizon):
    panels, delisted = random_market(seed)
    universe = np.random.default_rng(seed).random(panels.shape) < 0.9
    labels = make_labels(panels, universe, horizon=horizon, entry=entry, delisted=delisted)
    delayed = gone = 0
    for t in range(panels.shape[0]):
        outcome = {n: total_return(panels, delisted, entry, horizon, t, n) for n in np.flatnonzero(universe[t])}
        outcome = {n: o for n, o in outcome.items() if o is not None}
        assert set(np.flatnonzero(np.isfinite(labels.value[t]))) == set(outcome)
        if not outcome:
            continue
        average = mean(r for r, _ in outcome.values())
        order = sorted(r for r, _ in outcome.values())
        for n, (r, row) in outcome.items():
            assert labels.total[t, n] == pytest.approx(r, abs=1e-12)
            assert labels.value[t, n] == pytest.approx(r - average, abs=1e-12)
            assert labels.exit[t, n] == row
            if order.count(r) == 1:
                expected = NormalDist().inv_cdf((order.index(r) + 0.5) / len(order))
                assert labels.target[t, n] == pytest.approx(expected, abs=1e-9)
            delayed += row > t + 1 + horizon
            gone += 0 <= delisted[n] < row
    assert labels.lost["delisted"] == gone > 0
    assert labels.lost["delayed_exit"] + gone >= delayed > 0
    assert labels.lost["kept"] == np.isfinite(labels.value).sum()


def test_average_uniqueness_equals_a_count_of_the_labels_alive():
    panels, delisted = random_market(5)
    labels = make_labels(panels, np.ones(panels.shape, bool), horizon=4, delisted=delisted)
    per_session = np.isfinite(labels.value).sum(axis=1)
    for n in range(panels.shape[1]):
        spans = {t: range(t + 2, labels.exit[t, n] + 1) for t in np.flatnonzero(labels.exit[:, n] >= 0)}
        for t, span in spans.items():
            uniqueness = mean(1 / sum(row in other for other in spans.values()) for row in span)
            assert labels.weight[t, n] == pytest.approx(uniqueness / per_session[t], rel=1e-12)


@pytest.mark.parametrize("transform", ["rank_normal", "zscore", "raw"])
@pytest.mark.parametrize("seed", range(4))
def test_labels_known_before_a_session_are_those_of_a_market_that_ends_there(seed, transform):
    panels, delisted = random_market(seed, t_count=80, n_count=30)
    universe = np.random.default_rng(seed).random(panels.shape) < 0.8
    cut = 50
    whole = make_labels(panels, universe, horizon=5, transform=transform, delisted=delisted)
    gone = np.where(delisted + 1 < cut, delisted, -1)
    ended = make_labels(panels.rows(0, cut), universe[:cut], horizon=5, transform=transform, delisted=gone)
    known = whole.known_before(cut)
    assert ((whole.exit[:cut] >= cut) & (whole.exit[:cut] - np.arange(cut)[:, None] > 6)).any(), "no exit is delayed"
    assert (known.exit[cut:] == -1).all()
    np.testing.assert_array_equal(known.exit[:cut], ended.exit)
    for name in ("value", "target", "weight"):
        np.testing.assert_allclose(getattr(known, name)[:cut], getattr(ended, name), rtol=0, atol=1e-14)
