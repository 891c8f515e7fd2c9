"""Who is tradable: each condition alone shuts an asset out, and a missing number never lets one in."""

from __future__ import annotations

import numpy as np
import pytest

from features.universe import Universe, exclusions, tradable

SETTINGS = Universe(min_listed=60, min_turnover=1e7, exclude_st=True)
GOOD = {"traded": 1.0, "listed_sessions": 60.0, "mean_turnover": 1e7, "is_st": 0.0}


def alone(settings: Universe = SETTINGS, **cells: float) -> bool:
    """Whether a single asset on a single session is in."""
    values = {name: np.array([[value]]) for name, value in (GOOD | cells).items()}
    keep = tradable(**values, settings=settings)
    assert keep.shape == (1, 1)
    assert keep.dtype == np.bool_
    return bool(keep[0, 0])


def test_who_just_meets_every_condition_is_in():
    assert alone()


@pytest.mark.parametrize(
    "cells",
    [
        {"traded": 0.0},
        {"listed_sessions": 59.0},
        {"listed_sessions": 0.0},
        {"mean_turnover": 9_999_999.0},
        {"is_st": 1.0},
    ],
)
def test_one_condition_that_is_not_met_is_enough_to_be_out(cells):
    assert not alone(**cells)


@pytest.mark.parametrize("name", ["traded", "listed_sessions", "mean_turnover"])
def test_what_is_not_known_lets_nobody_in(name):
    assert not alone(**{name: np.nan})


def test_a_flag_that_is_not_known_shuts_nobody_out():
    assert alone(is_st=np.nan)


def test_names_under_special_treatment_stay_where_the_settings_say_so():
    assert alone(Universe(60, 1e7, exclude_st=False), is_st=1.0)


def test_without_the_column_the_other_conditions_decide():
    traded, listed, turnover = (np.array([[1.0, 1.0, 0.0]]), np.full((1, 3), 100.0), np.array([[2e7, 1e6, 2e7]]))
    assert tradable(traded, listed, turnover, None, SETTINGS).tolist() == [[True, False, False]]


def test_thresholds_of_zero_leave_trading_alone_to_decide():
    assert alone(Universe(0, 0.0), listed_sessions=0.0, mean_turnover=0.0)
    assert not alone(Universe(0, 0.0), traded=0.0)


REASONS = SETTINGS.reasons()


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({}, ""),
        ({"traded": 0.0}, "not traded on the session"),
        ({"traded": np.nan}, "not traded on the session"),
        ({"listed_sessions": 0.0}, "not listed on the session"),
        ({"listed_sessions": 59.0}, "listed for fewer than 60 sessions"),
        ({"listed_sessions": np.nan}, "listed for fewer than 60 sessions"),
        ({"mean_turnover": 9_999_999.0}, "mean turnover of 20 sessions below 10,000,000 CNY, or not known"),
        ({"mean_turnover": np.nan}, "mean turnover of 20 sessions below 10,000,000 CNY, or not known"),
        ({"is_st": 1.0}, "under special treatment"),
        ({"is_st": 1.0, "listed_sessions": 3.0, "mean_turnover": 1.0}, "listed for fewer than 60 sessions"),
        ({"is_st": 1.0, "listed_sessions": 3.0, "traded": 0.0}, "not traded on the session"),
    ],
)
def test_who_is_out_is_told_the_first_reason(cells, reason):
    values = {name: np.array([[value]]) for name, value in (GOOD | cells).items()}
    assert REASONS[exclusions(**values, settings=SETTINGS)[0, 0]] == reason


def test_the_universe_is_where_there_is_no_reason():
    draw = np.random.default_rng(0)
    shape = (50, 40)
    panels = {
        "traded": draw.choice([0.0, 1.0, np.nan], shape, p=[0.1, 0.85, 0.05]),
        "listed_sessions": draw.choice([0.0, 59.0, 60.0, 900.0, np.nan], shape),
        "mean_turnover": draw.choice([9e6, 1e7, 2e7, np.nan], shape),
        "is_st": draw.choice([0.0, 1.0, np.nan], shape, p=[0.6, 0.2, 0.2]),
    }
    keep = (
        (panels["traded"] > 0)
        & (panels["listed_sessions"] >= 60)
        & (panels["mean_turnover"] >= 1e7)
        & ~(panels["is_st"] > 0)
    )
    assert 0 < keep.sum() < keep.size
    assert np.array_equal(tradable(**panels, settings=SETTINGS), keep)
    assert np.array_equal(exclusions(**panels, settings=SETTINGS) == 0, keep)
