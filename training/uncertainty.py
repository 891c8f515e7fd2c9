"""How far a score can be trusted: the return that it promises, and the band that shall hold the outcome.

mu_hat    IC x sigma x z(score) (Grinold): what the score has been worth lately, times the asset's own volatility
lo, hi    quantile trees on outcome / sigma, widened or narrowed by what came after them (training/band.py)
Both use outcomes that were known on the session alone. What a later session needs is kept beside the scorer.
Source    09 §4, §5
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

import numpy as np

from features.panel import BoolArray, DataError, Float64Array
from features.sessions import Calendar
from training.alpha_config import AlphaConfig
from training.band import Band, bands, known_from, quantiles, reach
from training.evaluate.ic import daily_ic
from training.evaluate.intervals import IC_SESSIONS, mu_hat, rolling_coverage, share_within, shrunk_ic
from training.excess import BETA_WINDOW
from training.market import Market

_FILE: Final = "outlook.json"


@dataclass(frozen=True)
class Outlook:
    """What scores promise, (T, N) each, NaN where there is no score or nothing to judge it by.

    mu, lo, hi  excess log return over the horizon: expected, and the ends of the band; no band without intervals
    coverage    (T,) share of a session's outcomes inside its band; width (T,) mean of hi - lo
    level       share of misses that the band of the next session aims at; None without intervals
    """

    mu: Float64Array = field(repr=False)
    lo: Float64Array = field(repr=False)
    hi: Float64Array = field(repr=False)
    coverage: Float64Array = field(repr=False)
    width: Float64Array = field(repr=False)
    level: float | None

    def metrics(self, market: Market, rows: BoolArray) -> dict[str, float]:
        """How the band and mu_hat did on the sessions of a mask (T,): numbers by name."""
        inside = np.isfinite(self.mu) & np.isfinite(market.labels.value) & rows[:, None]
        mu, value = self.mu[inside], market.labels.value[inside]
        square = float(mu @ mu)
        out = {"mu_hat/slope": float(mu @ value) / square if square > 0 else math.nan}
        told = self.coverage[rows & np.isfinite(self.coverage)]
        if self.level is not None and len(told):
            rolling = rolling_coverage(np.where(rows, self.coverage, np.nan))
            out |= {
                "band/coverage": float(told.mean()),
                "band/width": float(np.nanmean(self.width[rows])),
                "band/rolling_60_within": share_within(rolling),
            }
        return out


class Walk:
    """Bands of fold after fold: what one has learnt of its misses, the next carries on."""

    def __init__(self, config: AlphaConfig, market: Market) -> None:
        self._config, self._market = config, market
        shape = market.universe.shape
        self._lo, self._hi = np.full(shape, np.nan), np.full(shape, np.nan)
        self._margin = np.full(shape[0], np.nan)
        self._level: float | None = None

    def add(self, lower: Float64Array, upper: Float64Array, first: int, stop: int) -> None:
        """The raw quantiles of a fold whose tests are first ... stop - 1."""
        found = bands(self._config, self._market, lower, upper, first, stop, self._level, self._margin)
        span = slice(first, stop)
        self._level, self._margin[span] = found.next_level, found.margin[span]
        self._lo[span] = found.lo[span] * self._market.sigma[span]
        self._hi[span] = found.hi[span] * self._market.sigma[span]

    def outlook(self, score: Float64Array) -> Outlook:
        """What the scores (T, N) of the folds promise."""
        value, mu = self._market.labels.value, expected(self._config, self._market, score)
        return outlook(mu, self._lo, self._hi, value, self._level)


def outlook(mu: Float64Array, lo: Float64Array, hi: Float64Array, value: Float64Array, level: float | None) -> Outlook:
    """The parts put together, with how outcomes (T, N) have kept within the band."""
    judged = np.isfinite(value) & np.isfinite(lo) & np.isfinite(hi)
    inside = judged & (lo <= value) & (value <= hi)
    n, wide = judged.sum(axis=1), np.isfinite(hi - lo)
    share = np.divide(inside.sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)
    total = np.where(wide, hi - lo, 0.0).sum(axis=1)
    width = np.divide(total, wide.sum(axis=1), out=np.full(len(n), np.nan), where=wide.any(axis=1))
    return Outlook(mu, lo, hi, share, width, level)


@dataclass(frozen=True)
class Record:
    """What later sessions carry on from.

    trained_to  last session that the scorer could learn from
    level       share of misses that the band aims at on the session after; None without intervals
    ic          ISO date -> RankIC out of sample, of sessions whose outcomes were all known by `trained_to`
    """

    trained_to: str
    level: float | None
    ic: dict[str, float] = field(repr=False)

    def save(self, folder: Path) -> None:
        """Write outlook.json into the folder."""
        (folder / _FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; DataError where there is none."""
        path = folder / _FILE
        if not path.is_file():
            raise DataError(
                "model", f"its folder must hold {_FILE}", "none", str(folder), "Train it with daybar train."
            )
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def expected(
    config: AlphaConfig,
    market: Market,
    score: Float64Array,
    first: int = 0,
    ic: Float64Array | None = None,
    before: Float64Array | None = None,
) -> Float64Array:
    """mu_hat (T, N) of the scores from session `first` on, by the ICs that were known on each session.

    ic      (T,) daily RankICs out of sample; default: of the scores themselves
    before  (n,) ICs of sessions before the first of these, oldest first
    """
    labels, horizon = market.labels, config.label.horizon
    if ic is None:
        ic = daily_ic(score, labels.value, min_names=config.evaluate.min_names)
    earlier = np.empty(0) if before is None else before
    known, out = known_from(config, market), np.full(score.shape, np.nan)
    for t in range(first, len(score)):
        if np.isfinite(score[t]).any():
            lately = np.concatenate([earlier, ic[:t][(known[:t] <= t) & np.isfinite(ic[:t])]])
            out[t] = mu_hat(score[t], market.sigma[t], shrunk_ic(lately, horizon))
    return out


def record(config: AlphaConfig, market: Market, score: Float64Array, level: float | None) -> Record:
    """What serving carries on from, after out-of-sample scores (T, N) of the folds."""
    ic = daily_ic(score, market.labels.value, min_names=config.evaluate.min_names)
    days, last = market.matrix.sessions, len(market.matrix.sessions) - 1
    told = np.flatnonzero(np.isfinite(ic) & (known_from(config, market) <= last))[-IC_SESSIONS:]
    return Record(str(days[last]), level, {str(days[t]): float(ic[t]) for t in told})


def history(config: AlphaConfig, kept: Record, calendar: Calendar, session: np.datetime64) -> np.datetime64:
    """The first session whose factors and quotes the outlook of `session` asks for."""
    begin = min(session, np.datetime64(kept.trained_to, "D"))
    settles = 1 + config.label.horizon + config.label.max_exit_delay
    ahead = max(reach(config), settles) + (BETA_WINDOW if config.label.excess == "beta" else 0)
    at = int(np.searchsorted(calendar.sessions, begin))
    earliest: np.datetime64 = calendar.sessions[max(at - ahead, 0)]
    return earliest


def carry_on(
    config: AlphaConfig, kept: Record, market: Market, score: Float64Array, band: Band | None, first: int
) -> Outlook:
    """What the scores (T, N) of a fitted scorer promise from row `first` on, with what has been learnt since its fit.

    market  the sessions from `history` on; score  of all its sessions: those after the fit tell how it does
    """
    days, stop = market.matrix.sessions, len(market.matrix.sessions)
    fresh = int(np.searchsorted(days, np.datetime64(kept.trained_to, "D"), side="right"))
    since = daily_ic(score, market.labels.value, min_names=config.evaluate.min_names)
    ic = np.array([kept.ic.get(str(day), math.nan) for day in days])
    ic[fresh:] = since[fresh:]
    before = np.array([one for day, one in kept.ic.items() if np.datetime64(day) < days[0]])
    mu = expected(config, market, score, first, ic, before)
    lo, hi = np.full(score.shape, np.nan), np.full(score.shape, np.nan)
    if band is None:
        return outlook(mu, lo, hi, market.labels.value, None)
    lower, upper = quantiles(band, market, 0, stop)
    # Sessions that the fit has seen have no misses to learn from, each stands alone; those after it are one walk.
    spans = [(t, t + 1, None) for t in range(first, min(fresh, stop))] + [(fresh, stop, kept.level)] * (fresh < stop)
    level = kept.level
    for begin, end, at in spans:
        found = bands(config, market, lower, upper, begin, end, at)
        span, level = slice(begin, end), found.next_level
        lo[span], hi[span] = found.lo[span] * market.sigma[span], found.hi[span] * market.sigma[span]
    return outlook(mu, lo, hi, market.labels.value, level)
