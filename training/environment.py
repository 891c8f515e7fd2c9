"""What a run ran on: interpreter, machine, library versions, commit of the checkout."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "daybar",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "scipy",
    "numba",
    "scikit-learn",
    "xgboost",
    "lightgbm",
    "mlflow",
    "deltalake",
)


@dataclass(frozen=True)
class Environment:
    """Facts that could change a number; `commit` and `dirty` are None outside a git checkout."""

    python: str
    platform: str
    cpus: int
    commit: str | None
    dirty: bool | None
    packages: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def environment() -> Environment:
    """The environment of this process."""
    commit, dirty = checkout(Path(__file__).resolve().parents[1])
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    packages = {name: found for name in PACKAGES if (found := _version(name))}
    return Environment(platform.python_version(), platform.platform(), cpus, commit, dirty, packages)


def pinned(names: Sequence[str]) -> list[str]:
    """`name==version` of those that are installed."""
    return [f"{name}=={found}" for name in names if (found := _version(name))]


def checkout(root: Path) -> tuple[str | None, bool | None]:
    """Commit and whether tracked files differ from it; (None, None) unless `root` is the top of a git checkout."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return None, None
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return _git(root, "rev-parse", "HEAD"), None if changes is None else bool(changes)


def user() -> str:
    """The name of whoever runs this, `unknown` in a container without one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
