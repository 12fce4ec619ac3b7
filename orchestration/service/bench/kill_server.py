"""The server that is killed: `candor up` in a process group of its own, at an address that stays.

Enters: a rig. Leaves: a process that is started, killed at once with SIGKILL (its helper with it, the engines too when asked), and started again, as a
supervisor would. Its log is one file over all its lives.
"""

import asyncio
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import psutil

from orchestration.service.bench.harness import BenchFailed, Rig

_SAID: Final = "Candor serves "
_START_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 40.0
_LOW, _HIGH = 20_000, 32_000  # below the ports that Linux gives to clients: one of them must not take ours meanwhile


class Victim:
    """One server, many lives."""

    def __init__(self, rig: Rig, port: int, more: Mapping[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.lives = 0
        self._rig = rig
        self._environment = rig.environment(CANDOR_KERNEL__PORT=str(port), **more)
        self._log = rig.folder / "server.log"
        self._from = 0
        self._process: asyncio.subprocess.Process | None = None
        self._serving = False

    @property
    def place(self) -> str:
        """What it is doing: starting, serving or nothing."""
        if self._process is None or self._process.returncode is not None:
            return "down"
        return "serving" if self.serving() else "starting"

    async def start(self, **more: str) -> None:
        """A new life; `more` are settings of this one."""
        self._from = self._log.stat().st_size if self._log.exists() else 0
        self._serving = False
        with self._log.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "orchestration.service.cli.main", "up",
                env=self._environment | more, cwd=self._rig.folder, stdout=sink, stderr=sink, start_new_session=True,
            )  # fmt: skip
        self.lives += 1

    def serving(self) -> bool:
        """Whether it takes connections."""
        if not self._serving:
            with self._log.open("rb") as log:
                log.seek(self._from)
                self._serving = _SAID.encode() in log.read()
        return self._serving

    async def served(self) -> None:
        """Return once it serves.

        Raises:
            BenchFailed: it ended by itself, or is not there after a long time.
        """
        assert self._process is not None
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self.serving():
                return
            if self._process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        sys.stderr.write("\n".join(self._log.read_text(errors="replace").splitlines()[-20:]) + "\n")
        raise BenchFailed(f"expected the server to start again after kill {self.lives - 1}, got none")

    async def kill(self, engines: Iterable[str] = ()) -> None:
        """SIGKILL to its group, and to the engines of these names with all their processes, as when the machine dies."""
        assert self._process is not None
        doomed = [
            process
            for status in self._rig.engines.status()
            if status.name in set(engines)
            for process in _tree(status.pid)
        ]
        for one in doomed:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.to_thread(psutil.wait_procs, doomed, timeout=10)

    async def stop(self) -> int:
        """End it as an operator does; its exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        try:
            return await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            await self.kill()
            raise BenchFailed(
                f"expected the server to stop within {_STOP_SECONDS:.0f} s, got one that ran on"
            ) from None

    async def verify_log(self) -> int:
        """The exit code of `candor audit verify` in a process of its own."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "orchestration.service.cli.main", "audit", "verify",
            env=self._environment, cwd=self._rig.folder, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return await child.wait()


def free_port(seed: str) -> int:
    """A port on which nobody listens and which the system gives to nobody."""
    draw = random.Random(f"port:{seed}:{os.getpid()}")  # noqa: S311  # no secret
    for _ in range(200):
        port = draw.randrange(_LOW, _HIGH)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BenchFailed("expected a free port on loopback, got none")


def _tree(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        return []
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
