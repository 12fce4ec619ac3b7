"""The batch side of the demo run under fire: imports and the walk, as commands beside the server, killed whenever it is killed.

Enters: a rig, commands. Leaves: how often each was broken off. A command is run again until it ends with 0: an import goes on where its last batch was committed, a walk
begins anew. One that ends by itself with anything else, several times in a row, is a fault of the product and is told.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestration.service.bench.harness import BenchFailed, Rig

_PAUSE: Final = 0.5  # seconds before a command that failed is run again, as an operator's script would
_MOST_FAILURES: Final = 6  # of one command in a row: engines that come back take a while


@dataclass(frozen=True, slots=True)
class Command:
    """Words after `candor`; `name` for those who read what was hit."""

    name: str
    words: tuple[str, ...]


class Batch:
    """Runs commands, one after the other."""

    def __init__(self, rig: Rig, commands: Sequence[Command], more: Mapping[str, str]) -> None:
        self.broken_off: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.now = ""
        self._commands = commands
        self._environment = rig.environment(**more)
        self._folder = rig.folder
        self._log = rig.folder / "batch.log"
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Every command to its end.

        Raises:
            BenchFailed: one that does not end well though nobody kills it.
        """
        for command in self._commands:
            failures = 0
            while (code := await self._once(command)) != 0:
                if code == -signal.SIGKILL:
                    self.broken_off[command.name] += 1
                    failures = 0
                    continue
                self.failed[command.name] += 1
                failures += 1
                if failures >= _MOST_FAILURES:
                    sys.stderr.write("\n".join(_lines(self._log)[-20:]) + "\n")
                    raise BenchFailed(
                        f"expected `candor {command.name}` to end with 0, got {code} {failures} times in a row"
                    )
                await asyncio.sleep(_PAUSE)
        self.now = ""

    def kill(self) -> None:
        """SIGKILL to what runs now."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _once(self, command: Command) -> int:
        with self._log.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "orchestration.service.cli.main", *command.words,
                env=self._environment, cwd=self._folder, stdout=sink, stderr=sink, start_new_session=True,
            )  # fmt: skip
        self.now = command.name
        return await self._process.wait()


def commands(folder: Path) -> list[Command]:
    """What a shop does on the first day with what it has: a list it bought, its last campaign, its log, then the walk. `folder` holds the demo's files."""
    files = (("consents", "bought_list"), ("decisions", "past_campaign"), ("events", "shop_events"))
    return [
        *(Command(f"import {what}", ("import", what, str(folder / f"{name}.csv"), "--map", str(folder / f"{name}.map.yaml"))) for what, name in files),
        Command("pipeline run", ("pipeline", "run")),
    ]  # fmt: skip


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines()
