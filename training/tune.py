"""The one door to Optuna: a search of a model's settings that survives kills, resumes, and never sees the holdout.

A trial draws settings from a model's own space, walks its data part after part as the task's subject does
(training/subject.py), and is pruned after a part where it falls behind. The study lies in sqlite at
<home>/mlruns/optuna.db, or at any storage URL; any number of processes may work on it, and they add up. Each is a
process of its own, not a thread, since warnings, OpenMP and Python's lock are a process's: what `jobs` starts is what
a second terminal would start.
This file is long because Optuna has one door.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from filelock import FileLock
from optuna import visualization
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FixedTrial, FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from features.panel import ConfigError
from features.store import Store
from models.base import FitError
from training import study_record
from training.alpha_config import AlphaConfig
from training.config import Config, load, tunable
from training.process import Process
from training.study_page import study_page
from training.subject import Aim, Attempt, Status, Step, Subject, Trial
from training.tracking import RunLog, Tracking
from training.tune_alpha import AlphaSubject
from training.tune_volatility import VolatilitySubject
from training.tune_workers import workers
from training.volatility_config import VolatilityConfig

HEARTBEAT, GRACE = 30, 90  # seconds between two signs of life of a trial; without one for so long it has died
WORDLESS = 30  # seconds after which a trial that has not named its process has died in the moment of its making
PATIENCE: Final = 20  # trials that fail one after the other before the search gives up
_WAIT: Final = 0.5  # seconds between two looks at what the others do
Tunable = AlphaConfig | VolatilityConfig
_STATES: Final[Mapping[TrialState, Status]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


@dataclass(frozen=True)
class Tuned:
    """A study that has the trials it was asked for.

    params  what the best trial drew
    config  file of the best settings, for `daybar train`
    run_id  of the study's run
    states  complete, pruned, failed -> trials
    pbo     over the complete trials, None where there are too few; dsr of the best trial, NaN where it is not known
            or, as of forecasts, there is none
    pbo_combinatorial  over combinatorial back-tests of the best trials, None where config.tune.combinatorial is 0
    notes   what a reader of the numbers must know
    """

    study: str
    best_trial: int
    best_value: float
    params: dict[str, Any]
    config: Path
    run_id: str
    states: dict[str, int]
    pbo: float | None
    dsr: float
    pbo_combinatorial: float | None
    notes: tuple[str, ...] = ()


def tune(
    config: Config,
    home: Path,
    *,
    trials: int | None = None,
    jobs: int = 1,
    storage: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] | None = None,
) -> Tuned:
    """Search the space of the config's model until its study has so many trials, complete or pruned.

    The same settings on the same data continue the same study. With one job a study made from nothing has the same
    trials every time; several jobs draw by what is finished when a trial begins, and so by how fast they are.

    trials    all that the study shall have, those of earlier calls among them; None: config.tune.trials
    jobs      processes, each with its own data and its share of the cores
    storage   an SQLAlchemy URL; processes on several hosts need one, and one MLFLOW_TRACKING_URI
    progress  called with trials finished and wanted
    Errors    ConfigError for a task without a space, or a storage that cannot be opened, FitError when trial after
              trial fails
    """
    config = tunable(config)
    target = config.tune.trials if trials is None else trials
    if min(target, jobs) < 1:
        raise ConfigError("tune", "trials and jobs must be at least 1", f"{target} and {jobs}")
    with ExitStack() as stack:
        _be_quiet(stack)
        search = Search(config, home, storage, say)
        search.target, search.progress = target, progress or search.progress
        with search.run:
            search.announce()
            order = {"home": str(home), "config": config.dump(), "study": search.study.study_name, "trials": target}
            share = max(1, _cores() // jobs)
            search.threads = share if jobs > 1 else None
            with workers(jobs - 1, {**order, "threads": share, "storage": storage}, say):
                search.until_done()
            return search.conclude()


def obey() -> None:
    """What a process that `tune` has started does: work on the ordered study until it is done or its parent is gone."""
    order = json.load(sys.stdin)
    with ExitStack() as stack:
        _be_quiet(stack)
        written = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "config.yaml"
        written.write_text(order["config"], encoding="utf-8")
        search = Search(tunable(load(written)), Path(order["home"]), order["storage"], lambda line: None)
        if search.study.study_name != order["study"]:
            raise ConfigError("tune", f"the study must still be {order['study']}", search.study.study_name)
        search.target, search.threads = int(order["trials"]), int(order["threads"])
        search.is_orphan = lambda: os.getppid() != order["parent"]
        search.until_done()


class Search:
    """A process's work on a study."""

    def __init__(self, config: Tunable, home: Path, url: str | None, say: Callable[[str], None]) -> None:
        """Prepare the data, and open the study that they and the settings name."""
        self.config, self.home, self.say = config, home, say
        self.subject = _subject(config, Store(home / config.data.store), say)
        self.aim = self.subject.aim
        self.tracking = Tracking(home)
        self.study = optuna.create_study(
            storage=_storage(home, url),
            study_name=f"{self.aim.family}/{config.name}/{_digest(self.subject)}",
            direction=self.aim.direction,
            load_if_exists=True,
            sampler=SeededByNumber(config.seed, config.tune.startup),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=config.tune.startup, n_warmup_steps=1),
        )
        self.run = _study_run(self.tracking, self.study, config, home, self.subject)
        self.target = config.tune.trials
        self.threads: int | None = None  # None: as the config says
        self.progress: Callable[[int, int], None] = lambda done, wanted: None
        self.is_orphan: Callable[[], bool] = lambda: False
        self._me = str(Process.this())
        self._failures: list[str] = []
        self._told = {trial.number for trial in self._trials() if trial.state.is_finished()}

    def announce(self) -> None:
        """Say what is there already, and end what was left behind by processes that died."""
        self._bury()
        trials = self.records()
        mended = study_record.mend(self.tracking, self.run.run_id, trials, self.aim.experiment)
        counts = Counter(trial.state for trial in trials)
        known = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "new"
        self.say(f"study {self.study.study_name}: {known}; {self.target} trials wanted")
        self.say(f"objective, to {self.aim.direction}: {self.aim.sought}")
        if mended:
            self.say(f"{mended} trials were lost with their process")

    def until_done(self) -> None:
        """Run trials while some are missing; wait for those that other processes run, and take over if they die."""
        while not self.is_orphan():
            self._bury()
            states = Counter(trial.state for trial in self._trials())
            done = states[TrialState.COMPLETE] + states[TrialState.PRUNED]
            self._tell_news(done)
            if done >= self.target:
                return
            if done + states[TrialState.RUNNING] >= self.target:
                time.sleep(_WAIT)
                continue
            self._one_trial()

    def _one_trial(self) -> None:
        before = len(self._failures)
        try:
            self.study.optimize(self._run, n_trials=1, catch=(FitError, _Surplus))
        except ValueError as error:
            if "Cannot tell a FAIL trial" not in str(error):
                raise
            self.say("a trial of this process was taken for dead and given up: was the machine asleep?")
        if len(self._failures) == before:
            self._failures.clear()
        if len(self._failures) >= PATIENCE:
            found = f"{PATIENCE} that failed in a row"
            raise FitError("tune", "some trial must be fitted", found, help=f"the last one: {self._failures[-1]}")

    def _run(self, trial: optuna.Trial) -> float:
        """One trial: its settings, its folds, its record."""
        trial.set_user_attr("process", self._me)
        if self._is_surplus(trial.number):
            trial.set_user_attr("surplus", True)
            raise _Surplus
        with self.run.child(f"trial {trial.number}", {"trial": str(trial.number)}) as run:
            trial.set_user_attr("run_id", run.run_id)
            try:
                attempt = self.subject.attempt(trial)
                run.tags(attempt.tags())
                run.params(trial.params)
                last = self._walk(trial, attempt, run)
            except FitError as error:
                self._failures.append(str(error))
                trial.set_user_attr("error", str(error))
                raise
            run.tags({"trial_state": "complete" if last else "pruned"})
            if last:
                attempt.record(run)
        if last is None:
            raise optuna.TrialPruned
        return last.value

    def _walk(self, trial: optuna.Trial, attempt: Attempt, run: RunLog) -> Step | None:
        """The state after the last part; None where the trial was pruned before."""
        state = None
        for state in attempt.steps(self.threads):
            run.metrics({name: one for name, one in state.told.items() if np.isfinite(one)}, step=state.number)
            if np.isfinite(state.value):
                trial.report(state.value, state.number)
            if state.number < self.subject.parts - 1 and trial.should_prune():
                return None
            if self.is_orphan():
                raise KeyboardInterrupt
        return state

    def conclude(self) -> Tuned:
        """Record what the study found: pictures, table, the best settings, and how much of them may be luck."""
        trials = self.records()
        study_record.mend(self.tracking, self.run.run_id, trials, self.aim.experiment)
        best = self.study.best_trial
        winner = next(trial for trial in trials if trial.number == best.number)
        config = self.subject.attempt(_drawn(winner)).config
        chosen = config.model_copy(update={"name": f"{self.config.name}_tuned"})
        verdict = self.subject.judge(self.tracking, winner, trials, _drawn, self.say)
        pictures, notes = _pictures(self.study, self.aim)
        notes += [*self.subject.notes, *verdict.notes]
        self.run.text("study.html", study_page(f"{self.config.name}: {self.study.study_name}", pictures, notes))
        name = self.study.study_name
        part = self.aim.part
        path = study_record.record(self.run, self.home, name, part, winner, chosen, trials, verdict, notes)
        return Tuned(
            study=name,
            best_trial=best.number,
            best_value=float(best.value),
            params=dict(best.params),
            config=path,
            run_id=self.run.run_id,
            states=dict(Counter(trial.state for trial in trials)),
            pbo=verdict.pbo.value if verdict.pbo else None,
            dsr=verdict.dsr,
            pbo_combinatorial=verdict.combinatorial.value if verdict.combinatorial else None,
            notes=tuple(notes),
        )

    def records(self) -> list[Trial]:
        """Every trial that was meant to count, by number."""
        return [_record_of(trial) for trial in self._trials() if "surplus" not in trial.user_attrs]

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _is_surplus(self, number: int) -> bool:
        """Enough trials that were begun earlier are done or under way: two processes took the last place at once."""
        earlier = [trial for trial in self._trials() if trial.number < number and trial.state != TrialState.FAIL]
        return len(earlier) >= self.target

    def _bury(self) -> None:
        """Fail the trials whose process is known dead, at once; Optuna does it for those without a heartbeat."""
        for trial in self._trials():
            if trial.state != TrialState.RUNNING:
                continue
            owner = trial.user_attrs.get("process")
            if owner is None:  # killed before its first word, or this very moment made by another process
                begun = trial.datetime_start
                is_dead = begun is not None and (datetime.now() - begun).total_seconds() > WORDLESS
            else:
                is_dead = Process.read(owner).is_known_dead
            if is_dead:
                with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another process was faster
                    self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _tell_news(self, done: int) -> None:
        """Say what has finished since, whoever ran it."""
        for trial in self._trials():
            if not trial.state.is_finished() or trial.number in self._told or "surplus" in trial.user_attrs:
                continue
            self._told.add(trial.number)
            reached = "" if trial.value is None else f", objective {trial.value:+.4f}"
            if trial.state == TrialState.FAIL:
                reached = ": " + str(trial.user_attrs.get("error", "its process died")).splitlines()[0]
            self.say(f"trial {trial.number}: {_STATES[trial.state]}{reached}")
        self.progress(min(done, self.target), self.target)


class SeededByNumber(BaseSampler):
    """TPE whose draws of a trial depend on the seed, the trial's number and the trials before it, on nothing else.

    So a resumed study does not repeat its first draws, two processes do not draw the same, and one process alone draws
    the same every time.
    """

    def __init__(self, seed: int, startup: int) -> None:
        self._seed, self._startup = seed, startup
        self._samplers: dict[int, TPESampler] = {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Make the trial's own sampler."""
        seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
        self._samplers[trial.number] = TPESampler(seed=seed, n_startup_trials=self._startup)
        self._samplers[trial.number].before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """As TPE does."""
        space: dict[str, Any] = self._samplers[trial.number].infer_relative_search_space(study, trial)
        return space

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """As TPE does."""
        drawn: dict[str, Any] = self._samplers[trial.number].sample_relative(study, trial, search_space)
        return drawn

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: Any) -> Any:  # noqa: ANN401
        """As TPE does."""
        return self._samplers[trial.number].sample_independent(study, trial, name, distribution)

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:  # noqa: ANN401
        """Let the trial's sampler go; a trial of another process has none here."""
        self._samplers.pop(trial.number, None)


class _Surplus(Exception):
    """The study has its trials already."""


def _storage(home: Path, url: str | None) -> RDBStorage:
    """The storage of studies, with signs of life; sqlite lets others read while one writes, and waits for its turn."""
    folder = home.resolve() / "mlruns"
    folder.mkdir(parents=True, exist_ok=True)
    address = url or f"sqlite:///{(folder / 'optuna.db').as_posix()}"
    is_sqlite = address.startswith("sqlite")
    try:
        with FileLock(folder / ".optuna.lock", timeout=120):  # two must not make the tables at once
            engine: dict[str, Any] = {"connect_args": {"timeout": 60}} if is_sqlite else {}
            storage = RDBStorage(address, engine, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
            if is_sqlite:
                with storage.engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    except (ImportError, SQLAlchemyError, RuntimeError) as error:
        # The URL may hold a password: of it only the kind is told.
        kind, first = address.split(":")[0], str(error).splitlines()[0]
        raise ConfigError("tune storage", "it must be the SQLAlchemy URL of a database", f"{kind}: {first}") from error
    return storage


def _subject(config: Tunable, store: Store, say: Callable[[str], None]) -> Subject:
    """What the config's task lets a study search, with its data prepared."""
    if isinstance(config, VolatilityConfig):
        return VolatilitySubject.prepare(config, store, say)
    return AlphaSubject.prepare(config, store, say)


def _study_run(tracking: Tracking, study: optuna.Study, config: Tunable, home: Path, subject: Subject) -> RunLog:
    """The study's run in MLflow, made by the first process and opened again by every later one."""
    with FileLock(home.resolve() / "mlruns" / ".optuna.lock", timeout=120):
        known = study.user_attrs.get("run_id")
        if known is not None:
            try:
                return tracking.reopen(known)
            except ConfigError:  # it was deleted, or the study was begun with another tracking store
                pass
        tags = {"study": study.study_name, "config_hash": config.hash, **subject.tags()}
        run = tracking.start(subject.aim.experiment, f"tune {config.name}", tags)
        run.params({name: value for name, value in config.settings().items() if name != "register"})
        run.text("config.yaml", config.dump())
        run.environment()
        subject.record_data(run)
        study.set_user_attr("run_id", run.run_id)
        return run


def _record_of(trial: FrozenTrial) -> Trial:
    seconds = trial.duration.total_seconds() if trial.duration else None
    said = trial.user_attrs
    return Trial(
        number=trial.number,
        state=_STATES[trial.state],
        value=trial.value,
        params=dict(trial.params),
        parts=len(trial.intermediate_values),
        seconds=seconds,
        run_id=said.get("run_id"),
        error=said.get("error"),
    )


def _pictures(study: optuna.Study, aim: Aim) -> tuple[list[tuple[str, str, Any]], list[str]]:
    """Title, caption and plotly figure of each picture of a study; and why one is missing."""
    drawn = (
        (
            "History",
            f"Objective of each complete trial, {aim.sought}; the best so far.",
            visualization.plot_optimization_history,
        ),
        (
            "Importance",
            "How much each setting tells of whether a trial is among the best (PED-ANOVA); they add up to 1.",
            visualization.plot_param_importances,
        ),
        (
            "Parallel coordinates",
            "A line is a trial, the darker the better; drag along an axis to choose.",
            visualization.plot_parallel_coordinate,
        ),
        (
            "Slices",
            "Objective over each setting; darker points are later trials, by which one sees where the search went.",
            visualization.plot_slice,
        ),
    )
    pictures, notes = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # too few trials for a picture to mean anything
        for title, caption, plot in drawn:
            try:
                pictures.append((title, caption, plot(study, target_name="objective")))
            except (ValueError, RuntimeError, ImportError, UserWarning) as error:
                notes.append(f"no picture of {title.lower()}: {str(error).splitlines()[0]}")
    return pictures, notes


def _drawn(trial: Trial) -> FixedTrial:
    """Draws what a trial has drawn."""
    return FixedTrial(dict(trial.params))


def _digest(subject: Subject) -> str:
    """Twelve hex digits over the data and all settings under which trials can be compared."""
    text = json.dumps([subject.settings(), subject.fingerprint()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _be_quiet(stack: ExitStack) -> None:
    """Optuna's own lines and its warning that heartbeats are experimental stay off; `say` tells what happens."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    stack.callback(optuna.logging.set_verbosity, before)
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
