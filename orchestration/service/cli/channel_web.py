"""`candor channel web`: what to paste into a page, and what is still missing before it shows anything."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Json, in_house

if TYPE_CHECKING:
    from orchestration.wiring import House


@dataclass(frozen=True, slots=True)
class Snippet:
    """The script as it is served, ready to paste, and what is missing. `bytes` are gzipped."""

    url: str
    integrity: str
    bytes: int
    tag: str
    placements: list[str]
    origins: list[str]
    notices: list[str]
    missing: list[str]


def web(as_json: Json = False) -> None:
    """Print the script's address, SRI value and element for a page; exits 1 while something is missing."""
    found = in_house(_look)
    if as_json:
        output.emit_json(found)
    else:
        output.facts(
            "The script for pages",
            [
                ("address", found.url), ("integrity", found.integrity), ("size", f"{found.bytes:,} bytes gzipped"),
                ("placements", ", ".join(found.placements) or "none"), ("origins", ", ".join(found.origins) or "none"),
                ("notices", ", ".join(found.notices) or "none"), *(("missing", one) for one in found.missing),
            ],
        )  # fmt: skip
        output.say("\nPaste into the page, with the secret of its browser key:")
        print(found.tag)
    if found.missing:
        raise typer.Exit(1)


async def _look(house: "House") -> Snippet:
    from audit.access.principal import Scope
    from channels.web.script import SNIPPET
    from channels.web.standing import WEB
    from consent.visitors import published
    from orchestration.decision.errors import NoCatalogue

    now = house.kernel.clock.now()
    keys = [one for one in await house.access.keys() if Scope.BROWSER in one.scopes and one.alive(now)]
    try:
        catalogue = (await house.decisions.shelf.current()).catalogue
        placements = [one for one in catalogue.placements if WEB in one.channels]
    except NoCatalogue:
        placements = []
    async with house.kernel.db.reading() as conn:
        notices = await published(conn)
    wanted = {one.purpose_on(WEB) for one in placements}
    missing = []
    if not placements:
        missing.append("a placement on the web: candor import catalogue FILE")
    if not keys:
        missing.append(
            "a key for the page: candor keys create --scope browser --source SITE --collect-under marketing.web --origin ORIGIN"
        )
    if wanted and not any(wanted & one.listed for one in notices):
        missing.append(f"words for the question: candor consent notice VERSION --text TEXT --lists {min(wanted)}")
    base = house.kernel.settings.base_url.rstrip("/")
    return Snippet(
        url=f"{base}{SNIPPET.path}",
        integrity=SNIPPET.integrity,
        bytes=SNIPPET.gzipped,
        tag=SNIPPET.tag(base, "KEY", notice=notices[-1].version if notices else "VERSION"),
        placements=[one.name for one in placements],
        origins=sorted({one.origin for one in keys if one.origin}),
        notices=[one.version for one in notices],
        missing=missing,
    )
