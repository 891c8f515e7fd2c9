"""Rolls by a plain loop over prices, by planted drifts, by hand; and what James and Stein promise."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from models.base import FitError
from models.spread.optimal_roll import choose, delay_roll, james_stein, roll_now, walk_rolls
from models.spread.roll_table import Rolls, roll_cost, rolls_of


def table(rolls: int, seed: int, drift: float = 0.0, default: int = 8, offsets: int = 27) -> Rolls:
    """Near earns `drift` a session over far in the 20 sessions before the end, in noise."""
    rng = np.random.default_rng(seed)
    far = 0.01 * rng.standard_normal((rolls, offsets))
    near = far + 0.001 * rng.standard_normal((rolls, offsets)) + drift * (np.arange(offsets) < 20)
    days = np.datetime64("2010-01-15", "D") + 31 * np.arange(rolls)
    share = np.tile(np.clip(np.arange(offsets) / 10.0, 0, 0.9), (rolls, 1))
    names = tuple(f"X{i}" for i in range(rolls)), tuple(f"X{i + 1}" for i in range(rolls))
    k0 = np.full(rolls, default)
    cost = np.full((rolls, offsets), 0.0002)
    return Rolls(*names, days, near, far, share, cost, k0, np.ones(rolls, int), np.full(rolls, 20))


@pytest.mark.parametrize("side", [1, -1])
def test_savings_are_those_of_a_plain_loop(side):
    rolls = table(5, 1)
    rolls.cost[:] = np.random.default_rng(2).uniform(0, 1e-3, rolls.cost.shape)
    found = rolls.saving(side)
    for i in range(len(rolls)):
        k0 = int(rolls.default[i])
        for k in range(rolls.ret_near.shape[1]):
            if not rolls.least[i] <= k <= rolls.most[i]:
                assert np.isnan(found[i, k])
                continue
            # The whole position: near until its k, far from there on, against the same with k0.
            mine = sum((rolls.ret_near if u >= k else rolls.ret_far)[i, u] for u in range(25))
            rule = sum((rolls.ret_near if u >= k0 else rolls.ret_far)[i, u] for u in range(25))
            told = side * (mine - rule) - (rolls.cost[i, k] - rolls.cost[i, k0])
            assert found[i, k] == pytest.approx(told, abs=1e-14)


def test_a_return_that_is_not_known_spoils_the_savings_that_need_it_alone():
    rolls = table(3, 2)
    rolls.ret_near[1, 5] = np.nan
    found = rolls.saving(1)
    assert np.flatnonzero(np.isnan(found[1])).tolist() == [0, 1, 2, 3, 4, 5, *range(21, 27)]
    assert not np.isnan(found[[0, 2], 1:21]).any()


@pytest.mark.parametrize(("side", "drift", "expected"), [(1, 0.002, 2), (1, -0.002, 20), (-1, 0.002, 20)])
def test_a_planted_drift_is_taken_by_the_right_side(side, drift, expected):
    """Long holds what earns more: the near contract, as long as a fifth of the open interest is in it."""
    choice = choose(table(40, 3, drift), side)
    assert choice.offset == expected
    sessions = abs(expected - 8)
    assert choice.saving == pytest.approx(0.002 * sessions, rel=0.15)
    assert choice.se == pytest.approx(0.001 * np.sqrt(sessions / 40), rel=0.4)
    assert choice.shrunk > 0.9


def test_costs_decide_where_returns_do_not():
    rolls = table(30, 4)
    still = replace(rolls, ret_near=rolls.ret_far.copy())
    cost = still.cost.copy()
    cost[:, 14] = 0.0001
    choice = choose(replace(still, cost=cost), 1)
    assert choice.offset == 14
    assert choice.saving == pytest.approx(0.0001, abs=1e-12)
    cost[:, 14] = 0.000195
    assert choose(replace(still, cost=cost), 1).offset is None  # a twentieth of a basis point
    none = choose(still, 1)
    assert none.offset is None
    assert none.saving == 0


def test_where_the_rule_rolls_early_offsets_around_it_are_tried():
    rng, offsets = np.random.default_rng(3), 70
    rolls = table(30, 4, offsets=offsets, default=8)
    ahead = np.where((np.arange(offsets) >= 48) & (np.arange(offsets) < 55), -0.002, 0.0)
    noise = 0.0005 * rng.standard_normal((30, offsets))
    early = replace(
        rolls, default=np.full(30, 50), most=np.full(30, 66), ret_near=rolls.ret_far + ahead + noise, share=rolls.share
    )
    assert choose(early, 1).offset == 55
    assert choose(early, 1, candidates=range(1, 26)).offset is None


def test_noise_is_shrunk_and_seldom_acted_on():
    found = [choose(table(12, seed), 1) for seed in range(40)]
    assert np.mean([one.shrunk for one in found]) < 0.35
    plain = [table(12, seed).saving(1)[:, 1:21].mean(axis=0).max() for seed in range(40)]
    assert np.mean([one.saving for one in found]) < 0.4 * np.mean(plain)


@pytest.mark.parametrize("size", [0.0, 0.3, 3.0])
def test_james_stein_is_nearer_the_truth_than_the_means(size):
    rng = np.random.default_rng(5)
    plain, shrunken = 0.0, 0.0
    for _ in range(300):
        truth = size * rng.standard_normal(15)
        values = truth + rng.standard_normal((10, 15))
        mean, factor = james_stein(values, 8)
        plain += np.sum((values.mean(axis=0) - truth) ** 2)
        shrunken += np.sum((mean - truth) ** 2)
        assert 0 <= factor <= 1
    assert shrunken < plain * (0.25 if size == 0 else 0.75 if size == 0.3 else 1.0)


def test_james_stein_by_hand():
    values = np.array([[1.0, 2.0, 0.0, 1.0], [3.0, 2.0, 2.0, -1.0], [2.0, 5.0, 1.0, 3.0], [2.0, 3.0, 1.0, np.nan]])
    mean, factor = james_stein(values[:, :3], 2)
    means = np.array([2.0, 3.0, 1.0])
    pooled = ((values[:, :3] - means) ** 2).sum() / 9
    told = 1 - 1 * 9 / 11 * pooled / (4 * (means**2).sum())
    assert factor == pytest.approx(told, rel=1e-14)
    np.testing.assert_allclose(mean, told * means)
    assert np.isnan(james_stein(values, 4)[0]).tolist() == [False, False, False, True]


def test_too_few_rolls_are_refused():
    with pytest.raises(FitError, match="it needs 8 past rolls"):
        choose(table(7, 6), 1)
    with pytest.raises(FitError, match=r"side must be \+1, long, or -1, short"):
        choose(table(9, 6), 0)
    with pytest.raises(FitError, match="a year must have 8 rolls before it"):
        walk_rolls(table(9, 6), 1)


def test_a_year_is_decided_by_the_rolls_before_it():
    rolls = table(60, 7, 0.001)
    walked = walk_rolls(rolls, 1)
    year = rolls.last_day.astype("datetime64[Y]").astype(int) + 1970
    for now, offset, many, total in walked.years:
        assert offset == choose(rolls.rows(year < now), 1).offset
        own = year[walked.roll] == now
        assert own.sum() == many
        assert walked.saving[own].sum() == pytest.approx(total, abs=1e-14)
    assert walked.years[0][0] == 2011
    later = replace(rolls, ret_near=np.where(year[:, None] >= 2013, -rolls.ret_near, rolls.ret_near))
    other = walk_rolls(later, 1)
    before = year[walked.roll] < 2013
    np.testing.assert_array_equal(other.saving[: before.sum()], walked.saving[before])
    assert [one[1] for one in other.years if one[0] <= 2013] == [one[1] for one in walked.years if one[0] <= 2013]
    assert walked.mean == pytest.approx(0.001 * 6, rel=0.2)
    assert walked.mean / walked.se > 5


def test_a_roll_is_made_early_where_the_near_contract_dries_up():
    rolls = table(40, 8, 0.002)
    share = rolls.share.copy()
    last = len(rolls) - 1
    share[last, :6] = 0.05
    walked = walk_rolls(replace(rolls, share=share), 1)
    assert walked.chosen[-1] == 5
    assert walked.chosen[-2] == 2


def test_the_seeds_flag_and_the_live_rule():
    near, far = np.array([0.08, 0.02, np.nan]), np.array([0.03, 0.05, 0.05])
    np.testing.assert_array_equal(delay_roll(near, far), [1, 0, np.nan])
    cost = np.full(3, 2e-4)
    np.testing.assert_array_equal(roll_now(1, near, far, cost, cost), [0, 1, np.nan])
    np.testing.assert_array_equal(roll_now(-1, near, far, cost, cost), [1, 0, np.nan])
    # Waiting gives .05 / 242 = 2.07e-4: it must not cost more than that.
    np.testing.assert_array_equal(roll_now(1, near, far, cost, cost + 2.1e-4)[:1], [1])
    np.testing.assert_array_equal(roll_now(1, near, far, cost, cost + 2.0e-4)[:1], [0])


def test_the_cost_of_a_roll():
    assert roll_cost(np.array(2e-4), np.array(4e-4), 0.04, 0.01) == pytest.approx(3e-4 + 0.002)


def test_rolls_are_read_off_a_chain():
    """Two contracts: the first ends on session 30 and is held to session 20, where the rule saw the other one."""
    rng, sessions = np.random.default_rng(9), np.datetime64("2020-01-01", "D") + np.arange(60)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal((60, 2)), axis=0))
    close[31:, 0] = np.nan
    interest = np.column_stack([np.where(np.arange(60) <= 30, 300.0, np.nan), np.full(60, 100.0)])
    spread = np.full((60, 2), 2e-4)
    ends = np.array([30, 59])
    holdable = np.column_stack([np.arange(60) < 29, np.ones(60, bool)])
    held = np.where(np.arange(60) < 5, -1, np.where(np.arange(60) <= 20, 0, 1))
    found = rolls_of(("A", "B"), close, interest, spread, ends, holdable, held, sessions)
    assert (found.near, found.far) == (("A",), ("B",))
    assert found.last_day[0] == sessions[30]
    assert [int(one[0]) for one in (found.default, found.least, found.most)] == [10, 2, 25]
    for u in (0, 3, 25):
        assert found.ret_near[0, u] == pytest.approx(np.log(close[30 - u, 0] / close[29 - u, 0]), abs=1e-15)
        assert found.ret_far[0, u] == pytest.approx(np.log(close[30 - u, 1] / close[29 - u, 1]), abs=1e-15)
    assert found.share[0, 4] == 0.75
    assert found.cost[0, 4] == pytest.approx(2e-4)
    # A contract that has not ended yet tells of no roll.
    short = [one[:25] for one in (close, interest, spread)]
    none = rolls_of(("A", "B"), *short, ends, holdable[:25], held[:25], sessions[:25])
    assert len(none) == 0


def test_a_choice_is_told_as_json():
    told = json.loads(json.dumps(choose(table(12, 1), 1).describe(), allow_nan=False))
    assert told["rolls"] == 12
    assert len(told["expected"]) == 27


def test_offsets_that_cannot_be_are_refused():
    rolls = table(3, 1)
    with pytest.raises(FitError, match="least <= default <= most"):
        replace(rolls, default=np.array([8, 21, 8]))
    with pytest.raises(FitError, match="a row a roll"):
        replace(rolls, cost=rolls.cost[:, 1:])
