"""The proof that no factor looks ahead, on factors that do not and on offenders planted among them."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalogue import Catalogue, catalogue
from features.factor import Factor
from features.lookahead import Proof, check_lookahead
from features.operators import lag, ts_mean
from features.panel import Float64Array, Panels
from tests.features.synthetic_market import stock_market


@pytest.fixture(scope="module")
def panels() -> Panels:
    return stock_market(sessions=260, assets=12, seed=3)


def planted(name: str, function, lookback: int = 0, **settings) -> Catalogue:
    """The catalogue of stocks with one more factor in it."""
    f = Factor(name, "CS", function, "埋雷", "-", lookback=lookback, **settings)
    return Catalogue("CS", {**catalogue("CS"), name: f}, {})


def the_offence_of(known: Catalogue, name: str, panels: Panels):
    (offence,) = check_lookahead(known, (name, "cs_ret_1d", "cs_f_roc_20"), panels).offences
    assert offence.factor == name
    return offence


def negative_lag(close: Float64Array) -> Float64Array:
    return np.vstack([close[2:], np.full((2, close.shape[1]), np.nan)]) / close


def full_sample_scaler(log_ret: Float64Array) -> Float64Array:
    return (log_ret - np.nanmean(log_ret, axis=0)) / np.nanstd(log_ret, axis=0)


def centred_window(close: Float64Array) -> Float64Array:
    return np.vstack([ts_mean(close, 5)[2:], np.full((2, close.shape[1]), np.nan)])


def place_among_all_sessions(volume: Float64Array) -> Float64Array:
    return np.argsort(np.argsort(volume, axis=0), axis=0) / len(volume)


@pytest.mark.parametrize("offender", [negative_lag, full_sample_scaler, centred_window, place_among_all_sessions])
@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning", "ignore:Degrees of freedom:RuntimeWarning")
def test_a_function_that_looks_ahead_is_named(panels, offender):
    offence = the_offence_of(planted("offender", offender, lookback=60), "offender", panels)
    assert offence.world in {"the future cut off", "the future replaced by noise"}
    assert offence.operator == "the function of offender"
    assert offence.session in set(panels.sessions.astype(str))
    assert offence.asset in set(panels.assets)


def test_a_lookback_too_short_is_named(panels):
    def long_sum(volume):
        return np.array(ts_mean(volume, 120))

    # No factor of windows is ever given less than the warm-up.
    offence = the_offence_of(planted("short", long_sum, lookback=12), "short", panels)
    assert offence.world == "a history of 81 sessions"
    assert offence.operator == "the function of short"


def test_a_declared_lookback_that_is_long_enough_is_not(panels):
    def long_sum(volume):
        return np.array(ts_mean(volume, 120))

    assert check_lookahead(planted("enough", long_sum, lookback=120), ("enough",), panels).offences == ()


def test_the_innermost_step_is_named_and_not_what_stands_on_it(panels):
    known = planted("inner", negative_lag, lookback=3, stored=False)
    outer = Factor("outer", "CS", lambda inner, close: ts_mean(inner, 10) / lag(close, 3), "外", "-")
    offence = the_offence_of(Catalogue("CS", {**known, "outer": outer}, {}), "outer", panels)
    assert offence.operator == "the function of inner"


def test_a_level_that_depends_on_where_the_history_begins_is_found(panels):
    def since_the_beginning(total_turnover):
        return np.nancumsum(total_turnover, axis=0)

    offence = the_offence_of(planted("level", since_the_beginning, lookback=20), "level", panels)
    assert "history" in offence.world


def test_an_expression_that_shifts_the_future_in_is_named_with_its_operator(panels):
    known = catalogue("CS").with_expressions({"peek": "Ref($close, -2) / $close - 1", "fair": "Mean($close, 5)/$close"})
    proof = check_lookahead(known, ("peek", "fair"), panels)
    (offence,) = proof.offences
    assert offence.factor == "peek"
    assert offence.world == "2 sessions to come"
    assert "-2" in offence.operator
    assert "fair" in proof.checked


def test_a_factor_that_stands_on_one_that_shifts_the_future_in_is_named_too(panels):
    known = catalogue("CS").with_expressions({"above": "ts_mean(peek, 5)", "peek": "Ref($close, -1) / $close - 1"})
    offences = check_lookahead(known, ("above", "cs_ret_1d"), panels).offences
    assert [(o.factor, o.world) for o in offences] == [("above", "1 session to come")]
    assert "-1" in offences[0].operator


def test_a_few_honest_factors_of_every_kind_pass(panels):
    honest = ("cs_ret_1d", "cs_vol_ewma", "cs_f_beta_20", "cs_market_return", "cs_limit_up_streak", "universe")
    proof: Proof = check_lookahead(catalogue("CS"), honest, panels)
    assert proof.offences == ()
    assert set(proof.checked) == set(honest)


def test_a_factor_without_a_value_is_told_apart_from_one_that_was_checked(panels):
    proof = check_lookahead(catalogue("CS"), ("cs_f_roc_250", "cs_ret_1d"), panels.rows(0, 100))
    assert proof.silent == ("cs_f_roc_250",)
    assert proof.checked == ("cs_ret_1d",)
