"""Alpha101 against the paper's formulas in plain numpy, and what its module promises of levels, facts and numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from features.catalogue import catalogue
from features.factors.alpha101 import FORMULAS, alpha101
from features.panel import Panels
from features.plan import compute, plan
from tests.features.synthetic_market import stock_market
from tests.oracle import alpha101_first, alpha101_second
from tests.oracle.alpha101_by_numpy import Market

NUMBERS = sorted(FORMULAS)
ALPHAS = {**alpha101_first.ALPHAS, **alpha101_second.ALPHAS}
SESSIONS, STOCKS = 420, 16
NAMES = {number: f"alpha101_{number:03d}" for number in NUMBERS}


def market() -> Panels:
    """Splits, suspensions and limits, no stock under special treatment, and three industries."""
    panels = stock_market(SESSIONS, STOCKS)
    industry = (np.arange(STOCKS) % 3).astype(np.float64)[None, :]
    fields = {k: v for k, v in panels.values.items() if k != "is_st"}
    return Panels(panels.sessions, panels.assets, {**fields, "industry": industry})


def computed(names: list[str], panels: Panels) -> dict[str, np.ndarray]:
    return compute(plan(catalogue("CS"), names, panels.values), panels)[0].values


def settled(traded: np.ndarray) -> np.ndarray:
    """Where a stock trades, and has not come back within 60 sessions from more than 20 away."""
    out = traded > 0
    for t, j in np.argwhere(out):
        for back in range(max(t - 59, 21), t + 1):
            if traded[back, j] and not traded[back - 21 : back, j].any():
                out[t, j] = False
    return out


@pytest.fixture(scope="module")
def ours() -> dict[str, np.ndarray]:
    return computed(list(NAMES.values()), market())


@pytest.fixture(scope="module")
def paper() -> Market:
    panels = market()
    raw = {k: np.asarray(v, dtype=np.float64) for k, v in panels.values.items()}
    return Market.of(raw, computed(["universe"], panels)["universe"])


@pytest.fixture(scope="module")
def there() -> dict[bool, np.ndarray]:
    """Whether it looks back -> where a factor may have a value."""
    traded = market()["traded"]
    return {True: settled(traded), False: traded > 0}


@pytest.mark.parametrize("number", NUMBERS)
def test_an_alpha_is_the_formula_of_the_paper(number, ours, paper, there):
    factor = catalogue("CS")[NAMES[number]]
    with np.errstate(all="ignore"):
        want = ALPHAS[number](paper)
    # What a float32 cannot hold is not stored.
    known = there[factor.reach > 1] & (np.abs(want) < np.finfo(np.float32).max)
    got = ours[NAMES[number]]
    assert np.isfinite(got).sum() > 50
    np.testing.assert_allclose(got, np.where(known, want, np.nan), rtol=1e-8, atol=1e-9)


def test_there_are_all_but_the_one_that_needs_the_market_value():
    assert set(NUMBERS) == set(range(1, 102)) - {56}
    assert [f.name for f in alpha101] == list(NAMES.values())
    assert set(ALPHAS) == set(NUMBERS)


def test_no_two_of_them_have_one_name_or_one_formula():
    assert len({zh for zh, _, _ in FORMULAS.values()}) == len({text for _, _, text in FORMULAS.values()}) == 100


def test_those_that_neutralise_are_absent_where_industries_are_not_known():
    fields = set(market().values) - {"industry"}
    absent = plan(catalogue("CS"), NAMES.values(), fields).absent
    neutral = {48, 58, 59, 63, 67, 69, 70, 76, 79, 80, 82, 87, 89, 90, 91, 93, 97, 100}
    assert set(absent) == {NAMES[n] for n in neutral}
    assert all("industry" in why for why in absent.values())


def test_worked_numbers_of_formulas_of_one_session():
    one = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "prev_close": 10.5}
    one |= {"volume": 100.0, "total_turnover": 1050.0}
    panels = {k: np.array([[v]]) for k, v in one.items()}
    known = {f.name: f for f in alpha101}

    def value(number: int) -> float:
        f = known[NAMES[number]]
        given = {**panels, "cs_vwap": np.array([[10.5]])}
        return float(f(**{k: given[k] for k in f.inputs})[0, 0])

    assert value(41) == pytest.approx(math.sqrt(108) - 10.5)
    assert value(54) == pytest.approx(-(-2 * 10**5) / (-3 * 11**5))
    assert value(101) == pytest.approx(1 / 3.001)
