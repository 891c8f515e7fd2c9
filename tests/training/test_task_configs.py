"""Configs of the tasks beside alpha: which schema is theirs, what they refuse, what they fill in."""

import json
import re

import pytest

from training.config import TASKS, ConfigError, alpha_config, json_schema, load, of_dump, tunable


@pytest.fixture
def config_file(tmp_path):
    def write(text):
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return caught.value


def test_the_schema_of_a_file_is_that_of_its_task():
    schema = json_schema()
    rules = {
        one["if"]["properties"]["task"]["const"]: one["then"] for one in schema["allOf"] if "properties" in one["if"]
    }
    assert rules == {name: {"$ref": f"#/$defs/{told.__name__}"} for name, told in TASKS.items()}
    (unsaid,) = (one for one in schema["allOf"] if "properties" not in one["if"])
    assert unsaid == {"if": {"not": {"required": ["task"]}}, "then": {"$ref": "#/$defs/AlphaConfig"}}
    pointers = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))
    assert pointers <= schema["$defs"].keys()


VOLATILE = "name: v\ntask: volatility\n"


@pytest.mark.parametrize(
    ("text", "line", "path", "told"),
    [
        ("name: v\ntask: volatile\n", 2, "task", "did you mean volatility?"),
        (VOLATILE + "walk: {windw: 3}\n", 3, "walk.windw", "did you mean window?"),
        (
            VOLATILE + "models:\n  a: {kind: ewma}\n  b:\n    kind: garch\n    params: {inovation: t}\n",
            7,
            "models.b.params.inovation",
            "did you mean innovation?",
        ),
        (VOLATILE + "models:\n  a: {kind: ewma, parms: {}}\n", 4, "models.a.parms", "did you mean params?"),
        (VOLATILE + "label: {horizon: 5}\n", 3, "label", "known here: "),
    ],
)
def test_a_wrong_key_of_a_volatility_config_is_refused_with_the_nearest(config_file, text, line, path, told):
    file = config_file(text)
    error = refused(file)
    assert error.who == f"{file}:{line} {path}"
    assert told in error.help


@pytest.mark.parametrize(
    ("setting", "must"),
    [
        ("walk.min_window=2000", "the least window must not be longer than walk.window"),
        ("forecast.horizons=[5, 1]", "horizons must rise"),
        ("forecast.levels=[0.99, 0.95]", "levels must rise"),
        ("tune.model=other", "it must be one of ewma, garch_n"),
        ("tune.horizon=7", "it must be among forecast.horizons"),
    ],
)
def test_settings_of_a_volatility_config_that_contradict_each_other_are_refused(config_file, setting, must):
    error = refused(config_file(VOLATILE), setting)
    assert must in error.must


def test_a_volatility_config_has_models_without_being_told_any(config_file):
    config = load(config_file(VOLATILE))
    assert config.base == "ewma"
    assert of_dump(config.dump()) == config
    assert {model.kind for model in config.models.values()} == {"ewma", "garch", "har", "realised_garch"}


def test_who_needs_a_config_of_the_alpha_task_says_so(config_file):
    with pytest.raises(ConfigError, match="check placebo: its config must be of the task alpha; found volatility"):
        alpha_config(load(config_file(VOLATILE)), "check placebo")


@pytest.mark.parametrize("task", ["spread", "term_structure"])
def test_a_task_without_a_space_is_not_tuned(config_file, task):
    with pytest.raises(ConfigError, match=f"tune: its config must be of the task alpha or volatility; found {task}"):
        tunable(load(config_file(f"name: x\ntask: {task}\n")))
