"""The derived table of products: what a row holds, when it is written, and that it never knows what comes later."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.catalogue import catalogue
from features.ingest import ingest
from features.materialise import materialise
from features.matrix import matrix
from features.panel import DataError
from features.product_bars import TABLE, product_rows, refresh
from features.sources.batch import Batch
from features.sources.files import files
from features.store import KEYS, Store
from tests.command_line import Daybar
from tests.futures_market import futures, futures_store

DAYS = [d for d in pl.date_range(dt.date(2024, 1, 2), dt.date(2024, 4, 30), eager=True) if d.weekday() < 5]
CALENDAR = Batch("reference/calendar", "calendar", pl.DataFrame({"date": DAYS}))
HALF = 50


def contract(asset: str, days: list[dt.date], level: float, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    close = level * np.exp(np.cumsum(0.01 * rng.standard_normal(len(days))))
    price = {"open": close * 1.001, "high": close * 1.01, "low": close * 0.99, "close": close}
    settled = close * 1.0005
    before = np.concatenate([[level], settled[:-1]])
    rest = {
        "volume": rng.integers(500, 900, len(days)) * 1.0,
        "open_interest": rng.integers(2000, 2900, len(days)) * 1.0,
    }
    return pl.DataFrame(
        {"order_book_id": asset, "date": days, **price, "settlement": settled, "prev_settlement": before, **rest}
    )


def index(days: list[dt.date]) -> pl.DataFrame:
    close = 3500 * np.exp(np.cumsum(0.01 * np.random.default_rng(9).standard_normal(len(days))))
    price = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
    return pl.DataFrame({"order_book_id": "000300.XSHG", "date": days, **price})


FUTURES = pl.concat(
    [
        *(contract(f"IF{code}", DAYS, 3500, i) for i, code in enumerate(("2405", "2406", "2409", "2412"))),
        contract("AL2408", DAYS, 19000, 5),
        contract("ZN2408", DAYS[-5:], 22000, 6),
        contract("ZN2409", DAYS[-5:], 22100, 7),
        contract("CU2407", DAYS, 70000, 8).with_columns(pl.col("open_interest") * 2),
        contract("CU2408", DAYS[:30], 70500, 9),
    ]
)
SERIES = contract("M_MAIN", DAYS, 3000, 10).drop("settlement", "prev_settlement", "open_interest")
RATES = pl.DataFrame({"date": DAYS, "curve": "shibor", "tenor": "1Y", "rate": np.linspace(0.02, 0.024, len(DAYS))})
DIVIDENDS = pl.DataFrame(
    {
        "order_book_id": "000300.XSHG",
        "date": [dt.date(2023, 5, 4), dt.date(2023, 6, 5), dt.date(2023, 12, 1), dt.date(2024, 5, 8)],
        "points": [3.0, 7.0, 1.0, 5.0],
        "announcement_date": [dt.date(2023, 1, 4), dt.date(2023, 5, 5), dt.date(2023, 11, 1), dt.date(2024, 4, 8)],
    }
)


def batches(until: dt.date) -> list[Batch]:
    day = pl.col("date") <= until
    return [
        CALENDAR,
        Batch("Future", "made up", FUTURES.filter(day)),
        Batch("Future", "a series", SERIES.filter(day)),
        Batch("INDX", "made up", index(DAYS).filter(day)),
        Batch("reference/rates", "made up", RATES.filter(day)),
        Batch("reference/dividends_index", "made up", DIVIDENDS),
    ]


@pytest.fixture
def store(tmp_path) -> Store:
    whole = Store(tmp_path / "store")
    ingest(batches(DAYS[-1]), whole)
    refresh(whole)
    return whole


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same, its factors built; to be read only."""
    whole = Store(tmp_path_factory.mktemp("made") / "store")
    ingest(batches(DAYS[-1]), whole)
    refresh(whole)
    build(whole)
    return whole


def of(store: Store, product: str) -> pl.DataFrame:
    return store.scan(TABLE).filter(pl.col("order_book_id") == product).sort("date").collect()


def test_a_second_refresh_writes_nothing_and_a_grown_store_only_what_is_new(tmp_path):
    grown, said = Store(tmp_path / "grown"), []
    ingest(batches(DAYS[HALF - 1]), grown)
    first = refresh(grown, said.append)
    assert first.new == HALF * 4  # ZN is not listed yet
    assert "4 products" in said[0]
    assert refresh(grown, said.append) == type(first)(0, 0, 0, first.version)
    assert len(said) == 1
    ingest(batches(DAYS[-1]), grown)
    second = refresh(grown)
    assert (second.new, second.restated) == (4 * (len(DAYS) - HALF) + 5, 0)


def test_a_store_that_grew_is_the_one_that_was_made_at_once(tmp_path, made):
    grown = Store(tmp_path / "grown")
    for until in (DAYS[20], DAYS[HALF], DAYS[-6], DAYS[-1]):
        ingest(batches(until), grown)
        refresh(grown)
    columns = made.scan(TABLE).collect_schema().names()
    found, expected = (one.scan(TABLE).sort(KEYS).collect() for one in (grown, made))
    assert found.select(columns).equals(expected)


def test_the_commit_names_the_versions_that_it_was_made_from(made):
    made_from = made.meta(TABLE)["made_from"]
    assert made_from["bars/Future"] == made.version("bars/Future")
    assert {"bars/INDX", "reference/rates", "reference/dividends_index"} <= set(made_from)


def test_a_restated_contract_restates_its_product_alone(store):
    row = FUTURES.filter(pl.col("order_book_id") == "AL2408", pl.col("date") == DAYS[40])
    ingest([Batch("Future", "restated", row.with_columns(volume=pl.lit(777.0)))], store)
    written = refresh(store)
    assert (written.new, written.restated) == (0, 1)
    assert of(store, "AL")["volume"][40] == 777.0


def test_rows_and_columns_that_nothing_stands_behind_any_more_go(store):
    strange = pl.DataFrame({"date": [DAYS[3]], "order_book_id": ["XX"], "close": [1.0], "odd": [2.0]})
    store.upsert(TABLE, strange, meta={"made_from": {}})
    refresh(store)
    rows = store.scan(TABLE).collect()
    assert "XX" not in rows["order_book_id"].to_list()
    assert rows["odd"].count() == 0
    assert rows.drop("odd").sort(KEYS).equals(product_rows(store).select(rows.drop("odd").columns).sort(KEYS))


def test_the_rate_is_that_of_the_day_before(made):
    assert of(made, "AL")["risk_free"].to_list() == pytest.approx([0.015, *RATES["rate"][:-1]])


def test_an_index_future_is_told_its_index_and_the_dividends_until_it_matures(made):
    rows = of(made, "IF")
    assert rows["spot"].to_list() == pytest.approx(index(DAYS)["close"].to_list())
    assert set(rows["month_q1"].to_list()) >= {202406.0, 202409.0}
    # 2024-04-29: the next month's contract (2406) ends on 2024-06-21; 5 points of May 8 are announced, and behind that
    # day last June's 7 points of the 5th are expected again on June 4, a leap year's 365 days on.
    day = rows.filter(pl.col("date") == dt.date(2024, 4, 29)).row(0, named=True)
    rate, days = day["risk_free"], np.array([9, 36]) / 365
    assert day["dividends_q1"] == pytest.approx(np.exp(-rate * days) @ [5.0, 7.0])
    assert day["dividends_next"] == day["dividends_q1"]
    assert day["dividends_current"] == pytest.approx(5.0 * np.exp(-rate * days[0]))
    assert day["dividends_estimated"] == 1.0


def test_a_chain_of_one_contract_has_its_factors_and_no_curve(made):
    rows = factors_of(made, "AL")
    assert np.isfinite(rows["fut_settle_ret"].cast(pl.Float64).to_numpy()[1:]).all()
    assert rows["fut_implied_carry"].count() == rows["fut_ts_slope"].count() == rows["fut_ts_slope_ols"].count() == 0


def test_a_product_of_the_last_week_has_what_a_week_gives(made):
    rows = factors_of(made, "ZN")
    assert len(rows) == 4  # on its first session nobody had decided yet which contract leads
    assert rows["fut_implied_carry"].count() == 4
    assert rows["fut_flow_intensity_adj"].count() == 0


def test_a_contract_that_stops_early_leaves_the_curve_and_not_the_product(made):
    carry = factors_of(made, "CU")["fut_implied_carry"].cast(pl.Float64).to_numpy()
    assert np.isfinite(carry[:29]).all()
    assert np.isnan(carry[29:].astype(float)).all()
    assert of(made, "CU")["close"].count() == len(DAYS) - 1


def test_a_vendors_series_has_its_return_and_no_roles(made):
    rows = of(made, "M")
    assert rows["ret"].count() == len(DAYS) - 1
    assert rows["close_near"].count() == rows["ttm_dominant"].count() == 0


def test_what_the_store_does_not_know_has_no_column_and_its_factors_a_reason(tmp_path):
    poor = Store(tmp_path / "poor")
    ingest([CALENDAR, Batch("Future", "made up", FUTURES.filter(pl.col("order_book_id").str.starts_with("CU")))], poor)
    refresh(poor)
    columns = poor.scan(TABLE).collect_schema().names()
    assert not {"spot", "dividends_next", "close_q1"} & set(columns)
    assert of(poor, "CU")["risk_free"].to_list() == [0.015] * len(DAYS)
    absent = build(poor)
    assert absent["fut_basis"] == "needs spot"
    assert absent["fut_basis_ts_slope"].startswith("needs ")
    assert "fut_implied_financing_adj" not in absent


def test_the_matrix_of_products_holds_all_that_traded(made):
    names = ("fut_settle_ret", "fut_implied_carry", "fut_basis")
    stacked, keep, _ = matrix(made, catalogue("Product"), names)
    assert stacked.assets.tolist() == ["AL", "CU", "IF", "M", "ZN"]
    # In January and February neither the current nor the next month of IF is listed here, so nothing leads it.
    assert keep.sum() == len(stacked.session) == made.scan(TABLE).collect()["close"].count()
    assert keep.sum(axis=0).tolist()[:2] == [len(DAYS) - 1, len(DAYS) - 1]
    for row, asset in ((80, "IF"), (21, "CU")):
        at = (stacked.session == row) & (stacked.asset == stacked.assets.tolist().index(asset))
        told = factors_of(made, asset).filter(pl.col("date") == DAYS[row]).select(names).row(0)
        np.testing.assert_array_equal(stacked.values[at][0], np.array(told, dtype=np.float32))


def test_a_store_without_futures_is_refused(tmp_path):
    empty = Store(tmp_path / "empty")
    ingest([CALENDAR], empty)
    with pytest.raises(DataError, match="bars/Future"):
        refresh(empty)


def build(store: Store) -> dict[str, str]:
    known = catalogue("Product")
    return materialise(store, known, known.stored()).absent


def factors_of(store: Store, product: str) -> pl.DataFrame:
    return store.scan("factors/Product").filter(pl.col("order_book_id") == product).sort("date").collect()


def test_the_command_line_makes_the_table_before_it_builds(store, daybar: Daybar):
    home = store.root.parent
    told = ("--asset-class", "Product", "--home", home)
    ingest([Batch("Future", "restated", FUTURES.head(1).with_columns(volume=pl.lit(1.0)))], store)
    built = daybar("build", *told)
    assert built.code == 0
    assert f"{TABLE}: 0 rows new, 1 restated, 5 products" in built.out
    absent = [line.split()[1] for line in built.out.splitlines() if line.startswith("absent: fut_")]
    assert all(name in catalogue("Product").select(sets=["forecasts"]) for name in absent)
    card = daybar("factors", "fut_basis_ratio_ann", *told)
    assert "年化基差率" in card.out
    assert "2024" in card.out
    assert daybar("factors", "--asset-class", "Product").out.count("fut_basis") > 10
    assert "Product: 5 assets" in daybar("check", *told).out


def test_the_command_line_proves_that_products_do_not_look_ahead(made, daybar: Daybar):
    told = ("--asset-class", "Product", "--home", made.root.parent)
    assert daybar("check", "lookahead", *told).code == 0


def test_the_simulators_contracts_name_their_index_and_its_dividends(tmp_path):
    market = futures_store(tmp_path / "store")
    refresh(market)
    terms = futures().reference["instruments"].filter(pl.col("underlying_symbol") == "IF")
    named = terms["underlying_order_book_id"].drop_nulls().unique().item()
    closes = market.scan("bars/INDX").filter(pl.col("order_book_id") == named).select("date", "close").collect()
    rows = of(market, "IF").join(closes.rename({"close": "index"}), on="date")
    assert (rows["spot"] == rows["index"]).all()
    known = rows["dividends_next"].drop_nulls()
    assert len(known) > 100
    assert known.max() > 0  # type: ignore[operator]
    assert (known >= 0).all()


# ---- the real index futures ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def basis(market: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The basis of the real index futures, by product and month: medians of the annualised one of the next month."""
    real = Store(tmp_path_factory.mktemp("products"))
    ingest([batch for c in ("Future", "INDX") for batch in files(market, c)], real)
    refresh(real)
    known = catalogue("Product")
    materialise(real, known, ["fut_basis_ratio_ann", "fut_basis_ratio_adj"])
    rows = real.scan("factors/Product").with_columns(month=pl.col("date").dt.strftime("%Y-%m"))
    return rows.group_by("order_book_id", "month").agg(pl.col("fut_basis_ratio_ann").median()).collect()


def in_months(basis: pl.DataFrame, product: str, first: str, last: str) -> list[float]:
    own = basis.filter(pl.col("order_book_id") == product, pl.col("month") >= first, pl.col("month") <= last)
    return own.sort("month")["fut_basis_ratio_ann"].drop_nulls().to_list()


@pytest.mark.real
class TestRealBasis:
    def test_the_discount_of_the_autumn_of_2015_is_there(self, basis):
        assert max(in_months(basis, "IC", "2015-07", "2016-03")) < -0.4
        assert max(in_months(basis, "IF", "2015-07", "2015-11")) < -0.3
        assert max(in_months(basis, "IH", "2015-07", "2015-12")) < -0.1

    def test_the_year_before_lies_around_nought(self, basis):
        months = in_months(basis, "IF", "2014-01", "2014-11")
        assert len(months) == 11
        assert abs(float(np.median(months))) < 0.05
        assert max(abs(month) for month in months) < 0.15

    def test_smaller_companies_lie_deeper(self, basis):
        for year in range(2016, 2023):
            large, small = (np.median(in_months(basis, p, f"{year}-01", f"{year}-12")) for p in ("IF", "IC"))
            assert small < large
        assert np.median(in_months(basis, "IM", "2022-07", "2022-12")) < np.median(
            in_months(basis, "IF", "2022-07", "2022-12")
        )
