"""The band of outcomes around a score: quantile trees, and how they are adapted to what came after them.

Outcomes are measured in units of the asset's own sigma, so that one band width suits calm and wild assets.
Source  09 §5; Romano, Patterson and Candès 2019; Gibbs and Candès 2021
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from features.panel import DataError, Float32Array, Float64Array, IntArray
from features.scratch import IN_MEMORY, Scratch
from models.alpha.intervals import FittedBand, QuantileBand
from training.alpha_config import AlphaConfig
from training.evaluate.intervals import Bands, adaptive_bands
from training.fit import standardised
from training.market import Market
from training.preprocess import FittedPreprocess, Preprocess

BAND_ROWS: Final = 250_000
BAND: Final = "band"  # its folder beside a scorer


@dataclass(frozen=True)
class Band:
    """Quantiles of the outcome over its sigma, from raw factor values."""

    preprocess: FittedPreprocess
    model: FittedBand

    def predict(self, values: Float32Array, session: IntArray) -> Float64Array:
        """Lower and upper quantile (M, 2) of raw factor values (M, K); the rows of a session are its whole universe."""
        return self.model.predict(self.preprocess.transform(values, session))

    def save(self, folder: Path) -> None:
        """Write band.json and the trees' own files."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "band.json").write_text(json.dumps(self.preprocess.to_dict(), indent=1), encoding="utf-8")
        self.model.save(folder / "model")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "band.json").read_text(encoding="utf-8"))
        return cls(FittedPreprocess.from_dict(told), FittedBand.load(folder / "model"))


def reach(config: AlphaConfig) -> int:
    """Sessions before the first one with a band that its trees must not have learnt from, since they calibrate it."""
    if config.intervals is None:
        return 0
    return config.intervals.calibration + 1 + config.label.horizon + config.label.max_exit_delay


def fit_band(
    config: AlphaConfig, market: Market, sessions: IntArray, first: int, scratch: Scratch = IN_MEMORY
) -> Band | None:
    """Quantile trees on those of `sessions` whose outcomes were known `reach` before `first`; None without intervals.

    They learn from every `horizon`-th session, whose outcomes do not overlap, and from more distant ones where these
    are more than BAND_ROWS: quantile trees sort all rows for every tree, and two ends need no more.
    """
    settings, table = config.intervals, market.matrix
    if settings is None:
        return None
    start = first - reach(config)
    labels = market.labels.known_before(start)
    learnt = sessions[sessions < start - labels.gap - config.split.embargo]
    a_session = len(table.session) / len(table.sessions)
    learnt = learnt[:: max(config.label.horizon, math.ceil(len(learnt) * a_session / BAND_ROWS))]
    tail = (1 - settings.coverage) / 2
    spec = QuantileBand(
        lower=tail,
        upper=1 - tail,
        rounds=settings.trees,
        max_depth=settings.depth,
    )
    preprocess, sample = standardised(
        Preprocess(**config.preprocess.model_dump()),
        table.values,
        table.session,
        table.pick(labels.value / market.sigma),
        table.pick(labels.weight),
        table.columns,
        labels.gap,
        rows=np.isin(table.session, learnt),
        scratch=scratch,
    )
    return Band(preprocess, spec.fit(sample, config.seed))


def quantiles(band: Band, market: Market, start: int, stop: int) -> tuple[Float64Array, Float64Array]:
    """Lower and upper quantile of outcome / sigma on sessions start ... stop - 1, (T, N) each, NaN elsewhere."""
    table = market.matrix
    rows = slice(*np.searchsorted(table.session, [start, stop]).tolist())
    found = np.full((len(table.session), 2), np.nan)
    found[rows] = band.predict(table.values[rows], table.session[rows])
    return table.unstack(found[:, 0]), table.unstack(found[:, 1])


def settled(config: AlphaConfig, market: Market) -> IntArray:
    """Row from which it is known what became of a position, (T, N): its exit, or that it has none; -1: no position.

    One that waits to be sold settles at the latest when a label would be given up, so that a session cut off at t
    and the same session seen from later agree on what was complete at t.
    """
    labels = market.labels
    held = market.universe & labels.entry_ok
    given_up = np.arange(len(labels.exit))[:, None] + labels.gap + config.label.max_exit_delay
    return np.where(labels.exit >= 0, labels.exit, np.where(held, given_up, -1))


def known_from(config: AlphaConfig, market: Market) -> IntArray:
    """Row from which on the outcomes of a session are all known, (T,); beyond all rows where it has none."""
    latest = settled(config, market).max(axis=1, initial=-1)
    return np.where((market.labels.exit >= 0).any(axis=1), latest, np.iinfo(np.int64).max)


def bands(
    config: AlphaConfig,
    market: Market,
    lower: Float64Array,
    upper: Float64Array,
    first: int,
    stop: int,
    level: float | None = None,
    margin: Float64Array | None = None,
) -> Bands:
    """The raw quantiles adapted to what was known on each of the sessions first ... stop - 1; in units of sigma.

    level, margin  those that earlier sessions have led to, as `adaptive_bands` takes them
    """
    settings = config.intervals
    if settings is None:
        raise DataError("bands", "the config must ask for intervals", "intervals: null")
    return adaptive_bands(
        lower,
        upper,
        market.labels.value / market.sigma,
        settled(config, market),
        first=first,
        stop=stop,
        coverage=settings.coverage,
        calibration=settings.calibration,
        rate=settings.rate,
        level=level,
        margin=margin,
    )
