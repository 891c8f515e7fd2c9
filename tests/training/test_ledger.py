"""The ledger counts what somebody could have chosen by, and counts it once."""

from __future__ import annotations

import math
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from serving.demo import demo_config
from training.alpha_config import AlphaConfig
from training.evaluate.overfitting import SharpeMoments
from training.ledger import SHARPE, Ledger, Trials, look_tags, market_of, net_excess_moments, trial_hash, trial_tags
from training.records import RunRecord
from training.splits import walk_forward
from training.tracking import Tracking

HOLDOUT = "2023-01-03 2023-06-30"
SESSIONS = np.arange("2020-01-01", "2020-07-19", dtype="datetime64[D]")
SPLIT = walk_forward(200, gap=6, embargo=4, train=90, test=20)


@pytest.fixture(scope="module")
def config() -> AlphaConfig:
    return demo_config("alpha_linear", "tiny")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Tracking(home)
    return home


@pytest.fixture
def tracking(migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(migrated / "mlruns", tmp_path / "mlruns")
    return Tracking(tmp_path)


def section(config: AlphaConfig, name: str, **changes: object) -> AlphaConfig:
    return config.model_copy(update={name: getattr(config, name).model_copy(update=changes)})


def tried(tracking: Tracking, hash_: str, sharpe: float | None, market: str = "CS store", **tags: str) -> str:
    with tracking.start("alpha", hash_, {"market": market, "trial_hash": hash_, **tags}) as run:
        if sharpe is not None:
            run.metrics({SHARPE: sharpe})
    return run.run_id


def looked(span: str, status: str = "FINISHED") -> RunRecord:
    tags = {"holdout_scored": "true", "holdout_span": span}
    return RunRecord("x", "x", status, datetime.now(UTC), tags, {}, {})


def test_what_changes_a_score_or_a_return_is_another_trial(config: AlphaConfig) -> None:
    same = [
        config.model_copy(update={"name": "other", "registration": None, "intervals": None}),
        section(config, "tune", trials=7),
    ]
    other = [
        config.model_copy(update={"seed": 1}),
        section(config, "label", horizon=6),
        section(config, "split", test=31),
        section(config, "evaluate", top_k=11),
        section(config, "model", params={**config.model.params, "l1_ratio": 0.1}),
    ]
    assert {trial_hash(one) for one in same} == {trial_hash(config)}
    assert len({trial_hash(one) for one in (config, *other)}) == 6


def test_the_tags_name_market_trial_and_the_sessions_tested(config: AlphaConfig) -> None:
    tags = trial_tags(config, SESSIONS, SPLIT)
    first, last = SPLIT.folds[0].test[0], SPLIT.folds[-1].test[-1]
    assert tags == {
        "market": "CS store",
        "trial_hash": trial_hash(config),
        "dev_span": f"{SESSIONS[first]} {SESSIONS[last]}",
    }
    assert market_of(section(config, "data", store="./other")) == "CS other"
    assert look_tags(SESSIONS, SPLIT) == {"holdout_scored": "true", "holdout_span": "2020-06-09 2020-07-18"}


def test_the_first_trial_of_a_market_is_alone(tracking: Tracking) -> None:
    trials = Ledger.of(tracking, "CS store").trials("a", 0.1)
    assert (trials.n, trials.sharpe) == (1, {"a": 0.1})
    assert math.isnan(trials.variance)
    gaussian = SharpeMoments(0.1, 0.0, 3.0, 401)
    assert trials.deflated(gaussian) == pytest.approx(0.9770, abs=5e-5)  # Φ(.1 √400 / √(1 + .1²/2)) = Φ(1.99502)


def test_distinct_trials_of_the_market_are_counted_once_each(tracking: Tracking) -> None:
    for hash_, sharpe in (("a", 0.10), ("b", 0.02), ("a", 0.12), ("c", None)):
        tried(tracking, hash_, sharpe)
    tried(tracking, "d", 0.5, market="CS other")
    own = tried(tracking, "e", 9.9)
    ledger = Ledger.of(tracking, "CS store", own=own)
    trials = ledger.trials("e", 0.06)
    assert trials.n == 4
    assert {k: v for k, v in trials.sharpe.items() if k != "c"} == {"a": 0.12, "b": 0.02, "e": 0.06}
    assert trials.variance == pytest.approx(((0.12 - 1 / 15) ** 2 + (0.02 - 1 / 15) ** 2 + (0.06 - 1 / 15) ** 2) / 2)
    assert ledger.trials("b", 0.02) == Trials(3, trials_variance(0.12, 0.02), ledger.trials("b", 0.02).sharpe)


def trials_variance(*sharpe: float) -> float:
    return float(np.var(sharpe, ddof=1))


def test_the_same_settings_again_give_the_same_count_and_others_between_add_to_it(tracking: Tracking) -> None:
    tried(tracking, "a", 0.10)
    tried(tracking, "b", 0.02)
    once = Ledger.of(tracking, "CS store").trials("b", 0.02)
    tried(tracking, "b", 0.02)
    assert Ledger.of(tracking, "CS store").trials("b", 0.02) == once
    tried(tracking, "c", 0.03)
    assert Ledger.of(tracking, "CS store").trials("b", 0.02).n == once.n + 1


def test_a_result_that_was_seen_counts_though_its_run_failed_or_was_deleted(tracking: Tracking) -> None:
    failed = tracking.start("alpha", "x", {"market": "CS store", "trial_hash": "failed after its result"})
    failed.metrics({SHARPE: 0.3})
    failed.end("FAILED", "disk full")
    unseen = tracking.start("alpha", "x", {"market": "CS store", "trial_hash": "failed before"})
    unseen.end("FAILED", "no rows")
    tracking.start("alpha", "x", {"market": "CS store", "trial_hash": "still running"})
    tracking.client.delete_run(tried(tracking, "deleted", 0.2))
    with tracking.start("alpha", "parent") as parent, parent.child("fold 0", {"fold": "0"}):
        pass
    trials = Ledger.of(tracking, "CS store").trials("own", 0.1)
    assert set(trials.sharpe) == {"failed after its result", "deleted", "own"}


def test_a_run_repeated_later_sees_what_the_first_one_saw(tracking: Tracking) -> None:
    tried(tracking, "a", 0.10)
    first = tried(tracking, "b", 0.02)
    before = Ledger.of(tracking, "CS store", own=first).trials("b", 0.02)
    tried(tracking, "c", 0.03)
    later = Ledger.of(tracking, "CS store", before=tracking.record(first).started)
    assert later.trials("b", 0.02) == before
    assert before.n == 2


def test_looks_at_a_holdout_that_shares_a_session_are_all_counted() -> None:
    ledger = Ledger(
        "CS store",
        (
            looked("2023-01-03 2023-06-30"),
            looked("2023-01-03 2023-06-30"),
            looked("2022-06-01 2023-01-03", "FAILED"),
            looked("2023-06-30 2023-12-29"),
            looked("2022-06-01 2022-12-30"),
            looked("2023-07-03 2023-12-29"),
            RunRecord("y", "y", "FINISHED", datetime.now(UTC), {"trial_hash": "a"}, {}, {}),
        ),
    )
    assert ledger.looks(HOLDOUT) == 5
    assert Ledger("CS store", ()).looks(HOLDOUT) == 1


def test_more_trials_make_the_same_ratio_less_believable() -> None:
    moments = net_excess_moments(np.random.default_rng(0).normal(0.001, 0.01, 500), np.zeros(500))
    of_one, of_many = Trials(1, math.nan, {}).deflated(moments), Trials(50, 0.0004, {}).deflated(moments)
    assert of_one > of_many > 0
    assert math.isnan(Trials(2, math.nan, {}).deflated(moments))


def test_the_excess_is_net_less_the_universe_where_both_are_known() -> None:
    net, universe = np.array([np.nan, 0.03, 0.01, 0.02]), np.array([0.5, 0.01, 0.0, np.nan])
    moments = net_excess_moments(net, universe)
    assert (moments.n, moments.sr) == (2, pytest.approx(0.015 / np.std([0.02, 0.01], ddof=1)))
