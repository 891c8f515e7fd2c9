"""Who wins is said as the numbers have it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.training.evaluate.volatility_world import evidence, product
from training.evaluate.volatility_evidence import CHOSEN, Score
from training.evaluate.volatility_words import (
    fits_ended,
    kind_of,
    p_value,
    shown,
    standings,
    summary,
    verdict,
    winner,
)

BASE = Score("ewma", 500, 0.2, 1.0, in_set=True)


def rival(ratio, t=math.nan, p=math.nan, name="gjr_t", in_set=True):
    return Score(name, 400, 0.2 * ratio, ratio, dm_t=t, dm_p=p, in_set=in_set)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((BASE, rival(1.01, 1.0, 0.3)), "EWMA wins"),
        ((rival(1.0), BASE), "EWMA wins"),
        ((BASE, rival(0.95, -2.5, 0.0125)), "gjr_t beats EWMA: QLIKE 5.0% below EWMA's (p 0.013)"),
        ((BASE, rival(0.99, -0.5, 0.6)), "gjr_t leads: QLIKE 1.0% below EWMA's, not told apart from it (p 0.600)"),
        ((BASE, rival(0.99)), "gjr_t leads: QLIKE 1.0% below EWMA's, not tested"),
        ((BASE, rival(0.5, -9.0, 0.0, name=CHOSEN)), "EWMA wins"),
        ((BASE, rival(math.nan)), "EWMA wins"),
        ((rival(math.nan),), "nothing judged yet"),
        ((), "nothing judged yet"),
    ],
)
def test_the_verdict_on_a_board(rows, said):
    assert verdict(rows, "ewma") == said


def test_a_base_by_another_name_is_named_as_it_is():
    rows = (Score("garch", 500, 0.2, 1.0), rival(1.2))
    assert verdict(rows, "garch") == "GARCH wins"
    assert winner(rows, "garch").model == "garch"


def test_standings_count_products():
    boards = (
        (BASE, rival(0.9, -3.0, 0.001), rival(1.3, 4.0, 0.0005, "har", in_set=False)),
        (BASE, rival(0.98, -0.5, 0.6), rival(0.99, -0.2, 0.8, "har")),
        (BASE, rival(1.2, 3.0, 0.004), rival(math.nan, name="har", in_set=None)),
    )
    small = product(n=200)
    products = tuple(
        type(small)(**{**vars(small), "product": f"P{i}", "scores": {1: rows}}) for i, rows in enumerate(boards)
    )
    run = evidence(products=products, horizons=(1,))
    found = {one.model: one for one in standings(run, 1)}
    assert [one.model for one in standings(run, 1)] == ["gjr_t", "ewma", "har"]
    gjr, har = found["gjr_t"], found["har"]
    assert (gjr.products, gjr.forecasts, gjr.median, gjr.wins, gjr.beats, gjr.loses) == (3, 1200, 0.98, 2, 1, 1)
    assert (har.products, har.wins, har.loses, har.in_set, har.in_set_of) == (2, 0, 1, 1, 2)
    assert har.median == pytest.approx(np.median([1.3, 0.99]))
    assert found["ewma"].wins == 1
    assert summary(run, 1) == "EWMA wins on 1 of 3 products, gjr_t on 2 (1 told from EWMA at 5 %)"
    assert summary(run, 5).startswith("nothing judged yet")


def test_fits_are_counted_by_how_they_ended():
    found = fits_ended(product(n=200))
    assert {model: dict(counts) for model, counts in found.items()} == {"garch_n": {"ok": 1, "fell back to ewma": 1}}
    assert kind_of("kept: it must vary; found 0") == "kept"


def test_p_values_and_names_as_a_reader_needs_them():
    assert [p_value(v) for v in (math.nan, 0.0, 0.00099, 0.001, 0.5)] == [
        "–",
        "<\u00a00.001",
        "<\u00a00.001",
        "0.001",
        "0.500",
    ]
    assert shown("ewma", "ewma") == "EWMA"
    assert shown("gjr_t", "ewma") == "gjr_t"
    assert shown(CHOSEN, "ewma") == "chosen 滚动选优"
