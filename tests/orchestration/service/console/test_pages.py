"""Every page on a real house: what it says, that its twin says the same, who is noted to have looked, what goes wrong and how it is told."""

import re
from html import unescape

import pytest

from audit.access.principal import Scope
from audit.tags import Tag
from identity.identifiers import Identifier
from identity.records import NewRecord
from orchestration.service.console.rendering import CSP, VERSION
from tests.orchestration.conftest import NOW
from tests.orchestration.service.console.conftest import Clerk, Story
from tests.orchestration.service.console.says import SAYS

pytestmark = pytest.mark.anyio


def words(page: str) -> str:
    """What a reader sees."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.split("<main", 1)[1])))


async def looked(clerk: Clerk, house, what: str) -> list[dict]:
    """The looks that the log holds of this kind."""
    found = []
    for one in await house.audit.entries(tag=Tag.READ_PERSONAL, before=None, limit=100):
        opened = await house.audit.open_entry(one.entry_id)
        if opened["what"] == what:
            found.append({name: str(value) for name, value in opened.items()})
    return found


async def test_every_page_says_what_the_house_holds(comes, story: Story) -> None:
    ann = await comes()
    for name, path in story.pages.items():
        page = await ann.get(path)
        assert page.status_code == 200, (name, page.text)
        seen = words(page.text)
        missing = [one for one in SAYS[name] if one not in seen and one not in page.text]
        assert missing == [], (name, seen)


async def test_every_page_keeps_to_a_policy_without_anything_inline(comes, story: Story) -> None:
    ann = await comes()
    for name, path in {**story.pages, "fault": "/console/people/x", "login": "/console/login"}.items():
        page = await ann.get(path)
        assert page.headers["content-security-policy"] == CSP
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", page.text), name
        assert "built-in method" not in page.text
        assert re.findall(r'href="(//|http)', page.text) == [], name
        ids = re.findall(r'\sid="([^"]+)"', page.text)
        assert len(ids) == len(set(ids)), name
        for target in re.findall(r'(?:for|aria-labelledby|aria-describedby)="([^"]+)"', page.text):
            assert target in ids, (name, target)


async def test_every_reading_page_has_a_twin_that_says_the_same(comes, story: Story) -> None:
    ann = await comes()
    for name, path in story.pages.items():
        page = unescape((await ann.get(path)).text)
        twin = re.search(r'href="([^"]+\.json[^"]*)">The same as JSON', page)[1]
        assert f'curl -H "Authorization: Bearer $KEY" "http://127.0.0.1:8460{twin}"' in page
        view = await ann.json(twin)
        assert isinstance(view, dict), name
    both = await ann.json(f"/console/decisions/{story.chosen}.json")
    assert (both["choice"], both["person"], both["delivery_id"]) == ("plain@email", story.person, story.delivery)
    assert sum(one["propensity"] for one in both["candidates"]) == pytest.approx(1)
    stopped = await ann.json(f"/console/decisions/{story.withheld}.json")
    assert [one["gate"] for one in stopped["gates"] if one["state"] == "stopped"] == ["consent"]


async def test_every_link_of_every_page_leads_somewhere(comes, story: Story) -> None:
    ann = await comes()
    seen: set[str] = set()
    for path in story.pages.values():
        for link in re.findall(r'(?:href|action)="([^"]+)"', (await ann.get(path)).text):
            target = unescape(link).split("#")[0]
            if (
                target
                and target not in seen
                and not target.endswith(("/logout", "/theme", "/replay", "/receipt", "/allow"))
            ):
                seen.add(target)
    posts = {
        "/console/requests/" + story.request + "/" + act
        for act in ("approve", "deny", "run", "check", "confirm", "extend", "revoke")
    }
    for target in seen - posts:
        assert (await ann.get(target)).status_code in {200, 303}, target
    assert len(seen) > 40


async def test_every_look_at_a_person_is_an_entry_that_says_who_and_at_whom(comes, house, story: Story) -> None:
    ann, ben = await comes(), await comes("ben")
    her = f"/console/people/{story.person}"
    for what, path in (("records", her), ("consents", f"{her}/consents"), ("profile", f"{her}/profile"),
                       ("timeline", f"{her}/timeline"), ("looks", f"{her}/looks")):  # fmt: skip
        assert await looked(ann, house, what) == []
        await ann.get(path)
        await ben.json(f"{path}.json")
        by = await looked(ann, house, what)
        assert {(one["actor"], one["ref.person"], one["where"]) for one in by} == {
            (ann.staff_id, story.person, "console"), (ben.staff_id, story.person, "console"),
        }, what  # fmt: skip
    await ann.get(f"/console/decisions/{story.chosen}")
    assert [one["ref.decision"] for one in await looked(ann, house, "decision")] == [story.chosen]
    await ann.get(f"/console/deliveries/{story.delivery}")
    assert [one["ref.delivery"] for one in await looked(ann, house, "delivery")] == [story.delivery]
    await ann.get(f"/console/requests/{story.request}/preview")
    assert [one["ref.person"] for one in await looked(ann, house, "preview")] == [story.other]


async def test_the_page_of_looks_names_the_lookers(comes, house, story: Story) -> None:
    ann, ben = await comes(), await comes("ben")
    await ben.get(f"/console/people/{story.person}/profile")
    view = await ann.json(f"/console/people/{story.person}/looks.json")
    assert [(one["name"], one["what"]) for one in view["looks"]] == [("ann", "looks"), ("ben", "profile")]


async def test_what_a_source_wrote_is_never_markup(comes, story: Story) -> None:
    page = await (await comes()).get(f"/console/people/{story.person}")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script" not in page.text


async def test_a_person_is_found_by_a_contact_point_that_stands_in_no_address(comes, house, story: Story) -> None:
    ann = await comes()
    for value in ("ada@example.org", " ADA@Example.org ", "ada.l@example.org"):
        found = await ann.send("/console/find", kind="email", value=value)
        assert (found.status_code, found.headers["location"]) == (303, f"/console/people/{story.person}")
    assert {one["ref.person"] for one in await looked(ann, house, "find")} == {story.person}
    for kind, value, status, told in (
        ("email", "nobody@example.org", 404, "Nobody holds this contact"),
        ("email", "no address", 422, "xpected"),
        ("phone", "12", 422, "xpected"),
        ("id", "zzz", 422, "Expected an id"),
    ):
        answer = await ann.send("/console/find", kind=kind, value=value)
        assert answer.status_code == status, answer.text
        assert told in words(answer.text)


async def test_ids_of_every_kind_lead_to_their_page(comes, story: Story) -> None:
    ann = await comes()
    for value, folder in ((story.person, "people"), (story.chosen, "decisions"), (story.delivery, "deliveries"),
                          (story.entry, "log"), (story.request, "requests")):  # fmt: skip
        found = await ann.send("/console/find", kind="id", value=value)
        assert found.headers["location"] == f"/console/{folder}/{value}"


async def test_several_holders_of_a_contact_are_all_offered(comes, house, story: Story) -> None:
    shared = Identifier("phone", "+493012345678")
    async with house.kernel.db.transaction() as conn:
        await house.identity.add_records(conn, [
            NewRecord(
                source="shop", source_key=name, identifiers=(shared, Identifier("login_id", name)), traits={}, kinds={},
                observed_at=NOW, purpose="service", basis="contract",
            )
            for name in ("left", "right")
        ])  # fmt: skip
    page = await (await comes()).send("/console/find", kind="phone", value="+49 30 12345678")
    assert page.status_code == 200
    assert len(set(re.findall(r'href="/console/people/(per_\w+)"', page.text))) == 2
    assert "Several people hold this contact" in page.text


async def test_only_officers_find_people(comes, story: Story) -> None:
    auditor = await comes("aud", Scope.AUDITOR)
    assert "contact point" not in words((await auditor.get("/console/find")).text).split("Finding people")[0]
    refused = await auditor.send("/console/find", kind="email", value="ada@example.org")
    assert refused.status_code == 403
    assert (await auditor.send("/console/find", kind="id", value=story.chosen)).status_code == 303


async def test_auditors_see_proofs_and_never_words(comes, story: Story) -> None:
    auditor = await comes("aud", Scope.AUDITOR)
    entry = (await auditor.get(f"/console/log/{story.entry}")).text
    assert "Only officers may open an entry" in entry
    assert "plain@email" not in words(entry)
    assert (await auditor.json(f"/console/log/{story.entry}.json"))["opened"] is None
    decision = (await auditor.get(f"/console/decisions/{story.chosen}")).text
    assert f"/console/people/{story.person}" not in decision
    assert "decision.made" in decision
    marketer = await comes("mar", Scope.DECIDE)
    assert (await marketer.json(f"/console/decisions/{story.chosen}.json"))["lineage"] is None
    assert "Lineage" not in (await marketer.get(f"/console/decisions/{story.chosen}")).text


async def test_a_retired_id_leads_to_the_live_person(comes, story: Story) -> None:
    ann = await comes()
    moved = await ann.get(f"/console/people/{story.former}")
    assert (moved.status_code, moved.headers["location"]) == (303, f"/console/people/{story.person}")
    assert (await ann.get(f"/console/people/{story.former}/timeline")).status_code == 200


async def test_lists_go_on_where_they_were_left_off(comes, shop, story: Story) -> None:
    ann = await comes()
    for _ in range(3):
        await shop.decide(story.person, "open")
    whole = [one["id"] for one in (await ann.json("/console/decisions.json"))["decisions"]]
    assert len(whole) == 5
    path, seen = "/console/decisions.json?limit=2", []
    while path:
        answer = await ann.client.get(path)
        seen += [one["id"] for one in answer.json()["decisions"]]
        link = answer.headers.get("link", "")
        path = re.search(r"<(.+)>", link)[1] if link else ""
        if len(seen) == 2:
            await shop.decide(story.person, "open")  # neither repeats nor skips a line
    assert seen == whole
    page = await ann.get("/console/decisions?limit=2")
    assert 'rel="next"' in page.text
    bad = await ann.get("/console/decisions?cursor=nonsense")
    assert bad.status_code == 422
    assert "leave it out to begin anew" in bad.text
    lines = await ann.json(f"/console/people/{story.person}/timeline.json?limit=2")
    more = await ann.json(f"/console/people/{story.person}/timeline.json?limit=50&cursor={lines['next']}")
    every = await ann.json(f"/console/people/{story.person}/timeline.json?limit=50")
    assert [one["id"] for one in lines["lines"] + more["lines"]] == [one["id"] for one in every["lines"]]


async def test_filters_stand_in_the_address(comes, story: Story) -> None:
    ann = await comes()
    page = (await ann.get("/console/decisions?withheld=consent.missing")).text
    assert story.withheld in page
    assert story.chosen not in page
    assert 'value="consent.missing"' in page
    assert "No decision fits" in (await ann.get("/console/decisions?channel=push")).text
    assert story.delivery in (await ann.get("/console/deliveries?state=accepted&channel=email")).text
    assert "No delivery fits" in (await ann.get("/console/deliveries?state=bounced")).text
    tagged = await ann.json("/console/log.json?tag=decision.made")
    assert {one["tag"] for one in tagged["entries"]} == {"decision.made"}


async def test_what_is_not_there_is_a_page_with_a_way_out(comes, story: Story) -> None:
    ann = await comes()
    for path in ("/console/people/x", "/console/people/per_01ZZZZZZZZZZZZZZZZZZZZZZZZ", "/console/decisions/x",
                 "/console/decisions/dec_01ZZZZZZZZZZZZZZZZZZZZZZZZ", "/console/deliveries/x", "/console/log/x",
                 "/console/requests/x", "/console/nowhere", "/console/static/old/console.css"):  # fmt: skip
        page = await ann.get(path)
        assert page.status_code == 404, path
        assert page.headers["content-type"].startswith("text/html"), path
        assert 'href="/console/find"' in page.text
        assert page.headers["x-request-id"] in page.text
        twin = await ann.client.get(f"{path}.json", headers={"Accept": "text/html"})
        assert twin.headers["content-type"] == "application/problem+json"


async def test_an_accident_of_ours_is_a_page_that_says_nothing_of_its_cause(comes, house, monkeypatch) -> None:
    ann = await comes()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("ada@example.org broke it")

    monkeypatch.setattr(type(house.channels), "backlog", broken)
    page = await ann.get("/console")
    assert page.status_code == 500
    assert page.headers["content-type"].startswith("text/html")
    assert "quote the request id" in page.text
    assert "ada" not in page.text


async def test_an_empty_house_says_how_to_fill_it(comes) -> None:
    ann = await comes()
    for path, told in (("/console", "No decision in these days"), ("/console/decisions", "No decision fits"),
                       ("/console/deliveries", "No delivery fits"), ("/console/requests", "No request was ever opened"),
                       ("/console/log", "The signed checkpoint")):  # fmt: skip
        page = await ann.get(path)
        assert page.status_code == 200
        assert told in page.text


async def test_the_stylesheet_is_kept_for_ever_under_its_own_version(comes) -> None:
    ann = await comes(inside=False)
    css = await ann.get(f"/console/static/{VERSION}/console.css")
    assert css.headers["content-type"].startswith("text/css")
    assert "immutable" in css.headers["cache-control"]
    assert "url(" not in css.text


async def test_a_decision_is_replayed_and_its_receipt_handed_out(comes, house, story: Story) -> None:
    ann = await comes()
    page = await ann.send(f"/console/decisions/{story.chosen}/replay")
    assert all(said in words(page.text) for said in ("Replayed: identical.", "What each was worth"))
    operator = await comes("ops", Scope.OPERATE)
    assert "Replayed: identical" in (await operator.send(f"/console/decisions/{story.chosen}/replay")).text
    file = await ann.send(f"/console/decisions/{story.chosen}/receipt")
    assert file.headers["content-disposition"] == f'attachment; filename="{story.chosen}.receipt.json"'
    assert file.json()["format"]
    assert [one["ref.decision"] for one in await looked(ann, house, "receipt")] == [story.chosen]


async def test_why_two_records_are_one_person_is_told_with_their_words_and_why_not_by_its_cause(
    comes, house, story: Story
) -> None:
    ann = await comes("ann", Scope.OFFICER)
    told = await ann.json(f"{story.pages['why']}.json")
    assert told["same"]
    assert sum(one["weight"] for one in told["waterfall"]["terms"]) == pytest.approx(8.5, abs=1e-9)
    assert told["waterfall"]["words"]["email"] == ["ada@example.org", "ada.l@example.org"]
    other = await ann.json(f"{story.pages['why_not']}.json")
    assert other["why_not"]["cause"] == "first_name"
    how = await ann.json(f"{story.pages['how']}.json")
    assert [one["weight"] for one in how["bridges"]] == [8.5]
    card = await ann.json(f"{story.pages['run']}.json")
    assert sum(one["count"] for one in card["sizes"]) == card["card"]["people"]
    assert len(await looked(ann, house, "linkage")) == 3
    auditor = await comes("aud", Scope.AUDITOR)
    assert (await auditor.get(story.pages["run"])).status_code == 200
    assert (await auditor.get(story.pages["why"])).status_code == 403


async def test_a_run_that_is_held_back_is_let_through_by_a_form_once(comes, house, story: Story) -> None:
    ann = await comes("ann", Scope.OPERATE)
    assert "Let it through" in (await ann.get(story.pages["run"])).text
    assert (await ann.send(f"{story.pages['run']}/allow", because="nonsense")).status_code == 422
    assert (await ann.send(f"{story.pages['run']}/allow", because="looked")).status_code == 303
    assert "Let it through" not in (await ann.get(story.pages["run"])).text
    async with house.kernel.db.reading() as conn:
        assert (await house.identity.runs.get(conn, story.run)).allowed_for == "looked"
