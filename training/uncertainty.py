"""How far a score can be trusted: the return that it promises, and the band that shall hold the outcome.

mu_hat    IC x sigma x z(score) (Grinold): what the score has been worth lately, times the asset's own volatility
lo, hi    quantile trees on outcome / sigma, widened or narrowed by what came after them (conformal, adaptive)
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

from features.panel import BoolArray, DataError, Float32Array, Float64Array, IntArray
from features.scratch import IN_MEMORY, Scratch
from models.alpha.intervals import FittedBand, QuantileBand
from training.config import Config
from training.evaluate.ic import daily_ic
from training.evaluate.intervals import (
    IC_SESSIONS,
    Bands,
    adaptive_bands,
    mu_hat,
    rolling_coverage,
    share_within,
    shrunk_ic,
)
from training.fit import standardised
from training.market import Market
from training.preprocess import FittedPreprocess, Preprocess

BAND_ROWS: Final = 250_000
_FILE: Final = "outlook.json"


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

    def __init__(self, config: Config, market: Market) -> None:
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


def reach(config: Config) -> int:
    """Sessions before the first one with a band that its trees must not have learnt from, since they calibrate it."""
    if config.intervals is None:
        return 0
    return config.intervals.calibration + 1 + config.label.horizon + config.label.max_exit_delay


def fit_band(
    config: Config, market: Market, sessions: IntArray, first: int, scratch: Scratch = IN_MEMORY
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


def settled(config: Config, market: Market) -> IntArray:
    """Row from which it is known what became of a position, (T, N): its exit, or that it has none; -1: no position.

    One that waits to be sold settles at the latest when a label would be given up, so that a session cut off at t
    and the same session seen from later agree on what was complete at t.
    """
    labels = market.labels
    held = market.universe & labels.entry_ok
    given_up = np.arange(len(labels.exit))[:, None] + labels.gap + config.label.max_exit_delay
    return np.where(labels.exit >= 0, labels.exit, np.where(held, given_up, -1))


def bands(
    config: Config,
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


def known_from(config: Config, market: Market) -> IntArray:
    """Row from which on the outcomes of a session are all known, (T,); beyond all rows where it has none."""
    latest = settled(config, market).max(axis=1, initial=-1)
    return np.where((market.labels.exit >= 0).any(axis=1), latest, np.iinfo(np.int64).max)


def expected(
    config: Config,
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


def record(config: Config, market: Market, score: Float64Array, level: float | None) -> Record:
    """What serving carries on from, after out-of-sample scores (T, N) of the folds."""
    ic = daily_ic(score, market.labels.value, min_names=config.evaluate.min_names)
    days, last = market.matrix.sessions, len(market.matrix.sessions) - 1
    told = np.flatnonzero(np.isfinite(ic) & (known_from(config, market) <= last))[-IC_SESSIONS:]
    return Record(str(days[last]), level, {str(days[t]): float(ic[t]) for t in told})
