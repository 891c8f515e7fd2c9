"""A pair of products on the page: when it was a candidate, that it rolls, and distances where contracts have levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.evaluate.seen_page import Page
from tests.training.evaluate.traded_world import calendar, evidence, pair
from training.evaluate.spread_evidence import PairScreening
from training.evaluate.spread_page import spread_html
from training.evaluate.spread_series import candidacies

WHY = "Engle-Granger: q 0.310 (p 0.102) is not below 0.05"


def screening(row: int, reason: str = "") -> PairScreening:
    return PairScreening(calendar(700)[row], 0.012, 0.034, 25.5, 20.26, 0.913, 8.4, reason)


SCREENED = (screening(250, WHY), screening(310), screening(370), screening(430, WHY), screening(650))


@pytest.fixture(scope="module")
def page() -> Page:
    one = pair("FU-SC", kind="cross", zh="燃料油", screenings=SCREENED, life=np.zeros(700, np.int64))
    rule = one.tradings[0]
    traded = rule.trading.pair
    rolling = replace(traded, first=replace(traded.first, rolled=np.arange(700) % 40 == 0))
    one = replace(one, tradings=(replace(rule, trading=replace(rule.trading, pair=rolling)), *one.tradings[1:]))
    return Page(spread_html(evidence(pairs=(one,))))


def test_a_pair_is_a_candidate_from_a_screening_to_the_session_before_the_next() -> None:
    assert candidacies(pair(screenings=SCREENED)) == ((310, 429), (650, 699))
    assert candidacies(pair(screenings=SCREENED[:1])) == ()
    assert candidacies(pair()) == ()


def test_every_screening_stands_on_the_page_the_last_one_first(page: Page) -> None:
    days = [str(one.session) for one in reversed(SCREENED)]
    table = page.text[page.text.index("screened on 筛选") :]
    at = [table.index(day) for day in days]
    assert at == sorted(at)
    assert page.text.count("candidate 入选") == 3
    assert page.text.count(WHY) == 2
    assert "5 screenings 协整筛选" in page.text


def test_the_strip_at_the_foot_of_the_picture_is_where_it_is_a_candidate(page: Page) -> None:
    drawn = next(one for one in page.figures if "Spread with bands" in one["layout"]["title"]["text"])
    strips = [(one["x0"], one["x1"]) for one in drawn["layout"]["shapes"] if one["y1"] == 0.03]
    days = calendar(700)
    assert strips == [(str(days[310]), str(days[429])), (str(days[650]), str(days[699]))]


def test_a_reader_is_told_of_rolls_and_distances(page: Page) -> None:
    assert "a leg changes its contract at the close that decides it, for two more fills" in page.text.lower()
    assert "The line is the distance from the mean" in page.text
    assert "A new pair of contracts begins" not in page.text
    assert ", rolled." in page.text
    plain = Page(spread_html(evidence())).text
    assert "two more fills" not in plain
    assert "A new pair of contracts begins" in plain
