from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from factor_world import make_world, scored
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import rankdata

import models.alpha.ensemble as ensemble
from models.alpha.ensemble import Ensemble
from models.alpha.linear import Linear
from models.alpha.validation import expanding_folds
from models.alpha.xgboost import XGBoost
from models.base import FitError

TREES = {"min_child_weight": 20.0, "learning_rate": 0.1, "rounds": 60, "threads": 1}
MEMBERS = ({"kind": "linear", "params": {"alpha": 50.0}}, {"kind": "xgboost", "params": TREES})
PAIR = Ensemble(MEMBERS)


@pytest.fixture(scope="module")
def sample():
    return make_world(seed=4, assets=40, sessions=130, train=120, ic=0.3).train


@pytest.fixture(scope="module")
def alone(sample):
    """What the members are when fitted by themselves."""
    return Linear(alpha=50.0).fit(sample, 9), XGBoost(**TREES).fit(sample, 10)


def ranks(score: np.ndarray) -> np.ndarray:
    return np.apply_along_axis(rankdata, 1, score.reshape(120, 40)) / 40 - 0.5 / 40 - 0.5


def test_the_mean_rank_is_the_mean_of_what_the_members_rank_alone(sample, alone):
    wanted = np.mean([ranks(scored(one, sample)) for one in alone], axis=0)
    found = scored(PAIR.fit(sample, 9), sample)
    assert np.allclose(found.reshape(120, 40), wanted, rtol=0, atol=1e-15)
    assert np.abs(found).max() < 0.5


def test_a_stack_is_the_best_weighted_mean_of_ranks_out_of_fold(sample, alone):
    fitted = replace(PAIR, blend="stack").fit(sample, 9)
    features, wanted = [], []
    for earlier, later in expanding_folds(sample, 3):
        days = later.sessions
        for i, spec in enumerate((Linear(alpha=50.0), XGBoost(**TREES))):
            r = np.apply_along_axis(rankdata, 1, scored(spec.fit(earlier, 9 + i), later).reshape(days, 40))
            features.append((i, (r - 0.5).ravel() / 40 - 0.5))
        y = np.apply_along_axis(rankdata, 1, later.y.reshape(days, 40))
        wanted.append(ndtri((y - 0.5).ravel() / 40))
    A = np.column_stack([np.concatenate([f for j, f in features if j == i]) for i in (0, 1)])
    b = np.concatenate(wanted)
    best = minimize(lambda w: np.mean((A @ w - b) ** 2), [0.5, 0.5], bounds=[(0, None)] * 2, tol=1e-14).x
    assert fitted.weights == pytest.approx(best / best.sum(), abs=1e-3)
    assert fitted.weights.min() > 0
    assert fitted.weights.sum() == pytest.approx(1.0)
    blended = sum(w * ranks(scored(one, sample)) for w, one in zip(fitted.weights, alone, strict=True))
    assert np.allclose(scored(fitted, sample).reshape(120, 40), blended, rtol=0, atol=1e-14)


def test_a_member_that_ranks_nothing_gets_next_to_no_weight(sample):
    # Trees that must not rise in the two columns that raise the label can lean on noise alone.
    blind = {"kind": "xgboost", "params": {**TREES, "monotone": {"x0": -1, "x1": -1}}}
    weights = Ensemble((MEMBERS[0], blind), blend="stack").fit(sample, 3).weights
    assert weights[0] > 0.9


def test_a_stack_that_prefers_no_member_says_so_and_weighs_them_alike(sample, monkeypatch):
    monkeypatch.setattr(ensemble, "nnls", lambda a, b: (np.zeros(a.shape[1]), 0.0))
    fitted = replace(PAIR, blend="stack").fit(sample, 9)
    assert fitted.weights.tolist() == [0.5, 0.5]
    assert fitted.effective["weights_from"] == "equal: the stack gave all zero"


def test_no_label_shapes_the_weights_of_a_fold_that_it_reaches_into(sample):
    # Between the parts lie the sessions whose labels are known only in the later one: they may change nothing.
    stack = replace(PAIR, blend="stack", folds=1)
    [(earlier, later)] = expanding_folds(sample, 1)
    y = sample.y.copy()
    y[(sample.session > earlier.session.max()) & (sample.session < later.session.min())] = 2.0
    assert np.array_equal(stack.fit(replace(sample, y=y), 9).weights, stack.fit(sample, 9).weights)


def test_members_are_told_and_kept_each_by_itself(sample, tmp_path):
    fitted = PAIR.fit(sample, 9)
    told = fitted.effective["members"]
    assert (told["member_0_linear"]["alpha"], told["member_1_xgboost"]["seed"]) == (50.0, [10])
    fitted.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"model.json", "member_0_linear", "member_1_xgboost"}


def test_importance_is_the_weighted_mean_of_the_members(sample):
    fitted = PAIR.fit(sample, 9)
    weighted = replace(fitted, weights=np.array([0.25, 0.75]))
    one, other = (m.importance() for m in fitted.members)
    assert weighted.importance() == pytest.approx({c: 0.25 * one[c] + 0.75 * other[c] for c in sample.columns})


class Low:
    """A trial that draws the low end, and remembers the names."""

    def __init__(self):
        self.names = []

    def suggest_int(self, name, low, high, *, step=1, log=False):
        self.names.append(name)
        return low

    suggest_float = suggest_int

    def suggest_categorical(self, name, choices):
        self.names.append(name)
        return choices[0]


def test_a_trial_sees_whose_setting_it_draws():
    trial = Low()
    drawn = Ensemble((MEMBERS[1], MEMBERS[0], MEMBERS[1])).space(trial)
    assert {"member_0_xgboost.max_depth", "member_1_linear.alpha", "member_2_xgboost.gamma"} <= set(trial.names)
    assert drawn.members[0]["params"]["max_depth"] == 3
    assert drawn.members[0]["params"]["rounds"] == 60  # not searched, so kept
    assert drawn.members[1] == {"kind": "linear", "params": {**vars(Linear()), "alpha": 1.0}}


def test_settings_survive_json_with_their_sequences():
    spec = Ensemble(({"kind": "linear", "params": {"alpha": (1.0, 10.0)}}, {"kind": "xgboost"}))
    assert Ensemble(json.loads(json.dumps(spec.members))) == spec
    assert spec.specs()[0] == Linear(alpha=(1.0, 10.0))


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"kind": "xgbost"}, "member 1, xgbost: .*\n.*did you mean xgboost"),
        ({"kind": "xgboost", "params": {"max_dept": 3}}, "member 1, xgboost: .*max_dept.*\n.*did you mean max_depth"),
        ({"kind": "xgboost", "params": {"rounds": 0}}, "member 1, xgboost: rounds and seeds must be positive"),
        (
            {"kind": "xgboost", "params": {"rounds": "9"}},
            "member 1, xgboost: every param must be of its setting's type",
        ),
        ({"kind": "ensemble"}, "member 1 must be no ensemble"),
        ({"params": {}}, "member 1 must have a kind"),
        ({"kind": "linear", "alpha": 3.0}, "member 1 must have a kind, and params if any; found alpha, kind"),
    ],
)
def test_a_wrong_setting_names_its_member(second, says):
    with pytest.raises(FitError, match=says):
        Ensemble((MEMBERS[0], second))


@pytest.mark.parametrize("wrong", [{"members": MEMBERS[:1]}, {"blend": "vote"}, {"folds": 0}])
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(FitError, match="2 members, blend them by mean_rank or stack"):
        replace(PAIR, **wrong)


def test_a_member_that_fails_is_named(sample):
    weak = Ensemble((MEMBERS[0], {"kind": "xgboost", "params": {**TREES, "min_child_weight": 1e9}}))
    with pytest.raises(FitError, match="member 1, xgboost: a fitted model must tell its rows apart"):
        weak.fit(sample, 9)


def test_ranks_need_sessions_in_order_one_for_each_row(sample):
    fitted = PAIR.fit(sample, 9)
    with pytest.raises(FitError, match=r"\(50,\).*found the shape \(49,\)"):
        fitted.predict(sample.X[:50], sample.session[:49])
    with pytest.raises(FitError, match="not decrease"):
        fitted.predict(sample.X[:50], sample.session[:50][::-1])


def test_a_sample_too_short_to_stack_says_what_would_help():
    short = make_world(seed=4, assets=40, sessions=60, train=20, ic=0.3).train
    with pytest.raises(FitError, match="2 sessions must remain before the first of 3"):
        replace(PAIR, blend="stack").fit(short, 9)
