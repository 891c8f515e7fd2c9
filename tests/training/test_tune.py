"""A study: the same from scratch, continued by a later call, blind to the holdout, and all of it in MLflow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.panel import ConfigError, DataError
from features.store import Store
from models.alpha.xgboost import XGBoost
from models.base import FitError
from tests.training.small_study import copied, small_config, small_home, trials
from training import tune as tuning
from training.alpha_config import AlphaConfig
from training.config import load
from training.evaluate.overfitting import deflated_sharpe, pbo, sharpe_moments
from training.ledger import SHARPE, Ledger, market_of, trial_hash
from training.records import RunRecord
from training.tracking import Tracking
from training.tune import Tuned, tune
from training.tune_alpha import read_daily

DRAWN = {"max_depth", "learning_rate", "min_child_weight", "subsample", "colsample_bytree", "reg_lambda", "gamma"}


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


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def tuned(
    untouched: Path, config: AlphaConfig, said: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tuned, Path]:
    """A study of eight trials, to be left as it is."""
    home = copied(untouched, tmp_path_factory.mktemp("tuned") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return tune(config, home, trials=8, say=said.append), home


@pytest.fixture(scope="module")
def tracking(tuned: tuple[Tuned, Path]) -> Tracking:
    return Tracking(tuned[1])


@pytest.fixture(scope="module")
def children(tuned: tuple[Tuned, Path], tracking: Tracking) -> list[RunRecord]:
    return tracking.search("alpha", tags={"mlflow.parentRunId": tuned[0].run_id}, finished=False)


def facts(home: Path, name: str) -> list[tuple[object, ...]]:
    """All of a study that the clock does not change."""
    return [(t.number, t.state.name, t.value, t.params, t.intermediate_values) for t in trials(home, name)]


def test_a_study_has_the_trials_it_was_asked_for_complete_or_pruned(tuned: tuple[Tuned, Path]) -> None:
    found, home = tuned
    states = [trial.state.name for trial in trials(home, found.study)]
    assert states.count("COMPLETE") + states.count("PRUNED") == 8
    assert found.states == {
        name: states.count(state)
        for name, state in (("complete", "COMPLETE"), ("pruned", "PRUNED"), ("failed", "FAIL"))
    }
    assert re.fullmatch(r"alpha/small/[0-9a-f]{12}", found.study)
    best = max((t for t in trials(home, found.study) if t.state.name == "COMPLETE"), key=lambda t: t.value)
    assert (found.best_trial, found.best_value, found.params) == (best.number, best.value, best.params)
    assert set(found.params) == DRAWN


def test_pruning_waits_for_the_second_fold_and_for_the_random_trials(
    tuned: tuple[Tuned, Path], config: AlphaConfig
) -> None:
    found, home = tuned
    pruned = [t for t in trials(home, found.study) if t.state.name == "PRUNED"]
    assert pruned, "this study prunes"
    for trial in pruned:
        assert list(trial.intermediate_values) == [0, 1]
        before = [t for t in trials(home, found.study) if t.number < trial.number and t.state.name == "COMPLETE"]
        assert len(before) >= config.tune.startup
        assert trial.intermediate_values[1] < np.median([t.intermediate_values[1] for t in before])


def test_the_best_settings_are_a_config_that_trains_as_the_same_trial(
    tuned: tuple[Tuned, Path], config: AlphaConfig, children: list[RunRecord], tracking: Tracking
) -> None:
    found, home = tuned
    assert found.config == home / "tuned" / "small.yaml"
    best = load(found.config)
    params = {**config.model.params, **found.params}
    expected = config.model_copy(
        update={"name": "small_tuned", "model": config.model.model_copy(update={"params": params})}
    )
    assert best == expected
    assert best.registration == config.registration
    first = found.config.read_text().splitlines()[0]
    assert first.startswith(f"# The best of 8 trials: trial {found.best_trial} of study {found.study}, objective ")
    run = next(one for one in children if one.tags["trial"] == str(found.best_trial))
    assert run.tags["trial_hash"] == trial_hash(best)
    assert tracking.read_text(found.run_id, "best_config.yaml") == found.config.read_text()


def test_the_same_study_from_scratch_has_the_same_trials_to_the_last_digit(
    tuned: tuple[Tuned, Path], config: AlphaConfig, home: Path
) -> None:
    again = tune(config, home, trials=8)
    assert facts(home, again.study) == facts(tuned[1], tuned[0].study)
    assert (again.study, again.pbo, again.dsr) == (tuned[0].study, tuned[0].pbo, tuned[0].dsr)


def test_a_later_call_continues_the_study_as_if_it_had_never_stopped(
    tuned: tuple[Tuned, Path], config: AlphaConfig, home: Path
) -> None:
    first = tune(config, home, trials=4)
    said: list[str] = []
    moved: list[tuple[int, int]] = []
    second = tune(config, home, trials=8, say=said.append, progress=lambda *now: moved.append(now))
    assert (second.study, second.run_id) == (first.study, first.run_id)
    assert facts(home, second.study) == facts(tuned[1], tuned[0].study)
    assert any(
        line.startswith(f"study {first.study}: 3 complete, 1 failed, 1 pruned; 8 trials wanted") for line in said
    )
    assert [line for line in said if line.startswith("trial 1:")] == [], "what was there is not told again"
    assert [moved[0], moved[-1]] == [(4, 8), (8, 8)]
    third = tune(config, home, trials=8)
    assert len(trials(home, third.study)) == len(trials(home, second.study)), "nothing is left to do"


def test_another_seed_draws_otherwise_and_other_settings_are_another_study(
    tuned: tuple[Tuned, Path], home: Path
) -> None:
    other = tune(small_config(seed=8), home, trials=1)
    assert other.study != tuned[0].study
    assert other.params != trials(tuned[1], tuned[0].study)[0].params
    assert tune(small_config(label={"horizon": 3}), home, trials=1).study not in (other.study, tuned[0].study)
    assert tune(small_config(seed=8, tune={"trials": 99}, register=None), home, trials=1).study == other.study


def test_a_holdout_of_noise_changes_no_trial(tuned: tuple[Tuned, Path], config: AlphaConfig, home: Path) -> None:
    store = Store(home / "store")
    rng = np.random.default_rng(5)
    days = store.scan("bars/CS").select(pl.col("date").unique().sort()).collect()["date"]
    # The split holds out a fifth of the sessions from the first with a factor on: the last 29 or so of 150.
    holdout = days[-round(0.15 * len(days))]
    bars = store.scan("bars/CS").filter(pl.col("date") >= holdout).collect()
    noise = pl.Series(np.exp(rng.normal(0, 0.05, len(bars))))
    prices = [pl.col(name) * noise for name in ("open", "high", "low", "close", "volume", "total_turnover")]
    store.upsert("bars/CS", bars.with_columns(prices))
    again = tune(config, home, trials=8)
    assert again.study == tuned[0].study
    assert facts(home, again.study) == facts(tuned[1], tuned[0].study)


def test_noise_before_the_holdout_is_another_study(tuned: tuple[Tuned, Path], config: AlphaConfig, home: Path) -> None:
    store = Store(home / "store")
    bars = store.scan("bars/CS").filter(pl.col("date") == pl.date(2020, 5, 13)).collect()
    store.upsert("bars/CS", bars.with_columns(pl.col("close") * 1.01))
    assert tune(config, home, trials=1).study != tuned[0].study


def test_the_study_is_a_run_with_its_pictures_tables_and_numbers(
    tuned: tuple[Tuned, Path], tracking: Tracking, said: list[str]
) -> None:
    found, _ = tuned
    run = tracking.record(found.run_id)
    assert (run.name, run.status, run.tags["study"]) == ("tune small", "FINISHED", found.study)
    assert run.params["model.kind"] == "xgboost"
    assert run.metrics["best/objective"] == found.best_value
    assert run.metrics["trials/complete"] == found.states["complete"]
    assert (run.metrics["pbo"], run.metrics["dsr"]) == (found.pbo, found.dsr)
    assert "The holdout was not touched" in run.tags["mlflow.note.content"]
    page = tracking.read_text(found.run_id, "study.html")
    for title in ("History", "Importance", "Parallel coordinates", "Slices"):
        assert f"<h2>{title}</h2>" in page
    assert page.count("plotly.js v") == 1
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page), "nothing is fetched"
    told = json.loads(tracking.read_text(found.run_id, "trials.json"))
    assert told["columns"][:3] == ["trial", "state", "objective"]
    assert [row[0] for row in told["data"]] == list(range(sum(found.states.values())))
    assert said[-1].startswith("trial ")


def test_each_trial_is_a_run_below_it_with_its_draws_its_folds_and_its_days(
    tuned: tuple[Tuned, Path], tracking: Tracking, children: list[RunRecord]
) -> None:
    found, home = tuned
    by_number = {int(run.tags["trial"]): run for run in children}
    for trial in trials(home, found.study):
        run = by_number.pop(trial.number)
        if trial.state.name == "FAIL":
            assert run.status == "FAILED"
            assert "constant predictions" in run.tags["error"]
            assert SHARPE not in run.metrics
            continue
        assert run.status == "FINISHED"
        assert {name: float(value) for name, value in run.params.items()} == pytest.approx(trial.params)
        assert run.tags["market"] == "CS store"
        steps = tracking.client.get_metric_history(run.run_id, "fold/objective")
        assert {one.step: one.value for one in steps} == trial.intermediate_values
        assert run.tags["trial_state"] == trial.state.name.lower()
        if trial.state.name == "COMPLETE":
            days, rank_ic, excess = read_daily(tracking, run.run_id)
            assert run.metrics["objective"] == trial.value
            assert run.metrics["rank_ic"] == pytest.approx(np.nanmean(rank_ic))
            assert run.metrics[SHARPE] == sharpe_moments(excess).sr
            tested = days[np.isfinite(rank_ic)]
            assert run.tags["dev_span"] == f"{tested[0]} {tested[-1]}"
            assert [days[0], days[-1]] == [tested[0], tested[-1] + 1], "what the last test bought is held a session on"
    assert by_number == {}


def test_overfitting_and_deflation_are_fed_by_the_trials_themselves(
    tuned: tuple[Tuned, Path], tracking: Tracking, children: list[RunRecord], config: AlphaConfig
) -> None:
    found, _ = tuned
    complete = [run for run in children if run.tags.get("trial_state") == "complete"]
    series = np.column_stack([read_daily(tracking, run.run_id)[2] for run in complete])
    assert found.pbo == pbo(series[np.isfinite(series).all(axis=1)]).value
    best = next(run for run in complete if run.tags["trial"] == str(found.best_trial))
    moments = sharpe_moments(read_daily(tracking, best.run_id)[2])
    ratios = [run.metrics[SHARPE] for run in complete]
    expected = deflated_sharpe(
        *(moments.sr, moments.n, moments.skew, moments.kurtosis), 8, float(np.var(ratios, ddof=1))
    )
    assert found.dsr == pytest.approx(expected, rel=1e-9)
    trials_ = Ledger.of(tracking, market_of(config)).trials("another", 0.0)
    assert trials_.n == 8 + 1, "complete and pruned ones count, failed ones and the study do not"


def test_the_best_trials_are_back_tested_from_both_sides_once(home: Path) -> None:
    config = small_config(tune={"combinatorial": 3}, label={"horizon": 2})
    said: list[str] = []
    found = tune(config, home, trials=8, say=said.append)
    assert len([line for line in said if line.endswith("combinatorial back-test")]) == 3
    tracking = Tracking(home)
    run = tracking.record(found.run_id)
    assert run.metrics["pbo_combinatorial"] == found.pbo_combinatorial
    assert run.metrics["pbo_combinatorial/trials"] == 3
    complete = [t for t in trials(home, found.study) if t.state.name == "COMPLETE"]
    best = sorted(complete, key=lambda t: -t.value)[:3]
    kept = [json.loads(tracking.read_text(t.user_attrs["run_id"], "combinatorial_net_excess.json")) for t in best]
    series = np.array(kept, np.float64).T
    assert np.isfinite(series).all(axis=1).sum() > 80, "every session of the development is tested"
    assert found.pbo_combinatorial == pbo(series[np.isfinite(series).all(axis=1)]).value
    again = tune(config, home, trials=8, say=said.append)
    assert again.pbo_combinatorial == found.pbo_combinatorial
    assert len([line for line in said if line.endswith("combinatorial back-test")]) == 3, "and kept"


def test_a_history_too_short_for_combinatorial_back_tests_is_told(home: Path) -> None:
    found = tune(small_config(tune={"combinatorial": 2}), home, trials=2)
    assert found.pbo_combinatorial is None
    assert any("need at least 120 sessions" in note for note in found.notes)


def test_an_ensemble_is_searched_through_its_members_and_its_best_is_read_back(home: Path) -> None:
    members = ({"kind": "linear"}, {"kind": "xgboost", "params": {"rounds": 4, "early_stopping": 0, "threads": 1}})
    config = small_config(model={"kind": "ensemble", "params": {"members": members}})
    found = tune(config, home, trials=2)
    assert any(name.endswith("max_depth") for name in found.params)
    assert any(name.endswith("l1_ratio") for name in found.params)
    best = load(found.config)
    (depth,) = [value for name, value in found.params.items() if name.endswith("max_depth")]
    assert best.model.params["members"][1]["params"]["max_depth"] == depth
    assert best.model.params["members"][1]["params"]["rounds"] == 4
    run = Tracking(home).record(Tracking(home).record(found.run_id).tags["best_run"])
    assert run.tags["trial_hash"] == trial_hash(best)


def test_a_trial_that_cannot_be_fitted_fails_alone(
    config: AlphaConfig, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = XGBoost.fit

    def sometimes(self: XGBoost, *given: object) -> object:
        if self.max_depth == 4:
            raise FitError("model xgboost", "it must not be four deep", "4")
        return fit(self, *given)

    monkeypatch.setattr(XGBoost, "fit", sometimes)
    found = tune(config, home, trials=6)
    failed = [t for t in trials(home, found.study) if t.state.name == "FAIL"]
    assert any(t.params["max_depth"] == 4 for t in failed)
    assert found.states["complete"] + found.states["pruned"] == 6
    run = Tracking(home).record(next(t for t in failed if t.params["max_depth"] == 4).user_attrs["run_id"])
    assert (run.status, "must not be four deep" in run.tags["error"]) == ("FAILED", True)


def test_a_search_in_which_nothing_can_be_fitted_ends(
    config: AlphaConfig, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: XGBoost, *given: object) -> object:
        raise FitError("model xgboost", "it must work", "it does not")

    monkeypatch.setattr(XGBoost, "fit", never)
    monkeypatch.setattr(tuning, "PATIENCE", 3)
    with pytest.raises(FitError, match="3 that failed in a row") as caught:
        tune(config, home, trials=6)
    assert "it must work" in caught.value.help
    (run,) = [one for one in Tracking(home).search("alpha", finished=False) if one.name == "tune small"]
    assert run.status == "FAILED"


def test_an_error_that_no_trial_is_to_blame_for_ends_the_search(config: AlphaConfig, home: Path) -> None:
    with pytest.raises(DataError, match="some session must have 900 names"):
        tune(small_config(evaluate={"min_names": 900}), home, trials=2)
    assert not (home / "tuned").exists()


def test_nought_trials_or_jobs_are_refused(config: AlphaConfig, tmp_path: Path) -> None:
    for given in ({"trials": 0}, {"jobs": 0}):
        with pytest.raises(ConfigError, match="must be at least 1"):
            tune(config, tmp_path, **given)
