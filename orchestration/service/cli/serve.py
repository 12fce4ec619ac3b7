"""`candor up · doctor · rebuild-cache`: run it, look at it, fill the hot store again."""

from typing import Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house


def register(app: Commands) -> None:
    """Add the commands to the top level."""
    app.add("up")(up)
    app.add("doctor")(doctor)
    app.add("rebuild-cache")(rebuild_cache)


def up() -> None:
    """Start the engines and serve until interrupted."""
    from orchestration.service.server import serve

    in_house(
        lambda house: serve(house, told=_told, apart=True),
        serving=True,
    )


def _told(at: str) -> None:
    output.say(f"Candor serves {at}  (Ctrl+C stops it)")
    output.say(f"  for staff {at}/console, the HTTP API {at}/docs/api")


def doctor(
    settings: Annotated[bool, typer.Option("--settings", help="List every setting with its meaning instead.")] = False,
    as_json: Json = False,
) -> None:
    """Look at every part, and say what to do about what is wrong."""
    if settings:
        _settings(as_json=as_json)
        return
    from orchestration.service.checks import doctor as look

    checks = in_house(look)
    if as_json:
        output.emit_json(checks)
    else:
        output.table(
            "Doctor",
            ("part", "", "state", "what to do"),
            [(c.name, "ok" if c.ok else "BAD", c.state, "" if c.ok else c.remedy) for c in checks],
        )
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _settings(*, as_json: bool) -> None:
    from orchestration.settings import described

    rows = [(f"CANDOR_{section}__{field}".upper(), meaning) for section, field, meaning in described()]
    if as_json:
        output.emit_json(dict(rows))
    else:
        output.table("Settings", ("name", "meaning"), rows)


def rebuild_cache() -> None:
    """Empty the hot store and fill it again from Postgres."""
    done = in_house(lambda house: house.rebuild_cache())
    output.facts("Rebuilt", done.items())
