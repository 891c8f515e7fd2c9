"""Factors on the terminal."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console

import serving.cards
from features.catalogue import catalogue
from features.chunk import MARKET
from features.materialise import materialise
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


def test_the_list_of_alpha158_has_158_rows_that_are_read_whole(capsys) -> None:
    show_list("CS", ("alpha158",))
    title, head, *rows = told(capsys).splitlines()
    assert title == "158 factors of CS"
    assert head.split() == ["factor", "中文", "unit", "lookback", "scope", "sets"]
    assert len(rows) == 158
    known = catalogue("CS")
    for row in rows:
        name, zh, *unit, lookback, scope, sets = row.split()
        assert (zh, " ".join(unit), int(lookback)) == (known[name].zh, known[name].unit, known[name].reach)
        assert (scope, sets) == ("asset", "alpha158")


def test_the_list_of_all_factors_fits_160_columns_and_cuts_nothing(capsys) -> None:
    show_list("CS", ())
    lines = told(capsys).splitlines()
    assert max(cell_len(line.rstrip()) for line in lines) <= 160
    assert "…" not in "".join(lines)


def test_a_narrow_terminal_takes_no_letter_of_a_name(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.cards, "console", Console(width=70, soft_wrap=True))
    show_list("CS", ("literal", "alpha101"))
    shown = {line.split()[0] for line in told(capsys).splitlines()[2:]}
    assert shown == set(catalogue("CS").select(sets=("literal", "alpha101")))


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


def test_the_card_of_an_expression_shows_its_text_its_fields_and_its_lookback(store: Store, capsys) -> None:
    show_card(store, "CS", "alpha158_corr20")
    text = told(capsys)
    for words in (
        "alpha158_corr20  20日价与量相关",
        "unit correlation",
        "inputs adj_volume, qlib_close",
        "lookback 20 sessions of its inputs",
        "The expression Corr($close, Log($volume+1), 20).",
        "fields close, prev_close, volume, 20 sessions of them",
        "Coverage",
    ):
        assert words in text


@pytest.mark.parametrize("name", ["cs_f_roc_60", "cs_market_return"])
def test_its_coverage_is_the_share_of_traded_rows_with_a_value(store: Store, name: str, capsys) -> None:
    show_card(store, "CS", name)
    (row,) = [line.split() for line in told(capsys).splitlines() if line.startswith("2020 ")]
    materialise(store, catalogue("CS"), [name])
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
