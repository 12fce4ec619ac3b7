"""Prism: a provider's own OpenAPI document as a server that says what is wrong with a request.

`python -m tests.support.prism [--count 200] [--json]` sends generated messages to SendGrid's mail/send document and prints the violations.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from channels.email.body import compose
from tests.support.messages import messages
from tests.support.peers import peer
from tests.support.provider import closed_port
from tests.support.shared import shared_path

VIOLATIONS = "sl-violations"


@contextmanager
def prism(document: str) -> Iterator[str]:
    """The address of a mock of ``../shared/peers/<document>``; skips the test where Prism or the document is absent."""
    program, page = peer("prism"), shared_path(f"peers/{document}")
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as said:
        command = [str(program), "mock", "-h", "127.0.0.1", "-p", str(port), "--errors", str(page)]
        running = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=Path(tempfile.gettempdir()))
        try:
            for _ in range(300):
                if running.poll() is not None or _answers(url):
                    break
                time.sleep(0.1)
            if running.poll() is not None or not _answers(url):
                said.seek(0)
                raise AssertionError(f"Prism did not start: {said.read()[-2000:]!r}")
            yield url
        finally:
            running.terminate()
            running.wait(10)


def _answers(url: str) -> bool:
    try:
        with httpx.Client(trust_env=False) as client:
            client.get(url)
    except httpx.TransportError:
        return False
    return True


async def violations(url: str, count: int, seed: int = 7) -> list[str]:
    """What Prism says against `count` generated bodies; empty when every one was answered with 202."""
    found: list[str] = []
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer SG.x"}, trust_env=False) as client:
        for what, _, how in messages(count, seed):
            answer = await client.post("/v3/mail/send", json=dict(compose(what, how)))
            if answer.status_code != 202 or VIOLATIONS in answer.headers:
                found.append(f"{answer.status_code}: {answer.headers.get(VIOLATIONS, answer.text)}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    begun = time.monotonic()
    with prism("tsg_mail_v3.json") as url:
        found = asyncio.run(violations(url, asked.count, asked.seed))
    told = {"messages": asked.count, "violations": len(found), "seconds": round(time.monotonic() - begun, 1)}
    if asked.json:
        sys.stdout.write(json.dumps({**told, "first": found[:5]}) + "\n")
    else:
        lines = [*found[:5], f"{told['messages']} generated messages, {told['violations']} violations"]
        sys.stdout.write("\n".join(lines) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
