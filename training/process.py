"""Which process works on something, so that another one can tell that it has died."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

_NAMESPACE = Path("/proc/self/ns/pid")  # two containers may share a host's name, and then not its process ids


@dataclass(frozen=True)
class Process:
    """A process among all of all hosts, now and after its id has been given to another one."""

    host: str
    pid: int
    started: float

    @classmethod
    def this(cls) -> Self:
        """The process that asks."""
        return cls(_host(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def read(cls, text: str) -> Self:
        """Back from `str`."""
        host, pid, started = text.rsplit(" ", 2)
        return cls(host, int(pid), float(started))

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.started!r}"

    @property
    def is_known_dead(self) -> bool:
        """It ran on this host, and runs no more; of another host nothing is known."""
        if self.host != _host():
            return False
        try:
            found = psutil.Process(self.pid)
            # A killed child stays a zombie until its parent asks for it.
            return found.create_time() != self.started or found.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def _host() -> str:
    space = os.readlink(_NAMESPACE) if _NAMESPACE.exists() else ""
    return f"{socket.gethostname()} {space}".strip()
