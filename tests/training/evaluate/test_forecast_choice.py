from __future__ import annotations

import numpy as np
import pytest

from features.panel import DataError
from training.evaluate.forecast_choice import choose, chosen, combined, confidence_sets
from training.evaluate.forecast_tests import confidence_set


def losses(n=400, models=4, seed=0, horizon=1):
    """Losses of models that take turns at being the best; the last `horizon` rows are not over."""
    rng = np.random.default_rng(seed)
    turn = np.sin(np.arange(n)[:, None] / 40 + np.arange(models))
    loss = rng.chisquare(1, (n, models)) + 0.5 * turn
    loss[n - horizon :] = np.nan
    return loss


def chosen_plainly(loss, horizon, window, least):
    """The rule by a loop, for losses whose rows are full or empty."""
    out = []
    for t in range(len(loss)):
        over = [s for s in range(len(loss)) if s + horizon <= t and not np.isnan(loss[s]).any()][-window:]
        out.append(
            int(np.argmin([np.mean([loss[s, j] for s in over]) for j in range(loss.shape[1])]))
            if len(over) >= least
            else -1
        )
    return out


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_the_choice_is_that_of_a_plain_loop(horizon):
    loss = losses(180, 3, 1, horizon)
    loss[[20, 70, 71]] = np.nan
    found = choose(loss, horizon, 50, least=30)
    assert found.tolist() == chosen_plainly(loss, horizon, 50, 30)
    assert len(set(found.tolist())) > 2


@pytest.mark.parametrize("horizon", [1, 10])
@pytest.mark.parametrize("end", [150, 151, 240])
def test_what_comes_later_changes_no_choice_and_no_set(horizon, end):
    loss = losses(300, 3, 2, horizon)
    seen = loss[:end].copy()
    seen[end - horizon :] = np.nan  # their horizon is not over when the market stops at end - 1
    noise = loss.copy()
    noise[end - horizon :] = np.random.default_rng(9).chisquare(1, noise[end - horizon :].shape)
    whole = choose(loss, horizon, 80)
    np.testing.assert_array_equal(choose(seen, horizon, 80), whole[:end])
    np.testing.assert_array_equal(choose(noise, horizon, 80)[:end], whole[:end])
    sets = confidence_sets(loss, horizon, 80, every=7, reps=200, seed=1)
    np.testing.assert_array_equal(confidence_sets(seen, horizon, 80, every=7, reps=200, seed=1), sets[:end])
    np.testing.assert_array_equal(confidence_sets(noise, horizon, 80, every=7, reps=200, seed=1)[:end], sets[:end])


@pytest.mark.parametrize("since", [0, 64, 65, 66, 200, 213, 399])
def test_who_asks_about_late_origins_alone_is_told_the_same_of_them(since):
    loss = losses(horizon=5)
    loss[::37] = np.nan
    settings = {"every": 20, "reps": 50, "seed": 1}
    late = choose(loss, 5, 100, since=since)
    assert np.array_equal(late[since:], choose(loss, 5, 100)[since:])
    assert (late[:since] == -1).all()
    sets = confidence_sets(loss, 5, 100, since=since, **settings)
    assert np.array_equal(sets[since:], confidence_sets(loss, 5, 100, **settings)[since:])
    assert sets[since:].any()


def test_a_loss_is_used_on_the_session_its_horizon_ends_and_not_before():
    loss = np.ones((200, 2))
    loss[:, 1] = 1.001
    loss[100, 0] = 50.0
    found = choose(loss, 5, 60, least=60)
    assert (found[:64] == -1).all()  # the sixtieth forecast, of row 59, is over at row 64
    assert (found[64:105] == 0).all()
    assert (found[105:165] == 1).all()
    assert (found[165:] == 0).all()


def test_a_model_with_gaps_is_not_chosen_for_the_quiet_days_it_has():
    loss = losses(200, 2, 3)
    loss[::2, 1] = np.nan
    loss[1::2, 1] = -9.0
    assert (choose(loss, 1, 100)[70:] == 0).all()


def test_models_are_compared_on_the_forecasts_they_all_have():
    loss = np.ones((101, 2))
    loss[:, 1] = 1.5
    loss[90:95] = 20.0  # bad days for both
    loss[90:95, 1] = np.nan
    assert choose(loss, 1, 100)[-1] == 0


def test_a_model_that_cannot_forecast_on_the_day_gives_way_to_the_next():
    loss = np.ones((100, 3)) * np.array([1.0, 2.0, 3.0])
    available = np.ones((100, 3), bool)
    available[80:, 0] = False
    available[90:, 1] = False
    available[95:] = False
    found = choose(loss, 1, 50, available=available)
    assert (found[60:80] == 0).all()
    assert (found[80:90] == 1).all()
    assert (found[90:95] == 2).all()
    assert (found[95:] == -1).all()


def test_sets_hold_until_the_next_and_are_those_of_their_window():
    loss = losses(300, 3, 4, horizon=5) + np.array([0.0, 0.0, 2.0])
    sets = confidence_sets(loss, 5, 120, every=20, size=0.1, reps=300, seed=7)
    first = 59 + 5
    assert not sets[:first].any()
    for t in range(first, 300, 20):
        expected = confidence_set(loss[max(t - 5 - 120 + 1, 0) : t - 5 + 1], block=10, reps=300, seed=7)
        assert (sets[t : t + 20] == expected.included).all()
        assert sets[t].any()
    assert not sets[first:, 2].any()


def test_blocks_are_no_shorter_than_the_horizon():
    """Losses over 40 sessions overlap: blocks of ten take their agreement for evidence."""
    rng = np.random.default_rng(8)
    loss = np.full((300, 2), np.nan)
    loss[:260] = [rng.standard_normal((40, 2)).mean(axis=0)] + np.cumsum(rng.standard_normal((260, 2)), axis=0) / 40
    long = confidence_sets(loss, 40, 200, block=10, reps=300, seed=1)
    np.testing.assert_array_equal(long, confidence_sets(loss, 40, 200, block=40, reps=300, seed=1))
    seen = loss[max(260 - 200, 0) : 260]
    p = [confidence_set(seen, block=block, reps=300, seed=1).p.min() for block in (10, 40)]
    assert p[0] < p[1] / 2 < 0.5
    size = (p[0] + p[1]) / 2
    assert confidence_sets(loss, 40, 200, every=1, size=size, reps=300, seed=1)[-1].all()


def test_nothing_is_chosen_of_nothing():
    none = np.full((100, 3), np.nan)
    assert (choose(none, 1) == -1).all()
    assert not confidence_sets(none, 1, seed=1).any()
    assert (choose(losses(59, 2), 1) == -1).all()
    assert choose(np.empty((0, 3)), 1).shape == (0,)


def test_a_combination_is_the_geometric_mean_of_those_that_forecast():
    variance = np.array([[1.0, 4.0, 100.0], [1.0, np.nan, 100.0], [2.0, 2.0, 2.0], [np.nan, 4.0, 9.0]])
    members = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
    np.testing.assert_allclose(combined(variance, members), [2.0, 1.0, np.nan, np.nan])


def test_the_chosen_variance_is_that_of_the_choice():
    variance = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, np.nan]])
    np.testing.assert_array_equal(chosen(variance, np.array([1, -1, 1])), [4.0, np.nan, np.nan])


def test_settings_that_make_no_choice_are_refused():
    with pytest.raises(DataError, match="least <= window"):
        choose(losses(), 1, 50, least=60)
    with pytest.raises(DataError, match="horizon positive"):
        choose(losses(), 0)
