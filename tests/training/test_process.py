"""A process is known dead when it is, and only where it ran."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from training.process import Process


def test_this_process_lives_and_is_read_back() -> None:
    this = Process.this()
    assert Process.read(str(this)) == this
    assert not this.is_known_dead


def test_a_process_that_ended_is_dead_and_its_id_may_live_on_in_another() -> None:
    tell = "from training.process import Process; print(Process.this())"
    done = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, check=True)
    ended = Process.read(done.stdout.strip())
    assert ended.host == Process.this().host
    assert ended.is_known_dead
    assert replace(Process.this(), started=1.0).is_known_dead, "the id was given to another process"


def test_a_killed_child_is_dead_before_its_parent_has_asked_for_it() -> None:
    tell = "from training.process import Process; print(Process.this(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", tell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as one:
        child = Process.read(one.stdout.readline().strip())
        assert not child.is_known_dead
        one.kill()
        for _ in range(1000):
            if child.is_known_dead:
                break
        assert child.is_known_dead


def test_of_another_host_nothing_is_known() -> None:
    assert not replace(Process.this(), host="elsewhere", pid=999_999_999).is_known_dead
