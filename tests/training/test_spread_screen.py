"""Screenings of a family of pairs: when they are held, what holds until the next, and that none looks ahead."""

from __future__ import annotations

import numpy as np
import pytest

from models.spread.base import Legs
from models.spread.screening import Screening, screen
from training.spread_screen import NOT_YET, Screens

TRUE = ("FU", "SC")
N = 700


def family(seed: int = 1, count: int = N) -> dict[tuple[str, str], Legs]:
    """A pair that returns with a half-life of 8 sessions at a hedge of .9, among five of walks."""
    rng = np.random.default_rng(seed)
    days = np.arange("2015-01-05", "2022-01-01", dtype="datetime64[D]")
    sessions = days[np.is_busday(days)][:count]
    apart, phi = np.zeros(count), 0.5 ** (1 / 8)
    for t in range(1, count):
        apart[t] = phi * apart[t - 1] + 0.01 * rng.normal()
    x = 6 + np.cumsum(rng.normal(0, 0.015, count))
    out = {TRUE: Legs(1 + 0.9 * x + apart, x, sessions)}
    for i in range(5):
        y, other = (np.cumsum(rng.normal(0, 0.012, count)) for _ in range(2))
        out["A", f"B{i}"] = Legs(5 + y, 6 + other, sessions)
    return out


def screens(legs: dict[tuple[str, str], Legs], every: str = "quarter", rule: Screening | None = None) -> Screens:
    return Screens(legs, rule or Screening(), every, 500, 250)


@pytest.fixture(scope="module")
def whole() -> Screens:
    return screens(family())


def test_the_family_is_screened_on_the_first_session_of_a_quarter(whole: Screens) -> None:
    days = [str(day) for day in whole.days]
    assert days[:4] == ["2015-04-01", "2015-07-01", "2015-10-01", "2016-01-01"]
    months = [str(day) for day in screens(family(), "month").days]
    assert months[:3] == ["2015-02-02", "2015-03-02", "2015-04-01"]


def test_the_pair_that_returns_is_found_and_those_that_walk_are_not(whole: Screens) -> None:
    assert whole.candidate(TRUE)[whole.legs[TRUE].session >= whole.days[5]].mean() > 0.7
    others = [whole.candidate(pair).mean() for pair in whole.legs if pair != TRUE]
    assert max(others) < 0.1
    found = whole.at(len(whole.days) - 1, TRUE)
    assert found is not None
    assert found.beta == pytest.approx(0.9, abs=0.1)


def test_a_screening_sees_the_window_of_a_fit_and_all_pairs(whole: Screens) -> None:
    which = len(whole.days) - 1
    stop = int(np.searchsorted(whole.legs[TRUE].session, whole.days[which])) + 1
    expected = screen({pair: legs.part(stop - 500, stop) for pair, legs in whole.legs.items()}, Screening())
    assert [whole.at(which, pair) for pair in whole.legs] == list(expected)
    alone = screens({TRUE: whole.legs[TRUE]}).at(which, TRUE)
    among = whole.at(which, TRUE)
    assert alone is not None
    assert among is not None
    assert alone.q == alone.p == among.p < among.q


def test_what_it_says_holds_until_the_next(whole: Screens) -> None:
    told, sessions = whole.candidate(TRUE), whole.legs[TRUE].session
    history = whole.history(TRUE)
    for row in (60, 300, 420, 555, N - 1):
        which = whole.last(sessions[row])
        found = None if which < 0 else history[which]
        assert told[row] == (found is not None and found.is_candidate)
        assert (whole.reason(TRUE, sessions[row]) == "") == told[row]
    changes = sessions[1:][told[1:] != told[:-1]]
    assert len(changes)
    assert set(changes.tolist()) <= set(whole.days.tolist())


def test_before_its_first_screening_a_pair_is_no_candidate(whole: Screens) -> None:
    sessions = whole.legs[TRUE].session
    first = next(i for i, one in enumerate(whole.history(TRUE)) if one is not None)
    assert (
        np.searchsorted(sessions, whole.days[first]) + 1 >= 250 > np.searchsorted(sessions, whole.days[first - 1]) + 1
    )
    assert whole.reason(TRUE, sessions[10]) == NOT_YET
    assert not whole.candidate(TRUE)[: np.searchsorted(sessions, whole.days[first])].any()
    strict = screens(family(), rule=Screening(level=1e-9))
    assert strict.reason(TRUE, sessions[-1]).startswith("no candidate: Engle-Granger: q ")


def test_a_reason_makes_the_screening_it_needs_alone() -> None:
    fresh = screens(family())
    fresh.reason(TRUE, fresh.legs[TRUE].session[-1])
    assert list(fresh._made) == [len(fresh.days) - 1]


def test_no_later_session_changes_what_was_screened(whole: Screens) -> None:
    for cut in (402, 520, 648):
        earlier = screens({pair: legs.part(0, cut) for pair, legs in whole.legs.items()})
        for pair in whole.legs:
            np.testing.assert_array_equal(earlier.candidate(pair), whole.candidate(pair)[:cut])
        assert earlier.history(TRUE) == whole.history(TRUE)[: len(earlier.days)]


def test_a_pair_that_has_ended_leaves_the_family() -> None:
    legs = family()
    legs["A", "B0"] = legs["A", "B0"].part(0, 500)
    found = screens(legs)
    day = legs[TRUE].session[-1]
    assert found.at(found.last(day), ("A", "B0")) is None
    assert found.at(found.last(legs[TRUE].session[499]), ("A", "B0")) is not None
