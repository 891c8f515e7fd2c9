"""Roll rules: what holds of every holding, and the cases at the edges."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from features.chain import Chain, chain
from features.contracts import contracts
from features.panel import ConfigError
from features.rolls import REASONS, RULES, hold
from tests.features.synthetic_futures import WEEKDAYS, cut, random_chain, row

WORLDS = [(product, rule, seed) for product in ("RB", "IF", "T") for rule in RULES for seed in (0, 1)]


def small(
    codes: list[str], interest: list[list[float]], product: str = "RB", start: str = "2024-01-02", **fields: object
) -> Chain:
    """A chain on weekdays with the given open interest (T, N); all trade where it is given or is nought."""
    days = WEEKDAYS.between(start, "2026-12-31")[: len(interest)]
    rows = [{"order_book_id": product + code, "listed_date": dt.date(2023, 1, 2)} for code in codes]
    own, oi = contracts(product, rows, WEEKDAYS), np.array(interest, dtype=float)
    values = {"open_interest": oi, "close": np.where(np.isnan(oi), np.nan, 100.0), "volume": oi}
    return chain(own, days, {**values, **fields}, WEEKDAYS)


def held(one: Chain, **settings: object) -> list[str]:
    return np.append(one.contracts.ids, "")[hold(one, **settings).held].tolist()


@pytest.mark.parametrize(("product", "rule", "seed"), WORLDS)
class TestEveryHolding:
    def test_it_never_goes_back_to_an_earlier_maturity(self, product, rule, seed):
        found = hold(random_chain(product, seed=seed), rule).held
        found = found[found >= 0]
        assert (np.diff(found) >= 0).all()
        assert len(np.unique(found)) > 3

    def test_it_holds_no_contract_behind_its_last_day_or_before_its_listing(self, product, rule, seed):
        one = random_chain(product, seed=seed)
        found = hold(one, rule).held
        there = np.flatnonzero(found >= 0)
        assert one.alive[there, found[there]].all()

    def test_it_does_not_see_the_future(self, product, rule, seed):
        one = random_chain(product, seed=seed)
        whole, rng = hold(one, rule), np.random.default_rng(9)
        for end in (1, 90, 311):
            early = hold(cut(one, end), rule)
            assert early.held.tolist() == whole.held[: end + 1].tolist()
        noisy = {name: panel.copy() for name, panel in one.fields.items()}
        for panel in noisy.values():
            panel[311:] *= rng.lognormal(0, 1, panel[311:].shape)
        other = hold(chain(one.contracts, one.sessions, noisy, WEEKDAYS), rule)
        assert other.held[:312].tolist() == whole.held[:312].tolist()
        assert other.held.tolist() != whole.held.tolist() or rule == "fixed"

    def test_every_change_has_a_reason_and_nothing_else_has(self, product, rule, seed):
        found = hold(random_chain(product, seed=seed), rule)
        changed = np.flatnonzero(np.diff(found.held) != 0) + 1
        assert np.flatnonzero(found.reason).tolist() == changed.tolist()

    def test_a_contract_is_taken_up_only_with_a_close_on_the_session_of_the_decision(self, product, rule, seed):
        one = random_chain(product, seed=seed)
        found = hold(one, rule)
        for t in np.flatnonzero(np.diff(found.held)) + 1:
            assert one.traded[t - 1, found.held[t]]


def test_nothing_is_held_on_the_first_session_and_the_largest_interest_on_the_second():
    assert held(small(["2405", "2409", "2410"], [[5, 9, 7]] * 2)) == ["", "RB2409", "RB2409"]


@pytest.mark.parametrize(("interest", "expected"), [(109, "RB2405"), (110, "RB2405"), (111, "RB2410")])
def test_a_contract_takes_over_with_more_than_a_tenth_more_interest(interest, expected):
    days = [[100, 50], [100, interest], [100, 50]]
    assert held(small(["2405", "2410"], days), threshold=1.1) == ["", "RB2405", expected, expected]


@pytest.mark.parametrize(("interest", "expected"), [(150, "RB2405"), (151, "RB2410")])
def test_as_much_as_the_threshold_is_not_enough(interest, expected):
    assert held(small(["2405", "2410"], [[100, 50], [100, interest]]), threshold=1.5)[-1] == expected


def test_one_that_lost_the_lead_does_not_win_it_back():
    days = [[100, 50], [100, 120], [900, 10], [900, 10]]
    assert held(small(["2405", "2410"], days))[1:] == ["RB2405", "RB2410", "RB2410", "RB2410"]


def test_by_interest_and_volume_both_must_be_the_largest():
    days = [[100.0, 50.0], [100.0, 101.0], [100.0, 101.0], [100.0, 101.0]]
    busy = np.array([[9.0, 1.0], [9.0, 8.0], [9.0, 10.0], [9.0, 10.0]])
    one = small(["2405", "2410"], days, volume=busy)
    assert held(one, rule="oi_volume") == ["", "RB2405", "RB2405", "RB2410", "RB2410"]


def test_index_futures_choose_only_between_the_current_month_and_the_next():
    one = small(["2401", "2402", "2403"], [[10, 5, 900], [10, 12, 900], [10, 12, 900]], "IF")
    assert held(one) == ["", "IF2401", "IF2402", "IF2402"]


@pytest.mark.parametrize(("product", "days"), [("IF", 5), ("T", 15), ("RB", 20)])
def test_by_the_date_the_session_with_so_many_left_is_the_last_one_held(product, days):
    codes = ["2403", "2406", "2409"] if product == "T" else ["2402", "2403", "2404", "2405", "2406"]
    one = small(codes, [[1.0] * len(codes)] * 60, product)
    found, left = hold(one, "fixed"), one.sessions_left()
    last = [t for t in range(1, 60) if found.held[t + 1] > found.held[t] >= 0]
    assert [int(left[t, found.held[t]]) for t in last] == [days] * len(last)
    assert last
    assert {REASONS[found.reason[t + 1]] for t in last} == {"fixed"}


def test_before_expiry_is_told_by_product():
    one = small(["2402", "2403", "2404"], [[1.0] * 3] * 40, "IF")
    own, other = (hold(one, "fixed", before_expiry=told).held.tolist() for told in ({"IF": 2}, {"IC": 2}))
    assert own != other
    assert other == hold(one, "fixed").held.tolist()


def test_without_any_open_interest_it_rolls_by_the_date_and_says_so():
    one = small(["2403", "2406"], [[1.0, 1.0]] * 50, "T", open_interest=np.full((50, 2), np.nan))
    found = hold(one)
    assert found.held.tolist() == hold(one, "fixed").held.tolist()
    assert found.blind.all()
    assert {REASONS[code] for code in found.reason[2:]} == {"", "no_open_interest"}


def test_a_session_without_interest_does_not_move_what_is_far_from_its_end():
    days = np.array([[100.0, 50.0], [np.nan, np.nan], [100.0, 50.0]])
    one = small(["2405", "2410"], days.tolist(), close=np.full((3, 2), 100.0), volume=np.ones((3, 2)))
    assert held(one) == ["", "RB2405", "RB2405", "RB2405"]
    assert hold(one).blind.tolist() == [False, True, False]


def test_an_index_future_is_left_by_force_before_its_last_trading_day():
    one = small(["2401", "2402"], [[900, 1]] * 20, "IF")
    found = hold(one)
    forced = int(np.flatnonzero(found.reason == REASONS.index("expiry"))[0])
    assert one.sessions_left()[forced].tolist()[0] == 0  # the last trading day is the first session of the next one
    assert found.held[forced - 1 : forced + 1].tolist() == [0, 1]


def test_a_commodity_is_left_by_force_before_its_delivery_month():
    one = small(["2402", "2403"], [[900, 1]] * 30)
    found = held(one)
    changed = [str(day) for day, before, now in zip(one.sessions[1:], found, found[1:], strict=False) if before != now]
    assert changed == ["2024-01-03", "2024-02-01"]


def test_a_contract_alone_is_held_to_its_last_day_and_then_nothing():
    one = small(["2402"], [[900]] * 40)
    found, left = held(one), one.sessions_left()[:, 0]
    assert found == ["" if t == 0 or left[t] < 0 else "RB2402" for t in range(41)]


def test_a_contract_without_a_trade_is_not_taken_up_until_it_has_one():
    days = [[900, 1], [900, 1], [900, 1]]
    silent = np.array([[100.0, np.nan], [100.0, np.nan], [100.0, 100.0]])
    one = small(["2401", "2402"], days, "IF", "2024-01-17", close=silent)
    # The last day of 2401 is Friday 19 January, when it may be held only for want of another.
    assert held(one) == ["", "IF2401", "IF2401", "IF2402"]


def test_a_chain_that_died_is_taken_up_again_by_a_later_contract():
    days = np.array([[5.0, np.nan]] * 40 + [[np.nan, 7.0]] * 5)
    one = small(["2402", "2410"], days.tolist())
    found = held(one)
    assert found[-1] == "RB2410"
    assert found[39] == "RB2410"  # listed, and nothing else is left to hold


def test_a_contract_listed_last_week_is_not_held_before_it_is_listed():
    days = WEEKDAYS.between("2024-01-02", "2024-01-19")
    rows = [row("RB", np.datetime64("2024-05"), days), row("RB", np.datetime64("2024-10"), days)]
    rows[1]["listed_date"] = dt.date(2024, 1, 15)
    own = contracts("RB", rows, WEEKDAYS)
    values = {"open_interest": np.tile([1.0, 9.0], (len(days), 1)), "close": np.full((len(days), 2), 10.0)}
    found = hold(chain(own, days, values, WEEKDAYS)).held
    assert days[np.argmax(found[:-1] == 1)] == np.datetime64("2024-01-16")


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"rule": "volume"}, "must be one of oi, oi_volume, fixed"), ({"threshold": 0.9}, "1 or more")],
)
def test_a_rule_that_is_none_is_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        hold(small(["2405"], [[1]]), **settings)
