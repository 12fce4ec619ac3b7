"""Subject requests in the console: opened for a person, looked through, seen by two pairs of eyes, done, refused."""

import io
import re
import zipfile

import pytest

from audit.access.principal import Scope
from tests.orchestration.service.console.conftest import Story
from tests.orchestration.service.console.test_pages import words

pytestmark = pytest.mark.anyio


async def test_an_erasure_needs_two_and_is_for_good(comes, story: Story) -> None:
    ann, ben = await comes("ann", Scope.OFFICER), await comes("ben", Scope.OFFICER)
    opened = await ann.send("/console/requests", person=story.person, right="erasure", suppress="1")
    path = opened.headers["location"]
    page = words((await ann.get(path)).text)
    assert "An erasure needs two pairs of eyes" in page
    assert "never contact again" in page
    assert "Approve the erasure" not in page
    own = await ann.send(f"{path}/approve")
    assert own.status_code in {403, 409}
    assert "four_eyes" in own.text
    early = await ben.send(f"{path}/run", sure="yes")
    assert early.status_code == 409
    assert "Approve the erasure" in (await ben.get(path)).text
    assert (await ben.send(f"{path}/approve")).headers["location"] == path
    assert (await ben.send(f"{path}/run")).status_code == 422  # the box is not ticked
    assert "ada@example.org" in (await ann.get(f"/console/people/{story.person}")).text
    assert (await ben.send(f"{path}/run", sure="yes")).headers["location"] == path
    done = words((await ann.get(path)).text)
    assert "Done" in done
    assert "ben" in done
    assert "What to do" not in done
    assert (await ann.get(f"/console/people/{story.person}")).status_code == 404
    gone = await ann.send("/console/find", kind="email", value="ada@example.org")
    assert gone.status_code == 404
    decision = words((await ann.get(f"/console/decisions/{story.chosen}")).text)
    assert "The person was erased" in decision
    entry = await ann.get(f"/console/log/{story.entry}")
    assert "erased" in words(entry.text)
    assert "hashes lead from this leaf" in entry.text
    assert story.person not in entry.text


async def test_a_copy_is_handed_out_as_a_file_and_the_request_is_done(comes, story: Story) -> None:
    ann = await comes("ann", Scope.OFFICER)
    path = (await ann.send("/console/requests", person=story.person, right="access")).headers["location"]
    page = (await ann.get(path)).text
    assert "Note the check" in page
    assert "I will hand the file" not in page
    assert (await ann.send(f"{path}/run", sure="yes")).status_code == 409  # nobody looked at who asks
    await ann.send(f"{path}/check", method="document", passed="yes")
    assert "I will hand the file to this person only" in (await ann.get(path)).text
    handed = await ann.send(f"{path}/run", sure="yes")
    assert handed.headers["cache-control"] == "no-store"
    assert "ada@example.org" not in handed.text
    link, code = re.findall(r"<dd><code>([^<]+)</code>", handed.text)
    token = link.rsplit("/", 1)[1]
    assert "The code that we gave you" in (await ann.get(f"/packages/{token}")).text
    file = await ann.client.post(f"/packages/{token}", data={"code": code.lower()})
    assert "attachment" in file.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert b"ada@example.org" in archive.read("access.json")
        assert b"ada@example.org" in archive.read("index.html")
    assert (await ann.json(f"{path}.json"))["state"] == "fulfilled"


async def test_what_a_person_says_is_wrong_is_corrected(comes, story: Story) -> None:
    ann = await comes("ann", Scope.OFFICER)
    page = (await ann.get(f"/console/people/{story.person}")).text
    assert '<option value="email:ada@example.org">' in page
    half = await ann.send(
        "/console/requests", person=story.person, right="rectification", wrong="email:ada@example.org", correct=""
    )
    assert half.status_code == 422
    opened = await ann.send(
        "/console/requests",
        person=story.person,
        right="rectification",
        wrong="email:ada@example.org",
        correct="ada.l@example.org",
    )
    path = opened.headers["location"]
    assert "ada.l@" not in (await ann.get(path)).text  # sealed until it is done
    await ann.send(f"{path}/check", method="document", passed="yes")
    assert (await ann.send(f"{path}/run", sure="yes")).headers["location"] == path
    assert "Done" in words((await ann.get(path)).text)
    assert "ada.l@example.org" in words((await ann.get(f"/console/people/{story.person}")).text)


async def test_a_refusal_has_one_of_the_reasons(comes, story: Story) -> None:
    ann = await comes("ann", Scope.OFFICER)
    path = f"/console/requests/{story.request}"
    assert (await ann.send(f"{path}/deny", reason="because")).status_code == 422
    assert (await ann.send(f"{path}/deny")).status_code == 422
    assert (await ann.send(f"{path}/deny", reason="no_match")).headers["location"] == path
    assert "We hold nothing of this person" in (await ann.get(path)).text
    assert (await ann.send(f"{path}/deny", reason="no_match")).status_code == 409


async def test_a_form_that_was_changed_on_the_way_opens_nothing(comes, story: Story) -> None:
    ann = await comes("ann", Scope.OFFICER)
    for fields in ({"person": "ada@example.org", "right": "access"}, {"person": story.person}, {"right": "access"},
                   {"person": story.person, "right": "everything"}, {"person": "x" * 3000, "right": "access"}):  # fmt: skip
        refused = await ann.send("/console/requests", **fields)
        assert refused.status_code == 422, fields
        assert "ada@example.org" not in refused.text
    assert len((await ann.json("/console/requests.json"))["requests"]) == 1


async def test_requests_of_one_person_are_listed_by_any_id_of_hers(comes, story: Story) -> None:
    ann = await comes("ann", Scope.OFFICER)
    await ann.send("/console/requests", person=story.person, right="access")
    for name in (story.person, story.former):
        listed = await ann.json(f"/console/requests.json?person={name}")
        assert [one["right"] for one in listed["requests"]] == ["access"]
    assert len((await ann.json("/console/requests.json?state=open"))["requests"]) == 2
    assert "No request fits" in (await ann.get("/console/requests?state=denied")).text
