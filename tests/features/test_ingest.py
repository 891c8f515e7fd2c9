"""No row is lost between a source and the store, and the report says where each went."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.check import check
from features.ingest import IngestReport, ingest
from features.panel import DataError
from features.sources.batch import Batch
from features.sources.files import files
from features.store import Store

D = dt.date
DAYS = [D(2024, 1, 2), D(2024, 1, 3), D(2024, 1, 4), D(2024, 1, 5), D(2024, 1, 8)]
CALENDAR = Batch("reference/calendar", "calendar", pl.DataFrame({"date": DAYS}))


def stocks(days: list[dt.date] = DAYS, assets: tuple[str, ...] = ("000001.XSHE", "600000.XSHG")) -> pl.DataFrame:
    keys = [(day, asset) for day in days for asset in assets]
    frame = pl.DataFrame(keys, {"date": pl.Date, "order_book_id": pl.String}, orient="row")
    fields = {"open": 10.0, "high": 10.5, "low": 9.8, "close": 10.2, "prev_close": 10.0, "limit_up": 11.0}
    fields |= {"limit_down": 9.0, "volume": 1000.0, "total_turnover": 10100.0}
    return frame.with_columns(pl.lit(value).alias(name) for name, value in fields.items())


def futures(days: list[dt.date], contract: str = "IF2403", settlement: float = 3400.0) -> pl.DataFrame:
    prices = dict.fromkeys(("open", "high", "low", "close", "settlement", "prev_settlement"), 3400.0)
    fields = prices | {"settlement": settlement, "open_interest": 10.0, "volume": 5.0}
    frame = pl.DataFrame({"date": days, "order_book_id": [contract] * len(days)})
    return frame.with_columns(pl.lit(value).alias(name) for name, value in fields.items())


def changed(frame: pl.DataFrame, row: int, **values: float | str | None) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == row
    return frame.with_columns(pl.when(here).then(pl.lit(v)).otherwise(pl.col(k)).alias(k) for k, v in values.items())


def reasons(report: IngestReport, severity: str = "quarantine") -> dict[str, int]:
    found = report.reasons().filter(pl.col("severity") == severity)
    return dict(found.select("reason", "rows").rows())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    ingest([CALENDAR], store)
    return store


def test_good_rows_are_stored_and_a_second_run_changes_nothing(store: Store) -> None:
    batch = Batch("CS", "stocks", stocks())
    first = ingest([batch], store)
    assert (first.batches[0].new, first.quarantined, first.rows) == (10, 0, 10)
    versions = store.versions(store.tables())
    again = ingest([CALENDAR, batch], store)
    assert [(b.new, b.restated, b.unchanged) for b in again.batches] == [(0, 0, 5), (0, 0, 10)]
    assert store.versions(store.tables()) == versions
    assert store.read("CS", ["close"]).values["close"].tolist() == [[10.2, 10.2]] * 5


def test_a_bad_row_is_set_aside_with_its_reasons_its_origin_and_its_raw_form(store: Store) -> None:
    frame = changed(stocks(), 3, high=9.7, close=9.75).with_columns(pl.lit("浦发").alias("name"))
    report = ingest([Batch("CS", "bad.csv", frame)], store)
    assert reasons(report) == {"high_below_low": 1, "open_outside_range": 1, "close_outside_range": 1, "volume_unit": 1}
    assert report.batches[0].quarantined == 1
    assert report.batches[0].new == 9
    (row,) = store.scan("quarantine/CS").collect().to_dicts()
    assert (row["date"], row["order_book_id"], row["origin"]) == (DAYS[1], "600000.XSHG", "bad.csv")
    assert row["reason"] == "high_below_low,open_outside_range,close_outside_range,volume_unit"
    raw = json.loads(row["raw"])
    assert raw["high"] == 9.7
    assert raw["name"] == "浦发"
    assert "columns left out, the contract does not know them: name" in report.batches[0].notes


def test_rows_in_are_rows_stored_quarantined_or_repeated_whatever_is_wrong(store: Store) -> None:
    rng = np.random.default_rng(11)
    names = ["open", "high", "low", "close", "volume", "total_turnover", "limit_up", "order_book_id", "date"]
    damage: list[float | None] = [None, -1.0, 0.0, float("inf"), float("nan"), 1e9]
    for trial in range(15):
        frame = stocks(DAYS, tuple(f"{n:06d}.XSHE" for n in range(12)))
        for _ in range(6):
            name, value = names[rng.integers(len(names))], damage[rng.integers(len(damage))]
            frame = changed(frame, int(rng.integers(len(frame))), **{name: None if name in names[-2:] else value})
        frame = pl.concat([frame, frame.sample(5, seed=trial)]).sample(fraction=1.0, shuffle=True, seed=trial)
        root = Store(store.root.parent / f"trial{trial}")
        report = ingest([CALENDAR, Batch("CS", "x", frame)], root).batches[1]
        assert report.rows == report.new + report.quarantined + report.duplicates == 65
        held = root.scan("bars/CS").collect()
        assert len(held) == report.new
        assert report.quarantined > 0
        assert held.select(pl.all_horizontal(pl.col("high", "low") > 0)).to_series().all()


def test_an_evening_that_was_quarantined_adds_nothing_when_it_comes_again(store: Store) -> None:
    batch = Batch("CS", "bad.csv", changed(stocks(), 3, high=-1.0))
    ingest([batch], store)
    version = store.version("quarantine/CS")
    ingest([batch], store)
    assert store.version("quarantine/CS") == version
    assert len(store.scan("quarantine/CS").collect()) == 1


def test_of_equal_repetitions_one_stays_and_of_contradicting_ones_the_last(store: Store) -> None:
    frame = pl.concat([stocks(), stocks().head(2), changed(stocks(), 0, close=10.3).head(1)])
    report = ingest([Batch("CS", "x", frame)], store).batches[0]
    assert (report.rows, report.new, report.duplicates, report.quarantined) == (13, 10, 2, 1)
    assert reasons(IngestReport((report,), 0.0)) == {"duplicate_key": 1}
    assert store.read("CS", ["close"])["close"][0, 0] == 10.3
    assert json.loads(store.scan("quarantine/CS").collect()["raw"][0])["close"] == 10.2


def test_a_restatement_is_counted_and_the_old_version_stays(store: Store) -> None:
    ingest([Batch("CS", "x", stocks())], store)
    report = ingest([Batch("CS", "y", changed(stocks(), 4, close=10.4))], store).batches[0]
    assert (report.new, report.restated, report.unchanged) == (0, 1, 9)
    assert store.changed_from("bars/CS", 0) == DAYS[2]
    assert store.read("CS", ["close"], version=0)["close"].max() == 10.2


@pytest.mark.parametrize(
    "form",
    [
        lambda c: c.cast(pl.Datetime("ms")),
        lambda c: c.cast(pl.Datetime("ns")).dt.replace_time_zone("Asia/Shanghai").dt.convert_time_zone("UTC"),
        lambda c: c.cast(pl.String),
        lambda c: c.dt.strftime("%Y%m%d"),
        lambda c: c.dt.strftime("%Y%m%d").cast(pl.Int64),
        lambda c: c.dt.strftime("%Y/%m/%d"),
        lambda c: c.cast(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S"),
    ],
)
def test_dates_come_in_many_forms_and_are_stored_as_dates(store: Store, form: Callable[[pl.Expr], pl.Expr]) -> None:
    ingest([Batch("CS", "x", stocks().with_columns(form(pl.col("date"))))], store)
    assert store.read("CS", ["close"]).sessions.astype(object).tolist() == DAYS


def test_columns_come_in_any_order_as_integers_and_text(store: Store) -> None:
    frame = stocks().select(sorted(stocks().columns)).with_columns(pl.col("volume").cast(pl.Int32))
    frame = frame.with_columns(pl.col("close").cast(pl.String), suspended=pl.lit("0"), is_st=pl.lit(1))
    ingest([Batch("CS", "x", frame)], store)
    schema = store.scan("bars/CS").collect_schema()
    assert {schema[name] for name in ("volume", "close", "open")} == {pl.Float64()}
    assert (schema["suspended"], schema["is_st"]) == (pl.Boolean, pl.Boolean)
    panels = store.read("CS", ["close", "suspended", "is_st"])
    assert (panels["close"].max(), panels["suspended"].max(), panels["is_st"].min()) == (10.2, 0.0, 1.0)


def test_text_that_is_no_number_or_no_date_sets_its_row_aside(store: Store) -> None:
    frame = stocks().with_columns(pl.col("close").cast(pl.String), pl.col("date").cast(pl.String))
    frame = changed(changed(changed(frame, 1, close="ten"), 2, close="--", volume=0.0), 3, date="today")
    report = ingest([Batch("CS", "x", frame)], store)
    assert reasons(report) == {"unreadable_value": 1, "missing_price": 1, "missing_key": 1}
    assert report.quarantined == 2
    assert reasons(report, "flag")["no_price"] == 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: f.rename({"close": "closing"}), "must have the column close .收盘价, price.*nearest.*'closing'"),
        (lambda f: f.drop("limit_up"), "must have the column limit_up"),
        (lambda f: f.with_columns(order_book_id=pl.lit(1)), "must be text; found Int32.*lost its zeros"),
        (lambda f: f.with_columns(close=pl.lit("x")), "close must hold numbers; found String 'x'"),
        (lambda f: f.with_columns(close=pl.lit(D(2020, 1, 1))), "close must hold numbers; found Date"),
        (lambda f: f.with_columns(suspended=pl.lit(D(2020, 1, 1))), "suspended must hold flags"),
        (lambda f: f.with_columns(date=pl.lit("yesterday")), "date must hold dates like 2024-01-31; found String 'yes"),
        (lambda f: f.with_columns(date=pl.lit(1.5)), "date must hold dates"),
        (lambda f: f.with_columns(date=pl.lit(D(1024, 1, 2))), "between 1990 and 2100; found 1024-01-02"),
        (lambda f: f.with_columns(pl.col("volume") / 100), "lots of 100 shares"),
        (lambda f: f.clear(), "must hold rows"),
    ],
)
def test_a_batch_that_breaks_the_contract_is_refused_by_name(store: Store, spoil, says: str) -> None:
    with pytest.raises(DataError, match=f"(?s)here.csv: .*{says}"):
        ingest([Batch("CS", "here.csv", spoil(stocks()))], store)
    assert not store.exists("bars/CS")


def test_an_unknown_class_and_an_empty_source_are_refused(store: Store) -> None:
    with pytest.raises(DataError, match="Did you mean Future"):
        ingest([Batch("Futures", "x", stocks())], store)
    with pytest.raises(DataError, match="at least one table"):
        ingest([], store)


def test_rows_on_closed_days_are_set_aside_and_days_past_the_ingested_calendar_ask_the_exchange(store: Store) -> None:
    frame = stocks([DAYS[0], D(2024, 1, 6), D(2024, 1, 9), D(2024, 1, 13)], ("a",))
    report = ingest([Batch("CS", "x", frame)], store)
    assert reasons(report) == {"date_not_a_session": 2}
    assert store.scan("bars/CS").collect()["date"].to_list() == [DAYS[0], D(2024, 1, 9)]


def test_the_settlement_before_is_compared_across_evenings(store: Store) -> None:
    ingest([Batch("Future", "x", futures(DAYS[:1], settlement=3410.0).with_columns(high=pl.lit(3410.0)))], store)
    report = ingest([Batch("Future", "x", futures(DAYS[1:3]))], store)
    assert reasons(report, "flag") == {"prev_settlement_mismatch": 1}


def test_turnover_of_futures_is_judged_by_the_multiplier_of_the_instruments(store: Store) -> None:
    frame = futures(DAYS).with_columns(total_turnover=pl.lit(5 * 3400.0 * 300))
    without = ingest([Batch("Future", "x", frame)], store).batches[0]
    assert "turnover is not checked against volume: no contract multiplier is known" in without.notes
    known = pl.DataFrame({"order_book_id": ["IF2403"], "type": ["Future"], "contract_multiplier": [300.0]})
    wrong = changed(frame, 2, total_turnover=5 * 3400.0)
    report = ingest([Batch("reference/instruments", "i", known), Batch("Future", "x", wrong)], store)
    assert reasons(report) == {"volume_unit": 1}
    assert report.batches[1].notes == ("optional fields absent: limit_up, limit_down, contract_multiplier",)


def test_assets_without_a_reference_row_get_one_listed_on_their_first_row(store: Store) -> None:
    ingest([Batch("Future", "x", futures(DAYS[2:]))], store)
    ingest([Batch("CS", "x", stocks(DAYS[1:]))], store)
    (made,) = store.instruments("Future").to_dicts()
    assert (made["listed_date"], made["listed_date_source"], made["underlying_symbol"]) == (DAYS[2], "first_row", "IF")
    ingest([Batch("Future", "x", futures(DAYS[:1]))], store)
    assert store.instruments("Future")["listed_date"].to_list() == [DAYS[0]]
    given = pl.DataFrame({"order_book_id": ["IF2403"], "type": ["Future"], "listed_date": ["2023-07-24"]})
    ingest([Batch("reference/instruments", "i", given), Batch("Future", "x", futures(DAYS[:2]))], store)
    (kept,) = store.instruments("Future").to_dicts()
    assert (kept["listed_date"], kept["listed_date_source"], kept["underlying_symbol"]) == (
        D(2023, 7, 24),
        "reference",
        "IF",
    )
    assert store.instruments("CS")["listed_date"].to_list() == [DAYS[1]] * 2


def test_reference_tables_keep_their_columns_and_unknown_ones_are_replaced_as_a_whole(store: Store) -> None:
    when = [dt.datetime(2024, 1, 2), None]
    spot = pl.DataFrame({"product": ["RB", "RB"], "as_of": when, "announced_date": ["2024-01-02", "0000-00-00"]})
    ingest([Batch("reference/spot", "s", spot)], store)
    held = store.scan("reference/spot").collect()
    assert sorted(held.rows(), key=str) == sorted([("RB", DAYS[0], DAYS[0]), ("RB", None, None)], key=str)
    ingest([Batch("reference/spot", "s", spot)], store)
    assert store.version("reference/spot") == 0
    ingest([Batch("reference/spot", "s", spot.head(1))], store)
    assert len(store.scan("reference/spot").collect()) == 1


def test_odd_reference_rows_are_kept_and_named(store: Store) -> None:
    rate = [0.02, 0.021, 0.045, 0.02, 0.03]
    rates = pl.DataFrame({"date": DAYS, "curve": ["cgb"] * 5, "tenor": ["1Y"] * 5, "rate": rate})
    maturing = [D(2024, 1, 6), D(2024, 1, 8), None, D(2031, 1, 1)]
    listed = pl.DataFrame({"order_book_id": list("abcd"), "type": ["Future"] * 4, "maturity_date": maturing})
    report = ingest([Batch("reference/rates", "r", rates), Batch("reference/instruments", "i", listed)], store)
    assert report.reasons().select("reason", "rows", "first").rows() == [
        ("rate_spike", 1, "2024-01-04, cgb, 1Y"),
        ("maturity_not_a_session", 1, "a, Future, 2024-01-06"),
    ]
    assert len(store.scan("reference/rates").collect()) == 5


@pytest.mark.parametrize(
    ("table", "frame", "says"),
    [
        ("reference/rates", pl.DataFrame({"date": DAYS, "rate": [0.1] * 5}), "must have the column curve"),
        ("reference/instruments", pl.DataFrame({"order_book_id": [1], "type": ["CS"]}), "must be text"),
        ("reference/instruments", pl.DataFrame({"order_book_id": ["a", "a"], "type": ["CS", "ETF"]}), "one row for"),
    ],
)
def test_a_reference_table_without_its_keys_is_refused(
    store: Store, table: str, frame: pl.DataFrame, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        ingest([Batch(table, "r.csv", frame)], store)


def test_the_report_reads_as_lines_and_as_frames(store: Store) -> None:
    seen = []
    report = ingest([Batch("CS", "x.csv", changed(stocks(), 3, close=99.0))], store, progress=seen.append)
    assert [s.origin for s in seen] == ["x.csv"]
    assert "1 quarantined" in str(report)
    assert "close_outside_range, first at 2024-01-03 600000.XSHG" in str(report)
    assert report.files().row(0, named=True) == {
        "origin": "x.csv",
        "table": "CS",
        "rows": 10,
        "new": 9,
        "restated": 0,
        "unchanged": 0,
        "duplicates": 0,
        "quarantined": 1,
    }


@pytest.mark.real
def test_the_real_folder_is_taken_as_it_is_and_its_known_defects_are_named(market: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    report = ingest(files(market), store)
    assert report.seconds < 30
    found = {(Path(o).name, r): n for o, r, n in report.reasons().select("origin", "reason", "rows").rows()}
    bars = report.files().filter(~pl.col("table").str.starts_with("reference/"))
    assert bars["quarantined"].sum() < 1e-4 * bars["rows"].sum()
    expected = {
        ("stocks.parquet", "missing_num_trades"): 278435,
        ("etfs.parquet", "missing_num_trades"): 7624,
        ("cffex_index.parquet", "missing_open_interest"): 8,
        ("cffex_treasury.parquet", "missing_open_interest"): 6377,
        ("cffex_treasury.parquet", "missing_total_turnover"): 6377,
        ("shfe_rb.parquet", "missing_total_turnover"): 26230,
        ("instruments.parquet", "maturity_not_a_session"): 2,
    }
    assert {key: found.get(key) for key in expected} == expected
    for key in (
        ("etfs.parquet", "missing_iopv"),
        ("cffex_index.parquet", "missing_settlement"),
        ("cffex_treasury.parquet", "missing_rows"),
        ("sse_510050.parquet", "missing_settlement"),
        ("rates.parquet", "rate_spike"),
    ):
        assert found[key] > 0
    covered = check(store, "ETF").coverage
    of_2014 = covered.filter((pl.col("field") == "iopv") & (pl.col("year") == 2014)).row(0, named=True)
    assert round(of_2014["share"] * of_2014["rows"]) == 245 - 32
    said = " ".join(check(store, "CS").warnings)
    assert "survivorship bias" in said
    assert "their age is unknown" in said
    again = ingest(files(market), store)
    assert again.files()["new"].sum() == again.files()["restated"].sum() == 0
