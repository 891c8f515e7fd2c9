"""Folds in time: train, a hole as long as the label reaches, test; and a holdout that stays sealed.

Nobody types the hole: it is the label's gap plus the embargo. Every choice of test groups beside them, for the
probability of overfitting.
Source  09 §3; López de Prado 2018, ch. 7 and 12
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

import numpy as np

from features.panel import BoolArray, DataError, Float64Array, IntArray


@dataclass(frozen=True)
class Fold:
    """Positions of the sessions to train on and to test on, both (·,) and consecutive."""

    number: int
    train: IntArray = field(repr=False)
    test: IntArray = field(repr=False)


@dataclass(frozen=True)
class Split:
    """The folds to develop on, and the last one, which is touched once.

    folds   in time order; their tests meet neither each other nor the holdout, and neither do their labels
    sealed  trains on all that lies before the holdout, less the hole, and tests on the holdout
    """

    folds: tuple[Fold, ...]
    sealed: Fold

    @property
    def holdout(self) -> IntArray:
        """Positions of the sealed sessions."""
        return self.sealed.test

    @property
    def development(self) -> IntArray:
        """Positions from the first session trained on to the last one tested in the folds; no label of theirs is due
        in the holdout.
        """
        return np.arange(self.folds[0].train[0], self.folds[-1].test[-1] + 1)


def walk_forward(
    n_sessions: int,
    *,
    gap: int,
    embargo: int = 5,
    train: int = 500,
    test: int = 60,
    kind: Literal["expanding", "rolling"] = "expanding",
    window: int = 750,
    holdout: float = 0.2,
    first: int = 0,
) -> Split:
    """Walk-forward folds over sessions first ... n_sessions - 1, before a holdout of their last share.

    The last session trained on lies gap + embargo sessions before the first one tested on. Test blocks are all `test`
    long and are counted back from the holdout, so that what does not fill a block is trained on; they end `gap`
    sessions before the holdout, where their labels are known. An expanding fold trains on all that is past, a rolling
    one on the last `window` sessions of it.

    Errors  DataError when the sessions do not suffice for one fold, saying how many would
    Source  09 §3
    """
    _check_settings(gap, embargo, train, test, kind, window, holdout)
    hole = gap + embargo
    usable = n_sessions - first
    sealed_from = n_sessions - _sealed(usable, holdout)
    tests_end, earliest = sealed_from - gap, first + train - 1 + hole
    blocks = (tests_end - earliest) // test
    if blocks < 1:
        least = train - 1 + hole + test + gap
        raise DataError(
            "split",
            f"{train} sessions to train, a hole of {hole}, {test} to test and a holdout of {holdout:.0%} "
            f"need at least {_sessions_needed(least, holdout)} sessions",
            f"{max(usable, 0)}",
            help="give more history, or shorten split.train, split.test or split.holdout",
        )
    reach = window if kind == "rolling" else n_sessions

    def fold(number: int, start: int, stop: int) -> Fold:
        end = start - hole + 1
        return Fold(number, np.arange(max(first, end - reach), end), np.arange(start, stop))

    starts = range(tests_end - blocks * test, tests_end, test)
    folds = tuple(fold(number, start, start + test) for number, start in enumerate(starts))
    return Split(folds, fold(len(folds), sealed_from, n_sessions))


def _sealed(sessions: int, holdout: float) -> int:
    """How many of the sessions are held out, rounded up but for the rounding of the product itself."""
    return math.ceil(sessions * holdout - 1e-9)


def _sessions_needed(before_holdout: int, holdout: float) -> int:
    """The smallest number of sessions that leaves so many before the holdout."""
    needed = before_holdout
    while needed - _sealed(needed, holdout) < before_holdout:
        needed += 1
    return needed


def _check_settings(gap: int, embargo: int, train: int, test: int, kind: str, window: int, holdout: float) -> None:
    if gap < 1:
        raise DataError("split", "gap must be at least one session; it follows from the label", f"{gap}")
    if embargo < 0:
        raise DataError("split", "embargo must not be negative", f"{embargo}")
    if min(train, test) < 1:
        raise DataError("split", "train and test must be at least one session", f"{train} and {test}")
    if kind not in ("expanding", "rolling"):
        raise DataError("split", "kind must be expanding or rolling", repr(kind))
    if kind == "rolling" and window < train:
        raise DataError("split", f"window must not be shorter than train, {train}", f"{window}")
    if not 0 < holdout < 1:
        raise DataError("split", "holdout must lie between 0 and 1", f"{holdout}")


def purge(session: IntArray, exit: IntArray, first_test: int) -> BoolArray:
    """Which labels may be trained on before a test that begins on session `first_test`.

    Shape   session, exit: one shape; positions of each decision and of its label's realised exit (-1: no label)
    Returns true where a label exists and was known before the first session tested on
    """
    _check_labels(session, exit)
    return np.asarray((exit >= 0) & (exit < first_test) & (session < first_test))


def purge_between(session: IntArray, exit: IntArray, test_session: IntArray, test_exit: IntArray) -> BoolArray:
    """Which labels may be trained on beside tests that lie before and after them, however long each label is.

    A label spans the sessions from its decision to its realised exit, both included.

    Shape   session, exit: one shape, the labels to train on; test_session, test_exit: another, those tested on;
            positions of each decision and of its label's realised exit (-1: no label)
    Returns true where a label exists and shares no session with any label tested on
    """
    _check_labels(session, exit)
    _check_labels(test_session, test_exit)
    tested = test_exit >= 0
    end = 1 + max(int(exit.max(initial=0)), int(test_exit.max(initial=0)))
    begun = np.bincount(test_session[tested], minlength=end + 1)
    ended = np.bincount(test_exit[tested] + 1, minlength=end + 1)
    under_test = np.append(0, np.cumsum(np.cumsum(begun - ended) > 0))
    there = exit >= 0
    clear = np.zeros(exit.shape, bool)
    clear[there] = under_test[exit[there] + 1] == under_test[session[there]]
    return clear


def _check_labels(session: IntArray, exit: IntArray) -> None:
    if session.shape != exit.shape:
        raise DataError("purge", f"exit must have the shape {session.shape}", f"{exit.shape}")
    backward = (exit >= 0) & (exit <= session)
    if backward.any():
        row = int(np.argmax(backward))
        found = f"{exit.flat[row]} on {session.flat[row]}"
        raise DataError("purge", "a label must end after its session", found, f"row {row}")


def inner_folds(train: IntArray, *, gap: int, embargo: int = 5, folds: int = 3) -> tuple[Fold, ...]:
    """Expanding folds inside one fold's training sessions, for tuning: as many equal test blocks after a first one.

    train  consecutive positions, as a Fold has them
    """
    blocks = np.array_split(train, folds + 1)
    hole = gap + embargo
    if len(blocks[0]) < hole:
        need = (folds + 1) * hole
        raise DataError("inner folds", f"{folds} folds with a hole of {hole} need {need} sessions", f"{len(train)}")
    return tuple(
        Fold(number, np.arange(train[0], block[0] - hole + 1), block) for number, block in enumerate(blocks[1:])
    )


@dataclass(frozen=True)
class CombinatorialFold:
    """One choice of groups to test on; positions, ascending, neither train nor test consecutive.

    groups  numbers of those tested on, ascending
    blocks  the sessions of each of them, (·,)
    """

    number: int
    groups: tuple[int, ...]
    train: IntArray = field(repr=False)
    blocks: tuple[IntArray, ...] = field(repr=False)

    @property
    def test(self) -> IntArray:
        """Positions of all sessions tested on."""
        return np.concatenate(self.blocks)


@dataclass(frozen=True)
class Combinatorial:
    """Every choice of k groups of sessions to test on, and the back-tests that their tests make up.

    folds  all C(groups, k) of them; each session is tested on by C(groups - 1, k - 1)
    paths  (C(groups - 1, k - 1), groups) number of the fold whose test of a group stands in a path: each path covers
           every session once, each test of a fold stands in one path
    """

    folds: tuple[CombinatorialFold, ...]
    paths: IntArray = field(repr=False)

    def path(self, number: int, by_fold: Float64Array) -> Float64Array:
        """What one back-test path saw: by_fold (folds, T, ...) are each fold's scores on the axis of sessions.

        NaN  sessions in no group
        """
        out = np.full(by_fold.shape[1:], np.nan)
        for group, fold in enumerate(self.paths[number]):
            chosen = self.folds[fold]
            block = chosen.blocks[chosen.groups.index(group)]
            out[block] = by_fold[fold, block]
        return out


def combinatorial(sessions: IntArray, *, gap: int, embargo: int = 5, groups: int = 8, k: int = 2) -> Combinatorial:
    """Combinatorial purged cross-validation: each choice of k of so many equal groups of sessions tests once.

    A session is trained on if its label, from decision to due exit, meets no label of a test session, and if it lies
    more than `embargo` sessions behind the last of them; so what lies between two test blocks is trained on but for
    their edges. Exits that are delayed reach farther: `purge_between` takes out the rows concerned.

    sessions  consecutive positions, Split.development say: the holdout stays out

    Errors  DataError when a group between two tested ones would have no session left to train on
    Source  09 §3; López de Prado 2018, ch. 12
    """
    if gap < 1 or embargo < 0:
        raise DataError("split", "gap must be at least one session and embargo not negative", f"{gap} and {embargo}")
    if not 1 <= k < groups:
        raise DataError("split", "of the groups at least one must be tested on and one trained on", f"{k} of {groups}")
    least = groups * (2 * gap + embargo + 1)
    if len(sessions) < least:
        raise DataError(
            "split",
            f"{groups} groups with {gap} sessions left out before a test and {gap + embargo} behind it "
            f"need at least {least} sessions",
            f"{len(sessions)}",
            help="give more history, or fewer groups",
        )
    blocks = np.array_split(sessions, groups)
    chosen = tuple(combinations(range(groups), k))

    def fold(number: int, tested: tuple[int, ...]) -> CombinatorialFold:
        free = np.ones(len(sessions), bool)
        for group in tested:
            first, last = blocks[group][0], blocks[group][-1]
            free &= (sessions + gap < first) | (sessions > last + gap + embargo)
        return CombinatorialFold(number, tested, sessions[free], tuple(blocks[group] for group in tested))

    folds = tuple(fold(number, tested) for number, tested in enumerate(chosen))
    paths = [[f.number for f in folds if group in f.groups] for group in range(groups)]
    return Combinatorial(folds, np.array(paths, np.int64).T)
