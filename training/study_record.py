"""What MLflow keeps of a study: a run for the study, below it a run a trial, and what all trials together say."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from features.panel import DataError, Float64Array
from training.evaluate.overfitting import Pbo, pbo
from training.section import Document
from training.subject import Trial, Verdict
from training.tracking import RunLog, Tracking


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


def overfitting(
    performance: Sequence[Float64Array], measure: Literal["sharpe", "mean"] = "sharpe"
) -> tuple[Pbo | None, str]:
    """PBO of the performance (S,) of each trial, on the sessions on which all have one; or why there is none."""
    if len(performance) < 2:
        return None, f"no PBO: a choice among {len(performance)} complete trials cannot be overfitted"
    try:
        return pbo(np.column_stack(performance), measure=measure, missing="drop"), ""
    except DataError as error:
        return None, f"no PBO: {error}"


def table(trials: Sequence[Trial], part: str) -> pl.DataFrame:
    """A row a trial, by number, with a column for each setting that was drawn; `part` is what it walked over."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    return pl.DataFrame(
        [
            {
                "trial": trial.number,
                "state": trial.state,
                "objective": trial.value,
                **{name: trial.params.get(name) for name in names},
                part: trial.parts,
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
    part: str,
    best: Trial,
    chosen: Document,
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
        run.frame(f"trials.{suffix}", table(trials, part))
    run.metrics({f"trials/{state}": float(n) for state, n in states.items()})
    run.metrics({"best/objective": value, "best/trial": float(best.number), **_numbers(verdict)})
    run.tags({"best_run": best.run_id or ""})
    run.note(_note(found, best, states, verdict, notes))
    return path


def _numbers(verdict: Verdict) -> dict[str, float]:
    told = dict(verdict.numbers)
    if verdict.pbo is not None:
        told |= {"pbo": verdict.pbo.value, "pbo/trials": float(verdict.pbo.trials), "pbo/slope": verdict.pbo.slope}
        told |= {"pbo/loss": verdict.pbo.loss}
    return {name: value for name, value in told.items() if np.isfinite(value)}


def _note(found: str, best: Trial, states: Mapping[str, int], verdict: Verdict, notes: Sequence[str]) -> str:
    """The run's description, in Markdown."""
    counts = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
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
        *verdict.words,
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines)
