"""The settlement's gap and its flag, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalogue import catalogue
from features.factors.settlement import fut_settle_close_gap
from features.panel import Panels
from features.plan import compute, plan


def computed(name: str, close: np.ndarray, settlement: np.ndarray) -> np.ndarray:
    days = np.busday_offset("2024-01-02", np.arange(len(close))).astype("datetime64[D]")
    fields = {"close": close[:, None], "settlement": settlement[:, None], "traded": np.ones((len(close), 1))}
    panels = Panels(days, np.array(["RB2410"]), fields)
    return compute(plan(catalogue("Future"), [name], panels.values), panels)[0][name][:, 0]


def test_the_gap_is_the_log_of_close_over_settlement():
    assert fut_settle_close_gap(np.array([[3920.4]]), np.array([[3901.2]]))[0, 0] == pytest.approx(0.0049095, abs=5e-8)


@pytest.mark.parametrize(("last", "flagged"), [(2.9, 0.0), (3.1, 1.0), (-2.9, 0.0), (-3.1, 1.0)])
def test_a_gap_of_more_than_three_mads_from_the_median_is_a_stale_settlement(last, flagged):
    """As many gaps of one to the left as to the right, and two of nought: a median of nought, an MAD of one."""
    gap = np.array([*np.tile([-1.0, 1.0], 28), -np.sign(last), 0.0, 0.0, last]) * 1e-3
    close = np.full(60, 100.0)
    assert computed("fut_settle_stale", close, close / np.exp(gap))[-1] == flagged


def test_settlements_that_are_closes_flag_nothing_and_say_that_they_do_not_know():
    close = np.linspace(100, 110, 70)
    assert np.isnan(computed("fut_settle_stale", close, close)).all()


def test_the_flag_waits_for_36_gaps():
    rng = np.random.default_rng(0)
    close = 100 * np.exp(0.01 * rng.standard_normal(60))
    value = computed("fut_settle_stale", close, close * np.exp(0.002 * rng.standard_normal(60)))
    assert np.isnan(value[:35]).all()
    assert np.isfinite(value[35:]).all()
