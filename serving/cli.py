"""The command line: `daybar VERB`. Each verb reads its arguments, calls one function, and shows what came back.

Imports stand inside the verbs, so that `--help` answers at once: polars, numba, xgboost and mlflow take seconds.
Exit codes: 0 done, 1 the user's input is wrong, 2 the data is bad, 3 a check failed.
"""

from __future__ import annotations

import os
import sys

import typer

from features.refusal import ConfigError, Refusal
from serving.options import INTERRUPTED
from serving.verbs import data, learn, serve

# Kernels and models run on all cores of a machine that they share: waiting threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

app = typer.Typer(
    name="daybar",
    help="Machine learning on daily bars: factors, tracked training, batch predictions.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# In the order in which a newcomer meets them.
app.command()(data.demo)
app.command()(data.ingest)
app.add_typer(data.checks, name="check")
app.command()(data.build)
app.command()(data.factors)
app.command()(learn.train)
app.command()(learn.tune)
app.command()(serve.predict)
app.command()(serve.promote)
app.command()(serve.watch)
app.command()(learn.ui)


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
