"""Times an item feed on this machine: generate, import, count, load, and decide with many arms.

    python examples/items/measure.py --items 1300000 --people 500

Everything is made up and lives in a folder of its own that is removed at the end. Figures are printed, not judged.
"""

import argparse
import asyncio
import json
import random
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from consent.acts import NewAct, Notice
from events import mapping
from events.log import CollectContext, Source
from identity.identifiers import Identifier
from identity.records import NewRecord
from kernel.ids import PersonId
from orchestration.decision.engine import decide
from orchestration.decision.offering import offering
from orchestration.decision.request import DecisionRequest
from orchestration.settings import load
from orchestration.wiring import House, open_house

KINDS = 200
MAP = """
source: made_up
what: catalogue
properties: {item_id: sku, title: name, price: price, currency: {constant: EUR}, category: kind, rating: stars, stock: left,
             region: sold_in, brand: maker, url: link, image: picture, locale: language, content_rating: age}
"""
CATALOGUE = """
contents:
  - id: cards
    variants:
      - {id: card, label: Card, channels: [web], body: "{{ title }} for {{ price }}", action: {label: Look, url: "{{ link }}"},
         slots: {title: {item: title}, price: {item: price}, link: {item: url}}}
placements:
  - name: home
    purpose: marketing.web
    channels: [web]
    sources:
      - {source: category, template: card, limit: 20}
      - {source: similar, template: card, limit: 10}
      - {source: bundles, template: card, limit: 5}
      - {source: popular, template: card, limit: 15}
      - {source: trending, template: card, limit: 15}
"""
NOTICE = Notice.of("May we?", version="v1", language="en")


def generate(file: Path, count: int, *, seed: int, cheaper: bool = False) -> None:
    """A feed of `count` items as Parquet; `cheaper`: the same items, a twentieth of them at another price or stock."""
    draw = random.Random(seed)  # noqa: S311 - made-up figures, not secrets
    with pq.ParquetWriter(file, _SCHEMA) as writer:
        for start in range(0, count, 100_000):
            rows = []
            for number in range(start, min(start + 100_000, count)):
                moved = cheaper and number % 20 == 0
                rows.append({
                    "sku": f"sku-{number}", "name": f"Thing number {number}", "price": f"{5 + number % 300 - 0.5 * moved:.2f}",
                    "kind": f"kind_{number % KINDS}", "stars": f"{1 + draw.random() * 4:.1f}", "left": 7 if moved else number % 40 + 1,
                    "sold_in": "by|be" if number % 11 == 0 else None, "maker": f"maker {number % 900}",
                    "link": f"https://shop.example/things/{number}", "picture": f"https://shop.example/things/{number}.jpg",
                    "language": None, "age": "all",
                })  # fmt: skip
            writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))


_SCHEMA = pa.schema([
    ("sku", pa.string()), ("name", pa.string()), ("price", pa.string()), ("kind", pa.string()), ("stars", pa.string()),
    ("left", pa.int64()), ("sold_in", pa.string()), ("maker", pa.string()), ("link", pa.string()), ("picture", pa.string()),
    ("language", pa.string()), ("age", pa.string()),
])  # fmt: skip


async def visitors(house: House, count: int, items: int) -> list[PersonId]:
    """People who permit everything and looked at a dozen things each, some of them often looked at."""
    now = house.kernel.clock.now()
    contacts = [Identifier("login_id", f"u{n}") for n in range(count)]
    async with house.kernel.db.transaction() as conn:
        await house.events.register_source(conn, Source("web", "marketing.personalize", "consent"))
        await house.identity.add_records(conn, [
            NewRecord(source="shop", source_key=one.value, identifiers=(one,), traits={}, kinds={}, observed_at=now - timedelta(days=30),
                      purpose="service", basis="contract", also_for=("marketing.personalize",))
            for one in contacts
        ])  # fmt: skip
        ids = await house.identity.register_identifiers(conn, contacts)
        await house.consent.record(conn, [
            NewAct(subject=one, purpose=purpose, status="granted", channel=None, basis="consent", jurisdiction="gdpr", notice=NOTICE,
                   mechanism="form", actor="web", given_at=now - timedelta(days=20))
            for one in ids for purpose in ("marketing.web", "marketing.personalize")
        ])  # fmt: skip
    draw = random.Random(2)  # noqa: S311
    popular = min(items, 2_000)
    for one in contacts:
        calls: list[dict[str, object]] = []
        for place in range(12):
            number = int(popular * draw.random() ** 3)
            about = {"product_id": f"sku-{number}", "category": f"kind_{number % KINDS}"}
            name = "Product Viewed"
            at = (now - timedelta(hours=place + 1)).isoformat()
            calls.append({"type": "track", "event": name, "userId": one.value, "properties": about, "timestamp": at})
        basket = [{"product_id": f"sku-{int(popular * draw.random() ** 3)}"} for _ in range(3)]
        calls.append({"type": "track", "event": "Order Completed", "userId": one.value, "properties": {"products": basket},
                      "timestamp": (now - timedelta(hours=1)).isoformat()})  # fmt: skip
        await house.events.collect(json.loads(json.dumps(calls)), CollectContext("web"))
    async with house.kernel.db.reading() as conn:
        return [
            one.person for one in await house.identity.resolve(conn, [[c] for c in contacts]) if one.person is not None
        ]


def share(times: list[float], part: float) -> float:
    """The time below which this part of them lies, in milliseconds."""
    return sorted(times)[min(len(times) - 1, int(len(times) * part))] * 1000


async def timed(house: House, file: Path) -> tuple[float, str]:
    """Import a feed; the seconds, and what became of the rows."""
    begin = time.perf_counter()
    report = await house.importer.run(file, mapping.parse(MAP))
    return (
        time.perf_counter() - begin,
        f"{report.accepted:,} accepted, {report.duplicates:,} as they were, {report.rejected:,} refused",
    )


async def measure(house: House, folder: Path, items: int, people: int, decisions: int) -> None:
    """Every figure, one line each."""
    async with house.kernel.db.transaction() as conn:
        await house.decisions.publish_catalogue(conn, CATALOGUE)
    for name, cheaper in (("items", False), ("changes", True)):
        file = folder / f"{name}.parquet"
        generate(file, items, seed=1, cheaper=cheaper)
        seconds, told = await timed(house, file)
        print(f"import {name:8} {items:>10,} rows {seconds:8.1f} s {items / seconds:>10,.0f} rows/s   {told}")
    who = await visitors(house, people, items)
    begin = time.perf_counter()
    async with house.kernel.db.transaction() as conn:
        done = await house.decisions.refresh_sources(conn, datetime.now(UTC))
    print(f"count and publish {time.perf_counter() - begin:15.1f} s   {done}")
    house.decisions.shelf.forget()
    begin = time.perf_counter()
    shelved = await house.decisions.shelf.current()
    print(
        f"load into memory {(time.perf_counter() - begin) * 1000:15.0f} ms   {len(shelved.assortment.items):,} items, {len(shelved.assortment.lists):,} lists"
    )
    placement = shelved.catalogue.placement("home")
    pure: list[float] = []
    whole: list[float] = []
    count: list[int] = []
    for place in range(decisions):
        person = who[place % len(who)]
        hot = await house.profiles.hot(person, "marketing.personalize")
        begin = time.perf_counter()
        found, _ = offering(
            shelved,
            placement,
            hot,
            house.profiles.features,
            context={},
            channels=None,
            settings=house.decisions.settings,
        )
        pure.append(time.perf_counter() - begin)
        count.append(len(found))
    for place in range(decisions):
        begin = time.perf_counter()
        await house.decisions.decide(DecisionRequest(placement="home", person=who[place % len(who)]))
        whole.append(time.perf_counter() - begin)
    gathered = await house.decisions._gatherer.gather(DecisionRequest(placement="home", person=who[0]), who[0])  # noqa: SLF001 - measured alone
    engine: list[float] = []
    for place in range(decisions):
        begin = time.perf_counter()
        decide(gathered.inputs, str(place))
        engine.append(time.perf_counter() - begin)
    print(f"arms of a decision: {min(count)} to {max(count)}")
    for name, times in (("bringing forward", pure), ("engine", engine), ("decide, commit included", whole)):
        print(f"{name:24} p50 {share(times, 0.5):7.2f} ms   p99 {share(times, 0.99):7.2f} ms")


def main() -> None:
    """Read the arguments, open a house in a folder of its own, measure, clean up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_300_000)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--decisions", type=int, default=1_000)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="candor-items-", dir="/var/tmp"))
    folder.chmod(0o711)  # the database server has an account of its own

    async def run() -> None:
        settings = load(kernel={"data_dir": folder / "data", "log_level": "warning"})
        async with open_house(settings) as house:
            await measure(house, folder, asked.items, asked.people, asked.decisions)

    try:
        asyncio.run(run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
