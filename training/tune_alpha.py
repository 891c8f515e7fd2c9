"""A search among the settings of an alpha model: trials walk the folds of the report, and are judged by RankIC.

The best trial's portfolio is deflated by the ledger of all that was tried on its market, and the choice among the
trials is cross-validated on their net excess returns (09 §4, §5).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np

from features.matrix import factor_hashes
from features.panel import DataError, Float64Array, SessionArray
from features.store import Store
from models.base import FitError
from models.base import Trial as Draws
from training.alpha_config import AlphaConfig
from training.evaluate.overfitting import Pbo, sharpe_moments
from training.ledger import EXPERIMENT, SHARPE, Ledger, market_of, trial_hash, trial_tags
from training.market import factors_of, require
from training.objective import Development, Walked, combinatorial_excess, walk, with_spec, with_threads
from training.page import manifest_of, record_datasets
from training.study_record import overfitting
from training.subject import Aim, Step, Trial, Verdict
from training.tasks import alpha
from training.tracking import RunLog, Tracking

DAILY: Final = "daily.json"
COMBINATORIAL: Final = "combinatorial_net_excess.json"
AIM: Final = Aim(EXPERIMENT, "alpha", "maximize", "folds", "mean RankIC less a penalty for its spread over months")


@dataclass(frozen=True)
class AlphaSubject:
    """The factors, labels and folds of a config, and its learner's space."""

    config: AlphaConfig
    store: Store = field(repr=False)
    data: alpha.AlphaData = field(repr=False)
    development: Development = field(repr=False)

    @classmethod
    def prepare(cls, config: AlphaConfig, store: Store, say: Callable[[str], None]) -> Self:
        """Read the data, and cut off the holdout."""
        require(config, store)
        data = alpha.prepare(config, store, say, lambda done, total: None)
        return cls(config, store, data, Development.of(data))

    @property
    def aim(self) -> Aim:
        """RankIC, steady over months."""
        return AIM

    @property
    def notes(self) -> tuple[str, ...]:
        """None of its own: a training tells what there is to say of the data."""
        return ()

    @property
    def parts(self) -> int:
        """Folds of the walk."""
        return len(self.data.split.folds)

    def settings(self) -> dict[str, Any]:
        """All but the name, where the model goes, the band, and how far the search goes."""
        told = self.config.model_dump(mode="json", exclude={"name", "registration", "intervals"})
        for name in ("trials", "combinatorial"):
            told["tune"].pop(name)
        return told

    def fingerprint(self) -> str:
        """Hex digits over the sessions, assets, labels and factors of the development."""
        return self.development.fingerprint(
            factor_hashes(self.store, factors_of(self.config)[0], self.data.matrix.columns)
        )

    def tags(self) -> dict[str, str]:
        """The asset class."""
        return {"asset_class": self.config.data.asset_class}

    def record_data(self, run: RunLog) -> None:
        """The versions of the tables."""
        record_datasets(self.store, self.data, manifest_of(self.config, self.store, self.data), run)

    def attempt(self, draws: Draws) -> AlphaAttempt:
        """A trial with a spec from the learner's space."""
        return AlphaAttempt(with_spec(self.config, self.config.model.spec().space(draws)), self.data, self.development)

    def judge(
        self,
        tracking: Tracking,
        best: Trial,
        trials: Sequence[Trial],
        drawn: Callable[[Trial], Draws],
        say: Callable[[str], None],
    ) -> Verdict:
        """Deflate the best trial by the ledger, and cross-validate the choice among all complete trials.

        Combinatorial back-tests are made for the best `tune.combinatorial` of them.
        """
        complete = [trial for trial in trials if trial.state == "complete" and trial.run_id is not None]
        daily = {trial.number: read_daily(tracking, str(trial.run_id)) for trial in complete}
        moments = sharpe_moments(daily[best.number][2])
        ledger = Ledger.of(tracking, market_of(self.config), own=best.run_id)
        known = ledger.trials(trial_hash(self.attempt(drawn(best)).config), moments.sr)
        dsr = known.deflated(moments)
        found, note = overfitting(_aligned([(days, excess) for days, _, excess in daily.values()]))
        crossed, crossed_note = self._crossed(tracking, complete, drawn, say)
        chance = f"{found.value:.2f} over {found.trials} trials" if found else "not known"
        words = [
            f"Probability of backtest overfitting: {chance}. Deflated Sharpe ratio of the best trial: {dsr:.3f} "
            f"among {known.n} trials of this market. The holdout was not touched.",
            *([f"Over combinatorial back-tests: {crossed.value:.2f}."] if crossed else []),
        ]
        numbers = {
            "best/sharpe_session": moments.sr,
            "ledger/trials": float(known.n),
            "ledger/sharpe_variance": known.variance,
            "dsr": dsr,
        }
        if found is not None:
            numbers |= {"pbo/sessions": float(found.n)}
        if crossed is not None:
            numbers |= {"pbo_combinatorial": crossed.value, "pbo_combinatorial/trials": float(crossed.trials)}
        return Verdict(numbers, tuple(words), tuple(filter(None, (note, crossed_note))), found, dsr, crossed)

    def _crossed(
        self,
        tracking: Tracking,
        complete: Sequence[Trial],
        drawn: Callable[[Trial], Draws],
        say: Callable[[str], None],
    ) -> tuple[Pbo | None, str]:
        """PBO over combinatorial back-tests of the best trials; each is made once and kept with its trial."""
        if self.config.tune.combinatorial == 0:
            return None, ""
        ranked = sorted(complete, key=lambda trial: -float(trial.value or 0.0))
        distinct = list({json.dumps(trial.params, sort_keys=True): trial for trial in reversed(ranked)}.values())[::-1]
        kept = []
        for trial in distinct[: self.config.tune.combinatorial]:
            try:
                kept.append(self._kept_or_made(tracking, trial, drawn, say))
            except (FitError, DataError) as error:
                return None, f"no combinatorial PBO: trial {trial.number}: {error}"
        return overfitting(kept)

    def _kept_or_made(
        self, tracking: Tracking, trial: Trial, drawn: Callable[[Trial], Draws], say: Callable[[str], None]
    ) -> Float64Array:
        run_id = str(trial.run_id)
        try:
            return np.array(json.loads(tracking.read_text(run_id, COMBINATORIAL)), np.float64)
        except DataError:
            say(f"trial {trial.number}: combinatorial back-test")
        config = self.attempt(drawn(trial)).config
        excess = combinatorial_excess(config, self.data, self.development)
        with tracking.reopen(run_id) as run:
            run.json(COMBINATORIAL, excess)
        return excess


@dataclass
class AlphaAttempt:
    """One spec, walked over the folds."""

    config: AlphaConfig
    data: alpha.AlphaData = field(repr=False)
    development: Development = field(repr=False)
    last: Walked | None = field(default=None, repr=False)

    def tags(self) -> dict[str, str]:
        """As the ledger reads them."""
        return trial_tags(self.config, self.data.matrix.sessions, self.data.split)

    def steps(self, threads: int | None) -> Iterator[Step]:
        """Fold after fold of the development."""
        fitted = self.config if threads is None else with_threads(self.config, threads)
        for state in walk(fitted, self.data, self.development):
            self.last = state
            value = state.running.value
            yield Step(state.number, value, {"fold/rank_ic": state.fold, "fold/objective": value})

    def record(self, run: RunLog) -> None:
        """Daily RankIC and net excess, and their summary."""
        if self.last is None:
            raise DataError("tune", "a trial must be walked before it is recorded", "no fold")
        excess = self.development.net_excess(self.config, self.last.score)
        write_daily(run, self.development.sessions, self.last.rank_ic, excess)
        running = self.last.running
        told = {
            "objective": running.value,
            "rank_ic": running.mean,
            "rank_ic_monthly_std": running.spread,
            "net_excess": float(np.nanmean(excess)) * 242,
            SHARPE: sharpe_moments(excess).sr,
        }
        run.metrics({name: value for name, value in told.items() if np.isfinite(value)})


def write_daily(run: RunLog, sessions: SessionArray, rank_ic: Float64Array, net_excess: Float64Array) -> None:
    """Keep the sessions that a complete trial was tested on, with their RankIC and net excess, all (S,)."""
    kept = np.isfinite(rank_ic) | np.isfinite(net_excess)
    days = sessions[kept].astype("datetime64[D]")
    run.json(DAILY, {"session": days, "rank_ic": rank_ic[kept], "net_excess": net_excess[kept]})


def read_daily(tracking: Tracking, run_id: str) -> tuple[SessionArray, Float64Array, Float64Array]:
    """What `write_daily` kept: sessions, RankIC and net excess, each (S,)."""
    told = json.loads(tracking.read_text(run_id, DAILY))
    days = np.array(told["session"], "datetime64[D]")
    return days, np.array(told["rank_ic"], np.float64), np.array(told["net_excess"], np.float64)


def _aligned(series: Sequence[tuple[SessionArray, Float64Array]]) -> list[Float64Array]:
    """The values of each series on the sessions of all of them, NaN where it has none."""
    sessions = np.unique(np.concatenate([days for days, _ in series]))
    aligned = [np.full(len(sessions), np.nan) for _ in series]
    for row, (days, values) in zip(aligned, series, strict=True):
        row[np.searchsorted(sessions, days)] = values
    return aligned
