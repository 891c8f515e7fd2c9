from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.panel import DataError
from training.splits import combinatorial, inner_folds, purge, purge_between, walk_forward


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


def labels_of_random_length(sessions: int, gap: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three labels a session: some exits are delayed by up to twenty sessions, some labels are missing."""
    rng = np.random.default_rng(seed)
    session = np.repeat(np.arange(sessions), 3)
    late = rng.integers(0, 21, len(session)) * (rng.random(len(session)) < 0.3)
    return session, np.where(rng.random(len(session)) < 0.05, -1, session + gap + late)


def held(session: np.ndarray, exit: np.ndarray) -> set[int]:
    """Every session that the labels' returns span: from the one after the decision to the exit."""
    return {row for s, e in zip(session, exit, strict=True) for row in range(s + 1, e + 1)}


@settings(deadline=None, max_examples=60)
@given(splits, st.integers(0, 2**32 - 1))
def test_no_label_trained_on_meets_a_test_s_label_whatever_the_labels_lengths(chosen, seed):
    split = walk_forward(**chosen)
    session, exit = labels_of_random_length(chosen["n_sessions"], chosen["gap"], seed)
    due = session + chosen["gap"]
    for fold in (*split.folds, split.sealed):
        train, test = np.isin(session, fold.train), np.isin(session, fold.test) & (exit >= 0)
        kept = train & purge(session, exit, fold.test[0])
        assert kept.any()
        assert held(session[kept], exit[kept]).isdisjoint(held(session[test], exit[test]) | set(fold.test))
        assert (due[train] + chosen["embargo"] <= fold.test[0]).all()
        dropped = train & ~kept & (exit >= 0)
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


crossings = st.fixed_dictionaries(
    {
        "gap": st.integers(2, 12),
        "embargo": st.integers(0, 8),
        "groups": st.integers(2, 8),
        "k": st.integers(1, 3),
    }
).filter(lambda chosen: chosen["k"] < chosen["groups"])


@settings(deadline=None, max_examples=40)
@given(crossings, st.integers(0, 60), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_no_label_trained_on_meets_one_tested_on_before_or_after_it(chosen, spare, first, seed):
    gap, embargo = chosen["gap"], chosen["embargo"]
    n = chosen["groups"] * (2 * gap + embargo + 1) + spare
    session, exit = labels_of_random_length(first + n, gap, seed)
    for fold in combinatorial(np.arange(first, first + n), **chosen).folds:
        train, test = np.isin(session, fold.train), np.isin(session, fold.test) & (exit >= 0)
        kept = train & purge_between(session, exit, session[test], exit[test])
        under_test = held(session[test], exit[test])
        assert held(session[kept], exit[kept]).isdisjoint(under_test | set(fold.test))
        # Whatever is dropped would have met a test, its own decision included.
        for s, e in zip(session[train & ~kept], exit[train & ~kept], strict=True):
            assert e == -1 or not under_test.union(session[test]).isdisjoint(range(s, e + 1))
        for block in fold.blocks:
            behind = fold.train[fold.train > block[-1]]
            assert not len(behind) or behind[0] > block[-1] + gap + embargo
        assert (np.diff(fold.train) > 0).all()
        assert (np.diff(fold.test) > 0).all()


@settings(deadline=None, max_examples=40)
@given(crossings, st.integers(0, 60))
def test_every_session_is_tested_alike_often_and_stands_in_every_path_once(chosen, spare):
    groups, k = chosen["groups"], chosen["k"]
    n = groups * (2 * chosen["gap"] + chosen["embargo"] + 1) + spare
    found = combinatorial(np.arange(n), **chosen)
    assert len(found.folds) == math.comb(groups, k)
    assert found.paths.shape == (math.comb(groups - 1, k - 1), groups)
    times = np.bincount(np.concatenate([fold.test for fold in found.folds]), minlength=n)
    assert (times == math.comb(groups - 1, k - 1)).all()
    used = set()
    for path in found.paths:
        covered = []
        for group, number in enumerate(path):
            fold = found.folds[number]
            covered.extend(fold.blocks[fold.groups.index(group)])
            used.add((number, group))
        assert covered == list(range(n))
    assert used == {(fold.number, group) for fold in found.folds for group in fold.groups}


def test_eight_groups_two_by_two_read_like_this():
    found = combinatorial(np.arange(100, 420), gap=6, embargo=5)
    assert len(found.folds) == 28
    assert found.paths.shape == (7, 8)
    fold = found.folds[8]
    assert fold.groups == (1, 3)
    assert spans_of(fold.test) == [(140, 179), (220, 259)]
    assert spans_of(fold.train) == [(100, 133), (191, 213), (271, 419)]
    assert spans_of(found.folds[0].train) == [(191, 419)]
    assert found.paths[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert found.paths[:, 1].tolist() == [0, 7, 8, 9, 10, 11, 12]


def spans_of(positions: np.ndarray) -> list[tuple[int, int]]:
    """First and last of each run of consecutive positions."""
    runs = np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1)
    return [(int(run[0]), int(run[-1])) for run in runs]


def test_a_path_takes_each_group_s_scores_from_the_fold_that_tested_it():
    found = combinatorial(np.arange(3, 33), gap=2, embargo=1, groups=3, k=2)
    by_fold = np.broadcast_to(np.arange(3.0)[:, None, None], (3, 35, 2))
    path = found.path(1, by_fold)
    assert np.isnan(path[[0, 1, 2, 33, 34]]).all()
    assert [float(np.unique(path[a:b]).item()) for a, b in ((3, 13), (13, 23), (23, 33))] == [1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sessions": np.arange(143)}, "need at least 144 sessions; found 143"),
        ({"gap": 0}, "gap must be at least one"),
        ({"embargo": -1}, "embargo not negative"),
        ({"k": 8}, "8 of 8"),
        ({"k": 0}, "0 of 8"),
    ],
)
def test_groups_that_leave_nothing_to_train_or_test_on_are_refused(changed, message):
    given = {"sessions": np.arange(144), "gap": 6, "embargo": 5, **changed}
    with pytest.raises(DataError, match=message):
        combinatorial(**given)


def test_the_smallest_history_trains_on_one_session_between_two_tests():
    found = combinatorial(np.arange(144), gap=6, embargo=5)
    between = next(fold for fold in found.folds if fold.groups == (1, 3))
    assert ((between.train > 36) & (between.train < 54)).sum() == 1


def test_development_ends_where_labels_would_be_due_in_the_holdout():
    split = walk_forward(100, gap=6, embargo=4, train=30, test=10, first=3)
    assert (split.development[0], split.development[-1]) == (3, 73)
    assert split.development[-1] + 6 < split.holdout[0]


def test_a_label_is_purged_for_a_single_session_in_common():
    session, exit = np.array([0, 0, 3, 9, 10, 9]), np.array([4, 5, 12, 12, 12, -1])
    keep = purge_between(session, exit, np.array([5, 6, 20]), np.array([9, 8, -1]))
    assert keep.tolist() == [True, False, False, False, True, False]


def test_without_tests_every_label_is_kept():
    none = np.array([], np.int64)
    assert purge_between(np.array([3, 4]), np.array([9, -1]), none, none).tolist() == [True, False]


def test_a_row_without_a_label_is_never_trained_on():
    keep = purge(np.array([3, 3, 4]), np.array([9, -1, 10]), first_test=10)
    assert keep.tolist() == [True, False, False]


def test_a_label_that_ends_before_it_begins_is_refused():
    with pytest.raises(DataError, match="row 1"):
        purge(np.array([3, 3]), np.array([9, 2]), first_test=10)
    with pytest.raises(DataError, match="row 1"):
        purge_between(np.array([3, 3]), np.array([9, 10]), np.array([3, 3]), np.array([9, 2]))
    with pytest.raises(DataError, match="must have the shape"):
        purge_between(np.array([3, 3]), np.array([9]), np.array([3]), np.array([9]))


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
