"""Judge the walks of a pair: forecasts against what came, trades by each model's signal net of costs, half-lives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from features.panel import BoolArray, Float64Array, IntArray
from features.product_names import PRODUCT_NAMES
from training.evaluate.ic import ANN_DAYS
from training.evaluate.overfitting import sharpe_moments
from training.evaluate.spread_evidence import ForecastScore, HalfLives, PairEvidence, RuleTrading
from training.evaluate.spread_rule import Leg, Signal, TradedPair
from training.evaluate.spread_score import summarise
from training.evaluate.spread_tests import direction, half_life_stability, out_of_sample, time_ic
from training.evaluate.spread_trading import trade
from training.spread_book import PairWalk
from training.spread_config import SpreadConfig
from training.spread_data import PairSeries, lives, multipliers
from training.spread_walk import OK, Refit, Track

# Foretells that the spread of these two contracts stays where it is: its excess return is less what a curve that does
# not change would earn. What it scores lies in the label, and no model may take it for its own.
UNCHANGED: Final = "unchanged"


@dataclass(frozen=True)
class Judged:
    """What came of a pair, (n, H) outcome, and what each model foretold of it: name -> (n, H)."""

    outcome: Float64Array = field(repr=False)
    forecast: Mapping[str, Float64Array] = field(repr=False)


def foretold(config: SpreadConfig, walk: PairWalk, series: PairSeries) -> Judged:
    """Spread excess returns and their forecasts on the rows of a pair."""
    horizons = config.label.horizons
    carry = series.carry(horizons)
    outcome = np.stack([series.excess(h) for h in horizons], axis=1)
    forecast = {name: track.change - carry for name, track in walk.tracks.items()}
    told = np.isfinite(forecast[config.base])
    return Judged(outcome, {**forecast, UNCHANGED: np.where(told, -carry, np.nan)})


def held_out(config: SpreadConfig, n: int) -> BoolArray:
    """The last share of the n rows."""
    return np.asarray(np.arange(n) >= math.floor(n * (1 - config.split.holdout)))


def judge_pair(config: SpreadConfig, walk: PairWalk, series: PairSeries) -> PairEvidence:
    """All that can be said of one pair."""
    found, last, label = foretold(config, walk, series), held_out(config, len(series)), config.label
    k = label.horizons.index(label.horizon)
    served, base = walk.tracks[config.served], walk.tracks[config.base]
    tradings, why = traded(config, walk, series)
    at = -1
    return PairEvidence(
        name=series.name,
        zh=PRODUCT_NAMES.get(series.product, ""),
        kind=config.pairs.kind,
        legs=(str(series.pair.far[series.row[at]]), str(series.pair.near[series.row[at]])),
        sessions=series.sessions,
        spread=np.asarray(series.legs.y - series.legs.x),
        life=_models_life(series),
        mean=served.centre,
        sd=np.where(served.half_life <= ANN_DAYS, served.sd, np.nan),  # what takes longer to return has no band
        horizon=label.horizon,
        forecast=found.forecast[config.served][:, k],
        outcome=found.outcome[:, k],
        scores={h: _scores(config, found, last, i) for i, h in enumerate(label.horizons)},
        tradings=tradings,
        half_lives=_half_lives(config, base, series),
        holdout=last,
        now=_now(served, found.forecast[config.served][:, k], label.horizon),
        notes=_notes(walk),
        absent={"tradings": why, "tests": "contracts of one product are a pair without a test"},
    )


def traded(config: SpreadConfig, walk: PairWalk, series: PairSeries) -> tuple[tuple[RuleTrading, ...], str]:
    """What trading by each model's signal came to, the served one first; or why there is none."""
    pair, why = _traded_pair(config, series)
    if pair is None:
        return (), why
    k, rule = config.label.horizons.index(config.label.horizon), config.trading.rule()
    order = dict.fromkeys((config.served, *walk.tracks))
    done = {
        name: trade(pair, Signal(track.z, track.half_life, track.change[:, k]), rule)
        for name, track in ((name, walk.tracks[name]) for name in order)
    }
    tried = [sharpe_moments(one.net[one.start :]).sr for one in done.values()]
    known = [one for one in tried if math.isfinite(one)]  # a rule that never traded was no chance to be lucky
    return tuple(RuleTrading(name, one, summarise(one, tried=known)) for name, one in done.items()), ""


def _traded_pair(config: SpreadConfig, series: PairSeries) -> tuple[TradedPair | None, str]:
    told, product, row, held = config.trading, series.product, series.row, series.held
    tick, sizes = told.ticks.get(product), multipliers(config, series)
    if tick is None:
        return None, f"trading.ticks does not hold {product}"
    if not np.isfinite(sizes).all():
        return None, f"the multiplier of {product} is not known"
    rate, lot = told.fees(product)
    far = Leg(held.close_far[row], sizes[0], tick, rate, lot, held.volume_far[row])
    if config.pairs.kind == "basis":
        near = Leg(held.close_near[row], sizes[1], 0.0, told.index_fee_rate, 0.0)
    else:
        near = Leg(held.close_near[row], sizes[1], tick, rate, lot, held.volume_near[row])
    life = lives(series)
    return TradedPair(series.sessions, life, far, near, np.where(life >= 0, 1.0, np.nan)), ""


def _models_life(series: PairSeries) -> IntArray:
    """Which pair of contracts the levels of each row are of."""
    fresh = series.legs.fresh
    return np.cumsum(fresh) - 1 if fresh is not None else np.zeros(len(series), dtype=np.int64)


def _scores(config: SpreadConfig, found: Judged, last: BoolArray, k: int) -> tuple[ForecastScore, ...]:
    """How each model foretold one horizon: before the holdout, its outcomes not reaching into it, and on the holdout.

    All that foretell anything are judged on the rows that all of them have foretold.
    """
    horizon, outcome = config.label.horizons[k], found.outcome[:, k]
    each = {name: forecast[:, k] for name, forecast in found.forecast.items() if np.isfinite(forecast[:, k]).any()}
    if config.base not in each:
        return ()
    common = np.logical_and.reduce([np.isfinite(one) for one in each.values()])
    first = int(np.argmax(last)) if last.any() else len(last)
    seen = common & (np.arange(len(last)) < first - horizon)
    y, base = outcome[seen], each[config.base][seen]
    rows = []
    for name, forecast in each.items():
        f = forecast[seen]
        nested = name != UNCHANGED and config.nests(name)
        rows.append(
            ForecastScore(
                model=name,
                zero=out_of_sample(y, f, None, horizon, nested=True),
                ar1=None if name == config.base else out_of_sample(y, f, base, horizon, nested=nested),
                direction=direction(y, f, horizon),
                ic=time_ic(y, f, horizon),
                holdout=out_of_sample(outcome[common & last], forecast[common & last], None, horizon, nested=True).r2,
            )
        )
    return tuple(rows)


def _half_lives(config: SpreadConfig, track: Track, series: PairSeries) -> HalfLives | None:
    """Of the base's refits, with the interval and the error of its φ."""
    fits = [fit for fit in track.fits if fit.fitted is not None]
    if not fits:
        return None
    lives_of = np.array([fit.fitted.half_life for fit in fits if fit.fitted is not None])
    phi, error = (np.array([_of(fit, part) for fit in fits]) for part in ("params", "errors"))
    low, high = (np.array([_interval(fit)[end] for fit in fits]) for end in (0, 1))
    stride = max(1, math.ceil(config.split.train / config.split.test))
    stability = half_life_stability(lives_of, phi=phi, error=error, stride=stride)
    sessions = series.sessions[[fit.origin for fit in fits]]
    return HalfLives(config.base, sessions, lives_of, stability, low, high)


def _of(fit: Refit, part: str) -> float:
    return float(getattr(fit.fitted, part).get("phi_1", math.nan))


def _interval(fit: Refit) -> tuple[float, float]:
    low, high = getattr(fit.fitted, "half_life_interval", (math.nan, math.nan))
    return float(low), float(high)


def _now(track: Track, forecast: Float64Array, horizon: int) -> dict[str, str]:
    """What is said at the last row."""
    z, half_life, ahead = track.z[-1], track.half_life[-1], forecast[-1]
    told = {"z": f"{z:+.2f}" if math.isfinite(z) else "-"}
    told["half-life"] = f"{half_life:.1f} sessions" if math.isfinite(half_life) else "-"
    told[f"forecast, {horizon} ahead"] = f"{1e4 * ahead:+.1f} bp" if math.isfinite(ahead) else "-"
    return told


def _notes(walk: PairWalk) -> tuple[str, ...]:
    """Models whose fits were not plainly well."""
    told = []
    for name, fits in walk.fits.items():
        odd = [fit.status for fit in fits if fit.status != OK]
        if odd:
            told.append(f"{len(odd)} of {len(fits)} fits of {name} are not its own; the last: {odd[-1]}")
    return tuple(told)
