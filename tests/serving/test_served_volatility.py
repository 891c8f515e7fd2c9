"""Volatilities of a registered book: rows with a forecast or a reason, the same alone and in a range, out of sample."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.cells import cell_len

from features.panel import ConfigError, DataError
from features.store import Store
from models.base import FitError
from models.volatility.base import Returns
from serving.books import UNTOLD, ServedBook
from serving.predict import load_served, predict, predict_range
from serving.prediction import columns_of, level_name
from serving.sink import WITHDRAWN, give, stored
from tests.command_line import Daybar
from tests.serving.conftest import SETTINGS, futures_bars
from training.book import Book
from training.open_book import open_book
from training.tracking import Tracking
from training.volatility_config import VolatilityConfig

MODEL = "vol_small@champion"
DAYS = futures_bars()["date"].unique().sort().to_list()
VALUES = ["sigma", "sigma_h", "mu_h", "var_95", "var_99", "es_95", "es_99", "model", "persistence", "dof", "status"]
COLUMNS = ["asof", "effective", "asset", "target", "horizon", "run_id", *VALUES]
COLUMNS += ["margin", "leverage", "contracts", "reason"]


def test_the_frame_has_a_row_a_product_and_horizon_with_its_keys_and_values(trained_book: Path) -> None:
    given = predict(trained_book, None, MODEL, DAYS[199])
    frame = given.frame
    assert frame.columns == COLUMNS
    assert frame.select("asset", "horizon").rows() == [(p, h) for p in "ABC" for h in (1, 5, 20)]
    assert frame["asof"].unique().to_list() == [DAYS[199]]
    assert frame["effective"].unique().to_list() == [DAYS[200]]
    assert frame["target"].unique().to_list() == ["volatility"]
    assert frame["run_id"].unique().to_list() == [given.model.run_id]
    assert (frame["sigma"].is_null() == frame["reason"].is_not_null()).all()
    assert dict(given.left_out) == {"too short: 29 returns of 60": 1}
    assert given.coverage == pytest.approx(2 / 3)
    known = given.scored
    assert known["sigma"].to_list() == pytest.approx((known["sigma_h"] * (242 / known["horizon"]).sqrt()).to_list())
    assert (known["es_99"] > known["var_99"]).all()
    assert (known["var_99"] > known["var_95"]).all()


def test_the_first_forecast_is_the_variance_of_a_plain_loop(trained_book: Path) -> None:
    bars = futures_bars().filter(pl.col("order_book_id") == "A_MAIN").sort("date")
    given = predict(trained_book, None, MODEL, DAYS[60])
    row = given.frame.row(by_predicate=(pl.col("asset") == "A") & (pl.col("horizon") == 1), named=True)
    returns = np.diff(np.log(bars["close"].to_numpy()))[:60]
    # 60 returns are the first that are enough: the fit sees them all, and none lies beyond 8 MADs.
    error = returns - returns.mean()
    h = float(error @ error / 60)
    for e in error:
        h = 0.94 * h + 0.06 * e * e
    assert row["model"] == "ewma", "while no loss is known the base serves"
    assert row["sigma_h"] == pytest.approx(math.sqrt(h), rel=1e-9)


def test_a_session_is_the_same_alone_and_in_a_range_before_and_after_the_training(trained_book: Path) -> None:
    span = predict_range(trained_book, None, MODEL, DAYS[190], DAYS[240])
    assert [one.frame["asof"][0] for one in span.predictions] == DAYS[190:241]
    for at in (190, 199, 200, 221, 240):
        alone = predict(trained_book, None, MODEL, DAYS[at]).frame
        assert_frame_equal(alone, span.predictions[at - 190].frame, check_exact=True)


def test_a_forecast_needs_no_future(trained_book: Path, tmp_path: Path) -> None:
    store, day = Store(trained_book / "store"), DAYS[230]
    past = Store(tmp_path / "past")
    past.upsert("bars/Future", store.scan("bars/Future").filter(pl.col("date") <= day).collect())
    past.upsert("reference/calendar", store.scan("reference/calendar").collect(), keys=("date",))
    names = store.scan("reference/instruments").collect()
    past.upsert("reference/instruments", names, keys=("order_book_id",))
    then = predict(trained_book, past, MODEL).frame
    assert_frame_equal(then, predict(trained_book, store, MODEL, day).frame, check_exact=True)


def test_a_product_that_stopped_or_has_begun_says_so(trained_book: Path) -> None:
    last = predict(trained_book, None, MODEL)
    assert last.frame["asof"][0] == DAYS[-1]
    told = dict(last.frame.drop_nulls("reason").select("asset", "reason").unique().rows())
    assert told == {"B": f"no return on {DAYS[-1]}: the last one on {DAYS[-4]}"}
    assert last.scored["asset"].unique().sort().to_list() == ["A", "C"], "C has enough returns since"


def test_a_day_that_is_none_or_lies_outside_the_bars_is_refused(trained_book: Path) -> None:
    with pytest.raises(ConfigError, match="asof must be a session"):
        predict(trained_book, None, MODEL, "2020-02-01")
    with pytest.raises(DataError, match="bars/Future must hold that session"):
        predict(trained_book, None, MODEL, "2021-06-01")


def test_a_book_of_which_a_row_is_missing_strange_or_twice(trained_book: Path) -> None:
    served = load_served(trained_book, None, MODEL)
    assert isinstance(served, ServedBook)
    day = np.datetime64(DAYS[199])

    class Odd:
        products, horizons = ("A", "Z"), (1,)

        def __init__(self, change: str) -> None:
            self.change = change

        def extend(self, store: Store, asof: np.datetime64, say: object) -> Odd:
            return self

        def forecast(self, asof: np.datetime64) -> pl.DataFrame:
            rows = served.book.extend(served.store, day, lambda line: None).forecast(day)
            row = rows.filter((pl.col("product") == "A") & (pl.col("horizon") == 1))
            row = row.with_columns(dof=pl.lit(math.inf))
            strange = row.with_columns(product=pl.lit("Q"))
            return {"missing": row, "twice": pl.concat([row, row]), "strange": pl.concat([row, strange])}[self.change]

    given = replace(served, book=Odd("missing")).between(day, day).predictions[0]  # type: ignore[arg-type]
    assert given.frame.select("asset", "dof", "reason").rows() == [("A", None, None), ("Z", None, UNTOLD)]
    for change in ("twice", "strange"):
        with pytest.raises(DataError, match="each of its products and horizons once; found 2 rows"):
            replace(served, book=Odd(change)).between(day, day)  # type: ignore[arg-type]


def test_giving_is_idempotent_and_a_product_that_is_gone_keeps_a_row(book_home: Path) -> None:
    given = predict(book_home, None, MODEL, DAYS[199])
    store, folder = given.store, book_home / "predictions"
    first, (path,) = give(store, given, folder, csv=True)
    assert (first.new, path) == (9, folder / "vol_small" / f"{DAYS[199]}.parquet")
    assert_frame_equal(pl.read_parquet(path), given.frame, check_exact=True)
    assert pl.read_csv(path.with_suffix(".csv")).shape == given.frame.shape
    again, _ = give(store, given, folder)
    assert (again.new, again.restated, again.unchanged, again.version) == (0, 0, 9, first.version)
    smaller = replace(given, frame=given.frame.filter(pl.col("asset") != "B"))
    later, _ = give(store, smaller, folder)
    assert (later.restated, later.unchanged) == (3, 6)
    rows = stored(store, given.columns, given.model.run_id).collect().sort("asset", "horizon")
    assert rows.columns == COLUMNS
    gone = rows.filter(pl.col("asset") == "B")
    assert gone["reason"].unique().to_list() == [WITHDRAWN]
    assert all(gone[name].null_count() == 3 for name in given.columns.values)
    assert gone.schema == given.frame.schema


def test_the_names_of_levels() -> None:
    assert [level_name(x) for x in (0.9, 0.95, 0.975, 0.99, 0.999)] == ["90", "95", "975", "99", "999"]


def test_the_columns_follow_the_levels_of_the_run(trained_book: Path) -> None:
    manifest = load_served(trained_book, None, MODEL).manifest
    other = replace(manifest, settings=manifest.settings.replace("0.99", "0.975"))
    names = list(columns_of(other).values)
    assert [name for name in names if name.startswith(("var", "es"))] == ["var_95", "var_975", "es_95", "es_975"]


# ---- the command line ------------------------------------------------------------------------------------------------


def test_predict_shows_a_row_a_product_and_where_it_went(daybar: Daybar, book_home: Path) -> None:
    code, out, err = daybar("predict", MODEL, "--asof", DAYS[199], "--home", book_home)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    head = next(line for line in lines if line.startswith("product"))
    assert head.split()[:9] == ["product", "名称", "sigma", "1", "sigma", "5", "sigma", "20", "VaR"]
    frame = pl.read_parquet(book_home / "predictions" / "vol_small" / f"{DAYS[199]}.parquet")
    row = frame.row(by_predicate=(pl.col("asset") == "A") & (pl.col("horizon") == 1), named=True)
    shown = next(line for line in lines if line.startswith("A ")).split()
    assert [f"{row['sigma']:.1%}", f"{row['var_99']:.2%}", f"{row['margin']:,.0f}"] == [shown[2], shown[5], shown[6]]
    assert str(row["contracts"]) in shown
    assert "without a forecast: C: too short: 29 returns of 60" in lines
    assert f"as of {DAYS[199]}, for the sessions from {DAYS[200]} on" in lines
    assert not any("not out of sample" in line for line in lines), "every forecast of a walk is out of sample"


def test_predict_shows_a_range_and_compares_two_sessions(daybar: Daybar, book_home: Path) -> None:
    code, out, _ = daybar("predict", MODEL, "--from", DAYS[199], "--to", DAYS[-1], "--home", book_home)
    assert code == 0
    first = next(line for line in out.splitlines() if line.startswith(str(DAYS[199])))
    assert first.split()[1:3] + first.split()[4:5] == ["2", "1", "B"]
    code, out, _ = daybar("predict", MODEL, "--diff", DAYS[150], DAYS[-1], "--csv", "--home", book_home)
    assert code == 0
    assert f"vol_small 1: {DAYS[150]} (forecast now) and {DAYS[-1]} (stored)" in out
    assert "1 product with a forecast on both sessions" in out
    assert "Lost their forecast" in out
    assert "Gained a forecast" in out
    rows = pl.read_csv(book_home / "predictions" / "vol_small" / f"diff_{DAYS[150]}_{DAYS[-1]}.csv")
    assert len(rows) == 9


def test_a_training_is_shown_in_aligned_columns_registered_and_repeated(
    daybar: Daybar, book_home: Path, tmp_path: Path
) -> None:
    told = SETTINGS | {"name": "again", "register": {"name": "vol_again"}}
    told |= {"data": {"store": "store", "products": ("A",), "end": dt.date(2020, 6, 30)}}
    path = tmp_path / "again.yaml"
    path.write_text(VolatilityConfig.model_validate(told).dump(), encoding="utf-8")
    code, out, err = daybar("train", path, "--home", book_home)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("product"))
    assert cell_len(lines[at]) == cell_len(lines[at + 1]), "Chinese names are two cells a character"
    assert lines[at + 1].startswith("A 黄大豆1号")
    assert not any(line.startswith("rows:") for line in lines)
    assert f"next: daybar predict vol_again@champion --home {book_home}" in lines
    run_id = next(line for line in lines if line.startswith("run ")).split()[1]
    code, out, err = daybar("train", "--replay", run_id, "--home", book_home)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith("numbers compared: all the same")


@pytest.mark.parametrize("verb", [("build",), ("check", "lookahead"), ("check", "placebo")])
def test_what_a_volatility_config_cannot_be_asked_for_is_refused(daybar: Daybar, verb: tuple[str, ...]) -> None:
    config = Path(__file__).parents[2] / "configs" / "futures_vol.yaml"
    answer = daybar(*verb, config)
    assert answer.code == 1
    told = answer.refusal()
    assert (told["who"], told["found"]) == (" ".join(verb), "volatility")
    assert told["must"] == "its config must be of the task alpha"


def test_a_tear_sheet_of_futures_is_refused(daybar: Daybar, tmp_path: Path) -> None:
    answer = daybar("factors", "fut_settle_close_gap", "--tear-sheet", tmp_path / "x.html", "--asset-class", "Future")
    assert answer.code == 1
    assert answer.refusal()["must"] == "the class must be CS, which has labels"


# ---- as an MLflow model ----------------------------------------------------------------------------------------------


def sample(product: str = "A", count: int = 100) -> pl.DataFrame:
    bars = futures_bars().filter(pl.col("order_book_id") == f"{product}_MAIN").sort("date")
    returns = bars.select("date", pl.col("close").log().diff().alias("return")).drop_nulls()
    told = {"product": pl.lit(product), "session": pl.col("date").cast(pl.String)}
    return returns.with_columns(**told).select("product", "session", "return").head(count)


@pytest.fixture
def loaded(trained_book: Path) -> tuple[mlflow.pyfunc.PyFuncModel, Book]:
    ref = Tracking(trained_book).resolve(MODEL)
    book = open_book(ref.folder)
    assert isinstance(book, Book)
    return mlflow.pyfunc.load_model(str(ref.folder.parents[1])), book


def test_the_logged_model_forecasts_each_product_after_its_last_row(
    loaded: tuple[mlflow.pyfunc.PyFuncModel, Book],
) -> None:
    model, book = loaded
    both = pl.concat([sample("A"), sample("B", 90)]).to_pandas()
    found = pl.from_pandas(model.predict(both.sample(frac=1, random_state=2)))
    assert found.select("product", "session", "horizon").rows() == [
        (p, str(DAYS[n]), h) for p, n in (("A", 100), ("B", 90)) for h in (1, 5, 20)
    ]
    expected = book.project("B", Returns(sample("B", 90)["return"].to_numpy()))
    assert found.filter(pl.col("product") == "B")["sigma"].to_list() == pytest.approx(expected["sigma"].to_list())
    assert found["sigma"].to_list() == pytest.approx((found["sigma_h"] * (242 / found["horizon"]).sqrt()).to_list())


def test_the_logged_model_refuses_what_is_not_one_series_of_numbers(
    loaded: tuple[mlflow.pyfunc.PyFuncModel, Book],
) -> None:
    model, _ = loaded
    frame = sample().to_pandas()
    with pytest.raises(DataError, match=f"A must have a row a session; found two, first at {frame['session'][3]}"):
        model.predict(frame.loc[[*range(20), 3]])
    with pytest.raises(DataError, match="product Q: it must have a forecast"):
        model.predict(frame.assign(product="Q"))
    frame.loc[7, "return"] = math.nan
    with pytest.raises(
        DataError, match=f"return of A must be a finite number; found none, first at {frame['session'][7]}"
    ):
        model.predict(frame)
    with pytest.raises(FitError, match="range_variance must be finite and not negative"):
        model.predict(sample().to_pandas().assign(range_variance=-1.0))
    with pytest.raises(DataError, match="there must be returns"):
        model.predict(frame.head(0))


def test_the_logged_model_is_of_its_task_and_holds_no_pickle(trained_book: Path) -> None:
    tracking = Tracking(trained_book)
    ref = tracking.resolve(MODEL)
    folder = ref.folder.parents[1]
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}
    assert kinds <= {".json", ".yaml", ".py", ".txt", ".parquet", ""}
    told = json.loads((folder / "serving_input_example.json").read_text())
    assert told["dataframe_split"]["columns"] == ["product", "session", "return"]
    run = tracking.client.get_run(ref.run_id)
    model = tracking.client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert model.model_type == "volatility"
    assert {m.key for m in model.metrics} == {"qlike_ratio_1/chosen", "qlike_ratio_5/chosen", "products/judged"}
    assert isinstance(dt.date.fromisoformat(told["dataframe_split"]["data"][0][1]), dt.date)
