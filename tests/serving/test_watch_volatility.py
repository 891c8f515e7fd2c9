"""Watching a book: what is planted is flagged and what is right is not, and the losses are those of a second way."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from features.panel import DataError, Float64Array
from models.volatility.base import Returns
from serving.predict import load_served, predict_range
from serving.prediction import volatility_columns, volatility_config
from serving.sink import give
from serving.watch import watch
from serving.watch_volatility import VolatilityWatch, judge
from tests.command_line import Daybar
from tests.serving.conftest import futures_bars
from training.tracking import ModelRef, Tracking
from training.volatility_config import VolatilityConfig
from training.volatility_data import Series

MODEL = "vol_small@champion"
REF = ModelRef("vol_x", 1, "run1", Path())
CONFIG = VolatilityConfig.model_validate(
    {"name": "x", "forecast": {"horizons": (1, 5), "levels": (0.95, 0.99)}, "models": {"ewma": {"kind": "ewma"}}}
)
T, WINDOW = 700, 120
DAYS = np.datetime64("2020-01-01") + np.arange(T).astype("timedelta64[D]")


def simulated(products: int, seed: int) -> tuple[dict[str, Series], dict[str, Float64Array]]:
    """GARCH returns of independent products with exact ranges, and the true variance of each next session."""
    rng = np.random.default_rng(seed)
    series, truth = {}, {}
    for k in range(products):
        h, value, x = 1e-4, np.zeros(T), np.zeros(T)
        ahead = np.zeros(T)
        for t in range(T):
            value[t] = math.sqrt(h) * rng.standard_normal()
            x[t] = h
            h = 5e-6 + 0.10 * value[t] ** 2 + 0.85 * h
            ahead[t] = h
        name = f"P{k}"
        returns = Returns(value, x)
        series[name] = Series(name, None, DAYS, np.arange(T), returns, x)  # type: ignore[arg-type]
        truth[name] = ahead
    return series, truth


def rows(truth: dict[str, Float64Array], scale: float = 1.0, status: str = "ok") -> pl.DataFrame:
    """Forecasts of the last WINDOW sessions as they stand in pred_vol: the truth times a scale."""
    parts = []
    for name, variance in truth.items():
        sigma = np.sqrt(variance[-WINDOW:] * scale)
        told = {"sigma": sigma * math.sqrt(242), "sigma_h": sigma}
        told |= {"var_95": -norm.ppf(0.05) * sigma, "var_99": -norm.ppf(0.01) * sigma}
        keys = {"asset": pl.lit(name), "horizon": pl.lit(1, pl.Int64), "status": pl.lit(status), "model": pl.lit("m")}
        parts.append(pl.DataFrame({"asof": DAYS[-WINDOW:], **told}).with_columns(**keys))
    empty = volatility_columns((0.95, 0.99)).empty
    return pl.concat([empty, *parts], how="diagonal_relaxed")


def seen(given: pl.DataFrame, series: dict[str, Series]) -> VolatilityWatch:
    return judge(CONFIG, REF, DAYS[-WINDOW:], given, series)


def told(found: VolatilityWatch) -> list[tuple[str, str]]:
    return [(flag.colour, flag.what) for flag in found.flags]


def test_the_truth_raises_no_flag_and_loses_less_than_ewma() -> None:
    quiet = 0
    for seed in range(20):
        series, truth = simulated(4, seed)
        found = seen(rows(truth), series)
        assert found.ratio < 0.1, "the proxy is exact, so the truth loses nothing but rounding"
        quiet += not found.flags
    assert quiet >= 19


def test_a_value_at_risk_that_is_too_small_is_red_and_one_that_is_too_large_yellow() -> None:
    series, truth = simulated(4, 3)
    assert ("red", "value at risk 99.0%") in told(seen(rows(truth, 0.3), series))
    assert ("red", "value at risk 95.0%") in told(seen(rows(truth, 0.3), series))
    assert ("yellow", "value at risk 95.0%") in told(seen(rows(truth, 9.0), series))


def test_a_model_that_ewma_beats_is_red() -> None:
    series, truth = simulated(4, 5)
    found = seen(rows(truth, 4.0), series)
    assert found.ratio > 1
    assert ("red", "QLIKE") in told(found)


def test_losses_ratios_and_breaches_are_those_of_a_plain_loop() -> None:
    series, truth = simulated(2, 8)
    given = rows(truth, 1.3)
    found = seen(given, series)
    own, base, breaches = [], [], {0.95: 0, 0.99: 0}
    for name in truth:
        value, x = series[name].returns.value, series[name].proxy
        first = T - WINDOW
        mean = value[: first + 1].mean()
        h = float(((value[: first + 1] - mean) ** 2).mean())
        for t in range(first + 1):
            h = 0.94 * h + 0.06 * (value[t] - mean) ** 2
        for t in range(first, T - 1):
            if t > first:
                h = 0.94 * h + 0.06 * (value[t] - mean) ** 2
            f = truth[name][t] * 1.3
            own.append(x[t + 1] / f - math.log(x[t + 1] / f) - 1)
            base.append(x[t + 1] / h - math.log(x[t + 1] / h) - 1)
            for level in breaches:
                breaches[level] += value[t + 1] < norm.ppf(1 - level) * math.sqrt(f)
    assert found.levels["breaches"].to_list() == list(breaches.values())
    assert found.levels["n"].to_list() == [2 * (WINDOW - 1)] * 2
    assert found.ratio == pytest.approx(sum(own) / sum(base), rel=1e-6)
    assert found.products["n"].to_list() == [WINDOW - 1] * 2
    assert sum(found.products["qlike"] * (WINDOW - 1)) == pytest.approx(sum(own), rel=1e-6)


def test_products_that_move_together_tell_no_more_than_one() -> None:
    series, truth = simulated(1, 11)
    many = {f"P{k}": series["P0"] for k in range(25)}
    alone = seen(rows(truth), series).levels
    crowd = seen(rows(dict.fromkeys(many, truth["P0"])), many).levels
    assert crowd["n"].to_list() == [25 * n for n in alone["n"]]
    assert crowd["rate"].to_list() == pytest.approx(alone["rate"].to_list())
    assert crowd["error"][0] > 0.5 * alone["error"][0], "and not a fifth"


def test_a_product_that_dropped_out_is_red_with_its_reason() -> None:
    series, truth = simulated(3, 2)
    given = rows(truth)
    last = (pl.col("asset") == "P1") & (pl.col("asof") == pl.lit(DAYS[-1]))
    gone = given.with_columns(
        sigma=pl.when(last).then(None).otherwise("sigma"),
        reason=pl.when(last).then(pl.lit("no return on that day")).otherwise("reason"),
    )
    found = seen(gone, series)
    assert found.dropped == ("P1",)
    (flag,) = [flag for flag in found.flags if flag.what == "products"]
    assert (flag.colour, flag.text) == ("red", "1 had a forecast and have none now: P1: no return on that day")


@pytest.mark.parametrize(("status", "flagged"), [("ok", False), ("restarted", False), ("fell back to ewma", True)])
def test_fits_that_are_not_their_models_own_are_yellow(status: str, flagged: bool) -> None:
    series, truth = simulated(3, 2)
    assert (("yellow", "fits") in told(seen(rows(truth, status=status), series))) == flagged


def test_a_window_without_any_forecast_is_refused() -> None:
    series, truth = simulated(1, 0)
    empty = rows(truth).with_columns(sigma=pl.lit(None, pl.Float64))
    with pytest.raises(DataError, match="the sessions must have a forecast"):
        seen(empty, series)


def test_a_registered_book_is_watched_and_what_was_given_is_taken_as_it_was(book_home: Path) -> None:
    first = watch(book_home, None, MODEL, 60)
    assert isinstance(first, VolatilityWatch)
    assert (len(first.present), first.recomputed) == (60, 60)
    assert first.dropped == ("B",)
    span = predict_range(book_home, None, MODEL, first.present[0], first.present[29])
    give(span.predictions[0].store, span.predictions, book_home / "predictions")
    again = watch(book_home, None, MODEL, 60)
    assert isinstance(again, VolatilityWatch)
    assert again.recomputed == 30
    assert again.products.equals(first.products)
    assert again.levels.equals(first.levels)
    (newest, *_) = sorted(Tracking(book_home).search("watch"), key=lambda run: run.started, reverse=True)
    assert newest.metrics["products/dropped"] == 1
    assert newest.metrics["qlike/ratio"] == pytest.approx(again.ratio)
    config = volatility_config(load_served(book_home, None, MODEL).manifest)
    assert first.levels["level"].to_list() == list(config.forecast.levels)


def test_the_command_shows_what_was_seen_and_strict_tells_of_red(daybar: Daybar, book_home: Path) -> None:
    code, out, err = daybar("watch", MODEL, "--window", 40, "--strict", "--home", book_home)
    assert (code, err) == (3, "")
    days = futures_bars()["date"].unique().sort()
    assert f"vol_small 1: 40 sessions {days[-40]} to {days[-1]}, forecasts of 1 ahead" in out
    assert "red: products: 1 had a forecast and have none now: B: no return on" in out
    assert "value at risk 99.0%" in out
