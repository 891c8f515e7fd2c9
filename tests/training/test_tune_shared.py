"""Several processes on one study, some of them dead, in whatever database."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from features.panel import ConfigError
from tests.training.small_study import copied, small_config, small_home, trials
from training import tune as tuning
from training.alpha_config import AlphaConfig
from training.process import Process
from training.tracking import Tracking
from training.tune import tune


@pytest.fixture(scope="module")
def config() -> AlphaConfig:
    return small_config()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_home(tmp_path_factory.mktemp("untouched"))


@pytest.fixture
def home(untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return copied(untouched, tmp_path / "home")


def test_a_trial_whose_process_died_is_failed_at_once_and_its_run_is_killed(config: AlphaConfig, home: Path) -> None:
    name = tune(config, home, trials=2).study
    tell = "from training.process import Process; print(Process.this())"
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, check=True, cwd=root)
    tracking = Tracking(home)
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{home}/mlruns/optuna.db")
    left = study.ask()
    orphan = tracking.reopen(study.user_attrs["run_id"]).child("trial", {"trial": str(left.number)})
    left.set_user_attr("process", done.stdout.strip())
    elsewhere = study.ask()
    elsewhere.set_user_attr("process", "another-host 1 1.5")
    said: list[str] = []
    tune(config, home, trials=2, say=said.append)
    states = {t.number: t.state.name for t in trials(home, name)}
    assert (states[left.number], states[elsewhere.number]) == ("FAIL", "RUNNING")
    assert tracking.record(orphan.run_id).status == "KILLED"
    assert "1 trials were lost with their process" in said


def test_a_trial_that_died_in_its_making_is_failed_after_a_while(
    config: AlphaConfig, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tune(config, home, trials=2).study
    number = optuna.load_study(study_name=name, storage=f"sqlite:///{home}/mlruns/optuna.db").ask().number
    tune(config, home, trials=2)
    assert trials(home, name)[number].state.name == "RUNNING"
    monkeypatch.setattr(tuning, "WORDLESS", 0)
    tune(config, home, trials=2)
    assert trials(home, name)[number].state.name == "FAIL"


def test_a_place_that_two_processes_took_at_once_goes_to_the_first(
    config: AlphaConfig, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tune(config, home, trials=2).study
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{home}/mlruns/optuna.db")
    tell_news, other = tuning.Search._tell_news, []

    def meanwhile(search: tuning.Search, done: int) -> None:
        """Between this process's look at the study and its own trial, another one begins the last trial."""
        if not other:
            other.append(study.ask())
            other[0].set_user_attr("process", str(Process.this()))
        elif len(trials(home, name)) > other[0].number + 1:
            study.tell(other[0], state=optuna.trial.TrialState.PRUNED, skip_if_finished=True)
        tell_news(search, done)

    monkeypatch.setattr(tuning.Search, "_tell_news", meanwhile)
    found = tune(config, home, trials=3)
    surplus = [t for t in trials(home, name) if "surplus" in t.user_attrs]
    assert [t.state.name for t in surplus] == ["FAIL"]
    assert surplus[0].number > other[0].number
    assert found.states["complete"] + found.states["pruned"] == 3


def test_any_database_may_hold_the_study(config: AlphaConfig, home: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    found = tune(config, home, trials=1, storage=url)
    assert optuna.load_study(study_name=found.study, storage=url).best_value == found.best_value
    assert not (home / "mlruns" / "optuna.db").exists()
    assert (found.pbo, "cannot be overfitted" in found.notes[-1]) == (None, True)
    assert math.isfinite(found.dsr)


@pytest.mark.parametrize("url", ["nonsense", "oracle9://me:secret@host/db", "sqlite:////no/such/folder/at/all.db"])
def test_a_storage_that_cannot_be_opened_is_refused_without_its_password(
    config: AlphaConfig, home: Path, url: str
) -> None:
    with pytest.raises(ConfigError, match="tune storage: it must be the SQLAlchemy URL of a database") as caught:
        tune(config, home, trials=1, storage=url)
    assert "secret" not in str(caught.value)


def test_two_jobs_share_the_work_and_the_target(config: AlphaConfig, home: Path) -> None:
    said: list[str] = []
    found = tune(config, home, trials=40, jobs=2, say=said.append)
    done = [t for t in trials(home, found.study) if t.state.name in ("COMPLETE", "PRUNED")]
    assert len(done) == 40
    assert len({json.dumps(t.params, sort_keys=True) for t in done}) == 40, "no draw is repeated"
    workers = {Process.read(t.user_attrs["process"]).pid for t in done}
    assert os.getpid() in workers
    assert not [line for line in said if "processes failed" in line]
    assert len([line for line in said if re.match(r"trial \d+: (complete|pruned)", line)]) == 40
