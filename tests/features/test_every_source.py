"""What every source must keep to. A source is a module of features.sources; its example stands in EXAMPLES."""

from __future__ import annotations

import datetime as dt
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import features.sources
from features.fields import ASSET_CLASSES, required_fields
from features.ingest import ingest
from features.panel import DataError
from features.sources.batch import Batch
from features.sources.files import files
from features.sources.frame import from_frame
from features.sources.simulator import batches, simulate
from features.store import Store

THE_SEAM = {"batch"}
DAYS = [dt.date(2024, 1, 2), dt.date(2024, 1, 3)]


def index_bars() -> pl.DataFrame:
    prices = {name: [3400.0, 3410.0] for name in ("open", "high", "low", "close")}
    return pl.DataFrame({"order_book_id": ["000300.XSHG"] * 2, "date": DAYS, **prices})


def a_folder(folder: Path) -> Iterable[Batch]:
    for part in ("INDX", "reference"):
        (folder / part).mkdir(exist_ok=True)
    index_bars().write_csv(folder / "INDX" / "indices.csv")
    pl.DataFrame({"date": DAYS}).write_parquet(folder / "reference" / "calendar.parquet")
    return files(folder)


EXAMPLES: dict[str, Callable[[Path], Iterable[Batch]]] = {
    "files": a_folder,
    "frame": lambda folder: [from_frame(index_bars().to_pandas(), "INDX")],
    "simulator": lambda folder: batches(simulate("tiny", "planted", seed=2)),
}


def test_every_source_has_an_example_here() -> None:
    modules = {module.name for module in pkgutil.iter_modules(features.sources.__path__)}
    assert modules - THE_SEAM == set(EXAMPLES)


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Callable[[Path], Iterable[Batch]]:
    return EXAMPLES[request.param]


def test_batches_say_what_they_are_and_where_they_are_from(example, tmp_path: Path) -> None:
    for batch in example(tmp_path):
        assert batch.table in ASSET_CLASSES or batch.table.startswith("reference/")
        assert batch.origin
        assert isinstance(batch.frame, pl.DataFrame)
        assert len(batch.frame)


def test_bars_carry_text_ids_and_what_the_contract_requires(example, tmp_path: Path) -> None:
    bars = [batch for batch in example(tmp_path) if batch.table in ASSET_CLASSES]
    assert bars
    for batch in bars:
        assert {"order_book_id", "date", *required_fields(batch.table)} <= set(batch.frame.columns)
        assert batch.frame.schema["order_book_id"] == pl.String


def test_reference_tables_come_before_the_bars_that_they_describe(example, tmp_path: Path) -> None:
    is_reference = [batch.table.startswith("reference/") for batch in example(tmp_path)]
    assert is_reference == sorted(is_reference, reverse=True)


def test_a_source_gives_the_same_twice(example, tmp_path: Path) -> None:
    first, second = list(example(tmp_path)), list(example(tmp_path))
    assert [(b.table, b.origin) for b in first] == [(b.table, b.origin) for b in second]
    for one, other in zip(first, second, strict=True):
        assert_frame_equal(one.frame, other.frame)


def test_what_a_source_gives_is_stored_whole_and_ingesting_it_again_changes_nothing(example, tmp_path: Path) -> None:
    given = list(example(tmp_path))
    store = Store(tmp_path / "store")
    report = ingest(given, store)
    assert report.rows == sum(len(batch.frame) for batch in given)
    assert report.quarantined == 0, report
    versions = store.versions(store.tables())
    again = ingest(given, store).files()
    assert again["new"].sum() == again["restated"].sum() == 0
    assert store.versions(store.tables()) == versions


def test_what_a_source_gives_can_be_read_as_panels(example, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    given = list(example(tmp_path))
    ingest(given, store)
    for table in {batch.table for batch in given} & set(ASSET_CLASSES):
        panels = store.read(table, ["close"])
        rows = sum(batch.frame["close"].drop_nulls().len() for batch in given if batch.table == table)
        assert (panels["close"] > 0).sum() == rows


def test_a_source_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    list(a_folder(tmp_path))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    list(files(tmp_path))
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_a_refusal_of_ingest_names_the_source(tmp_path: Path) -> None:
    batch = from_frame(index_bars().drop("close"), "INDX", "get_price(...)")
    with pytest.raises(DataError, match=r"^get_price\(...\): "):
        ingest([batch], Store(tmp_path))
