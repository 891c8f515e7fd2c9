"""What MLflow keeps of a study: a run for the study, below it a run a trial, and what all trials together say."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from features.panel import DataError, Float64Array, SessionArray
from models.base import FitError
from training.alpha_config import AlphaConfig
from training.evaluate.overfitting import Pbo, SharpeMoments, pbo, sharpe_moments
from training.ledger import Ledger, Trials, market_of, trial_hash
from training.tracking import RunLog, Tracking

DAILY = "daily.json"
COMBINATORIAL = "combinatorial_net_excess.json"
State = Literal["complete", "pruned", "failed", "running"]


@dataclass(frozen=True)
class Trial:
    """A trial as its study knows it; `value` is what it reached, of a pruned one over the folds that it saw."""

    number: int
    state: State
    value: float | None
    params: Mapping[str, Any] = field(repr=False)
    folds: int = 0
    seconds: float | None = None
    run_id: str | None = None
    error: str | None = None


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


def combinatorial(
    tracking: Tracking, best: Sequence[Trial], excess_of: Callable[[Trial], Float64Array]
) -> tuple[Pbo | None, str]:
    """PBO over combinatorial back-tests of the best trials; each is made once and kept with its trial."""
    kept = {}
    for trial in best:
        run_id = str(trial.run_id)
        try:
            kept[trial.number] = np.array(json.loads(tracking.read_text(run_id, COMBINATORIAL)), np.float64)
        except DataError:
            try:
                kept[trial.number] = excess_of(trial)
            except (FitError, DataError) as error:
                return None, f"no combinatorial PBO: trial {trial.number}: {error}"
            with tracking.reopen(run_id) as run:
                run.json(COMBINATORIAL, kept[trial.number])
    return overfitting(list(kept.values()))


def mend(tracking: Tracking, study_run: str, trials: Sequence[Trial], experiment: str) -> int:
    """End the runs of trials whose process died; how many. Those of trials that still run are left alone."""
    states = {trial.number: trial.state for trial in trials}
    mended = 0
    for run in tracking.search(experiment, tags={"mlflow.parentRunId": study_run}, finished=False):
        state = states.get(int(run.tags.get("trial", -1)), "failed")
        if state in ("complete", "pruned") and run.status == "RUNNING":
            tracking.reopen(run.run_id).end("FINISHED")
        elif state == "failed" and run.status in ("RUNNING", "FINISHED"):
            tracking.reopen(run.run_id).end("KILLED", "its process died")
        else:
            continue
        mended += 1
    return mended


@dataclass(frozen=True)
class Verdict:
    """How much of a study's best trial may be luck.

    moments  of the best trial's net excess per session
    trials   the ledger's trials of the market, those of this study among them
    dsr      deflated Sharpe ratio of the best trial; NaN where it cannot be told
    pbo      probability of backtest overfitting over the complete trials, None with the note that says why
    combinatorial  the same over combinatorial back-tests of the best trials, None where it was not asked for
    """

    moments: SharpeMoments
    trials: Trials
    dsr: float
    pbo: Pbo | None
    notes: tuple[str, ...]
    combinatorial: Pbo | None = None

    def metrics(self) -> dict[str, float]:
        """The numbers by name; those that are not known are left out."""
        told = {
            "best/sharpe_session": self.moments.sr,
            "ledger/trials": float(self.trials.n),
            "ledger/sharpe_variance": self.trials.variance,
            "dsr": self.dsr,
        }
        if self.pbo is not None:
            told |= {"pbo": self.pbo.value, "pbo/trials": float(self.pbo.trials), "pbo/slope": self.pbo.slope}
            told |= {"pbo/loss": self.pbo.loss, "pbo/sessions": float(self.pbo.n)}
        if self.combinatorial is not None:
            told |= {"pbo_combinatorial": self.combinatorial.value}
            told |= {"pbo_combinatorial/trials": float(self.combinatorial.trials)}
        return {name: value for name, value in told.items() if np.isfinite(value)}


def judge(
    tracking: Tracking,
    config: AlphaConfig,
    best: Trial,
    best_config: AlphaConfig,
    trials: Sequence[Trial],
    excess_of: Callable[[Trial], Float64Array],
) -> Verdict:
    """Deflate the best trial by the ledger, and cross-validate the choice among all complete trials.

    excess_of  combinatorial back-test of a trial, made for the best `tune.combinatorial` of them
    """
    complete = [trial for trial in trials if trial.state == "complete" and trial.run_id is not None]
    daily = {trial.number: read_daily(tracking, str(trial.run_id)) for trial in complete}
    moments = sharpe_moments(daily[best.number][2])
    known = Ledger.of(tracking, market_of(config), own=best.run_id).trials(trial_hash(best_config), moments.sr)
    sessions = np.unique(np.concatenate([days for days, _, _ in daily.values()]))
    aligned = [np.full(len(sessions), np.nan) for _ in daily]
    for row, (days, _, excess) in zip(aligned, daily.values(), strict=True):
        row[np.searchsorted(sessions, days)] = excess
    found, note = overfitting(aligned)
    notes = [note]
    crossed = None
    if config.tune.combinatorial > 0:
        ranked = sorted(complete, key=lambda trial: -float(trial.value or 0.0))
        distinct = list({json.dumps(trial.params, sort_keys=True): trial for trial in reversed(ranked)}.values())[::-1]
        crossed, note = combinatorial(tracking, distinct[: config.tune.combinatorial], excess_of)
        notes.append(note)
    return Verdict(moments, known, known.deflated(moments), found, tuple(filter(None, notes)), crossed)


def overfitting(excess: Sequence[Float64Array]) -> tuple[Pbo | None, str]:
    """PBO of the net excess (S,) of each trial, on the sessions on which all have one; or why there is none."""
    if len(excess) < 2:
        return None, f"no PBO: a choice among {len(excess)} complete trials cannot be overfitted"
    try:
        return pbo(np.column_stack(excess), missing="drop"), ""
    except DataError as error:
        return None, f"no PBO: {error}"


def table(trials: Sequence[Trial]) -> pl.DataFrame:
    """A row a trial, by number, with a column for each setting that was drawn."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    return pl.DataFrame(
        [
            {
                "trial": trial.number,
                "state": trial.state,
                "objective": trial.value,
                **{name: trial.params.get(name) for name in names},
                "folds": trial.folds,
                "seconds": trial.seconds,
                "run": trial.run_id,
                "error": trial.error,
            }
            for trial in trials
        ],
        infer_schema_length=None,
    )


def record(
    run: RunLog,
    home: Path,
    study: str,
    best: Trial,
    chosen: AlphaConfig,
    trials: Sequence[Trial],
    verdict: Verdict,
    notes: Sequence[str],
) -> Path:
    """Write the study's tables, numbers and best settings to its run, and those settings to <home>/tuned; its path."""
    states = Counter[str](trial.state for trial in trials)
    value = float(best.value or 0.0)
    found = f"trial {best.number} of study {study}, objective {value:+.6f}"
    text = f"# The best of {states['complete'] + states['pruned']} trials: {found}\n{chosen.dump()}"
    path = home / "tuned" / f"{chosen.name.removesuffix('_tuned').replace('/', '_')}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(f".{os.getpid()}")
    whole.write_text(text, encoding="utf-8")
    whole.replace(path)
    run.text("best_config.yaml", text)
    for suffix in ("json", "csv"):
        run.frame(f"trials.{suffix}", table(trials))
    run.metrics({f"trials/{state}": float(n) for state, n in states.items()})
    run.metrics({"best/objective": value, "best/trial": float(best.number), **verdict.metrics()})
    run.tags({"best_run": best.run_id or ""})
    run.note(_note(found, best, states, verdict, notes))
    return path


def _note(found: str, best: Trial, states: Mapping[str, int], verdict: Verdict, notes: Sequence[str]) -> str:
    """The run's description, in Markdown."""
    counts = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    chance = f"{verdict.pbo.value:.2f} over {verdict.pbo.trials} trials" if verdict.pbo else "not known"
    lines = [
        f"Best: {found}. Trials: {counts}.",
        "",
        "| setting | value |",
        "|---|---:|",
        *(
            f"| {name} | {value:.6g} |" if isinstance(value, float) else f"| {name} | {value} |"
            for name, value in best.params.items()
        ),
        "",
        f"Probability of backtest overfitting: {chance}. Deflated Sharpe ratio of the best trial: {verdict.dsr:.3f} "
        f"among {verdict.trials.n} trials of this market. The holdout was not touched.",
        *([f"Over combinatorial back-tests: {verdict.combinatorial.value:.2f}."] if verdict.combinatorial else []),
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines)
