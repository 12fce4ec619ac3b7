"""Imports on real engines: whole batches or nothing, resumable, a report beside the file, the same gate (features V11)."""

import asyncio
import csv

import pytest

from events.errors import BadMap, ImportMoved, NoHandler, SourceDiffers, UndeclaredSource
from events.handlers import handlers
from events.importer import Importer, RowResult
from events.log import FILTERED
from events.mapping import parse
from identity.identifiers import Identifier
from kernel.errors import CandorError
from tests.events.conftest import CTX
from tests.events.maps import CONSENTS, EVENTS, PEOPLE

pytestmark = pytest.mark.anyio


@pytest.fixture
def importer(rooms):
    return Importer(
        rooms.kernel, rooms.audit, handlers(rooms.kernel, rooms.events, rooms.identity, rooms.consent), batch=10
    )


@pytest.fixture
def purchases(tmp_path):
    path = tmp_path / "purchases.txt"
    rows = [f"{n % 7:05} 199701{n % 28 + 1:02} {n % 3} {n}.5" for n in range(45)]
    path.write_text("id date n price\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(
        "id,email,first,job\nu1,ada@example.org,Ada,engineer\nu2,bob@example.org,Bob,\nu3,no-address,Cyd,cook\nu4,dan@example.org\n"
    )
    return path


async def test_events_of_a_file_are_the_events_of_its_people(rooms, importer, purchases):
    seen = []
    report = await importer.run(purchases, parse(EVENTS), progress=seen.append)
    assert (report.rows, report.accepted, report.rejected, report.report) == (45, 45, 0, None)
    assert [p.rows for p in seen] == [10, 20, 30, 40, 45]
    assert seen[-1].fraction == 1.0
    history = await rooms.history("customer_id:00003")
    assert sorted(e.properties["revenue"] for e in history) == [n + 0.5 for n in range(3, 45, 7)]
    assert history == sorted(history, key=lambda e: e.event_time)
    assert {e.name for e in history} == {"Order Completed"}


async def test_running_again_is_a_no_op_and_a_longer_export_adds_only_what_is_new(rooms, importer, purchases):
    await importer.run(purchases, parse(EVENTS))
    again = await importer.run(purchases, parse(EVENTS))
    assert (again.rows, again.resumed_at) == (45, 45)
    longer = purchases.with_name("longer.txt")
    first_line = purchases.read_text().splitlines()[1]
    longer.write_text(purchases.read_text() + f"00099 19970301 1 5\n{first_line}\n")
    report = await importer.run(longer, parse(EVENTS))
    assert (report.accepted, report.duplicates) == (2, 45)  # the second copy of a row is a second purchase
    assert await rooms.count("events.events") == 47


async def test_refused_rows_are_listed_beside_the_file_without_their_words(rooms, importer, people):
    report = await importer.run(people, parse(PEOPLE))
    assert (report.rows, report.accepted, report.rejected) == (4, 2, 2)
    assert report.report == people.with_name("people.csv.errors.csv")
    with report.report.open(newline="") as raw:
        rows = list(csv.reader(raw))
    assert rows[0] == ["line", "column", "reason"]
    assert [row[:2] for row in rows[1:]] == [["4", "email"], ["5", ""]]
    assert "no-address" not in report.report.read_text()
    person = await rooms.person("email:ada@example.org")
    async with rooms.kernel.db.reading() as conn:
        (record,) = (await rooms.identity.records(conn, [person]))[person]
    assert (record.source_key, record.traits, record.also_for) == (
        "u1",
        {"first_name": "Ada", "occupation": "engineer"},
        ("marketing.email",),
    )


async def test_a_dry_run_reads_everything_and_stores_nothing(rooms, importer, people):
    report = await importer.run(people, parse(PEOPLE), dry_run=True)
    assert (report.dry_run, report.accepted, report.rejected) == (True, 2, 2)
    for table in ("identity.records", "events.sources", "events.imports"):
        assert await rooms.count(table) == 0


async def test_an_import_that_dies_goes_on_behind_the_last_whole_batch(rooms, importer, purchases):
    real = importer.handlers["events"]

    class Dies:
        batches = 0

        async def prepare(self, conn, given):
            await real.prepare(conn, given)

        async def apply(self, conn, rows):
            results = await real.apply(conn, rows)
            self.batches += 1
            if self.batches == 3:
                raise asyncio.CancelledError  # as a killed task: in the middle of a batch, before its commit
            return results

    importer.handlers["events"] = Dies()
    with pytest.raises(asyncio.CancelledError):
        await importer.run(purchases, parse(EVENTS))
    assert await rooms.count("events.events") == 20
    importer.handlers["events"] = real
    report = await importer.run(purchases, parse(EVENTS))
    assert (report.resumed_at, report.rows, report.accepted, report.duplicates) == (20, 45, 45, 0)
    assert await rooms.count("events.events") == 45


async def test_two_runs_on_one_file_never_import_a_row_twice(rooms, importer, purchases):
    answers = await asyncio.gather(*(importer.run(purchases, parse(EVENTS)) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(a, ImportMoved) or a.accepted == 45 for a in answers)
    assert any(not isinstance(a, BaseException) for a in answers)
    assert await rooms.count("events.events") == 45


async def test_people_pass_the_gate_of_their_source(rooms, importer, people):
    await rooms.say("email", "ada@example.org", "analytics", "granted")
    given = parse(PEOPLE.replace("purpose: service, basis: contract", "purpose: analytics, basis: consent"))
    report = await importer.run(people, given)
    assert (report.accepted, report.filtered) == (1, 1)
    async with rooms.kernel.db.reading() as conn:
        assert [(r[2], r[3]) for r in await rooms.events.refusals(conn)] == [(FILTERED, 1)]


async def test_consents_are_imported_and_a_garbage_string_is_a_no(rooms, importer, tmp_path):
    path = tmp_path / "consents.csv"
    path.write_text(
        "email,opted,day,tc\nada@example.org,yes,2026-01-02,\nbob@example.org,no,,\ncyd@example.org,yes,2026-01-02,%%garbage%%\n"
    )
    given = parse(CONSENTS.replace("given_at: day", "given_at: day, signal: tc, signal_kind: tcf"))
    report = await importer.run(path, given)
    assert (report.accepted, report.rejected) == (3, 0)
    await rooms.source()
    for user, email in enumerate(("ada", "bob", "cyd")):
        await rooms.events.collect(
            [{"type": "identify", "userId": f"u{user}", "traits": {"email": f"{email}@example.org"}}], CTX
        )
    answers = {}
    async with rooms.kernel.db.reading() as conn:
        for name in ("ada", "bob", "cyd"):
            person = await rooms.identity.lookup(conn, f"email:{name}@example.org")
            answers[name] = (await rooms.consent.check(conn, person, "marketing.email", "email")).permission
    assert {name: answer.answer.value for name, answer in answers.items()} == {
        "ada": "granted",
        "bob": "denied",
        "cyd": "denied",
    }


async def test_a_word_that_the_map_does_not_list_is_a_no_and_never_a_lost_row(rooms, importer, tmp_path):
    said = {"ada": "YES", "bob": "No ", "cyd": "nein", "dan": "", "eve": "granted", "fay": "true"}
    path = tmp_path / "consents.csv"
    path.write_text("email,opted,day,way\n" + "".join(f"{name}@example.org,{word},2026-01-02,web\n" for name, word in said.items()))  # fmt: skip
    report = await importer.run(path, parse(CONSENTS))
    assert (report.accepted, report.rejected) == (6, 0)
    poor = tmp_path / "poor.csv"
    poor.write_text("email,opted,day,way\ngus@example.org,no,soon,by phone\nhal@example.org,yes,2026-01-02,by phone\n")
    given = parse(CONSENTS.replace("mechanism: import", "mechanism: {column: way, values: {web: web_form}}"))
    report = await importer.run(poor, given)
    assert (report.accepted, report.rejected) == (1, 1)  # a no holds however poor; a yes must be whole
    async with rooms.kernel.db.transaction() as conn:
        contacts = [Identifier("email", f"{name}@example.org") for name in (*said, "gus")]
        ids = await rooms.identity.register_identifiers(conn, contacts)
        acts = await rooms.consent.said_of(conn, ids)
    assert [str(acts[one][0].status) for one in ids] == ["granted", "denied", *["unreadable"] * 4, "denied"]


async def test_a_consent_may_be_about_a_source_record(rooms, importer, tmp_path):
    people = tmp_path / "people.csv"
    people.write_text("id,name\nr1,Ada\nr2,Bob\n")
    await importer.run(
        people,
        parse(
            "source: wiki\nwhat: people\nsubject: {kind: record, column: id}\ncolumns: {name: full_name}\ncollect_under: {purpose: service, basis: contract}\n"
        ),
    )
    consents = tmp_path / "consents.csv"
    consents.write_text("id\nr1\nr9\n")
    text = "source: wiki_consents\nwhat: consents\nsubject: {kind: record, source: wiki, column: id}\nconsent: {purpose: marketing.email, status: granted, mechanism: import, notice: v3, given_at: {constant: '2026-01-02'}}\n"
    report = await importer.run(consents, parse(text))
    assert (report.accepted, report.rejected) == (1, 1)
    assert report.faults[0].line == 3
    async with rooms.kernel.db.reading() as conn:
        people = await rooms.identity.people(conn)
        states = await rooms.consent.states(conn, people)
        granted = [
            p for p in people if (await rooms.consent.check(conn, p, "marketing.email", "email")).permission.granted
        ]
    assert len(states) == 2
    assert len(granted) == 1


async def test_an_unknown_purpose_in_a_row_is_that_rows_fault(rooms, importer, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(
        "email,opted,day,why\na@b.org,yes,2026-01-02,marketing.telepathy\nc@d.org,yes,2026-01-02,marketing.email\n"
    )
    report = await importer.run(path, parse(CONSENTS.replace("purpose: marketing.email", "purpose: {column: why}")))
    assert (report.accepted, report.rejected) == (1, 1)


async def test_a_source_must_say_why_and_may_not_change_its_mind_in_passing(rooms, importer, people, purchases):
    with pytest.raises(UndeclaredSource) as refused:
        await importer.run(people, parse(PEOPLE.split("collect_under")[0]))
    assert "collect_under" in refused.value.remedy
    await importer.run(people, parse(PEOPLE))
    with pytest.raises(SourceDiffers):
        await importer.run(purchases, parse(EVENTS.replace("source: shop", "source: crm")))


async def test_a_map_that_does_not_fit_the_file_stores_nothing(rooms, importer, people):
    with pytest.raises(BadMap, match="did you mean email"):
        await importer.run(people, parse(PEOPLE.replace("email: email", "emial: email")))
    assert await rooms.count("identity.records") == 0


async def test_nobody_takes_rows_of_this_kind(rooms, importer, people):
    with pytest.raises(NoHandler):
        await importer.run(people, parse("source: s\nwhat: suppressions\nsubject: {kind: email, column: email}\n"))


async def test_a_handler_that_fails_leaves_nothing_of_its_batch(rooms, importer, purchases):
    class Fails:
        async def apply(self, conn, rows):
            await conn.execute("INSERT INTO events.sources VALUES ('x', 'p', 'b', '{}', 'k', now())")
            if rows[0].line > 20:
                raise CandorError("expected this, got that")
            return [RowResult(row.line, "accepted") for row in rows]

    importer.handlers["events"] = Fails()
    with pytest.raises(CandorError):
        await importer.run(purchases.rename(purchases.with_name("y.txt")), parse(EVENTS.replace("skip: 1", "skip: 25")))
    assert await rooms.count("events.sources") == 0


async def test_a_file_of_consents_tells_beforehand_who_gains_what(rooms, importer, people, tmp_path):
    await importer.run(people, parse(PEOPLE))
    file = tmp_path / "consents.csv"
    file.write_text(
        "email,status,at\nada@example.org,granted,2026-01-01T00:00:00Z\nnobody@example.org,granted,2026-01-01T00:00:00Z\n",
        encoding="utf-8",
    )
    given = parse(
        "source: form\nwhat: consents\nsubject: {kind: email, column: email}\n"
        "consent: {purpose: marketing.email, status: {column: status}, mechanism: form, notice: v1, given_at: at}\n"
    )
    effect = await importer.foresee(file, given)
    assert (effect.people, effect.unheld, effect.gain, effect.lose) == (1, 1, 1, 0)
    assert await rooms.count("consent.acts") == 0
    assert (await importer.run(file, given)).accepted == 2
    assert (await importer.foresee(file, given)).gain == 0
    assert await importer.foresee(people, parse(PEOPLE)) is None
