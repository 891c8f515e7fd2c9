"""What every operator must keep to, found by discovery: a new one is called by the names of its parameters."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from features import operators
from features.operators import blocks
from features.panel import Float64Array

T, N, CUT = 90, 7, 60
WINDOW = 12
SETTINGS = {
    "alpha": 0.3,
    "a": 0.5,
    "n": WINDOW,
    "w": WINDOW,
    "least": 5,
    "k": 5.0,
    "q": 0.3,
    "share": 0.3,
    "span": 15,
    "gap": 3,
    "decay": 0.94,
    "start": 4,
    "state": None,
}
PANELS = {"x", "y", "by", "open_", "high", "low", "close", "prev_close", "condition", "valid", "universe", "regressors"}
PANELS |= {"group"}
# What an operator gives where nothing is known, if it is not NaN.
OF_NOTHING = {"cs_count": 0.0, "ts_count": 0.0, "adjustment": 1.0, "sessions_since_gap": 0.0}
# Rows an operator looks back beyond t; those that carry a state from the beginning look back for ever.
REACH = {"consecutive": 2 * WINDOW + 20, "run_length": 15}
# The exponential means look back beyond the panel here; test_trends.py holds them to what they declare.
FOR_EVER = {"ewma", "previous_valid", "adjustment", "sessions_since_gap", "ts_ema", "ts_ema_alpha"}
# Formulas of a row's cells, in numpy: an infinity in gives something that is not finite, which the engine makes NaN.
FORMULAS = {
    "abdi_ranaldo",
    "corwin_schultz",
    "flag",
    "garman_klass",
    "if_else",
    "parkinson",
    "rogers_satchell",
    "signed_power",
}
# Of one series, not of a panel of assets.
SERIES = {"rolling_ols"}

FUNCTIONS = [
    name
    for name in operators.__all__
    if callable(getattr(operators, name)) and not inspect.isclass(getattr(operators, name))
]
every = pytest.mark.parametrize("name", FUNCTIONS)
every_of_assets = pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in SERIES])


def parameters(name: str) -> list[str]:
    named = [
        p.name for p in inspect.signature(getattr(operators, name)).parameters.values() if p.kind != p.VAR_POSITIONAL
    ]
    strange = set(named) - set(SETTINGS) - PANELS
    assert not strange, f"{name}: say in this file what its parameters {strange} are"
    return named


def market(t: int = T, n: int = N, seed: int = 0) -> dict[str, Any]:
    """Panels by parameter name, with ties, holes, a late listing and a suspension."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.standard_normal((t, n)), 1)
    y = 0.5 * x + rng.standard_normal((t, n))
    close = np.round(10 * np.exp(np.cumsum(0.02 * rng.standard_normal((t, n)), axis=0)), 2)
    for panel in (x, y, close):
        panel[rng.random((t, n)) < 0.08] = np.nan
        panel[: t // 4, -1] = np.nan
        panel[t // 3 : t // 3 + 6, 0] = np.nan
    condition = np.where(np.isnan(x), np.nan, x > -0.8)
    given = {"x": x, "y": y, "by": y, "close": close, "prev_close": close * (1 + 0.01 * (rng.random((t, n)) < 0.1))}
    high, low = (close * np.exp(side * 0.02 * rng.random((t, n))) for side in (1, -1))
    given |= {"high": high, "low": low, "open_": low + (high - low) * rng.random((t, n))}
    given |= {"condition": condition, "valid": ~np.isnan(x), "universe": rng.random((t, n)) < 0.9}
    group = np.where(rng.random((t, n)) < 0.05, np.nan, np.arange(n) % 2 + 7.0)
    return given | {"group": group, "regressors": [rng.standard_normal((t, n))]}


def arguments(name: str, known: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What the operator is called with: a list goes to the parameter that takes any number of panels."""
    in_a_row: list[Any] = []
    by_name = {p: known[p] for p in parameters(name)}
    for p in inspect.signature(getattr(operators, name)).parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            in_a_row.extend(known[p.name] if isinstance(known.get(p.name), list) else ())
        elif p.kind is not p.KEYWORD_ONLY:
            in_a_row.append(by_name.pop(p.name))
    return in_a_row, by_name


def called(name: str, given: dict[str, Any], **settings: float | None) -> Float64Array:
    if name in SERIES:
        given = changed(given, lambda v: v[:, :1])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # as the engine calls them
        in_a_row, by_name = arguments(name, given | SETTINGS | settings)
        result = getattr(operators, name)(*in_a_row, **by_name)
    if dataclasses.is_dataclass(result):
        return np.hstack([getattr(result, part.name) for part in dataclasses.fields(result)])
    return result[0] if isinstance(result, tuple) else result


def changed(given: dict[str, Any], change: Callable[[Float64Array], Float64Array]) -> dict[str, Any]:
    return {k: [change(r) for r in v] if isinstance(v, list) else change(v) for k, v in given.items()}


def assert_same(got: Float64Array, expected: Float64Array) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@every
def test_an_operator_says_what_it_does_and_is_exported(name: str):
    assert inspect.getdoc(getattr(operators, name))


@every
def test_a_panel_keeps_its_shape_and_holds_something(name: str):
    got = called(name, market())
    assert got.dtype == np.float64
    assert name in SERIES or got.shape in ((T, N), (T, 1))
    assert not np.isinf(got).any()
    assert np.isfinite(got).mean() > 0.3


@every
def test_cutting_the_future_off_changes_nothing(name: str):
    given = market()
    assert_same(called(name, changed(given, lambda v: v[:CUT])), called(name, given)[:CUT])


@every
@pytest.mark.parametrize("noise", [1e6, np.nan, np.inf])
def test_replacing_the_future_by_noise_changes_nothing(name: str, noise: float):
    given = market()

    def ruined(value: Float64Array) -> Float64Array:
        out = value.copy()
        out[CUT:] = ~value[CUT:] if value.dtype == bool else noise
        return out

    assert_same(called(name, changed(given, ruined))[:CUT], called(name, given)[:CUT])


@every
def test_inputs_are_left_alone(name: str):
    given = market()
    for value in (*given["regressors"], *(v for v in given.values() if not isinstance(v, list))):
        value.flags.writeable = False
    called(name, given)


@every
def test_infinities_count_as_missing(name: str):
    given = market()
    holes = np.random.default_rng(3).random((T, N)) < 0.1

    def pierced(with_: float) -> dict[str, Any]:
        return changed(given, lambda v: v if v.dtype == bool else np.where(holes, with_, v))

    missing = called(name, pierced(np.nan))
    if name in FORMULAS:
        assert not np.isfinite(called(name, pierced(np.inf))[np.isnan(missing)]).any()
        return
    assert_same(called(name, pierced(np.inf)), missing)
    assert_same(called(name, pierced(-np.inf)), missing)


@every
def test_nothing_comes_of_nothing(name: str):
    given = changed(market(), lambda v: np.zeros_like(v) if v.dtype == bool else np.full_like(v, np.nan))
    got = called(name, given)
    np.testing.assert_array_equal(got, np.full(got.shape, OF_NOTHING.get(name, np.nan)))


@every_of_assets
def test_one_asset_alone_is_as_in_the_panel_over_time(name: str):
    given = market()
    alone = called(name, changed(given, lambda v: v[:, :1]))
    assert alone.shape == (T, 1)
    if not name.startswith(("cs_", "group_")):
        assert_same(alone, called(name, given)[:, :1])


@every_of_assets
def test_one_session_alone_is_as_in_the_panel_across_assets(name: str):
    given = market()
    alone = called(name, changed(given, lambda v: v[50:51]))
    assert alone.shape in ((1, N), (1, 1))
    if name.startswith(("cs_", "group_")):
        assert_same(alone, called(name, given)[50:51])


@every_of_assets
def test_no_sessions_and_no_assets_are_empty_panels(name: str):
    assert len(called(name, changed(market(), lambda v: v[:0]))) == 0
    assert called(name, changed(market(), lambda v: v[:, :0])).shape in ((T, 0), (T, 1))


@every
def test_a_window_longer_than_history_sees_missing_sessions_before_it(name: str):
    given = market(t=20)
    short = {"n": 33, "w": 33, "span": 33}
    gap = {"gap": 40}  # the missing rows put in front must not count as an absence

    def preceded(value: Float64Array) -> Float64Array:
        return np.concatenate([np.zeros((30, N), bool) if value.dtype == bool else np.full((30, N), np.nan), value])

    assert_same(called(name, given, **short, **gap), called(name, changed(given, preceded), **short, **gap)[30:])


@every
def test_history_beyond_the_window_does_not_count(name: str):
    if name in FOR_EVER:
        pytest.skip("it carries a state from the beginning")
    given = market()
    reach = REACH.get(name, WINDOW)
    for t in (reach, CUT, T - 1):
        assert_same(called(name, changed(given, lambda v, t=t: v[t - reach : t + 1]))[-1], called(name, given)[t])


@every_of_assets
def test_the_order_of_assets_does_not_matter(name: str):
    given = market()
    order = np.random.default_rng(1).permutation(N)
    full = called(name, given)
    expected = full[:, order] if full.shape[1] == N else full
    assert_same(called(name, changed(given, lambda v: v[:, order])), expected)


@every
def test_memory_layout_does_not_matter(name: str):
    given = market()
    expected = called(name, given)
    np.testing.assert_array_equal(called(name, changed(given, np.asfortranarray)), expected)
    spread = changed(given, lambda v: np.repeat(np.repeat(v, 2, axis=0), 2, axis=1)[::2, ::2])
    np.testing.assert_array_equal(called(name, spread), expected)


@every
def test_threads_and_blocks_do_not_matter(name: str, monkeypatch: pytest.MonkeyPatch):
    given = market(n=23)
    monkeypatch.setenv("DAYBAR_THREADS", "1")
    expected = called(name, given)
    for threads in ("1", "2"):
        monkeypatch.setenv("DAYBAR_THREADS", threads)
        for cells, assets in ((1, 1), (3 * T, 5), (T * N, 16)):
            monkeypatch.setattr(blocks, "_CELLS_A_BLOCK", cells)
            monkeypatch.setattr(blocks, "_ASSETS_A_BLOCK", assets)
            np.testing.assert_array_equal(called(name, given), expected)


@every
def test_a_window_without_a_session_is_refused(name: str):
    windows = {"n", "w", "span"} & set(parameters(name))
    if not windows or name in {"lag", "delta"} | SERIES:
        pytest.skip("it has no window")
    for window in (0, -1):
        with pytest.raises(ValueError, match="at least one session"):
            called(name, market(), **dict.fromkeys(windows, window))
