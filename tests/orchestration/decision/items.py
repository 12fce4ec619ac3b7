"""A shop with a feed: features that tell a region, a catalogue with sources, people who look at things."""

import json
from datetime import timedelta

from events import mapping
from events.importer import Importer
from events.log import CollectContext, Source
from identity.identifiers import Identifier
from identity.records import NewRecord
from orchestration.decision.service import Decisions
from orchestration.decision.settings import DecisionSettings
from profiles.service import Profiles
from profiles.settings import ProfilesSettings
from tests.orchestration.conftest import NOTICE, NOW, Shop
from tests.support.sure import SURE

FEATURES = """
version: "t2"
features:
  - {name: age, trait: age, take: numeric}
  - {name: home_region, trait: state, take: category, values: [by, be]}
"""

CATALOGUE = """
controller: Blue Shop
audience: {region: home_region}
regions: {by: Bavaria}
contents:
  - id: cards
    variants:
      - id: card
        label: Card
        channels: [web, email]
        subject: "{{ title }}"
        body: "{{ title }} for {{ price }}, {{ first_name }}"
        action: {label: Look, url: "{{ link }}"}
        slots: {title: {item: title}, price: {item: price}, link: {item: url}, first_name: {trait: first_name, fallback: you}}
  - id: fixed
    category: service
    variants:
      - {id: hello, label: Hello, channels: [web, email], subject: Hello, body: Hello}
      - {id: hero, label: Hero, channels: [web], body: "{{ line }}", slots: {line: {options: {new: New, warm: Warm}}}}
bundles: [{id: set, primary: s1, items: [h1], discount: 0.1}]
placements:
  - name: home
    purpose: marketing.web
    channels: [web]
    variants: [hello, hero]
    items: {content_ratings: [all], currency: EUR, max_price: 100}
    sources:
      - {source: bundles, template: card, limit: 3}
      - {source: category, template: card, limit: 5}
      - {source: similar, template: card, limit: 5}
      - {source: popular, template: card, limit: 10}
      - {source: trending, template: card, limit: 10}
  - {name: mail, purpose: marketing.email, channels: [email], sources: [{source: popular, template: card, limit: 5}]}
  - {name: fixed, purpose: marketing.web, channels: [web], variants: [hello]}
rewards: {Order Completed: 1.0}
"""

MAP = """
source: feed
what: catalogue
properties: {item_id: sku, title: name, price: price, currency: {constant: EUR}, category: kind, region: where, stock: left, rating: stars,
             content_rating: age, url: link, locale: language}
"""

ROWS = [
    {"sku": "s1", "name": "Red shoe", "price": "20", "kind": "shoes", "stars": "4.5"},
    {"sku": "s2", "name": "Blue shoe", "price": "25", "kind": "shoes", "stars": "4", "left": 3},
    {"sku": "s3", "name": "Dear shoe", "price": "250", "kind": "shoes"},
    {"sku": "h1", "name": "Straw hat", "price": "15", "kind": "hats", "where": "by|be"},
    {"sku": "h2", "name": "Sold hat", "price": "15", "kind": "hats", "left": 0},
    {"sku": "h3", "name": "Northern hat", "price": "15", "kind": "hats", "where": "be"},
    {"sku": "x1", "name": "Grown-up thing", "price": "15", "kind": "hats", "age": "18"},
]


def feed(rows):
    """The rows as a file has them: an address each, for all ages unless they say otherwise."""
    told = [{"age": "all", "link": f"https://shop.example/{row.get('sku', '')}", **row} for row in rows]
    return "".join(json.dumps(row) + "\n" for row in told)


async def opened(shop: Shop, tmp_path, **changed) -> Shop:
    """The same shop with these features and few people needed for a list."""
    features = tmp_path / "features2.yaml"
    features.write_text(FEATURES)
    await shop.decisions.close()
    shop.profiles = Profiles(
        shop.kernel, shop.identity, shop.consent, shop.events, ProfilesSettings(features_file=features)
    )
    shop.events.on_events_stored.append(shop.profiles.records_changed)
    limits = {"catalogue_seconds": 0, "least_people": 1} | changed
    shop.decisions = Decisions(
        shop.kernel,
        shop.audit,
        shop.identity,
        shop.consent,
        shop.profiles,
        shop.channels,
        shop.learning,
        DecisionSettings(**{**SURE, **limits}),
    )
    async with shop.kernel.db.transaction() as conn:
        await shop.events.register_source(conn, Source("web", "marketing.personalize", "consent"))
    await shop.publish(CATALOGUE)
    return shop


async def imported(shop: Shop, tmp_path, rows, name="feed.jsonl", text=MAP):
    """Import rows as a feed."""
    file = tmp_path / name
    file.write_text(feed(rows))
    importer = Importer(shop.kernel, shop.audit, {"catalogue": shop.decisions.item_rows}, batch=3)
    return await importer.run(file, mapping.parse(text))


async def visitor(
    shop: Shop,
    name: str,
    *,
    state: str | None = None,
    agree=("marketing.web", "marketing.email", "marketing.personalize"),
):
    """Somebody who can be shown things on the web and written to."""
    contact = Identifier("email", f"{name}@example.org")
    new = NewRecord(
        source="shop", source_key=name, identifiers=(contact, Identifier("login_id", name)),
        traits={"first_name": name.title(), **({"state": state} if state else {})}, kinds={}, observed_at=NOW - timedelta(days=30),
        purpose="marketing.personalize", basis="consent", also_for=(),
    )  # fmt: skip
    async with shop.kernel.db.transaction() as conn:
        await shop.identity.add_records(conn, [new])
        (subject,) = await shop.identity.register_identifiers(conn, [contact])
        for purpose in agree:
            await shop.consent.record(conn, [shop.act(subject, purpose, "granted")])
        shop.made[name] = (await shop.identity.resolve(conn, [[contact]]))[0].person
    return shop.made[name]


async def did(shop: Shop, person, name: str, **properties):
    """She did this a moment ago, and her browser says so at the door."""
    login = next(login for login, known in shop.made.items() if known == person)
    at = shop.clock.now() - timedelta(minutes=5)
    call = {"type": "track", "event": name, "userId": login, "properties": properties, "timestamp": at.isoformat()}
    (answer,) = await shop.events.collect([call], CollectContext("web"))
    assert answer.status == "accepted", answer


async def refresh(shop: Shop):
    """Count anew."""
    async with shop.kernel.db.transaction() as conn:
        return await shop.decisions.refresh_sources(conn, shop.clock.now())


__all__ = ["CATALOGUE", "MAP", "NOTICE", "ROWS", "did", "feed", "imported", "opened", "refresh", "visitor"]
