"""Visitors come to the shop's page: each logs in, the page asks what stands in its one place, and tells when it was seen. All of it over HTTP.

Usage: python visit.py VISITORS.csv PLACEMENT COUNT. A browser key of the page's origin reads the placement for the visitor's own anonymous id and may report nothing else;
whose id it is was told by the shop's server when she logged in. Who did not agree sees the page's own words, and nothing is kept of it.
"""

import asyncio
import csv
import json
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import httpx

from audit.access.principal import Scope
from events.log import Source
from orchestration.service.cli.runtime import logging
from orchestration.service.server import serve
from orchestration.settings import load
from orchestration.wiring import open_house

ORIGIN = "http://127.0.0.1:8470"
AT_ONCE = 8


async def main(names: list[str], placement: str) -> dict[str, object]:
    """Serve, let them come, and count what they saw."""
    settings = load(kernel={"port": 0})
    logging(settings, quiet="error")
    async with open_house(settings) as house:
        async with house.kernel.db.transaction() as conn:
            await house.events.register_source(
                conn, Source("ecom_page", "marketing.web", "consent", ("marketing.personalize",))
            )
        server = await house.access.create_key([Scope.COLLECT], actor="example", source="ecom_contacts")
        browser = await house.access.create_key([Scope.BROWSER], actor="example", source="ecom_page", origin=ORIGIN)
        listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(house, stop=stop, told=listening.set_result))
        async with httpx.AsyncClient(base_url=await listening, timeout=60) as client:
            turns = asyncio.Semaphore(AT_ONCE)

            async def one(name: str) -> dict[str, object]:
                async with turns:
                    return await visit(client, name, placement, server.secret, browser.secret)

            begun = time.perf_counter()
            told = await asyncio.gather(*map(one, names))
            seconds = time.perf_counter() - begun
        stop.set()
        await serving
    return {
        "placement": placement, "visits": len(told), "seconds": round(seconds, 1),
        "shown": Counter(one["variant"] for one in told if not one["default"]),
        "withheld": Counter(one["withheld"] for one in told if one["default"]),
        "words fetched": sum("words" in one for one in told),
        "seen": Counter(one["seen"] for one in told if "seen" in one),
    }  # fmt: skip


async def visit(client: httpx.AsyncClient, name: str, placement: str, server: str, browser: str) -> dict[str, object]:
    """One visitor: log in, ask, read the words, tell that they were seen."""
    anonymous = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ORIGIN}/{name}"))
    known = {"userId": name, "anonymousId": anonymous, "messageId": f"login-{name}"}
    (await client.post("/v1/identify", json=known, headers={"Authorization": f"Bearer {server}"})).raise_for_status()
    headers = {"Authorization": f"Bearer {browser}", "Origin": ORIGIN, "Candor-Visitor": anonymous}
    answer = await client.get(f"/v1/placements/{placement}", headers=headers)
    answer.raise_for_status()
    told: dict[str, object] = answer.json()
    if not told["default"]:
        words = await client.get(httpx.URL(str(told["content_url"])).path)  # public: no key, any cache may hold it
        words.raise_for_status()
        told["words"] = words.json()
        seen = {
            "anonymousId": anonymous, "event": "Content Viewed", "messageId": f"seen-{told['decision_id']}",
            "properties": {"decision_id": told["decision_id"], "placement": placement, "variant": told["variant"]},
        }  # fmt: skip
        noted = await client.post("/v1/track", json=seen, headers=headers)
        noted.raise_for_status()
        told["seen"] = noted.json()["results"][0]["status"]
    return told


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="utf-8", newline="") as table:
        visitors = [row["user_id"] for row in csv.DictReader(table)]
    print(json.dumps(asyncio.run(main(visitors[: int(sys.argv[3])], sys.argv[2]))))
