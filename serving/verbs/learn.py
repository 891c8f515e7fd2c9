"""Verbs of learning: train, tune, ui. Imports stand inside them, so that `--help` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.refusal import ConfigError
from serving.options import CHECK_FAILED, HERE, Home, Overrides


def train(
    config: Annotated[Path | None, typer.Argument(help="A config, e.g. configs/alpha_xgb.yaml.")] = None,
    overrides: Overrides = None,
    memory: Annotated[str | None, typer.Option(help="What the matrix may take before it goes to disk: 4GB.")] = None,
    replay: Annotated[
        str | None, typer.Option(help="Repeat a run from its recorded settings and data.", metavar="RUN_ID")
    ] = None,
    home: Home = HERE,
) -> None:
    """Train, track and register; or repeat a run and compare the numbers.

    Example: daybar train configs/alpha_xgb.yaml --set label.horizon=10
    """
    if replay is not None:
        if config is not None or overrides or memory is not None:
            told = "a config" if config is not None else "--set" if overrides else "--memory"
            raise ConfigError("train", "--replay takes its settings from the run", told, help="Leave it out.")
        _replay(replay, home)
        return
    if config is None:
        raise ConfigError(
            "train",
            "it must be given a config, or --replay",
            "neither",
            help="Say daybar train configs/alpha_xgb.yaml.",
        )
    from features.materialise import memory_bytes
    from serving import show
    from training.config import load
    from training.run import train as train_run

    settings = load(config, overrides or [])
    budget = None if memory is None else memory_bytes(memory)
    with show.progress("sessions built") as moved:
        result = train_run(settings, home, show.line, moved, memory=budget)
    show.trained(result, home)


def _replay(run_id: str, home: Path) -> None:
    from serving import show
    from training.replay import replay

    with show.progress("sessions built") as moved:
        repeated = replay(run_id, home, show.line, moved)
    show.replayed(repeated, run_id)
    if repeated.differences:
        raise typer.Exit(CHECK_FAILED)


def tune(
    config: Annotated[Path, typer.Argument(help="A config, e.g. configs/alpha_xgb.yaml.")],
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of the study; default: tune.trials.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials at a time.")] = 1,
    storage: Annotated[
        str | None, typer.Option(help="Where the study lies; default: sqlite in mlruns.", metavar="URL")
    ] = None,
    overrides: Overrides = None,
    home: Home = HERE,
) -> None:
    """Search a model's space before the holdout; go on where a killed search ended.

    Example: daybar tune configs/alpha_xgb.yaml --trials 60 --jobs 2
    """
    from serving import show
    from training.config import load
    from training.tune import tune as tune_run

    settings = load(config, overrides or [])
    with show.progress("trials") as moved:
        tuned = tune_run(settings, home, trials=trials, jobs=jobs, storage=storage, say=show.line, progress=moved)
    show.tuned(tuned, home)


def ui(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000, home: Home = HERE) -> None:
    """Open MLflow's pages on the runs of a home.

    Example: daybar ui --port 5001
    """
    from training.ui import serve_ui

    with serve_ui(home, port) as server:
        typer.echo(f"MLflow on {server.url}\nCtrl-C ends it.")
        server.wait()
