"""From a command to the house and back: open, run one coroutine, close; errors become exit codes.

Nothing heavy is imported here at module level: `candor --help` and the stand-alone commands must start at once.
"""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer

from kernel.errors import CandorError
from orchestration.service.cli.output import fail

if TYPE_CHECKING:
    from audit.access.principal import Scope
    from orchestration.settings import Settings
    from orchestration.wiring import House

T = TypeVar("T")
P = ParamSpec("P")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")]


def actor() -> str:
    """Who acts at this terminal, for the log: CANDOR_ACTOR, or the operating system's account."""
    return os.environ.get("CANDOR_ACTOR") or f"cli:{os.environ.get('USER') or os.environ.get('LOGNAME') or os.getuid()}"


def in_house(work: Callable[["House"], Awaitable[T]], *, serving: bool = False) -> T:
    """Open the house with the settings of the environment, run `work`, close it again.

    A server writes the log that the settings ask for. A command writes warnings only, unless somebody asked for more.
    """
    from orchestration.settings import load
    from orchestration.wiring import open_house

    settings = load()
    logging(settings, quiet=None if serving else "warning")

    async def run() -> T:
        async with open_house(settings) as house:
            return await work(house)

    if not serving:
        return asyncio.run(run())
    import uvloop  # half the time of asyncio's own loop for a request

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def logging(settings: "Settings", *, quiet: str | None) -> None:
    """Configure the log: at the level somebody set, else at `quiet`, else at the default."""
    from kernel.log import configure

    asked = settings.kernel.log_level
    configure(quiet if quiet and "log_level" not in settings.kernel.model_fields_set else asked, json=settings.kernel.log_json)  # fmt: skip


def scopes_of(names: Sequence[str]) -> "set[Scope]":
    """The scopes with these names.

    Raises:
        InvalidInput: one that nobody knows.
    """
    from audit.access.principal import Scope
    from kernel.errors import InvalidInput

    if unknown := [name for name in names if name not in set(Scope)]:
        raise InvalidInput(
            f"expected names of scopes, got {', '.join(unknown)}",
            code="unknown_scope",
            remedy=f"Known are {', '.join(Scope)}.",
        )
    return {Scope(name) for name in names}


def polite(command: Callable[P, T]) -> Callable[P, T]:
    """A command whose accidents are told as errors with a remedy, and end with code 1 or 2."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except CandorError as error:
            fail(error)

    return wrapped


class Commands(typer.Typer):
    """A Typer app whose every command is polite."""

    def add(self, name: str, **settings: object) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Register a command under `name`."""

        def register(function: Callable[P, T]) -> Callable[P, T]:
            self.command(name, **settings)(polite(function))  # type: ignore[arg-type]
            return function

        return register


def group(name: str, words: str) -> Commands:
    """A group of commands that shows its help when called alone."""
    return Commands(name=name, help=words, no_args_is_help=True, rich_markup_mode=None, add_completion=False)
