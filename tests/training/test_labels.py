from __future__ import annotations

import math

import numpy as np
import pytest

from features.panel import DataError
from tests.oracle.a_share_market import random_market
from tests.training.flat_market import N, T, everyone, flat_market, unaccounted
from training.fills import fills
from training.labels import make_labels, paper_returns


def test_a_decision_enters_the_next_session_and_leaves_horizon_sessions_later():
    panels = flat_market(open={(3, 0): 10.0, (8, 0): 10.5})
    labels = make_labels(panels, everyone(), horizon=5)
    assert labels.total[2, 0] == pytest.approx(math.log(1.05))
    assert labels.exit[2, 0] == 8
    assert labels.gap == 6
    assert labels.total[3, 0] == 0


def test_the_vwap_entry_pays_turnover_over_volume():
    panels = flat_market(total_turnover={(3, 0): 9.5e6})
    labels = make_labels(panels, everyone(), horizon=2, entry="next_vwap")
    assert labels.total[2, 0] == pytest.approx(math.log(10 / 9.5))


def test_a_blocked_exit_waits_for_the_first_session_that_sells():
    panels = flat_market(open={(6, 0): 9.0, (7, 0): 9.0, (8, 0): 9.5}, volume={(5, 0): 0.0})
    labels = make_labels(panels, everyone(), horizon=2)
    assert labels.exit[2, 0] == 8
    assert labels.total[2, 0] == pytest.approx(math.log(0.95))
    assert labels.lost["delayed_exit"] == 2  # decisions of 2 and 3; that of 4 could not be entered


def test_an_exit_blocked_longer_than_allowed_has_no_label_and_is_counted():
    locked = {(t, 0): 9.0 for t in range(5, 9)}
    labels = make_labels(flat_market(open=locked), everyone(), horizon=2, max_exit_delay=3)
    assert math.isnan(labels.value[2, 0])
    assert labels.exit[2, 0] == -1
    assert labels.lost["exit_blocked"] == 1
    assert labels.lost["delayed_exit"] == 3


def test_an_exit_beyond_the_data_has_no_label():
    labels = make_labels(flat_market(), everyone(), horizon=5)
    assert np.isfinite(labels.value[: T - 6]).all()
    assert np.isnan(labels.value[T - 6 :]).all()
    assert labels.lost["no_exit_yet"] == 6 * N


def test_a_delisted_asset_is_worth_its_last_close_less_the_haircut():
    gone = {(t, 0): np.nan for t in range(7, T)}
    panels = flat_market(open=gone, high=gone, low=gone, close=gone | {(6, 0): 8.0}, prev_close=gone, volume=gone)
    labels = make_labels(panels, everyone(), horizon=4, delisted=np.array([6, -1, -1, -1]), delist_haircut=0.25)
    assert labels.total[3, 0] == pytest.approx(math.log(8.0 * 0.75 / 10))
    assert labels.exit[3, 0] == 8
    assert labels.lost["delisted"] == 4  # decisions of 2 to 5; that of 1 still sells on 6


def test_an_ex_date_inside_the_label_is_no_loss():
    halved = {(t, 0): 5.0 for t in range(6, T)}
    panels = flat_market(open=halved, high=halved, low=halved, close=halved, prev_close=halved)
    panels = panels.joined({"limit_down": panels["limit_down"] / 2})
    assert np.nanmax(np.abs(make_labels(panels, everyone(), horizon=3).total)) < 1e-12


def test_an_ex_date_during_a_suspension_is_no_loss():
    halved = {(t, 0): 5.0 for t in range(9, T)}
    absent = {(t, 0): np.nan for t in range(6, 9)}
    cells = halved | absent
    panels = flat_market(open=cells, high=cells, low=cells, close=cells, prev_close=halved, volume=absent)
    panels = panels.joined({"limit_down": panels["limit_down"] / 2})
    labels = make_labels(panels, everyone(), horizon=3)
    assert labels.exit[3, 0] == 9
    assert labels.total[3, 0] == pytest.approx(0, abs=1e-12)


def test_the_zscore_target_is_clipped_at_three():
    rng = np.random.default_rng(2)
    panels = flat_market().joined({"open": rng.uniform(9.5, 10.5, (T, N))})
    panels["open"][6, 0] = 10.98
    panels["open"][7, 0] = 3.0
    panels["limit_down"][:] = 1.0
    target = make_labels(panels, everyone(), horizon=1, transform="zscore").target
    assert np.nanmin(target) == -3


def test_the_waterfall_accounts_for_every_row_of_the_universe():
    panels = flat_market(open={(3, 0): 11.0}, volume={(5, 1): 0.0})
    universe = everyone()
    universe[0, 0] = False
    lost = make_labels(panels, universe, horizon=2).lost
    assert list(lost) == [
        "universe",
        "no_row_at_entry",
        "limit_up_at_entry",
        "no_exit_yet",
        "exit_blocked",
        "no_benchmark",
        "no_beta",
        "delayed_exit",
        "delisted",
        "kept",
    ]
    assert lost["no_row_at_entry"] == lost["limit_up_at_entry"] == 1
    assert unaccounted(lost) == 0


def test_more_data_never_changes_a_label_that_was_there():
    rng = np.random.default_rng(3)
    panels = flat_market().joined({"open": rng.uniform(8.9, 11.1, (T, N))})
    whole = make_labels(panels, everyone(), horizon=2)
    part = make_labels(panels.rows(0, 10), everyone()[:10], horizon=2)
    there = np.isfinite(part.total)
    assert there.sum() > 10
    assert np.array_equal(part.total[there], whole.total[:10][there])


def test_a_naive_back_test_buys_at_limit_up_and_sells_what_cannot_be_sold():
    panels = flat_market(
        open={(3, 0): 11.0, (6, 0): 9.0, (6, 1): 10.2},
        close={(5, 1): 10.4},
        volume={(6, 1): 0.0, (3, 2): 0.0},
    )
    panels["prev_close"][6, 1] = 10.4
    paper = paper_returns(panels, everyone(), horizon=3)
    assert paper[2, 0] == pytest.approx(math.log(9 / 11))
    assert paper[2, 1] == pytest.approx(math.log(10.4 / 10))
    assert math.isnan(paper[2, 2])
    assert np.isnan(paper[T - 4 :]).all()
    assert np.isfinite(paper[T - 5]).all()


@pytest.mark.parametrize("entry", ["next_open", "next_vwap", "next_close"])
def test_a_naive_return_is_the_label_s_wherever_nothing_stood_in_its_way(entry):
    panels, delisted = random_market(8)
    universe = np.random.default_rng(8).random(panels.shape) < 0.9
    for horizon in (1, 5, 20):
        labels = make_labels(panels, universe, horizon=horizon, entry=entry, delisted=delisted)
        paper = paper_returns(panels, universe, horizon=horizon, entry=entry)
        due = labels.exit == np.arange(len(universe))[:, None] + labels.gap
        sold = due & (fills(panels, entry).sellable[np.maximum(labels.exit, 0), np.arange(universe.shape[1])])
        assert sold.sum() > 100
        np.testing.assert_allclose(paper[sold], labels.total[sold], rtol=0, atol=1e-12)
        assert (np.isfinite(paper) & ~np.isfinite(labels.value)).any()
        assert not np.isfinite(paper[~universe]).any()


def test_an_ex_date_before_a_sale_that_cannot_happen_is_no_loss_on_paper():
    halved = {(t, 0): 5.0 for t in range(5, T)}
    panels = flat_market(open=halved, high=halved, low=halved, close=halved, prev_close=halved, volume={(6, 0): 0.0})
    paper = paper_returns(panels, everyone(), horizon=3)
    assert np.isfinite(paper[2, 0])
    assert np.nanmax(np.abs(paper)) < 1e-12


def test_a_horizon_longer_than_the_data_gives_a_naive_back_test_nothing():
    assert np.isnan(paper_returns(flat_market(), everyone(), horizon=T + 3)).all()


def test_labels_apart_from_tests_meet_none_of_theirs_and_are_judged_among_themselves():
    panels, delisted = random_market(11, t_count=120, n_count=30)
    labels = make_labels(panels, np.ones(panels.shape, bool), horizon=3, delisted=delisted, half_life=50.0)
    test = np.concatenate([np.arange(40, 52), np.arange(80, 90)])
    under_test = {
        row for t in test for n in range(30) if labels.exit[t, n] >= 0 for row in range(t, labels.exit[t, n] + 1)
    }
    assert max(under_test) > 90 + 3, "no exit is delayed past the last test"
    apart = labels.apart_from(test)
    for t in range(120):
        for n in range(30):
            clear = labels.exit[t, n] >= 0 and under_test.isdisjoint(range(t, labels.exit[t, n] + 1))
            assert (apart.exit[t, n] >= 0) == clear
    kept = apart.exit >= 0
    assert kept[53:80].sum() > 200, "what lies between the tests is purged whole"
    assert np.abs(np.nanmean(np.where(kept.any(axis=1, keepdims=True), apart.value, 0), axis=1)).max() < 1e-12
    partly = kept.any(axis=1) & ((labels.exit >= 0) & ~kept).any(axis=1)
    assert partly.any()
    assert (apart.value[partly] != labels.value[partly]).any()


def test_other_outcomes_are_known_when_due_and_judged_against_each_other():
    labels = make_labels(flat_market(), everyone(), horizon=2, half_life=5.0)
    outcome = np.random.default_rng(0).normal(size=(T, N))
    outcome[4, 1] = np.nan
    other = labels.with_outcomes(outcome)
    assert other.exit[4].tolist() == [7, -1, 7, 7]
    assert (other.exit[T - 3 :] == -1).all()
    np.testing.assert_allclose(other.value[4], outcome[4] - np.nanmean(outcome[4]), atol=1e-14)
    assert (other.weight[4, [0, 2, 3]] > 0).all()
    later = other.known_before(7)
    assert (later.exit[4:] == -1).all()
    np.testing.assert_array_equal(later.target[:4], other.target[:4])


def test_labels_known_before_one_session_and_then_another_are_those_known_before_the_first():
    panels, delisted = random_market(12, t_count=60, n_count=20)
    labels = make_labels(panels, np.ones(panels.shape, bool), horizon=3, delisted=delisted, half_life=30.0)
    early, twice = labels.known_before(30), labels.known_before(45).known_before(30)
    for name in ("value", "total", "target", "exit", "left", "weight"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(early, name))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"horizon": 0}, "at least one session"), ({"horizon": 1, "delist_haircut": 1.0}, r"\[0, 1\)")],
)
def test_settings_without_a_meaning_are_refused(settings, message):
    with pytest.raises(DataError, match=message):
        make_labels(flat_market(), everyone(), **settings)
