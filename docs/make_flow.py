"""Write docs/flow.md: walk one person through a house of its own and show what was seen, with the ids of that run.

Run `python docs/make_flow.py` from the project's folder; it takes about a minute. Exits 1, and writes nothing, when a claim does not hold.
"""

import asyncio
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from kernel.clock import FrozenClock
from kernel.log import configure
from orchestration.demo.flow import SECTIONS, follow
from orchestration.demo.telling import Flow
from orchestration.demo.traces import Found, search
from orchestration.service.app import create_app
from orchestration.settings import load
from orchestration.wiring import open_house

PAGE = Path(__file__).parent / "flow.md"
HEAD = """# One person, one message, one reason, one receipt

This page is written by `python docs/make_flow.py`: it starts a Candor of its own in an empty folder, walks one made-up person through it and shows what
was seen. Ids, times and counts are those of the run that wrote it. Lines that begin with ✓ were checked on that run; a page with one that does not hold is not written.
"""


async def run(folder: Path) -> tuple[Flow, Found, Found]:
    """The flow, and the search of everything again after the engines have stopped and written all they held."""
    clock = FrozenClock(datetime.now(UTC).replace(microsecond=0))
    sections = {name: dict(values) for name, values in SECTIONS.items()}
    settings = load(kernel={"data_dir": folder, "base_url": "https://candor.shop.example"}, **sections)
    async with open_house(settings, clock=clock) as house:
        flow = await follow(house, create_app(house), clock)
    return flow, search([folder], flow.words), search([folder], [flow.ids["person"]])


def page(flow: Flow, rest: Found, control: Found) -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for number, step in enumerate(flow.steps, 1):
        shown = "\n".join(step.shown)
        checks = "\n".join(f"- ✓ {claim}" for claim in step.claims)
        parts.append(f"## {number}. {step.title}\n\n{step.prose}\n\n```text\n{shown}\n```\n\n{checks}\n")
    parts.append(
        f"At last everything was shut down, so that every engine wrote what it held, and searched once more. Her words: "
        f"{rest.told()}. Her id, to show that the search can find: {control.told().split('; ')[-1]}.\n"
    )
    return "\n".join(parts)


def main() -> int:
    configure("error", json=False)
    folder = Path(tempfile.mkdtemp(prefix="candor-flow-", dir="/var/tmp"))
    folder.chmod(0o711)  # the embedded Postgres runs as a user of its own
    try:
        flow, rest, control = asyncio.run(run(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    broken = flow.broken + ([f"after the end: {rest.told()}"] if rest.total else [])
    if broken:
        print(page(flow, rest, control), "does not hold:", *broken, sep="\n", file=sys.stderr)
        return 1
    PAGE.write_text(page(flow, rest, control), encoding="utf-8")
    print(f"{len(flow.steps)} steps, {sum(len(step.claims) for step in flow.steps)} claims hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
