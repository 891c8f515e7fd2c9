"""Parquet and CSV files as a source: a folder with CS/, ETF/, INDX/, Future/, Option/ and reference/, or a flat one.

Each holds one file, one a year, or one an asset; without an id column the id is the file's name (600000.XSHG.csv).
Many small files are read together, a large one by year: a batch is neither a commit for nothing nor all of memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from features.conform import ORIGIN, dates
from features.fields import ASSET_CLASSES
from features.panel import ConfigError, DataError
from features.rows import unknown
from features.sources.batch import Batch

REFERENCE = "reference"
REFERENCE_FIRST = ("calendar", "instruments")
SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz")
FEW_FILES = 24
ROWS_A_BATCH = 1_000_000
ROWS_AT_ONCE = 4_000_000
WORDS = re.compile(r"(_id|code|symbol|name)$")
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeDecodeError)
LAYOUT = "Lay files out as CS/, ETF/, INDX/, Future/, Option/ and reference/, or name the asset class of a flat folder."


def files(path: Path | str, asset_class: str | None = None) -> Iterator[Batch]:
    """Batches of a folder or a file, reference tables first, then the classes in the contract's order.

    asset_class  what a flat folder or a single file holds; of a folder with a folder for each class, the one to read
    Errors       ConfigError for a path that is not there; DataError for one that holds nothing or cannot be read
    """
    root = Path(path).expanduser()
    if asset_class is not None and asset_class not in ASSET_CLASSES:
        raise unknown("files", "asset class", asset_class, ASSET_CLASSES)
    if not root.exists():
        raise ConfigError("files", "the path must exist", str(root), help="Name a folder or a file of Parquet or CSV.")
    plan = [] if root.is_dir() and not _data_files(root) else _plan(root, asset_class)
    if not any(found for _, found in plan):
        raise DataError("files", f"there must be {', '.join(SUFFIXES)} files", "none", str(root), LAYOUT)
    return _batches(plan)


def _plan(root: Path, asset_class: str | None) -> list[tuple[str, list[Path]]]:
    """What to read, in order: a class or "reference", and its files."""
    if root.is_file():
        return [(asset_class or _class_of(root.parent, root), [root])]
    rooms = {child.name.lower(): child for child in sorted(root.iterdir()) if child.is_dir()}
    wanted = (REFERENCE, *(ASSET_CLASSES if asset_class is None else (asset_class,)))
    plan = [(name, _data_files(rooms[name.lower()])) for name in wanted if name.lower() in rooms]
    if any(name != REFERENCE or asset_class is None for name, _ in plan):
        return plan
    return [*plan, (asset_class or _class_of(root, root), [f for f in _data_files(root) if REFERENCE not in f.parts])]


def _class_of(folder: Path, what: Path) -> str:
    name = folder.name.lower()
    for known in (*ASSET_CLASSES, REFERENCE):
        if known.lower() == name:
            return known
    raise DataError("files", "the asset class must be known from the folder or be given", str(what), help=LAYOUT)


def _data_files(folder: Path) -> list[Path]:
    found = [f for f in folder.rglob("*") if f.name.lower().endswith(SUFFIXES) and not f.name.startswith((".", "_"))]
    return sorted(f for f in found if f.is_file())


def _batches(plan: list[tuple[str, list[Path]]]) -> Iterator[Batch]:
    for table, found in plan:
        if table == REFERENCE:
            order = {name: n for n, name in enumerate(REFERENCE_FIRST)}
            for file in sorted(found, key=lambda f: (order.get(_stem(f), len(order)), f)):
                yield Batch(f"{REFERENCE}/{_stem(file)}", str(file), _read(file, as_text=False))
        else:
            yield from _bars(table, found)


def _bars(asset_class: str, found: Sequence[Path]) -> Iterator[Batch]:
    """A batch a file where they are few, else files of the same columns together; a large file year by year."""
    enough = ROWS_A_BATCH if len(found) > FEW_FILES else 0
    waiting: dict[tuple[tuple[str, str], ...], list[tuple[Path, pl.DataFrame]]] = {}
    for file in found:
        if _is_parquet(file) and _height(file) > ROWS_AT_ONCE:
            yield from _by_year(asset_class, file)
            continue
        rows = _with_id(_read(file), file)
        kind = tuple(sorted((name, "number" if t.is_numeric() else str(t)) for name, t in rows.schema.items()))
        group = waiting.setdefault(kind, [])
        group.append((file, rows))
        if sum(len(part) for _, part in group) >= enough:
            yield _together(asset_class, waiting.pop(kind))
    for group in waiting.values():
        yield _together(asset_class, group)


def _together(asset_class: str, group: list[tuple[Path, pl.DataFrame]]) -> Batch:
    if len(group) == 1:
        return Batch(asset_class, str(group[0][0]), group[0][1])
    columns = group[0][1].columns
    parts = [rows.select(columns).with_columns(pl.lit(str(file)).alias(ORIGIN)) for file, rows in group]
    return Batch(asset_class, f"{group[0][0]} and {len(group) - 1} more", pl.concat(parts, how="vertical_relaxed"))


def _by_year(asset_class: str, file: Path) -> Iterator[Batch]:
    scan = pl.scan_parquet(file, glob=False)
    if "date" not in scan.collect_schema():
        yield Batch(asset_class, str(file), scan.head(1).collect())  # too little of it for the contract: let it say so
        return
    years = dates(scan.select("date").collect()["date"], str(file)).dt.year()
    for year in sorted(years.drop_nulls().unique()):
        yield Batch(asset_class, f"{file} ({year})", _with_id(scan.filter(years == year).collect(), file))
    if years.null_count():
        yield Batch(asset_class, f"{file} (no date)", _with_id(scan.filter(years.is_null()).collect(), file))


def _with_id(rows: pl.DataFrame, file: Path) -> pl.DataFrame:
    if "order_book_id" in rows.columns:
        return rows
    if re.fullmatch(r"(19|20)\d\d([01]\d([0-3]\d)?)?", _stem(file)) or "date" not in rows.columns:
        found = ", ".join(rows.columns)
        raise DataError(str(file), "it must have the column order_book_id, or be named by its asset", found)
    return rows.with_columns(pl.lit(_stem(file)).alias("order_book_id"))


def _stem(file: Path) -> str:
    suffix = next(s for s in sorted(SUFFIXES, key=len, reverse=True) if file.name.lower().endswith(s))
    return file.name[: -len(suffix)]


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() in (".parquet", ".pq")


def _height(file: Path) -> int:
    try:
        return int(pl.scan_parquet(file, glob=False).select(pl.len()).collect().item())
    except UNREADABLE as error:
        raise _cannot_read(file, error) from error


def _read(file: Path, as_text: bool = True) -> pl.DataFrame:
    """All of a file; of a CSV every column as text (the contract reads it), or of a reference table ids and codes."""
    try:
        if _is_parquet(file):
            return pl.scan_parquet(file, glob=False).collect()
        return _read_csv(file, as_text, "utf8")
    except UNREADABLE as error:
        if not _is_parquet(file) and "utf-8" in str(error).lower():
            return _read_csv(file, as_text, "gb18030")
        raise _cannot_read(file, error) from error


def _read_csv(file: Path, as_text: bool, encoding: str) -> pl.DataFrame:
    if as_text:
        return pl.read_csv(file, infer_schema=False, encoding=encoding, glob=False)
    names = pl.read_csv(file, infer_schema=False, encoding=encoding, n_rows=0, glob=False).columns
    words = {name: pl.String for name in names if WORDS.search(name)}
    return pl.read_csv(file, schema_overrides=words, infer_schema_length=None, encoding=encoding, glob=False)


def _cannot_read(file: Path, error: BaseException) -> DataError:
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(str(file), "it must be a whole Parquet or CSV file", found)
