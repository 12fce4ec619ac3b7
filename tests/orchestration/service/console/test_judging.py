"""Merging and parting people on a whole house: what was shown is what comes, consents follow, everything comes back, reviewers are kept apart."""

import asyncio
import json
import re
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from audit.access.principal import Scope
from events.log import CollectContext
from identity.feed_store import Line
from identity.identifiers import Identifier
from identity.judgements import Act
from identity.records import NewRecord
from identity.wishes import Wish, foresee, fulfil
from orchestration.service.cli import identity_acts
from orchestration.service.cli.main import build
from tests.orchestration.conftest import NOW
from tests.orchestration.service.console.conftest import Story
from tests.orchestration.service.console.test_pages import words

pytestmark = pytest.mark.anyio


@pytest.fixture
async def carl(shop, story: Story):
    """Somebody without a login, who took back what Ada agreed to, with an order and a decision of his own."""
    contact = Identifier("email", "carl@example.org")
    row = NewRecord(
        source="crm", source_key="8", identifiers=(contact,), traits={"first_name": "Carl"}, kinds={},
        observed_at=NOW - timedelta(days=8), purpose="service", basis="contract",
    )  # fmt: skip
    async with shop.kernel.db.transaction() as conn:
        await shop.identity.add_records(conn, [row])
        (subject,) = await shop.identity.register_identifiers(conn, [contact])
        await shop.say(conn, subject, "marketing.email", "denied")
        person = await shop.identity.lookup(conn, "email:carl@example.org")
    await order(shop, "carl", "m2")
    await shop.decide(person)
    return person


async def order(house, name: str, message: str) -> None:
    call = {"type": "track", "event": "Order Completed", "messageId": message, "properties": {"revenue": 9.0},
            "context": {"traits": {"email": f"{name}@example.org"}}, "anonymousId": f"browser-of-{name}-{message}"}  # fmt: skip
    (taken,) = await house.events.collect([call], CollectContext(source="till"))
    assert taken.status == "accepted"


async def state(house, *people):
    """What is permitted and held, person by person; nothing that counts on."""
    async with house.kernel.db.reading() as conn:
        held = await house.identity.judging.impact.held(conn, people)
        may = [(await house.consent.check(conn, one, "marketing.email", "email")).permission for one in people]
        rows = await house.identity.records(conn, people)
    return held, [(one.answer, one.reason, one.act) for one in may], [[r.id for r in rows[one]] for one in people]


async def test_what_a_merge_would_touch_is_what_it_touches_and_an_unmerge_gives_it_back(
    house, story: Story, carl
) -> None:
    ada = story.person
    before = await state(house, ada, carl)
    assert [str(answer) for answer, *_ in before[1]] == ["granted", "denied"]
    for wish, people in (
        (Wish(Act.MERGE, (ada, carl)), (ada,)),
        (Wish(Act.UNMERGE, (carl,)), (ada, carl)),
    ):
        async with house.kernel.db.transaction() as conn:
            seen = await foresee(house.identity, conn, wish, "staff:ann")
        async with house.kernel.db.transaction() as conn:
            done = await fulfil(house.identity, conn, wish, "staff:ann")
        held, may, _ = await state(house, *people)
        assert (done.people, seen.after) == (people, held)
        assert seen.moves == sum(len(one.records) for one in done.changes) > 0
        if wish.act is Act.MERGE:
            assert str(may[0][0]) == "denied"  # the strictest of both
            assert held[0].things["decisions"] == sum(one.things["decisions"] for one in before[0]) > 1
            assert held[0].things["events"] == sum(one.things["events"] for one in before[0]) > 1
        if wish.act is Act.MERGE:  # an event of Carl's while the two are one
            await order(house, "carl", "m3")
    after = await state(house, ada, carl)
    assert ([one[0] for one in after], after[1]) == ([one[0] for one in before], before[1])
    assert after[2][1][:-1] == before[2][1]
    assert after[0][1].things["events"] == before[0][1].things["events"] + 1


async def test_the_feed_has_every_move_once_with_its_cause_and_can_be_applied_twice(house, story: Story, carl) -> None:
    for act, names in ((Act.MERGE, (story.person, carl)), (Act.UNMERGE, (carl,)), (Act.MERGE, (story.person, carl))):
        async with house.kernel.db.transaction() as conn:
            await fulfil(house.identity, conn, Wish(act, names), "staff:ann")
    async with house.kernel.db.reading() as conn:
        lines = await house.identity.judging.feed(conn)
        tail = await house.identity.judging.feed(conn, lines[-2].offset)
        people = await house.identity.people(conn)
        held = {person: set(rows) for person, rows in (await house.identity.owned(conn, people)).items()}
    assert [(one.cause, one.change.kind) for one in lines] == [
        ("published", "merged"), ("merge", "merged"), ("unmerge", "restored"), ("merge", "merged"),
    ]  # fmt: skip
    assert tail == lines[-1:]
    assert all(one.act is not None for one in lines[1:])

    def applied(owner: dict[str, str], line: Line) -> dict[str, str]:
        said = line.as_json()
        return owner | {record: person for person, records in said["after"].items() for record in records}

    owner: dict[str, str] = {}
    for line in (*lines, *lines[1:]):  # read again from an earlier offset
        owner = applied(owner, line)
    assert all(record in held[person] for record, person in owner.items())


async def test_an_officer_merges_and_parts_on_the_pages(comes, house, story: Story, carl) -> None:
    ann = await comes("ann", Scope.OFFICER)
    her = f"/console/people/{story.person}"
    shown = await ann.get(f"{her}/act?act=merge&other={carl}")
    assert "would change hands" in words(shown.text)
    assert (await ann.send(f"{her}/act", act="merge", other=carl, reason="duplicate")).status_code == 422  # not sure
    done = await ann.send(f"{her}/act", act="merge", other=carl, reason="duplicate", sure="yes")
    assert (done.status_code, done.headers["location"]) == (303, her)
    assert (await ann.get(f"/console/people/{carl}")).headers["location"] == her
    page = await ann.get(her)
    assert re.search(r"One person \(merge\)\s+one person, entered twice\s+ann", words(page.text))
    assert "Take the merge back" in words(page.text)
    assert "would change hands" in words((await ann.get(f"{her}/act?act=unmerge&other={carl}")).text)
    await ann.send(f"{her}/act", act="unmerge", other=carl, reason="mistake", sure="yes")
    page = await ann.get(f"/console/people/{carl}")
    assert "taken back" in words(page.text)
    revoke = re.findall(r'action="(/console/people/\w+/judgements/\w+/revoke)"', page.text)
    assert (await ann.send(revoke[0])).status_code == 303
    assert "/revoke" not in (await ann.get(f"/console/people/{carl}")).text
    for wrong in ("act=merge&other=email:a@example.org", "act=eat", f"act=merge&other={carl}&reason=because"):
        assert (await ann.get(f"{her}/act?{wrong}")).status_code == 422
    oscar = await comes("oscar", Scope.OPERATE)
    assert (await oscar.get("/console/review")).status_code == 403


async def test_reviewers_who_disagree_are_both_kept_and_the_question_comes_first(comes, story: Story) -> None:
    ann, ben = await comes("ann"), await comes("ben")
    where = f"/console/review/{story.records[1]}/{story.doubtful}"

    async def asked() -> list[dict]:
        return [
            one
            for one in (await ann.json("/console/review.json"))["questions"]
            if story.doubtful in (one["a"], one["b"])
        ]

    (first,) = await asked()
    assert (first["cause"], first["disputed"], first["answers"]) == ("first_name", False, [])
    assert (await ann.send(where, verdict="maybe", reason="looked")).status_code == 422
    refused = await ann.send(where, verdict="positive", reason="looked")
    assert "Nothing was changed" in words((await ann.get(refused.headers["location"])).text)
    await ann.send(where, verdict="unsure", reason="looked")
    (again,) = await asked()
    assert again["value"] == pytest.approx(first["value"] / 2, abs=0.001)
    await ann.send(where, verdict="negative", reason="namesake")
    assert await asked() == []
    halves = f"/console/review/{story.records[0]}/{story.records[1]}"
    await ann.send(halves, verdict="positive", reason="looked")
    await ben.send(halves, verdict="negative", reason="looked")
    contested = (await ann.json("/console/review.json"))["questions"][0]
    assert contested["disputed"]
    assert [one["verdict"] for one in contested["answers"]] == ["positive", "negative"]
    page = words((await ann.get(halves)).text)
    assert "Reviewers disagree" in page
    assert re.search(r"One person ann .* Two people ben", page)


async def test_a_command_shows_first_and_acts_when_told(house, story: Story, carl, monkeypatch) -> None:
    loop, ada = asyncio.get_running_loop(), story.person

    def within(work):  # the command runs in a thread, its work in this house
        return asyncio.run_coroutine_threadsafe(work(house), loop).result()

    monkeypatch.setattr(identity_acts, "in_house", within)

    async def run(*said: str, code: int = 0) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, build(), ["identity", *said])
        assert done.exit_code == code, done.output
        return done.output

    assert "somebody new" not in await run("merge", ada, carl)
    assert "Add --yes" in await run("merge", ada, "email:carl@example.org", "--yes", "--dry-run")
    assert json.loads(await run("merge", ada, carl, "--json"))["moves"] == 2
    assert await state(house, carl)  # still somebody
    done = json.loads(await run("merge", ada, carl, "--yes", "--reason", "duplicate", "--json"))
    assert (done["people"], done["refused"]) == ([ada], None)
    assert "same_person" in await run("merge", ada, ada, "--yes", code=1)
    assert "unique_identifier" in await run("merge", ada, story.other, code=1)
    assert "expected one of asked" in await run("merge", ada, carl, "--reason", "Carl is her brother", code=2)
    assert done["judgement"] in await run("judgements", ada, "--json")
    assert json.loads(await run("changes", "--after", "1", "--json"))[0]["judgement"] == done["judgement"]
    assert "somebody new" in await run("split", ada, story.records[1])
    assert "restored" in await run("unmerge", carl, "--yes")
    assert "first_name" in await run("questions")
    await run("answer", story.records[1], story.doubtful, "negative", "--reason", "namesake")
    assert "first_name" not in await run("questions")
    (said, *_) = json.loads(await run("judgements", ada, "--json"))
    await run("revoke", said["id"])
    assert "first_name" in await run("questions")
    assert "unknown_judgement" in await run("revoke", said["id"], code=1)
    assert "pinned" not in await run("pin", story.records[1], carl, "--yes")


async def test_an_officer_pins_a_record_on_the_pages_and_the_row_stays(comes, house, story: Story, carl) -> None:
    ann = await comes("ann", Scope.OFFICER)
    her = f"/console/people/{story.person}"
    async with house.kernel.db.reading() as conn:
        (record, *_) = (await house.identity.owned(conn, [carl]))[carl]
    assert 'pattern="rec_[0-9A-Z]{26}"' in (await ann.get(her)).text
    shown = words((await ann.get(f"{her}/act?act=pin&record={record}")).text)
    assert "would stay with" in shown
    assert "would change hands" in shown
    assert (await ann.get(f"{her}/act?act=pin&record=email:carl@example.org")).status_code == 422
    done = await ann.send(f"{her}/act", act="pin", record=record, reason="looked", sure="yes")
    assert (done.status_code, done.headers["location"]) == (303, her)
    async with house.kernel.db.reading() as conn:
        assert (await house.identity.subjects(conn, [record]))[record].people == (story.person,)
