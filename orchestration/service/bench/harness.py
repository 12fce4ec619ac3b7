"""What every benchmark needs: engines and a house in a folder of their own, the real server as a process, an open-loop load, CPU per request.

Enters: nothing of the caller's installation: no CANDOR_ variable is read. Leaves: a `Rig`; when the block ends, everything that was started is stopped and
the folder is gone. Postgres runs as an installation has it: fsync and synchronous_commit on.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psutil

from kernel.engines import Engines
from kernel.engines.process import own_folder
from kernel.errors import Unavailable
from orchestration.service.bench.figures import Cost, Figures, spread
from orchestration.settings import Settings, load
from orchestration.wiring import House, open_house

_ROOT: Final = Path(__file__).parents[3]
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0


class BenchFailed(Unavailable):
    """A part of the measurement did not come up or go down."""

    code = "bench_failed"
    remedy = "The last lines of its log are above; `candor doctor` looks at the parts one by one."


@dataclass(frozen=True, slots=True)
class Shots:
    """A load, seen whole: status and body of each answer, `number` of its request in the plan; times in seconds."""

    asked: int
    seconds: float
    errors: Mapping[str, int]
    took: Sequence[float]
    late: Sequence[float]
    status: Sequence[int] = ()
    number: Sequence[int] = ()
    bodies: Sequence[str] = ()

    @property
    def figures(self) -> Figures:
        """What it says."""
        return Figures(
            asked=self.asked,
            answered=len(self.took),
            errors=self.errors,
            seconds=round(self.seconds, 3),
            rps=round(len(self.took) / self.seconds, 1) if self.seconds > 0 else 0.0,
            latency=spread(self.took),
            late=spread(self.late),
        )

    def __add__(self, other: "Shots") -> "Shots":
        """Two loads as one, without their answers."""
        errors = {name: self.errors.get(name, 0) + other.errors.get(name, 0) for name in {*self.errors, *other.errors}}
        took, late = [*self.took, *other.took], [*self.late, *other.late]
        return Shots(self.asked + other.asked, self.seconds + other.seconds, errors, took, late)


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs. `url` without a slash at the end."""

    url: str
    process: psutil.Process

    def cpu(self) -> float:
        """CPU seconds that the process itself has used."""
        return _cpu([self.process])

    def beside_cpu(self) -> float:
        """CPU seconds of its children: explanations are made there, at the lowest priority."""
        return _cpu(self.process.children(recursive=True))

    def kill(self) -> None:
        """End it at once, as a crash does, with its children: one that still loads would look for engines in a folder that is gone."""
        family = [self.process, *self.process.children(recursive=True)]
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family[1:], timeout=_STOP_SECONDS)  # our own child is asyncio's to wait for


@dataclass(frozen=True, slots=True)
class Rig:
    """A folder with engines that run, and the settings of a house on them."""

    folder: Path
    settings: Settings
    engines: Engines

    @asynccontextmanager
    async def house(self) -> AsyncIterator[House]:
        """A house in this process, for seeding and for looking at what was kept."""
        async with open_house(self.settings, engines=self.engines) as house:
            yield house

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Served]:
        """`candor up` in a process of its own."""
        words = ["-m", "orchestration.service.cli.main", "up"]
        async with self.process(words, name="server", said="Candor serves ") as (process, line):
            yield Served(line.split()[0], process)

    def environment(self, **more: str) -> dict[str, str]:
        """What a process needs in order to find this house; `more` are settings by their variable."""
        return _environment(self.settings) | more

    @asynccontextmanager
    async def process(self, words: Sequence[str], *, name: str, said: str) -> AsyncIterator[tuple[psutil.Process, str]]:
        """Python with these words until the block ends; begins once it says `said`, and gives what stands after it in that line."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as sink:
            child = await asyncio.create_subprocess_exec(
                sys.executable, *words, env=_environment(self.settings), cwd=self.folder, stdout=sink, stderr=sink
            )
        try:
            line = await _heard(log, said, child)
            yield psutil.Process(child.pid), line
        finally:
            if child.returncode is None:
                child.terminate()
                try:
                    await asyncio.wait_for(child.wait(), _STOP_SECONDS)
                except TimeoutError:
                    child.kill()
                    await child.wait()

    def crash(self, served: Served | None = None) -> None:
        """Kill the server and Postgres as a power cut does, and start Postgres again on what it had written."""
        if served is not None:
            served.kill()
        if self.engines.postgres is not None:
            self.engines.postgres.halt("immediate")
            self.engines.postgres.start()

    def engines_cpu(self) -> float:
        """CPU seconds of Postgres and the hot store since they started; processes that ended are not counted."""
        found: list[psutil.Process] = []
        for status in self.engines.status():
            if status.pid is not None:
                parent = psutil.Process(status.pid)
                found += [parent, *parent.children(recursive=True)]
        return _cpu(found)


@asynccontextmanager
async def rig(**sections: Mapping[str, Any]) -> AsyncIterator[Rig]:
    """Engines in a folder of their own; `sections` are settings that differ from the defaults, as for `orchestration.settings.load`."""
    # Not below a home folder: the embedded Postgres runs as an account of its own and must reach its files.
    folder = Path(tempfile.mkdtemp(prefix="candor-bench-", dir="/var/tmp"))
    try:
        await asyncio.to_thread(own_folder, folder, 0o711, give=False)
        kernel = {"data_dir": folder / "data", "port": 0, **sections.get("kernel", {})}
        await asyncio.to_thread(own_folder, folder / "data", 0o711, give=False)
        settings = await asyncio.to_thread(_isolated, folder, {**sections, "kernel": kernel})
        engines = Engines(settings.kernel)
        await asyncio.to_thread(engines.start)
        try:
            yield Rig(folder, settings, engines)
        finally:
            await asyncio.to_thread(engines.stop)
            await asyncio.to_thread(_halt, engines)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _halt(engines: Engines) -> None:
    """Whoever still uses them: a helper of a server that was killed would otherwise leave them to nobody."""
    for engine in (engines.valkey, engines.postgres):
        if engine is not None:
            engine.halt()


def request(url: str, method: str, path: str, *, secret: str | None = None, body: object = None) -> str:
    """One HTTP/1.1 request as text, for a plan."""
    content = "" if body is None else json.dumps(body, separators=(",", ":"))
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}"]
    if secret is not None:
        lines.append(f"Authorization: Bearer {secret}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", content])


async def shoot(
    folder: Path, url: str, requests: Sequence[str], *, rps: float, seconds: float, connections: int = 256, keep: bool = False,
    patience: float = 10.0,
) -> Shots:  # fmt: skip
    """Send the requests in turn, `rps` of them a second, from a process of its own; `keep` the answers' bodies."""
    where = urlsplit(url)
    plan, result = folder / "plan.json", folder / "result.json"
    form = {
        "host": where.hostname, "port": where.port, "rps": rps, "seconds": seconds, "connections": connections,
        "requests": list(requests), "keep": keep, "patience": patience,
    }  # fmt: skip
    await asyncio.to_thread(plan.write_text, json.dumps(form), encoding="utf-8")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orchestration.service.bench.shooting", str(plan), str(result), env=_environment(None)
    )
    if await child.wait() != 0:
        raise BenchFailed(f"expected the load generator to finish, got exit code {child.returncode}")
    told = json.loads(await asyncio.to_thread(result.read_text, encoding="utf-8"))
    return Shots(**told)


async def measured(
    rig: Rig, served: Served, requests: Sequence[str], *, rps: float, seconds: float, connections: int = 256, patience: float = 10.0
) -> tuple[Shots, Cost]:  # fmt: skip
    """The same, with every answer kept, and what a request cost in CPU time."""
    before = (served.cpu(), rig.engines_cpu(), served.beside_cpu())
    shots = await shoot(
        rig.folder,
        served.url,
        requests,
        rps=rps,
        seconds=seconds,
        connections=connections,
        keep=True,
        patience=patience,
    )
    after = (served.cpu(), rig.engines_cpu(), served.beside_cpu())
    count = max(1, len(shots.took))
    return shots, Cost(*(round((then - now) / count * 1000, 2) for now, then in zip(before, after, strict=True)))


def _isolated(folder: Path, sections: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Settings from these sections and nothing else: a benchmark never touches the installation of the one who runs it."""
    empty = folder / "candor.toml"
    empty.touch()
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("CANDOR_")}
    os.environ["CANDOR_CONFIG"] = str(empty)
    try:
        return load(**sections)
    finally:
        del os.environ["CANDOR_CONFIG"]
        os.environ.update(kept)


def _environment(settings: Settings | None) -> dict[str, str]:
    made = {name: value for name, value in os.environ.items() if not name.startswith("CANDOR_")}
    made["PYTHONPATH"] = str(_ROOT)
    if settings is None:
        return made
    for section in type(settings).model_fields:
        part = getattr(settings, section)
        for field in part.model_fields_set:
            value = getattr(part, field)
            if value is not None:
                made[f"CANDOR_{section}__{field}".upper()] = (
                    json.dumps(value) if isinstance(value, dict | list | tuple) else str(value)
                )
    return made


async def _heard(log: Path, said: str, child: asyncio.subprocess.Process) -> str:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        words = await asyncio.to_thread(log.read_text, encoding="utf-8", errors="replace")
        for line in words.splitlines():
            if said in line:
                return line.partition(said)[2]
        if child.returncode is not None:
            break
        await asyncio.sleep(0.05)
    words = await asyncio.to_thread(log.read_text, encoding="utf-8", errors="replace")
    sys.stderr.write("\n".join(words.splitlines()[-20:]) + "\n")
    raise BenchFailed(f"expected the {log.stem} to start within {_START_SECONDS:.0f} s, got none")


def _cpu(processes: Sequence[psutil.Process]) -> float:
    total = 0.0
    for one in processes:
        try:
            used = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
    return total
