"""Folders and files as users have them: one file, one a year, one an asset; Parquet and CSV; and what is refused."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import features.sources.files as module
from features.ingest import ingest
from features.panel import ConfigError, DataError
from features.sources.files import files
from features.sources.frame import from_frame
from features.store import Store

D = dt.date
DAYS = [D(2023, 12, 28), D(2023, 12, 29), D(2024, 1, 2), D(2024, 1, 3)]
ASSETS = ["000001.XSHE", "000858.XSHE", "600000.XSHG"]


def stocks(days: list[dt.date] = DAYS, assets: list[str] = ASSETS) -> pl.DataFrame:
    keys = [(asset, day) for asset in assets for day in days]
    frame = pl.DataFrame(keys, {"order_book_id": pl.String, "date": pl.Date}, orient="row")
    fields = {"open": 10.0, "high": 10.5, "low": 9.8, "close": 10.2, "prev_close": 10.0, "limit_up": 11.0}
    fields |= {"limit_down": 9.0, "volume": 1000.0, "total_turnover": 10100.0}
    return frame.with_columns(pl.lit(value).alias(name) for name, value in fields.items())


def stored(tmp_path: Path, source: Path, asset_class: str | None = None) -> pl.DataFrame:
    store = Store(tmp_path / "store")
    report = ingest(files(source, asset_class), store)
    assert report.quarantined == 0
    return store.scan("bars/CS").select(stocks().columns).collect().sort("order_book_id", "date")


def one_file(folder: Path, suffix: str) -> None:
    write(stocks(), folder / f"stocks{suffix}")


def one_a_year(folder: Path, suffix: str) -> None:
    for year in (2023, 2024):
        write(stocks().filter(pl.col("date").dt.year() == year), folder / f"{year}{suffix}")


def one_an_asset(folder: Path, suffix: str) -> None:
    for asset in ASSETS:
        write(stocks(assets=[asset]).drop("order_book_id"), folder / f"{asset}{suffix}")


def write(frame: pl.DataFrame, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file) if file.suffix == ".parquet" else frame.write_csv(file)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".CSV"])
@pytest.mark.parametrize("lay", [one_file, one_a_year, one_an_asset])
@pytest.mark.parametrize("flat", [False, True])
def test_every_layout_gives_the_same_rows(tmp_path: Path, lay, suffix: str, flat: bool) -> None:
    market = tmp_path / "行情 data"
    lay(market if flat else market / "CS", suffix)
    assert stored(tmp_path, market, "CS" if flat else None).equals(stocks())


def test_a_single_file_and_a_folder_named_by_its_class_are_sources_too(tmp_path: Path) -> None:
    one_file(tmp_path / "market" / "CS", ".csv")
    for source in (tmp_path / "market" / "CS" / "stocks.csv", tmp_path / "market" / "CS"):
        assert [(b.table, len(b.frame)) for b in files(source)] == [("CS", 12)]
    assert [b.table for b in files(tmp_path / "market" / "CS" / "stocks.csv", "ETF")] == ["ETF"]


def test_reference_tables_come_first_calendar_and_instruments_before_the_rest(tmp_path: Path) -> None:
    one_file(tmp_path / "CS", ".parquet")
    for name in ("bonds", "calendar", "adj_factors", "instruments"):
        write(pl.DataFrame({"date": DAYS}), tmp_path / "reference" / f"{name}.parquet")
    tables = [batch.table for batch in files(tmp_path)]
    names = ("calendar", "instruments", "adj_factors", "bonds")
    assert tables == [*(f"reference/{name}" for name in names), "CS"]
    assert [batch.table for batch in files(tmp_path, "CS")] == tables


def test_ids_and_codes_of_csv_stay_text_and_numbers_of_reference_tables_are_numbers(tmp_path: Path) -> None:
    write(stocks().with_columns(pl.col("order_book_id").str.slice(0, 6)), tmp_path / "CS" / "x.csv")
    listed = pl.DataFrame(
        {"order_book_id": ["000001"], "type": ["CS"], "board_code": ["01"], "contract_multiplier": [5]}
    )
    write(listed, tmp_path / "reference" / "instruments.csv")
    reference, bars = files(tmp_path)
    assert bars.frame["order_book_id"].unique().sort().to_list() == ["000001", "000858", "600000"]
    assert reference.frame.row(0) == ("000001", "CS", "01", 5)


def test_a_csv_in_the_encoding_of_chinese_spreadsheets_is_read(tmp_path: Path) -> None:
    frame = stocks().with_columns(name=pl.lit("平安银行"))
    (tmp_path / "x.csv").write_bytes(frame.write_csv().encode("gb18030"))
    (batch,) = files(tmp_path, "CS")
    assert batch.frame["name"].unique().to_list() == ["平安银行"]


def test_thousands_of_small_files_are_few_batches_and_every_row_knows_its_file(tmp_path: Path) -> None:
    for n in range(60):
        write(stocks(assets=["x"]).drop("order_book_id"), tmp_path / "CS" / f"{n:06d}.XSHE.csv")
    odd = (
        stocks(assets=["x"])
        .drop("order_book_id")
        .with_columns(pl.when(pl.col("date") == DAYS[1]).then(-1.0).alias("low"))
    )
    write(odd.with_columns(pl.col("low").fill_null(9.8)), tmp_path / "CS" / "000007.XSHE.csv")
    (batch,) = files(tmp_path)
    assert len(batch.frame) == 240
    assert "and 59 more" in batch.origin
    store = Store(tmp_path / "store")
    report = ingest([batch], store)
    assert (report.batches[0].new, report.quarantined) == (239, 1)
    assert store.version("bars/CS") == 0
    assert store.scan("quarantine/CS").collect()["origin"].to_list() == [str(tmp_path / "CS" / "000007.XSHE.csv")]


def test_a_file_with_other_columns_among_many_is_judged_alone(tmp_path: Path) -> None:
    for n in range(30):
        write(stocks(assets=["x"]).drop("order_book_id"), tmp_path / "CS" / f"{n:06d}.XSHE.csv")
    write(stocks(assets=["x"]).drop("order_book_id", "volume"), tmp_path / "CS" / "000013.XSHE.csv")
    with pytest.raises(DataError, match=r"000013.XSHE.csv: bars of CS must have the column volume"):
        ingest(files(tmp_path), Store(tmp_path / "store"))


def test_many_rows_are_several_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW_FILES", 2)
    monkeypatch.setattr(module, "ROWS_A_BATCH", 20)
    for n in range(7):
        write(stocks(assets=["x"]).drop("order_book_id"), tmp_path / "CS" / f"{n:06d}.XSHE.csv")
    assert [len(batch.frame) for batch in files(tmp_path)] == [20, 8]


def test_a_large_file_comes_year_by_year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 10)
    frame = pl.concat(
        [stocks().with_columns(pl.col("date").cast(pl.String)), stocks().head(1).with_columns(date=pl.lit("?"))]
    )
    write(frame, tmp_path / "CS" / "all.parquet")
    batches = list(files(tmp_path))
    assert [(batch.origin.rsplit(" (")[-1], len(batch.frame)) for batch in batches] == [
        ("2023)", 6),
        ("2024)", 6),
        ("no date)", 1),
    ]
    assert Counter(row for batch in batches for row in batch.frame.rows()) == Counter(frame.rows())


@pytest.mark.parametrize(
    ("make", "asset_class", "says"),
    [
        (lambda p: p.mkdir(), None, r"there must be .parquet, .pq, .csv, .csv.gz files; found none"),
        (
            lambda p: (p / "CS").mkdir(parents=True),
            None,
            r"there must be .parquet, .pq, .csv, .csv.gz files; found none",
        ),
        (
            lambda p: write(stocks(), p / "x.csv"),
            None,
            "asset class must be known from the folder or be given.*CS/, ETF/",
        ),
        (lambda p: write(stocks(), p / "x.csv"), "Stock", "asset class must be one of"),
        (
            lambda p: write(stocks().drop("order_book_id"), p / "2023.csv"),
            "CS",
            "2023.csv: it must have the column order_book_id",
        ),
        (lambda p: (p.mkdir(), (p / "x.parquet").write_bytes(b"no parquet")), "CS", "x.parquet: it must be a whole"),
        (lambda p: (p.mkdir(), (p / "x.csv").write_bytes(b"")), "CS", "x.csv: it must be a whole Parquet or CSV"),
        (
            lambda p: (p.mkdir(), (p / "x.csv").write_text("date,open\n2020-01-02,1,2,3\n")),
            "CS",
            "x.csv: it must be a whole",
        ),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_by_name(
    tmp_path: Path, make, asset_class: str | None, says: str
) -> None:
    make(tmp_path / "market")
    with pytest.raises(DataError, match=f"(?s){says}"):
        list(files(tmp_path / "market", asset_class))


def test_a_path_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"files: the path must exist; found .*nowhere"):
        files(tmp_path / "nowhere")


def test_a_frame_of_pandas_with_an_index_of_id_and_date_is_a_source(tmp_path: Path) -> None:
    table = stocks().to_pandas().set_index(["order_book_id", "date"])
    batch = from_frame(table, "CS")
    assert (batch.table, batch.origin) == ("CS", "frame")
    store = Store(tmp_path / "store")
    ingest([batch, from_frame(stocks(), "CS", "again")], store)
    assert store.scan("bars/CS").select(stocks().columns).collect().sort("order_book_id", "date").equals(stocks())
    assert store.version("bars/CS") == 0


@pytest.mark.parametrize("frame", [pd.DataFrame({"date": [D(2024, 1, 2), "x"]}), {"date": 1}])
def test_what_is_no_frame_of_columns_is_refused(frame) -> None:
    with pytest.raises(DataError, match="must"):
        from_frame(frame, "CS")
