"""What a person takes along is imported elsewhere as it is, and says the same there (consent.D9)."""

import io
import zipfile
from contextlib import asynccontextmanager

import pytest
import redis

from consent.errors import HolderMissing
from consent.rights.bundle import faults
from consent.rights.checks import Method
from events import mapping
from identity.identifiers import Identifier
from kernel.clock import FrozenClock
from kernel.kernel import open_at
from kernel.parcel import unseal
from orchestration.settings import Settings
from orchestration.wiring import build
from tests.orchestration.pipeline.conftest import NOW

EMAIL = "ada@example.org"
ROOMS = {"identity", "consent", "events", "profiles", "channels", "explain", "learning", "decision", "triggers"}
pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(kernel_settings, addresses):
    kernel_settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with open_at(kernel_settings, addresses, clock=FrozenClock(NOW)) as kernel:
        house = build(Settings(kernel=kernel_settings), kernel)
        yield house
        await house.events.close()
        await house.decisions.close()


async def told(house, email: str):
    """What is held of somebody: her records, what happened, what she said; without ids and times of storing."""
    async with house.kernel.db.reading() as conn:
        (found,) = await house.identity.resolve(conn, [[Identifier("email", email)]])
        records = (await house.identity.records(conn, [found.person]))[found.person]
        events = (await house.events.of_people(conn, [found.person]))[found.person]
        history = await house.consent.history(conn, found.person)
    return (
        sorted(
            (r.source, r.source_key, sorted((i.kind, i.value) for i in r.identifiers), dict(r.traits), dict(r.kinds), r.observed_at,
             r.purpose, r.basis, r.also_for)
            for r in records if r.source == "shop"
        ),
        [(e.name, e.event_time, e.source, e.purpose, e.basis, e.properties) for e in events],
        [(a.act.purpose, a.act.status, a.act.given_at, a.act.notice.version) for a in history],
    )  # fmt: skip


async def brought(house, folder) -> None:
    """Two people with what they did and said, by the importer."""
    shared = "source: shop\ncollect_under: {purpose: service, basis: contract, also_for: [marketing.personalize]}\n"
    for name, text, told_so in (
        ("people", "id,mail,first,age,city_code,since\n7,ada@example.org,Ada,40,0151,2026-01-02T03:04:05Z\n8,bob@example.org,Bob,50,0999,2026-01-02T03:04:05Z\n",
         ("what: people\nsubject: {kind: customer_id, column: id}\ntimestamp: since\ncolumns: {id: customer_id, mail: email, first: first_name,"
         " age: {kind: category, trait: age, type: number}, city_code: {kind: text, trait: city_code}}\n")),
        ("events", "id,at,order,revenue,n\n7,2026-02-01T10:00:00Z,0042,19.5,2\n7,2026-02-02T10:00:00Z,x-1,3,1\n8,2026-02-01T10:00:00Z,0043,7,1\n",
         ("what: events\nsubject: {kind: customer_id, column: id}\nevent: {constant: Order Completed}\ntimestamp: at\n"
         "properties: {order: {column: order, type: text}, revenue: revenue, units: n}\n")),
        ("consents", "mail,since\nada@example.org,2026-01-05T00:00:00Z\n",
         "what: consents\nsubject: {kind: email, column: mail}\nconsent: {purpose: marketing.email, status: granted, mechanism: import, notice: v3, given_at: since}\n"),
    ):  # fmt: skip
        file = folder / f"{name}.csv"
        file.write_text(text)
        given = mapping.parse((shared if name != "consents" else "source: shop\n") + told_so)
        report = await house.importer.run(file, given)
        assert report.rejected == 0, name


async def test_the_bundle_goes_through_the_importer_and_says_the_same(engines, kernel_settings, addresses, tmp_path):
    async with opened(kernel_settings, addresses) as house:
        await brought(house, tmp_path)
        request = await house.rights.open("portability", f"email:{EMAIL}", actor="person", check=Method.LOGIN)
        outcome = await house.rights.run(request.id, actor="staff:a")
        handed = outcome.handed
        bundle = unseal(handed.parcel, handed.code, handed.id)
        before = await told(house, EMAIL)
        # Every room was asked, and what was planted in them came back.
        assert set(outcome.package.holdings) == ROOMS
        assert outcome.package.unreachable == ()
        found = outcome.package.categories
        assert (found["identity"]["records"], found["events"]["events"], found["consent"]["acts"]) == (
            2,
            2,
            1,
        )  # her row, and what the events were told under
        del house.rights._registered["events"]  # an edge of the walk is gone
        again = await house.rights.open("access", f"email:{EMAIL}", actor="person", check=Method.LOGIN)
        with pytest.raises(HolderMissing, match="events"):
            await house.rights.run(again.id, actor="staff:a")
    assert faults(bundle) == []
    folder = tmp_path / "along"
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        archive.extractall(folder)
    elsewhere = kernel_settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    with engines.clone() as other:
        with redis.Redis.from_url(other.redis) as client:
            client.flushdb()
        async with opened(elsewhere, other) as house:
            for file in sorted((folder / "portable").glob("*.jsonl")):
                report = await house.importer.run(file, mapping.load(file.with_suffix(".map.yaml")))
                assert (report.rejected, report.filtered) == (0, 0), file.name
            after = await told(house, EMAIL)
            async with house.kernel.db.reading() as conn:
                assert len(await house.identity.people(conn)) == 1
    assert after[0] == before[0]
    assert after[1] == before[1]
    assert sorted(after[2]) == sorted(before[2])
    altered = bytearray(bundle)
    at = bytes(altered).find(b"access.json")
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        names = {name: archive.read(name) for name in archive.namelist()}
    assert at > 0
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, words in names.items():
            archive.writestr(name, words + b" " if name == "access.json" else words)
    assert faults(out.getvalue()) == ["access.json was altered"]
