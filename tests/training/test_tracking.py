"""Runs and the registry through MLflow itself.

The file is long because the door to MLflow is one file too.
"""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import matplotlib as mpl
import mlflow
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from features.panel import ConfigError, DataError
from models.alpha import alpha_model
from training.environment import checkout
from training.fit import Scorer, fit_scorer
from training.loggable import cut, flat, plain
from training.mlruns import relocate
from training.packaged import packaged_alpha
from training.preprocess import Preprocess
from training.tracking import LONGEST_PARAM, Tracking
from training.ui import serve_ui

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")

COLUMNS = ("f_a", "f_b", "f_c")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """A home whose database has its tables: making them takes seconds, copying them none."""
    home = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Tracking(home)
    return home


@pytest.fixture
def home(migrated, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "主页 of a user"
    shutil.copytree(migrated / "mlruns", folder / "mlruns")
    return folder


@pytest.fixture
def tracking(home):
    return Tracking(home)


@pytest.fixture(scope="session")
def sample():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(1500, 3)).astype(np.float32)
    session = np.repeat(np.arange(30), 50)
    return values, session, values[:, 0] + rng.normal(size=1500)


@pytest.fixture(scope="session")
def scorer_folder(sample, tmp_path_factory):
    values, session, y = sample
    spec, preprocess = alpha_model("linear")(), Preprocess("zscore")
    folder = tmp_path_factory.mktemp("scorer") / "fitted"
    fit_scorer(spec, preprocess, values, session, y, np.ones(len(y)), COLUMNS, gap=6, seed=0).save(folder)
    return folder


@pytest.fixture
def example(sample):
    values, session, _ = sample
    days = [f"2024-01-{2 + s:02d}" for s in session[:100]]
    return pl.DataFrame(values[:100], schema=list(COLUMNS)).with_columns(session=pl.Series(days))


def logged(tracking, scorer_folder, example, **tags):
    with tracking.start("alpha", "one", tags) as run:
        run.metrics({"rank_ic": 0.05})
        run.model(packaged_alpha(scorer_folder, example, COLUMNS))
    return run


def stored(tracking, run):
    return tracking.client.get_run(run.run_id)


def artifact(tracking, run, path):
    return Path(tracking.client.download_artifacts(run.run_id, path))


def test_runs_and_artifacts_lie_in_the_home_and_nothing_in_the_working_directory(tracking, home, tmp_path):
    assert tracking.uri == f"sqlite:///{home}/mlruns/mlflow.db"
    with tracking.start("alpha", "one") as run:
        run.text("notes/a.txt", "x")
    assert (home / "mlruns/artifacts/alpha" / run.run_id / "artifacts/notes/a.txt").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == [home.name]
    assert mlflow.active_run() is None


def test_the_tracking_uri_of_the_environment_takes_precedence(migrated, tmp_path, monkeypatch):
    shutil.copy(migrated / "mlruns/mlflow.db", tmp_path / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    tracking = Tracking(tmp_path / "home")
    with tracking.start("alpha", "one"):
        pass
    assert tracking.uri.endswith("other.db")
    assert not (tmp_path / "home" / "mlruns" / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no rows"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(2), "FAILED")]
)
def test_a_run_that_is_left_by_an_exception_says_so(tracking, error, status):
    with pytest.raises(type(error)), tracking.start("alpha", "one") as run:
        raise error
    found = stored(tracking, run)
    assert found.info.status == status
    assert found.data.tags["error"] == f"{type(error).__name__}: {error}"


def test_a_run_that_ends_well_is_finished_and_carries_who_what_and_where(tracking):
    with tracking.start("alpha", "one", {"asset_class": "CS"}) as run:
        run.note("# Title")
        run.environment()
    found = stored(tracking, run)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "one"
    assert found.data.tags["asset_class"] == "CS"
    assert found.data.tags["mlflow.note.content"] == "# Title"
    assert found.data.tags["mlflow.source.name"] == "daybar"
    told = json.loads(artifact(tracking, run, "environment.json").read_text())
    assert told["packages"]["mlflow"] == mlflow.__version__
    assert found.data.tags["python"] == told["python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert found.data.tags.get("mlflow.source.git.commit") == told["commit"]


def test_params_are_flattened_and_long_ones_are_cut_visibly(tracking):
    many = {f"p{i}": i for i in range(250)}
    with tracking.start("alpha", "one") as run:
        run.params(
            {"model": {"params": {"depth": 4, "alpha": (1.0, 2.0)}}, "end": None, "names": "n" * 7000, "many": many}
        )
    found = stored(tracking, run).data.params
    assert found["model.params.depth"] == "4"
    assert found["model.params.alpha"] == "[1.0, 2.0]"
    assert found["end"] == "null"
    assert len(found["names"]) <= LONGEST_PARAM
    assert found["names"].endswith("characters)")
    assert found["many.p249"] == "249"


def test_values_are_made_fit_to_be_logged():
    assert dict(flat({"a": {"b": {"c": True}}, "d": {}})) == {"a.b.c": "True", "d": "{}"}
    text = cut("ab" * 500, 100)
    assert text.startswith("ab" * 35)
    assert "+930 characters" in text
    assert cut("x" * 100, 100) == "x" * 100
    day = np.datetime64("2024-01-02")
    assert plain({"a": np.float32(1), "b": [float("inf"), np.nan], "c": np.array([day]), 1: day, "n": None}) == {
        "a": 1.0,
        "b": [None, None],
        "c": ["2024-01-02"],
        "1": "2024-01-02",
        "n": None,
    }


def test_a_series_is_a_metric_over_sessions_whose_times_are_their_dates(tracking):
    sessions = np.arange("2019-01-01", "2022-10-01", dtype="datetime64[D]")
    values = np.arange(len(sessions)) / 7
    values[[3, 1200]] = np.nan, np.inf
    with tracking.start("alpha", "one") as run:
        assert run.series("ic/daily", sessions, values) == len(sessions) - 2
    history = {m.step: m for m in tracking.client.get_metric_history(run.run_id, "ic/daily")}
    assert sorted(set(range(len(sessions))) - set(history)) == [3, 1200]
    for step in (0, 999, 1000, len(sessions) - 1):
        assert history[step].value == values[step]
        assert datetime.fromtimestamp(history[step].timestamp / 1000, UTC).date() == sessions[step].item()


def test_a_series_needs_a_value_per_session(tracking):
    with tracking.start("alpha", "one") as run, pytest.raises(DataError, match="a value per session"):
        run.series("ic", np.array(["2024-01-02"], "datetime64[D]"), np.zeros(2))


def test_metrics_keep_nan_and_leave_out_none(tracking):
    with tracking.start("alpha", "one") as run:
        run.metrics({"a": 1, "b": float("nan"), "c": None})
    found = stored(tracking, run).data.metrics
    assert found["a"] == 1.0
    assert np.isnan(found["b"])
    assert "c" not in found


def test_tables_and_figures_become_files_that_the_ui_shows(tracking):
    frame = pl.DataFrame({"date": np.array(["2024-01-02"], "datetime64[D]"), "x": [float("nan")], "s": ["<中>"]})
    with tracking.start("alpha", "one") as run:
        for suffix in ("json", "csv", "html", "parquet"):
            run.frame(f"tables/t.{suffix}", frame)
        run.frame("tables/t.json", frame)
        run.frame("u.json", frame)
        run.json("facts.json", {"a": np.nan})
        run.figure("figures/f.png", Figure(figsize=(1, 1)))
        with pytest.raises(DataError, match=r"must end in .parquet"):
            run.frame("tables/t.xlsx", frame)
    assert json.loads(artifact(tracking, run, "tables/t.json").read_text(encoding="utf-8")) == {
        "columns": ["date", "x", "s"],
        "data": [["2024-01-02", None, "<中>"]],
    }
    shown = json.loads(stored(tracking, run).data.tags["mlflow.loggedArtifacts"])
    assert shown == [{"path": "tables/t.json", "type": "table"}, {"path": "u.json", "type": "table"}]
    assert pl.read_parquet(artifact(tracking, run, "tables/t.parquet"))["s"].to_list() == ["<中>"]
    assert "&lt;中&gt;" in artifact(tracking, run, "tables/t.html").read_text(encoding="utf-8")
    assert artifact(tracking, run, "tables/t.csv").read_text(encoding="utf-8").startswith("date,x,s\n2024-01-02,")
    assert artifact(tracking, run, "figures/f.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(artifact(tracking, run, "facts.json").read_text()) == {"a": None}


@pytest.mark.parametrize("version", [7, 0])
def test_the_version_of_a_delta_table_is_recorded_as_the_dataset_of_the_run(tracking, tmp_path, version):
    with tracking.start("alpha", "one") as run:
        run.dataset("factors/CS", tmp_path / "store/factors/CS", version, "abc123", rows=10)
    (given,) = stored(tracking, run).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest, given.dataset.source_type) == (
        "factors/CS",
        "abc123",
        "delta_table",
    )
    told = {"path": str(tmp_path / "store/factors/CS"), "delta_table_version": version}
    assert json.loads(given.dataset.source) == told
    assert given.tags[0].value == "training"


def test_a_child_is_nested_under_its_run(tracking):
    with tracking.start("alpha", "one") as run, run.child("fold 0", {"fold": "0"}) as fold:
        fold.metrics({"rank_ic": 0.1})
    found = stored(tracking, fold)
    assert found.data.tags["mlflow.parentRunId"] == run.run_id
    assert found.data.tags["fold"] == "0"
    assert found.info.status == "FINISHED"
    assert found.info.experiment_id == run.experiment_id


def test_a_logged_model_scores_like_the_scorer_in_whatever_order_the_rows_come(
    tracking, scorer_folder, example, sample
):
    run = logged(tracking, scorer_folder, example)
    ref = tracking.resolve(f"runs:{run.run_id}")
    pyfunc = mlflow.pyfunc.load_model(str(ref.folder.parents[1]))
    values, session, _ = sample
    expected = Scorer.load(scorer_folder).score(values[:100], session[:100])
    frame = example.to_pandas()
    assert pyfunc.predict(frame)["score"].to_numpy() == pytest.approx(expected)
    mixed = frame.sample(frac=1, random_state=3)
    assert pyfunc.predict(mixed)["score"].to_numpy() == pytest.approx(expected[mixed.index])
    alone = pyfunc.predict(frame.iloc[:50].drop(columns="session"))
    assert alone["score"].to_numpy() == pytest.approx(expected[:50])


def test_a_model_refuses_input_that_lacks_a_column_or_a_session_here_and_there(tracking, scorer_folder, example):
    run = logged(tracking, scorer_folder, example)
    pyfunc = mlflow.pyfunc.load_model(str(tracking.resolve(f"runs:{run.run_id}").folder.parents[1]))
    frame = example.to_pandas()
    with pytest.raises(mlflow.MlflowException, match="missing inputs"):
        pyfunc.predict(frame.drop(columns="f_b"))
    frame.loc[4, "session"] = None
    with pytest.raises(DataError, match="row 4"):
        pyfunc.predict(frame)


def test_nothing_in_a_logged_model_is_a_pickle(tracking, scorer_folder, example):
    run = logged(tracking, scorer_folder, example)
    folder = tracking.resolve(f"runs:{run.run_id}").folder.parents[1]
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}
    assert kinds <= {".json", ".yaml", ".py", ".txt", ""}
    requirements = (folder / "requirements.txt").read_text().splitlines()
    assert f"mlflow=={mlflow.__version__}" in requirements
    assert all("==" in line for line in requirements)


def test_a_registered_model_is_found_by_alias_version_and_run_and_links_to_its_run(tracking, scorer_folder, example):
    first = logged(tracking, scorer_folder, example, asset_class="CS", config_hash="abc", mood="good")
    second = logged(tracking, scorer_folder, example)
    assert tracking.register(first, "alpha_xgb", "champion", {"holdout": "1 look"}) == 1
    assert tracking.register(second.run_id, "alpha_xgb", "champion") == 2
    assert tracking.register(second, "alpha_lgbm", None) == 1

    one = tracking.resolve("alpha_xgb/1")
    assert (one.name, one.version, one.run_id) == ("alpha_xgb", 1, first.run_id)
    assert one.tags == {"asset_class": "CS", "config_hash": "abc", "holdout": "1 look"}
    assert tracking.resolve("alpha_xgb@champion").version == 2
    by_run = tracking.resolve(f"runs:/{second.run_id}")
    assert by_run.folder == tracking.resolve("alpha_xgb@champion").folder
    assert by_run.name is None
    assert Scorer.load(by_run.folder).columns == COLUMNS
    assert [(m.name, m.versions, dict(m.aliases)) for m in tracking.list_models()] == [
        ("alpha_lgbm", (1,), {}),
        ("alpha_xgb", (1, 2), {"champion": 2}),
    ]
    assert tracking.client.get_model_version("alpha_xgb", "1").run_id == first.run_id
    (made,) = stored(tracking, first).outputs.model_outputs
    model = tracking.client.get_logged_model(made.model_id)
    assert model.source_run_id == first.run_id
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "alpha_xgb", "version": 1}]
    assert {m.key: m.value for m in model.metrics} == {"rank_ic": 0.05}


@pytest.mark.parametrize(
    "text", ["alpha_xgg@champion", "alpha_xgb@challenger", "alpha_xgb/9", "alpha_xgb", "alpha_xgb/x"]
)
def test_a_model_that_is_not_registered_is_refused_with_what_is(tracking, scorer_folder, example, text):
    tracking.register(logged(tracking, scorer_folder, example), "alpha_xgb", "champion")
    with pytest.raises(ConfigError) as caught:
        tracking.resolve(text)
    assert caught.value.who == f"model {text}"
    assert "did you mean alpha_xgb@champion (version 1)?" in caught.value.help
    assert "registered: alpha_xgb@champion (version 1)" in caught.value.help


def test_runs_without_a_model_and_unknown_runs_are_refused(tracking):
    with tracking.start("alpha", "one") as run:
        pass
    with pytest.raises(DataError, match="must have logged a model"):
        tracking.resolve(f"runs:{run.run_id}")
    with pytest.raises(ConfigError, match="model runs:0123: the run must be there"):
        tracking.resolve("runs:0123")
    with pytest.raises(ConfigError, match="nothing is registered yet"):
        tracking.resolve("alpha@champion")


def test_a_model_that_could_not_be_saved_is_marked_as_failed(tracking, tmp_path, example):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"scorer\.json"), tracking.start("alpha", "one") as run:
        run.model(packaged_alpha(tmp_path / "empty", example, COLUMNS))
    (model,) = tracking.client.search_logged_models([run.experiment_id])
    assert str(model.status) == "FAILED"
    assert stored(tracking, run).info.status == "FAILED"


def test_runs_are_found_by_their_tags_oldest_first(tracking):
    made = []
    for number, status in enumerate(("FINISHED", "FAILED", "FINISHED")):
        run = tracking.start("alpha", f"run {number}", {"market": "CS ./it's", "odd": str(number % 2)})
        run.metrics({"x": number})
        run.params({"k": number})
        run.end(status, "why" if status == "FAILED" else None)
        made.append(run.run_id)
    with tracking.start("other", "elsewhere", {"market": "CS ./it's"}):
        pass
    found = tracking.search("alpha", tags={"market": "CS ./it's"})
    assert [(one.run_id, one.name, one.status) for one in found] == [
        (made[0], "run 0", "FINISHED"),
        (made[2], "run 2", "FINISHED"),
    ]
    assert (found[1].metrics, found[1].params, found[1].tags["odd"]) == ({"x": 2.0}, {"k": "2"}, "0")
    assert found[0].started.tzinfo is UTC
    assert abs((found[0].started - datetime.now(UTC)).total_seconds()) < 60
    assert [one.run_id for one in tracking.search("alpha", finished=False)] == made
    assert [one.run_id for one in tracking.search("alpha", tags={"odd": "1"}, finished=False)] == [made[1]]
    assert tracking.record(made[1]).tags["error"] == "why"
    assert tracking.search("alpha", tags={"market": "'\""}) == []
    assert tracking.search("nothing of that name") == []


def test_a_run_in_the_bin_is_found_by_who_asks_for_it_and_is_not_written_on(tracking):
    with tracking.start("alpha", "one") as run:
        pass
    tracking.client.delete_run(run.run_id)
    assert tracking.search("alpha") == []
    assert [one.run_id for one in tracking.search("alpha", deleted=True)] == [run.run_id]
    assert tracking.record(run.run_id).name == "one"
    with pytest.raises(ConfigError, match="it is in the bin"):
        tracking.reopen(run.run_id)


def test_a_search_goes_through_all_pages(tracking, monkeypatch):
    runs = {tracking.start("alpha", str(number)).run_id for number in range(5)}
    search = tracking.client.search_runs
    monkeypatch.setattr(tracking.client, "search_runs", lambda *a, **k: search(*a, **{**k, "max_results": 2}))
    assert {one.run_id for one in tracking.search("alpha", finished=False)} == runs


def test_a_run_is_opened_again_and_ends_as_its_new_owner_leaves_it(tracking):
    run = tracking.start("alpha", "one")
    run.text("notes/a.txt", "first\nsecond 中")
    run.end("KILLED", "its process died")
    assert tracking.record(run.run_id).status == "KILLED"
    with tracking.reopen(run.run_id) as again:
        assert tracking.record(run.run_id).status == "RUNNING"
        again.metrics({"x": 1})
    told = tracking.record(run.run_id)
    assert (told.status, told.metrics, told.tags["error"]) == ("FINISHED", {"x": 1.0}, "its process died")
    assert tracking.read_text(run.run_id, "notes/a.txt") == "first\nsecond 中"


def test_what_is_asked_of_a_run_that_is_not_there_is_refused(tracking):
    for ask in (tracking.record, tracking.reopen, lambda one: tracking.read_text(one, "a.txt")):
        with pytest.raises(ConfigError, match="run 0123: the run must be there"):
            ask("0123")
    with tracking.start("alpha", "one") as run:
        pass
    with pytest.raises(DataError, match=r"it must have logged notes/a\.txt; found no such file"):
        tracking.read_text(run.run_id, "notes/a.txt")


def test_an_alias_is_moved_and_a_version_tagged(tracking, scorer_folder, example):
    run = logged(tracking, scorer_folder, example, asset_class="CS")
    for _ in range(2):
        tracking.register(run, "alpha_xgb", "champion")
    tracking.point("alpha_xgb", "champion", 1)
    tracking.point("alpha_xgb", "previous", 2)
    tracking.tag_version("alpha_xgb", 1, {"promoted_from": "2", "note": "n" * 9000})
    (known,) = tracking.list_models()
    assert (dict(known.aliases), known.versions) == ({"champion": 1, "previous": 2}, (1, 2))
    assert known.runs == {1: run.run_id, 2: run.run_id}
    assert (known.tags[1]["promoted_from"], known.tags[1]["asset_class"]) == ("2", "CS")
    assert "promoted_from" not in known.tags[2]
    assert tracking.resolve("alpha_xgb@champion").version == 1
    for ask in (lambda: tracking.point("alpha_xgb", "champion", 9), lambda: tracking.tag_version("alpha", 1, {})):
        with pytest.raises(ConfigError, match=r"did you mean alpha_xgb@champion \(version 1\)"):
            ask()
    assert tracking.resolve("alpha_xgb@champion").version == 1


def test_a_deleted_experiment_is_refused(tracking):
    with tracking.start("alpha", "one") as run:
        pass
    tracking.client.delete_experiment(run.experiment_id)
    with pytest.raises(DataError, match="it is in the bin"):
        tracking.start("alpha", "two")


def test_a_home_that_moved_is_refused_until_its_addresses_are_rewritten(tracking, home, scorer_folder, example):
    run = logged(tracking, scorer_folder, example)
    tracking.register(run, "alpha_xgb", "champion")
    moved_home = home.rename(home.with_name("elsewhere 二"))
    moved = Tracking(moved_home)
    with pytest.raises(DataError, match=r"python -m training\.mlruns"):
        moved.resolve("alpha_xgb@champion")
    with pytest.raises(DataError, match="as after a move"):
        moved.start("alpha", "two")

    done = relocate(moved_home)
    assert done.homes == (str(home),)
    assert done.rows == 5  # the experiment, its run, the logged model, and the version twice
    assert relocate(moved_home).rows == 0
    ref = Tracking(moved_home).resolve("alpha_xgb@champion")
    assert ref.folder.is_relative_to(moved_home)
    assert Scorer.load(ref.folder).columns == COLUMNS
    with moved.start("alpha", "two") as later:
        later.text("a.txt", "x")
    assert (moved_home / "mlruns/artifacts/alpha" / later.run_id / "artifacts/a.txt").is_file()


def test_a_home_without_runs_cannot_be_relocated(tmp_path):
    with pytest.raises(DataError, match=r"mlruns/mlflow\.db"):
        relocate(tmp_path)


def test_the_commit_is_told_only_of_a_checkout_itself(tmp_path):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path, *arguments], check=True)

    if shutil.which("git") is None:
        pytest.skip("no git here")
    assert checkout(tmp_path) == (None, None)
    (tmp_path / "inner").mkdir()
    (tmp_path / "f").write_text("1")
    git("init", "-q")
    git("add", "f")
    git("commit", "-q", "-m", "One")
    commit, dirty = checkout(tmp_path)
    assert len(commit) == 40
    assert dirty is False
    (tmp_path / "f").write_text("2")
    assert checkout(tmp_path) == (commit, True)
    assert checkout(tmp_path / "inner") == (None, None)


def test_mlflow_models_predict_scores_from_json_without_unpickling(tracking, scorer_folder, example, sample, tmp_path):
    tracking.register(logged(tracking, scorer_folder, example), "alpha_linear", "champion")
    served = tracking.resolve("alpha_linear@champion").folder.parents[1] / "serving_input_example.json"
    command = [sys.executable, "-m", "mlflow", "models", "predict", "-m", "models:/alpha_linear@champion"]
    command += ["--env-manager", "local", "-i", str(served), "-o", str(tmp_path / "out.json")]
    settings = {"MLFLOW_TRACKING_URI": tracking.uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    settings |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found = [row["score"] for row in json.loads((tmp_path / "out.json").read_text())["predictions"]]
    values, session, _ = sample
    assert found == pytest.approx(Scorer.load(scorer_folder).score(values[:100], session[:100]))


def test_the_ui_answers_on_this_machine_only_and_opens_the_classic_view(tracking, home, free_port):
    with tracking.start("alpha", "one") as run:
        run.text("a.txt", "hello")
    with serve_ui(home, free_port) as server:
        base = f"http://127.0.0.1:{free_port}/"
        assert server.url == f"{base}#/experiments/{run.experiment_id}/runs?workflowType=machine_learning"
        with urlopen(f"{base}get-artifact?run_uuid={run.run_id}&path=a.txt", timeout=30) as answer:
            assert answer.read() == b"hello"
        body = json.dumps({"experiment_ids": [run.experiment_id]}).encode()
        request = Request(f"{base}api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as answer:
            assert [one["info"]["run_id"] for one in json.load(answer)["runs"]] == [run.run_id]
        with pytest.raises(ConfigError, match="its port must be free"):
            serve_ui(home, free_port)
    assert server.process.poll() is not None


def test_the_ui_of_a_store_that_is_a_server_is_that_server(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:9")
    with pytest.raises(ConfigError, match="open http://localhost:9"):
        serve_ui(tmp_path)


@pytest.fixture
def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
