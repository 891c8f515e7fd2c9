"""What holds for every factor of the catalogue, found by itself: a new factor is tested by being there."""

from __future__ import annotations

import dataclasses
import functools
from itertools import pairwise

import numpy as np
import pytest

from features.catalogue import Catalogue, catalogue
from features.factor import Factor, Written
from features.fields import EVERY_CLASS, FIELDS
from features.panel import Panels
from features.plan import Plan, compute, plan
from tests.features.synthetic_futures import futures_market
from tests.features.synthetic_market import stock_market
from tests.features.synthetic_products import products_market

MARKETS = {"CS": stock_market, "Future": futures_market, "Product": products_market}
FACTORS = [f for c in EVERY_CLASS for f in catalogue(c).values()]
STORED = [f for f in FACTORS if f.stored]
# Facts that reference tables give, known before the session.
FACTS = (
    *("traded", "listed_sessions", "listed_count", "board", "industry"),
    *("weekday", "month", "month_end", "before_holiday"),
)
UNITS_OF_ROUNDING = 1e-12
# qlib's Alpha360 holds the close and the volume of the day over themselves.
CONSTANT = {"alpha360_close0", "alpha360_volume0"}
# Families that magnify it: fourth powers, and slopes over the little that a nearly straight line leaves.
MAGNIFIED = {"cs_f_kurt": 1e-10, "cs_f_ma_slope": 1e-9, "cs_f_turn_trend": 1e-9}


def by_name(f: Factor) -> str:
    return f"{f.asset_class}.{f.name}"


def is_traced(f: Factor) -> bool:
    """Whether a function in Python has been turned into an expression."""
    if f.recursive or isinstance(f.function, Written):
        return False
    root = f.graph(frozenset((*f.inputs, *f.optional)))
    return root.operator is None or root.operator.axis != "panel"


def all_of(asset_class: str, panels: Panels) -> dict[str, np.ndarray]:
    """Every stored factor on the sessions after panels.first."""
    names = [f.name for f in STORED if f.asset_class == asset_class]
    return compute(plan(catalogue(asset_class), names, panels.values), panels)[0].values


@functools.cache
def market(asset_class: str, sessions: int = 0) -> Panels:
    """The market of a class; a small one where more sessions are asked for than it has."""
    usual = MARKETS[asset_class]()
    return usual if sessions <= usual.shape[0] else MARKETS[asset_class](sessions=sessions, assets=6)


@functools.cache
def lookbacks(asset_class: str) -> dict[str, int]:
    names = [f.name for f in STORED if f.asset_class == asset_class]
    return plan(catalogue(asset_class), names, market(asset_class).values).lookbacks


def lookback_of(f: Factor) -> int:
    return lookbacks(f.asset_class)[f.name]


def of_lookback(asset_class: str, lookback: int) -> tuple[Plan, Panels]:
    """The factors that need so much history, and a market that has it."""
    panels = market(asset_class, lookback + 100)
    names = [n for n, needed in lookbacks(asset_class).items() if needed == lookback]
    return plan(catalogue(asset_class), names, panels.values), panels


@functools.cache
def with_no_more_history(asset_class: str, lookback: int) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Values of some last sessions computed with no more history than is declared, and those of the whole."""
    p, panels = of_lookback(asset_class, lookback)
    whole, t = compute(p, panels)[0], panels.shape[0]
    out: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {n: [] for n in p.wanted}
    for end in (t, t - 1, t - 23, max(lookback + 1, t // 2), max(lookback + 1, t // 3)):
        start = end - lookback
        states = carried(p, panels.rows(0, end - 1)) if end > 1 else {}
        got = compute(p, panels.rows(start, end, first=lookback - 1), states)[0]
        for name in p.wanted:
            out[name].append((got[name], whole[name][end - 1 : end]))
    return out


@functools.cache
def in_pieces(asset_class: str, lookback: int) -> tuple[Panels, dict[str, np.ndarray]]:
    """The whole, and increments put together: each with the history that is declared, and the states carried on."""
    p, panels = of_lookback(asset_class, lookback)
    t, parts, states = panels.shape[0], [], None
    for start, stop in pairwise([0, 1, 30, t // 2, t // 2 + 1, t]):
        history = min(lookback - 1, start)
        piece, states = compute(p, panels.rows(start - history, stop, first=history), states)
        parts.append(piece)
    return compute(p, panels)[0], {n: np.concatenate([part[n] for part in parts]) for n in p.wanted}


def carried(p: Plan, panels: Panels) -> dict[str, np.ndarray]:
    """What the recursive factors behind a plan carry over from these panels."""
    recursive = [f.name for f in p.order if f.recursive]
    return compute(plan(p.known, recursive, panels.values), panels)[1]


def changed(panels: Panels, alter) -> Panels:
    return Panels(panels.sessions, panels.assets, {k: alter(k, v) for k, v in panels.values.items()}, panels.first)


@pytest.fixture(scope="module")
def markets() -> dict[str, Panels]:
    return {c: market(c) for c in {f.asset_class for f in FACTORS}}


@pytest.fixture(scope="module")
def full(markets) -> dict[str, dict[str, np.ndarray]]:
    return {c: all_of(c, panels) for c, panels in markets.items()}


@pytest.fixture(scope="module")
def other_futures(markets) -> dict[str, tuple[int, dict, dict]]:
    """Until which session the past is common, the factors of a market that ends there, and of one that goes mad."""
    out = {}
    for c, panels in markets.items():
        until = panels.shape[0] - 40
        rng = np.random.default_rng(1)

        def noise(name: str, v: np.ndarray, until: int = until, rng=rng, t: int = panels.shape[0]) -> np.ndarray:
            if v.shape[0] != t:
                return v
            v = v.copy()
            v[until:] = rng.lognormal(0, 2, v[until:].shape) if name != "traded" else rng.random(v[until:].shape) < 0.7
            return v

        out[c] = until, all_of(c, panels.rows(0, until)), all_of(c, changed(panels, noise))
    return out


@pytest.fixture(scope="module")
def shuffled(markets) -> dict[str, tuple[np.ndarray, dict]]:
    out = {}
    for c, panels in markets.items():
        order = np.random.default_rng(2).permutation(panels.shape[1])
        moved = {k: v[:, order] if v.shape[1] == panels.shape[1] else v for k, v in panels.values.items()}
        out[c] = order, all_of(c, Panels(panels.sessions, panels.assets[order], moved))
    return out


@pytest.fixture(scope="module")
def called_instead(markets) -> dict[str, tuple[Panels, Panels]]:
    """Factors as expressions, and with every function called with arrays instead of traced."""
    out = {}
    for c, panels in markets.items():
        known, some = catalogue(c), panels.rows(0, 360)
        traced = [f for f in known.values() if is_traced(f)]
        twins = {f.name: dataclasses.replace(f, function=untraceable(f), lookback=f.reach) for f in traced}
        names = [n for n in twins if known[n].stored]
        both = (known, Catalogue(c, {**known, **twins}, {}))
        out[c] = tuple(compute(plan(k, names, some.values), some)[0] for k in both)
    return out


def untraceable(f: Factor):
    """The factor's function, asking for values."""

    @functools.wraps(f.function)
    def called(*arrays, **named):
        return np.array(f.function(*arrays, **named))

    return called


@pytest.fixture(scope="module")
def extremes(markets) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    out = {}
    for c, panels in markets.items():
        nothing = changed(
            panels.rows(0, 90),
            lambda k, v: np.zeros_like(v) if k == "traded" else v if k in FACTS else np.full_like(v, np.nan),
        )
        one_asset, one_session = MARKETS[c](sessions=100, assets=1), MARKETS[c](sessions=1, assets=8)
        worlds = {"nothing": nothing, "one asset": one_asset, "one session": one_session}
        out[c] = {name: all_of(c, world) for name, world in worlds.items()}
    return out


def assert_same(got: np.ndarray, expected: np.ndarray, tolerance: float = UNITS_OF_ROUNDING) -> None:
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("f", FACTORS, ids=by_name)
class TestCard:
    def test_it_carries_a_chinese_name_and_a_unit(self, f):
        assert any("一" <= letter <= "鿿" for letter in f.zh)
        assert f.unit

    def test_its_docstring_says_what_shape_nan_and_source(self, f):
        lines = f.summary.splitlines()
        assert lines[0].endswith(".")
        for word in ("Shape", "NaN", "Source"):
            assert any(line.startswith(word) and len(line.split(maxsplit=1)) == 2 for line in lines), word

    def test_its_settings_are_among_those_that_mean_something(self, f):
        assert f.known in {"close", "settle"}
        assert f.scope in {"asset", "market"}
        assert f.reach >= 1

    def test_its_inputs_exist(self, f):
        for name in (*f.inputs, *f.optional):
            assert name in FIELDS or name in FACTS or name in catalogue(f.asset_class), name

    def test_its_inputs_are_known_when_it_is(self, f):
        late = [i for i in (*f.inputs, *f.optional) if i in FIELDS and FIELDS[i].known == "settle"]
        late += [i for i in f.inputs if i in (c := catalogue(f.asset_class)) and c[i].known == "settle"]
        assert not late or f.known == "settle"


# A recursive factor carries its state instead of reading history.
@pytest.mark.parametrize("f", [f for f in STORED if not f.recursive], ids=by_name)
def test_the_history_that_it_declares_is_enough(f):
    for got, expected in with_no_more_history(f.asset_class, lookback_of(f))[f.name]:
        assert_same(got, expected, MAGNIFIED.get(f.family, UNITS_OF_ROUNDING))


@pytest.mark.parametrize("f", [f for f in STORED if is_traced(f)], ids=by_name)
def test_its_expression_gives_what_its_function_does(f, called_instead):
    traced, called = called_instead[f.asset_class]
    assert_same(traced[f.name], called[f.name], MAGNIFIED.get(f.family, UNITS_OF_ROUNDING))


def test_most_factors_are_traced_and_those_say_no_lookback_of_their_own():
    traced = [f for f in FACTORS if is_traced(f)]
    assert len(traced) > 0.8 * sum(not isinstance(f.function, Written) for f in FACTORS)
    assert [f.name for f in traced if f.lookback] == []


@pytest.mark.parametrize("f", STORED, ids=by_name)
class TestTime:
    def test_cutting_off_the_future_changes_nothing(self, f, full, other_futures):
        until, cut, _ = other_futures[f.asset_class]
        np.testing.assert_array_equal(cut[f.name], full[f.asset_class][f.name][:until])

    def test_another_future_changes_nothing(self, f, full, other_futures):
        until, _, mad = other_futures[f.asset_class]
        np.testing.assert_array_equal(mad[f.name][:until], full[f.asset_class][f.name][:until])

    def test_increments_add_up_to_the_whole(self, f):
        whole, pieces = in_pieces(f.asset_class, lookback_of(f))
        assert_same(pieces[f.name], whole[f.name], MAGNIFIED.get(f.family, UNITS_OF_ROUNDING))


@pytest.mark.parametrize("f", STORED, ids=by_name)
class TestAssets:
    def test_the_order_of_assets_does_not_matter(self, f, full, shuffled):
        order, moved = shuffled[f.asset_class]
        expected = full[f.asset_class][f.name]
        assert_same(moved[f.name], expected[:, order] if f.scope == "asset" else expected, 1e-9)

    def test_it_has_the_shape_of_its_scope_and_no_infinity(self, f, markets, full):
        t, n = markets[f.asset_class].shape
        value = full[f.asset_class][f.name]
        assert value.shape == ((t, n) if f.scope == "asset" else (t, 1))
        assert not np.isinf(value).any()

    def test_it_has_something_to_say(self, f, full):
        value = full[f.asset_class][f.name]
        assert np.isfinite(value[len(value) // 2 :]).any()
        assert len(np.unique(value[np.isfinite(value)])) > 1 or f.name in CONSTANT

    def test_it_is_blank_where_an_asset_did_not_trade(self, f, markets, full):
        if f.scope == "asset":
            panels = markets[f.asset_class]
            assert np.isnan(full[f.asset_class][f.name][panels["traded"] == 0]).all()


@pytest.mark.parametrize("f", STORED, ids=by_name)
class TestExtremes:
    def test_it_survives_a_market_without_a_value(self, f, extremes):
        value = extremes[f.asset_class]["nothing"][f.name]
        assert np.isnan(value).all() or (f.scope == "market" and not np.isinf(value).any())

    def test_it_survives_one_asset(self, f, extremes):
        assert extremes[f.asset_class]["one asset"][f.name].shape == (100, 1)

    def test_it_survives_one_session(self, f, extremes):
        value = extremes[f.asset_class]["one session"][f.name]
        assert value.shape == ((1, 8) if f.scope == "asset" else (1, 1))


@pytest.mark.parametrize("f", [f for f in STORED if f.optional], ids=by_name)
def test_it_does_without_its_optional_inputs(f, markets):
    panels = markets[f.asset_class].rows(0, 90)
    given = {k: v for k, v in panels.values.items() if k not in f.optional}
    poorer = Panels(panels.sessions, panels.assets, given)
    value = compute(plan(catalogue(f.asset_class), [f.name], given), poorer)[0][f.name]
    assert value.shape[0] == 90


@pytest.mark.parametrize("asset_class", sorted({f.asset_class for f in FACTORS}))
def test_factors_leave_their_inputs_alone(asset_class, markets):
    panels = changed(markets[asset_class].rows(0, 300), lambda _, v: v.copy())
    before = {k: v.copy() for k, v in panels.values.items()}
    for v in panels.values.values():
        v.setflags(write=False)
    all_of(asset_class, panels)
    for k, v in panels.values.items():
        np.testing.assert_array_equal(v, before[k])


def test_every_asset_class_that_has_factors_has_a_market_to_test_them_in():
    assert {f.asset_class for f in FACTORS} <= set(MARKETS)
