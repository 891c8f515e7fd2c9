"""Expressions as a graph: what is shared, how far it looks back and ahead, what cannot be traced."""

from __future__ import annotations

import numpy as np
import pytest

from features.graph import EVER, Node, Untraceable, leaves, operator, replaced, trace, walk
from features.operators import lag, previous_valid, ts_max, ts_mean

CLOSE, OPEN = Node.leaf("close"), Node.leaf("open")


@operator("time", lookback=lambda n: n + 1, outputs=("rise", "fall"))
def moves(x, n):
    """The largest rise and fall over n sessions."""
    change = x - lag(x, n)
    return np.maximum(change, 0), np.minimum(change, 0)


@operator("time", lookback=lambda n: 1 - n)
def lead(x, n):
    """The value n sessions on."""
    return np.vstack([x[n:], np.full((n, x.shape[1]), np.nan)])


class TestSharing:
    def test_equal_expressions_are_one_node(self):
        assert np.log(CLOSE / ts_mean(CLOSE, 5)) is np.log(CLOSE / ts_mean(CLOSE, 5))
        assert ts_mean(CLOSE, n=5) is ts_mean(CLOSE, 5)
        assert moves(CLOSE, 3)[1] is moves(CLOSE, 3)[1]

    def test_expressions_that_differ_in_anything_are_not(self):
        different = [
            ts_mean(CLOSE, 5), ts_mean(CLOSE, 6), ts_mean(CLOSE, 5, 1), ts_mean(OPEN, 5), ts_max(CLOSE, 5),
            CLOSE + 1, CLOSE + 1.5, CLOSE - 1, 1 - CLOSE, CLOSE > 1, CLOSE >= 1, -CLOSE, abs(CLOSE),
            moves(CLOSE, 3)[0], moves(CLOSE, 3)[1], np.where(CLOSE > 1, CLOSE, np.nan), np.where(CLOSE > 1, CLOSE, 0),
        ]  # fmt: skip
        assert len({id(node) for node in different}) == len(different)

    def test_a_walk_meets_every_node_once_behind_its_inputs(self):
        mean = ts_mean(CLOSE, 5)
        met = list(walk([mean / CLOSE, mean - OPEN, mean]))
        assert len(met) == len({id(node) for node in met}) == 5
        at = {id(node): k for k, node in enumerate(met)}
        assert all(at[id(i)] < at[id(node)] for node in met for i in node.inputs)

    def test_leaves_are_named_once(self):
        assert leaves([CLOSE / OPEN, CLOSE - ts_mean(OPEN, 5)]) == ("close", "open")

    def test_leaves_are_replaced_wherever_they_stand(self):
        made = replaced({"a": ts_mean(CLOSE, 5) / CLOSE}, {"close": CLOSE * OPEN})["a"]
        assert made is ts_mean(CLOSE * OPEN, 5) / (CLOSE * OPEN)


class TestReach:
    @pytest.mark.parametrize(
        ("node", "sessions"),
        [
            (CLOSE, 1),
            (CLOSE / OPEN, 1),
            (lag(CLOSE, 3), 4),
            (ts_mean(CLOSE, 20), 20),
            (ts_mean(lag(CLOSE, 3), 20), 23),
            (ts_mean(CLOSE, 20) - ts_max(OPEN, 60), 60),
            (ts_mean(ts_max(CLOSE, 5), 20), 24),
            (moves(CLOSE, 3)[0], 4),
            (previous_valid(CLOSE), EVER),
        ],
    )
    def test_lookbacks_add_up_along_the_longest_way(self, node, sessions):
        assert node.lookback == sessions
        assert node.ahead == 0

    def test_what_looks_ahead_says_how_far(self):
        assert lead(CLOSE, 2).ahead == 2
        assert (ts_mean(lead(CLOSE, 2), 5) / CLOSE).ahead == 2
        assert (ts_mean(lead(CLOSE, 2), 5) / CLOSE).lookback == 5


class TestTrace:
    @pytest.mark.parametrize(
        "function",
        [
            lambda close: np.cumsum(close, axis=0),
            lambda close: np.asarray(close),
            lambda close: close if close > 0 else 0,
            lambda close: close[1:],
            lambda close: close.shape[0] * close,
            lambda close: np.array([1.0, 2.0]) * close,
            lambda close: sum(row for row in close),
            lambda close: np.add(close, 1, dtype=np.float32),
            lambda close: np.add.accumulate(close),
            lambda close: float(close),
        ],
    )
    def test_a_function_that_asks_for_values_cannot_be_traced(self, function):
        assert trace(function, {"close": CLOSE}) is None

    def test_a_function_of_operators_and_numpy_is_its_expression(self):
        made = trace(
            lambda close, open: np.where(close > open, np.log(close / open), 0.0), {"close": CLOSE, "open": OPEN}
        )
        assert made is np.where(CLOSE > OPEN, np.log(CLOSE / OPEN), 0.0)

    def test_a_mistake_of_another_kind_is_not_hidden(self):
        with pytest.raises(ZeroDivisionError):
            trace(lambda close: close * (1 / 0), {"close": CLOSE})

    def test_an_operator_of_several_panels_has_no_more_than_it_names(self):
        with pytest.raises(Untraceable, match="no part 2"):
            moves(CLOSE, 3)[2]


def test_an_expression_is_written_as_it_was_made():
    assert str(np.log(CLOSE / ts_mean(CLOSE, 5))) == "log(divide(close, ts_mean(close, 5)))"
    assert str(moves(CLOSE, 3)[1]) == "moves(close, 3).fall"


def test_an_operator_called_with_arrays_computes():
    x = np.arange(6.0)[:, None]
    np.testing.assert_array_equal(moves(x, 2)[0][2:], np.full((4, 1), 2.0))
    assert moves.__name__ == "moves"
    assert moves.__doc__ == "The largest rise and fall over n sessions."
