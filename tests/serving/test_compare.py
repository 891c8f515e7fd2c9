"""Two sessions of one model: hand-made frames with known answers, and the correlation by another way."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata

from serving.compare import ABSENT, compare

MONDAY, TUESDAY = dt.date(2024, 1, 8), dt.date(2024, 1, 9)


def frame(scores: dict[str, float | None], asof: dt.date = MONDAY, reason: str = "not traded") -> pl.DataFrame:
    told = [reason if score is None else None for score in scores.values()]
    columns = {"asset": list(scores), "score": list(scores.values()), "reason": told}
    types = {"asset": pl.String, "score": pl.Float64, "reason": pl.String}
    return pl.DataFrame(columns, types).with_columns(asof=pl.lit(asof))


THEN = frame({"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.1, "e": None})
NOW = frame({"a": 0.1, "b": 0.8, "c": 0.7, "d": 0.9, "e": 0.2, "f": 0.0, "g": None}, TUESDAY)


def test_who_enters_and_who_leaves_the_top() -> None:
    found = compare(THEN, NOW, k=2)
    assert (found.then, found.now) == (MONDAY, TUESDAY)
    assert found.entering.select("asset", "rank_then", "rank_now").rows() == [("d", 4, 1)]
    assert found.leaving.select("asset", "rank_then", "rank_now").rows() == [("a", 1, 5)]


def test_the_largest_moves_come_first_with_their_direction() -> None:
    found = compare(THEN, NOW, k=3)
    assert found.moves.select("asset", "change").rows() == [("a", -4), ("d", 3)]
    assert compare(THEN, NOW, k=1).moves["asset"].to_list() == ["a"]


def test_who_lost_or_gained_a_score_is_told_why() -> None:
    found = compare(THEN, NOW, k=2)
    assert found.lost.is_empty()
    assert found.gained.select("asset", "reason_then").rows() == [("e", "not traded"), ("f", ABSENT)]
    back = compare(NOW, THEN, k=2)
    assert back.lost.select("asset", "rank_then", "reason_now").rows() == [("e", 4, "not traded"), ("f", 6, ABSENT)]
    assert back.gained.is_empty()
    assert found.rows["asset"].to_list() == list("abcdefg")


def test_the_correlation_is_that_of_the_ranks_of_those_with_both() -> None:
    draw = np.random.default_rng(0)
    then, now = draw.normal(size=60).round(1), draw.normal(size=60).round(1)
    names = [f"{i:03d}" for i in range(60)]
    a = {n: None if i % 7 == 0 else float(s) for i, (n, s) in enumerate(zip(names, then, strict=True))}
    b = {n: None if i % 5 == 0 else float(s) for i, (n, s) in enumerate(zip(names, now, strict=True))}
    both = [i for i in range(60) if i % 7 and i % 5]
    found = compare(frame(a), frame(b, TUESDAY))
    assert found.both == len(both)
    expected = np.corrcoef(rankdata(then[both]), rankdata(now[both]))[0, 1]
    assert found.rank_correlation == pytest.approx(expected, abs=1e-12)


def test_the_same_session_twice_has_no_change() -> None:
    found = compare(THEN, THEN, k=2)
    assert found.rank_correlation == pytest.approx(1)
    assert all(part.is_empty() for part in (found.entering, found.leaving, found.moves, found.lost, found.gained))


def test_too_few_shared_scores_have_no_correlation() -> None:
    assert math.isnan(compare(frame({"a": 1.0, "b": 2.0}), frame({"a": 1.0, "b": 2.0}, TUESDAY)).rank_correlation)
    same = frame({"a": 1.0, "b": 1.0, "c": 1.0})
    assert math.isnan(compare(same, NOW).rank_correlation)
