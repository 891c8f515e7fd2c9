"""A child process killed by SIGKILL around its n-th commit to the store, however fast or slow the machine is."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The clock starts with the commit: kills measured from the start of the process would all miss on a slow machine.
PREAMBLE = """
import os, signal, sys, threading, time
import features.store
write, calls = features.store.write_deltalake, 0
def die():
    time.sleep({delay})
    os.kill(os.getpid(), signal.SIGKILL)
def dying(*given, **options):
    global calls
    calls += 1
    if calls == {commit}:
        threading.Thread(target=die, daemon=True).start()
    return write(*given, **options)
features.store.write_deltalake = dying
"""


def run_killed(program: str, *given: str, commit: int, delay: float) -> bool:
    """Runs `program`, killed `delay` seconds after its commit number `commit` began; whether it came to that."""
    command = [sys.executable, "-c", PREAMBLE.format(commit=commit, delay=delay) + program, *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == -signal.SIGKILL
