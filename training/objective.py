"""What a trial of a study is judged by: the folds of the report, walked on data that end where the holdout begins."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from features.panel import BoolArray, DataError, Float64Array, IntArray, Panels, SessionArray
from models.base import AlphaSpec
from training.alpha_config import AlphaConfig
from training.evaluate.ic import daily_ic
from training.evaluate.portfolio import simulate_topk
from training.splits import Fold, combinatorial
from training.tasks import alpha


@dataclass(frozen=True)
class Development:
    """The sessions before the holdout, (S, N); nothing in it was learnt from the holdout.

    value     labels as they stood before the holdout: what was not known then is not there
    delisted  (N,) row of the last trading session, -1 for assets still listed when the holdout begins
    """

    sessions: SessionArray
    universe: BoolArray = field(repr=False)
    quotes: Panels = field(repr=False)
    value: Float64Array = field(repr=False)
    delisted: IntArray = field(repr=False)

    @classmethod
    def of(cls, data: alpha.AlphaData) -> Self:
        """Cut the holdout off."""
        stop = int(data.split.holdout[0])
        return cls(
            sessions=data.matrix.sessions[:stop],
            universe=data.universe[:stop],
            quotes=data.quotes.rows(0, stop),
            value=data.labels.known_before(stop).value[:stop],
            delisted=np.where(data.delisted < stop, data.delisted, -1),
        )

    def fingerprint(self, columns: Mapping[str, str]) -> str:
        """Hex digits over the sessions, assets, labels and factors (name -> hash of its definition) of the trials."""
        digest = hashlib.sha256(json.dumps(dict(columns)).encode())
        digest.update("\n".join(map(str, self.quotes.assets)).encode())
        digest.update(self.sessions.astype("datetime64[D]").astype("<i8").tobytes())
        digest.update(np.ascontiguousarray(self.value).tobytes())
        return digest.hexdigest()

    def rank_ic(self, config: AlphaConfig, score: Float64Array, rows: slice) -> Float64Array:
        """Each session's RankIC of scores (T, N) on a span of sessions, (rows,)."""
        return daily_ic(score[rows], self.value[rows], method="rank", min_names=config.evaluate.min_names)

    def net_excess(self, config: AlphaConfig, score: Float64Array) -> Float64Array:
        """Each session's return of the top k after costs less that of the universe, (S,); NaN outside the tests."""
        held = simulate_topk(
            score[: len(self.sessions)],
            self.quotes,
            self.universe,
            horizon=config.label.horizon,
            k=config.evaluate.top_k,
            entry=config.evaluate.entry or config.label.entry,
            capital=config.evaluate.capital,
            delisted=self.delisted,
            delist_haircut=config.label.delist_haircut,
        )
        return held.net - held.universe


@dataclass(frozen=True)
class Objective:
    """What a study maximises: mean RankIC less a penalty for its spread over calendar months.

    spread  standard deviation (ddof 1) of the months' mean RankIC; 0 with a single month, where none is known
    n       sessions with a RankIC
    Source  09 §4
    """

    value: float
    mean: float
    spread: float
    n: int

    @classmethod
    def of(cls, rank_ic: Float64Array, sessions: SessionArray, penalty: float) -> Self:
        """Of the RankIC of each session, both (S,); NaN are left out, and no number at all gives NaN."""
        known = np.isfinite(rank_ic)
        if not known.any():
            return cls(math.nan, math.nan, math.nan, 0)
        months, month = np.unique(sessions[known].astype("datetime64[M]"), return_inverse=True)
        means = np.bincount(month, rank_ic[known]) / np.bincount(month)
        spread = float(means.std(ddof=1)) if len(months) > 1 else 0.0
        mean = float(rank_ic[known].mean())
        return cls(mean - penalty * spread, mean, spread, int(known.sum()))


@dataclass(frozen=True)
class Walked:
    """A trial after one more fold.

    rank_ic  (S,) so far, NaN where not yet tested
    score    (T, N) so far
    fold     mean RankIC of this fold alone, NaN where no session has enough names
    running  the objective over the folds so far
    """

    number: int
    rank_ic: Float64Array = field(repr=False)
    score: Float64Array = field(repr=False)
    fold: float
    running: Objective


def walk(config: AlphaConfig, data: alpha.AlphaData, development: Development) -> Iterator[Walked]:
    """Fit and score fold after fold of the development, never the holdout.

    Errors  FitError for a model that cannot be estimated; DataError when no session has names enough to be judged
    """
    rank_ic = np.full(len(development.sessions), np.nan)
    score = np.full(data.universe.shape, np.nan)
    for fold in data.split.folds:
        scored = alpha.walk(config, data, fold).score
        rows = _span(fold)
        score[rows] = scored[rows]
        rank_ic[rows] = development.rank_ic(config, score, rows)
        running = Objective.of(rank_ic, development.sessions, config.tune.spread_penalty)
        alone = Objective.of(rank_ic[rows], development.sessions[rows], 0.0)
        yield Walked(fold.number, rank_ic, score, alone.mean, running)
    if not np.isfinite(rank_ic).any():
        raise DataError(
            "tune",
            f"some session must have {config.evaluate.min_names} names with a score and a label",
            f"at most {int(np.isfinite(score).sum(axis=1).max())}",
            help="lower evaluate.min_names for a small universe",
        )


def combinatorial_excess(config: AlphaConfig, data: alpha.AlphaData, development: Development) -> Float64Array:
    """Net excess of every session of the development, each tested on by models that learnt from both sides of it, (S,).

    The mean over the back-test paths of combinatorial purged cross-validation. A judgement of the choice between
    trials, not a forecast of what they earn: nobody could have known the sessions behind a test.

    Errors  FitError for a model that cannot be estimated, DataError when the sessions do not suffice for the groups
    Source  09 §3, §5; López de Prado 2018, ch. 12
    """
    labels = data.labels.known_before(len(development.sessions))
    table = data.matrix
    split = combinatorial(data.split.development, gap=labels.gap, embargo=config.split.embargo)
    scores = np.full((len(split.folds), *development.value.shape), np.nan)
    for fold in split.folds:
        scorer, _ = alpha.fit_on(config, data, fold.train, labels.apart_from(fold.test))
        for block in fold.blocks:
            tested = slice(*np.searchsorted(table.session, [block[0], block[-1] + 1]).tolist())
            session = table.session[tested]
            scores[fold.number, session, table.asset[tested]] = scorer.score(table.values[tested], session)
    paths = [development.net_excess(config, split.path(number, scores)) for number in range(len(split.paths))]
    return np.asarray(np.mean(paths, axis=0))


def with_spec(config: AlphaConfig, spec: AlphaSpec) -> AlphaConfig:
    """The config with the settings of a spec as its model's params."""
    return _with_params(config, {name: getattr(spec, name) for name in config.model.params})


def with_threads(config: AlphaConfig, threads: int) -> AlphaConfig:
    """The config with its model, and the members of an ensemble, on at most so many threads."""
    return _with_params(config, {name: _limited(name, value, threads) for name, value in config.model.params.items()})


def _limited(name: str, value: Any, threads: int) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {inner: _limited(inner, one, threads) for inner, one in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_limited("", one, threads) for one in value)
    return min(value, threads) if name == "threads" else value


def _with_params(config: AlphaConfig, params: Mapping[str, Any]) -> AlphaConfig:
    return config.model_copy(update={"model": config.model.model_copy(update={"params": dict(params)})})


def _span(fold: Fold) -> slice:
    return slice(int(fold.test[0]), int(fold.test[-1]) + 1)
