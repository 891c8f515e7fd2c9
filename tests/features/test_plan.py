"""The plan of factors, and the walk along it."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalogue import Catalogue, catalogue
from features.factor import Factor
from features.operators import lag
from features.panel import ConfigError, DataError, Panels
from features.plan import compute, plan

LEAVES = ("close", "prev_close", "volume", "total_turnover", "high", "low", "traded", "listed_sessions")


def of(*found: Factor) -> Catalogue:
    """A catalogue of these factors."""
    return Catalogue("CS", {f.name: f for f in found}, {})


def named(name: str, function, **settings) -> Factor:
    return Factor(name, "CS", function, "名", "-", **settings)


def market(**values: np.ndarray) -> Panels:
    t, n = next(iter(values.values())).shape
    days = np.datetime64("2024-01-01") + np.arange(t)
    return Panels(days, np.array([f"A{i}" for i in range(n)]), {"traded": np.ones((t, n)), **values})


class TestPlan:
    def test_an_unknown_name_is_refused_with_the_nearest(self):
        with pytest.raises(ConfigError, match=r"cs_ret_1day.*\n.*cs_ret_1d"):
            plan(catalogue("CS"), ["cs_ret_1day"], LEAVES)

    def test_inputs_come_before_what_uses_them(self):
        order = [f.name for f in plan(catalogue("CS"), ["cs_f_beta_60"], LEAVES).order]
        for f in plan(catalogue("CS"), ["cs_f_beta_60"], LEAVES).order:
            assert all(order.index(i) < order.index(f.name) for i in f.inputs if i in order)

    def test_only_the_leaves_that_are_needed_are_read(self):
        assert plan(catalogue("CS"), ["cs_ret_1d"], LEAVES).fields == ("close", "prev_close")
        assert plan(catalogue("CS"), ["cs_turnover20"], LEAVES).fields == ("total_turnover",)

    def test_lookbacks_add_up_along_the_inputs(self):
        known = of(
            named("a", lambda close: np.copy(close), lookback=3, stored=False),
            named("b", lambda a: lag(a, 99), stored=False),
            named("c", lambda a, b: a + b),
        )
        assert plan(known, ["a"], ["close"]).lookback == 3
        assert plan(known, ["b"], ["close"]).lookback == 102
        assert plan(known, ["c"], ["close"]).lookback == 102

    def test_what_lacks_an_input_is_absent_with_the_reason_and_so_is_what_leans_on_it(self):
        p = plan(catalogue("CS"), ["cs_inst_participation", "rule_cs_reduce", "cs_ret_1d"], LEAVES)
        assert p.wanted == ("cs_ret_1d",)
        assert "num_trades" in p.absent["cs_inst_participation"]
        assert set(p.absent) == {"cs_inst_participation", "rule_cs_reduce"}

    def test_an_optional_input_is_used_where_it_is_and_changes_the_hash(self):
        without = plan(catalogue("CS"), ["universe"], LEAVES)
        with_it = plan(catalogue("CS"), ["universe"], (*LEAVES, "is_st"))
        assert "is_st" not in without.fields
        assert "is_st" in with_it.fields
        assert without.hashes != with_it.hashes

    def test_a_recursive_factor_may_not_be_an_input(self):
        known = of(named("a", lambda close, state=None: (close, state)), named("b", lambda a: a))
        with pytest.raises(DataError, match="must not be recursive"):
            plan(known, ["b"], ["close"])

    def test_asking_twice_computes_once(self):
        p = plan(catalogue("CS"), ["cs_ret_1d", "cs_ret_1d"], LEAVES)
        assert p.wanted == ("cs_ret_1d",)


class TestCompute:
    def test_a_stock_back_from_a_long_absence_is_blank_for_the_warm_up(self):
        known = of(
            named("rolling", lambda close: np.copy(close), lookback=2), named("today", lambda close: close * 1.0)
        )
        traded = np.ones((150, 2))
        traded[30:51, 0] = 0.0
        traded[30:50, 1] = 0.0
        close = np.where(traded > 0, 10.0, np.nan)
        out, _ = compute(plan(known, ["rolling", "today"], ["close"]), market(close=close, traded=traded))
        assert np.isnan(out["rolling"][30:111, 0]).all()
        assert (out["rolling"][111:, 0] == 10).all()
        assert (out["rolling"][50:, 1] == 10).all()
        assert (out["today"][51:, 0] == 10).all()

    def test_infinities_become_nan(self):
        known = of(named("ratio", lambda close, volume: close / volume))
        close, volume = np.array([[1.0, 0.0, 6.0]]), np.array([[0.0, 0.0, 3.0]])
        out, _ = compute(plan(known, ["ratio"], ["close", "volume"]), market(close=close, volume=volume))
        np.testing.assert_array_equal(out["ratio"], [[np.nan, np.nan, 2.0]])

    def test_rows_of_history_are_read_and_not_given(self):
        known = of(
            named("before", lambda close: np.vstack([np.full((1, 1), np.nan), close[:-1]]), lookback=2, stored=False)
        )
        panels = market(close=np.arange(5.0)[:, None]).rows(1, 5, first=2)
        out, _ = compute(plan(known, ["before"], ["close"]), panels)
        assert out["before"][:, 0].tolist() == [2.0, 3.0]
        assert len(out.sessions) == 2

    def test_a_recursive_factor_goes_on_from_its_state(self):
        def running(close, state=None):
            total = np.cumsum(close, axis=0) + (0 if state is None else state)
            return total, total[-1]

        known = of(named("running", running))
        p, panels = plan(known, ["running"], ["close"]), market(close=np.arange(8.0)[:, None])
        whole, _ = compute(p, panels)
        head, states = compute(p, panels.rows(0, 5))
        tail, _ = compute(p, panels.rows(3, 8, first=2), states)
        np.testing.assert_array_equal(np.vstack([head["running"], tail["running"]]), whole["running"])
