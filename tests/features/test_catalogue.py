"""The catalogue, and what is selected from it."""

from __future__ import annotations

import pytest

from features.catalogue import catalogue
from features.panel import ConfigError


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
            if f.family and "library" in f.sets:
                windows.setdefault(f.family, []).append(int(f.name.removeprefix(f.family + "_")))
        every = [5, 10, 20, 60, 120, 250]
        for family in ("cs_f_idio_vol", "cs_f_idio_skew", "cs_f_beta_dn", "cs_f_coskew"):
            assert windows.pop(family) == [60, 120, 250]
        for family in ("cs_f_skew", "cs_f_kurt"):
            assert windows.pop(family) == [20, 60, 120, 250]
        for family in ("cs_f_yz", "cs_f_cs_spread"):
            assert windows.pop(family) == [5, 10, 60, 120, 250]
        assert windows.pop("cs_f_turn_ratio") == every[:-1]
        assert len(windows) == 37
        assert all(w == every for w in windows.values())

    def test_an_asset_class_without_factors_has_an_empty_one(self):
        assert len(catalogue("None")) == 0


class TestSelect:
    def test_sets_families_and_names_add_up_and_exclusions_leave(self):
        got = catalogue("CS").select(families=["cs_f_roc"], names=["cs_ret_1d"], exclude=["cs_f_roc_250"])
        assert set(got) == {"cs_ret_1d", *(f"cs_f_roc_{n}" for n in (5, 10, 20, 60, 120))}

    def test_the_core_set_is_per_stock_and_stored(self):
        got = catalogue("CS").select(sets=["stock_core"])
        assert len(got) > 70
        assert all(catalogue("CS")[n].scope == "asset" for n in got)

    def test_every_seed_formula_is_literal_and_every_rule_a_rule(self):
        assert set(catalogue("CS").select(sets=["rules"])) == {n for n in catalogue("CS") if n.startswith("rule_")}
        assert {"cs_inst_participation", "cs_limit_down_contagion"} <= set(catalogue("CS").select(sets=["literal"]))

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
            catalogue("CS").select(**asked)


class TestExpressions:
    def test_raw_prices_of_several_sessions_are_noted_and_others_are_not(self):
        known = catalogue("CS").with_expressions(
            {
                "raw": "close / lag(close, 20) - 1",
                "adjusted": "adj_close / lag(adj_close, 20) - 1",
                "within_the_day": "ts_mean(close / open, 5)",
                "of_qlib": "Mean($close, 20)/$close-1",
            }
        )
        (note,) = known.notes()
        assert note.startswith("expression raw compares raw prices")
        assert "adj_close is free of them" in note
