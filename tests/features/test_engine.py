"""The engine against the same operators on whole panels: blocks, stages and threads must not show."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from features import engine
from features.engine import evaluate, stages, whole_at_once
from features.graph import EVER, Node, operator
from features.operators import cs_mean, cs_rank, cs_zscore, lag, ts_corr, ts_mean, ts_std
from features.operators.mask import blank, finite

T, N = 61, 37
X, Y, U, M, B = (Node.leaf(name) for name in ("x", "y", "universe", "market", "board"))


@operator("panel", lookback=lambda: EVER)
def demeaned_by_board(x, board):
    """x less the mean of its board over all sessions."""
    out = x.copy()
    for code in np.unique(board):
        out[board == code] -= np.nanmean(x[board == code])
    return out


@operator("time", lookback=lambda n: n, outputs=("mean", "std"))
def both(x, n):
    """Mean and standard deviation."""
    return ts_mean(x, n), ts_std(x, n)


def panels() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, T, N))
    x[rng.random((T, N)) < 0.1] = np.nan
    return {
        "x": x,
        "y": y,
        "universe": (rng.random((T, N)) < 0.8).astype(float),
        "market": rng.standard_normal((T, 1)),
        "board": (np.arange(N) % 3).astype(float)[None, :],
    }


def expressions() -> dict[str, Node]:
    """Expressions that cross from assets to sessions and back, narrow and wide, one panel and several."""
    rank = cs_rank(ts_mean(X, 5), U)
    market = cs_mean(lag(X, 1), U)
    return {
        "time": np.log(np.abs(ts_mean(X, 5))) - lag(Y, 3),
        "session": rank,
        "back in time": ts_mean(rank, 4) - ts_std(rank, 4),
        "and across again": cs_zscore(ts_mean(rank, 4), U),
        "market": market,
        "market in time": ts_mean(market * M, 7),
        "with the market": ts_corr(X, ts_mean(market, 3) + M, 9),
        "of the board": np.where(B == 1, X, Y),
        "panel": ts_mean(demeaned_by_board(X * 2, B), 3),
        "mean": both(X, 6)[0],
        "std": both(X, 6)[1] / Y,
        "condition": np.where((X > 0) & (rank > 0.5), 1.0, 0.0),
        "leaf": X,
        "blank": blank(X / Y, U),
        "finite": finite(market),
    }


def plain() -> dict[str, np.ndarray]:
    """The same, written with arrays."""
    p = panels()
    x, y, u, m, b = p["x"], p["y"], p["universe"], p["market"], p["board"]
    rank, market = cs_rank(ts_mean(x, 5), u), cs_mean(lag(x, 1), u)
    boards = np.broadcast_to(b, x.shape)
    return {
        "time": np.log(np.abs(ts_mean(x, 5))) - lag(y, 3),
        "session": rank,
        "back in time": ts_mean(rank, 4) - ts_std(rank, 4),
        "and across again": cs_zscore(ts_mean(rank, 4), u),
        "market": market,
        "market in time": ts_mean(market * m, 7),
        "with the market": ts_corr(x, ts_mean(market, 3) + m, 9),
        "of the board": np.where(boards == 1, x, y),
        "panel": ts_mean(demeaned_by_board.function(x * 2, boards), 3),
        "mean": ts_mean(x, 6),
        "std": ts_std(x, 6) / y,
        "condition": np.where((x > 0) & (rank > 0.5), 1.0, 0.0),
        "leaf": x,
        "blank": np.where(u > 0, x / y, np.nan),
        "finite": market,
    }


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("cells", [1, T * 16, 10**9])
@pytest.mark.parametrize("first", [0, 40])
def test_blocks_threads_and_history_do_not_show(monkeypatch, threads, cells, first):
    monkeypatch.setenv("DAYBAR_THREADS", threads)
    monkeypatch.setattr(engine, "_CELLS", cells)
    got, expected = evaluate(expressions(), panels(), (T, N), first), plain()
    for name, value in expected.items():
        assert got[name].dtype == np.float64
        np.testing.assert_allclose(got[name], value[first:], rtol=1e-12, atol=1e-14, err_msg=name)


def test_results_are_rounded_only_at_the_end():
    exact, rounded = evaluate(expressions(), panels(), (T, N)), evaluate(expressions(), panels(), (T, N), 0, np.float32)
    for name, value in exact.items():
        assert rounded[name].dtype == np.float32
        np.testing.assert_array_equal(rounded[name], value.astype(np.float32), err_msg=name)


def test_a_market_series_stays_narrow():
    got = evaluate(expressions(), panels(), (T, N))
    assert {n for n, v in got.items() if v.shape == (T, 1)} == {"market", "market in time", "finite"}


def test_one_node_asked_for_under_two_names_is_given_under_both():
    got = evaluate({"a": X + Y, "b": X + Y}, panels(), (T, N))
    np.testing.assert_array_equal(got["a"], got["b"])


def test_every_node_is_computed_once_a_block(monkeypatch):
    calls = []

    @operator("time", lookback=lambda: 1)
    def counted(x):
        """x."""
        calls.append(x.shape)
        return x

    monkeypatch.setattr(engine, "_CELLS", 10**9)
    monkeypatch.setenv("DAYBAR_THREADS", "1")
    shared = counted(X)
    evaluate({"a": shared + 1, "b": cs_rank(shared, U), "c": ts_mean(cs_rank(shared, U), 3)}, panels(), (T, N))
    assert calls == [(T, N)]


def test_only_the_rows_that_are_needed_are_computed(monkeypatch):
    rows = []

    @operator("cell")
    def counted(x):
        """x."""
        rows.append(len(x))
        return x + 0.0

    monkeypatch.setattr(engine, "_CELLS", 10**9)
    monkeypatch.setenv("DAYBAR_THREADS", "1")
    inner = counted(X)
    got = evaluate({"a": counted(ts_mean(lag(inner, 2), 5) / Y)}, panels(), (T, N), T - 1)["a"]
    assert rows == [7, 1]
    np.testing.assert_allclose(got, plain_mean()[-1:], rtol=1e-12)


def plain_mean() -> np.ndarray:
    p = panels()
    return ts_mean(lag(p["x"], 2), 5) / p["y"]


def test_there_are_as_few_stages_as_the_barriers_ask_for():
    rank = cs_rank(ts_mean(X, 5), U)
    kinds = [s.kind for s in stages([ts_mean(rank, 4), np.log(X), lag(Y, 2), cs_rank(Y, U)])]
    assert kinds == ["time", "session", "time"]
    assert whole_at_once([np.log(X), lag(Y, 2)]) == 0
    assert whole_at_once([ts_mean(rank, 4)]) == 2


def test_the_inputs_are_left_alone_and_nothing_is_held_on_to():
    given = panels()
    before = {k: v.copy() for k, v in given.items()}
    for v in given.values():
        v.setflags(write=False)
    gc.disable()
    try:
        result = evaluate(expressions(), given, (T, N))
        held = weakref.ref(result["time"])
        del result
        assert held() is None, "a circle of references would keep blocks until the collector comes"
    finally:
        gc.enable()
    for k, v in given.items():
        np.testing.assert_array_equal(v, before[k])


def test_a_number_too_large_for_the_store_is_missing():
    huge = np.array([[1e39, -1e39, np.inf, 1e38]])
    got = evaluate({"a": finite(X), "b": blank(X, U)}, {"x": huge, "universe": np.ones((1, 4))}, (1, 4), 0, np.float32)
    for value in got.values():
        np.testing.assert_array_equal(np.isnan(value), [[True, True, True, False]])


def test_a_mistake_in_an_operator_comes_out_of_the_thread_that_made_it():
    @operator("time", lookback=lambda: 1)
    def broken(x):
        """Nothing."""
        raise RuntimeError("of the operator")

    with pytest.raises(RuntimeError, match="of the operator"):
        evaluate({"a": broken(X)}, panels(), (T, N))
