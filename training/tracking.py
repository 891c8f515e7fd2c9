"""The one door to MLflow: runs, what they log, and the registry of models.

Runs are addressed by id through a client; MLflow's global "active run" and "tracking URI" are never set. By default
runs lie in sqlite at <home>/mlruns/mlflow.db with artifacts beside it; MLFLOW_TRACKING_URI takes precedence.
This file is long because MLflow has one door.
"""
# ruff: noqa: E402  MLflow reads some of its settings when it is imported

from __future__ import annotations

import os

for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_LOG_UV_FILES": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(_name, _value)

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

with warnings.catch_warnings():  # MLflow warns of a type hint of its own
    warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
    import mlflow.pyfunc

import numpy as np
import pandas as pd
import polars as pl
from filelock import FileLock
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModel,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunTag,
    ViewType,
)
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.models import set_model as set_pyfunc
from mlflow.pyfunc import PythonModel as PyfuncModel
from mlflow.pyfunc import PythonModelContext as PyfuncContext
from mlflow.store.entities import PagedList
from mlflow.types import ColSpec, Schema

from features.panel import ConfigError, DataError, Float64Array, SessionArray
from training.environment import environment, pinned, user
from training.loggable import chunks, cut, flat, plain, table
from training.mlruns import artifact_location, database, local_path, require_at_home, tracking_uri
from training.packaged import Packaged
from training.records import ModelRef, Registered, RunRecord, unknown_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # each model would tell that pip is not installed

__all__ = [
    "ModelRef",
    "PyfuncContext",
    "PyfuncModel",
    "Registered",
    "RunLog",
    "RunRecord",
    "Tracking",
    "set_pyfunc",
]

LONGEST_PARAM = 500  # characters; the rest of a value is cut and counted
LONGEST_TAG = 5_000
VERSION_TAGS = ("asset_class", "data_version", "factor_hash", "config_hash")
_SAVED = "scorer"  # what MLflow calls the folder of a model's own files, of whatever task
_NOON = 12 * 3_600_000  # milliseconds: noon UTC falls on the same date almost everywhere on earth

T = TypeVar("T")


@dataclass(frozen=True)
class RunLog:
    """A run that is being written. Leaving its context ends it: FINISHED, KILLED on Ctrl-C, else FAILED."""

    client: mlflow.MlflowClient = field(repr=False)
    run_id: str
    experiment_id: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.client.set_terminated(self.run_id, "FINISHED")
            return
        self.end("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED", f"{kind.__name__}: {error}")

    def end(self, status: Literal["FINISHED", "FAILED", "KILLED"], error: str | None = None) -> None:
        """End a run that is not, or was not, left as a context: one whose process has died."""
        if error is not None:
            self.tags({"error": error})
        self.client.set_terminated(self.run_id, status)

    def params(self, values: Mapping[str, Any], prefix: str = "") -> None:
        """Settings, nested mappings flattened to dotted names; a value longer than LONGEST_PARAM is cut, visibly."""
        params = [Param(name, cut(text, LONGEST_PARAM)) for name, text in flat(values, prefix)]
        for chunk in chunks(params, 100):
            self.client.log_batch(self.run_id, params=chunk)

    def tags(self, values: Mapping[str, str]) -> None:
        """Words to search runs by."""
        tags = [RunTag(name, cut(str(value), LONGEST_TAG)) for name, value in values.items()]
        for chunk in chunks(tags, 100):
            self.client.log_batch(self.run_id, tags=chunk)

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Numbers; None is left out, NaN is logged as such."""
        now = int(pd.Timestamp.now("UTC").timestamp() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, value in values.items() if value is not None]
        for chunk in chunks(metrics, 1000):
            self.client.log_batch(self.run_id, metrics=chunk)

    def series(self, name: str, sessions: SessionArray, values: Float64Array) -> int:
        """A number per session, both (T,): step is the position, the time is that session's date (noon UTC).

        Values that are not finite are left out, since the UI draws them as 0 or 1e308. Returns how many were logged.
        """
        days = sessions.astype("datetime64[D]").astype(np.int64)
        if days.shape != np.shape(values):
            raise DataError(
                f"series {name}", "it must have a value per session", f"{np.shape(values)} and {days.shape}"
            )
        points = [
            Metric(name, float(values[t]), int(days[t]) * 86_400_000 + _NOON, int(t))
            for t in np.flatnonzero(np.isfinite(values))
        ]
        for chunk in chunks(points, 1000):
            self.client.log_batch(self.run_id, metrics=chunk)
        return len(points)

    def note(self, text: str) -> None:
        """The run's description, Markdown; the UI shows it on top."""
        self.tags({"mlflow.note.content": text})

    def text(self, path: str, text: str) -> None:
        """A text artifact; the UI shows .txt, .yaml, .md and .html."""
        self.client.log_text(self.run_id, text, path)

    def json(self, path: str, value: object) -> None:
        """A JSON artifact; dates become ISO text, NaN becomes null."""
        self.text(path, json.dumps(plain(value), indent=1, ensure_ascii=False))

    def figure(self, path: str, figure: Figure) -> None:
        """A matplotlib figure as an image, by the suffix of the path (.png, .svg)."""
        self.client.log_figure(self.run_id, figure, path, save_kwargs={"dpi": 110, "bbox_inches": "tight"})

    def frame(self, path: str, frame: pl.DataFrame) -> None:
        """A table by the suffix of the path: .parquet, .csv, .html, or .json, which the UI shows as a table."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / PurePosixPath(path).name
            local.write_bytes(table(frame, local.suffix))
            above = str(PurePosixPath(path).parent)
            self.client.log_artifact(self.run_id, str(local), None if above == "." else above)
        if local.suffix == ".json":
            known = json.loads(self.client.get_run(self.run_id).data.tags.get("mlflow.loggedArtifacts", "[]"))
            entry = {"path": path, "type": "table"}
            self.tags({"mlflow.loggedArtifacts": json.dumps([*(one for one in known if one != entry), entry])})

    def dataset(
        self, name: str, table: Path, version: int, digest: str, context: str = "training", rows: int | None = None
    ) -> None:
        """A version of a Delta table that the run read; `digest` has at most 36 characters."""
        source = DeltaDatasetSource(path=str(table.resolve()), delta_table_version=version)
        profile = None if rows is None else json.dumps({"num_rows": rows})
        told = json.dumps({**source.to_dict(), "delta_table_version": version})  # to_dict leaves out version 0
        entity = Dataset(name, digest, "delta_table", told, profile=profile)
        self.client.log_inputs(self.run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", context)])])

    def environment(self) -> None:
        """What the run runs on, as environment.json and as tags."""
        found = environment()
        self.json("environment.json", found.to_dict())
        tags = {"python": found.python, "platform": found.platform, "cpus": str(found.cpus)}
        tags |= {"daybar": found.packages.get("daybar", "unknown")}
        if found.commit:
            tags |= {"mlflow.source.git.commit": found.commit, "mlflow.source.git.dirty": str(found.dirty).lower()}
        self.tags(tags)

    def child(self, name: str, tags: Mapping[str, str] | None = None) -> RunLog:
        """A run nested under this one: a fold, a trial."""
        return _create(self.client, self.experiment_id, name, {**(tags or {}), "mlflow.parentRunId": self.run_id})

    def model(self, package: Packaged, name: str = "model") -> str:
        """Log a saved model as one that `mlflow models predict` can run; the id of the logged model.

        The single numbers that the run has by now are attached to the model as well; series are not.
        Errors  whatever the model's code raises where it does not load, or does not take its example
        """
        run = self.client.get_run(self.run_id)
        logged = self.client.create_logged_model(
            self.experiment_id, name, self.run_id, tags=_version_tags(run.data.tags), params=run.data.params,
            model_type=package.task,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as temporary:
            saved = Path(temporary) / "model"
            try:
                _save(saved, package, logged)
                self.client.log_model_artifacts(logged.model_id, str(saved))
            except BaseException:
                self.client.finalize_logged_model(logged.model_id, "FAILED")
                raise
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        self._copy_metrics(sorted(run.data.metrics), logged.model_id)
        return str(logged.model_id)

    def _copy_metrics(self, names: Sequence[str], model_id: str) -> None:
        """Attach the single, finite numbers to the model; MLflow would show NaN there as 0."""
        histories = [self.client.get_metric_history(self.run_id, name) for name in names]
        single = [one for history in histories for one in history if len(history) == 1 and np.isfinite(one.value)]
        metrics = [Metric(one.key, one.value, one.timestamp, one.step, model_id=model_id) for one in single]
        for chunk in chunks(metrics, 1000):
            self.client.log_batch(self.run_id, metrics=chunk)


class Tracking:
    """The runs and the registry of a home."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.uri = tracking_uri(self.home)
        self._ours = self.uri == f"sqlite:///{database(self.home).as_posix()}"
        if not self._ours:
            self.client = mlflow.MlflowClient(self.uri, self.uri)
            return
        folder = database(self.home).parent
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(
            folder / ".lock", timeout=120
        ):  # the first client makes the tables, which two must not do at once
            self.client = mlflow.MlflowClient(self.uri, self.uri)

    def start(self, experiment: str, name: str, tags: Mapping[str, str] | None = None) -> RunLog:
        """A new run, to be used as a context; the experiment is made if it is not there."""
        return _create(self.client, self._experiment(experiment), name, dict(tags or {}))

    def register(self, run: RunLog | str, name: str, alias: str | None, tags: Mapping[str, str] | None = None) -> int:
        """Make the run's model the next version of a name and point the alias to it; the version.

        The version links to the run and the logged model; it carries the run's tags of VERSION_TAGS and `tags`.
        """
        run_id = run if isinstance(run, str) else run.run_id
        logged = self._logged_model(run_id)
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        of_run = _version_tags(self.client.get_run(run_id).data.tags)
        made = self.client.create_model_version(
            name, logged.artifact_location, run_id, {**of_run, **(tags or {})}, model_id=logged.model_id
        )
        known = json.loads(logged.tags.get("mlflow.modelVersions", "[]"))
        links = [*known, {"name": name, "version": made.version}]
        self.client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps(links)})
        if alias:
            self.client.set_registered_model_alias(name, alias, made.version)
        return int(made.version)

    def resolve(self, text: str) -> ModelRef:
        """The model that `name@alias`, `name/3` or `runs:<run id>` means, its scorer on this disk.

        Errors  ConfigError that lists what is registered, when there is no such model; DataError for one whose files
                have gone, and for a run that has logged none
        """
        if text.startswith("runs:"):
            run_id = text.removeprefix("runs:").strip("/")
            return self._ref(None, run_id, self._logged_model(run_id).artifact_location)
        version = self._version(text)
        address = self.client.get_model_version_download_uri(version.name, version.version)
        return self._ref(version, version.run_id or "", address)

    def list_models(self) -> list[Registered]:
        """What is registered, by name."""
        versions: dict[str, dict[int, ModelVersion]] = {}
        for one in _pages(self.client.search_model_versions):
            versions.setdefault(one.name, {})[int(one.version)] = one
        return [
            Registered(
                one.name,
                tuple(sorted(versions.get(one.name, {}))),
                {alias: int(version) for alias, version in one.aliases.items()},
                {number: made.run_id or "" for number, made in sorted(versions.get(one.name, {}).items())},
                {number: dict(made.tags) for number, made in sorted(versions.get(one.name, {}).items())},
            )
            for one in sorted(_pages(self.client.search_registered_models), key=lambda one: one.name)
        ]

    def point(self, name: str, alias: str, version: int) -> None:
        """Let an alias of a registered name mean a version; ConfigError when there is no such version."""
        self._version(f"{name}/{version}")
        self.client.set_registered_model_alias(name, alias, str(version))

    def tag_version(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Words about a version, written over older ones; ConfigError when there is no such version."""
        self._version(f"{name}/{version}")
        for key, value in tags.items():
            self.client.set_model_version_tag(name, str(version), key, cut(value, LONGEST_TAG))

    def search(
        self,
        experiment: str,
        *,
        tags: Mapping[str, str] = MappingProxyType({}),
        finished: bool = True,
        deleted: bool = False,
    ) -> list[RunRecord]:
        """The runs that carry all of the tags, oldest first; none when the experiment is not there.

        finished  only those that ended well, else those of any status
        deleted   those in the bin as well
        """
        known = self.client.get_experiment_by_name(experiment)
        if known is None:
            return []
        wanted = [f"tags.`{name}` = {quoted}" for name, value in tags.items() if (quoted := _quoted(value))]
        wanted += ["attributes.status = 'FINISHED'"] * finished
        view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
        search = partial(self.client.search_runs, [known.experiment_id], " and ".join(wanted), view)
        found = [_record(run) for run in _pages(search)]
        return sorted(
            (one for one in found if tags.items() <= one.tags.items()), key=lambda one: (one.started, one.run_id)
        )

    def record(self, run_id: str) -> RunRecord:
        """What is known of one run, in the bin or not; ConfigError when there is none of this id."""
        return _record(self._run(run_id))

    def reopen(self, run_id: str) -> RunLog:
        """A run to be written on; ConfigError when there is none of this id, or it is in the bin."""
        run = self._run(run_id)
        if run.info.lifecycle_stage == "deleted":
            raise ConfigError(f"run {run_id}", "it must not be deleted", "it is in the bin", self.uri)
        self.client.update_run(run_id, "RUNNING")
        return RunLog(self.client, run_id, run.info.experiment_id)

    def read_text(self, run_id: str, path: str) -> str:
        """A text artifact of a run.

        Errors  ConfigError when there is no such run, DataError when it has no such artifact
        """
        self._run(run_id)
        try:
            with tempfile.TemporaryDirectory() as folder:
                return Path(self.client.download_artifacts(run_id, path, folder)).read_text(encoding="utf-8")
        except (MlflowException, OSError) as error:
            raise DataError(f"run {run_id}", f"it must have logged {path}", "no such file", self.uri) from error

    def _run(self, run_id: str) -> Run:
        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            raise ConfigError(f"run {run_id}", "the run must be there", error.message, self.uri) from None

    def _experiment(self, name: str) -> str:
        known = self.client.get_experiment_by_name(name)
        if known is None:
            location = None if self.uri.startswith("http") else artifact_location(self.home, name)
            try:
                return str(self.client.create_experiment(name, artifact_location=location))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                    raise
            known = self.client.get_experiment_by_name(name)
        if known is None or known.lifecycle_stage == "deleted":
            help = "give the experiment another name, or: mlflow experiments restore"
            raise DataError(f"experiment {name}", "it must not be deleted", "it is in the bin", self.uri, help)
        if self._ours:
            require_at_home(self.home, name, known.artifact_location)
        return str(known.experiment_id)

    def _logged_model(self, run_id: str) -> LoggedModel:
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            raise ConfigError(f"model runs:{run_id}", "the run must be there", error.message, self.uri) from None
        made = run.outputs.model_outputs if run.outputs else []
        if not made:
            raise DataError(f"run {run_id}", "it must have logged a model", f"none, status {run.info.status}", self.uri)
        return self.client.get_logged_model(made[-1].model_id)

    def _version(self, text: str) -> ModelVersion:
        name, at, alias = text.partition("@")
        try:
            if at:
                return self.client.get_model_version_by_alias(name, alias)
            name, slash, number = text.rpartition("/")
            if slash:
                return self.client.get_model_version(name, number)
        except MlflowException:
            raise self._unknown(text, name) from None
        raise self._unknown(text, text)

    def _unknown(self, text: str, name: str) -> ConfigError:
        return unknown_model(text, name, self.list_models(), self.uri)

    def _ref(self, version: ModelVersion | None, run_id: str, address: str) -> ModelRef:
        local = local_path(address)
        if local is None:
            local = Path(mlflow.artifacts.download_artifacts(address, tracking_uri=self.uri))
        if not (local / "MLmodel").is_file():
            help = f"if the folder was moved: python -m training.mlruns {self.home}"
            raise DataError(f"model of run {run_id}", "its files must be there", "no MLmodel", str(local), help)
        folder = local / Model.load(str(local)).flavors["python_function"]["artifacts"][_SAVED]["path"]
        if version is None:
            return ModelRef(None, None, run_id, folder, _version_tags(self.client.get_run(run_id).data.tags))
        return ModelRef(version.name, int(version.version), run_id, folder, dict(version.tags))


def _create(client: mlflow.MlflowClient, experiment_id: str, name: str, tags: Mapping[str, str]) -> RunLog:
    about = {"mlflow.user": user(), "mlflow.source.name": "daybar", "mlflow.source.type": "LOCAL"}
    run = client.create_run(experiment_id, run_name=name, tags={**about, **tags})
    return RunLog(client, run.info.run_id, experiment_id)


def _save(saved: Path, package: Packaged, logged: LoggedModel) -> None:
    """Write the model to a new folder, load it from there, and let it try its own example."""
    shown = package.shown()
    frame = shown.to_pandas()
    frame.columns = pd.Index(shown.columns, dtype=object)  # on text columns MLflow draws a warning out of pandas 3
    inputs = Schema([ColSpec(kind, name, name not in package.optional) for name, kind in package.inputs.items()])
    outputs = Schema([ColSpec(kind, name) for name, kind in package.outputs.items()])
    mlflow.pyfunc.save_model(
        path=str(saved),
        python_model=str(package.code),
        artifacts={_SAVED: str(package.folder)},
        signature=ModelSignature(inputs, outputs),
        input_example=frame,
        pip_requirements=pinned(package.requires),
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            run_id=logged.source_run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        ),
    )
    mlflow.pyfunc.load_model(str(saved)).predict(frame)


def _pages(search: Callable[..., PagedList[T]]) -> Iterator[T]:
    token = None
    while True:
        page = search(max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _version_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: tags[name] for name in VERSION_TAGS if name in tags}


def _record(run: Run) -> RunRecord:
    about, data = run.info, run.data
    started = datetime.fromtimestamp(about.start_time / 1000, UTC)
    return RunRecord(about.run_id, about.run_name or "", about.status, started, data.tags, data.params, data.metrics)


def _quoted(value: str) -> str | None:
    """A value in MLflow's filter language, which knows no escapes: None when it holds both kinds of quotes."""
    return next((f"{mark}{value}{mark}" for mark in "'\"" if mark not in value), None)
