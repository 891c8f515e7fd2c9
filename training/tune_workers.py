"""Processes that help a search: each is told once what to do, on its standard input, and ends with its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 20  # seconds to end a trial after an interrupt


@contextmanager
def workers(count: int, order: Mapping[str, Any], say: Callable[[str], None]) -> Iterator[None]:
    """So many processes at work on an order while the block runs; waited for after it, interrupted if it fails."""
    with tempfile.TemporaryFile() as said:
        started = [_start({**order, "parent": os.getpid()}, said) for _ in range(count)]
        try:
            yield
        except BaseException:
            for one in started:
                _interrupt(one)
            raise
        failed = [code for one in started if (code := one.wait())]
        if failed:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            say(f"{len(failed)} of {count} further processes failed, the others did their trials: {' '.join(last)}")


def _start(order: Mapping[str, Any], said: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from training.tune import obey; obey()"]
    # Spinning threads of one process would take the cores from the others.
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONPATH": path}
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment)
    if worker.stdin is not None:
        worker.stdin.write(json.dumps(order).encode())
        worker.stdin.close()
    return worker


def _interrupt(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is not None:
        return
    worker.send_signal(signal.SIGINT)
    try:
        worker.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
