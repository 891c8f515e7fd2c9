"""Bad input at the command line: who, what must hold, what was found, where first, what would help, the exit code.

This file is long because it goes through every verb.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from features.sessions import exchange_calendar
from features.store import Store
from tests.command_line import Daybar
from tests.small_market import bars

ROOT = Path(__file__).resolve().parents[2]
LINEAR = ROOT / "configs" / "alpha_linear.yaml"


@pytest.fixture(scope="module")
def good() -> pl.DataFrame:
    """Bars of twelve stocks on sessions of the exchange."""
    frame = bars()
    known = exchange_calendar("2020-01-02", "2020-12-31").sessions.astype(object).tolist()
    return frame.filter(pl.col("date").is_in(known))


def given(frame: pl.DataFrame, name: str = "bars.csv") -> Path:
    """The frame as a file of a market folder in the working folder; the folder."""
    file = Path("market") / "CS" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_csv(file) if name.endswith(".csv") else frame.write_parquet(file)
    return Path("market")


def on_row(number: int, name: str, value: pl.Expr) -> pl.Expr:
    """The column with another value on one row."""
    return pl.when(pl.int_range(pl.len()) == number).then(value).otherwise(pl.col(name)).alias(name)


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_good_bars_are_taken_as_they_are(daybar: Daybar, good: pl.DataFrame, name: str) -> None:
    answer = daybar("ingest", "files", "--path", given(good, name))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.rstrip().endswith(" 0 in quarantine")
    stored = Store("store").scan("bars/CS").select(good.columns).collect()
    assert stored.sort("order_book_id", "date").equals(good.sort("order_book_id", "date"))


# ---- what refuses a whole file: exit code 2, and nothing is stored --------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "file", "must", "found", "helps"),
    [
        (
            lambda f: f.drop("volume"),
            "bars.csv",
            "bars of CS must have the column volume (成交量, shares or contracts)",
            "date, order_book_id, open, high, low, close,",
            "Give order_book_id, date, open,",
        ),
        (
            lambda f: f.rename({"volume": "vol"}),
            "bars.csv",
            "bars of CS must have the column volume",
            "vol",
            "The nearest column there is 'vol': rename it if it means the same.",
        ),
        (
            lambda f: f.with_columns(close=pl.lit("high")),
            "bars.csv",
            "the column close must hold numbers",
            "String 'high', first at row 1",
            "leave a cell empty where there is no value",
        ),
        (
            lambda f: f.with_columns(close=on_row(0, "date", pl.lit(None))),
            "bars.parquet",
            "the column close must hold numbers",
            "Date datetime.date(2020, 1, 2), first at row 2",
            "leave a cell empty where there is no value",
        ),
        (
            lambda f: f.with_columns(order_book_id=pl.lit(1)),
            "bars.parquet",
            "order_book_id must be text",
            "Int32, first at 1",
            "As a number 000001 has lost its zeros",
        ),
        (
            lambda f: f.with_columns(volume=pl.col("volume") / 100),
            "bars.csv",
            "volume must be in shares (contracts) and total_turnover in yuan",
            "it seems that the volume is in lots of 100 shares (手), first at 2020-01-02 600000.XSHG",
            "Multiply volume by 100.",
        ),
        (
            lambda f: f.with_columns(total_turnover=pl.col("total_turnover") / 10_000),
            "bars.csv",
            "volume must be in shares (contracts) and total_turnover in yuan",
            "the turnover is in 万元",
            "Multiply total_turnover by 10000.",
        ),
    ],
    ids=["no-volume", "volume-named-vol", "words-for-numbers", "dates-for-numbers", "numbers-for-ids", "lots", "wan"],
)
def test_a_file_that_breaks_the_contract_is_refused(
    daybar: Daybar, good: pl.DataFrame, spoil, file: str, must: str, found: str, helps: str
) -> None:
    answer = daybar("ingest", "files", "--path", given(spoil(good), file))
    said = answer.refusal()
    assert answer.code == 2
    assert said["who"] == f"market/CS/{file}"
    assert must in said["must"]
    assert found in said["found"]
    assert helps in said["help"]
    assert Store("store").tables() == []


def test_a_file_of_bad_rows_alone_is_bad_data(daybar: Daybar, good: pl.DataFrame) -> None:
    answer = daybar("ingest", "files", "--path", given(good.with_columns(high=pl.col("low") * 0.9), "bars.csv"))
    said = answer.refusal()
    assert answer.code == 2
    assert said["must"] == "some row of bars must be right"
    assert f"all {len(good):,} in quarantine" in said["found"]
    assert len(Store("store").scan("quarantine/CS").collect()) >= len(good)


def test_a_path_that_is_not_there_is_wrong_input(daybar: Daybar) -> None:
    answer = daybar("ingest", "files", "--path", "nowhere")
    assert answer.code == 1
    assert "the path must exist" in answer.refusal()["must"]


@pytest.mark.parametrize("folder", ["market", "market/CS"])
def test_an_empty_folder_is_refused(daybar: Daybar, folder: str) -> None:
    Path(folder).mkdir(parents=True)
    answer = daybar("ingest", "files", "--path", "market")
    said = answer.refusal()
    assert answer.code == 2
    assert said["found"] == "none, first at market"
    assert said["help"].startswith("Lay files out as CS/, ETF/")


def test_dates_that_nobody_can_read_are_refused(daybar: Daybar, good: pl.DataFrame) -> None:
    answer = daybar("ingest", "files", "--path", given(good.with_columns(date=pl.lit("soon"))))
    assert answer.code == 2
    assert "the column date must hold dates like 2024-01-31; found String 'soon'" in answer.err


# ---- what sets rows aside: they are counted, kept in the quarantine, and the rest is stored -------------------------


@pytest.mark.parametrize(
    ("spoil", "reason", "first", "rows"),
    [
        (
            lambda f: pl.concat([f, f.slice(3, 2).with_columns(pl.col("volume") + 1)]),
            "duplicate_key",
            "2020-01-02 600004.XSHG",
            2,
        ),
        (
            lambda f: f.with_columns(on_row(7, "high", pl.col("low") * 0.9)),
            "high_below_low",
            "2020-01-02 600008.XSHG",
            1,
        ),
        (
            lambda f: f.with_columns(on_row(7, "date", pl.date(2020, 1, 4))),
            "date_not_a_session",
            "2020-01-04 600008.XSHG",
            1,
        ),
        (
            lambda f: f.with_columns(on_row(7, "volume", pl.col("volume") / 100)),
            "volume_unit",
            "2020-01-02 600008.XSHG",
            1,
        ),
        (
            lambda f: f.with_columns(on_row(7, "close", pl.lit("?")).cast(pl.String)),
            "unreadable_value",
            "2020-01-02 600008.XSHG",
            1,
        ),
    ],
    ids=["duplicated-keys", "high-below-low", "no-session", "lots-on-a-row", "no-number"],
)
def test_rows_that_break_a_rule_are_set_aside_and_told(
    daybar: Daybar, good: pl.DataFrame, spoil, reason: str, first: str, rows: int
) -> None:
    spoilt = spoil(good)
    answer = daybar("ingest", "files", "--path", given(spoilt))
    assert (answer.code, answer.err) == (0, "")
    told = next(line.split() for line in answer.out.splitlines() if f" {reason} " in line)
    assert told == ["CS/bars.csv", "CS", "quarantine", reason, str(rows), *first.split()]
    assert f"{reason}: " in answer.out
    assert answer.out.rstrip().endswith(f"{rows} in quarantine")
    store = Store("store")
    aside = store.scan("quarantine/CS").collect()
    assert len(aside) == rows
    assert aside["reason"].str.contains(reason).all()
    assert len(store.scan("bars/CS").collect()) == len(spoilt) - rows
    checked = daybar("check")
    assert checked.code == 0
    assert [reason, str(rows)] in [line.split() for line in checked.out.splitlines()]


def test_rows_that_repeat_exactly_are_dropped_and_counted(daybar: Daybar, good: pl.DataFrame) -> None:
    answer = daybar("ingest", "files", "--path", given(pl.concat([good, good.head(5)])))
    row = next(line.split() for line in answer.out.splitlines() if line.startswith("CS/bars.csv"))
    assert (answer.code, row[-2:]) == (0, ["5", "0"])


def test_the_same_file_twice_changes_nothing(daybar: Daybar, good: pl.DataFrame) -> None:
    for _ in range(2):
        answer = daybar("ingest", "files", "--path", given(good))
    row = next(line.split() for line in answer.out.splitlines() if line.startswith("CS/bars.csv"))
    assert row[2:] == [f"{len(good):,}", "0", "0", f"{len(good):,}", "0", "0"]
    assert Store("store").version("bars/CS") == 0


# ---- a market that is not there -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--store", "nope"),
        ("build", "--store", "nope"),
        ("train", LINEAR, "--set", "data.store=nope"),
        ("build", LINEAR),
    ],
    ids=["check", "build", "train", "build-config"],
)
def test_an_empty_store_says_to_ingest_first(daybar: Daybar, arguments: tuple[object, ...]) -> None:
    answer = daybar(*arguments)
    said = answer.refusal()
    assert answer.code == 2
    assert said["who"].startswith("store ")
    assert "none" in said["found"] or said["found"] == "no table"
    assert "daybar ingest" in said["help"]
    assert not Path("mlruns").exists()


def test_the_card_of_a_factor_does_without_a_store(daybar: Daybar) -> None:
    answer = daybar("factors", "cs_ret_1d", "--store", "nope")
    assert (answer.code, answer.err) == (0, "")
    assert "no bars of CS" in answer.out


def test_a_store_of_reference_tables_alone_says_to_ingest_first(daybar: Daybar) -> None:
    days = pl.DataFrame({"date": [dt.date(2024, 1, 2)]})
    Store("store").upsert("reference/calendar", days, keys=("date",))
    for verb in ("check", "build"):
        answer = daybar(verb)
        assert answer.code == 2
        assert "daybar ingest" in answer.refusal()["help"]


def test_a_class_that_the_store_does_not_hold_is_told_with_those_it_does(daybar: Daybar, good: pl.DataFrame) -> None:
    daybar("ingest", "files", "--path", given(good))
    answer = daybar("check", "--asset-class", "ETF")
    assert (answer.code, answer.err) == (2, "error: check: the asset class must be one of: CS; found 'ETF'.\n")


@pytest.mark.parametrize("first", ["real", "simulated"])
def test_real_and_simulated_bars_do_not_share_a_store(daybar: Daybar, good: pl.DataFrame, first: str) -> None:
    real = ("ingest", "files", "--path", given(good))
    simulated = ("ingest", "simulator", "--size", "tiny", "--seed", "3")
    one, other = (real, simulated) if first == "real" else (simulated, real)
    assert daybar(*one).code == 0
    before = Store("store").describe()
    answer = daybar(*other)
    said = answer.refusal()
    assert answer.code == 1
    assert said["who"] == "store store"
    assert said["found"] == ("real bars" if first == "real" else "simulated: tiny, world planted, seed 3")
    assert Store("store").describe().equals(before)
    assert daybar(*one).code == 0, "its own bars still come in"


def test_another_simulation_is_refused_and_the_same_one_is_nothing_new(daybar: Daybar) -> None:
    assert daybar("ingest", "simulator", "--size", "tiny").code == 0
    before = Store("store").describe()
    assert daybar("ingest", "simulator", "--size", "tiny").code == 0
    answer = daybar("ingest", "simulator", "--size", "tiny", "--world", "null")
    assert answer.code == 1
    assert answer.refusal()["found"] == "simulated: tiny, world planted, seed 0"
    assert Store("store").describe().equals(before)


# ---- what a config asks for -----------------------------------------------------------------------------------------


def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_key(daybar: Daybar) -> None:
    Path("mine.yaml").write_text(f"extends: {LINEAR}\nname: mine\nlabel:\n  horizn: 10\n", encoding="utf-8")
    answer = daybar("train", "mine.yaml")
    said = answer.refusal()
    assert answer.code == 1
    assert said == {
        "who": "mine.yaml:4 label.horizn",
        "must": "the key must be a known one",
        "found": "'horizn'",
        "help": "did you mean horizon?\n",
    }


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["label.horizon=soon"], "it must be a whole number; found soon (text)"),
        (["label.horizon=500"], "it must be less than or equal to 60; found 500"),
        (["split.holdout=0"], "it must be greater than 0; found 0"),
        (["model.params.depth=3"], "the key must be a known one; found 'depth'"),
        (["label"], "it must read key.path=value; found 'label'"),
        (["data.start=2024-01-02", "data.end=2023-01-02"], "the start must lie before the end"),
        (["features.sets=[stock_cor]"], "factor set stock_cor: it must be one of CS's"),
        (["features.names=[cs_ret_2d]"], "factor name cs_ret_2d: it must be one of CS's"),
    ],
)
def test_a_wrong_setting_is_refused_before_data_is_read(daybar: Daybar, overrides: list[str], says: str) -> None:
    answer = daybar("train", LINEAR, *(word for one in overrides for word in ("--set", one)))
    assert answer.code == 1
    assert says in answer.err
    assert "Traceback" not in answer.err
    assert not Path("mlruns").exists(), "nothing is made for a run that cannot begin"


def test_a_config_that_is_not_there_is_refused(daybar: Daybar) -> None:
    answer = daybar("train", "nope.yaml")
    assert answer.code == 1
    assert answer.err == "error: nope.yaml: it must be a readable UTF-8 file; found No such file or directory.\n"


# ---- what a prediction asks for -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "asof", "code", "says"),
    [
        ("alpha_linear@champion", None, 1, r"did you mean alpha_linear_5d@champion \(version 1\)\?\n  registered: "),
        ("alpha_linear_5d/4", None, 1, r"registered: alpha_linear_5d@champion \(version 1\); alpha_xgb_5d@champion"),
        ("runs:12", None, 1, "error: model runs:12: the run must be there; found "),
        ("alpha_linear_5d@champion", "2021-09-20", 1, "The sessions around it are 2021-09-17 and 2021-09-22"),
        ("alpha_linear_5d@champion", "20210917x", 1, "a day must read like 2024-02-09; found '20210917x'"),
        (
            "alpha_linear_5d@champion",
            "2023-12-29",
            2,
            r"must hold that session; .*\n  Ingest the bars of",
        ),
        ("alpha_linear_5d@champion", "2020-06-01", 2, "universe of CS: it must hold an asset on some session"),
    ],
)
def test_a_prediction_that_cannot_be_made_is_refused(
    daybar: Daybar, demo_home: Path, model: str, asof: str | None, code: int, says: str
) -> None:
    answer = daybar("predict", model, "--home", demo_home, *(("--asof", asof) if asof else ()))
    assert answer.code == code
    assert re.search(says, answer.err), answer.err
    assert answer.err.startswith("error: ")
    assert not (demo_home / "predictions" / "alpha_linear_5d").exists()


def test_in_a_shell_a_refusal_is_one_message_on_stderr_and_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    start = "from serving.cli import main; main()"
    for arguments, code in ((("ingest", "files", "--path", "market"), 2), (("train", "nope.yaml"), 1)):
        ran = subprocess.run(
            [sys.executable, "-c", start, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=120,
            check=False,
        )
        assert (ran.returncode, ran.stdout) == (code, "")
        assert re.match(r"error: .+: .+; found .+\.", ran.stderr), ran.stderr
        assert "Traceback" not in ran.stderr


# ---- what serving is asked for and cannot give: exit code 1 for the question, 2 for the data ------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "must", "found"),
    [
        (
            ("predict", "--from", "2021-09-24", "--to", "2021-09-17"),
            1,
            "a range must not end before it starts",
            "2021-09-24 after 2021-09-17",
        ),
        (("predict", "--from", "2021-09-18", "--to", "2021-09-20"), 1, "a range must hold a session", "days without"),
        (("predict", "--from", "2021-09-17", "--to", "2031-09-17"), 2, "bars/CS must hold that session", "sessions"),
        (("predict", "--diff", "2021-09-17", "2021-09-17"), 1, "it must be given two sessions", "2021-09-17 twice"),
        (("predict", "--diff", "2021-09-17", "2021-09-18"), 1, "asof must be a session", "a day without trading"),
        (("watch", "--window", "5000"), 2, "the training must have sessions before the window", "none before"),
    ],
    ids=["backwards", "holidays", "no-bars-yet", "one-session", "no-session", "no-reference"],
)
def test_a_question_that_serving_cannot_answer_is_refused(
    daybar: Daybar, demo_home: Path, arguments, code: int, must: str, found: str
) -> None:
    verb, *options = arguments
    answer = daybar(verb, "alpha_linear_5d@champion", *options, "--home", demo_home)
    said = answer.refusal()
    assert answer.code == code
    assert said["must"] == must
    assert said["found"].startswith(found)
