"""Series of returns as models see them: their rows, their proxy, and what is known beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.panel import ConfigError
from features.store import Store
from tests.futures_market import futures, futures_store, small_config
from tests.simulated_market import cut_after, noise_after
from training.volatility_data import VolatilityData, gather


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return futures_store(tmp_path_factory.mktemp("futures"))


@pytest.fixture(scope="module")
def data(store: Store) -> VolatilityData:
    return gather(small_config(), store)


def test_returns_are_of_the_contract_that_was_held_and_of_no_other(store: Store, data: VolatilityData) -> None:
    rows = store.scan("bars/Future").select("date", "order_book_id", "close").collect()
    close = {(d, a): c for d, a, c in rows.iter_rows()}
    days = store.calendar().between("2024-01-01", "2025-12-31")
    for one in data.series.values():
        held = one.continuous.contract[one.row]
        assert len(np.unique(held)) > 5
        for day, contract, value in list(zip(one.sessions, held, one.returns.value, strict=True))[-300:]:
            before = days[np.searchsorted(days, day) - 1].astype(object)
            expected = np.log(close[day.astype(object), contract] / close[before, contract])
            assert value == pytest.approx(expected, abs=1e-12)


def test_the_proxy_has_the_level_of_squared_returns_up_to_each_session(data: VolatilityData) -> None:
    for one in data.series.values():
        x, r = one.returns.range_variance, one.returns.value
        assert np.isnan(one.proxy[:59]).all()
        for t in (59, 200, len(r) - 1):
            scale = (r[: t + 1] ** 2).sum() / x[: t + 1].sum()  # type: ignore[index]
            assert one.proxy[t] == pytest.approx(x[t] * scale, rel=1e-12)  # type: ignore[index]


def test_a_roll_is_known_at_the_close_before_it(data: VolatilityData) -> None:
    for one in data.series.values():
        rolled = one.continuous.is_roll[one.row]
        assert rolled.sum() > 4
        assert np.array_equal(one.returns.regressors["roll"][:-1] == 1, rolled[1:])


def test_a_holiday_is_known_on_the_session_before_it(data: VolatilityData) -> None:
    one = data.series["IF"]
    holiday = dict(zip(one.sessions.astype(str), one.returns.regressors["holiday"], strict=True))
    assert holiday["2025-09-30"] == 1  # the national holiday
    assert holiday["2025-09-26"] == 0  # a Friday
    assert holiday["2025-09-25"] == 0


def test_interest_and_volume_are_the_product_s(store: Store, data: VolatilityData) -> None:
    one = data.series["M"]
    total = (
        store.scan("bars/Future").filter(pl.col("order_book_id").str.contains(r"^M\d"))
        .group_by("date").agg(pl.col("open_interest").sum(), pl.col("volume").sum()).sort("date").collect()
    )  # fmt: skip
    at = np.searchsorted(total["date"].to_numpy(), one.sessions[-1])
    interest, volume = total["open_interest"].to_numpy(), total["volume"].to_numpy()
    moved = abs(np.log(interest[at] / interest[at - 1]))
    assert one.returns.regressors["oi_change"][-1] == pytest.approx(moved, rel=1e-12)
    mean = volume[at - 19 : at + 1].mean()
    assert one.returns.regressors["volume"][-1] == pytest.approx(volume[at] / mean, rel=1e-12)


@pytest.mark.parametrize("future", ["cut", "noise"])
def test_what_comes_later_changes_nothing_that_was_known(tmp_path: Path, data: VolatilityData, future: str) -> None:
    day = np.datetime64("2025-06-20")
    other = cut_after(futures(), day) if future == "cut" else noise_after(futures(), day, 1)
    then = gather(small_config(data={"end": day.astype(object)}), futures_store(tmp_path / "store", other))
    for product, one in data.series.items():
        early, n = then.series[product], int(np.searchsorted(one.sessions, day, "right"))
        assert n > 250
        assert np.array_equal(early.sessions, one.sessions[:n])
        assert np.array_equal(early.returns.value, one.returns.value[:n])
        assert np.array_equal(early.proxy, one.proxy[:n], equal_nan=True)
        assert early.returns.regressors.keys() == one.returns.regressors.keys()
        for name, values in one.returns.regressors.items():
            assert np.array_equal(early.returns.regressors[name], values[:n]), name


def test_a_product_that_the_store_does_not_hold_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="product XX: the store must hold its contracts"):
        gather(small_config(data={"products": ("XX",)}), store)


def test_without_a_name_every_product_is_gathered(store: Store) -> None:
    assert set(gather(small_config(data={"products": ()}), store).series) == {
        "CU", "FU", "IC", "IF", "IH", "IM", "M", "RB", "SC", "T", "TF", "TL", "TS"
    }  # fmt: skip
