"""The tracking UI as a process of its own, bound to this machine only."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import Request, urlopen

from features.panel import ConfigError, DataError
from training.mlruns import artifact_location, tracking_uri

HOST = "127.0.0.1"
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # no GenAI workers: half the memory
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}


@dataclass(frozen=True)
class Server:
    """A running UI; `url` opens the classic view of the experiment that changed last. Leaving the context stops it."""

    url: str
    process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def wait(self) -> int:
        """Block until the server ends by itself; its exit status."""
        return self.process.wait()

    def stop(self) -> None:
        """End the server and its workers."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                return
            os.killpg(self.process.pid, sign)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                continue


def serve_ui(home: Path, port: int = 5000, patience: float = 90.0) -> Server:
    """Start the UI of a home and return once it answers; its log goes to <home>/mlruns/ui.log.

    patience  seconds to wait for the first answer
    Errors    ConfigError for a port that is taken or a store that is a server already, DataError if it does not start
    """
    uri = tracking_uri(home)
    if uri.startswith("http"):
        raise ConfigError("ui", "the store must be a database", f"the server {uri}", help=f"open {uri} in a browser")
    _require_free(port)
    log = home.resolve() / "mlruns" / "ui.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--default-artifact-root", artifact_location(home, "other")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env={**os.environ, **_SETTINGS}, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    server = Server(f"http://{HOST}:{port}/", process)
    try:
        _await(server, log, patience)
        return Server(_classic(server.url), process)
    except BaseException:
        server.stop()
        raise


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ConfigError("ui", "its port must be free", f"{port}: {error}", help="choose another --port") from None


def _await(server: Server, log: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(f"{server.url}health", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.25)
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    found = f"exit status {server.process.poll()}, {' '.join(last) or 'nothing logged'}"
    raise DataError("ui", f"the server must answer within {patience:.0f} s", found, str(log))


def _classic(url: str) -> str:
    """The address of the machine-learning view; the UI opens in its GenAI view otherwise."""
    body = json.dumps({"max_results": 1000, "order_by": ["last_update_time DESC"]}).encode()
    request = Request(f"{url}api/2.0/mlflow/experiments/search", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        found = json.load(answer).get("experiments", [])
    ours = [one["experiment_id"] for one in found if one["experiment_id"] != "0"]
    page = f"experiments/{ours[0]}/runs" if ours else "experiments"
    return f"{url}#/{page}?workflowType=machine_learning"
