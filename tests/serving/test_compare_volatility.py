"""Two sessions of one book: hand-made frames with known answers."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from serving.compare_volatility import ABSENT, compare_volatilities
from serving.prediction import volatility_columns

MONDAY, TUESDAY = dt.date(2024, 1, 8), dt.date(2024, 1, 9)
COLUMNS = volatility_columns((0.99,))


def frame(
    sigma: dict[str, tuple[float | None, float | None]], asof: dt.date = MONDAY, model: dict[str, str] | None = None
) -> pl.DataFrame:
    """Volatilities by product, at horizons 1 and 5; None is no forecast."""
    rows = [
        {
            "asof": asof,
            "asset": asset,
            "horizon": h,
            "sigma": value,
            "model": None if value is None else (model or {}).get(asset, "gjr_t"),
            "status": None if value is None else "ok",
            "reason": "no return" if value is None else None,
        }
        for asset, pair in sigma.items()
        for h, value in zip((1, 5), pair, strict=True)
    ]
    return pl.concat([COLUMNS.empty, pl.DataFrame(rows)], how="diagonal_relaxed")


THEN = frame({"IF": (0.20, 0.20), "CU": (0.30, 0.25), "RB": (0.10, 0.10), "AU": (0.15, 0.15), "NI": (None, None)})
NOW = frame(
    {"IF": (0.10, 0.16), "CU": (0.45, 0.25), "RB": (0.10, 0.11), "AU": (None, None), "NI": (0.4, 0.4)},
    TUESDAY,
    {"RB": "ewma"},
)


def test_a_halving_weighs_more_than_a_rise_by_half() -> None:
    found = compare_volatilities(THEN, NOW)
    assert (found.then, found.now, found.both) == (MONDAY, TUESDAY, 3)
    assert found.moves.select("asset", "horizon").rows() == [("IF", 1), ("CU", 1)]
    assert found.moves["change"].to_list() == pytest.approx([-0.5, 0.5])
    assert compare_volatilities(THEN, NOW, k=1).moves["asset"].to_list() == ["IF"]


def test_the_median_change_is_told_by_horizon() -> None:
    found = compare_volatilities(THEN, NOW).median
    assert found["horizon"].to_list() == [1, 5]
    assert found["change"].to_list() == pytest.approx([0.0, 0.0])
    assert found["products"].to_list() == [3, 3]
    wider = compare_volatilities(THEN, NOW.filter(pl.col("asset") != "RB")).median
    assert wider["change"].to_list() == pytest.approx([0.0, -0.1]), "of -.5 and .5, of -.2 and 0"


def test_who_lost_or_gained_a_forecast_is_told_once_and_why() -> None:
    found = compare_volatilities(THEN, NOW)
    assert found.lost.select("asset", "reason_now").rows() == [("AU", "no return")]
    assert found.gained.select("asset", "reason_then").rows() == [("NI", "no return")]
    newcomer = compare_volatilities(THEN, pl.concat([NOW, frame({"SC": (0.3, 0.3)}, TUESDAY)]))
    assert newcomer.gained.select("asset", "reason_then").rows() == [("NI", "no return"), ("SC", ABSENT)]


def test_another_model_is_told_at_each_horizon() -> None:
    found = compare_volatilities(THEN, NOW)
    told = found.switched.select("asset", "horizon", "model_then", "model_now").rows()
    assert told == [("RB", 1, "gjr_t", "ewma"), ("RB", 5, "gjr_t", "ewma")]


def test_the_same_session_twice_has_no_change() -> None:
    found = compare_volatilities(THEN, THEN)
    assert found.both == 4
    assert all(part.is_empty() for part in (found.moves, found.switched, found.lost, found.gained))
