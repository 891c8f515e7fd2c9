"""Verbs of serving: predict, promote, watch. Imports stand inside them, so that `--help` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.refusal import ConfigError
from serving.options import CHECK_FAILED, HERE, Home, ModelName, ModelStore

if TYPE_CHECKING:
    from features.store import Store

Names = Annotated[int, typer.Option("--k", min=1, help="--diff: how many names the top holds, or moves are kept.")]


def predict(
    model: ModelName,
    asof: Annotated[str | None, typer.Option(help="Session to decide on; default: the last with bars.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First day of a range.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day of a range.")] = None,
    diff: Annotated[
        tuple[str, str] | None, typer.Option(help="Compare the predictions of two sessions.", metavar="DAY DAY")
    ] = None,
    k: Names = 50,
    csv: Annotated[bool, typer.Option("--csv", help="Write a CSV too.")] = False,
    store: ModelStore = None,
    home: Home = HERE,
) -> None:
    """Score every asset, or forecast every product, of a session or of each session of a range; or compare two.

    Example: daybar predict alpha_xgb_5d@champion --asof 2023-12-29
    """
    asked = [name for name, there in {"--asof": asof, "--from/--to": start or end, "--diff": diff}.items() if there]
    if len(asked) > 1:
        raise ConfigError(
            "predict",
            "it must be asked for a session, a range or a comparison",
            " and ".join(asked),
            help="Give one of them.",
        )
    there = _store(store, home)
    if diff is not None:
        _compare(model, diff, k, csv, there, home)
    elif start or end:
        _predict_range(model, start, end, csv, there, home)
    else:
        _predict_one(model, asof, csv, there, home)


def _predict_one(model: str, asof: str | None, csv: bool, store: Store | None, home: Path) -> None:
    from serving import show, show_serving, sink
    from serving.predict import predict as score

    with show.progress("sessions built") as moved:
        prediction = score(home, store, model, asof, moved)
    written, paths = sink.give(prediction.store, prediction, home / "predictions", csv)
    show_serving.predicted(prediction, written, paths[0], prediction.store)


def _predict_range(model: str, start: str | None, end: str | None, csv: bool, store: Store | None, home: Path) -> None:
    if not (start and end):
        raise ConfigError(
            "predict",
            "a range must have --from and --to",
            "--from alone" if start else "--to alone",
            help="For one session: --asof.",
        )
    from serving import show, show_serving, sink
    from serving.predict import predict_range

    with show.progress("sessions built") as moved:
        span = predict_range(home, store, model, start, end, moved)
    written, paths = sink.give(span.predictions[0].store, span.predictions, home / "predictions", csv)
    show_serving.predicted_range(span, written, paths)


def _compare(model: str, days: tuple[str, str], k: int, csv: bool, store: Store | None, home: Path) -> None:
    from serving import show, show_serving, sink
    from serving.compare import compare_sessions

    with show.progress("sessions built") as moved:
        comparison, ref, origins = compare_sessions(home, store, model, *days, k=k, progress=moved)
    show_serving.compared(comparison, ref, origins)
    if csv:
        path = home / "predictions" / (ref.name or ref.run_id) / f"diff_{comparison.then}_{comparison.now}.csv"
        sink.write_whole(path, comparison.rows)
        show.line(f"file: {path}")


def promote(
    name: Annotated[str, typer.Argument(help="A registered name.")],
    version: Annotated[int | None, typer.Argument(min=1, help="The version to become champion.")] = None,
    challenger: Annotated[
        bool, typer.Option("--challenger", help="The version that the alias challenger means.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also where its numbers are worse.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare, and move nothing.")] = False,
    home: Home = HERE,
) -> None:
    """Compare a version with the champion of its name, and let the alias champion mean it.

    Example: daybar promote alpha_xgb_5d --challenger
    """
    if challenger == (version is not None):
        found = "both" if challenger else "neither"
        raise ConfigError(
            f"promote {name}",
            "it must be given either a version or --challenger",
            found,
            help=f"Say daybar promote {name} 2.",
        )
    from serving import show, show_serving
    from serving.promote import Candidates, move

    candidates = Candidates.of(home, name, version)
    show_serving.candidates(candidates)
    if candidates.worse and not force:
        show.line(f"not promoted: {candidates.worse}; --force does it all the same")
        raise typer.Exit(CHECK_FAILED)
    if dry_run:
        show.line(f"would point {name}@champion to version {candidates.challenger.version}")
        return
    show.line(move(home, candidates))


def watch(
    model: ModelName,
    window: Annotated[int, typer.Option(min=20, help="Sessions that are looked at.")] = 60,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 where something is red.")] = False,
    store: ModelStore = None,
    home: Home = HERE,
) -> None:
    """Is a model still what it was: drift, coverage, decay of the RankIC; for a book of volatilities: VaR, QLIKE.

    Example: daybar watch alpha_xgb_5d@champion --window 60
    """
    from serving import show, show_serving
    from serving.watch import watch as look

    with show.progress("sessions built") as moved:
        watched = look(home, _store(store, home), model, window, moved)
    show_serving.watched(watched)
    if strict and watched.red:
        raise typer.Exit(CHECK_FAILED)


def _store(store: Path | None, home: Path) -> Store | None:
    from features.store import Store

    return None if store is None else Store(home / store)
