"""Chains and settlements against the spec's worked numbers. Source  04 §1, §2.3, 10 §1."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from features.chain import Chain, chain
from features.contracts import contracts
from features.factors.settlement import averaging_effect
from features.roles import roles
from features.rolls import hold
from features.sessions import Calendar, exchange_calendar


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return exchange_calendar("2010-01-01", "2026-12-31").extended("2027-12-31")


def listed(product: str, codes: list[str], calendar: Calendar, days: tuple[str, str], since: str) -> Chain:
    """A chain of these contracts, all listed on one day, without a price."""
    rows = [{"order_book_id": f"{product}{c}", "listed_date": dt.date.fromisoformat(since)} for c in codes]
    own = contracts(product, rows, calendar)
    return chain(own, calendar.between(*days), {}, calendar)


def named(one: Chain, role: str, day: str) -> str:
    """The contract of a role on a session."""
    at = roles(one, hold(one))[role][int(np.searchsorted(one.sessions, np.datetime64(day)))]
    return str(one.contracts.ids[at]) if at >= 0 else ""


@pytest.mark.parametrize(("share", "ratio", "autocorrelation"), [(0.25, 0.916667, 0.045455), (1.0, 0.666667, 0.25)])
def test_an_average_over_part_of_the_session_moves_less_and_is_autocorrelated(share, ratio, autocorrelation):
    assert averaging_effect(share) == pytest.approx((ratio, autocorrelation), abs=5e-7)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_averages_of_a_simulated_brownian_path_do_as_the_formula_says(share):
    steps, rng = 48, np.random.default_rng(0)
    path = np.cumsum(rng.standard_normal(40_000 * steps)).reshape(-1, steps)
    change = np.diff(path[:, -round(share * steps) :].mean(axis=1))
    ratio, autocorrelation = averaging_effect(share)
    assert change.var() / np.diff(path[:, -1]).var() == pytest.approx(ratio, abs=0.02)
    assert np.corrcoef(change[1:], change[:-1])[0, 1] == pytest.approx(autocorrelation, abs=0.02)


def test_the_roles_of_if_on_the_last_day_of_2025(calendar):
    one = listed("IF", ["2601", "2602", "2603", "2606"], calendar, ("2025-12-22", "2025-12-31"), "2025-12-22")
    found = [named(one, role, "2025-12-31") for role in ("current", "next", "q1", "q2", "near")]
    assert found == ["IF2601", "IF2602", "IF2603", "IF2606", "IF2601"]


def test_the_next_contract_of_2025_december_matures_after_55_days(calendar):
    one = listed("IF", ["2601", "2602", "2603", "2606"], calendar, ("2025-12-22", "2025-12-31"), "2025-12-22")
    assert str(one.contracts.last_day[1]) == "2026-02-24"
    assert one.ttm()[-1, 1] * 365 == pytest.approx(55)


@pytest.mark.parametrize("month", [2, 5, 8, 11])
def test_on_a_last_trading_day_current_is_nobody_and_the_others_keep_their_contracts(month, calendar):
    """By rank behind `near`, `next` would jump to a quarter month on these days."""
    front = np.datetime64(f"2022-{month:02d}", "M")
    months = [front, *(front + np.array([1, 4, 7]))]
    codes = [f"{str(m)[2:4]}{str(m)[5:]}" for m in months]
    one = listed("IF", codes, calendar, (f"2022-{month:02d}-01", f"2022-{month:02d}-28"), "2022-01-04")
    last = one.contracts.last_day[0]
    before, behind = one.sessions[one.sessions < last][-1], one.sessions[one.sessions > last][0]
    for role, at in (("next", 1), ("q1", 2), ("q2", 3)):
        assert named(one, role, str(last)) == named(one, role, str(before)) == f"IF{codes[at]}"
    assert [named(one, "current", str(day)) for day in (before, last, behind)] == [f"IF{codes[0]}", "", f"IF{codes[1]}"]
    assert [named(one, "near", str(day)) for day in (before, last)] == [f"IF{codes[0]}", f"IF{codes[1]}"]
    # From the session after on the months have shifted; the contract of the new next month is not listed here.
    assert [named(one, role, str(behind)) for role in ("next", "q1", "q2")] == ["", f"IF{codes[2]}", f"IF{codes[3]}"]


def test_if_was_launched_without_a_contract_of_its_own_month(calendar):
    one = listed("IF", ["1005", "1006", "1009", "1012"], calendar, ("2010-04-16", "2010-05-21"), "2010-04-16")
    found = [named(one, role, "2010-04-16") for role in ("current", "next", "q1", "q2")]
    assert found == ["IF1005", "IF1006", "IF1009", "IF1012"]


@pytest.mark.parametrize(
    ("asset", "stated", "last_bar", "ends", "by_rule", "mismatched"),
    [
        ("IH1609", "2016-09-16", "2016-09-13", "2016-09-19", False, False),
        ("IH1802", "2018-02-16", "2018-02-12", "2018-02-22", False, False),
        ("RB1201", "2012-01-13", "2012-01-13", "2012-01-16", True, True),
        ("RB1201", "2012-01-16", "2012-01-13", "2012-01-16", False, False),
        ("RB1002", "2010-02-09", "2010-02-09", "2010-02-09", False, True),
        ("RB1502", "2015-02-10", "2015-02-10", "2015-02-10", False, True),
        ("RB1201", None, "2012-01-13", "2012-01-16", True, False),
        ("RB1201", None, "2012-01-17", "2012-01-17", False, True),
        ("TF1909", "2019-09-13", "2019-09-12", "2019-09-16", False, False),
    ],
)
def test_a_stated_maturity_prevails_unless_it_is_a_holiday_or_the_last_bar_in_disguise(
    asset, stated, last_bar, ends, by_rule, mismatched, calendar
):
    day = dt.date.fromisoformat
    row = {"order_book_id": asset, "first": dt.date(2010, 1, 4), "last": day(last_bar)}
    row["maturity_date"] = None if stated is None else day(stated)
    found = contracts(asset[:-4], [row], calendar)
    assert (str(found.last_day[0]), bool(found.by_rule[0]), bool(found.mismatched[0])) == (ends, by_rule, mismatched)
