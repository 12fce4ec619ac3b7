"""The why page over HTTP, and the views for officers and auditors."""

import re
from datetime import timedelta
from html.parser import HTMLParser

import httpx
import pytest

from audit.tags import Tag
from explain.facts import NOTHING, Stage, Verdict
from explain.significant import Use
from kernel.errors import NotFound
from tests.explain.conftest import Room, facts, gated, ruled_by_rules

pytestmark = pytest.mark.anyio


class Dom(HTMLParser):
    """Tags with their attributes, and the words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


async def test_the_page_says_who_why_and_how_to_change_it(room: Room, client: httpx.AsyncClient) -> None:
    room.decisions.flips = {"marketing.email": Verdict(choice=NOTHING, channel=None, probability=1.0)}
    made = await room.about()
    token = room.token(made.decision_id)
    answer = await client.get(f"/why/{token}")
    page = Dom(answer.text)
    assert answer.status_code == 200
    assert page.all("html") == [{"lang": "en"}]
    for words in (
        "Why you got this message", "We picked this for you by weighing what we know about you.", "This is advertising.",
        "It was sent on behalf of Blue Shop.", "Blue Shop paid for it.", "You agreed to “offers by email”.",
        "From shop, 3 days old.", "Used for: picking messages to suit you.", "If you take back “offers by email”",
    ):  # fmt: skip
        assert words in page.text, words
    told = [one["data-parameter"] for one in page.all("li") if "data-parameter" in one]
    assert 1 <= len(told) <= 5
    forms = page.all("form")
    foot = ("not-interested", "pause", "opt-out", "not-me")
    assert [one["action"].rsplit("/", 1)[1] for one in forms][-4:] == list(foot)
    assert {one["action"].rsplit("/", 1)[1] for one in forms} == {*foot, "stop-using", "correct"}
    assert {one["method"] for one in forms} == {"post"}
    links = [one["href"] for one in page.all("a")]
    ids = {one.get("id") for _, one in page.tags}
    for link in links:
        assert link.startswith("http://127.0.0.1") or link.removeprefix("#") in ids, link
    preferences = next(link for link in links if "/preferences/" in link)
    assert room.kernel.tokens.read(preferences.rsplit("/", 1)[1], "preferences").subject == made.identifier_id


async def test_the_page_needs_no_script_no_cookie_and_no_other_host(room: Room, client: httpx.AsyncClient) -> None:
    made = await room.about()
    answer = await client.get(f"/why/{room.token(made.decision_id)}")
    page = Dom(answer.text)
    assert page.all("script") == []
    assert page.all("img") == []
    assert [one["href"] for one in page.all("link")] == ["/static/candor.css"]
    assert not [key for _, one in page.tags for key in one if key.startswith("on") or key == "style"]
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "noindex" in answer.headers["x-robots-tag"]


async def test_a_forwarded_link_shows_no_identifier_record_value_or_score(
    room: Room, client: httpx.AsyncClient
) -> None:
    made = await room.about("ada.lovelace@example.org")
    answer = await client.get(f"/why/{room.token(made.decision_id)}")
    shown = re.sub(r'(href|action)="[^"]*"', "", answer.text)
    for secret in (
        made.person, made.decision_id, made.key_id, made.identifier_id, "act_secret", "act_1", "rec_", "ada", "lovelace", "Ada",
        "sha256", "5eed", "spend_180d", "1.5", "0.9", str(made.score)[:6], "offer@email", "Order Completed",
    ):  # fmt: skip
        assert secret not in shown, secret


async def test_beside_the_why_link_goes_one_to_the_preferences_of_the_contact(
    room: Room, client: httpx.AsyncClient
) -> None:
    made, held = await room.about(), await room.about("bob@example.org", gated, stage=Stage.CAP)
    url = f"/why/{room.token(made.decision_id)}"
    gone = await client.get(f"{url}/preferences")
    assert (gone.status_code, gone.headers["cache-control"]) == (303, "no-store")
    token = gone.headers["location"].rpartition("/preferences/")[2]
    said = room.kernel.tokens.inspect(token, "preferences")
    assert (said.subject, said.claims.get("history")) == (made.identifier_id, False)  # as the page's own: of no history
    assert gone.headers["location"].partition("/preferences/")[0] == room.kernel.settings.base_url
    for bad in ("nonsense", room.kernel.tokens.issue("preferences", made.identifier_id, timedelta(days=1))):
        assert (await client.get(f"/why/{bad}/preferences")).status_code == 404
    nobody = room.decisions.keep(facts(identifier_id=None))
    home = f"/why/{room.token(nobody.decision_id)}"
    assert (await client.get(f"{home}/preferences")).headers["location"] == home
    assert (await client.get(f"/why/{room.token(held.decision_id)}/preferences")).status_code == 303


async def test_the_way_to_the_preferences_needs_no_explanation(room: Room, client: httpx.AsyncClient) -> None:
    wrong = await room.about(score=9.0)  # not the model's: its explanation is refused
    url = f"/why/{room.token(wrong.decision_id)}"
    assert (await client.get(url)).status_code == 503
    gone = await client.get(f"{url}/preferences")
    assert gone.status_code == 303
    token = gone.headers["location"].rpartition("/preferences/")[2]
    assert room.kernel.tokens.inspect(token, "preferences").subject == wrong.identifier_id
    assert await room.rows("SELECT 1 FROM explain.explanations") == []
    room.decisions.closed.add(wrong.decision_id)  # nobody can read it any more: the why page says so
    assert (await client.get(f"{url}/preferences")).headers["location"] == url


async def test_no_machine_holds_of_what_was_kept_before_its_purpose_was_noted(
    room: Room, client: httpx.AsyncClient
) -> None:
    heard = []

    async def hook(conn, about, said):
        heard.append((said.kind, said.subject))

    room.explain.on_feedback.append(hook)
    room.explain.significant.register(Declared())
    made = await room.about("ada@example.org", ruled_by_rules)  # a record of rules names no purpose of the machine's
    answer = await client.post(f"/why/{room.token(made.decision_id)}/no-machine")
    assert "No machine will choose for you" in answer.text
    assert heard == [("opt_out", "analytics")]


class Declared:
    """Every placement is significant, and looks at people under a purpose of its own."""

    async def of_decision(self, decision_id):
        return Use(placement="open", purposes=("marketing.email",), machine="analytics", controller="Blue Shop")

    async def of_placement(self, name):
        return await self.of_decision(name)


async def test_links_that_do_not_work_tell_nothing(room: Room, client: httpx.AsyncClient) -> None:
    made = await room.about()
    expired = room.token(made.decision_id, days=1)
    other = room.kernel.tokens.issue("preferences", made.decision_id, timedelta(days=60))
    unknown = room.token("dec_unknown", days=60)
    room.kernel.clock.advance(timedelta(days=2))
    old = await client.get(f"/why/{expired}")
    assert old.status_code == 410
    assert "This link no longer works" in Dom(old.text).text
    for bad in (other, unknown, "nonsense", expired[:-2] + ("AA" if expired[-2:] != "AA" else "BB"), "x" * 4000):
        answer = await client.get(f"/why/{bad}")
        assert (answer.status_code, answer.text) == (404, old.text)
    for act in ("not-interested", "not-me"):
        assert (await client.post(f"/why/{expired}/{act}")).status_code == 410
        assert (await client.post(f"/why/nonsense/{act}")).status_code == 404
    german = await client.get(f"/why/{expired}", headers={"Accept-Language": "fr, de-AT;q=0.8"})
    assert Dom(german.text).all("html") == [{"lang": "de"}]
    assert await room.rows("SELECT 1 FROM explain.feedback") == []


async def test_after_erasure_the_link_says_so_calmly(room: Room, client: httpx.AsyncClient) -> None:
    made = await room.about()
    url = f"/why/{room.token(made.decision_id)}"
    assert (await client.get(url)).status_code == 200
    await room.kernel.vault.destroy([made.key_id])
    answer = await client.get(url)
    page = Dom(answer.text)
    assert answer.status_code == 200
    assert "has been erased" in page.text
    assert page.all("form") == []
    assert (await client.post(f"{url}/not-me")).status_code == 200
    assert await room.rows("SELECT 1 FROM explain.feedback") == []


@pytest.mark.parametrize(
    ("make", "more", "words"),
    [
        (ruled_by_rules, {}, "We show this to everyone who may get it."),
        (gated, {"stage": Stage.CONSENT}, "We sent nothing, because you have not agreed to it, or took it back."),
        (gated, {"stage": Stage.HOLDOUT, "holdout": True}, "You are in a comparison group."),
        (gated, {"stage": Stage.CAP}, "We sent nothing, because you had enough messages from us."),
    ],
)
async def test_what_rules_gates_and_groups_decided_is_said_and_nothing_else(
    room: Room, client: httpx.AsyncClient, make, more, words
) -> None:
    made = await room.about(make=make, **more)
    page = Dom((await client.get(f"/why/{room.token(made.decision_id)}")).text)
    assert words in page.text
    assert ("What we know about you was not weighed" in page.text) is (make is ruled_by_rules)
    assert ("This is advertising." in page.text) is (make is ruled_by_rules)
    assert ("paid for it" in page.text) is (make is ruled_by_rules)
    assert len(page.all("form")) == (4 if make is ruled_by_rules else 1)
    assert not [one for one in page.all("li") if "data-parameter" in one]


async def test_the_page_speaks_the_language_of_the_message(room: Room, client: httpx.AsyncClient) -> None:
    made = await room.about(locale="de")
    page = Dom((await client.get(f"/why/{room.token(made.decision_id)}", headers={"Accept-Language": "en"})).text)
    assert page.all("html") == [{"lang": "de"}]
    assert "Das ist Werbung." in page.text
    assert "To the content" not in page.text


async def test_where_no_message_says_the_language_the_pages_speak_the_reader_s(
    room: Room, client: httpx.AsyncClient
) -> None:
    made = await room.about(make=gated, stage=Stage.CAP)
    german = {"Accept-Language": "fr, de-AT;q=0.8"}
    url = f"/why/{room.token(made.decision_id)}"
    page = Dom((await client.get(url, headers=german)).text)
    assert page.all("html") == [{"lang": "de"}]
    assert "weil Sie schon genug Nachrichten von uns hatten" in page.text
    for headers, language in ((german, "de"), ({}, "en")):
        said = Dom((await client.post(f"{url}/not-me", headers=headers)).text)
        assert said.all("html") == [{"lang": language}]


async def test_words_of_the_catalogue_are_escaped(room: Room, client: httpx.AsyncClient) -> None:
    from explain.facts import Advertisement

    bad = Advertisement(is_advertisement=True, on_behalf_of="<script>alert(1)</script>", paid_by="A & B")
    made = await room.about(advertisement=bad)
    text = (await client.get(f"/why/{room.token(made.decision_id)}")).text
    assert "<script" not in text
    assert "A &amp; B" in text


async def test_not_interested_and_not_me_are_answered_calmly_and_kept_once(
    room: Room, client: httpx.AsyncClient
) -> None:
    made = await room.about()
    url = f"/why/{room.token(made.decision_id)}"
    assert (await client.get(f"{url}/not-me")).status_code == 405  # a scanner that follows links changes nothing
    assert "We wrote this down" in (await client.post(f"{url}/not-interested")).text  # nobody acts on it: no promise
    heard = []

    async def hook(conn, about, said):
        heard.append(said.kind)

    room.explain.on_feedback.append(hook)
    again = await client.post(f"{url}/not-interested")
    assert "We will not pick this message for you again." in again.text
    assert heard == []  # it was said before
    answer = await client.post(f"{url}/not-me")
    assert "A person will check whose details these are." in answer.text
    assert url in [one["href"] for one in Dom(answer.text).all("a")]
    await client.post(f"{url}/not-me")
    assert heard == ["not_me"]
    assert len(await room.audit.entries(tag=Tag.IDENTITY_QUESTIONED)) == 1
    assert len(await room.audit.entries(tag=Tag.FEEDBACK_GIVEN)) == 1


async def test_what_the_page_has_not_is_not_done_and_what_it_has_does_not_wait_for_a_replay(
    room: Room, client: httpx.AsyncClient, monkeypatch
) -> None:
    heard = []

    async def hook(conn, about, said):
        heard.append((said.kind, said.subject))

    async def gone(decision_id, change):
        raise NotFound("expected a model, got none", code="model_unknown")

    room.explain.on_feedback.append(hook)
    rules = room.decisions.keep(ruled_by_rules())
    said = {"about": "marketing.personalize", "sure": "yes"}
    answer = await client.post(f"/why/{room.token(rules.decision_id)}/opt-out", data=said)
    assert "Nothing was done" in answer.text
    assert heard == []
    room.decisions.flips = {"marketing.email": Verdict(choice=NOTHING, channel=None, probability=1.0)}
    made = await room.about()
    url = f"/why/{room.token(made.decision_id)}"
    assert "If you take back" in (await client.get(url)).text
    monkeypatch.setattr(room.decisions, "again", gone)
    answer = await client.post(f"{url}/opt-out", data={"about": "marketing.email", "sure": "yes"})
    assert "It has ended" in answer.text
    assert heard == [("opt_out", "marketing.email")]
    assert (await room.explain.honesty()).as_json() == {
        "shown": 1, "replayed": 0, "flipped": 0, "used": 1, "followed": 0, "changed": 0,
    }  # fmt: skip


async def test_a_form_of_another_site_is_refused(room: Room, client: httpx.AsyncClient) -> None:
    made = await room.about()
    url = f"/why/{room.token(made.decision_id)}/not-me"
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert (await client.post(url, headers=headers)).status_code == 403
    assert await room.rows("SELECT 1 FROM explain.feedback") == []
    assert (await client.post(url, headers={"Origin": "http://127.0.0.1:8460"})).status_code == 200


async def test_both_views_over_the_api(room: Room, client: httpx.AsyncClient) -> None:
    made = await room.about()
    url = f"/v1/decisions/{made.decision_id}/why"
    for scope in ("decide", "officer", "auditor"):
        answer = await client.get(url, headers={"Authorization": f"Bearer {scope}"})
        assert answer.status_code == 200
        assert answer.json()["procedure"] == "model"
        assert answer.json()["main_parameters"][0]["control_url"]
    assert await room.audit.entries(tag=Tag.READ_PERSONAL) == []
    german = await client.get(f"{url}?locale=de", headers={"Authorization": "Bearer decide"})
    assert german.json()["locale"] == "de"
    auditor = await client.get(f"{url}?view=auditor", headers={"Authorization": "Bearer auditor"})
    body = auditor.json()
    assert abs(body["base"] + sum(one["contribution"] for one in body["features"]) - body["score"]) <= 1e-9
    assert len(await room.audit.entries(tag=Tag.READ_PERSONAL)) == 1
    assert (await client.get(url, headers={"Authorization": "Bearer collect"})).status_code == 403
    assert (await client.get(f"{url}?view=boss", headers={"Authorization": "Bearer decide"})).status_code == 422
    assert (await client.get("/v1/decisions/dec_x/why", headers={"Authorization": "Bearer decide"})).status_code == 404
    await room.kernel.vault.destroy([made.key_id])
    closed = await client.get(f"{url}?view=auditor", headers={"Authorization": "Bearer auditor"})
    assert (closed.status_code, closed.json()["redacted"]) == (200, True)
    assert "features" not in closed.json()
