"""What holds for every factor of the catalogue, found by itself: a new factor is tested by being there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from features.factor import Factor, catalogue, compute, plan
from features.fields import ASSET_CLASSES, FIELDS
from features.panel import Panels
from tests.features.synthetic_market import stock_market

MARKETS = {"CS": stock_market}
FACTORS = [f for c in ASSET_CLASSES for f in catalogue(c).values()]
STORED = [f for f in FACTORS if f.stored]
# Facts that reference tables give, known before the session.
FACTS = ("traded", "listed_sessions", "listed_count", "board", "industry")
UNITS_OF_ROUNDING = 1e-12


def by_name(f: Factor) -> str:
    return f"{f.asset_class}.{f.name}"


def all_of(asset_class: str, panels: Panels) -> dict[str, np.ndarray]:
    """Every stored factor on the sessions after panels.first."""
    names = [f.name for f in STORED if f.asset_class == asset_class]
    return compute(plan(asset_class, names, panels.values), panels)[0].values


def changed(panels: Panels, alter) -> Panels:
    return Panels(panels.sessions, panels.assets, {k: alter(k, v) for k, v in panels.values.items()}, panels.first)


@pytest.fixture(scope="module")
def markets() -> dict[str, Panels]:
    return {c: MARKETS[c]() for c in {f.asset_class for f in FACTORS}}


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
        assert f.lookback >= 1

    def test_its_inputs_exist(self, f):
        for name in (*f.inputs, *f.optional):
            assert name in FIELDS or name in FACTS or name in catalogue(f.asset_class), name

    def test_its_inputs_are_known_when_it_is(self, f):
        late = [i for i in (*f.inputs, *f.optional) if i in FIELDS and FIELDS[i].known == "settle"]
        late += [i for i in f.inputs if i in (c := catalogue(f.asset_class)) and c[i].known == "settle"]
        assert not late or f.known == "settle"


# A recursive factor carries its state instead of reading history.
@pytest.mark.parametrize("f", [f for f in STORED if not f.recursive], ids=by_name)
def test_the_history_that_it_declares_is_enough(f, markets, full):
    panels = markets[f.asset_class]
    p = plan(f.asset_class, [f.name], panels.values)
    t = panels.shape[0]
    assert p.lookback < t
    for end in (t, t - 1, t - 23, max(p.lookback + 1, t // 2), max(p.lookback + 1, t // 3)):
        start = max(end - p.lookback, 0)
        got = compute(p, panels.rows(start, end, first=end - start - 1))[0][f.name]
        assert_same(got, full[f.asset_class][f.name][end - 1 : end])


@pytest.mark.parametrize("f", STORED, ids=by_name)
class TestTime:
    def test_cutting_off_the_future_changes_nothing(self, f, full, other_futures):
        until, cut, _ = other_futures[f.asset_class]
        np.testing.assert_array_equal(cut[f.name], full[f.asset_class][f.name][:until])

    def test_another_future_changes_nothing(self, f, full, other_futures):
        until, _, mad = other_futures[f.asset_class]
        np.testing.assert_array_equal(mad[f.name][:until], full[f.asset_class][f.name][:until])

    def test_increments_add_up_to_the_whole(self, f, markets, full):
        panels = markets[f.asset_class]
        p = plan(f.asset_class, [f.name], panels.values)
        t, parts, states = panels.shape[0], [], None
        edges = [0, 1, 30, t // 2, t // 2 + 1, t]
        for start, stop in pairwise(edges):
            history = min(p.lookback - 1, start)
            piece, states = compute(p, panels.rows(start - history, stop, first=history), states)
            parts.append(piece[f.name])
        assert_same(np.concatenate(parts), full[f.asset_class][f.name])


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
        assert len(np.unique(value[np.isfinite(value)])) > 1

    def test_it_is_blank_where_an_asset_did_not_trade(self, f, markets, full):
        if f.scope == "asset":
            panels = markets[f.asset_class]
            assert np.isnan(full[f.asset_class][f.name][panels["traded"] == 0]).all()


@pytest.mark.parametrize("f", STORED, ids=by_name)
class TestExtremes:
    def run(self, f: Factor, panels: Panels) -> np.ndarray:
        return compute(plan(f.asset_class, [f.name], panels.values), panels)[0][f.name]

    def test_it_leaves_its_inputs_alone(self, f, markets):
        panels = changed(markets[f.asset_class].rows(0, 300), lambda _, v: v.copy())
        before = {k: v.copy() for k, v in panels.values.items()}
        for v in panels.values.values():
            v.setflags(write=False)
        self.run(f, panels)
        for k, v in panels.values.items():
            np.testing.assert_array_equal(v, before[k])

    def test_it_survives_a_market_without_a_value(self, f, markets):
        empty = changed(
            markets[f.asset_class].rows(0, 90),
            lambda k, v: np.zeros_like(v) if k == "traded" else v if k in FACTS else np.full_like(v, np.nan),
        )
        value = self.run(f, empty)
        assert np.isnan(value).all() or (f.scope == "market" and not np.isinf(value).any())

    def test_it_survives_one_asset(self, f):
        value = self.run(f, MARKETS[f.asset_class](sessions=100, assets=1))
        assert value.shape == (100, 1)

    def test_it_survives_one_session(self, f):
        value = self.run(f, MARKETS[f.asset_class](sessions=1, assets=8))
        assert value.shape == ((1, 8) if f.scope == "asset" else (1, 1))

    def test_it_does_without_its_optional_inputs(self, f, markets):
        panels = markets[f.asset_class].rows(0, 90)
        given = {k: v for k, v in panels.values.items() if k not in f.optional}
        assert self.run(f, Panels(panels.sessions, panels.assets, given)).shape[0] == 90


def test_every_asset_class_that_has_factors_has_a_market_to_test_them_in():
    assert {f.asset_class for f in FACTORS} <= set(MARKETS)
