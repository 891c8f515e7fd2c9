"""Rules for every alpha model that is registered."""

from __future__ import annotations

import inspect
import json
import pkgutil
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from typing import get_args, get_type_hints

import numpy as np
import pytest
from factor_world import COLUMNS, GAP, make_world, scored

import models.alpha
from models.alpha import ALPHA_MODELS, alpha_model, load_alpha
from models.base import FitError, Sample

# Small trees for small samples; a model that is not named here is tried with its defaults.
SMALL = {
    "xgboost": {"min_child_weight": 20.0, "learning_rate": 0.1, "rounds": 100, "threads": 1},
    "lightgbm": {"min_child_samples": 20, "learning_rate": 0.1, "rounds": 100, "seeds": 2, "threads": 1},
}
SMALL["ensemble"] = {
    "members": (
        {"kind": "linear", "params": {"alpha": 100.0}},
        {"kind": "xgboost", "params": {**SMALL["xgboost"], "seeds": 2}},
        {"kind": "lightgbm", "params": {**SMALL["lightgbm"], "seeds": 1}},
    )
}
# A setting of these names changes what is learnt: each of its values is tried.
WAYS = ("objective", "blend")


def cases() -> list[tuple[str, str, str]]:
    """Every kind with every way it has of learning: (kind, setting, value)."""
    found = []
    for kind in ALPHA_MODELS:
        hints = get_type_hints(alpha_model(kind))
        ways = [(kind, name, value) for name in WAYS if name in hints for value in get_args(hints[name])]
        found += ways or [(kind, "", "")]
    return found


def spec_of(case):
    kind, setting, value = case
    return alpha_model(kind)(**SMALL.get(kind, {}), **({setting: value} if setting else {}))


def test_every_way_of_learning_is_tried():
    assert {("ensemble", "blend", "stack"), ("linear", "", ""), ("xgboost", "objective", "ndcg")} <= set(cases())


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_world(seed=1, assets=40, sessions=130, train=120, ic=0.3).train


@pytest.fixture(scope="module", params=cases(), ids=lambda case: "-".join(filter(None, (case[0], case[2]))))
def case(request) -> tuple[str, str, str]:
    return request.param


@pytest.fixture(scope="module")
def fitted(case, sample):
    return spec_of(case).fit(sample, seed=7)


def test_every_model_in_the_folder_is_registered():
    found = set()
    for module in pkgutil.iter_modules(models.alpha.__path__, "models.alpha."):
        for _, cls in inspect.getmembers(import_module(module.name), inspect.isclass):
            if cls.__module__ == module.name and hasattr(cls, "fit") and hasattr(cls, "kind"):
                found.add((cls.kind, module.name, cls.__name__))
    assert found == {(kind, module, spec) for kind, (module, spec, _) in ALPHA_MODELS.items()}


def test_the_registry_alone_imports_no_model_library():
    heavy = "{'xgboost', 'lightgbm', 'sklearn'}"
    code = f"import sys, models.alpha; sys.exit(', '.join({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip() == ""


def test_a_kind_that_does_not_exist_names_the_nearest():
    with pytest.raises(FitError, match="did you mean xgboost"):
        alpha_model("xgbost")


def test_it_finds_the_columns_that_matter(fitted, sample):
    share = fitted.importance()
    assert tuple(share) == sample.columns
    assert sum(share.values()) == pytest.approx(1.0)
    assert min(share.values()) >= 0
    assert set(sorted(share, key=share.get)[-2:]) == {"x0", "x1"}


def test_it_is_the_same_twice_to_the_last_bit(case, fitted, sample):
    again = spec_of(case).fit(sample, seed=7)
    assert np.array_equal(scored(again, sample), scored(fitted, sample))


def test_a_session_alone_scores_as_within_the_whole(fitted, sample):
    whole = scored(fitted, sample)
    for day in (0, 57, 119):
        rows = sample.session == day
        assert np.array_equal(fitted.predict(sample.X[rows], sample.session[rows]), whole[rows])


def test_scores_are_float64_one_for_each_row(fitted, sample):
    score = fitted.predict(sample.X[:33], sample.session[:33])
    assert (score.shape, score.dtype) == ((33,), np.float64)
    assert fitted.predict(sample.X[:0], sample.session[:0]).shape == (0,)


def test_it_survives_saving_and_loading(fitted, sample, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = load_alpha(tmp_path / "model")
    assert np.array_equal(scored(loaded, sample), scored(fitted, sample))
    assert loaded.columns == fitted.columns
    assert loaded.importance() == pytest.approx(fitted.importance())
    assert loaded.spec == fitted.spec
    assert dict(loaded.effective) == json.loads(json.dumps(dict(fitted.effective)))
    loaded.save(tmp_path / "again")
    assert np.array_equal(scored(load_alpha(tmp_path / "again"), sample), scored(fitted, sample))


def test_it_is_saved_in_native_or_json_form_and_never_as_a_pickle(fitted, tmp_path):
    fitted.save(tmp_path)
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} <= {".json", ".ubj", ".txt", ".npz"}


def test_fitting_leaves_its_sample_alone(case, sample):
    before = {name: getattr(sample, name).copy() for name in ("X", "y", "session", "weight")}
    spec_of(case).fit(sample, seed=3)
    for name, value in before.items():
        assert np.array_equal(getattr(sample, name), value), name


def test_rows_that_cannot_be_written_to_are_enough(case, fitted, sample, tmp_path):
    np.save(tmp_path / "X.npy", sample.X)
    mapped = replace(sample, X=np.load(tmp_path / "X.npy", mmap_mode="r"))
    assert np.array_equal(scored(spec_of(case).fit(mapped, seed=7), mapped), scored(fitted, sample))


def test_only_the_ratios_of_the_weights_count(case, fitted, sample):
    scaled = spec_of(case).fit(replace(sample, weight=sample.weight * 1024), seed=7)
    assert np.allclose(scored(scaled, sample), scored(fitted, sample), rtol=0, atol=1e-6)


def test_weights_are_not_ignored(case, fitted, sample):
    tilted = replace(sample, weight=sample.weight * (1 + 9 * (sample.session > 60)))
    assert not np.allclose(scored(spec_of(case).fit(tilted, seed=7), sample), scored(fitted, sample))


def test_labels_whose_span_meets_the_validation_do_not_shape_a_stopped_model(case, fitted, sample):
    if fitted.effective["refit_on_all"]:
        pytest.skip("it is refitted on all rows after its choice")
    first = 120 - round(0.15 * 120)
    y = sample.y.copy()
    y[(sample.session >= first - GAP) & (sample.session < first)] = 3.0
    assert np.array_equal(scored(spec_of(case).fit(replace(sample, y=y), seed=7), sample), scored(fitted, sample))


@pytest.mark.parametrize("columns", [19, 21])
def test_it_refuses_other_columns_than_those_of_its_fit(fitted, columns):
    with pytest.raises(FitError, match="the 20 columns of the fit"):
        fitted.predict(np.zeros((5, columns), np.float32), np.zeros(5, np.int64))


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_it_refuses_to_score_a_missing_value_and_names_its_column(fitted, sample, hole):
    X = sample.X[:9].copy()
    X[4, 3] = hole
    with pytest.raises(FitError, match="row 4, column x3"):
        fitted.predict(X, sample.session[:9])


def test_it_refuses_a_label_that_cannot_be_told_apart(case, sample):
    with pytest.raises(FitError, match="constant"):
        spec_of(case).fit(replace(sample, y=np.full_like(sample.y, 0.5)), seed=1)


def test_it_refuses_columns_that_do_not_vary(case, sample):
    with pytest.raises(FitError, match="constant"):
        spec_of(case).fit(replace(sample, X=np.ones_like(sample.X)), seed=1)


def test_it_says_in_json_what_it_really_used(fitted):
    told = json.loads(json.dumps(dict(fitted.effective)))
    assert told["rows"] > 0
    assert told["sessions"] > 0


class Drawn:
    """A trial that always draws the same end of a range, and remembers the names."""

    def __init__(self, end: int):
        self.end, self.names = end, []

    def suggest_int(self, name, low, high, *, step=1, log=False):
        self.names.append(name)
        return (low, high)[self.end]

    def suggest_float(self, name, low, high, *, step=None, log=False):
        self.names.append(name)
        return (float(low), float(high))[self.end]

    def suggest_categorical(self, name, choices):
        self.names.append(name)
        return choices[-self.end]


@pytest.mark.parametrize("end", [0, 1])
def test_a_spec_drawn_from_its_space_differs_in_what_was_drawn_alone(case, end):
    spec, trial = spec_of(case), Drawn(end)
    drawn = spec.space(trial)
    assert type(drawn) is type(spec)
    assert len(set(trial.names)) == len(trial.names) > 1
    changed = {name for name in vars(spec) if getattr(drawn, name) != getattr(spec, name)}
    assert changed
    drawn_names = {"members"} if case[0] == "ensemble" else set(trial.names)
    assert changed <= drawn_names


def test_the_middle_of_its_space_can_be_fitted(case):
    assets = 300 if case[2] == "stack" else 120  # its first inner fold is a fifth of the sample
    sample = make_world(seed=1, assets=assets, sessions=130, train=120, ic=0.3).train

    class Middle(Drawn):
        def suggest_int(self, name, low, high, *, step=1, log=False):
            return (low + high) // 2

        def suggest_float(self, name, low, high, *, step=None, log=False):
            return (low * high) ** 0.5 if log else (low + high) / 2

    score = scored(spec_of(case).space(Middle(0)).fit(sample, seed=2), sample)
    assert np.isfinite(score).all()


def test_every_name_of_a_column_is_welcome(case, sample):
    odd = tuple(f"ts_mean(close, {i}) / [close] < 1 é" for i in range(len(COLUMNS)))
    assert tuple(spec_of(case).fit(replace(sample, columns=odd), seed=7).importance()) == odd
