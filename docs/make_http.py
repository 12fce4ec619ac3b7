"""Write docs/http.md: every route of the HTTP API with who may call it and what it is for. `make openapi` runs it.

    python docs/make_http.py [--out FILE]
"""

import argparse
from pathlib import Path

from orchestration.service.app import description

HEAD = """# The HTTP API

Written by `make openapi` out of the routes themselves; a test compares. The same with examples, schemas and problems: http://127.0.0.1:8460/docs/api while
`candor up` runs, and as a file `candor openapi --out openapi.json`.

- A key goes into the header: `Authorization: Bearer KEY`, or Basic with the key as user name. `candor keys create --scope SCOPE` makes one; any one of the scopes in
  the table is enough. A dash: no key is needed, because the token in the address or the signature is the right, or because everybody may read it.
- A "no" is an answer (200 with `withheld` and a reason). Accidents are RFC 9457 problems with a stable `code`, a `detail` that says what to do, and a `request_id`.
- `operationId`s, paths and codes are contracts: things are added, not renamed.
"""


def text() -> str:
    document = description()
    rows: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            scopes = sorted({name for one in operation.get("security", ()) for held in one.values() for name in held})
            rows[operation["tags"][0]].append(
                f"| `{method.upper()} {path}` | {', '.join(scopes) or '-'} | {operation['summary']} |"
            )
    parts = [HEAD]
    for tag in document["tags"]:
        if rows[tag["name"]]:
            lines = "\n".join(rows[tag["name"]])
            parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n\n| route | scope | what it does |\n|---|---|---|\n{lines}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--out", type=Path, default=Path(__file__).with_name("http.md"))
    options.parse_args().out.write_text(text(), encoding="utf-8")
