"""Judge the walks of a pair: forecasts against what came, trades by each model's signal net of costs, half-lives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from features.panel import BoolArray, Float64Array, IntArray
from features.product_names import PRODUCT_NAMES
from training.evaluate.ic import ANN_DAYS
from training.evaluate.overfitting import sharpe_moments
from training.evaluate.spread_evidence import ForecastScore, HalfLives, PairEvidence, RuleTrading
from training.evaluate.spread_rule import Signal, TradedPair
from training.evaluate.spread_score import summarise
from training.evaluate.spread_tests import direction, half_life_stability, out_of_sample, time_ic
from training.evaluate.spread_trading import Trading, trade
from training.spread_book import PairWalk
from training.spread_config import SpreadConfig
from training.spread_cross import CrossSeries
from training.spread_data import Series
from training.spread_legs import hedge_of, life_of, traded_legs
from training.spread_screened import candidacy, lost, said_now, screenings, tests_of, untested
from training.spread_walk import OK, Refit, Track

# Foretells that the spread of these two contracts stays where it is: its excess return is less what a curve that does
# not change would earn. What it scores lies in the label, and no model may take it for its own.
UNCHANGED: Final = "unchanged"


@dataclass(frozen=True)
class Judged:
    """What came of a pair, and what each model foretold of it: name -> (n, H).

    outcome  (n, H) of the hedge of the base
    own      of each model whose hedge is another one
    """

    outcome: Float64Array = field(repr=False)
    forecast: Mapping[str, Float64Array] = field(repr=False)
    own: Mapping[str, Float64Array] = field(default_factory=dict, repr=False)

    def outcome_of(self, model: str) -> Float64Array:
        """What came of the position that a model forecasts, (n, H)."""
        return self.own.get(model, self.outcome)


def foretold(config: SpreadConfig, walk: PairWalk, series: Series) -> Judged:
    """Spread excess returns and their forecasts on the rows of a pair."""
    horizons = config.label.horizons
    carry = series.carry(horizons)
    hedge = walk.tracks[config.base].hedge
    outcome = _outcomes(series, horizons, hedge)
    forecast = {name: track.change - carry for name, track in walk.tracks.items()}
    if isinstance(series, CrossSeries):
        others = {name: track.hedge for name, track in walk.tracks.items() if not _same(track.hedge, hedge)}
        return Judged(outcome, forecast, {name: _outcomes(series, horizons, one) for name, one in others.items()})
    told = np.isfinite(forecast[config.base])
    return Judged(outcome, {**forecast, UNCHANGED: np.where(told, -carry, np.nan)})


def _outcomes(series: Series, horizons: tuple[int, ...], hedge: Float64Array) -> Float64Array:
    return np.stack([series.excess(h, hedge) for h in horizons], axis=1)


def _same(one: Float64Array, other: Float64Array) -> bool:
    """Whether two hedges agree on every row that has both, to what rounding leaves."""
    both = np.isfinite(one) & np.isfinite(other)
    return bool(np.allclose(one[both], other[both], rtol=1e-9, atol=0))


def held_out(config: SpreadConfig, n: int) -> BoolArray:
    """The last share of the n rows."""
    return np.asarray(np.arange(n) >= math.floor(n * (1 - config.split.holdout)))


def judge_pair(config: SpreadConfig, walk: PairWalk, series: Series) -> PairEvidence:
    """All that can be said of one pair."""
    found, last, label = foretold(config, walk, series), held_out(config, len(series)), config.label
    k = label.horizons.index(label.horizon)
    served, base = walk.tracks[config.served], walk.tracks[config.base]
    tradings, why = traded(config, walk, series)
    at, away = -1, _away(series, served)
    screened = screenings(series) if isinstance(series, CrossSeries) else ()
    return PairEvidence(
        name=series.name,
        zh=_chinese(series),
        kind=config.pairs.kind,
        legs=(str(series.far[at]), str(series.near[at])),
        sessions=series.sessions,
        spread=away,
        life=_models_life(series),
        mean=np.where(np.isfinite(away), 0.0, np.nan) if isinstance(series, CrossSeries) else served.centre,
        sd=np.where(served.half_life <= ANN_DAYS, served.sd, np.nan),  # what takes longer to return has no band
        horizon=label.horizon,
        forecast=found.forecast[config.served][:, k],
        outcome=found.outcome_of(config.served)[:, k],
        scores={h: _scores(config, found, last, i) for i, h in enumerate(label.horizons)},
        tradings=tradings,
        half_lives=_half_lives(config, base, series),
        holdout=last,
        now=_now(served, found.forecast[config.served][:, k], label.horizon) | said_now(series, served.hedge),
        tests=tests_of(screened),
        screenings=screened,
        notes=(*_notes(walk), *candidacy(screened, series.sessions), *lost(series)),
        absent={"tradings": why, "tests": untested(series)},
    )


def traded(config: SpreadConfig, walk: PairWalk, series: Series) -> tuple[tuple[RuleTrading, ...], str]:
    """What trading by each model's signal came to, the served one first; or why there is none.

    A model that knows no distance from a mean is traded by its forecast, and left after half-lives of the base.
    """
    legs, why = traded_legs(config, series)
    if legs is None:
        return (), why
    k, rule = config.label.horizons.index(config.label.horizon), config.trading.rule()
    life, base = life_of(series), walk.tracks[config.base]
    allowed = series.screens.candidate(series.pair) if isinstance(series, CrossSeries) else None
    done: dict[str, Trading] = {}
    for name in dict.fromkeys((config.served, *walk.tracks)):
        track = walk.tracks[name]
        blind = not np.isfinite(track.z).any()
        half_life = base.half_life if blind else track.half_life
        signal = Signal(track.z, half_life, track.change[:, k], allowed)
        pair = TradedPair(series.sessions, life, *legs, hedge_of(series, track.hedge))
        done[name] = trade(pair, signal, replace(rule, by="forecast") if blind else rule)
    tried = [sharpe_moments(one.net[one.start :]).sr for one in done.values()]
    known = [one for one in tried if math.isfinite(one)]  # a rule that never traded was no chance to be lucky
    return tuple(RuleTrading(name, one, summarise(one, tried=known)) for name, one in done.items()), ""


def _away(series: Series, track: Track) -> Float64Array:
    """The spread as it is drawn: of contracts its level, of products the distance from where a model expects it.

    A hedge that is estimated anew moves the level of y - β x by far more than the spread ever does.
    """
    legs = series.legs
    if not isinstance(series, CrossSeries):
        return np.asarray(legs.y - legs.x)
    plain = legs.y - track.hedge * legs.x - track.centre
    known = np.isfinite(track.sd)
    # z is of the hedge that was expected for the session, which a filter moves at its close.
    return np.where(known, track.z * np.where(known, track.sd, 1.0), plain)


def _models_life(series: Series) -> IntArray:
    """Which pair of contracts the levels of each row are of."""
    fresh = series.legs.fresh
    return np.cumsum(fresh) - 1 if fresh is not None else np.zeros(len(series), dtype=np.int64)


def _scores(config: SpreadConfig, found: Judged, last: BoolArray, k: int) -> tuple[ForecastScore, ...]:
    """How each model foretold one horizon: before the holdout, its outcomes not reaching into it, and on the holdout.

    All that foretell anything are judged on the rows that all of them have foretold.
    """
    horizon = config.label.horizons[k]
    each = {name: forecast[:, k] for name, forecast in found.forecast.items() if np.isfinite(forecast[:, k]).any()}
    if config.base not in each:
        return ()
    common = np.logical_and.reduce([np.isfinite(one) for one in each.values()])
    first = int(np.argmax(last)) if last.any() else len(last)
    seen = common & (np.arange(len(last)) < first - horizon)
    base, rows = each[config.base][seen], []
    for name, forecast in each.items():
        outcome = found.outcome_of(name)[:, k]
        y, f = outcome[seen], forecast[seen]
        nested = name != UNCHANGED and config.nests(name)
        alone = name == config.base or name in found.own  # another hedge has another outcome
        rows.append(
            ForecastScore(
                model=name,
                zero=out_of_sample(y, f, None, horizon, nested=True),
                ar1=None if alone else out_of_sample(y, f, base, horizon, nested=nested),
                direction=direction(y, f, horizon),
                ic=time_ic(y, f, horizon),
                holdout=out_of_sample(outcome[common & last], forecast[common & last], None, horizon, nested=True).r2,
            )
        )
    return tuple(rows)


def _half_lives(config: SpreadConfig, track: Track, series: Series) -> HalfLives | None:
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


def _chinese(series: Series) -> str:
    products = series.pair if isinstance(series, CrossSeries) else (series.product,)
    return " ".join(PRODUCT_NAMES.get(product, "") for product in products)


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
