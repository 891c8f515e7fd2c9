"""The forecasts that are served, made of those of a product's models: the one that was best of late, or a combination.

What is served of a session hangs on losses that were known at its close; a horizon is chosen for by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from features.panel import BoolArray, Float64Array, IntArray
from training.evaluate.forecast_choice import choose, chosen, combined, confidence_sets
from training.evaluate.volatility import ahead, qlike
from training.volatility_config import VolatilityConfig
from training.volatility_data import Series
from training.walked import Walked


@dataclass(frozen=True)
class ServedForecasts:
    """A product's m origins, J models, H horizons.

    models    names, in the order of the config
    base      position of the model that serves while nothing can be chosen
    variance  (m, J, H) of each; mean likewise
    proxy     (m, H) what came: sum of the range proxy over the horizon, NaN where it is not over
    loss      (m, J, H) QLIKE
    choice    (m, H) position of the best of late, -1 where too few forecasts are over
    member    (m, J, H) whether a model was in the confidence set of then
    best, combined  (m, H) variances; those of the base where nothing could be chosen
    """

    models: tuple[str, ...]
    base: int
    mean: Float64Array = field(repr=False)
    variance: Float64Array = field(repr=False)
    proxy: Float64Array = field(repr=False)
    loss: Float64Array = field(repr=False)
    choice: IntArray = field(repr=False)
    member: BoolArray = field(repr=False)
    best: Float64Array = field(repr=False)
    combined: Float64Array = field(repr=False)

    @property
    def used(self) -> IntArray:
        """Positions of the models that `best` is of, (m, H)."""
        return np.where(self.choice >= 0, self.choice, self.base)


def served_forecasts(
    config: VolatilityConfig, walked: Walked, series: Series, *, since: int = 0, with_sets: bool = True
) -> ServedForecasts:
    """The forecasts of a product's walks, with what of them is served at the origins from row `since` on.

    with_sets  without confidence sets there is no combination, and much less to compute
    """
    models, horizons, told = tuple(walked.tracks), config.forecast.horizons, config.choice
    base = models.index(config.base) if config.base in models else 0
    variance = np.stack([track.variance for track in walked.tracks.values()], axis=1)
    mean = np.stack([track.mean for track in walked.tracks.values()], axis=1)
    first = walked.first
    proxy = np.stack([ahead(series.proxy, h)[first:] for h in horizons], axis=1)
    loss = qlike(variance, proxy[:, None, :])
    m, many = len(variance), len(models)
    choice = np.full((m, len(horizons)), -1, dtype=np.int64)
    member = np.zeros((m, many, len(horizons)), dtype=bool)
    best, joined = np.empty(choice.shape), np.empty(choice.shape)
    for k, h in enumerate(horizons):
        at = np.ascontiguousarray(variance[:, :, k])
        losses = np.ascontiguousarray(loss[:, :, k])
        choice[:, k] = choose(losses, h, told.window, available=np.isfinite(at), since=since)
        if with_sets:
            member[:, :, k] = confidence_sets(
                losses, h, told.window, every=told.every, size=told.size, block=told.block, reps=told.reps,
                seed=config.seed, since=since,
            )  # fmt: skip
        best[:, k] = np.where(choice[:, k] >= 0, chosen(at, choice[:, k]), at[:, base])
        joined[:, k] = combined(at, member[:, :, k])
        joined[:, k] = np.where(np.isfinite(joined[:, k]), joined[:, k], at[:, base])
    return ServedForecasts(models, base, mean, variance, proxy, loss, choice, member, best, joined)
