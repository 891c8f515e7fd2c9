"""What the terminal shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl
import pytest

from features.ingest import ingest
from features.materialise import BuildReport
from features.sources.batch import Batch
from features.store import Store
from serving import show
from tests.small_market import bars, calendar
from training.page import headline
from training.run import Trained

METRICS = {"rank_ic/mean": 0.0512, "holdout_rank_ic/mean": -0.01}
TRAINED = Trained("0123abcd", METRICS, (), {"kept": 1234}, "m", 2, "best", tuple(headline(METRICS)))


def test_a_table_shows_every_row_with_numbers_a_reader_can_read(capsys) -> None:
    columns = {"name": ["平安", None], "count": [1234567, 2], "share": [0.123456, 12345.678], "flag": [True, False]}
    frame = pl.DataFrame(columns)
    show.console.print(show.frame_table(frame, "A title"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["A", "title"]
    assert lines[1] == ["name", "count", "share", "flag"]
    assert lines[2] == ["平安", "1,234,567", "0.1235", "True"]
    assert lines[3] == ["2", "1.235e+04", "False"]


def test_an_ingest_shows_where_the_rows_went_and_what_the_reasons_mean(tmp_path: Path, capsys) -> None:
    store = Store(tmp_path)
    rows = bars(stocks=3, count=90).with_row_index()
    high = pl.when(pl.col("index") == 7).then(pl.col("low") * 0.9).otherwise("high")
    broken = rows.with_columns(high=high).drop("index")
    batches = [Batch("reference/calendar", "a/calendar", calendar()), Batch("CS", "x/market/CS/2020.csv", broken)]
    show.ingested(ingest(batches, store))
    text = capsys.readouterr().out
    assert "CS/2020.csv" in text
    assert "x/market" not in text
    row = next(line.split() for line in text.splitlines() if line.startswith("CS/2020.csv"))
    assert row[:3] == ["CS/2020.csv", "CS", str(len(broken))]
    assert row[-1] == "1"
    assert "high_below_low: The high lies below the low." in text
    assert text.rstrip().endswith("1 in quarantine")


def test_a_build_says_what_is_absent(capsys) -> None:
    show.built(BuildReport(("a", "b"), 1500, 120_000, {"c": "needs num_trades"}, 3, 10))
    text = capsys.readouterr().out
    assert "built 2 factors on 1,500 sessions, 120,000 rows (bars version 3)" in text
    assert "absent: c needs num_trades" in text


@pytest.mark.parametrize(
    ("changes", "following"),
    [
        ({}, "next: daybar predict m@best --home some"),
        ({"name": None, "version": None, "alias": None}, "next: daybar predict runs:0123abcd --home some"),
    ],
)
def test_a_training_says_what_to_type_next(changes, following: str, capsys) -> None:
    show.trained(dataclasses.replace(TRAINED, **changes), Path("some"))
    lines = capsys.readouterr().out.splitlines()
    assert ["RankIC,", "mean", "+0.0512", "-0.0100"] in [line.split() for line in lines]
    assert following in lines
    assert ("registered m version 2, alias best" in lines) == (not changes)
    assert "rows: kept 1,234" in lines


def test_elsewhere_than_on_a_terminal_progress_shows_nothing(capsys) -> None:
    with show.progress("sessions") as moved:
        moved(1, 10)
    assert capsys.readouterr().out == ""
