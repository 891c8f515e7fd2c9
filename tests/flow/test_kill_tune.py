"""A study that is killed at any moment loses at most the trials that ran, and two processes on it add up."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import optuna
import pytest

from tests.flow.killed import ROOT
from tests.training.small_study import copied, small_config, small_home
from training.ledger import SHARPE, Ledger, market_of
from training.process import Process
from training.tracking import Tracking
from training.tune import tune
from training.tune_alpha import read_daily

# A process that has imported everything forks a child for each kill. The child counts what it writes, to the study or
# to MLflow, and dies within a breath of its n-th write: the moment is one of progress, however fast the machine is.
KILLED = """
import json, os, signal, sys, threading, time
from pathlib import Path
from optuna.storages import RDBStorage
from training.config import load
from training.tracking import RunLog
from training.tune import tune

home, moments = Path(sys.argv[1]), json.loads(sys.argv[2])
config, writes = load(home / "config.yaml"), 0

def tell(fact):  # in one piece, which print is not
    os.write(1, json.dumps(fact).encode() + b"\\n")

def die(delay):
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGKILL)

def counted(write, last, delay):
    def writing(*given, **named):
        global writes
        writes += 1
        if writes == last:
            threading.Thread(target=die, args=(delay,), daemon=True).start()
        return write(*given, **named)
    return writing

for last, delay in moments:
    if child := os.fork():
        tell({"died": os.WIFSIGNALED(os.waitpid(child, 0)[1])})
        continue
    for owner, names in (
        (RDBStorage, ("create_new_trial", "set_trial_intermediate_value", "set_trial_state_values",
                      "set_trial_user_attr", "set_trial_param", "record_heartbeat")),
        (RunLog, ("metrics", "tags", "params", "json", "child", "end", "text")),
    ):
        for name in names:
            setattr(owner, name, counted(getattr(owner, name), last, delay))
    tune(config, home, trials=10_000, say=lambda line: tell({"said": line}))
    os._exit(3)
"""
TOGETHER = """
import sys, time
from pathlib import Path
from training.config import load
from training.tune import tune
home = Path(sys.argv[1])
(home / f"ready {sys.argv[2]}").touch()
while len(list(home.glob("ready *"))) < 2:
    time.sleep(0.01)
tune(load(home / "config.yaml"), home, trials=int(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_home(tmp_path_factory.mktemp("untouched"))


@pytest.fixture
def home(untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = copied(untouched, tmp_path / "home")
    (home / "config.yaml").write_text(small_config().dump(), encoding="utf-8")
    return home


def study(home: Path) -> optuna.Study:
    storage = f"sqlite:///{home}/mlruns/optuna.db"
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


@pytest.mark.slow
def test_ten_kills_lose_at_most_the_trials_that_ran(home: Path) -> None:
    moments = random.Random(11)
    plan = [(moments.randint(5, 60), moments.uniform(0.0, 0.03)) for _ in range(10)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home), json.dumps(plan)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["died"] for one in events if "died" in one] == [True] * 10, done.stderr
    told = {
        int(line.split(":")[0].removeprefix("trial ")): line.split(": ")[1].split(",")[0]
        for one in events
        if (line := one.get("said", "")).startswith("trial ")
    }
    before = study(home).trials
    counts = Counter(trial.state.name for trial in before)
    assert counts["COMPLETE"] + counts["PRUNED"] >= 10, "the kills came too early to test anything"
    # One that died between its making and its first word is known dead only when it has kept silent for a while.
    running = [t for t in before if t.state.name == "RUNNING" and "process" in t.user_attrs]
    assert len(running) <= 1, "each start buries what the last kill left"
    kept = {t.number: t.state.name.lower() for t in before}
    kept = {number: state.replace("fail", "failed") for number, state in kept.items()}
    assert told.items() <= kept.items(), "whatever was finished is there"
    lost = [t for t in before if t.state.name in ("FAIL", "RUNNING") and "error" not in t.user_attrs]
    assert len(lost) <= 10, "one process, one running trial a kill"

    target = counts["COMPLETE"] + counts["PRUNED"] + 3
    tune(small_config(), home, trials=target)
    after = study(home).trials
    by_number = {t.number: t for t in after}
    for trial in before:
        if trial.state.name in ("COMPLETE", "PRUNED"):
            now = by_number[trial.number]
            assert (now.state, now.value, now.params) == (trial.state, trial.value, trial.params)
    states = Counter(trial.state.name for trial in after)
    assert states["COMPLETE"] + states["PRUNED"] == target
    assert states["RUNNING"] == 0
    check_runs(home)


def test_two_processes_on_one_study_add_up_to_the_target(home: Path) -> None:
    command = [sys.executable, "-c", TOGETHER, str(home)]
    pair = [
        subprocess.Popen([*command, str(number), "20"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for number in (1, 2)
    ]
    for one in pair:
        _, said = one.communicate(timeout=240)
        assert one.returncode == 0, said
    trials = study(home).trials
    done = [t for t in trials if t.state.name in ("COMPLETE", "PRUNED")]
    assert len(done) == 20
    assert len({json.dumps(t.params, sort_keys=True) for t in done}) == 20, "no draw is made twice"
    by_process = Counter(Process.read(t.user_attrs["process"]).pid for t in done)
    assert len(by_process) == 2, "both have worked"
    check_runs(home)


def check_runs(home: Path) -> None:
    """MLflow tells the same as the study: one parent, a finished run for each trial that counts, none left running."""
    tracking, trials = Tracking(home), study(home).trials
    runs = tracking.search("alpha", finished=False)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.tags]
    children = [run for run in runs if run.tags.get("mlflow.parentRunId") == parent.run_id]
    assert len(children) == len(runs) - 1
    assert "RUNNING" not in {run.status for run in runs}
    finished = {int(run.tags["trial"]): run for run in children if run.status == "FINISHED"}
    counted = {t.number: t for t in trials if t.state.name in ("COMPLETE", "PRUNED")}
    assert set(finished) == set(counted)
    for number, trial in counted.items():
        assert trial.user_attrs["run_id"] == finished[number].run_id
        if trial.state.name == "COMPLETE":
            assert finished[number].metrics["objective"] == trial.value
            assert len(read_daily(tracking, finished[number].run_id)[0]) > 30
    ledger = Ledger.of(tracking, market_of(small_config())).trials("another", 0.0)
    seen = [run for run in children if run.status == "FINISHED" or SHARPE in run.metrics]
    assert ledger.n == len({run.tags["trial_hash"] for run in seen}) + 1
