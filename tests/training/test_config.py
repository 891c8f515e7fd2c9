import datetime
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import models.alpha
from training.alpha_config import AlphaConfig
from training.config import ConfigError, json_schema, load
from training.yaml_source import dump, parse

CONFIGS = Path(__file__).parents[2] / "configs"
RUNS = sorted(CONFIGS.glob("*.yaml"))
MINIMAL = "name: x\nmodel:\n  kind: xgboost\n"


@pytest.fixture
def config_file(tmp_path):
    def write(text, name="run.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return caught.value


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_every_config_loads_and_names_its_schema_on_the_first_line(path):
    config = load(path)
    assert config.data.start is None
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")
    if not isinstance(config, AlphaConfig):
        assert config.name == path.stem
        assert f"\ntask: {config.task}\n" in path.read_text(encoding="utf-8")  # by which editors choose the schema
        return
    assert config.name == f"{path.stem}_{config.label.horizon}d"
    assert config.split.train == 500
    assert config.data.benchmark == "000300.XSHG"
    assert (
        (CONFIGS / "base/cn_daily.yaml")
        .read_text(encoding="utf-8")
        .startswith("# yaml-language-server: $schema=../schema.json\n")
    )


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_the_dump_of_a_config_loads_to_an_equal_config(path, config_file):
    config = load(path, ["data.start=2021-01-04", "seed=3"])
    again = load(config_file(config.dump()))
    assert again == config
    assert again.hash == config.hash
    assert "extends" not in config.dump()


def test_the_schema_on_disk_is_the_schema_of_the_code():
    stored = json.loads((CONFIGS / "schema.json").read_text(encoding="utf-8"))
    assert stored == json_schema(), "write it anew: python -m training.config > configs/schema.json"


def test_the_schema_knows_the_settings_of_each_model_and_the_word_extends():
    parts = json_schema()["$defs"]
    for name in ("AlphaConfig", "VolatilityConfig"):
        assert "extends" in parts[name]["properties"]
        assert "register" in parts[name]["properties"]
    assert "num_leaves" in parts["LightGBMParams"]["properties"]
    assert "innovation" in parts["GarchParams"]["properties"]
    assert parts["alpha_Universe"]["additionalProperties"] is False


def test_settings_left_out_are_written_out_in_the_params(config_file):
    config = load(config_file(MINIMAL + "  params: {max_depth: 3}\n"))
    assert config.model.params["max_depth"] == 3
    assert config.model.params["learning_rate"] == models.alpha.alpha_model("xgboost")().learning_rate
    assert config.model.spec() == models.alpha.alpha_model("xgboost")(max_depth=3)


def test_a_config_is_frozen(config_file):
    config = load(config_file(MINIMAL))
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 2


@pytest.mark.parametrize(
    ("text", "line", "path", "cure"),
    [
        (MINIMAL + "data:\n  universe:\n    min_listd: 3\n", 6, "data.universe.min_listd", "did you mean min_listed?"),
        (MINIMAL + "horizon: 3\n", 4, "horizon", "did you mean label.horizon?"),
        (MINIMAL + "  params:\n    max_dept: 3\n", 5, "model.params.max_dept", "did you mean max_depth?"),
        (
            "name: x\nmodel:\n  kind: linear\n  params: {max_depth: 3}\n",
            4,
            "model.params.max_depth",
            "known here: alpha",
        ),
        (MINIMAL + "split: {trian: 2}\n", 4, "split.trian", "did you mean train?"),
    ],
)
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_known_key(config_file, text, line, path, cure):
    file = config_file(text)
    error = refused(file)
    assert error.who == f"{file}:{line} {path}"
    assert cure in error.help


@pytest.mark.parametrize(
    ("text", "line", "found", "cure"),
    [
        (MINIMAL + "data:\n  benchmark: 000300\n", 5, "000300 (a number)", "quote it: '000300'"),
        (MINIMAL + "features:\n  names: [a, 600519]\n", 5, "600519 (a number)", "quote it: '600519'"),
        (MINIMAL + "data: {universe: {exclude_st: maybe}}\n", 4, "maybe (text)", "yes or no"),
        (MINIMAL + "seed: '1'\n", 4, "1 (text)", "without quotes"),
        (MINIMAL + "features: {sets: stock_core}\n", 4, "stock_core (text)", "[stock_core]"),
        (MINIMAL + "label: {entry: nextopen}\n", 4, "nextopen (text)", "did you mean next_open?"),
        (MINIMAL + "  params: {rounds: 1e3}\n", 4, "1e3 (a number)", ""),
        (MINIMAL + "  params: {rounds: yes}\n", 4, "yes (text)", ""),
        (MINIMAL + "label: {horizon: 0}\n", 4, "0 (a number)", ""),
        (MINIMAL + "data: {start: '2020-01-02'}\n", 4, "2020-01-02 (text)", "without quotes"),
        (MINIMAL + "evaluate: {capital: .nan}\n", 4, ".nan (a number)", ""),
        (MINIMAL + "split:\n", 4, "None (null)", ""),
    ],
)
def test_a_wrong_type_is_refused_with_its_line_and_a_cure(config_file, text, line, found, cure):
    file = config_file(text)
    error = refused(file)
    assert error.who.startswith(f"{file}:{line} ")
    assert error.found == found
    assert cure in error.help


def test_a_key_that_is_missing_is_named(config_file):
    error = refused(config_file("name: x\nmodel:\n  params: {}\n"))
    assert error.who.endswith(":2 model.kind")
    assert error.must == "the key must be given"


def test_params_out_of_range_are_refused_by_the_spec_itself(config_file):
    error = refused(config_file(MINIMAL + "  params: {valid_share: 2.0}\n"))
    assert ":4 model.params" in error.who
    assert "valid_share in (0, 1)" in error.must


def test_all_errors_are_told_the_first_line_first(config_file):
    error = refused(config_file(MINIMAL + "seed: x\nlabel: {entry: y, horizn: 2}\n"))
    assert ":4 seed" in error.who
    assert ":5 label.entry" in error.help
    assert ":5 label.horizn" in error.help


@pytest.mark.parametrize(
    ("overrides", "must"),
    [
        (["label.excess=benchmark", "data.benchmark=null"], "needs data.benchmark"),
        (["split.mode=rolling", "split.window=100"], "window must not be shorter"),
        (["data.start=2022-01-04", "data.end=2021-01-04"], "start must lie before"),
        (["features.sets=[]"], "must name a factor"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(config_file, overrides, must):
    assert must in refused(config_file(MINIMAL), *overrides).must


EXPRESSIONS = """
features:
  sets: []
  expressions:
    mom_20: close / lag(close, 20) - 1
    qlib_dev: "Mean($close, 20)/$close-1"
    falling: -ts_rank(close, 5)
    both_ways: >-
      if_else(close >= open,
              high, low) / close
    量比: "volume / ts_mean(volume, 5)"
"""


def test_expressions_are_read_as_they_are_written_and_are_factors_enough(config_file):
    config = load(config_file(MINIMAL + EXPRESSIONS))
    assert config.features.expressions == {
        "mom_20": "close / lag(close, 20) - 1",
        "qlib_dev": "Mean($close, 20)/$close-1",
        "falling": "-ts_rank(close, 5)",
        "both_ways": "if_else(close >= open,\n        high, low) / close",
        "量比": "volume / ts_mean(volume, 5)",
    }
    again = load(config_file(config.dump()))
    assert again == config
    assert again.hash == config.hash


@pytest.mark.parametrize("text", ["Mean($close, 20)/$close-1", "close >= open", "-close", "if_else(a == 1, b, c)"])
def test_an_expression_is_set_from_the_command_line_and_moves_the_hash(config_file, text):
    path = config_file(MINIMAL + EXPRESSIONS)
    config = load(path, [f"features.expressions.mom_20={text}"])
    assert config.features.expressions["mom_20"] == text
    assert list(config.features.expressions) == list(load(path).features.expressions)
    assert config.hash != load(path).hash


@pytest.mark.parametrize(
    ("text", "path", "found", "cure"),
    [
        ("{a: 3}", "features.expressions.a", "3 (a number)", "quote it: '3'"),
        ("{a: }", "features.expressions.a", "None (null)", "quote the expression: inside { } a comma ends"),
        ("{a: Mean($close, 2)}", "features.expressions.2)", "None (null)", "quote the expression: inside { } a comma"),
        ("[close]", "features.expressions", "('close',) (a list)", ""),
    ],
)
def test_what_is_no_expression_is_refused_with_its_line(config_file, text, path, found, cure):
    error = refused(config_file(MINIMAL + f"features:\n  expressions: {text}\n"))
    assert error.who.endswith(f"run.yaml:5 {path}")
    assert error.found == found
    assert error.help.startswith(cure)


def test_a_repeated_key_is_refused_with_both_lines(config_file):
    error = refused(config_file(MINIMAL + "label:\n  horizon: 5\n  entry: next_open\n  horizon: 10\n"))
    assert ":7 label" in error.who
    assert "'horizon' again (line 5)" in error.found


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("name: x\n\tmodel: 1\n", 2, "tab"),
        ("name: [x\nmodel: 1\n", 2, "YAML"),
        ("name: !!python/object:os.system x\n", 1, "only plain values"),
        ("1: x\n", 1, "a key must be a word"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", 3, "merge keys"),
        ("a: &a [*a]\n", 1, "an anchor must not hold itself"),
        ("a: 1\n---\nb: 1\n", 2, "YAML"),
        ("- a\n", 0, "must be a mapping"),
        ("", 0, "must be a mapping"),
    ],
)
def test_what_is_not_a_plain_yaml_mapping_is_refused(config_file, text, line, told):
    file = config_file(text)
    error = refused(file)
    assert str(error).startswith(f"{file}:{line}" if line else str(file))
    assert told in str(error)


def test_scalars_follow_yaml_1_2():
    text = "{a: 1e-3, b: no, c: '000001', d: 010, e: 12:30, f: 1_000, g: 1.0e7, h: ~, i: 2020-01-02, j: True, k: -.5}"
    assert parse(text, "t")[0] == {
        "a": 0.001,
        "b": "no",
        "c": "000001",
        "d": 10,
        "e": "12:30",
        "f": 1000,
        "g": 1e7,
        "h": None,
        "i": datetime.date(2020, 1, 2),
        "j": True,
        "k": -0.5,
    }
    assert yaml.safe_load("{a: 1e-3, d: 010, b: no}") == {"a": "1e-3", "d": 8, "b": False}, "why the loader is our own"


@pytest.mark.parametrize(("word", "value"), [("no", False), ("yes", True), ("off", False), ("False", False)])
def test_the_words_of_yaml_1_1_are_bools_where_a_bool_is_due_and_text_elsewhere(config_file, word, value):
    config = load(config_file(MINIMAL), [f"data.universe.exclude_st={word}"])
    assert config.data.universe.exclude_st is value
    assert load(config_file(MINIMAL), ["name=no"]).name == "no"


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.dates()
    | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)
    | st.sampled_from(
        ["000001", "1e-3", "no", "null", "~", "<<", "2020-01-02", ".5", "1_0", "=", "0x1F", "- a", "a: b"]
    ),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["p", "q", "no", "1e3", "on"]), plain, max_size=4))
def test_what_is_dumped_is_read_back_the_same(data):
    assert parse(dump(data), "t")[0] == data


def test_a_config_is_laid_over_what_it_extends_key_by_key(config_file, tmp_path):
    (tmp_path / "base").mkdir()
    config_file("extends: b.yaml\nlabel: {horizon: 10, entry: next_vwap}\nfeatures: {names: [a, b]}\n", "base/a.yaml")
    config_file("seed: 7\nlabel: {horizon: 20, transform: raw}\n", "base/b.yaml")
    config = load(config_file("extends: base/a.yaml\nfeatures: {names: [c]}\n" + MINIMAL))
    assert config.seed == 7
    assert (config.label.horizon, config.label.entry, config.label.transform) == (10, "next_vwap", "raw")
    assert config.features.names == ("c",)


def test_an_error_in_an_extended_file_names_that_file(config_file, tmp_path):
    config_file("seed: 1\nlabel:\n  horizn: 2\n", "base.yaml")
    error = refused(config_file("extends: base.yaml\nlabel: {horizon: 3}\n" + MINIMAL))
    assert error.who == f"{tmp_path / 'base.yaml'}:3 label.horizn"


def test_a_circle_of_extends_is_refused(config_file):
    config_file("extends: run.yaml\n", "other.yaml")
    error = refused(config_file("extends: other.yaml\n" + MINIMAL))
    assert "must not extend itself" in error.must
    assert "other.yaml:1 extends" in error.who


def test_files_that_are_not_there_are_named(config_file, tmp_path):
    assert str(tmp_path / "no.yaml") in refused(tmp_path / "no.yaml").who
    assert ":2 extends" in refused(config_file("# first\nextends: nowhere.yaml\n" + MINIMAL)).who


def test_overrides_apply_in_order_and_replace_what_stood_there(config_file):
    path = config_file(MINIMAL + "  params: {max_depth: 3}\n")
    config = load(
        path, ["model.params.max_depth=5", "model.params.max_depth=6", "features.names=[a, b]", "data.end=2021-01-04"]
    )
    assert config.model.params["max_depth"] == 6
    assert config.features.names == ("a", "b")
    assert config.data.end == datetime.date(2021, 1, 4)
    other = load(path, ["model.params={}", "model.kind=linear", "register.name=r"])
    assert other.model.kind == "linear"
    assert other.registration.alias == "champion"


@pytest.mark.parametrize(
    "wrong", ["seed", "=1", "a..b=1", "name.x=1", "extends=b.yaml", "seed=[1", "zeed=1", "label.horizon=x"]
)
def test_an_override_that_cannot_be_applied_is_refused_by_its_own_text(config_file, wrong):
    error = refused(config_file(MINIMAL), wrong)
    assert error.who.startswith(f"--set {wrong}")


def test_the_hash_follows_the_settings_and_not_how_they_were_written(config_file):
    one = load(config_file(MINIMAL + "seed: 3\ndata: {universe: {min_turnover: 1e7}}\n"))
    same = load(config_file("# note\nseed: 3\nmodel: {params: {}, kind: xgboost}\nname: 'x'\n", "b.yaml"))
    assert one.hash == same.hash
    assert len(one.hash) == 12
    assert load(config_file(MINIMAL + "seed: 4\n")).hash != one.hash
    assert AlphaConfig.model_validate({"name": "x", "seed": 3, "model": {"kind": "xgboost"}}).hash == one.hash
