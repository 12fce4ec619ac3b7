"""`candor`: the command line. Every command is listed in one place, here.

Exit codes: 0 done (a "no" is a result, not a failure), 1 a check failed or an act was refused, 2 wrong usage.
"""

from importlib import import_module
from importlib.metadata import version
from os import PathLike
from typing import Annotated

import typer

from kernel.errors import CandorError, InvalidInput
from orchestration.service.cli.output import fail
from orchestration.service.cli.runtime import Commands, group

GROUPS = {  # module -> group name and what it is for; modules without a name add top-level commands
    "serve": None,
    "imports": None,
    "decide": None,
    "evaluate": None,
    "prove": None,
    "demo": None,
    "openapi": None,
    "keys": ("keys", "API keys with scopes, and the installation's own secrets."),
    "staff": ("staff", "The people who may act in the console and on requests."),
    "identity": ("identity", "Who is who: link files, score, look, judge."),
    "consent": ("consent", "What may be done with whom: permissions and acts."),
    "rights": ("rights", "Subject requests: access, erasure and the others."),
    "processor": ("processor", "Those who get data from us, and the letters to them."),
    "agent": ("agent", "Who may ask on behalf of people."),
    "events": ("events", "What was refused at the door, and once more after a fault was corrected."),
    "learn": ("learn", "Train, evaluate, promote."),
    "experiment": ("experiment", "Compare what groups of people are shown; let a model reach everybody step by step."),
    "retention": ("retention", "What is kept how long; holds."),
    "pipeline": ("pipeline", "The batch walk from records to decisions."),
    "campaign": ("campaign", "Decide and send for everyone a placement is meant for."),
    "trigger": ("trigger", "What sets messages off by itself."),
    "channel": ("channel", "Connectors: what is open, what is missing, a try."),
    "report": ("report", "What it brought: lift, visits, funnels."),
    "audit": ("audit", "The log: verify, checkpoint, tail."),
    "bench": ("bench", "Measure this machine."),
}


def build() -> Commands:
    """The whole command tree."""
    app = Commands(
        name="candor",
        invoke_without_command=True,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_top)
    for module, named in GROUPS.items():
        register = import_module(f"orchestration.service.cli.{module}").register
        if named is None:
            register(app)
        else:
            inner = group(*named)
            register(inner)
            app.add_typer(inner)
    return app


def _top(
    show: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Candor decides, sends, explains and proves customer messages."""
    if show:
        typer.echo(f"candor {version('candor')}")
        raise typer.Exit


def main() -> None:
    """Entry point of the `candor` script."""
    try:
        build()()
    except CandorError as error:
        fail(error)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise SystemExit(130) from None
    except Exception as error:  # noqa: BLE001  # broad: the top of a process; a library's message may quote values, so only the place is told
        if isinstance(error, OSError) and isinstance(error.filename, str | PathLike):
            told = f"expected to read or write {error.filename}, got: {error.strerror}"
            fail(
                InvalidInput(told, code="file_not_usable", remedy="Check the path, its folder and who may write there.")
            )
        from kernel.log import get_logger

        get_logger("cli").error("unexpected_error", exc_info=error)
        fail(
            CandorError(
                "expected no accident of our own, got one; the line above names its kind and place",
                remedy="Report that line; it holds no personal data. `candor doctor` tells whether every part answers.",
                code="unexpected",
            )
        )


if __name__ == "__main__":
    main()
