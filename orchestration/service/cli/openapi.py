"""`candor openapi`: the description of the HTTP API as a file. Stand-alone: it starts no store and needs no configuration."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration.service.cli import output
from orchestration.service.cli.runtime import Commands


def register(app: Commands) -> None:
    """Add the command to the top level."""
    app.add("openapi")(openapi)


def openapi(
    out: Annotated[Path | None, typer.Option("--out", help="File to write; printed when left out.")] = None,
) -> None:
    """Describe the HTTP API as OpenAPI 3.1.

    Every route with its scopes, examples and problems. Starts no store and needs no configuration.
    """
    from orchestration.service.app import description

    text = json.dumps(description(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if out is None:
        sys.stdout.write(text)
        return
    out.write_text(text, encoding="utf-8")
    output.say(f"described in {out}")
