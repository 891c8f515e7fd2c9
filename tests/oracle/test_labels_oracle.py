"""Labels a second way: one decision at a time, in plain Python, from the definition."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist, linear_regression, mean

import numpy as np
import pytest
from a_share_market import random_market

from features.panel import Panels
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
@pytest.mark.parametrize(("seed", "horizon"), [(1, 1), (2, 5), (3, 10), (4, 20)])
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


def market_return(panels, universe, t):
    """Log of one plus the mean return of the universe's names that traded."""
    names = [n for n in np.flatnonzero(universe[t]) if traded(panels, t, n)]
    returns = [panels["close"][t, n] / panels["prev_close"][t, n] - 1 for n in names]
    return math.log(1 + mean(returns)) if returns else math.nan


def beta(panels, market, t, n):
    """Slope of the daily returns on the market's over a year, a third of the way to one; NaN for the young."""
    if not any(traded(panels, row, n) for row in range(max(t - 250, 0))):
        return math.nan
    rows = [row for row in range(t - 251, t + 1) if traded(panels, row, n) and not math.isnan(market[row])]
    if len(rows) < 0.6 * 252:
        return math.nan
    own = [math.log(panels["close"][row, n] / panels["prev_close"][row, n]) for row in rows]
    return 2 / 3 * linear_regression([market[row] for row in rows], own).slope + 1 / 3


def excess_of(kind, returns, industry, betas, index):
    """Excess returns of one session by asset; returns, index: asset -> log return over the label's own sessions."""
    average = mean(returns.values())
    against = {}
    for n in returns:
        peers = [returns[m] for m in returns if industry[m] == industry[n] >= 0]
        if kind == "industry":
            against[n] = mean(peers) if len(peers) >= 8 else average
        elif kind == "benchmark":
            against[n] = index[n]
        elif kind == "universe":
            against[n] = average
        else:
            against[n] = betas[n] * (index[n] if kind == "beta on benchmark" else average)
    return {n: r - against[n] for n, r in returns.items() if not math.isnan(against[n])}


@pytest.mark.parametrize("kind", ["universe", "benchmark", "industry", "beta", "beta on benchmark"])
@pytest.mark.parametrize(("entry", "horizon"), [("next_open", 1), ("next_vwap", 5), ("next_close", 20)])
def test_every_excess_equals_a_plain_loop_over_sessions(entry, horizon, kind):
    panels, delisted = random_market(horizon, t_count=330, n_count=26, delistings=3)
    rng = np.random.default_rng(horizon)
    universe = rng.random(panels.shape) < 0.9
    industry = np.where(rng.random(panels.shape) < 0.1, np.nan, np.repeat([0.0, 1.0, 2.0], [12, 8, 6]))
    index, closes = np.exp(np.cumsum(rng.normal(0, 0.01, (2, 330)), axis=1))
    index[rng.random(330) < 0.05] = closes[rng.random(330) < 0.05] = np.nan
    over_index = kind in ("benchmark", "beta on benchmark")
    labels = make_labels(
        panels,
        universe,
        horizon=horizon,
        entry=entry,
        excess=kind.split()[0],
        industry=industry,
        benchmark=index if over_index else None,
        benchmark_close=closes if over_index else None,
        delisted=delisted,
    )
    market = [math.nan, *(math.log(now / before) for before, now in pairwise(closes))]
    if not over_index:
        market = [market_return(panels, universe, t) for t in range(330)]
    checked = 0
    for t in [*range(0, 240, 60), *range(248, 330)]:
        found = {n: total_return(panels, delisted, entry, horizon, t, n) for n in np.flatnonzero(universe[t])}
        found = {n: o for n, o in found.items() if o is not None}
        if not found:
            assert not np.isfinite(labels.value[t]).any()
            continue
        betas = {n: beta(panels, market, t, n) for n in found} if kind.startswith("beta") else {}
        over = {n: math.log(index[row] / index[t + 1]) for n, (_, row) in found.items()}
        expected = excess_of(kind, {n: r for n, (r, _) in found.items()}, industry[t], betas, over)
        assert set(np.flatnonzero(np.isfinite(labels.value[t]))) == set(expected)
        for n, value in expected.items():
            assert labels.value[t, n] == pytest.approx(value, abs=1e-11)
            assert labels.exit[t, n] == found[n][1]
        checked += len(expected)
    assert checked > 500
    why = ("no_row_at_entry", "limit_up_at_entry", "no_exit_yet", "exit_blocked", "no_benchmark", "no_beta")
    assert labels.lost["universe"] - sum(labels.lost[reason] for reason in why) == labels.lost["kept"]
    assert (labels.lost["no_benchmark"] > 0) == over_index
    assert (labels.lost["no_beta"] > 0) == kind.startswith("beta")


def test_average_uniqueness_equals_a_count_of_the_labels_alive():
    panels, delisted = random_market(5)
    labels = make_labels(panels, np.ones(panels.shape, bool), horizon=4, delisted=delisted)
    per_session = np.isfinite(labels.value).sum(axis=1)
    for n in range(panels.shape[1]):
        spans = {t: range(t + 2, labels.exit[t, n] + 1) for t in np.flatnonzero(labels.exit[:, n] >= 0)}
        for t, span in spans.items():
            uniqueness = mean(1 / sum(row in other for other in spans.values()) for row in span)
            assert labels.weight[t, n] == pytest.approx(uniqueness / per_session[t], rel=1e-12)


def settings_of(kind, t_count, n_count, seed=0):
    """What make_labels takes for a kind of excess."""
    rng = np.random.default_rng(seed)
    index, closes = np.exp(np.cumsum(rng.normal(0, 0.01, (2, t_count)), axis=1))
    industry = np.where(rng.random((t_count, n_count)) < 0.1, np.nan, np.arange(n_count) % 3)
    given = {"benchmark": {"benchmark": index}, "industry": {"industry": industry}}
    given["beta on benchmark"] = {"benchmark": index, "benchmark_close": closes}
    return {"excess": kind.split()[0], **given.get(kind, {})}


def cut_to(settings, stop):
    """The same with series and panels that end before row `stop`."""
    return {name: value[:stop] if isinstance(value, np.ndarray) else value for name, value in settings.items()}


KINDS = ["universe", "benchmark", "industry", "beta", "beta on benchmark"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transform", ["rank_normal", "zscore", "raw"])
@pytest.mark.parametrize("seed", range(4))
def test_labels_known_before_a_session_are_those_of_a_market_that_ends_there(seed, transform, kind):
    panels, delisted = random_market(seed, t_count=320, n_count=30)
    universe = np.random.default_rng(seed).random(panels.shape) < 0.8
    cut = 290
    settings = {"horizon": 5, "transform": transform, "half_life": 40.0, **settings_of(kind, 320, 30, seed)}
    whole = make_labels(panels, universe, delisted=delisted, **settings)
    gone = np.where(delisted + 1 < cut, delisted, -1)
    ended = make_labels(panels.rows(0, cut), universe[:cut], delisted=gone, **cut_to(settings, cut))
    known = whole.known_before(cut)
    assert ((whole.exit[:cut] >= cut) & (whole.exit[:cut] - np.arange(cut)[:, None] > 6)).any(), "no exit is delayed"
    assert (ended.exit[260:] >= 0).sum() > 200
    for name in ("exit", "left"):
        assert (getattr(known, name)[cut:] == -1).all()
        np.testing.assert_array_equal(getattr(known, name)[:cut], getattr(ended, name))
    for name in ("value", "total", "target", "weight"):
        np.testing.assert_allclose(getattr(known, name)[:cut], getattr(ended, name), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("entry", "horizon"), [("next_open", 10), ("next_vwap", 1), ("next_close", 20)])
def test_what_comes_after_a_label_s_exit_changes_nothing_of_it(kind, entry, horizon):
    panels, delisted = random_market(horizon, t_count=370, n_count=30)
    universe = np.random.default_rng(3).random(panels.shape) < 0.9
    settings = {"horizon": horizon, "entry": entry, "delisted": delisted, **settings_of(kind, 370, 30)}
    labels = make_labels(panels, universe, **settings)
    last = int(labels.left[:280].max())
    assert 280 + horizon < last < 330, "a delayed exit is the last"
    rng = np.random.default_rng(4)

    def after(values, new):
        return np.vstack([values[: last + 1], np.broadcast_to(new, values.shape)[last + 1 :]])

    other = {name: after(values, values * rng.uniform(0.5, 2, (370, 30))) for name, values in panels.values.items()}
    for name in {"benchmark", "benchmark_close", "industry"} & set(settings):
        settings[name] = after(settings[name].reshape(370, -1), 1.0).reshape(settings[name].shape)
    elsewhere = after(universe, rng.random((370, 30)) < 0.5)
    changed = make_labels(Panels(panels.sessions, panels.assets, other), elsewhere, **settings)
    assert np.isfinite(changed.value[last:]).any()
    assert not np.array_equal(changed.total, labels.total, equal_nan=True)
    known, still = labels.known_before(last + 1), changed.known_before(last + 1)
    assert (known.exit[:280] == labels.exit[:280]).all()
    for name in ("value", "total", "target", "exit", "left", "weight"):
        np.testing.assert_array_equal(getattr(still, name), getattr(known, name))
    assert np.isfinite(known.value[260:280]).sum() > 200
