"""The steps of a flow as they are told, and the small tools that make evidence readable.

Enters: what was seen and checked. Leaves: `Step`s and `Flow`. Secrets and addresses are shortened before they are shown.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_OFFLINE: Final = """
import sys
sys.addaudithook(lambda name, _: sys.exit("the network was touched") if name.startswith("socket.") else None)
from pathlib import Path
from audit.receipt import verify_file
verdict = verify_file(Path(sys.argv[1]), sys.argv[2])
print(*verdict.lines, sep="\\n")
sys.exit(0 if verdict.trusted else 1)
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One station: what happened, what was seen of it, and what was checked (name of the claim, and whether it holds)."""

    title: str
    prose: str
    shown: tuple[str, ...]
    claims: Mapping[str, bool]


@dataclass(slots=True)
class Flow:
    """The steps so far, and what a reader may want to look at again: ids, files, the words that must be gone at the end."""

    steps: list[Step] = field(default_factory=list)
    words: tuple[str, ...] = ()
    ids: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def broken(self) -> list[str]:
        """Claims that did not hold."""
        return [f"{step.title}: {name}" for step in self.steps for name, holds in step.claims.items() if not holds]

    def add(self, title: str, prose: str, shown: Sequence[str], **claims: bool) -> None:
        """One more station; claims are written with underscores for spaces."""
        told = {name.replace("_", " "): holds for name, holds in claims.items()}
        self.steps.append(Step(title, prose, tuple(shown), told))


async def offline(file: Path, key: str) -> tuple[bool, list[str]]:
    """Verify a receipt in another process: no environment, no folder of ours, a tripwire on sockets. (verified, its lines)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _OFFLINE, str(file), key,
        env={}, cwd="/", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode == 0, out.decode().splitlines()


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {secret}"}


def masked(address: str) -> str:
    """An address with one letter left: it is made up, but somebody may have it."""
    name, _, host = address.partition("@")
    return f"{name[:1]}…@{host}"


def short(link: str) -> str:
    """A link without most of its token."""
    head, _, token = link.rpartition("/")
    return f"{head}/{token[:12]}…"


def clip(line: str) -> str:
    """A line that fits a page."""
    return line if len(line) <= 120 else f"{line[:119]}…"


def counted(states: Mapping[str, int]) -> str:
    """Counts by name, as words."""
    return ", ".join(f"{name} {count}" for name, count in states.items()) or "nothing"
