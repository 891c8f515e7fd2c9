"""Continuous series: every return is of one contract, gaps are told, levels agree with the returns."""

from __future__ import annotations

import numpy as np
import pytest

from features.chain import Chain, chain
from features.continuous import Continuous, continuous, difference_adjusted, empty, spliced
from features.rolls import hold
from tests.features.synthetic_futures import WEEKDAYS, cut, random_chain
from tests.features.test_rolls import small

WORLDS = [(product, seed) for product in ("RB", "IF", "T") for seed in (0, 1)]


def of(one: Chain, max_gap: int = 5) -> Continuous:
    return continuous(one, hold(one), max_gap)


def steady(codes: list[str], closes: list[list[float]], interest: list[list[float]], **settings: object) -> Continuous:
    """A series of closes (T, N), open and low at the close before or the same, high a percent up."""
    close = np.array(closes, dtype=float)
    fields = {"close": close, "open": close, "low": close, "high": 1.01 * close, "settlement": close}
    busy = np.where(np.isnan(close), np.nan, 10.0)
    return of(small(codes, interest, volume=busy, **fields), **settings)


@pytest.mark.parametrize(("product", "seed"), WORLDS)
class TestEverySeries:
    def test_each_return_is_that_of_the_contract_named(self, product, seed):
        one = random_chain(product, seed=seed)
        series = of(one)
        close = np.where(one.traded, one["close"], np.nan)
        for t in np.flatnonzero(np.isfinite(series.ret)):
            c = one.contracts.ids.tolist().index(series.contract[t])
            own = close[t - series.span[t], c]
            assert series.ret[t] == pytest.approx(np.log(close[t, c] / own), rel=1e-12, abs=1e-15)
            assert series.prev_close[t] == own

    def test_a_jump_between_contracts_does_not_enter(self, product, seed):
        """Each contract at a scale of its own: returns and ranges stay, only spreads move."""
        one = random_chain(product, seed=seed)
        scale = np.exp(np.random.default_rng(5).normal(0, 2, len(one.contracts)))
        prices = ("open", "high", "low", "close", "settlement")
        moved = {name: panel * (scale if name in prices else 1) for name, panel in one.fields.items()}
        series, other = of(one), of(chain(one.contracts, one.sessions, moved, WEEKDAYS))
        for name in ("ret", "range_variance"):
            np.testing.assert_allclose(getattr(other, name), getattr(series, name), rtol=1e-9, atol=1e-14)
        assert not np.allclose(other.rolls["spread"].to_numpy(), series.rolls["spread"].to_numpy())

    def test_the_future_changes_nothing_but_the_scale_of_the_level(self, product, seed):
        one = random_chain(product, seed=seed)
        whole = of(one)
        for end in (2, 120, 400):
            early = of(cut(one, end))
            for name in ("contract", "ret", "span", "range_variance", "close", "prev_close", "is_roll", "volume"):
                np.testing.assert_array_equal(getattr(early, name), getattr(whole, name)[:end])
            assert early.next_contract == whole.contract[end]
            there = np.isfinite(early.level)
            ratio = early.level[there] / whole.level[:end][there]
            np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)

    def test_the_level_moves_by_the_returns_and_ends_at_the_last_close(self, product, seed):
        series = of(random_chain(product, seed=seed, shortage=0.0))
        known = np.flatnonzero(np.isfinite(series.ret))[1:]
        step = np.log(series.level[known] / series.level[known - 1])
        np.testing.assert_allclose(step, series.ret[known], rtol=1e-9, atol=1e-12)
        assert series.level[-1] == pytest.approx(series.close[-1])

    def test_every_roll_stands_in_the_table(self, product, seed):
        one = random_chain(product, seed=seed)
        series = of(one)
        dates = series.rolls["date"].to_numpy().astype("datetime64[D]")
        assert series.sessions[series.is_roll].tolist() == dates.tolist()
        at = np.flatnonzero(series.is_roll)
        assert series.contract[at].tolist() == series.rolls["to"].to_list()
        ids = one.contracts.ids.tolist()
        for t, row in zip(at, series.rolls.to_dicts(), strict=True):
            new, old = (one["close"][t - 1, ids.index(row[name])] for name in ("to", "from"))
            expected = np.log(new / old) if one.traded[t - 1, ids.index(row["from"])] else None
            assert row["spread"] == (None if expected is None else pytest.approx(expected))
            assert row["decided"] == series.sessions[t - 1].astype(object)

    def test_interest_and_volume_are_those_of_all_contracts(self, product, seed):
        one = random_chain(product, seed=seed)
        series = of(one)
        for name, total in (("open_interest", series.open_interest), ("volume", series.volume)):
            known = np.isfinite(total)
            np.testing.assert_array_equal(total[known], np.nansum(one[name], axis=1)[known])
            assert (np.isnan(total) == np.isnan(one[name]).all(axis=1)).all()

    def test_it_is_cut_without_being_walked_anew(self, product, seed):
        series = of(random_chain(product, seed=seed))
        part = series.since(series.sessions[150])
        assert len(part) == len(series) - 150
        np.testing.assert_array_equal(part.ret, series.ret[150:])
        assert part.contract.tolist() == series.contract[150:].tolist()
        assert (part.rolls["date"] >= series.sessions[150].astype(object)).all()
        assert part.next_contract == series.next_contract


def test_the_range_is_the_overnight_move_and_garman_klass():
    series = steady(["2410"], [[100], [102], [101]], [[9]] * 3)
    assert series.range_variance[2] == pytest.approx(np.log(101 / 102) ** 2 + 0.5 * np.log(1.01) ** 2)


def test_a_locked_day_stays_and_its_range_is_the_overnight_move():
    close = np.array([[100.0], [100.0], [110.0]])
    flat = {"open": close, "high": close, "low": close, "close": close}
    series = of(small(["2410"], [[9]] * 3, volume=np.ones((3, 1)), **flat))
    assert series.ret[2] == pytest.approx(np.log(1.1))
    assert series.range_variance[2] == pytest.approx(np.log(1.1) ** 2)
    assert series.range_variance[1] == 0.0


def test_a_session_without_a_trade_leaves_a_hole_and_the_next_return_spans_it():
    series = steady(["2410"], [[100], [101], [np.nan], [np.nan], [104]], [[9]] * 5)
    assert np.isnan(series.ret[[0, 2, 3]]).all()
    assert series.ret[4] == pytest.approx(np.log(104 / 101))
    assert series.span.tolist() == [0, 1, 0, 0, 3]
    assert any("2 sessions without a return, it did not trade: 2024-01-04, 2024-01-05" in n for n in series.notes)


def test_a_close_without_volume_is_no_trade():
    close = np.array([[100.0], [101.0], [150.0], [103.0]])
    series = of(small(["2410"], [[9]] * 4, close=close, volume=np.array([[5.0], [5.0], [0.0], [5.0]])))
    assert np.isnan(series.close[2])
    assert series.ret[3] == pytest.approx(np.log(103 / 101))


@pytest.mark.parametrize(("hole", "there"), [(4, True), (5, False)])
def test_a_return_over_more_than_the_longest_gap_is_none_and_is_told(hole, there):
    closes = [[100], [101], *[[np.nan]] * hole, [104]]
    series = steady(["2410"], closes, [[9]] * len(closes), max_gap=5)
    assert np.isfinite(series.ret[-1]) == there
    assert any("more than 5 sessions before" in note for note in series.notes) != there


def test_a_roll_takes_the_return_of_the_new_contract_and_keeps_the_spread():
    closes = [[100, 200], [101, 206], [102, 212], [103, 218]]
    series = steady(["2405", "2410"], closes, [[9, 1], [9, 1], [9, 20], [9, 20]])
    assert series.contract.tolist() == ["", "RB2405", "RB2405", "RB2410"]
    expected = [np.log(101 / 100), np.log(102 / 101), np.log(218 / 212)]
    np.testing.assert_allclose(series.ret[1:], expected)
    (roll,) = series.rolls.to_dicts()
    assert (str(roll["date"]), str(roll["decided"])) == ("2024-01-05", "2024-01-04")
    assert roll["spread"] == pytest.approx(np.log(212 / 102))
    assert (roll["from_open_interest"], roll["to_open_interest"], roll["reason"]) == (9, 20, "oi")
    np.testing.assert_allclose(series.level[1:], 218 * np.exp(np.cumsum(expected) - sum(expected)))


def test_levels_adjusted_by_differences_move_by_the_held_contracts_points():
    closes = [[100, 200], [101, 206], [102, 212], [103, 218]]
    series = steady(["2405", "2410"], closes, [[9, 1], [9, 1], [9, 20], [9, 20]])
    assert np.diff(difference_adjusted(series)[1:]).tolist() == [1.0, 6.0]
    assert difference_adjusted(series)[-1] == 218


def test_a_contract_without_a_close_since_the_last_one_of_the_series_gives_no_return():
    """It is taken up for want of another: its close is older than the series' own, so days would count twice."""
    closes = np.array([[100.0, 50.0], [101.0, np.nan], [102.0, np.nan], [np.nan, 53.0], [np.nan, 54.0]])
    interest = [[9.0, 1.0]] * 3 + [[np.nan, 3.0]] * 2
    one = small(["2401", "2402"], interest, "IF", "2024-01-17", close=closes, volume=np.ones((5, 2)))
    series = of(one)
    assert series.contract.tolist() == ["", "IF2401", "IF2401", "IF2402", "IF2402"]
    assert np.isnan(series.ret[3])
    assert series.ret[4] == pytest.approx(np.log(54 / 53))
    assert any("no close since the series' last one: 2024-01-22" in note for note in series.notes)


def test_migration_between_contracts_does_not_move_the_products_interest():
    interest = [[100.0 - 10 * t, 10.0 * t] for t in range(8)]
    series = steady(["2405", "2410"], [[100, 200]] * 8, interest)
    assert series.open_interest.tolist() == [100.0] * 8
    assert series.is_roll.any()


def test_a_spliced_series_is_taken_as_it_is_with_a_warning():
    days = WEEKDAYS.between("2024-01-02", "2024-01-19")
    close = np.linspace(100, 113, len(days))
    close[3:9] = np.nan
    series = spliced("A", "A_MAIN", days, {"close": close, "volume": np.ones(len(days))}, 10.0, 5)
    assert "roll jumps are inside" in series.notes[0]
    assert np.isnan(series.ret[:10]).sum() == 8  # the first, the hole, and the return that spans it
    assert any("more than 5 sessions before: 2024-01-15" in note for note in series.notes)
    assert (series.next_contract, len(series.rolls), series.is_roll.any()) == ("A_MAIN", 0, False)
    assert np.isnan(series.range_variance).all()
    assert np.isnan(series.open_interest).all()


def test_a_series_of_differences_is_warned_of_twice():
    days = WEEKDAYS.between("2024-01-02", "2024-01-05")
    notes = spliced("RB888", "RB888", days, {"close": np.arange(1.0, 5.0)}, 10.0).notes
    assert "percentages of such prices are distorted, use RB88" in notes[1]


def test_an_empty_series_has_no_session_and_says_why():
    series = empty("RB", "no bars")
    assert (len(series), series.notes, series.next_contract) == (0, ("no bars",), "")
