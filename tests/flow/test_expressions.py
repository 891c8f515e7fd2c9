"""Factors that a user writes in a config, in both syntaxes: the whole road from the text to a served prediction."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from features.catalogue import catalogue
from features.chunk import MARKET
from features.materialise import materialise
from features.panel import ConfigError
from features.store import Store
from serving.bring import bring_simulation
from serving.predict import predict
from tests.command_line import Daybar
from tests.small_market import small_store
from training.config import load
from training.manifest import Manifest
from training.mlruns import relocate
from training.run import train
from training.tracking import Tracking

ROOT = Path(__file__).resolve().parents[2]
MOMENTUM, DEVIATION = "close / lag(close, 20) - 1", "Mean($close, 20)/$close-1"
TEXTS = {"mom_20": MOMENTUM, "qlib_dev": DEVIATION, "calm_mom": "mom_20 / (ts_std(cs_ret_1d, 20) + 0.01)"}
CONFIG = f"""
name: own
features:
  sets: [rules]
  families: [alpha158_corr]
  exclude: [rule_cs_systemic, rule_cs_systemic_adj, rule_cs_systemic_alt]
  expressions: {json.dumps(TEXTS)}
data: {{universe: {{min_turnover: 0}}}}
split: {{train: 220, test: 60}}
preprocess: {{kind: zscore}}
model: {{kind: linear}}
evaluate: {{top_k: 5, min_names: 10}}
register: {{name: own}}
"""
SMALL = """
name: small
features: {{sets: [], expressions: {expressions}}}
model: {{kind: linear}}
"""


def config_of(expressions: dict[str, str]) -> Path:
    """A config of these expressions alone, in the working folder."""
    file = Path("small.yaml")
    file.write_text(SMALL.format(expressions=json.dumps(expressions)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the tiny market and a model on the config, to be left as it is."""
    home = tmp_path_factory.mktemp("own")
    bring_simulation(home / "store", "tiny", "planted", 0)
    (home / "own.yaml").write_text(CONFIG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        train(load(home / "own.yaml"), home)
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    copy = tmp_path / "home"
    shutil.copytree(trained, copy)
    relocate(copy)
    return copy


def manifest_of(home: Path) -> Manifest:
    return Manifest.load(Tracking(home).resolve("own@champion").folder)


def column(store: Store, name: str) -> pd.DataFrame:
    """A stored column, sessions by assets; NaN without a row too."""
    rows = store.scan("factors/CS").filter(pl.col("order_book_id") != MARKET)
    return laid_out(rows, name)


def field(store: Store, name: str) -> pd.DataFrame:
    """A field of the bars with trade, sessions by assets."""
    return laid_out(store.scan("bars/CS").filter(pl.col("volume") > 0), name)


def laid_out(rows: pl.LazyFrame, name: str) -> pd.DataFrame:
    long = rows.select("date", "order_book_id", name).collect().to_pandas().astype({name: float})
    return long.set_index(["date", "order_book_id"])[name].unstack()  # noqa: PD010


def after_absence(traded: pd.DataFrame) -> np.ndarray:
    """Where a stock is within 60 sessions of its return, or its first bar, after more than 20 without a trade."""
    out = np.zeros(traded.shape, dtype=bool)
    for k, of_asset in enumerate(traded.to_numpy().T):
        there = [-1, *np.flatnonzero(of_asset)]
        for last, back in itertools.pairwise(there):
            if back - last > 21:
                out[back : back + 60, k] = True
    return out


def momentum(store: Store, sessions: int) -> pd.DataFrame:
    close = field(store, "close")
    return (close / close.shift(sessions) - 1).mask(after_absence(close.notna()))


def same(got: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal to the precision of the store, gaps included, and not mostly gaps."""
    expected = expected.reindex(index=got.index, columns=got.columns)
    assert np.isfinite(expected.to_numpy()).mean() > 0.5
    np.testing.assert_allclose(got.to_numpy(), expected.to_numpy(), rtol=1e-6, atol=1e-7)


# ---- from the text to the prediction --------------------------------------------------------------------------------


def test_the_store_holds_what_plain_pandas_makes_of_our_syntax(trained: Path) -> None:
    store = Store(trained / "store")
    same(column(store, "mom_20"), momentum(store, 20))


def test_the_store_holds_what_plain_pandas_makes_of_qlibs_syntax(trained: Path) -> None:
    store = Store(trained / "store")
    close = field(store, "close")
    # Returns against the ex-right price, one on the other, are an adjusted price; qlib's windows need one valid cell.
    adjusted = (close / field(store, "prev_close")).cumprod()
    same(column(store, "qlib_dev"), (adjusted.rolling(20, min_periods=1).mean() / adjusted - 1).where(close.notna()))


def test_an_expression_reads_another_and_factors_of_the_catalogue(trained: Path) -> None:
    store = Store(trained / "store")
    close = field(store, "close")
    risk = (close / field(store, "prev_close") - 1).rolling(20, min_periods=12).std()
    expected = momentum(store, 20) / (risk + 0.01)
    same(column(store, "calm_mom"), expected.mask(after_absence(close.notna())))


def test_the_manifest_holds_the_texts_and_the_hashes(trained: Path) -> None:
    manifest = manifest_of(trained)
    assert manifest.expressions == TEXTS
    assert set(TEXTS) < set(manifest.factors), "beside a set"


def test_another_process_serves_them_from_the_manifest_alone(home: Path) -> None:
    expected = predict(home, None, "own@champion").frame
    assert len(expected) > 40
    # Neither the config nor a built column is left: the texts come with the model.
    (home / "own.yaml").unlink()
    shutil.rmtree(home / "store" / "factors")
    ran = subprocess.run(
        [sys.executable, "-m", "serving.cli", "predict", "own@champion", "--home", str(home)],
        capture_output=True, text=True, cwd=ROOT, timeout=120, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    file = re.search(r"^file: (.+)$", ran.stdout, re.MULTILINE)
    assert file, ran.stdout
    assert pl.read_parquet(file[1]).equals(expected)
    assert set(TEXTS) <= set(Store(home / "store").scan("factors/CS").collect_schema().names())


# ---- another text under the same name -------------------------------------------------------------------------------


def test_another_text_computes_that_column_and_what_reads_it_and_no_other(home: Path) -> None:
    store = Store(home / "store")
    names = list(manifest_of(home).factors)
    before = store.scan("factors/CS").collect()
    changed = {**TEXTS, "mom_20": "close / lag(close, 10) - 1"}
    report = materialise(store, catalogue("CS").with_expressions(changed), names)
    assert set(report.columns) == {"mom_20", "calm_mom"}
    same(column(store, "mom_20"), momentum(store, 10))
    others = [c for c in before.columns if c not in report.columns]
    assert store.scan("factors/CS").select(others).collect().equals(before.select(others))


def test_a_text_written_otherwise_that_means_the_same_computes_nothing(home: Path) -> None:
    spaced = {**TEXTS, "mom_20": "(close)/lag( close,n=20 ) -1.0"}
    report = materialise(Store(home / "store"), catalogue("CS").with_expressions(spaced), spaced)
    assert report.columns == ()


def test_a_model_scores_by_its_own_text_whatever_was_built_under_the_name_since(daybar: Daybar, home: Path) -> None:
    asked = ("predict", "own@champion", "--home", home)
    assert daybar(*asked).code == 0
    (file,) = (home / "predictions" / "own").glob("*.parquet")
    before = pl.read_parquet(file)
    changed = ("build", home / "own.yaml", "--home", home, "--set", "features.expressions.mom_20=close / open - 1")
    answer = daybar(*changed)
    assert answer.code == 0
    assert "built 2 factors" in answer.out
    store = Store(home / "store")
    assert column(store, "mom_20").notna().sum().sum() > momentum(store, 20).notna().sum().sum()
    assert daybar(*asked).code == 0
    assert pl.read_parquet(file).equals(before)
    same(column(store, "mom_20"), momentum(store, 20))


def test_a_manifest_whose_text_is_not_the_one_that_was_learnt_is_refused(daybar: Daybar, home: Path) -> None:
    file = Tracking(home).resolve("own@champion").folder / "manifest.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    assert "Mean($close, 20)" in told["settings"]
    told["settings"] = told["settings"].replace("Mean($close, 20)", "Mean($close, 19)")
    file.write_text(json.dumps(told), encoding="utf-8")
    answer = daybar("predict", "own@champion", "--home", home)
    said = answer.refusal()
    assert answer.code == 2
    assert said["must"] == "the code must compute its factors as they were when it was trained"
    assert "1 of" in said["found"]
    assert "qlib_dev: " in said["found"]


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expressions", "who", "must", "found"),
    [
        ({"cs_ret_1d": "close"}, "cs_ret_1d", "its name must be its own", "a factor of that name"),
        ({"close": "open"}, "close", "its name must be its own", "a field of that name"),
        ({"board": "open"}, "board", "its name must be its own", "a fact of that name"),
        ({"vwap": "total_turnover / volume"}, "vwap", "its name must be its own", "a $field of qlib's of that name"),
        ({"date": "open"}, "date", "its name must be its own", "a column of the store of that name"),
        ({"Mom": "open"}, "Mom", "its name must be in small letters", "Mom"),
        ({"my-mom": "open"}, "my-mom", "its name must be letters, digits and underscores", "'my-mom'"),
        ({"a": "a + close"}, "a", "it must not read itself", "a reads a"),
        ({"a": "lag(b, 1)", "b": "$a / $close"}, "a", "it must not read itself", "a reads b reads a"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_name_that_is_taken_or_reads_itself_is_refused(expressions, who: str, must: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        catalogue("CS").with_expressions(expressions)
    assert (caught.value.who, caught.value.must, caught.value.found) == (f"expression {who}", must, found)


def test_a_circle_of_several_names_them_in_the_order_of_reading() -> None:
    with pytest.raises(ConfigError) as caught:
        catalogue("CS").with_expressions({"a": "b + close", "b": "c * 2", "c": "ts_mean(a, 5)", "d": "a"})
    circle = caught.value.found.split(" reads ")
    assert (set(circle), circle[0], len(circle)) == ({"a", "b", "c"}, circle[-1], 4)
    assert "a reads b" in " reads ".join([*circle, *circle[1:]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "ts_mean(clse, 5) / close",
            "a name must be a field, a fact or a factor; found clse, first at column 9.\n  Did you mean close?\n"
            "    ts_mean(clse, 5) / close\n            ^\n",
        ),
        (
            "Mean($clos, 5)",
            "a field must be known; found $clos, first at column 6.\n  Did you mean $close?\n"
            "    Mean($clos, 5)\n         ^\n",
        ),
        (
            "close / lag(close, -1)",
            "n of lag must be 0 or more; found -1, first at column 20.\n  A negative one would look ahead.\n"
            "    close / lag(close, -1)\n                       ^\n",
        ),
    ],
    ids=["our name", "qlib's field", "a negative lag"],
)
@pytest.mark.parametrize("verb", [("build",), ("train",), ("check", "lookahead")], ids=" ".join)
def test_a_text_that_cannot_be_read_is_shown_with_a_caret(daybar: Daybar, verb, text: str, says: str) -> None:
    small_store(Path("store"))
    answer = daybar(*verb, config_of({"mine": text}))
    assert answer == (1, "", f"error: expression mine: {says}")
    assert not Store("store").exists("factors/CS")
    assert not Path("mlruns").exists()


@pytest.mark.parametrize("verb", ["build", "train"])
@pytest.mark.parametrize(
    "expressions",
    [{"peek": "Ref($close, -2) / $close - 1"}, {"above": "ts_mean(peek, 5)", "peek": "Ref($close, -2) / $close - 1"}],
    ids=["itself", "below another"],
)
def test_what_looks_ahead_is_refused_before_anything_is_made(daybar: Daybar, verb: str, expressions) -> None:
    small_store(Path("store"))
    answer = daybar(verb, config_of(expressions))
    said = answer.refusal()
    assert answer.code == 1
    assert said["who"] == "factor peek"
    assert said["found"] == "one that looks 2 sessions ahead"
    assert "daybar check lookahead" in said["help"]
    assert not Store("store").exists("factors/CS")
    assert not Path("mlruns").exists()


def test_a_run_whose_factors_all_lack_a_field_is_refused_with_the_field(daybar: Daybar) -> None:
    small_store(Path("store"))
    answer = daybar("train", config_of({"trade_size": "volume / num_trades"}))
    assert answer.code == 2
    assert answer.err == (
        "error: features: a factor must be computable from the store's bars; found none.\n"
        "  trade_size needs num_trades.\n"
    )
    assert not Path("mlruns").exists()


def test_a_comma_that_ends_a_text_without_quotes_is_explained(daybar: Daybar) -> None:
    small_store(Path("store"))
    Path("bare.yaml").write_text(
        "name: bare\nfeatures: {expressions: {a: Mean($close, 20)/$close-1}}\nmodel: {kind: linear}\n", encoding="utf-8"
    )
    answer = daybar("build", "bare.yaml")
    assert answer.code == 1
    assert answer.refusal()["help"] == "quote the expression: inside { } a comma ends what is not quoted\n"


def test_a_config_of_expressions_alone_is_one(daybar: Daybar) -> None:
    store = small_store(Path("store"))
    config = config_of({"in_order": "ts_mean(swing, 5)", "swing": "(high - low) / close", "振幅": "swing"})
    answer = daybar("build", config)
    assert (answer.code, answer.err) == (0, "")
    assert "built 3 factors" in answer.out
    high, low, close = (field(store, f) for f in ("high", "low", "close"))
    same(column(store, "振幅"), (high - low) / close)
    expected = ((high - low) / close).rolling(5, min_periods=3).mean()
    same(column(store, "in_order"), expected.where(close.notna()).mask(after_absence(close.notna())))
