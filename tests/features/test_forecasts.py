"""What models have said, as fields: which run's words stand, and that no session mixes two."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from features.fields import FIELDS
from features.forecasts import HORIZONS, led, terms, volatilities

DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(10)]
SESSIONS = np.array(DAYS, dtype="datetime64[D]")


def said(run: str, days: list[dt.date], sigma: float | None, horizons=(5, 20), asset: str = "RB") -> pl.DataFrame:
    """A run's forecasts, a little higher from horizon to horizon and from day to day."""
    rows = [
        (day, asset, "volatility", h, run, None if sigma is None else sigma + h / 1000 + DAYS.index(day) / 100)
        for day in days
        for h in horizons
    ]
    types = [pl.Date, pl.String, pl.String, pl.Int64, pl.String, pl.Float64]
    names = ["asof", "asset", "target", "horizon", "run_id", "sigma"]
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def test_a_forecast_stands_on_its_session_under_its_horizon():
    found = volatilities(said("a", DAYS[2:], 0.1), "RB", SESSIONS)
    assert found["vol_forecast_5"][2:] == pytest.approx([0.105 + n / 100 for n in range(2, 10)], rel=1e-15)
    assert found["vol_forecast_20"][2:] == pytest.approx([0.12 + n / 100 for n in range(2, 10)], rel=1e-15)
    assert all(np.isnan(panel[:2]).all() for panel in found.values())
    assert np.isnan(found["vol_forecast_1"]).all()
    assert found["vol_forecast_switch"][2:].tolist() == [0.0] * 8


def test_every_field_of_the_contract_is_told():
    found = volatilities(said("a", DAYS, 0.1, horizons=(*HORIZONS, 40)), "RB", SESSIONS)
    assert set(found) == {name for name in FIELDS if name.startswith("vol_forecast_")}
    assert all(np.isfinite(panel).all() for panel in found.values())


def test_the_run_that_says_most_leads_and_others_tell_what_it_does_not():
    rows = pl.concat([said("long", DAYS[:7], 0.1), said("new", DAYS[5:], 0.3)])
    found = volatilities(rows.sample(fraction=1.0, shuffle=True, seed=3), "RB", SESSIONS)
    assert (found["vol_forecast_5"][:7] < 0.2).all()
    assert (found["vol_forecast_5"][7:] > 0.3).all()
    assert found["vol_forecast_switch"].tolist() == [0.0] * 7 + [1.0] + [0.0] * 2


def test_a_session_is_told_by_one_run_at_all_horizons():
    rows = pl.concat([said("a", DAYS, 0.1, horizons=(5, 10, 20)), said("b", DAYS, 0.3, horizons=(1, 60))])
    found = volatilities(rows, "RB", SESSIONS)
    assert np.isnan(found["vol_forecast_1"]).all()
    assert np.isfinite(found["vol_forecast_10"]).all()


def test_as_many_words_are_weighed_by_the_last_and_then_by_the_name():
    early, late = said("a", DAYS[:5], 0.1), said("b", DAYS[1:6], 0.3)
    assert volatilities(pl.concat([early, late]), "RB", SESSIONS)["vol_forecast_5"][2] > 0.3
    same = [said(run, DAYS[:5], sigma) for run, sigma in (("b", 0.3), ("a", 0.1))]
    for rows in (same, same[::-1]):
        assert volatilities(pl.concat(rows), "RB", SESSIONS)["vol_forecast_5"][2] < 0.2


def test_forecasts_that_were_not_made_other_targets_and_other_products_are_no_words():
    others = [
        said("a", DAYS, None),
        said("b", DAYS, float("nan")),
        said("c", DAYS, 0.3).with_columns(target=pl.lit("range")),
        said("d", DAYS, 0.3, asset="HC"),
    ]
    alone = volatilities(said("e", DAYS[:1], 0.1), "RB", SESSIONS)
    found = volatilities(pl.concat([*others, said("e", DAYS[:1], 0.1)]), "RB", SESSIONS)
    for name, panel in found.items():
        np.testing.assert_array_equal(panel, alone[name])
    assert np.isnan(volatilities(said("a", DAYS, None), "RB", SESSIONS)["vol_forecast_5"]).all()


def test_a_session_without_a_row_and_a_row_without_a_session():
    found = volatilities(said("a", DAYS, 0.1), "RB", SESSIONS[[1, 4]])
    assert found["vol_forecast_5"] == pytest.approx([0.115, 0.145])
    assert found["vol_forecast_switch"].tolist() == [0.0, 0.0]


def test_the_order_of_runs_is_by_all_that_they_say():
    rows = pl.DataFrame({"asof": DAYS[:3], "run_id": ["a", "a", "b"], "count": [1, 1, 5]})
    assert led(rows)["run_id"].to_list() == ["a", "a", "b"]
    both = pl.DataFrame({"asof": [DAYS[0]] * 2, "run_id": ["a", "b"], "count": [1, 5]})
    assert led(both)["run_id"].to_list() == ["b"]


def told(run: str, days: list[dt.date], chi: float, contracts: dict[int, float]) -> pl.DataFrame:
    """States of RB and the distances of its contracts."""
    keys = {"run_id": pl.lit(run), "product": pl.lit("RB"), "model_price": pl.lit(3000.0)}
    state = {"chi": pl.lit(chi), "xi": pl.lit(8.0), "convenience_yield": pl.lit(0.1)}
    parts = [pl.DataFrame({"asof": days, "asset": "RB"}).with_columns(**state)]
    for month, z in contracts.items():
        parts.append(pl.DataFrame({"asof": days, "asset": f"RB{month - 200000}", "month": month, "z": z}))
    return pl.concat(parts, how="diagonal").with_columns(**keys)


MONTHS = {
    "near": np.array([202402.0] * 6 + [202403.0] * 4),
    "dominant": np.full(10, 202405.0),
    "sub_dominant": np.array([np.nan] * 3 + [202410.0] * 7),
}
CONTRACTS = {202402: 0.5, 202403: 0.7, 202405: -1.5, 202410: 2.0}


def test_states_and_the_distances_of_roles_stand_on_their_session():
    found = terms(told("a", DAYS[1:], 0.2, CONTRACTS), "RB", SESSIONS, MONTHS)
    assert set(found) == {name for name in FIELDS if name.startswith("ss_")}
    assert found["ss_chi"][1:].tolist() == [0.2] * 9
    assert (found["ss_xi"][5], found["ss_yield"][5]) == (8.0, 0.1)
    assert found["ss_z_near"][1:].tolist() == [0.5] * 5 + [0.7] * 4
    assert found["ss_z_dominant"][1:].tolist() == [-1.5] * 9
    np.testing.assert_array_equal(found["ss_z_sub_dominant"], [np.nan] * 3 + [2.0] * 7)
    assert all(np.isnan(panel[0]) for panel in found.values())


def test_states_and_distances_of_a_session_are_of_one_run():
    rows = pl.concat(
        [told("long", DAYS[:7], 0.2, CONTRACTS), told("new", DAYS[5:], 0.9, {202405: 4.0, 202403: -4.0})],
        how="diagonal",
    )
    found = terms(rows.sample(fraction=1.0, shuffle=True, seed=3), "RB", SESSIONS, MONTHS)
    assert found["ss_chi"].tolist() == [0.2] * 7 + [0.9] * 3
    assert found["ss_z_dominant"].tolist() == [-1.5] * 7 + [4.0] * 3
    assert found["ss_z_near"].tolist() == [0.5] * 6 + [0.7] + [-4.0] * 3
    assert np.isnan(found["ss_z_sub_dominant"][7:]).all()


def test_states_that_were_withdrawn_and_contracts_without_a_distance_are_no_words():
    rows = told("a", DAYS, 0.2, CONTRACTS)
    gone = rows.with_columns(model_price=pl.when(pl.col("asof") > DAYS[4]).then(pl.col("model_price")))
    found = terms(gone, "RB", SESSIONS, MONTHS)
    assert np.isnan(found["ss_chi"][:5]).all()
    assert np.isnan(found["ss_z_dominant"][:5]).all()
    assert np.isfinite(found["ss_z_dominant"][5:]).all()
    blank = rows.with_columns(z=pl.when(pl.col("month") != 202405).then(pl.col("z")))
    assert np.isnan(terms(blank, "RB", SESSIONS, MONTHS)["ss_z_dominant"]).all()
    assert all(np.isnan(panel).all() for panel in terms(rows, "HC", SESSIONS, MONTHS).values())
