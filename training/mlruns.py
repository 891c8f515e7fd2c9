"""Where runs are kept: the database and the artifacts below <home>/mlruns, and how they follow a home that moved.

The tracking database stores absolute addresses of artifacts. `relocate` rewrites them: python -m training.mlruns HOME
"""

from __future__ import annotations

import os
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from features.panel import DataError

_MIDDLE = "/mlruns/artifacts/"
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class Relocation:
    """What `relocate` did: rows rewritten, and the homes that they named before."""

    rows: int
    homes: tuple[str, ...]


def database(home: Path) -> Path:
    """The tracking database of a home."""
    return home.resolve() / "mlruns" / "mlflow.db"


def tracking_uri(home: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the database of the home."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database(home).as_posix()}"


def artifact_location(home: Path, experiment: str) -> str:
    """The file: address below which an experiment's artifacts are kept."""
    return (home.resolve() / "mlruns" / "artifacts" / experiment).as_uri()


def local_path(address: str) -> Path | None:
    """The path that a file: address or a plain path names; None for a remote one."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(address) if address.startswith("/") else None


def require_at_home(home: Path, experiment: str, address: str) -> None:
    """DataError if an experiment keeps its artifacts below another home, as after a move or a copy."""
    path = local_path(address)
    expected = local_path(artifact_location(home, experiment))
    if path is not None and _MIDDLE in path.as_posix() and path != expected:
        raise DataError(
            f"experiment {experiment}",
            f"its artifacts must lie below {home.resolve()}",
            f"the address {path}, as after a move or a copy",
            str(database(home)),
            f"rewrite the addresses: python -m training.mlruns {home}",
        )


def relocate(home: Path) -> Relocation:
    """Point every artifact address of the home's database at the home itself, in one transaction.

    Only addresses of the form <some home>/mlruns/artifacts/... are touched; a second call changes nothing.
    Errors  DataError if there is no database
    """
    path = database(home)
    if not path.is_file():
        raise DataError(f"home {home}", "it must hold mlruns/mlflow.db", "no such file")
    here = artifact_location(home, "x").removesuffix("x")
    rows, homes = 0, set()
    connection = sqlite3.connect(path, timeout=30)
    try:
        with connection:
            for table, column in _ADDRESSES:
                for (address,) in connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall():
                    head, middle, tail = (address or "").rpartition(_MIDDLE)
                    if not middle or not head.startswith("file:") or head + middle == here:
                        continue
                    homes.add(unquote(urlsplit(head).path))
                    change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
                    rows += connection.execute(change, (here + tail, address)).rowcount
    finally:
        connection.close()
    return Relocation(rows, tuple(sorted(homes)))


if __name__ == "__main__":
    done = relocate(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print(f"{done.rows} addresses rewritten, before: {', '.join(done.homes) or 'none'}")
