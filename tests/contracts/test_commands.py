"""The command line as CONTRACTS.md has it: every command that reads takes --json."""

from collections.abc import Iterator

import typer

from orchestration.service.cli.main import build

ACTS = {
    "agent add", "agent remove", "audit export", "audit key", "consent notice", "consent record", "consent sign-rules", "consent withdraw",
    "demo", "identity export", "keys copy-gone", "keys retire", "keys revoke", "learn accept", "learn promote", "learn rollback", "openapi",
    "processor add", "processor remove", "rebuild-cache", "receipt", "rights export", "rights unseal", "staff add", "staff remove", "up",
}  # fmt: skip
"""Commands that do something, or write a file or a line for a configuration, and are read by nobody but their caller."""


def commands(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))
    if not hasattr(command, "commands"):
        yield " ".join(words), command


def test_every_command_that_reads_takes_json() -> None:
    without = {
        name
        for name, command in commands(typer.main.get_command(build()))
        if "--json" not in {option for one in command.params for option in one.opts}
    }
    assert without == ACTS
