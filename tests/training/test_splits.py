from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.panel import DataError
from training.splits import inner_folds, purge, walk_forward


def spans(fold):
    """First and last position of the training and of the test sessions."""
    return (int(fold.train[0]), int(fold.train[-1])), (int(fold.test[0]), int(fold.test[-1]))


def test_folds_of_a_hundred_sessions_read_like_this():
    split = walk_forward(100, gap=6, embargo=4, train=30, test=10, holdout=0.2)
    assert [spans(fold) for fold in split.folds] == [
        ((0, 34), (44, 53)),
        ((0, 44), (54, 63)),
        ((0, 54), (64, 73)),
    ]
    assert spans(split.sealed) == ((0, 70), (80, 99))
    assert [fold.number for fold in (*split.folds, split.sealed)] == [0, 1, 2, 3]
    assert np.array_equal(split.holdout, split.sealed.test)


def test_a_rolling_fold_forgets_what_lies_before_its_window():
    split = walk_forward(100, gap=6, embargo=4, train=30, test=10, kind="rolling", window=32)
    assert [spans(fold)[0] for fold in split.folds] == [(3, 34), (13, 44), (23, 54)]
    assert spans(split.sealed)[0] == (39, 70)


def test_sessions_before_the_first_are_left_alone():
    late = walk_forward(150, gap=6, embargo=4, train=30, test=10, first=50)
    early = walk_forward(100, gap=6, embargo=4, train=30, test=10)
    for one, other in zip((*late.folds, late.sealed), (*early.folds, early.sealed), strict=True):
        assert np.array_equal(one.train - 50, other.train)
        assert np.array_equal(one.test - 50, other.test)


def test_too_few_sessions_are_refused_with_the_number_that_would_do():
    with pytest.raises(DataError, match=r"need at least 69 sessions; found 68") as refusal:
        walk_forward(68, gap=6, embargo=4, train=30, test=10)
    assert "split.train" in str(refusal.value)
    assert len(walk_forward(69, gap=6, embargo=4, train=30, test=10).folds) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gap": 0}, "follows from the label"),
        ({"embargo": -1}, "embargo"),
        ({"test": 0}, "at least one session"),
        ({"holdout": 0.0}, "between 0 and 1"),
        ({"kind": "random"}, "expanding or rolling"),
        ({"kind": "rolling", "window": 10}, "window"),
    ],
)
def test_settings_without_a_meaning_are_refused(changed, message):
    with pytest.raises(DataError, match=message):
        walk_forward(**{"n_sessions": 500, "gap": 6, "train": 100, **changed})


splits = st.fixed_dictionaries(
    {
        "n_sessions": st.integers(300, 700),
        "gap": st.integers(2, 21),
        "embargo": st.integers(0, 10),
        "train": st.integers(20, 100),
        "test": st.integers(5, 40),
        "kind": st.sampled_from(["expanding", "rolling"]),
        "window": st.integers(100, 200),
        "holdout": st.floats(0.05, 0.4),
        "first": st.integers(0, 30),
    }
)


@settings(deadline=None, max_examples=60)
@given(splits, st.integers(0, 2**32 - 1))
def test_no_label_trained_on_meets_a_test_whatever_the_labels_lengths(chosen, seed):
    split = walk_forward(**chosen)
    rng = np.random.default_rng(seed)
    session = np.repeat(np.arange(chosen["n_sessions"]), 3)
    late = rng.integers(0, 21, len(session)) * (rng.random(len(session)) < 0.3)
    exit = session + chosen["gap"] + late
    for fold in (*split.folds, split.sealed):
        train = np.isin(session, fold.train)
        kept = train & purge(session, exit, fold.test[0])
        assert kept.any()
        assert (exit[kept] < fold.test[0]).all()
        due = session + chosen["gap"]
        assert (due[train] + chosen["embargo"] <= fold.test[0]).all()
        dropped = train & ~kept
        assert (exit[dropped] >= fold.test[0]).all()


@settings(deadline=None, max_examples=60)
@given(splits)
def test_tests_and_their_labels_keep_out_of_each_other_and_of_the_holdout(chosen):
    split = walk_forward(**chosen)
    tested = np.concatenate([fold.test for fold in split.folds])
    assert np.array_equal(tested, np.arange(tested[0], tested[-1] + 1))
    assert tested[-1] + chosen["gap"] < split.holdout[0]
    assert split.holdout[-1] == chosen["n_sessions"] - 1
    assert len(split.folds[0].train) >= chosen["train"]
    assert all(len(fold.test) == chosen["test"] for fold in split.folds)
    assert min(fold.train[0] for fold in split.folds) >= chosen["first"]


def test_a_row_without_a_label_is_never_trained_on():
    keep = purge(np.array([3, 3, 4]), np.array([9, -1, 10]), first_test=10)
    assert keep.tolist() == [True, False, False]


def test_a_label_that_ends_before_it_begins_is_refused():
    with pytest.raises(DataError, match="row 1"):
        purge(np.array([3, 3]), np.array([9, 2]), first_test=10)


@given(st.integers(100, 400), st.integers(2, 10), st.integers(1, 5))
def test_inner_folds_keep_the_hole_and_stay_inside_the_training_sessions(length, gap, folds):
    train = np.arange(50, 50 + length)
    inner = inner_folds(train, gap=gap, embargo=5, folds=folds)
    assert len(inner) == folds
    assert inner[-1].test[-1] == train[-1]
    for fold in inner:
        assert fold.train[0] == train[0]
        assert fold.test[0] - fold.train[-1] == gap + 5


def test_inner_folds_refuse_a_training_span_that_the_hole_would_eat():
    with pytest.raises(DataError, match="need 60 sessions"):
        inner_folds(np.arange(40), gap=10, embargo=5)
