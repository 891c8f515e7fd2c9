"""What the terminal shows: tables of reports, progress on a terminal and plain lines elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from features.check import CheckReport
from features.ingest import IngestReport
from features.lookahead import Proof
from features.materialise import BuildReport

if TYPE_CHECKING:
    from training.replay import Replayed
    from training.run import Trained
    from training.tune import Tuned

# Elsewhere than on a terminal nobody knows the width: a line is as long as it needs to be.
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def line(text: str) -> None:
    """One plain line."""
    console.print(text, markup=False)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere; yields what is to be called with done and total."""
    if not console.is_terminal:
        yield lambda done, total: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=max(total, 1))


def frame_table(frame: pl.DataFrame, title: str, right: Sequence[str] = ()) -> Table:
    """A frame as a table, numbers to the right, and the columns of text that are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, dtype in frame.schema.items():
        side: Literal["left", "right"] = "right" if dtype.is_numeric() or name in right else "left"
        table.add_column(name, justify=side, overflow="ellipsis", no_wrap=True)
    for row in frame.iter_rows():
        table.add_row(*(_cell(v) for v in row))
    return table


def ingested(report: IngestReport) -> None:
    """Counts by file, then by file and reason; what the quarantining reasons mean; the notes."""
    files = report.files().with_columns(_file=_short("origin"))
    counts = ("rows", "new", "restated", "unchanged", "duplicates", "quarantined")
    console.print(frame_table(files.select(pl.col("_file").alias("file"), "table", *counts), "Rows by file"))
    reasons = report.reasons().with_columns(file=_short("origin"))
    if len(reasons):
        console.print()
        console.print(
            frame_table(reasons.select("file", "table", "severity", "reason", "rows", "first"), "What was found")
        )
    told = reasons.filter((pl.col("severity") == "quarantine") & (pl.col("meaning") != ""))
    for reason, meaning in told.select("reason", "meaning").unique(maintain_order=True).iter_rows():
        line(f"{reason}: {meaning}")
    for batch in report.batches:
        for note in batch.notes:
            line(f"note: {Path(batch.origin).name}: {note}")
    line(f"{report.rows:,} rows in {report.seconds:.1f} s, {report.quarantined:,} in quarantine")


def checked(report: CheckReport) -> None:
    """Coverage, gaps, survivorship and quarantine, then the warnings."""
    line(f"{report.asset_class}: {report.assets:,} assets on {report.sessions:,} sessions")
    tables = {
        "Coverage: share of rows with a value, by year": _by_year(report.coverage),
        "Longest gaps between an asset's first and last row": report.gaps.head(15),
        "Survivorship: assets by year": report.survivorship.yearly.with_columns(pl.col("year").cast(pl.String)),
        "Assets that end before the data do": report.survivorship.ended.head(15),
        "In quarantine": report.quarantined,
    }
    for title, frame in tables.items():
        if len(frame):
            console.print()
            console.print(frame_table(frame, title))
    console.print()
    for warning in report.warnings:
        line(f"warning: {warning}")


def built(report: BuildReport) -> None:
    """What a build did."""
    line(
        f"built {len(report.columns)} factors on {report.sessions:,} sessions, {report.rows:,} rows "
        f"(bars version {report.bars_version})"
    )
    for name, why in report.absent.items():
        line(f"absent: {name} {why}")


def proved(proof: Proof) -> None:
    """The factors that know too much, each with the step that does; what was checked, and what could not be."""
    for o in proof.offences:
        where = f", first on {o.session}{f' for {o.asset}' if o.asset else ''}: {o.value:.6g}, then {o.became:.6g}"
        line(f"{o.factor} changes with {o.world}{where if o.session else ''}")
        line(f"    by {o.operator}")
    for name, why in proof.absent.items():
        line(f"absent: {name} {why}")
    if proof.silent:
        line(f"not proved, without a value on these bars: {', '.join(proof.silent)}")
    line(
        f"{len(proof.checked):,} factors checked on {proof.sessions:,} sessions of {proof.assets:,} assets: "
        + (
            f"{len(proof.offences):,} found to look ahead or further back than declared"
            if proof.offences
            else "none looks ahead"
        )
    )


def trained(result: Trained, home: Path) -> None:
    """The headline numbers, the rows lost, and where to look."""
    rows = result.headline()
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        # A Chinese character is two cells wide.
        cells = [" " * (width - cell_len(cell)) + cell for cell, width in zip(others, widths[1:], strict=True)]
        line("  ".join([set_cell_size(first, widths[0]), *cells]))
    if result.lost:
        line("rows: " + ", ".join(f"{reason} {count:,}" for reason, count in result.lost.items()))
    line(f"run {result.run_id}")
    where = "" if home == Path() else f" --home {home}"
    if result.name:
        alias = f", alias {result.alias}" if result.alias else ""
        line(f"registered {result.name} version {result.version}{alias}")
    model = f"{result.name}@{result.alias}" if result.name and result.alias else f"runs:{result.run_id}"
    if result.predicts:
        line(f"next: daybar predict {model}{where}")
    line(f"look: daybar ui{where}")


def tuned(found: Tuned, home: Path) -> None:
    """The best trial, how many there are of each kind, and what to type next."""
    line(f"study {found.study}: " + ", ".join(f"{count:,} {state}" for state, count in found.states.items()))
    line(f"best trial {found.best_trial}: objective {found.best_value:+.5f}")
    for name, value in found.params.items():
        line(f"    {name}: {value:.6g}" if isinstance(value, float) else f"    {name}: {value}")
    if found.pbo is not None:
        line(f"probability of back-test overfitting {found.pbo:.2f}")
    if math.isfinite(found.dsr):
        line(f"deflated Sharpe ratio of the best {found.dsr:.3f}")
    for note in found.notes:
        line(f"note: {note}")
    where = "" if home == Path() else f" --home {home}"
    line(f"run {found.run_id}")
    line(f"next: daybar train {found.config}{where}")


def replayed(repeated: Replayed, run_id: str) -> None:
    """Whether the numbers came out again, and those that did not."""
    line(f"run {run_id} repeated as run {repeated.trained.run_id}")
    for name, (then, now) in repeated.differences.items():
        line(f"differs: {name} {then!r} then, {now!r} now")
    same = "all the same" if not repeated.differences else f"{len(repeated.differences):,} differ"
    line(f"{repeated.compared:,} numbers compared: {same}")


def _by_year(coverage: pl.DataFrame) -> pl.DataFrame:
    """Long shares as a row a field and a column a year, in per cent."""
    shares = coverage.with_columns(
        pl.col("year").cast(pl.String), share=(pl.col("share") * 100).round(2).cast(pl.String) + "%"
    )
    return shares.pivot(on="year", index="field", values="share")


def _short(column: str) -> pl.Expr:
    """The last two parts of a path; an origin that is none stays as it is."""
    return pl.col(column).str.split("/").list.tail(2).list.join("/")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
