"""FU follows SC in the simulator (11 §9 d): every model of spreads finds how, and the screening finds nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from simulated_futures import COMMODITIES, held, named

from features.sources.simulator import NULL, simulate
from models.spread.base import Legs
from models.spread.ecm import Ecm
from models.spread.kalman_hedge import KalmanHedge
from models.spread.ou import Ou
from models.spread.screening import screen


@pytest.fixture(scope="module")
def pairs() -> dict[tuple[str, str], Legs]:
    """Roll-adjusted closes of each pair of commodities, by their names."""
    bars = named(simulate("demo", replace(NULL, stocks=40), seed=2))
    level = None
    for product in COMMODITIES:
        rows = held(bars.filter(pl.col("product") == product))
        one = rows.select("date", pl.col("r_close").cum_sum().alias(product))
        level = one if level is None else level.join(one, on="date")
    level = level.sort("date")
    day = level["date"].to_numpy().astype("datetime64[D]")
    price = {product: level[product].to_numpy() for product in COMMODITIES}
    names = [("FU", "SC"), *(pair for pair in combinations(COMMODITIES, 2) if set(pair) != {"FU", "SC"})]
    return {(y, x): Legs(price[y], price[x], day) for y, x in names}


def test_the_hedge_of_fu_is_point_nine_of_sc(pairs):
    legs = pairs["FU", "SC"]
    fitted = KalmanHedge().fit(legs)
    path = fitted.filter(legs).hedge[120:]
    assert np.sqrt(np.mean((path - 0.9) ** 2)) <= 0.1
    assert fitted.converged
    for other in (Ou(hedge=None).fit(legs), Ecm().fit(legs)):
        assert other.params["beta"] == pytest.approx(0.9, abs=0.06)
        assert other.half_life == pytest.approx(8, rel=0.35)
    assert Ou(hedge=None).fit(legs).params["sigma_s"] == pytest.approx(0.03, rel=0.25)


def test_fu_and_sc_are_the_one_pair_that_is_found(pairs):
    told = screen(pairs)
    assert len(told) == 10
    assert [(one.y, one.x) for one in told if one.is_candidate] == [("FU", "SC")]
