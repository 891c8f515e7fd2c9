"""A study of a volatility model: what it draws, what it judges by, what its best settings become."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna
import pytest

from features.panel import DataError
from features.store import Store
from models.base import FitError
from models.volatility.ewma import Ewma
from tests.training.small_volatility import small_config, small_data, small_home
from training import tune_volatility
from training.config import load
from training.evaluate.overfitting import pbo
from training.process import Process
from training.study_record import overfitting
from training.subject import Trial
from training.tracking import Tracking
from training.tune import Tuned, tune
from training.tune_volatility import VolatilitySubject, judged_plan, read_monthly, searched
from training.tune_workers import workers
from training.volatility_config import VolatilityConfig
from training.volatility_data import VolatilityData
from training.volatility_objective import Development, monthly_gain, objective


@contextmanager
def simulated() -> Iterator[None]:
    """The series are simulated ones, whatever the store holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(tune_volatility, "gather", lambda config, store, say: small_data())
        yield


@pytest.fixture
def market() -> Iterator[None]:
    with simulated():
        yield


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuned, Path, list[str]]:
    """A study of eight trials, to be left as it is."""
    home, said = tmp_path_factory.mktemp("tuned"), list[str]()
    with simulated():
        return tune(small_config(), home, trials=8, say=said.append), home, said


def trials(home: Path, name: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{home}/mlruns/optuna.db").trials


def subject(config: VolatilityConfig | None = None, data: VolatilityData | None = None) -> VolatilitySubject:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune_volatility, "gather", lambda config, store, say: data or small_data())
        return VolatilitySubject.prepare(config or small_config(), Store(Path("nowhere")), lambda line: None)


def test_a_study_is_named_after_its_family_and_keeps_its_trials(tuned: tuple[Tuned, Path, list[str]]) -> None:
    found, home, said = tuned
    assert re.fullmatch(r"volatility/small_vol/[0-9a-f]{12}", found.study)
    assert found.states["complete"] + found.states.get("pruned", 0) == 8
    best = min((t for t in trials(home, found.study) if t.state.name == "COMPLETE"), key=lambda t: t.value)
    assert (found.best_trial, found.best_value, found.params) == (best.number, best.value, best.params)
    assert set(found.params) == {"half_life", "walk.window", "walk.winsor"}
    assert found.best_value < 0, "the truth forgets faster than EWMA's default"
    assert any(line.startswith("objective, to minimize: mean over products of ln(QLIKE") for line in said)


def test_a_trial_is_its_settings_walked_over_the_products(tuned: tuple[Tuned, Path, list[str]]) -> None:
    found, home, _ = tuned
    config, data = small_config(), small_data()
    decay = 0.5 ** (1 / found.params["half_life"])
    drawn = {"window": found.params["walk.window"], "winsor": found.params["walk.winsor"]}
    plan = judged_plan(config.model_copy(update={"walk": config.walk.model_copy(update=drawn)}))
    judged = [
        Development.of(name, one.sessions, one.returns, one.proxy, judged_plan(config), 0.2).judge(Ewma(decay), plan)
        for name, one in data.series.items()
    ]
    assert found.best_value == pytest.approx(objective(judged), rel=1e-12)
    best = trials(home, found.study)[found.best_trial]
    assert best.intermediate_values[3] == best.value
    assert best.intermediate_values[1] == pytest.approx(objective(judged[:2]), rel=1e-12)
    tracking = Tracking(home)
    months, gain = read_monthly(tracking, best.user_attrs["run_id"])
    expected = monthly_gain(judged)
    assert np.array_equal(months.astype("datetime64[M]"), expected[0])
    assert gain == pytest.approx(expected[1], rel=1e-12)
    run = tracking.record(best.user_attrs["run_id"])
    assert run.metrics["objective"] == best.value
    assert run.metrics["qlike_ratio"] == pytest.approx(math.exp(best.value))
    assert run.metrics["better_than_ewma"] == np.mean([one.log_ratio < 0 for one in judged])
    assert (run.metrics["fell_back"], run.metrics["stood_in"]) == (0.0, 0.0)
    told = json.loads(tracking.read_text(best.user_attrs["run_id"], "products.json"))
    assert [row[0] for row in told["data"]] == list(data.series)


def test_the_best_settings_are_a_config_that_can_be_trained(tuned: tuple[Tuned, Path, list[str]]) -> None:
    found, home, _ = tuned
    best, config = load(found.config), small_config()
    assert isinstance(best, VolatilityConfig)
    assert found.config == home / "tuned" / "small_vol.yaml"
    assert best.models["ewma"].params["decay"] == 0.5 ** (1 / found.params["half_life"])
    assert (best.walk.window, best.walk.winsor) == (found.params["walk.window"], found.params["walk.winsor"])
    assert best.models["flat"] == config.models["flat"]
    assert (best.name, best.registration) == ("small_vol_tuned", config.registration)
    assert (best.sizing, best.choice, best.forecast) == (config.sizing, config.choice, config.forecast)


def test_the_study_is_a_run_of_its_experiment_with_its_verdict(tuned: tuple[Tuned, Path, list[str]]) -> None:
    found, home, _ = tuned
    tracking = Tracking(home)
    runs = tracking.search("futvol", finished=False)
    (run,) = [one for one in runs if "mlflow.parentRunId" not in one.tags]
    assert (run.run_id, run.status, run.tags["model"]) == (found.run_id, "FINISHED", "ewma")
    assert run.metrics["best/objective"] == found.best_value
    assert run.metrics["best/qlike_ratio"] == pytest.approx(math.exp(found.best_value))
    complete = [t for t in trials(home, found.study) if t.state.name == "COMPLETE"]
    gains = np.column_stack([read_monthly(tracking, t.user_attrs["run_id"])[1] for t in complete])
    assert len(gains) >= 32
    assert found.pbo == run.metrics["pbo"] == pbo(gains, measure="mean").value
    assert run.metrics["pbo/months"] == len(gains)
    assert math.isnan(found.dsr)
    assert "dsr" not in run.metrics
    note = run.tags["mlflow.note.content"]
    assert "geometric mean over 4 products" in note
    assert "The holdout was not touched" in note
    assert "XX is left out: no return" in found.notes
    assert not any("fell back" in one for one in found.notes), "none did"
    assert "ln(QLIKE over that of EWMA)" in tracking.read_text(found.run_id, "study.html")


def test_a_study_goes_on_where_it_ended_and_from_scratch_is_the_same(
    tuned: tuple[Tuned, Path, list[str]], tmp_path: Path, market: None
) -> None:
    first = tune(small_config(), tmp_path, trials=3)
    second = tune(small_config(), tmp_path, trials=8)
    assert (first.study, first.run_id) == (second.study, second.run_id)
    facts = [
        [(t.number, t.state.name, t.value, t.params, t.intermediate_values) for t in trials(home, second.study)]
        for home in (tmp_path, tuned[1])
    ]
    assert facts[0] == facts[1]


def test_a_trial_that_falls_behind_is_given_up_after_some_products(market: None, tmp_path: Path) -> None:
    found = tune(small_config(tune={"startup": 2}), tmp_path, trials=9)
    pruned = [t for t in trials(tmp_path, found.study) if t.state.name == "PRUNED"]
    assert pruned, "this study prunes"
    for trial in pruned:
        last = max(trial.intermediate_values)
        assert 1 <= last < 3
        before = [t for t in trials(tmp_path, found.study) if t.number < trial.number and t.state.name == "COMPLETE"]
        assert trial.intermediate_values[last] > np.median([t.intermediate_values[last] for t in before])


def test_the_holdout_changes_neither_the_study_nor_a_trial() -> None:
    known, other = subject(), subject(data=small_data(tail=25.0))
    draws = optuna.trial.FixedTrial({"half_life": 10.0, "walk.window": 500, "walk.winsor": None})
    assert known.fingerprint() == other.fingerprint()
    walked = [[step.value for step in one.attempt(draws).steps(None)] for one in (known, other)]
    assert walked[0] == walked[1]
    assert len(walked[0]) == known.parts == 4
    earlier = small_data()
    earlier.series["P1"].returns.value[900] += 0.001
    assert subject(data=earlier).fingerprint() != known.fingerprint()


def test_windows_are_drawn_that_the_data_fill_and_the_config_allows() -> None:
    # 1,250 returns less a fifth of 1,101 origins: 1,029 before the holdout
    choices = {
        name: {tuple(t.distributions["walk.window"].choices) for t in [_asked(subject(small_config(walk=walk)))]}
        for name, walk in {"short": {}, "long": {"window": 800, "min_window": 600}}.items()
    }
    assert choices == {"short": {(250, 500, 750, 1000)}, "long": {(750, 800, 1000)}}
    clips = _asked(subject(small_config(walk={"winsor": 6.0}))).distributions["walk.winsor"].choices
    assert tuple(clips) == (5.0, 6.0, 8.0, 12.0, None)


def _asked(one: VolatilitySubject) -> optuna.trial.Trial:
    trial = optuna.create_study().ask()
    one.attempt(trial)
    return trial


def test_what_no_trial_depends_on_is_not_in_the_settings() -> None:
    known = subject().settings()
    same = small_config(
        name="other", register=None, sizing={"equity": 1.0}, choice={"window": 100}, tune={"trials": 99},
        forecast={"horizons": (1, 2, 5), "paths": 500}, models={"ewma": {"kind": "ewma"}},
    )  # fmt: skip
    assert subject(same).settings() == known
    for changed in ({"tune": {"horizon": 5}}, {"tune": {"model": "flat"}}, {"walk": {"refit": 5}}, {"seed": 6}):
        assert subject(small_config(**changed)).settings() != known
    json.dumps(known)


def test_the_model_that_is_searched_is_the_one_named_or_the_first_garch() -> None:
    assert searched(VolatilityConfig(name="plain")) == "garch_n"
    assert searched(VolatilityConfig(name="plain", tune={"model": "gjr_t"})) == "gjr_t"  # type: ignore[arg-type]
    assert searched(small_config(tune={"model": None})) == "ewma"


def test_a_product_that_lacks_what_the_model_needs_is_left_out_and_told() -> None:
    config = small_config(models={"har": {"kind": "har"}}, tune={"model": "har"})
    with pytest.raises(DataError, match="some product must have forecasts to be judged by before the holdout") as told:
        subject(config)
    assert "P0 is left out: needs range_variance" in told.value.help
    short = small_data()
    short.series["P2"] = small_data(products=1, n=200).series["P0"]  # type: ignore[index]
    found = subject(data=short)
    assert [one.product for one in found.products] == ["P0", "P1", "P3"]
    assert "P2 is left out: 60 forecasts before the holdout must be over; found 39, of 200 returns" in found.notes


def test_a_trial_whose_fits_fail_stands_in_with_ewma_and_says_so(market: None, tmp_path: Path) -> None:
    def never(self: Ewma, *given: object) -> object:
        raise FitError("model ewma", "it must work", "it does not")

    one = subject()
    attempt = one.attempt(optuna.trial.FixedTrial({"half_life": 10.0, "walk.window": 500, "walk.winsor": 5.0}))
    with pytest.MonkeyPatch.context() as patch, Tracking(tmp_path).start("futvol", "trial") as run:
        patch.setattr(Ewma, "fit", never)
        steps = list(attempt.steps(None))
        attempt.record(run)
    assert [step.value for step in steps] == [0.0] * 4
    told = Tracking(tmp_path).record(run.run_id).metrics
    assert (told["stood_in"], told["fell_back"], told["better_than_ewma"]) == (1.0, 1.0, 0.0)


def test_too_few_months_are_told_and_give_no_probability() -> None:
    found, note = overfitting([np.arange(20.0), np.arange(20.0) ** 2], "mean")
    assert found is None
    assert "no PBO" in note


def test_settings_that_were_drawn_twice_are_one_choice(tmp_path: Path, market: None) -> None:
    tracking, one = Tracking(tmp_path), subject()
    rng = np.random.default_rng(3)
    trials_, gains = [], []
    for number, half_life in enumerate((5.0, 9.0, 9.0, 40.0)):
        with tracking.start("futvol", "trial") as run:
            if half_life != 9.0 or number == 1:
                gains.append(rng.normal(0, 1, 48))
            months = np.arange("2016-01", "2020-01", dtype="datetime64[M]").astype("datetime64[D]")
            run.json("monthly.json", {"month": months, "gain": gains[-1]})
            run.metrics({"fell_back": 0.25})
        trials_.append(Trial(number, "complete", -0.01, {"half_life": half_life}, run_id=run.run_id))
    drawn = lambda trial: optuna.trial.FixedTrial(dict(trial.params))  # noqa: E731
    found = one.judge(tracking, trials_[0], trials_, drawn, lambda line: None)
    assert found.pbo is not None
    assert found.pbo.trials == 3
    assert found.pbo.value == pbo(np.column_stack(gains), measure="mean").value
    assert not any("take EWMA" in note for note in found.notes)
    assert "25% of the best trial's fits failed and fell back to a simpler model" in found.notes
    worse = one.judge(tracking, Trial(9, "complete", 0.02, {}), trials_[:1], drawn, lambda line: None)
    assert "no trial loses less than EWMA: take EWMA" in worse.notes
    assert any(note.startswith("no PBO") for note in worse.notes)


@pytest.mark.slow
def test_a_process_of_its_own_reads_the_store_and_works_on_the_study(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        home, said, config = small_home(tmp_path), list[str](), small_config()
        found = tune(config, home, trials=1)
        order = {"home": str(home), "config": config.dump(), "study": found.study, "trials": 4, "threads": 1}
        with workers(1, {**order, "storage": None}, said.append):
            pass
    assert said == [], "it has not failed"
    done = [t for t in trials(home, found.study) if t.state.name in ("COMPLETE", "PRUNED")]
    pids = [Process.read(t.user_attrs["process"]).pid for t in done]
    assert [pid == os.getpid() for pid in pids] == [True, False, False, False]
    run = Tracking(home).record(found.run_id)
    assert json.loads(run.tags["data_version"]) == {"bars/Future": 0, "reference/calendar": 0}
    told = json.loads(Tracking(home).read_text(found.run_id, "products.json"))
    assert [row[0] for row in told["data"]] == ["CU", "RB"]
