"""Factors of treasury futures on a few numbers, and on the real T, TF and TS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.catalogue import catalogue
from features.factors import treasury as of
from features.factors import treasury_spreads as spreads
from features.ingest import ingest
from features.inputs import available, read_inputs
from features.panel import Panels
from features.plan import compute, plan
from features.product_bars import refresh
from features.sources.files import files
from features.store import Store

NAN = np.nan


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float64)


def test_the_worked_example_of_the_spec_through_the_factors():
    bond = row(106.05), row(0.2675138), row(0.9814), row(0.8322652)
    price, nothing, ahead = row(108.13), row(0.0), row(76 / 365)
    rate = of.tf_irr(price, *bond, nothing, nothing, ahead)
    assert rate[0, 0] == pytest.approx(0.0286183095, abs=5e-11)
    basis = of.tf_basis(price, bond[0], bond[2])
    assert basis[0, 0] == pytest.approx(-0.068782, abs=1e-9)
    money = np.log1p(0.016 * ahead) / ahead  # simple 1.6 %
    net = of.tf_bnoc(basis, bond[0], bond[1], bond[3], nothing, money, ahead)
    assert net[0, 0] == pytest.approx(-0.2793358746, abs=5e-11)


def test_a_coupon_on_the_way_is_earned_and_lent_on():
    full, ahead, left = 101.0, 0.5, 0.2
    rate = of.tf_irr(row(100.0), row(100.0), row(1.0), row(1.0), row(0.5), row(1.5), row(1.5 * left), row(ahead))
    # What is lent grows to what the delivery brings, the coupon to the day of delivery.
    r = rate[0, 0]
    assert full * (1 + r * ahead) == pytest.approx(100.5 + 1.5 * (1 + r * left), abs=1e-12)


@pytest.mark.parametrize(("spread", "reading"), [(-0.001, 1), (0.001, -1), (0.0, 0), (NAN, NAN)])
def test_the_seed_reads_a_yield_below_cash_as_optimism(spread, reading):
    np.testing.assert_array_equal(of.tf_sentiment(row(spread)), row(reading))


@pytest.mark.parametrize(("z", "reading"), [(-1.01, 1), (-1.0, 0), (1.0, 0), (1.01, -1), (NAN, NAN)])
def test_the_corrected_reading_is_neutral_within_a_score_of_one(z, reading):
    np.testing.assert_array_equal(of.tf_sentiment_adj(row(z)), row(reading))


@pytest.mark.parametrize(("spread", "reading"), [(-0.05, -1), (-0.049, 0), (0.049, 0), (0.05, 1), (NAN, NAN)])
def test_the_seed_reads_a_near_premium_as_rates_that_rise(spread, reading):
    np.testing.assert_array_equal(spreads.tf_term_reading(row(spread)), row(reading))


def test_each_tenor_is_set_against_the_next_shorter_one_wherever_it_stands():
    maturity = row(10.0, NAN, 2.0, 30.0, 5.0)
    spread = spreads.tf_tenor_spread(row(0.028, 0.5, 0.02, 0.031, 0.025), maturity)
    np.testing.assert_allclose(spread, row(0.003, NAN, NAN, 0.003, 0.005), atol=1e-15)
    weight = spreads.tf_tenor_weight(row(600.0, NAN, 380.0, 1500.0, 400.0), maturity)
    np.testing.assert_allclose(weight, row(1.5, NAN, NAN, 2.5, 400 / 380))


def test_a_position_that_is_weighted_so_does_not_move_with_a_parallel_shift():
    maturity, proxy, face = row(5.0, 10.0), row(4.0, 7.0), row(1e6, 1e6)
    price = row(103.0, 104.0)
    y = of.tf_implied_yield_adj(price, maturity, proxy)
    dv01 = spreads.tf_dv01(price, proxy, maturity, y, face)
    weight = spreads.tf_tenor_weight(dv01, maturity)[0, 1]
    moved = of.tf_implied_yield_adj(price - dv01 / face * 100, maturity, proxy) - y
    np.testing.assert_allclose(moved, 1e-4, rtol=1e-3)
    assert dv01[0, 1] - weight * dv01[0, 0] == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def real(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Panels:
    """Factors of the real treasuries, with the rates there are: Shibor, and no government curve after 2019."""
    store = Store(tmp_path_factory.mktemp("treasuries"))
    ingest(files(market, "Future"), store)
    refresh(store)
    there = available(store, "Product")
    wanted = [name for name in catalogue("Product") if name.startswith("tf_") and catalogue("Product")[name].stored]
    made = plan(catalogue("Product"), wanted, there)
    assert set(wanted) - set(made.wanted) >= {"tf_irr", "tf_yield_spread", "tf_yield_spread_adj"}
    panels = read_inputs(store, "Product", made.fields, "2020-01-02", "2022-12-30")
    return Panels(panels.sessions, panels.assets, compute(made, panels)[0].values)


@pytest.mark.real
class TestRealTreasuries:
    def column(self, real: Panels, name: str, product: str) -> np.ndarray:
        return real[name][:, real.assets.tolist().index(product)]

    @pytest.mark.parametrize(
        ("product", "low", "high"), [("T", 0.024, 0.034), ("TF", 0.016, 0.033), ("TS", 0.015, 0.032)]
    )
    def test_implied_yields_are_those_of_government_bonds_in_these_years(self, real, product, low, high):
        """The published ten-year yield ran from 2.48 % (April 2020) to 3.35 % (November 2020)."""
        found = self.column(real, "tf_implied_yield_adj", product)
        assert np.isfinite(found).mean() > 0.99
        assert np.nanmin(found) > low
        assert np.nanmax(found) < high

    def test_the_curve_rises_and_the_spring_of_2020_is_its_low(self, real):
        t, tf, ts = (self.column(real, "tf_implied_yield_adj", p) for p in ("T", "TF", "TS"))
        assert np.nanmean(t) > np.nanmean(tf) > np.nanmean(ts)
        low = real.sessions[np.nanargmin(t)]
        assert np.datetime64("2020-04-01") < low < np.datetime64("2020-05-31")
        spread = self.column(real, "tf_tenor_spread", "T")
        assert (spread[np.isfinite(spread)] > 0).mean() > 0.95

    @pytest.mark.parametrize("product", ["T", "TF", "TS"])
    def test_the_near_contract_is_dearer_by_a_carry_that_takes_some_of_the_spread(self, real, product):
        literal, corrected = (self.column(real, name, product) for name in ("tf_term_spread", "tf_term_spread_adj"))
        assert (literal[np.isfinite(literal)] > 0).mean() > 0.9
        assert abs(np.nanmean(corrected)) < abs(np.nanmean(literal)) < 1
        assert (self.column(real, "tf_slope_assumed", product)[np.isfinite(literal)] == 1).all()

    def test_products_that_are_no_treasuries_have_none_of_it(self, real):
        others = [k for k, name in enumerate(real.assets) if name not in ("T", "TF", "TS")]
        assert len(others) >= 4
        for name, panel in real.values.items():
            assert np.isnan(panel[:, others]).all(), name

    def test_a_basis_point_of_ten_years_costs_some_six_hundred(self, real):
        assert 550 < np.nanmedian(self.column(real, "tf_dv01", "T")) < 900
