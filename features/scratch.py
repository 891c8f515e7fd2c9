"""Arrays that outgrow memory: rows go to a file without a name, which is then read as if it lay in memory.

The file is unlinked while it is open: nothing is left of it when its array goes, nor after an error or a kill.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np

from features.panel import Float32Array
from features.refusal import ConfigError, DataError

_WORTH_SAYING: Final = 1e8  # bytes


@dataclass(frozen=True)
class Scratch:
    """How large an array may be in memory, and where a larger one lies.

    memory  bytes; an array that takes more is a file; None: every array is in memory
    folder  of the files, on a disk and not itself in memory; None: the system's folder for temporary files
    """

    memory: float | None = None
    folder: Path | None = None

    def stack(
        self,
        what: str,
        rows: int,
        columns: int,
        blocks: Iterable[Float32Array],
        say: Callable[[str], None] = lambda line: None,
    ) -> Float32Array:
        """The blocks (m, columns) float32 one below the other, (rows, columns): in memory, or a read-only np.memmap.

        say     told the size of a large array before it is made
        Errors  ConfigError where the file would not fit on its disk, told before the first block is asked for
        """
        size = 4 * rows * columns
        told = f"{what}: {rows:,} rows of {columns} columns, {_bytes(size)}"
        if self.memory is None or size <= self.memory:
            if size >= _WORTH_SAYING:
                say(f"{told} in memory")
            return _in_memory(rows, columns, blocks)
        folder = Path(tempfile.gettempdir()) if self.folder is None else self.folder
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if size > free:
            raise ConfigError(
                f"scratch folder {folder}",
                f"its disk must have {_bytes(size)} free for the {what}",
                _bytes(free),
                help=f"Name a folder on a larger disk, or allow more memory than {_bytes(self.memory)}.",
            )
        say(f"{told} in a scratch file under {folder} ({_bytes(free)} free)")
        with tempfile.TemporaryFile(dir=folder) as file:
            return _in_file(file, rows, columns, blocks)


IN_MEMORY: Final = Scratch()


def _in_memory(rows: int, columns: int, blocks: Iterable[Float32Array]) -> Float32Array:
    out = np.empty((rows, columns), dtype=np.float32)
    filled = 0
    for block in blocks:
        out[filled : filled + len(block)] = block
        filled += len(block)
    _require_full(filled, rows)
    return out


def _in_file(file: IO[bytes], rows: int, columns: int, blocks: Iterable[Float32Array]) -> Float32Array:
    filled = 0
    for block in blocks:
        # Written, not mapped: a disk that fills up meanwhile is an error here and no signal that ends the process.
        file.write(np.ascontiguousarray(block, dtype=np.float32).data)
        filled += len(block)
    file.flush()
    _require_full(filled, rows)
    return np.memmap(file, dtype=np.float32, mode="r", shape=(rows, columns))


def _require_full(filled: int, rows: int) -> None:
    if filled != rows:
        raise DataError("scratch array", f"its blocks must have {rows} rows", f"{filled}")


def _bytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
