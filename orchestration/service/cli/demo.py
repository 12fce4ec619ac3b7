"""`candor demo`: seed a world, run the whole job, serve it, print what happened and where to look."""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, logging

MARK = ".candor-demo"
PEOPLE = 3_000
SHOP = {"consent": {"controller": "Meadow & Mill"}, "channels": {"sender_name": "Meadow & Mill"}}


def register(app: Commands) -> None:
    """Add the command to the top level."""
    app.add("demo")(demo)


def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Stop after the run instead of serving it.")] = False,
    people: Annotated[int, typer.Option(min=200, max=200_000, help="How many people live in the world.")] = PEOPLE,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 7,
) -> None:
    """Seed a world, run the whole job on it, show what happened.

    The world's truth is known, so what was found is compared with it.
    """
    from orchestration.settings import load

    base = load()
    folder = _folder(base.kernel.data_dir)
    _fresh(folder)
    settings = load(kernel={"data_dir": folder}, **SHOP)
    logging(settings, quiet="error")

    async def run() -> None:
        from orchestration.demo.endpoints import shop
        from orchestration.demo.screen import show
        from orchestration.demo.story import tell
        from orchestration.service.server import serve
        from orchestration.wiring import open_house

        async with open_house(settings) as house:
            story = await tell(house, people=people, seed=seed, told=lambda chapter: output.say(f"· {chapter}"))
            show(story, output.out, base_url=settings.kernel.base_url, serving=not leave)
            name = SHOP["consent"]["controller"]
            output.out.print(
                f"\nThese commands see this world after:  export CANDOR_DATA_DIR={folder} CANDOR_CONSENT__CONTROLLER='{name}'",
                soft_wrap=True,
            )
            if shutil.which("candor") is None:
                activate = Path(sys.prefix) / "bin" / "activate"
                output.out.print(f"and `candor` is found after:           source {activate}", soft_wrap=True)
            if not leave:
                output.out.print("Serving. Ctrl+C stops it.")
                await serve(house, more=[await shop(house)])

    asyncio.run(run())


def _folder(data: Path) -> Path:
    """Where the world lives: below the data folder, or in it when that is a demo's own, as after the export that a demo prints."""
    return data if (data / MARK).is_file() else data / "demo"


def _fresh(folder: Path) -> None:
    """An empty folder for the demo; only one that an earlier demo made is emptied."""
    from kernel.errors import Conflict

    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise Conflict(
                f"expected {folder} to be empty or made by an earlier demo, got other files",
                remedy="Move them away, or name another folder with CANDOR_DATA_DIR.",
                code="demo_folder_in_use",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("made by `candor demo`; it is emptied by the next one\n", encoding="utf-8")
