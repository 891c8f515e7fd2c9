"""Where the machine code of kernels is kept."""

from __future__ import annotations

import os
from pathlib import Path

import numba

import features
from features.operators import compiled


def test_every_state_of_the_sources_has_a_folder_of_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(compiled, "_HERE", str(tmp_path))
    states = []
    for text in ("a = 1\n", "a = 2\n"):
        (tmp_path / "one.py").write_text(text, encoding="utf-8")
        states.append(compiled._state())
    (tmp_path / "two.py").write_text("b = 1\n", encoding="utf-8")
    states.append(compiled._state())
    assert len(set(states)) == 3
    (tmp_path / "notes.txt").write_text("no code", encoding="utf-8")
    assert compiled._state() == states[-1]


def test_kernels_are_kept_by_the_state_of_all_of_them() -> None:
    assert compiled._state() in numba.config.CACHE_DIR or "NUMBA_CACHE_DIR" in os.environ


def test_no_kernel_is_compiled_in_another_way() -> None:
    folder = Path(features.__file__).parent / "operators"
    others = [p.name for p in folder.glob("*.py") if "njit(" in p.read_text(encoding="utf-8")]
    assert set(others) <= {"compiled.py", "residual_kernels.py"}
