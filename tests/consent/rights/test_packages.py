"""Answers to requests to know: what is in them, what is left out, and who can open them (consent.D4, D5, D6, D8)."""

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from consent.errors import CheckNeeded, HolderMissing
from consent.lifecycle import State
from consent.rights.bundle import faults
from consent.rights.checks import Method, recognises
from consent.rights.package import Package
from consent.rights.parcels import MOST_TRIES
from identity.clusters import Clusters
from identity.identifiers import Identifier
from identity.linkage import Edges
from identity.records import NewRecord
from kernel.errors import Unavailable
from kernel.parcel import ParcelClosed, unseal
from tests.consent.conftest import House

pytestmark = pytest.mark.anyio
SCHEMA = Path("docs/compliance/access-package.schema.json")


async def know(house: House, who: str, right: str = "access", **more: object):
    request = await house.rights.open(right, who, actor="person", check=Method.LOGIN, **more)  # type: ignore[arg-type]
    return await house.rights.run(request.id, actor="staff:a")


def opened(outcome) -> dict[str, bytes]:
    bundle = unseal(outcome.handed.parcel, outcome.handed.code, outcome.handed.id)
    assert faults(bundle) == []
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def joined(house: House, weight: float) -> None:
    """Everybody becomes one person, on a link of this weight."""
    async with house.kernel.db.transaction() as conn:
        found = await (await conn.execute("SELECT record_id FROM identity.records ORDER BY 1")).fetchall()
        records = [row["record_id"] for row in found]
        edges = Edges(np.array([0]), np.array([1]), np.array([weight]))
        await house.identity.publish(conn, Clusters(np.zeros(len(records), dtype=np.int64), ()), records, edges)


async def test_a_package_says_what_why_from_where_for_whom_how_long_and_follows_its_schema(house: House) -> None:
    person, _, email = await house.person("ada@example.org")
    await house.record(house.grant(email))
    outcome = await know(house, person)
    files = opened(outcome)
    told = json.loads(files["access.json"])
    jsonschema.validate(told, json.loads(SCHEMA.read_text()))
    assert json.loads(SCHEMA.read_text()) == Package.model_json_schema()
    assert told["sources"][0] | {"first": 0, "last": 0} == {
        "source": "shop", "purpose": "service", "basis": "contract", "also_for": [], "records": 1, "events": 0, "first": 0, "last": 0,
    }  # fmt: skip
    uses = {one["purpose"]: one for one in told["purposes"]}
    assert uses["marketing.email"]["answer"] == "granted"
    assert uses["marketing.personalize"]["decides_by_machine"]
    assert any(one["kind"] == "source_records" for one in told["retention"])
    assert told["consents"][0]["notice"]["version"] == "v3"
    assert "ada@example.org" in files["index.html"].decode()
    assert b"<script" not in files["index.html"]
    assert outcome.request.response == "in full"


async def test_the_page_of_a_package_is_in_her_language(house: House) -> None:
    new = NewRecord(
        source="shop", source_key="1", identifiers=(Identifier("email", "ada@example.org"),), purpose="service",
        traits={"first_name": "Ada", "locale": "de_CH"}, kinds={"first_name": "first_name"},
        observed_at=house.kernel.clock.now(), basis="contract",
    )  # fmt: skip
    async with house.kernel.db.transaction() as conn:
        await house.identity.add_records(conn, [new])
    page = opened(await know(house, "email:ada@example.org"))["index.html"].decode()
    assert '<html lang="de">' in page
    for words in ("Was wir über Sie gespeichert haben", "Rechtsgrundlage", "sich bei einer Aufsichtsbehörde zu beschweren", "abgeschlossene Anfragen"):  # fmt: skip
        assert words in page
    assert "What we" not in page


async def test_categories_show_kinds_and_no_single_piece(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access:categories", person, actor="person", check=Method.CONTACT_LINK)
    files = opened(await house.rights.run(request.id, actor="staff:a"))
    assert json.loads(files["access.json"])["categories"]["identity"] == {"records": 1, "judgements": 0}
    assert b"ada@example.org" not in files["access.json"] + files["index.html"]


async def test_what_may_be_somebody_elses_is_named_and_not_shown(house: House) -> None:
    """A false merge: Ben's record was joined to Ada on a weak link."""
    await house.person("ada@example.org", "1")
    _, _, bens = await house.person("ben@example.org", "2")
    await house.record(house.grant(bens))
    await joined(house, 1.0)
    outcome = await know(house, "email:ada@example.org")
    told = b"".join(opened(outcome).values()).decode()
    assert "ada@example.org" in told
    for his in ("ben@example.org", "Name2", bens):
        assert his not in told
    assert outcome.package is not None
    found = {(one.what, one.count, one.sure) for one in outcome.package.possible_not_verified}
    assert found == {("record", 1, 0.667), ("consent", 1, None)}
    assert outcome.request.response == "in part"


async def test_what_is_surely_hers_is_shown(house: House) -> None:
    await house.person("ada@example.org", "1")
    await house.person("ada.b@example.org", "2")
    await joined(house, 12.0)
    outcome = await know(house, "email:ada@example.org")
    assert "ada.b@example.org" in b"".join(opened(outcome).values()).decode()


async def test_a_room_that_does_not_answer_is_reported_and_the_request_stays_open(house: House) -> None:
    class Down:
        name = "events"
        up = False

        async def export(self, conn, person):
            if not self.up:
                raise Unavailable("expected an archive, got none", code="archive_down", remedy="Wait.")
            return {"events": []}

        async def erase(self, conn, person) -> int:
            return 0

    down = Down()
    house.rights.register(down)
    person, _, _ = await house.person("ada@example.org")
    outcome = await know(house, person)
    assert outcome.package is not None
    assert [(one.room, one.because) for one in outcome.package.unreachable] == [("events", "archive_down")]
    assert outcome.request.state is State.IN_PROGRESS
    down.up = True
    again = await house.rights.run(outcome.request.id, actor="staff:a")
    assert again.request.state is State.FULFILLED
    assert again.package is not None
    assert again.package.request.complete


async def test_a_room_with_people_that_nobody_can_ask_stops_the_answer(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    house.rights.all_registered()
    with pytest.raises(HolderMissing, match="events"):
        await know(house, person)


async def test_a_link_opens_with_its_code_until_its_days_are_over(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    outcome = await know(house, person)
    assert outcome.handed is not None
    token, code = outcome.handed.link.rsplit("/", 1)[1], outcome.handed.code
    parcels = house.rights.parcels
    assert (await parcels.open(token, "wrong")).left == MOST_TRIES - 1
    assert (await parcels.open(token, code.lower().replace("-", " "))).bundle is not None
    assert not await parcels.stands("v1.x.y.z")
    assert (await parcels.open("v1.x.y.z", code)).bundle is None
    house.kernel.clock.advance(timedelta(days=15))
    assert not await parcels.stands(token)
    assert await parcels.tidy() == 1


async def test_the_days_of_a_package_hold_whatever_a_link_says(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    handed = (await know(house, person)).handed
    assert handed is not None
    longer = house.kernel.tokens.issue("package", handed.id, timedelta(days=90))
    assert await house.rights.parcels.stands(longer)
    house.kernel.clock.advance(timedelta(days=15))
    assert not await house.rights.parcels.stands(longer)
    assert (await house.rights.parcels.open(longer, handed.code)).bundle is None


async def test_an_erasure_takes_the_package_along_and_one_link_opens_one_package(house: House) -> None:
    ada, _, _ = await house.person("ada@example.org", "1")
    ben, _, _ = await house.person("ben@example.org", "2")
    (one, other) = [(await know(house, who)).handed for who in (ada, ben)]
    assert one is not None
    assert other is not None
    tokens = [handed.link.rsplit("/", 1)[1] for handed in (one, other)]
    assert (await house.rights.parcels.open(tokens[1], one.code)).bundle is None  # her code at his link
    assert (await house.rights.parcels.open(tokens[0], one.code)).bundle is not None
    request = await house.rights.open("erasure", ada, actor="person")
    await house.rights.approve(request.id, actor="staff:b")
    await house.rights.run(request.id, actor="staff:a")
    assert not await house.rights.parcels.stands(tokens[0])
    assert (await house.rights.parcels.open(tokens[0], one.code)).bundle is None
    assert await house.rights.parcels.stands(tokens[1])


async def test_the_tenth_wrong_code_destroys_the_package(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    outcome = await know(house, person)
    assert outcome.handed is not None
    token = outcome.handed.link.rsplit("/", 1)[1]
    left = [(await house.rights.parcels.open(token, "wrong")).left for _ in range(MOST_TRIES)]
    assert left == list(range(MOST_TRIES - 1, -1, -1))
    assert (await house.rights.parcels.open(token, outcome.handed.code)).bundle is None
    with pytest.raises(ParcelClosed):
        unseal(outcome.handed.parcel, outcome.handed.code, "pkg_of_somebody_else")


async def test_a_check_is_as_strong_as_the_harm_and_keeps_no_evidence(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access", person, actor="person", check=Method.CONTACT_LINK)
    with pytest.raises(CheckNeeded, match="strong"):
        await house.rights.run(request.id, actor="staff:a")
    weak = await house.rights.check(request.id, Method.POINTS, actor="staff:a", points=["email:ada@example.org", "first_name:Eve"])  # fmt: skip
    assert (weak.state, weak.reason) == (State.IN_PROGRESS, "need_user_verification")
    scan = b"CANARY-a-scan-of-an-identity-card"
    done = await house.rights.check(request.id, Method.DOCUMENT, actor="staff:a", evidence=scan)
    assert (done.state, done.reason) == (State.IN_PROGRESS, None)
    assert done.verdict is not None
    assert recognises(done.verdict, scan)
    assert not recognises(done.verdict, scan + b"!")
    assert b"CANARY" not in repr(done).encode()
    assert (await house.rights.run(request.id, actor="staff:a")).request.state is State.FULFILLED


async def test_two_points_that_match_are_enough_for_categories(house: House) -> None:
    person, _, _ = await house.person("ada@example.org")
    request = await house.rights.open("access_categories", person, actor="staff:a")
    once = await house.rights.check(request.id, Method.POINTS, actor="staff:a", points=["email:ada@example.org"] * 2)
    assert once.verdict is not None
    assert not once.verdict.passed
    both = await house.rights.check(request.id, Method.POINTS, actor="staff:a", points=["email:ADA@example.org", "first_name:name1"])  # fmt: skip
    assert both.verdict is not None
    assert both.verdict.passed
    assert (await house.rights.run(request.id, actor="staff:a")).request.state is State.FULFILLED
