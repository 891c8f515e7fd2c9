"""The catalogue, the plan and the hash of factors."""

from __future__ import annotations

import importlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features import factor as factors_of
from features.definition import code_of
from features.factor import Factor, Family, catalogue, compute, factor, family, plan, select
from features.panel import ConfigError, DataError, Panels

LEAVES = ("close", "prev_close", "volume", "total_turnover", "high", "low", "traded", "listed_sessions")

MODULE = '''
from features.factor import factor, family
from features.operators import lag{imports}

SCALE = {scale}


def helper(x):
    {helper_comment}
    return x * {helper_number}


@factor("CS", zh="甲", unit="-", lookback={lookback})
def one(close):
    """{docstring}"""
    # {comment}
    return helper(lag(close, 1)) * SCALE


@factor("CS", zh="乙", unit="-")
def two(one):
    """Behind one."""
    return one + 1


@family("many", (2, 3), asset_class="CS", zh="丙", unit="-", lookback=lambda n: n)
def many(n):
    """Many."""

    def of_n(close):
        return lag(close, n)

    return of_n
'''
PLAIN = {
    "imports": "",
    "scale": 2.0,
    "helper_comment": "# helps",
    "helper_number": 3,
    "lookback": 2,
    "docstring": "What it is.",
    "comment": "why",
}
NUMBER = itertools.count()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a module of factors as if it stood in features.factors, and give its factors by name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**changes) -> dict[str, Factor]:
        name = f"features_of_test_{next(NUMBER)}"
        (tmp_path / f"{name}.py").write_text(MODULE.format(**PLAIN | changes), encoding="utf-8")
        importlib.invalidate_caches()
        module = importlib.import_module(name)
        module.helper.__module__ = f"features.{name}"
        return {
            f.name: f
            for v in vars(module).values()
            for f in (v if isinstance(v, Family) else [v])
            if isinstance(f, Factor)
        }

    return write


@pytest.fixture
def only(monkeypatch):
    """Put a catalogue of the given factors in the place of CS's own."""

    def put(*found: Factor) -> None:
        known = {f.name: f for f in found}
        monkeypatch.setattr(factors_of, "catalogue", lambda _: known)

    return put


def named(name: str, function, **settings) -> Factor:
    return Factor(name, "CS", function, "名", "-", **settings)


def market(**values: np.ndarray) -> Panels:
    t, n = next(iter(values.values())).shape
    days = np.datetime64("2024-01-01") + np.arange(t)
    return Panels(days, np.array([f"A{i}" for i in range(n)]), {"traded": np.ones((t, n)), **values})


class TestCatalogue:
    def test_it_holds_the_factors_of_the_specification(self):
        wanted = {
            "cs_inst_participation", "cs_trade_size_yuan", "cs_inst_participation_adj", "cs_inst_participation_chg20",
            "cs_liquidity_exhaustion", "cs_liquidity_exhaustion_adj", "cs_liquidity_exhaustion_up",
            "cs_liquidity_exhaustion_dn", "cs_limit_up_streak", "cs_limit_down_streak",
            "cs_limit_up_continuation_rate", "cs_limit_up_locked_share_5", "cs_limit_down_contagion",
            "cs_limit_down_ratio_adj", "cs_limit_down_contagion_adj", "cs_limit_down_phi", "rule_cs_systemic",
            "rule_cs_systemic_adj", "cs_liquidity_proxy", "cs_liquidity_proxy_adj", "cs_sentiment_liquidity_match",
            "cs_sentiment_liquidity_match_adj", "rule_cs_reduce", "rule_cs_reduce_adj", "cs_sentiment_network",
            "cs_ret_1d", "cs_vol_ewma", "cs_vol_yz20", "cs_illiq20", "cs_spread_cs", "cs_turnover20", "cs_vwap",
        }  # fmt: skip
        assert wanted <= {n for n, f in catalogue("CS").items() if f.stored}

    def test_families_have_a_member_for_each_window_they_are_given_for(self):
        windows = {}
        for f in catalogue("CS").values():
            if f.family:
                windows.setdefault(f.family, []).append(int(f.name.removeprefix(f.family + "_")))
        every = [5, 10, 20, 60, 120, 250]
        assert windows.pop("cs_f_idio_vol") == [60, 120, 250]
        assert windows.pop("cs_f_turn_ratio") == every[:-1]
        assert len(windows) == 10
        assert all(w == every for w in windows.values())

    def test_an_asset_class_without_factors_has_an_empty_one(self):
        assert catalogue("None") == {}


class TestSelect:
    def test_sets_families_and_names_add_up_and_exclusions_leave(self):
        got = select("CS", families=["cs_f_roc"], names=["cs_ret_1d"], exclude=["cs_f_roc_250"])
        assert set(got) == {"cs_ret_1d", *(f"cs_f_roc_{n}" for n in (5, 10, 20, 60, 120))}

    def test_the_core_set_is_per_stock_and_stored(self):
        got = select("CS", sets=["stock_core"])
        assert len(got) > 70
        assert all(catalogue("CS")[n].scope == "asset" for n in got)

    def test_every_seed_formula_is_literal_and_every_rule_a_rule(self):
        assert set(select("CS", sets=["rules"])) == {n for n in catalogue("CS") if n.startswith("rule_")}
        assert {"cs_inst_participation", "cs_limit_down_contagion"} <= set(select("CS", sets=["literal"]))

    @pytest.mark.parametrize(
        ("asked", "near"),
        [
            ({"sets": ["stock_cor"]}, "stock_core"),
            ({"families": ["cs_f_rock"]}, "cs_f_roc"),
            ({"names": ["cs_ret_2d"]}, "cs_ret_1d"),
        ],
    )
    def test_what_is_not_there_is_named_with_its_nearest(self, asked, near):
        with pytest.raises(ConfigError, match=near):
            select("CS", **asked)


class TestPlan:
    def test_an_unknown_name_is_refused_with_the_nearest(self):
        with pytest.raises(ConfigError, match=r"cs_ret_1day.*\n.*cs_ret_1d"):
            plan("CS", ["cs_ret_1day"], LEAVES)

    def test_inputs_come_before_what_uses_them(self):
        order = [f.name for f in plan("CS", ["cs_f_beta_60"], LEAVES).order]
        for f in plan("CS", ["cs_f_beta_60"], LEAVES).order:
            assert all(order.index(i) < order.index(f.name) for i in f.inputs if i in order)

    def test_only_the_leaves_that_are_needed_are_read(self):
        assert plan("CS", ["cs_ret_1d"], LEAVES).fields == ("close", "prev_close")
        assert plan("CS", ["cs_turnover20"], LEAVES).fields == ("total_turnover",)

    def test_lookbacks_add_up_along_the_inputs(self, only):
        only(
            named("a", lambda close: close, lookback=3, stored=False),
            named("b", lambda a: a, lookback=100, stored=False),
            named("c", lambda a, b: a + b, lookback=1),
        )
        assert plan("CS", ["a"], ["close"]).lookback == 3
        assert plan("CS", ["b"], ["close"]).lookback == 102
        assert plan("CS", ["c"], ["close"]).lookback == 102

    def test_what_lacks_an_input_is_absent_with_the_reason_and_so_is_what_leans_on_it(self):
        p = plan("CS", ["cs_inst_participation", "rule_cs_reduce", "cs_ret_1d"], LEAVES)
        assert p.wanted == ("cs_ret_1d",)
        assert "num_trades" in p.absent["cs_inst_participation"]
        assert set(p.absent) == {"cs_inst_participation", "rule_cs_reduce"}

    def test_an_optional_input_is_used_where_it_is_and_changes_the_hash(self):
        without = plan("CS", ["universe"], LEAVES)
        with_it = plan("CS", ["universe"], (*LEAVES, "is_st"))
        assert "is_st" not in without.fields
        assert "is_st" in with_it.fields
        assert without.hashes != with_it.hashes

    def test_a_recursive_factor_may_not_be_an_input(self, only):
        only(named("a", lambda close, state=None: (close, state)), named("b", lambda a: a))
        with pytest.raises(DataError, match="must not be recursive"):
            plan("CS", ["b"], ["close"])

    def test_asking_twice_computes_once(self):
        p = plan("CS", ["cs_ret_1d", "cs_ret_1d"], LEAVES)
        assert p.wanted == ("cs_ret_1d",)


class TestCompute:
    def test_a_stock_back_from_a_long_absence_is_blank_for_the_warm_up(self, only):
        only(named("rolling", lambda close: close * 1.0, lookback=2), named("today", lambda close: close * 1.0))
        traded = np.ones((150, 2))
        traded[30:51, 0] = 0.0
        traded[30:50, 1] = 0.0
        close = np.where(traded > 0, 10.0, np.nan)
        out, _ = compute(plan("CS", ["rolling", "today"], ["close"]), market(close=close, traded=traded))
        assert np.isnan(out["rolling"][30:111, 0]).all()
        assert (out["rolling"][111:, 0] == 10).all()
        assert (out["rolling"][50:, 1] == 10).all()
        assert (out["today"][51:, 0] == 10).all()

    def test_infinities_become_nan(self, only):
        only(named("ratio", lambda close, volume: close / volume))
        close, volume = np.array([[1.0, 0.0, 6.0]]), np.array([[0.0, 0.0, 3.0]])
        out, _ = compute(plan("CS", ["ratio"], ["close", "volume"]), market(close=close, volume=volume))
        np.testing.assert_array_equal(out["ratio"], [[np.nan, np.nan, 2.0]])

    def test_rows_of_history_are_read_and_not_given(self, only):
        only(named("before", lambda close: np.vstack([np.full((1, 1), np.nan), close[:-1]]), lookback=2, stored=False))
        panels = market(close=np.arange(5.0)[:, None]).rows(1, 5, first=2)
        out, _ = compute(plan("CS", ["before"], ["close"]), panels)
        assert out["before"][:, 0].tolist() == [2.0, 3.0]
        assert len(out.sessions) == 2

    def test_a_recursive_factor_goes_on_from_its_state(self, only):
        def running(close, state=None):
            total = np.cumsum(close, axis=0) + (0 if state is None else state)
            return total, total[-1]

        only(named("running", running))
        p, panels = plan("CS", ["running"], ["close"]), market(close=np.arange(8.0)[:, None])
        whole, _ = compute(p, panels)
        head, states = compute(p, panels.rows(0, 5))
        tail, _ = compute(p, panels.rows(3, 8, first=2), states)
        np.testing.assert_array_equal(np.vstack([head["running"], tail["running"]]), whole["running"])


class TestHash:
    def hashes(self, written, **changes) -> dict[str, str]:
        return {n: f.own_hash for n, f in written(**changes).items()}

    @pytest.mark.parametrize(
        "change",
        [{"docstring": "Another word."}, {"comment": "another reason"}, {"helper_comment": '"""What it does."""'}],
        ids=lambda c: next(iter(c)),
    )
    def test_words_do_not_change_it(self, written, change):
        assert self.hashes(written, **change) == self.hashes(written)

    @pytest.mark.parametrize(
        "change", [{"scale": 2.5}, {"helper_number": 4}, {"lookback": 3}], ids=lambda c: next(iter(c))
    )
    def test_numbers_helpers_and_lookback_change_it(self, written, change):
        plain, other = self.hashes(written), self.hashes(written, **change)
        assert plain["one"] != other["one"]
        assert plain["two"] == other["two"]

    def test_the_members_of_a_family_differ(self, written):
        hashes = self.hashes(written)
        assert hashes["many_2"] != hashes["many_3"]

    def test_a_plans_hash_changes_with_what_stands_behind(self, written, only):
        def planned(**changes) -> str:
            found = written(**changes)
            only(found["one"], found["two"])
            return plan("CS", ["two"], ["close"]).hashes["two"]

        assert planned() == planned()
        assert planned() != planned(helper_number=4)

    def test_an_operators_kernel_is_part_of_it(self, monkeypatch):
        before = code_of(catalogue("CS")["cs_turnover20"].function)
        assert "least" in before
        assert "_centred" in before
        monkeypatch.setattr("features.operators.sum_kernels._CANCELLED", 1e-2)
        assert code_of(catalogue("CS")["cs_turnover20"].function) != before

    def test_it_is_the_same_in_another_process(self):
        code = (
            "from features.factor import catalogue\n"
            "print('\\n'.join(f'{n} {f.own_hash}' for n, f in catalogue('CS').items()))"
        )
        root = Path(factors_of.__file__).resolve().parents[1]
        out = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
            env={"PYTHONHASHSEED": "5"},
        )
        assert dict(line.split() for line in out.stdout.splitlines()) == {
            n: f.own_hash for n, f in catalogue("CS").items()
        }


class TestDecorators:
    def test_a_function_becomes_a_factor_of_its_name_and_parameters(self):
        @factor("CS", zh="差", unit="-", lookback=4)
        def gap(close, open, volume=None):
            """A gap."""
            return close - open

        assert (gap.name, gap.inputs, gap.optional, gap.recursive) == ("gap", ("close", "open"), ("volume",), False)
        assert gap.summary == "A gap."
        assert gap(np.array([[3.0]]), np.array([[1.0]])).item() == 2

    def test_a_family_shares_its_card_and_has_a_lookback_of_its_own(self):
        @family("f", (5, 7), asset_class="CS", zh="和", unit="-", lookback=lambda n: n + 1)
        def f(n):
            """A sum."""
            return lambda close: close * n

        assert [(m.name, m.lookback, m.family, m.zh, m.summary) for m in f] == [
            ("f_5", 6, "f", "5日和", "A sum."),
            ("f_7", 8, "f", "7日和", "A sum."),
        ]
