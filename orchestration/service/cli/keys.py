"""`candor keys …`: API keys. A secret is shown once, when it is made; only its hash is stored."""

from datetime import timedelta
from typing import Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("create")(create)
    app.add("list")(list_keys)
    app.add("revoke")(revoke)


def create(
    scope: Annotated[
        list[str],
        typer.Option("--scope", help="collect, decide, send, officer, auditor, operate or browser; repeatable."),
    ],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    source: Annotated[str | None, typer.Option(help="The one source a collecting key speaks for.")] = None,
    origin: Annotated[str | None, typer.Option(help="The web origin a browser key is bound to.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never when left out.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print its secret, once."""
    from audit.access.principal import Scope
    from kernel.errors import InvalidInput

    if unknown := [s for s in scope if s not in set(Scope)]:
        raise InvalidInput(f"expected scopes among {', '.join(Scope)}, got {', '.join(unknown)}", code="unknown_scope")
    made = in_house(
        lambda house: house.access.create_key(
            {Scope(s) for s in scope},
            name=name or "+".join(sorted(scope)),
            actor=actor(),
            source=source,
            origin=origin,
            expires_at=house.kernel.clock.now() + timedelta(days=days) if days else None,
        )
    )
    if as_json:
        output.emit_json(made)
        return
    output.facts(
        "Key made. Its secret is shown now and never again.",
        [("id", made.key.api_key_id), ("scopes", ", ".join(sorted(made.key.scopes)))],
    )
    print(made.secret)


def list_keys(as_json: Json = False) -> None:
    """Every key: what it may do, whether it lives, when it was last used."""
    keys = in_house(lambda house: house.access.keys())
    if as_json:
        output.emit_json(keys)
        return
    rows = [
        (k.api_key_id, k.hint, k.name, ", ".join(sorted(k.scopes)), k.source or k.origin or "",
         "revoked" if k.revoked_at else (f"until {k.expires_at:%Y-%m-%d}" if k.expires_at else "living"),
         f"{k.last_used_at:%Y-%m-%d %H:%M}" if k.last_used_at else "never")
        for k in keys
    ]  # fmt: skip
    output.table("API keys", ("id", "begins", "name", "scopes", "bound to", "state", "last used"), rows)


def revoke(key: Annotated[str, typer.Argument(help="Id of the key, as `candor keys list` shows it.")]) -> None:
    """End a key now."""
    in_house(lambda house: house.access.revoke_key(key, actor=actor()))
    output.say(f"{key} is revoked.")
