"""Folds in time: train, a hole as long as the label reaches, test; and a holdout that stays sealed.

Nobody types the hole: it is the label's gap plus the embargo.
Source  09 §3; López de Prado 2018, ch. 7
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from features.panel import BoolArray, DataError, IntArray


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
    if session.shape != exit.shape:
        raise DataError("purge", f"exit must have the shape {session.shape}", f"{exit.shape}")
    backward = (exit >= 0) & (exit <= session)
    if backward.any():
        row = int(np.argmax(backward))
        found = f"{exit.flat[row]} on {session.flat[row]}"
        raise DataError("purge", "a label must end after its session", found, f"row {row}")
    return np.asarray((exit >= 0) & (exit < first_test) & (session < first_test))


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
