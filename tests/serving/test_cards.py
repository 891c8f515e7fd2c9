"""Factors on the terminal."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from features.factor import catalogue
from features.materialise import MARKET, materialise
from features.panel import ConfigError
from features.store import Store
from serving.cards import show_card, show_list
from tests.small_market import small_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("cards"))


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_the_list_has_a_row_for_each_stored_factor(capsys) -> None:
    show_list("CS", ())
    rows = {line.split()[0]: line for line in told(capsys).splitlines()[2:] if line.strip()}
    assert set(rows) == {name for name, factor in catalogue("CS").items() if factor.stored}
    assert "日收益率" in rows["cs_ret_1d"]
    assert "stock_core" in rows["cs_ret_1d"]


def test_the_list_of_a_set_has_its_factors_only(capsys) -> None:
    show_list("CS", ("rules",))
    text = told(capsys)
    assert "rule_cs_reduce" in text
    assert "cs_ret_1d" not in text
    assert text.splitlines()[0] == f"{sum('rules' in f.sets for f in catalogue('CS').values())} factors of CS"


@pytest.mark.parametrize(
    ("asset_class", "sets", "says"),
    [("CS", ("stock_cor",), "Did you mean stock_core"), ("INDX", (), "factors of INDX: the class must have factors")],
)
def test_a_set_or_a_class_that_is_not_there_is_refused(asset_class: str, sets: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        show_list(asset_class, sets)


def test_a_card_tells_what_the_factor_is_and_stands_on(store: Store, capsys) -> None:
    show_card(store, "CS", "cs_ret_1d")
    text = told(capsys)
    for words in ("cs_ret_1d  日收益率", "unit decimal", "inputs close, prev_close", "Sign    positive", "lookback 1"):
        assert words in text
    assert catalogue("CS")["cs_ret_1d"].summary in text


@pytest.mark.parametrize("name", ["cs_f_roc_60", "cs_market_return"])
def test_its_coverage_is_the_share_of_traded_rows_with_a_value(store: Store, name: str, capsys) -> None:
    show_card(store, "CS", name)
    (row,) = [line.split() for line in told(capsys).splitlines() if line.startswith("2020 ")]
    materialise(store, "CS", [name])
    of_market = pl.col("order_book_id") == MARKET
    rows = store.scan("factors/CS").filter(of_market if name == "cs_market_return" else ~of_market).collect()
    assert int(row[1].replace(",", "")) == len(rows)
    share = 1 - rows[name].null_count() / len(rows)
    assert 0.3 < share < 1
    assert float(row[2].rstrip("%")) == pytest.approx(100 * share, abs=0.051)
    assert float(row[4]) == pytest.approx(rows[name].median(), rel=1e-3)


def test_a_factor_that_lacks_its_field_is_said_to_be_absent(store: Store, capsys) -> None:
    show_card(store, "CS", "cs_inst_participation")
    assert "absent in this store: needs num_trades" in told(capsys)


def test_a_factor_that_is_not_stored_has_a_card_without_coverage(store: Store, capsys) -> None:
    name = next(n for n, f in catalogue("CS").items() if not f.stored)
    show_card(store, "CS", name)
    text = told(capsys)
    assert text.startswith(name)
    assert "Coverage" not in text


def test_without_bars_the_card_is_shown_and_says_so(tmp_path: Path, capsys) -> None:
    show_card(Store(tmp_path), "CS", "cs_ret_1d")
    assert f"no bars of CS in {tmp_path}: coverage is not known" in told(capsys)


def test_an_unknown_factor_is_refused_with_the_nearest(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"factor cs_ret_1: .*\n  Did you mean cs_ret_1d"):
        show_card(store, "CS", "cs_ret_1")
