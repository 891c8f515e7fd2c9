"""The command line: `daybar VERB`. Each verb reads its arguments, calls one function, and shows what came back.

Imports stand inside the verbs, so that `--help` answers at once: polars, numba, xgboost and mlflow take seconds.
Exit codes: 0 done, 1 the user's input is wrong, 2 the data is bad, 3 a check failed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from features.refusal import ConfigError, DataError, Refusal

if TYPE_CHECKING:
    from features.catalogue import Catalogue
    from features.store import Store

# Kernels and models run on all cores of a machine that they share: waiting threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

app = typer.Typer(
    name="daybar",
    help="Machine learning on daily bars: factors, tracked training, batch predictions.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

checks = typer.Typer()
app.add_typer(checks, name="check")

Home = Annotated[Path, typer.Option(help="Folder where store, mlruns and predictions live.", metavar="DIR")]
StorePath = Annotated[Path, typer.Option("--store", help="Folder of the store, relative to --home.", metavar="DIR")]
Class = Literal["CS", "ETF", "INDX", "Future", "Option"]
AssetClass = Annotated[Class, typer.Option("--asset-class", help="Class of the bars.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override a key: model.params.max_depth=6.")]
Size = Annotated[Literal["tiny", "demo", "full"], typer.Option(help="Simulated market: how large.")]
World = Annotated[Literal["planted", "null"], typer.Option(help="Simulated market: with an alpha to find, or none.")]
Seed = Annotated[int, typer.Option(min=0, help="Simulated market: its seed.")]

HERE, STORE = Path("."), Path("store")
CHECK_FAILED, INTERRUPTED = 3, 130


@app.command()
def demo(size: Size = "demo", world: World = "planted", seed: Seed = 0, home: Home = HERE) -> None:
    """Simulate a market, build factors, train XGBoost and ridge, register, predict.

    Example: daybar demo
    """
    from serving.demo import run_demo

    run_demo(home, size, world, seed)


@app.command()
def ingest(
    source: Annotated[Literal["files", "simulator"], typer.Argument(help="Where the bars come from.")],
    path: Annotated[Path | None, typer.Option(help="files: a folder or a file, Parquet or CSV.")] = None,
    asset_class: Annotated[
        Class | None, typer.Option("--asset-class", help="files: the class of bars that lie in no folder of that name.")
    ] = None,
    size: Size = "demo",
    world: World = "planted",
    seed: Seed = 0,
    store: StorePath = STORE,
    home: Home = HERE,
) -> None:
    """Bring bars into the store.

    Example: daybar ingest files --path ~/market --store market
    """
    from serving import show
    from serving.bring import bring_files, bring_simulation

    if source == "simulator":
        report = bring_simulation(home / store, size, world, seed)
    elif path is None:
        raise ConfigError("ingest files", "--path must name a folder or a file", "nothing")
    else:
        report = bring_files(home / store, path, asset_class)
    show.ingested(report)
    if report.bars and report.quarantined == report.bars:
        cure = "The reasons stand above; the table quarantine/<class> of the store holds the rows."
        raise DataError("ingest", "some row of bars must be right", f"all {report.bars:,} in quarantine", help=cure)


@checks.callback(invoke_without_command=True)
def check(context: typer.Context, asset_class: AssetClass = "CS", store: StorePath = STORE, home: Home = HERE) -> None:
    """Print coverage, gaps and the survivorship picture of a store; or prove that no factor looks ahead.

    Example: daybar check --store market
    """
    if context.invoked_subcommand is not None:
        given = {"--asset-class": asset_class != "CS", "--store": store != STORE, "--home": home != HERE}
        for option in (o for o, there in given.items() if there):
            what = context.invoked_subcommand
            raise ConfigError(
                f"check {what}",
                f"options must stand behind {what}",
                f"{option} before it",
                help=f"Say daybar check {what} {option} ...",
            )
        return
    from features.check import check as check_bars
    from features.store import Store
    from serving import show

    show.checked(check_bars(Store(home / store), asset_class))


@checks.command()
def lookahead(
    config: Annotated[
        Path | None, typer.Argument(help="Check its factors, its expressions too; default: every factor of the class.")
    ] = None,
    overrides: Overrides = None,
    asset_class: AssetClass = "CS",
    store: StorePath = STORE,
    home: Home = HERE,
) -> None:
    """Compute factors again with the future cut off, with noise for a future, with no more history than declared.

    Example: daybar check lookahead configs/alpha_xgb.yaml
    """
    from features.lookahead import check_store
    from serving import show

    where, known, names = _asked(config, overrides, asset_class, store, home)
    with show.progress("worlds") as moved:
        proof = check_store(where, known, names, progress=moved)
    show.proved(proof)
    if proof.offences:
        raise typer.Exit(CHECK_FAILED)


@app.command()
def build(
    config: Annotated[
        Path | None, typer.Argument(help="Build its factors; default: every factor of the class.")
    ] = None,
    overrides: Overrides = None,
    asset_class: AssetClass = "CS",
    memory: Annotated[str, typer.Option(help="What a chunk's panels may take: 500MB, 4GB.")] = "4GB",
    anew: Annotated[bool, typer.Option("--anew", help="Compute everything again.")] = False,
    store: StorePath = STORE,
    home: Home = HERE,
) -> None:
    """Compute factors into the store, only what is missing.

    Example: daybar build configs/alpha_xgb.yaml
    """
    from features.materialise import materialise, memory_bytes
    from serving import show

    there, known, names = _asked(config, overrides, asset_class, store, home)
    with show.progress("sessions built") as moved:
        budget = memory_bytes(memory)
        report = materialise(there, known, names, memory=budget, anew=anew, say=show.line, progress=moved)
    show.built(report)
    for note in known.notes():
        show.line(f"note: {note}")


def _asked(
    config: Path | None, overrides: list[str] | None, asset_class: str, store: Path, home: Path
) -> tuple[Store, Catalogue, tuple[str, ...]]:
    """Store, catalogue and factors of a config; without one, those of the options, and every factor of the class."""
    from features.catalogue import catalogue
    from features.store import Store

    if config is None:
        known = catalogue(asset_class)
        return Store(home / store), known, known.stored()
    from training.config import load
    from training.tasks.alpha import factors_of

    settings = load(config, overrides or [])
    return Store(home / settings.data.store), *factors_of(settings)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="A config, e.g. configs/alpha_xgb.yaml.")],
    overrides: Overrides = None,
    home: Home = HERE,
) -> None:
    """Train, track and register.

    Example: daybar train configs/alpha_xgb.yaml --set label.horizon=10
    """
    from serving import show
    from training.config import load
    from training.run import train as train_run

    settings = load(config, overrides or [])
    with show.progress("sessions built") as moved:
        result = train_run(settings, home, show.line, moved)
    show.trained(result, home)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="name@alias, name/version or runs:<run id>.")],
    asof: Annotated[str | None, typer.Option(help="Session to decide on; default: the last with bars.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Write a CSV beside the Parquet file.")] = False,
    store: Annotated[
        Path | None,
        typer.Option(help="Store whose bars to score; default: the one the model was trained on.", metavar="DIR"),
    ] = None,
    home: Home = HERE,
) -> None:
    """Score every asset of a session.

    Example: daybar predict alpha_xgb_5d@champion --asof 2023-12-29
    """
    from features.store import Store
    from serving import show, sink
    from serving.predict import predict as score

    there = None if store is None else Store(home / store)
    with show.progress("sessions built") as moved:
        prediction = score(home, there, model, asof, moved)
    written, path = sink.give(prediction.store, prediction, home / "predictions", csv)
    show.predicted(prediction, written, path, prediction.store)


@app.command()
def factors(
    name: Annotated[str | None, typer.Argument(help="A factor: prints its card, inputs and coverage.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Only a set of factors, e.g. stock_core.")] = None,
    asset_class: AssetClass = "CS",
    store: StorePath = STORE,
    home: Home = HERE,
) -> None:
    """List the factors, or print one's card.

    Example: daybar factors cs_f_beta_60
    """
    from features.store import Store
    from serving import cards

    if name is None:
        cards.show_list(asset_class, sets or ())
    else:
        cards.show_card(Store(home / store), asset_class, name)


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000, home: Home = HERE) -> None:
    """Open MLflow's pages on the runs of a home.

    Example: daybar ui --port 5001
    """
    from training.ui import serve_ui

    with serve_ui(home, port) as server:
        typer.echo(f"MLflow on {server.url}\nCtrl-C ends it.")
        server.wait()


def main() -> None:
    """Run the command line; a refusal is told on stderr and sets the exit code."""
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="daybar", standalone_mode=False) or 0
    except typer.TyperException as error:
        typer.echo(f"error: {error.format_message()}\nTry daybar --help, or daybar VERB --help.", err=True)
        sys.exit(1)
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except Refusal as refusal:
        typer.echo(f"error: {refusal}", err=True)
        sys.exit(1 if isinstance(refusal, ConfigError) else 2)
    if status == INTERRUPTED:
        typer.echo("interrupted", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
