"""`candor consent rules`, `sign-rules`: what the gate goes by, where the law says so, and a signature over it.

Stand-alone but for `--history`: the files that the settings name are read, no store is started.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands, Json, in_house

if TYPE_CHECKING:
    from audit import note
    from consent.rulebook import Rulebook
    from consent.rules_store import InForce
    from orchestration.wiring import House

_SHORT = 19


def register(app: Commands) -> None:
    """Add the commands to the consent group."""
    app.add("rules")(rules)
    app.add("sign-rules")(sign_rules)


def rules(
    history: Annotated[bool, typer.Option("--history", help="When which rules were put in force here.")] = False,
    as_json: Json = False,
) -> None:
    """Every rule of the gate with its source: precedence, jurisdiction packs, legal bases, signals; versions, digests, who signed."""
    if history:
        _history(as_json=as_json)
        return
    from consent import rulebook
    from orchestration.settings import load

    book = rulebook.load(load().consent)
    if as_json:
        output.emit_json(book.as_json())
        return
    output.facts(
        "", [("digest", book.digest), ("jurisdiction", book.rules.jurisdiction), ("signed by", _signers(book))]
    )
    output.table(
        "Files", ("part", "version", "digest"), [(one.name, one.version, one.digest[:_SHORT]) for one in book.parts]
    )
    output.table(
        "Rules", ("part", "rule", "says", "source"), [(x.part, x.rule, x.says, x.source) for x in book.lines()]
    )


def _signers(book: "Rulebook") -> str:
    return ", ".join(book.signed_by) or "nobody; the settings demand no signature"


def _history(*, as_json: bool) -> None:
    async def work(house: "House") -> "list[InForce]":
        async with house.kernel.db.reading() as conn:
            return await house.consent.book.history(conn)

    found = in_house(work)
    if as_json:
        output.emit_json(
            [
                {"digest": x.digest, "jurisdiction": x.jurisdiction, "began_at": x.began_at, "signed_by": x.signed_by}
                for x in found
            ]
        )
        return
    rows = [
        (f"{x.began_at:%Y-%m-%d %H:%M}", x.digest[:_SHORT], x.jurisdiction, ", ".join(x.signed_by) or "nobody")
        for x in found
    ]
    output.table("Rules in force", ("from", "digest", "jurisdiction", "signed by"), rows)


def sign_rules(
    key: Annotated[
        Path, typer.Option(help="File of the signing key; made when it is not there. Keep it off this machine.")
    ],
    out: Annotated[Path, typer.Option(help="Where the signature goes; CANDOR_CONSENT__RULES_SIGNATURE names it.")],
    name: Annotated[str, typer.Option(help="Name of a key that is made: who answers for the rules.")] = "counsel",
) -> None:
    """Sign the rules as they are read now, and print the public key that CANDOR_CONSENT__RULES_KEYS takes."""
    from audit import note
    from consent import rulebook
    from orchestration.settings import load

    book = rulebook.load(load().consent.model_copy(update={"rules_keys": ()}))
    signer = _key(key, name)
    out.write_text(note.sign(book.statement, signer), encoding="utf-8")
    output.say(f"signed {book.digest} with {signer.name}: {out}")
    print(signer.verifier.text)


def _key(file: Path, name: str) -> "note.SignerKey":
    from audit import note

    if file.exists():
        return note.SignerKey.parse(output.existing(file, "a signing key").read_text(encoding="utf-8").strip())
    made = note.SignerKey.generate(name)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(made.text + "\n")
    return made
