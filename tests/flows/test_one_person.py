"""One person from two records to a proof that outlives her data: every claim of docs/flow.md, on real engines."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from audit.receipt import verify_file
from kernel.clock import FrozenClock
from orchestration.demo import traces
from orchestration.demo.flow import SECTIONS, follow
from orchestration.service.app import create_app
from orchestration.settings import load
from orchestration.wiring import build

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    # Dagster reads pydantic's models the old way.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
]

CLAIMS = {
    "Two sources, one person": ["the records are one person", "in the world they are all of one person"],
    "She agrees to offers by email, and to nothing else": ["email is granted", "nothing else of marketing is"],
    "An event arrives": ["it is accepted once", "it is hers"],
    "The event triggers a decision": [
        "the decision is about her",
        "the message was chosen",
        "the record names the trigger",
        "what she did could not be weighed",
        "run again it gives the same bytes",
    ],
    "The message leaves": [
        "one message was accepted",
        "it goes to her address",
        "it can be ended with one click",
        "no name of hers is in it",
    ],
    "The receipt verifies offline": ["it verifies without network", "a copy with one bit changed does not"],
    "The why page names true facts": [
        "every sentence is true",
        "nothing true is left out",
        "it shows no word of hers",
        "it runs no script and sets no cookie",
    ],
    "A second message is queued": ["it waits"],
    "She withdraws": ["opening the link changes nothing", "one post ends it", "the next decision knows"],
    "The queued message is not sent, and the log says why": [
        "it was withheld",
        "one entry of the log says why",
        "the outbox still holds one message",
    ],
    "Where her words are": ["only the outbox holds her words", "the search does find her id"],
    "She is erased": [
        "one member of staff is not enough",
        "no store holds a byte of her keys",
        "no store holds her words",
        "her entry cannot be opened",
        "nobody is known under her address",
        "nobody is known under her id",
    ],
    "The proof stands": [
        "the old receipt verifies",
        "a new one verifies with its contents redacted",
        "neither holds a word of hers",
        "the why page tells nothing",
        "the log agrees with itself",
    ],
}


@pytest.fixture
def clock():
    return FrozenClock(datetime(2026, 3, 5, 12, tzinfo=UTC))


@pytest.fixture
def kernel_settings(kernel_settings):
    return kernel_settings.model_copy(update={"base_url": "https://candor.shop.example"})


@pytest.fixture
async def house(kernel):
    built = build(load(kernel=kernel.settings.model_dump(), **SECTIONS), kernel)
    yield built
    await built.events.close()
    await built.decisions.close()


async def test_every_claim_of_the_page_holds(house, clock, engines):
    flow = await follow(house, create_app(house), clock, [engines.folder])
    assert flow.broken == []
    assert {step.title: list(step.claims) for step in flow.steps} == CLAIMS
    assert all(step.shown and step.prose for step in flow.steps)
    # And once more without the flow's own tools.
    old, new = flow.files["receipt"], flow.files["receipt after"]
    assert verify_file(old, flow.ids["key"]).trusted
    assert json.loads(old.read_text())["openings"]["ref.person"]["value"] == flow.ids["person"]
    assert json.loads(new.read_text())["openings"] == json.loads(new.read_text())["evidence"] == {}
    assert json.loads(new.read_text())["leaf"] == json.loads(old.read_text())["leaf"]
    assert not flow.files["mail"].exists()
    async with house.kernel.db.reading() as conn:
        assert flow.ids["person"] not in await house.identity.people(conn)
        row = await (await conn.execute("SELECT state, reason FROM channels.deliveries WHERE delivery_id = %s", [flow.ids["queued"]])).fetchone()  # fmt: skip
    assert row == {"state": "withheld", "reason": "withdrawn.channel"}


@pytest.mark.parametrize("form", ["Ada@Example.org", "ada%40example.org", b"ada@example.org".hex()])
async def test_the_search_finds_a_word_in_any_form_and_any_file(tmp_path, form):
    (tmp_path / "postgres" / "base").mkdir(parents=True)
    (tmp_path / "input").mkdir()
    (tmp_path / "postgres" / "base" / "1").write_bytes(b"\0" * 9000 + form.encode() + b"\0")
    (tmp_path / "input" / "people.csv").write_text(form)
    found = traces.search([tmp_path], ["ada@example.org"])
    assert found.hits == {"postgres": 1}
    assert found.files == 1


async def test_the_search_unpacks_parquet(tmp_path):
    (tmp_path / "features").mkdir()
    words = pa.table({"word": ["nobody"] * 5000 + ["Ada@example.org"]})
    parquet.write_table(words, tmp_path / "features" / "a.parquet", compression="zstd")
    assert traces.search([tmp_path], ["ada@example.org"]).hits == {"features": 1}


async def test_the_search_finds_a_word_in_the_hot_store(kernel):
    await kernel.cache.set_many({"profile:x": b"to Ada@example.org"})
    await kernel.cache.run(lambda redis: redis.sadd("set", "ada@example.org"))
    await kernel.cache.run(lambda redis: redis.hset("hash", "to", "ada@example.org"))
    await kernel.cache.set_many({"profile:y": b"nothing"})
    found = await traces.search_cache(kernel.cache, ["ada@example.org"])
    assert (found.files, found.total) == (4, 3)
