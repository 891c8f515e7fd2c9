"""Verbs of data: demo, ingest, check, build, factors. Imports stand inside them, so that `--help` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from features.refusal import ConfigError, DataError
from serving.options import CHECK_FAILED, HERE, STORE, AssetClass, Class, Home, Overrides, Seed, Size, StorePath, World

if TYPE_CHECKING:
    from features.catalogue import Catalogue
    from features.store import Store

checks = typer.Typer()


def demo(size: Size = "demo", world: World = "planted", seed: Seed = 0, home: Home = HERE) -> None:
    """Simulate a market, build factors, train XGBoost and ridge, register, predict.

    Example: daybar demo
    """
    from serving.demo import run_demo

    run_demo(home, size, world, seed)


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
    from serving.derived import refreshed

    show.checked(check_bars(refreshed(Store(home / store), asset_class), asset_class))


@checks.command()
def chains(
    product: Annotated[list[str] | None, typer.Option(help="Only this one, with every roll; may be repeated.")] = None,
    rule: Annotated[Literal["oi", "oi_volume", "fixed"], typer.Option(help="How the held contract rolls.")] = "oi",
    store: StorePath = STORE,
    home: Home = HERE,
) -> None:
    """Print the futures products of a store: contracts, rolls and holes; of one that is named, every roll.

    Example: daybar check chains --product RB --store market
    """
    from features.chain_check import check_chains
    from features.store import Store
    from serving import show, show_chains

    with show.progress("products") as moved:
        report = check_chains(Store(home / store), tuple(product or ()), rule, moved)
    show_chains.chains(report)


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

    where, known, names = _asked("check lookahead", config, overrides, asset_class, store, home)
    with show.progress("worlds") as moved:
        proof = check_store(where, known, names, progress=moved)
    show.proved(proof)
    if proof.offences:
        raise typer.Exit(CHECK_FAILED)


@checks.command()
def placebo(
    config: Annotated[Path, typer.Argument(help="A config, e.g. configs/alpha_xgb.yaml.")],
    overrides: Overrides = None,
    shift: Annotated[int, typer.Option(min=1, help="Sessions by which the shifted labels are too late.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Of the shuffles.")] = 0,
    home: Home = HERE,
) -> None:
    """Walk forward on labels that mean nothing, shuffled and shifted in time: nothing may be found in them.

    Example: daybar check placebo configs/alpha_xgb.yaml
    """
    from features.store import Store
    from serving import show
    from training.config import alpha_config, load
    from training.placebo import placebo as walk_placebos

    settings = alpha_config(load(config, overrides or []), "check placebo")
    with show.progress("sessions built") as moved:
        store = Store(home / settings.data.store)
        found = walk_placebos(settings, store, shift=shift, seed=seed, say=show.line, progress=moved)
    if found.found:
        show.line(f"found in labels that mean nothing: {', '.join(found.found)}")
        raise typer.Exit(CHECK_FAILED)
    show.line("nothing found in labels that mean nothing")


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
    """Compute factors into the store, only what is missing; for products of futures, the table of their bars first.

    Example: daybar build configs/alpha_xgb.yaml
    """
    from features.materialise import materialise, memory_bytes
    from serving import show

    there, known, names = _asked("build", config, overrides, asset_class, store, home)
    with show.progress("sessions built") as moved:
        budget = memory_bytes(memory)
        report = materialise(there, known, names, memory=budget, anew=anew, say=show.line, progress=moved)
    show.built(report)
    for note in known.notes():
        show.line(f"note: {note}")


def _asked(
    who: str, config: Path | None, overrides: list[str] | None, asset_class: str, store: Path, home: Path
) -> tuple[Store, Catalogue, tuple[str, ...]]:
    """Store, catalogue and factors of a config; without one, those of the options, and every factor of the class."""
    from features.catalogue import catalogue
    from features.store import Store
    from serving.derived import refreshed

    if config is None:
        known = catalogue(asset_class)
        return refreshed(Store(home / store), asset_class), known, known.stored()
    from training.config import alpha_config, load
    from training.market import factors_of

    settings = alpha_config(load(config, overrides or []), who)
    return Store(home / settings.data.store), *factors_of(settings)


def factors(
    name: Annotated[str | None, typer.Argument(help="A factor: prints its card, inputs and coverage.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Only a set of factors, e.g. stock_core.")] = None,
    tear_sheet: Annotated[
        Path | None, typer.Option(help="Judge the factor on the store's bars, as a page.", metavar="FILE.html")
    ] = None,
    asset_class: AssetClass = "CS",
    store: StorePath = STORE,
    home: Home = HERE,
) -> None:
    """List the factors, or print one's card; or write its tear sheet.

    Example: daybar factors cs_f_beta_60 --tear-sheet cs_f_beta_60.html
    """
    if tear_sheet is not None and name is None:
        raise ConfigError("factors", "--tear-sheet must be given a factor", "none", help="daybar factors lists them.")
    from features.store import Store
    from serving import cards

    if tear_sheet is not None and name is not None:
        _tear_sheet(Store(home / store), asset_class, name, tear_sheet)
    elif name is None:
        cards.show_list(asset_class, sets or ())
    else:
        cards.show_card(Store(home / store), asset_class, name)


def _tear_sheet(store: Store, asset_class: str, name: str, path: Path) -> None:
    from serving import show
    from serving.tear_sheet import write_tear_sheet

    with show.progress("sessions built") as moved:
        write_tear_sheet(store, asset_class, name, path, moved)
    show.line(f"tear sheet: {path}")
