"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from filelock import FileLock

from serving.cli import main
from tests.command_line import Answer, Daybar


@pytest.fixture(scope="session")
def market() -> Path:
    """The folder of real market data beside the checkout; tests that need it are skipped where it is not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "market"
    if not folder.is_dir():
        pytest.skip("no real market data beside this checkout")
    return folder


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home after `daybar demo --size tiny`, made once for all workers, to be left as it is.

    It holds the store, alpha_linear_5d and alpha_xgb_5d, a prediction, and what the demo said in said.txt.
    """
    from serving.demo import run_demo  # takes seconds, which tests that do not need a home are spared

    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    home, said = shared / "demo", StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with FileLock(shared / "demo.lock"):
            if not (home / "said.txt").exists():
                with redirect_stdout(said):
                    run_demo(home, "tiny", "planted", 0)
                (home / "said.txt").write_text(said.getvalue(), encoding="utf-8")
        yield home


@pytest.fixture
def own_home(demo_home: Path, tmp_path: Path) -> Path:
    """A copy of the demo's home that a test may change."""
    from training.mlruns import relocate

    home = tmp_path / "home"
    shutil.copytree(demo_home, home)
    relocate(home)
    return home


@pytest.fixture
def daybar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Daybar:
    """The command line in this process, in an empty folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["daybar", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)

    return run
