"""`candor keys …`: API keys, and the installation's own secrets (`keys_secrets`). A secret is shown once, when it is made; only its hash is stored.

A key that collects speaks for one source, and a source declares why it collects: `--collect-under` declares a new one in the same step.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import keys_copies, keys_secrets, output
from orchestration.service.cli.runtime import Commands, Json, actor, in_house, scopes_of

if TYPE_CHECKING:
    from audit.access.principal import NewApiKey
    from channels.push.vapid import VapidKey
    from orchestration.wiring import House

COLLECTING = {"collect", "browser"}


def register(app: Commands) -> None:
    """Add the commands of this group."""
    app.add("create")(create)
    app.add("list")(list_keys)
    app.add("revoke")(revoke)
    app.add("vapid")(vapid)
    app.add("log")(keys_secrets.log)
    app.add("secrets")(keys_secrets.secrets)
    app.add("rotate")(keys_secrets.rotate)
    app.add("retire")(keys_secrets.retire)
    app.add("shred")(keys_secrets.shred)
    app.add("copy")(keys_copies.copy)
    app.add("copies")(keys_copies.copies)
    app.add("copy-gone")(keys_copies.copy_gone)


def create(
    scope: Annotated[
        list[str],
        typer.Option("--scope", help="collect, decide, send, officer, auditor, operate or browser; repeatable."),
    ],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    source: Annotated[str | None, typer.Option(help="The one source a collecting key speaks for.")] = None,
    collect_under: Annotated[
        str | None,
        typer.Option(help="Declare the source: the purpose it collects for, for example service or marketing.email."),
    ] = None,
    also_for: Annotated[
        list[str] | None,
        typer.Option(help="With --collect-under: another purpose that may use what the source collects; repeatable."),
    ] = None,
    origin: Annotated[str | None, typer.Option(help="The web origin a browser key is bound to.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never when left out.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print its secret, once."""
    from kernel.errors import InvalidInput

    scopes = scopes_of(scope)
    if COLLECTING & scopes and source is None:
        raise InvalidInput(
            "expected --source with a key that collects, got none",
            code="source_missing",
            remedy="Name the source it speaks for; with --collect-under PURPOSE a new source is declared.",
        )

    async def work(house: "House") -> "NewApiKey":
        await _declare(house, source, collect_under, also_for or [])
        return await house.access.create_key(
            scopes,
            name=name or "+".join(sorted(scopes)),
            actor=actor(),
            source=source,
            origin=origin,
            expires_at=house.kernel.clock.now() + timedelta(days=days) if days else None,
        )

    made = in_house(work)
    if as_json:
        output.emit_json(made)
        return
    output.say(f"{made.key.api_key_id} may {', '.join(sorted(scopes))}. Its secret is shown now and never again:")
    print(made.secret)


async def _declare(house: "House", source: str | None, purpose: str | None, also_for: list[str]) -> None:
    """Declare the source under the legal basis that the purpose has here; without a purpose, expect it declared."""
    from events.log import Source

    if source is None:
        return
    if purpose is None:
        await house.events.source(source)
        return
    rules = house.consent.rules
    basis = rules.purposes.expect(purpose).basis_in(rules.jurisdiction)
    async with house.kernel.db.transaction() as conn:
        also = tuple(rules.purposes.expect(one).key for one in also_for)
        await house.events.register_source(conn, Source(source, purpose, basis, also_for=also))


def list_keys(as_json: Json = False) -> None:
    """Every key, what it may do and when it was last used."""
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


def vapid(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new key; browsers subscribe under it at their next visit.")
    ] = False,
    retire: Annotated[
        str | None, typer.Option(help="Destroy this key; only when nobody is subscribed under it any more.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The keys that sign pushes; the first is made when there is none. The last one listed is current."""

    async def work(house: "House") -> "list[VapidKey]":
        keyring = house.channels.push.keyring
        if retire is not None:
            await keyring.retire(retire, actor=actor())
        await (keyring.rotate(actor=actor()) if rotate else keyring.current())
        return await keyring.keys()

    keys = in_house(work)
    if as_json:
        output.emit_json(keys)
        return
    rows = [
        (
            k.vapid_id,
            f"{k.made_at:%Y-%m-%d}",
            str(k.live),
            "current" if k.current else "kept for its subscriptions",
            k.public,
        )
        for k in keys
    ]
    output.table("VAPID keys", ("id", "made", "subscriptions", "state", "public"), rows)
