"""Alpha models in worlds whose best score is known (09 §5); ratios are to the oracle's daily rank correlation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from factor_world import World, daily_rank_ic, make_world, scored

from models.alpha.lightgbm import LightGBM
from models.alpha.linear import Linear
from models.alpha.xgboost import XGBoost

# Half the assets and sessions at twice the IC: the same information in a quarter of the rows.
SMALL = {
    "linear": Linear(),
    "xgboost": XGBoost(min_child_weight=50.0, threads=1),
    "lightgbm": LightGBM(min_child_samples=125, num_leaves=15, seeds=1, threads=1),
}
FULL = {"linear": Linear(), "xgboost": XGBoost(), "lightgbm": LightGBM(num_leaves=15)}
FLOOR = {"linear": 0.80, "xgboost": 0.70, "lightgbm": 0.70}


def small(seed: int, **kind: float) -> World:
    return make_world(seed, assets=150, sessions=375, train=250, ic=0.1, **kind)


def full(seed: int, **kind: float) -> World:
    return make_world(seed, assets=300, sessions=750, train=500, ic=0.05, **kind)


def ratios(make: Callable[..., World], specs: dict, seeds: range, **kind: float) -> dict[str, float]:
    """Mean rank IC of each model over that of the oracle, both over all seeds."""
    found: dict[str, list[float]] = {name: [] for name in (*specs, "oracle")}
    for seed in seeds:
        world = make(seed, **kind)
        found["oracle"].append(daily_rank_ic(world.truth, world).mean())
        for name, spec in specs.items():
            score = scored(spec.fit(world.train, seed), world.test)
            found[name].append(daily_rank_ic(score, world).mean())
    oracle = np.mean(found.pop("oracle"))
    return {name: float(np.mean(ic) / oracle) for name, ic in found.items()}


def test_in_a_linear_world_every_model_comes_near_the_oracle():
    found = ratios(small, SMALL, range(5))
    assert all(found[name] >= FLOOR[name] for name in SMALL), found


def test_in_a_world_with_an_interaction_every_model_keeps_most_of_the_oracle():
    found = ratios(small, SMALL, range(5), interaction=1.2)
    assert all(ratio >= 0.60 for ratio in found.values()), found


def newey_west_error(x: np.ndarray) -> float:
    lags = int(4 * (len(x) / 100) ** (2 / 9))
    e = x - x.mean()
    long_run = e @ e + 2 * sum((1 - j / (lags + 1)) * (e[j:] @ e[:-j]) for j in range(1, lags + 1))
    return float(np.sqrt(long_run) / len(x))


def test_in_a_world_of_noise_no_model_finds_skill():
    outside = dict.fromkeys(SMALL, 0)
    for seed in range(10):
        world = small(seed, noise=True)
        for name, spec in SMALL.items():
            ic = daily_rank_ic(scored(spec.fit(world.train, seed), world.test), world)
            outside[name] += abs(ic.mean()) >= 3 * newey_west_error(ic)
    assert max(outside.values()) <= 1, outside


@pytest.mark.slow
def test_at_full_size_the_models_reach_what_the_spec_measured():
    linear = ratios(full, FULL, range(5))
    assert all(linear[name] >= FLOOR[name] for name in FULL), linear
    crossed = ratios(full, FULL, range(5), interaction=1.2)
    assert all(ratio >= 0.60 for ratio in crossed.values()), crossed
